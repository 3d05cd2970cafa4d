/*
 * store/drop.h - bytes that nobody holds any more go: the index first, then the file.
 */
#ifndef STORE_DROP_H
#define STORE_DROP_H

#include "store/inner.h"

/* Most blobs of one change. */
#define DROP_MAX 64

/* Removes those of the n (DROP_MAX at most) blobs that no repository holds, that are not pinned or
 * leased, and that nobody is putting there just now; f (may be NULL) is told of each. Blocks; no
 * loop thread, no writer thread. -1: ERR_STORE, none went. */
int drop_bytes(struct store *s, const struct digest *d, size_t n,
               void (*f)(void *arg, const struct digest *d, uint64_t size), void *arg,
               struct err *err) MUST_CHECK;

/* The same for those that can be fetched again: none of Larder's own repositories holds them. They
 * stay members of those that are mirrored. */
int drop_mirrored(struct store *s, const struct digest *d, size_t n,
                  void (*f)(void *arg, const struct digest *d, uint64_t size), void *arg,
                  struct err *err) MUST_CHECK;

#endif
