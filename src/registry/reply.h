/*
 * registry/reply.h - whole answers to a request, each of which ends the exchange. Loop thread.
 */
#ifndef REGISTRY_REPLY_H
#define REGISTRY_REPLY_H

#include "base/err.h"
#include "base/str.h"
#include "cache/room.h"

struct request;

/* The headers that all answers of the API share, and those of what is served, as lines. */
void reply_headers(const struct request *q, struct buf *out);
/* Whether a body of so many bytes may be held until the client has taken it: there is room, or it
 * is small. */
bool reply_may_hold(struct request *q, size_t n) MUST_CHECK;
/* An error that says what there is too much of, and to come again. */
void reply_too_many(struct err *err, const char *what);
/* A whole answer, with the lines of q->extra; ends the exchange. */
void reply_error(struct request *q, const struct err *err);
/* The same without a body: 201, 202, 204. */
void reply_empty(struct request *q, int status);
/* Appends "PREFIX/v2/NAME/WHAT", as the client named the repository. */
void reply_location(const struct request *q, struct buf *out, const char *what);
void reply_body(struct request *q, struct slice body);
/* If-None-Match and If-Match: true where that ended the exchange. */
bool reply_conditional(struct request *q);
/* HEAD of what is here: its size is known. */
void reply_size(struct request *q);

#endif
