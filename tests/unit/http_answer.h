/* tests/unit/http_answer.h - what a blocking client says, and the responses that it reads. */
#ifndef HTTP_ANSWER_H
#define HTTP_ANSWER_H

#include "http/chunked.h"

#include <errno.h>

#include "http_fixture.h"

static inline bool say_bytes(int fd, const void *p, size_t n)
{
    const char *at = p;

    while (n > 0) {
        ssize_t sent = send(fd, at, n, MSG_NOSIGNAL);

        if (sent <= 0) {
            return false;
        }
        at += sent;
        n -= (size_t)sent;
    }
    return true;
}

static inline bool say(int fd, const char *text)
{
    return say_bytes(fd, text, strlen(text));
}

/* Leaves with a reset. */
static inline void client_reset(int fd)
{
    struct linger now = {1, 0};

    setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    close(fd);
}

/* --- responses ----------------------------------------------------------------------------- */

/* What a client got. Slices of `head` point into `bytes`. */
struct answer {
    char bytes[16384]; /* of the head, then whatever is not used yet */
    size_t len;
    size_t used;
    struct http_head head;
    struct buf body;
    bool whole;  /* the body's framing is complete */
    bool closed; /* the server closed; `reset`: with a reset */
    bool reset;
};

static struct answer answer;

static inline bool answer_fill(int fd)
{
    ssize_t n;

    if (answer.used > 0) {
        memmove(answer.bytes, answer.bytes + answer.used, answer.len - answer.used);
        answer.len -= answer.used;
        answer.used = 0;
    }
    n = recv(fd, answer.bytes + answer.len, sizeof(answer.bytes) - answer.len, 0);
    answer.closed = n == 0;
    answer.reset = n < 0 && errno == ECONNRESET;
    answer.len += n > 0 ? (size_t)n : 0;
    return n > 0;
}

/* Body bytes of `length`, or up to the end of the connection. */
static inline void answer_plain(int fd, uint64_t length)
{
    while (answer.body.len < length) {
        size_t here = answer.len - answer.used;

        here = here < length - answer.body.len ? here : (size_t)(length - answer.body.len);
        buf_append(&answer.body, answer.bytes + answer.used, here);
        answer.used += here;
        if (answer.body.len < length && !answer_fill(fd)) {
            break;
        }
    }
    answer.whole = answer.body.len == length || (length == UINT64_MAX && answer.closed);
}

static inline void answer_chunked(int fd)
{
    struct http_chunked chunked = {0};
    enum http_chunk result = HTTP_CHUNK_MORE;
    struct slice data;
    struct err err;

    do {
        struct slice in = slice_of(answer.bytes + answer.used, answer.len - answer.used);

        while ((result = http_chunked_next(&chunked, &in, &data, &err)) == HTTP_CHUNK_DATA) {
            buf_slice(&answer.body, data);
        }
        answer.used = answer.len - in.len;
    } while (result == HTTP_CHUNK_MORE && answer_fill(fd));
    answer.whole = result == HTTP_CHUNK_END;
}

/* Reads one response to a request of method `asked`. False: none came. The head's slices are gone
 * once more is read: answer.head.status and the like remain. */
static inline bool hear(int fd, enum http_method asked)
{
    struct http_parse parse = {0};
    enum http_parsed parsed = HTTP_PARSED_MORE;
    struct err err;
    size_t used;

    buf_free(&answer.body);
    buf_init(&answer.body, 256 * 1024 * 1024);
    answer.whole = false;
    for (;;) {
        if (answer.len > answer.used) {
            parsed = http_parse_response(
                &parse, slice_of(answer.bytes + answer.used, answer.len - answer.used), asked,
                &answer.head, &used, &err);
        }
        if (parsed != HTTP_PARSED_MORE) {
            break;
        }
        if (!answer_fill(fd)) {
            return false;
        }
    }
    if (parsed == HTTP_PARSED_BAD) {
        printf("# response refused: %s\n", err.text);
        return false;
    }
    answer.used += used;
    if (answer.head.framing == HTTP_BODY_CHUNKED) {
        answer_chunked(fd);
    } else {
        uint64_t length = answer.head.framing == HTTP_BODY_LENGTH        ? answer.head.length
                          : answer.head.framing == HTTP_BODY_UNTIL_CLOSE ? UINT64_MAX
                                                                         : 0;
        answer_plain(fd, length);
    }
    return true;
}

static inline bool hear_status(int fd, int status)
{
    return hear(fd, HTTP_GET) && answer.head.status == status && answer.whole;
}

/* The server's orderly end, with nothing before it. */
static inline bool hear_end(int fd)
{
    return answer.used == answer.len && !answer_fill(fd) && answer.closed;
}

static inline void client_close(int fd)
{
    close(fd);
    answer.len = 0;
    answer.used = 0;
}

#endif
