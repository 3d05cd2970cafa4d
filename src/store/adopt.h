/*
 * store/adopt.h - files in blobs/ that the index does not know.
 *
 * A crash left them between the rename and the commit; or all are such where the index was lost.
 * They become blobs that nobody vouches for, hashed before they are first served.
 */
#ifndef STORE_ADOPT_H
#define STORE_ADOPT_H

#include "store/inner.h"

struct adopt *adopt_new(struct store *s);
void adopt_free(struct adopt *a);

/* Looks for them in the background, a folder at a time: the last stop was not clean. */
void adopt_start(struct adopt *a);
/* That has not come to its end. */
bool adopt_is_running(const struct adopt *a);
/* Starts what is due; when to ask again. Writer thread. */
uint64_t adopt_tick(struct adopt *a, uint64_t now);

/* All of it at once; where the index is the copy, records whose file is gone are dropped. While
 * nobody else is at work: at start, in tests. Blocks. */
int adopt_all(struct store *s, struct err *err) MUST_CHECK;

#endif
