/*
 * store/recover.h - the index at start and end: opened, or what replaces it; whose it is; whether
 * the last stop was clean.
 */
#ifndef STORE_RECOVER_H
#define STORE_RECOVER_H

#include "store/inner.h"

/* Opens the index, or its copy, or an empty one; marks that it is in use. A foreign or newer one is
 * refused and not touched. Before the writer starts. */
int recover_index(struct store *s, struct err *err) MUST_CHECK;
/* Marks the clean stop. While no writer runs, as for the next. */
int recover_finish(struct store *s, struct err *err) MUST_CHECK;
/* Takes that back: the index is as another process left it, its sums are read again, and files are
 * looked for that it left without a record where it came to no clean end. */
int recover_again(struct store *s, struct err *err) MUST_CHECK;

#endif
