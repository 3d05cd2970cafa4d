/* http/basic.h - the Basic scheme's credentials (RFC 7617). Pure. */
#ifndef HTTP_BASIC_H
#define HTTP_BASIC_H

#include "base/str.h"

/* Appends "Basic " and base64 of "user:password". */
void http_basic(struct buf *out, struct slice user, struct slice password);

/* Reads "Basic " and base64, with its padding, of an Authorization field into `out`, which takes
 * `size` bytes. False: it is not that, or longer. */
bool http_basic_read(struct slice field, char *out, size_t size, size_t *ret_n) MUST_CHECK;

#endif
