/*
 * store/parts.h - the parts of a store that need nothing of the disk to be made.
 */
#ifndef STORE_PARTS_H
#define STORE_PARTS_H

#include "store/inner.h"

/* Makes them, and frees those that were made. Nobody else uses the store. */
void parts_make(struct store *s, const struct store_options *options);
void parts_free(struct store *s);
/* At the end: what was pulled is synced, uploads survive, what nobody will take up goes, and a copy
 * of the index is made. The writer does not run any more. */
void parts_finish(struct store *s);

#endif
