/*
 * oci/walk.h - visits all that an image is: manifests, children, referrers, signatures.
 *
 * The walk reads nothing. It names what comes next; the caller reads it, or asks for it, and tells
 * the walk what it found:
 *
 *     WALK_MANIFEST   walk_manifest() with its bytes: its children come next
 *     WALK_BLOB       nothing to tell
 *     WALK_REFERRERS  walk_add() for each manifest whose subject is the digest
 *     WALK_TAG        walk_add() for what the tag names in the repository
 *
 * Who tells nothing has not got it, and the walk goes on: a cache need not hold all of an image.
 * Parents come before children, in the order of the manifest; nothing comes twice. Pure; one owner,
 * any thread.
 */
#ifndef OCI_WALK_H
#define OCI_WALK_H

#include "oci/name.h"
#include "oci/platform.h"

/* Deepest nesting of indexes and referrers, and most manifests and blobs of one walk. */
#define WALK_DEPTH_MAX 10
#define WALK_ITEMS_MAX 200000

enum walk_kind { WALK_MANIFEST, WALK_BLOB, WALK_REFERRERS, WALK_TAG };

/* A value. */
struct walk_item {
    enum walk_kind kind;
    struct descriptor what;    /* of WALK_REFERRERS and WALK_TAG only the digest: the subject */
    struct digest parent;      /* the manifest that named it, or its subject; alg 0: a root */
    unsigned depth;            /* manifests above it */
    bool referrer;             /* it is one, or belongs to one */
    char tag[TAG_MAX_LEN + 1]; /* of WALK_TAG: "sha256-HEX" (a list of referrers, where a registry
                                  has no API for it), and .sig, .att, .sbom behind that */
};

struct walk;

/* Takes of each index what platform_choose() chooses (n_platforms 0: all); `platforms` is copied.
 * Asks for referrers and signature tags where `referrers` says so. For walk_free(). */
struct walk *walk_new(const struct platform *platforms, size_t n_platforms, bool referrers);
void walk_free(struct walk *w);

/* Adds what to begin with: the kind of a descriptor of a manifest is CHILD_MANIFEST. */
void walk_root(struct walk *w, const struct descriptor *d);

/* The next item; false at the end. */
bool walk_next(struct walk *w, struct walk_item *ret);

/*
 * The bytes of the manifest that walk_next() gave last, once. Returns 0, or -1, and then none of
 * its children comes:
 *   ERR_MANIFEST_INVALID  no manifest (as manifest_parse() says); nested too deep; more items than
 *                         a walk may have, after which it is of no more use
 *   ERR_MANIFEST_UNKNOWN  an index that has manifests, and none for a platform that is wanted
 */
int walk_manifest(struct walk *w, struct slice body, struct err *e) MUST_CHECK;

/* A manifest that refers to the digest that walk_next() asked for last. -1 with
 * ERR_MANIFEST_INVALID: more items than a walk may have. */
int walk_add(struct walk *w, const struct descriptor *d, struct err *e) MUST_CHECK;

#endif
