/*
 * bundle/imageset.h - many images of a bundle, in about 100 bytes each.
 *
 * Added in any order, some more than once; sorted, each stands there once, in the order of
 * larder/list. Pure; one owner, any thread.
 */
#ifndef BUNDLE_IMAGESET_H
#define BUNDLE_IMAGESET_H

#include "bundle/list.h"

/* A value. */
struct imageset_image {
    struct list_line line; /* LIST_IMAGE */
    struct digest subject; /* what it refers to; alg 0: it is no referrer */
    struct digest docker;  /* its manifest for manifest.json: of one platform; alg 0: none */
};

/* Owner: the caller, by imageset_fini(); zeroed at its start. */
struct imageset {
    struct buf rows;
    size_t *at; /* where each begins */
    size_t n;
    size_t cap;
    char **media_types;
    size_t n_media_types;
};

void imageset_fini(struct imageset *s);

void imageset_add(struct imageset *s, const struct imageset_image *i);

/* To be called behind the last imageset_add(). One without a tag goes where another of that name
 * and digest has one. -1 with ERR_BAD_REQUEST: one tag with two digests. */
int imageset_sort(struct imageset *s, struct err *e) MUST_CHECK;

/* The image at a place below s->n. */
void imageset_get(const struct imageset *s, size_t i, struct imageset_image *ret);

#endif
