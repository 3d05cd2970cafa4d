/*
 * oci/referrers.h - the list of manifests that refer to one (distribution-spec, "Listing
 * Referrers"). A list has no digest of its own, so it may be written anew. Pure; any thread.
 */
#ifndef OCI_REFERRERS_H
#define OCI_REFERRERS_H

#include "base/err.h"
#include "base/str.h"
#include "oci/digest.h"
#include "oci/manifest.h"

#define REFERRERS_CONTENT_TYPE "application/vnd.oci.image.index.v1+json"
/* A fallback tag is "sha512-" and 64 digits at most. */
#define REFERRERS_TAG_MAX 72

/*
 * Reads one page (or the index under a fallback tag) and appends its descriptors to `entries`, with
 * commas between them and behind what is there; with `artifact_type`, only those that have it.
 * Descriptors without media type, size or a legal digest are left out. Returns 0, or -1 with
 * ERR_UPSTREAM_PROTOCOL: not JSON, not an index, beyond the bounds of manifest.h or entries->max.
 */
int referrers_collect(struct slice body, struct slice artifact_type, struct buf *entries,
                      struct err *e);

/* Appends the index that holds `entries` (as collected; empty: the empty index). */
void referrers_write(struct slice entries, struct buf *out);

/* Both at once: a page as it came to the answer we give. An empty type filters nothing. */
int referrers_filter(struct slice body, struct slice artifact_type, struct buf *out, struct err *e);

/*
 * Appends the descriptor of a manifest that refers to something, as a list of referrers has it:
 * with its artifactType (that of its config where it has none) and annotations; nothing where
 * `artifact_type` is another. -1: the body is no manifest that could be read.
 */
int referrers_describe(struct slice body, const char *media_type, const struct digest *d,
                       struct slice artifact_type, struct buf *entries) MUST_CHECK;

/* Calls f for each descriptor of a list or page (its kind is CHILD_MANIFEST) until it says other
 * than 0, which is then returned. Entries without a legal digest are left out; of a body that is no
 * list there are none. */
int referrers_each(struct slice body, int (*f)(void *arg, const struct descriptor *d), void *arg);

/* The tag under which clients keep the list where a registry has no referrers API: algorithm, '-',
 * first 64 hex digits. Gives buf. */
const char *referrers_fallback_tag(const struct digest *d, char buf[REFERRERS_TAG_MAX]);

#endif
