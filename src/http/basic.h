/* http/basic.h - the Basic scheme's credentials (RFC 7617). Pure. */
#ifndef HTTP_BASIC_H
#define HTTP_BASIC_H

#include "base/str.h"

/* Appends "Basic " and base64 of "user:password". */
void http_basic(struct buf *out, struct slice user, struct slice password);

#endif
