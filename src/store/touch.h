/*
 * store/touch.h - uses of blobs, gathered until the index is written anyway.
 */
#ifndef STORE_TOUCH_H
#define STORE_TOUCH_H

#include "store/inner.h"

struct touch *touch_new(struct store *s);
/* The writer does not run any more. */
void touch_free(struct touch *t);

#endif
