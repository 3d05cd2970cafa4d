/*
 * oci/query.h - parameters of a query string. Pure; any thread.
 */
#ifndef OCI_QUERY_H
#define OCI_QUERY_H

#include "base/str.h"

/*
 * Appends the value of the first parameter `name` to *ret, '+' and percent decoded once, and gives
 * true; false (nothing appended) where there is none. `query` is what follows the '?', raw.
 *
 * A percent sign that begins no escape stays as it is: what was asked is then wrong in itself, and
 * must not look as if it had not been asked. A value longer than ret->max sets ret->failed. The
 * bytes may be any, NUL included: they are checked by the grammar of whatever they are.
 */
bool query_get(struct slice query, const char *name, struct buf *ret);

/* The next parameter `name` from *rest on, which is shortened to what is behind it: begin with the
 * whole query. Appends to *ret as query_get() does; false where there is no other. */
bool query_next(struct slice *rest, const char *name, struct buf *ret);

/* Whether there is a parameter `name`, with whatever value. */
bool query_has(struct slice query, const char *name);

/* Decodes percent escapes (and '+', where `plus`), as query_get() does. */
void query_decode(struct slice raw, bool plus, struct buf *ret);

#endif
