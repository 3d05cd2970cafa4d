/*
 * admin/images.h - reads the images that are here: manifest, configuration, layers.
 */
#ifndef ADMIN_IMAGES_H
#define ADMIN_IMAGES_H

#include "oci/platform.h"
#include "oci/stages.h"
#include "store/index.h"

enum image_found {
    IMAGE_FOUND,
    IMAGE_OTHER,  /* no image: an artifact, a build cache, or one whose configuration is broken */
    IMAGE_ABSENT, /* its manifest or configuration is not here */
};

/* Owner: the caller; `layers` is freed with free(). */
struct image_here {
    char platform[72]; /* "linux/amd64", as its configuration says */
    struct stage_blob manifest;
    struct stage_blob config;
    size_t n_layers;
    struct stage_layer *layers;
};

/* The image that the digest means: itself, or of an index the one for the platform, else the first
 * that is here. Its bytes are checked against their digests. Blocks: not on a loop. */
enum image_found image_here_read(struct store *s, const struct digest *d, const struct platform *p,
                                 struct image_here *ret) MUST_CHECK;

/* The blob, of at most `max` bytes, initialises *out; false where it is not here, or its bytes are
 * not its digest's. Blocks. */
bool image_blob_load(struct store *s, const struct digest *d, size_t max,
                     struct buf *out) MUST_CHECK;

#endif
