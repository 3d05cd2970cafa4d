/*
 * oci/image.h - an image's configuration: for which platform it is, and what its layers hold.
 *
 * A layer's diff id is the digest of its content before it was compressed (image-spec, config.md
 * "rootfs"), so two images that share diff ids share layers even where somebody compressed them
 * anew. All else that a configuration says is skipped. Pure; any thread.
 */
#ifndef OCI_IMAGE_H
#define OCI_IMAGE_H

#include "base/err.h"
#include "oci/digest.h"

/* Largest configuration, deepest nesting, most JSON values and most layers that are looked at. */
#define IMAGE_MAX (8u << 20)
#define IMAGE_DEPTH_MAX 32
#define IMAGE_VALUES_MAX 100000
#define IMAGE_LAYERS_MAX 4096
#define IMAGE_WORD_MAX 32

/* Owner: the caller, by image_free(). Never changes after it was parsed. */
struct image {
    char architecture[IMAGE_WORD_MAX]; /* "amd64"; "" where it says none that fits */
    char os[IMAGE_WORD_MAX];
    size_t n_diff_ids;
    struct digest *diff_ids; /* the lowest layer first */
};

/* Whether a configuration of this media type (parameters ignored) is an image's. Those of build
 * caches and other artifacts are not. */
bool image_is_config(struct slice media_type);

/* Reads a configuration. Returns 0 with *ret for image_free(), or -1 with ERR_MANIFEST_INVALID: no
 * JSON object, beyond the bounds, or a diff id that is no digest of an algorithm we know. One
 * without diff ids is an image without layers. Of a member that is repeated the last counts. */
int image_parse(struct slice body, struct image **ret, struct err *e) MUST_CHECK;
void image_free(struct image *i);

#endif
