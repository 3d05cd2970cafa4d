/*
 * http/cond.h - If-Match and If-None-Match. Pure.
 *
 * RFC 9110 13; an entity tag may also come without its quotes, as the Docker client keeps it
 * (reference protocol.md 1.6).
 */
#ifndef HTTP_COND_H
#define HTTP_COND_H

#include "base/str.h"
#include "http/head.h"

enum http_cond {
    HTTP_COND_GO_ON,
    HTTP_COND_NOT_MODIFIED, /* 304 */
    HTTP_COND_FAILED,       /* 412 */
};

/* What the request's conditions say of something that exists and whose strong entity tag is `tag`
 * (without quotes: a digest). First If-Match, then If-None-Match, which is 304 for GET and HEAD and
 * 412 for other methods. */
enum http_cond http_cond_check(const struct http_head *h, struct slice tag);

#endif
