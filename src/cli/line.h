/*
 * cli/line.h - a kept-alive HTTP/1.1 connection of a command to the engine, over its control
 * socket.
 *
 *     line_begin -> line_write...  -> line_answer -> line_read... 0 -> line_begin ...
 *                   (has_body)          |    '-----> line_drop
 *                                       '----------> line_refused
 *
 * Everything blocks. One owner, any thread; several lines may be open at once.
 */
#ifndef CLI_LINE_H
#define CLI_LINE_H

#include "base/str.h"
#include "cli/host.h"
#include "http/head.h"

#include <sys/types.h>

struct line;

/* What is asked. Strings are borrowed until line_begin() returns. */
struct line_request {
    enum http_method method;
    const char *target; /* "/v2/…?…", percent-encoded */
    const char *fields; /* lines of the head, with CRLF; NULL: none */
    bool has_body;
    uint64_t length; /* of the body */
};

/* Connects when something is asked: a connection that says nothing holds up a process that takes
 * over, and the one before would then refuse what it asks. */
struct line *line_new(const struct host *h);
/* NULL is accepted. Whatever was under way is cut. */
void line_free(struct line *l);

/* Each -1: ERR_STORE, the connection broke (the next line_begin() makes a new one); or what is said
 * below. */

/* Sends the head. What was left of the answer before is dropped. */
int line_begin(struct line *l, const struct line_request *r, struct err *err) MUST_CHECK;
/* Sends the next bytes of the body. -1 also: the engine refused it before it was whole, for the
 * reason in *err. */
int line_write(struct line *l, const void *p, size_t n, struct err *err) MUST_CHECK;
/* Waits for the head of the answer; *ret borrows until the next line_begin(). */
int line_answer(struct line *l, struct http_head *ret, struct err *err) MUST_CHECK;
/* Bytes of the answer's body, 0 at its end; -1 also where it breaks off. */
ssize_t line_read(struct line *l, void *p, size_t n, struct err *err) MUST_CHECK;
/* Nothing more of this answer is wanted. */
void line_drop(struct line *l);
/* Reads an error body: the code that its status and OCI code mean here (ERR_INTERNAL where they
 * mean none), and its message. Returns -1. */
int line_refused(struct line *l, const struct http_head *head, struct err *err);

/* All in one: sends `body` where the request has one, appends the answer's body to `out`, whose
 * maximum bounds it. A command (/-/…) is asked again for a minute where the engine has no time for
 * it just now. -1: likewise, or an answer that is not 2xx (line_refused()), or ERR_TOO_LARGE.
 * *ret_head as with line_answer(); NULL is accepted. */
int line_ask(struct line *l, const struct line_request *r, struct slice body, struct buf *out,
             struct http_head *ret_head, struct err *err) MUST_CHECK;

#endif
