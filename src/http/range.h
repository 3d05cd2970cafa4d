/*
 * http/range.h - byte ranges: what a request asks for, and what a response says it is. Pure.
 *
 * RFC 9110 14; of the choices it leaves, those of reference protocol.md 1.9: several ranges are
 * answered with the whole (200), a range whose end lies before its start with 416.
 */
#ifndef HTTP_RANGE_H
#define HTTP_RANGE_H

#include "base/str.h"
#include "http/head.h"

enum http_range_kind {
    HTTP_RANGE_NONE,          /* no range, or one to ignore: 200 and the whole */
    HTTP_RANGE_ONE,           /* 206 */
    HTTP_RANGE_UNSATISFIABLE, /* 416 with http_range_text_unsatisfied() */
};

struct http_range {
    uint64_t from;
    uint64_t to; /* inclusive; HTTP_LENGTH_UNKNOWN: to the end, where that is not known */
};

/* What a Range field ("bytes=0-499") means for `size` bytes; *ret is within them. Where the size is
 * HTTP_LENGTH_UNKNOWN, "a-b" and "a-" are taken as they stand and "-n" is ignored. */
enum http_range_kind http_range_parse(struct slice field, uint64_t size, struct http_range *ret);

/* The same for a request: Range counts for GET only, and where If-Range is absent or is exactly the
 * strong `etag` (with its quotes). */
enum http_range_kind http_range_of(const struct http_head *h, struct slice etag, uint64_t size,
                                   struct http_range *ret);

/* The value of Content-Range: "bytes 0-499/1234", with an asterisk for a size that is unknown. */
#define HTTP_RANGE_TEXT_SIZE 80
void http_range_text(const struct http_range *range, uint64_t size, char out[HTTP_RANGE_TEXT_SIZE]);
/* That of a 416: an asterisk for the range, and the size. */
void http_range_text_unsatisfied(uint64_t size, char out[HTTP_RANGE_TEXT_SIZE]);

/* Reads a response's Content-Range of a 206: "bytes a-b/size", or with an asterisk for the size
 * (*ret_size is HTTP_LENGTH_UNKNOWN then). False for anything else, that of a 416 among it. */
bool http_content_range_parse(struct slice field, struct http_range *ret, uint64_t *ret_size);

#endif
