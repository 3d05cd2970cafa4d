/*
 * http/chunked.h - the chunked transfer coding (RFC 9112 7.1), taken apart piece by piece. Pure.
 *
 * Strict where leniency lets two readers see two messages: sizes are hex digits and nothing else,
 * lines end in CRLF. Extensions are skipped, CHUNK_EXTENSION_MAX bytes a chunk at most; so are
 * trailers, HTTP_TRAILER_MAX bytes in all.
 */
#ifndef HTTP_CHUNKED_H
#define HTTP_CHUNKED_H

#include "base/err.h"
#include "base/limits.h"
#include "base/str.h"

#define HTTP_TRAILER_MAX 8192

/* Zeroed before the first byte of a body. */
struct http_chunked {
    int state;      /* chunked.c's */
    uint64_t left;  /* of the chunk's data; while its size is read, that so far */
    unsigned count; /* digits, bytes of an extension or of the trailers, by state */
};

enum http_chunk {
    HTTP_CHUNK_DATA, /* *ret_data is the next piece of the body */
    HTTP_CHUNK_MORE, /* all of *in is used up */
    HTTP_CHUNK_END,  /* the body is complete; *in is what follows the message */
    HTTP_CHUNK_BAD,  /* err: ERR_BAD_REQUEST */
};

/* Takes bytes off *in up to the end of the next piece of data, which is a part of *in (not copied)
 * and not empty. Neither END nor BAD is followed by anything else. */
enum http_chunk http_chunked_next(struct http_chunked *c, struct slice *in, struct slice *ret_data,
                                  struct err *err) MUST_CHECK;

/* How many bytes from here on are data and nothing else: whoever reads no more than that into a
 * place of its own need not pass them through http_chunked_next(), but says so. */
uint64_t http_chunked_left(const struct http_chunked *c);
void http_chunked_took(struct http_chunked *c, uint64_t n);

#endif
