/*
 * oci/stages.h - which image extends which, and what they share.
 *
 * An image extends another where the other's diff ids are a proper beginning of its own; its parent
 * is the longest such beginning. Images with the same diff ids are one node of the tree: the first
 * of them stands for all. Layers are compared by diff id, as clients compress them anew, and
 * counted by the digests under which they are stored. Pure; any thread; n log n.
 */
#ifndef OCI_STAGES_H
#define OCI_STAGES_H

#include "oci/digest.h"

#define STAGE_NONE SIZE_MAX

struct stage_layer {
    struct digest diff_id;
    struct digest blob; /* as it is stored, compressed as a rule */
    uint64_t size;      /* of that */
    bool here;
};

/* Manifest or configuration. */
struct stage_blob {
    struct digest digest;
    uint64_t size;
};

/* Some layers of an image. */
struct stage_part {
    size_t layers;
    uint64_t bytes;
};

/* An image. Owner: the caller; what it points at is borrowed. */
struct stage {
    /* given */
    const char *name;                 /* decides the order among siblings */
    bool mirrored;                    /* a base, from an upstream: it stands before hosted ones */
    bool wanted;                      /* was asked for */
    const struct stage_layer *layers; /* the lowest first */
    size_t n_layers;
    struct stage_blob blobs[2];

    /* found by stages_link() */
    bool shown;    /* wanted, or extends or is extended by one that is; those with equal diff ids */
    size_t same;   /* which image stands for it: itself, or one with equal diff ids */
    size_t parent; /* which it extends, one that stands; STAGE_NONE: from scratch */
    size_t depth;  /* how many that are */
    struct stage_part all;
    struct stage_part added;    /* beyond the parent's */
    struct stage_part siblings; /* of what was added: also in another one that its parent has */
    struct stage_part bases;    /* of a hosted image: also in some mirrored one */
};

/* Bytes of what is here of the images that are shown. */
struct stage_sums {
    uint64_t stored;   /* each blob once */
    uint64_t separate; /* each image for itself */
};

/* Fills what is to be found in the n images. `ret_order` takes n indexes: those that stand and are
 * shown as a tree is printed, parents before children, siblings by name. Returns how many. */
size_t stages_link(struct stage *images, size_t n, size_t *ret_order) MUST_CHECK;

struct stage_sums stages_sum(const struct stage *images, size_t n);

#endif
