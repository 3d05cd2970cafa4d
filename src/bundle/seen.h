/*
 * bundle/seen.h - which digests came already, in 8 bytes each.
 *
 * It keeps the first bytes of a hash, so a digest that never came may count as one that did: of a
 * million honest ones, once in tens of millions of archives. Pure; one owner, any thread.
 */
#ifndef BUNDLE_SEEN_H
#define BUNDLE_SEEN_H

#include "oci/digest.h"

/* Most digests that are kept. */
#define SEEN_MAX 900000

enum seen_answer { SEEN_NEW, SEEN_BEFORE, SEEN_FULL };

/* Owner: the caller, by seen_init() and seen_fini(). */
struct seen {
    uint64_t *slots; /* 0: none */
    size_t n_slots;  /* a power of two */
    size_t count;
};

void seen_init(struct seen *s);
void seen_fini(struct seen *s);

/* Notes a digest, and says whether it had been. */
enum seen_answer seen_add(struct seen *s, const struct digest *d);
bool seen_has(const struct seen *s, const struct digest *d);

#endif
