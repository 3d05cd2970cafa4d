/*
 * cli/pull.h - walks one image over a line: manifests are read, blobs are the caller's.
 *
 * Manifests are asked for by tag or digest, of the repository that the reference names, and checked
 * against their digests; with `only_cached` nothing is fetched for them.
 */
#ifndef CLI_PULL_H
#define CLI_PULL_H

#include "cli/line.h"
#include "oci/reference.h"
#include "oci/walk.h"

/* How an image is walked. */
struct pull_options {
    const struct reference *reference;
    const struct platform *platforms; /* n 0: all */
    size_t n_platforms;
    bool referrers;
    bool only_cached;
};

/* Told of each thing in the order of the walk: a root before its children. `body` is that of a
 * manifest, SLICE_NULL of a blob. -1 with *err ends the walk. */
struct pull_sink {
    int (*item)(void *arg, const struct walk_item *item, struct slice body, bool fetched,
                struct err *err);
    void *arg;
};

/* Walks the image. -1: what the engine said of a manifest (ERR_MANIFEST_UNKNOWN where it is not
 * there), what the walk or the sink said. A referrer that is listed and cannot be had is left out.
 * Blocks; the line's owner. */
int pull_image(struct line *l, const struct pull_options *o, const struct pull_sink *sink,
               struct err *err) MUST_CHECK;

/* "/v2/NAME/WHAT/REFERENCE" for a line; frees with free(). */
char *pull_target(const struct reference *r, const char *what, const char *reference);

#endif
