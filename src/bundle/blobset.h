/*
 * bundle/blobset.h - many blobs with their sizes, in 40 bytes each (72 of sha512).
 *
 * Blobs are added in any order, some more than once; sorted, each stands there once, in the order
 * of digests. Pure; one owner, any thread.
 */
#ifndef BUNDLE_BLOBSET_H
#define BUNDLE_BLOBSET_H

#include "oci/digest.h"

/* Those of one algorithm. */
struct blobset_part {
    unsigned char *rows; /* hash and size */
    size_t n;
    size_t cap;
    size_t sorted; /* so many of them are, and each is there once */
};

/* Owner: the caller, by blobset_fini(); zeroed at its start. */
struct blobset {
    struct blobset_part parts[DIGEST_SHA512 + 1];
};

void blobset_fini(struct blobset *b);

/* The size of a blob that is there already stays. */
void blobset_add(struct blobset *b, const struct digest *d, uint64_t size);

/* To be called behind the last blobset_add() and before what follows. */
void blobset_sort(struct blobset *b);

size_t blobset_count(const struct blobset *b);
/* Sum of the sizes. */
uint64_t blobset_bytes(const struct blobset *b);
/* The blob at a place below the count. */
void blobset_get(const struct blobset *b, size_t i, struct digest *ret, uint64_t *ret_size);
bool blobset_has(const struct blobset *b, const struct digest *d);

#endif
