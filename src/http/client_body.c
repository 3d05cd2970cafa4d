/* http/client_body.c - the body of a response: straight into the caller's memory if it can be. */
#include "http/call.h"

#include "base/counter.h"

#include <string.h>

static ssize_t body_fail(struct http_call *c, enum err_code code, const char *why, struct err *err)
{
    err_set(err, code, "%s: the body broke off after %llu bytes: %s", c->origin.host,
            (unsigned long long)c->got, why);
    return STREAM_FAILED;
}

/* Received with the head, or between chunks. */
static size_t buffered(const struct http_call *c)
{
    return c->in_len - c->in_pos;
}

/* What is waited for is no longer the peer. */
static void clock_stop(struct http_call *c)
{
    c->stall = false;
    timer_clear(&c->timer);
    pace_go(&c->pace, loop_now(c->loop));
}

/* One read from the stream: > 0; 0 at its end; else what to give the caller. */
static ssize_t body_receive(struct http_call *c, void *p, size_t n, struct err *err)
{
    struct stream *s = &c->link->stream;
    ssize_t got = stream_read(s, p, n);

    if (got > 0) {
        clock_stop(c);
        pace_moved(&c->pace, (uint64_t)got);
        return got;
    }
    if (got == STREAM_FAILED) {
        return body_fail(c, s->err.code, s->err.text, err);
    }
    if (got == STREAM_AGAIN && c->stall) {
        return body_fail(c, ERR_TIMEOUT, "nothing came for too long", err);
    }
    if (got == STREAM_AGAIN) {
        pace_wait(&c->pace, loop_now(c->loop));
    }
    if (got == STREAM_AGAIN && !timer_is_set(&c->timer)) {
        timer_set(&c->timer, limits.upstream_stall);
    }
    return got;
}

/* From what is buffered, else from the stream: at most n bytes. */
static ssize_t body_take(struct http_call *c, void *p, size_t n, struct err *err)
{
    size_t have = buffered(c);

    if (have == 0) {
        return body_receive(c, p, n, err);
    }
    n = n < have ? n : have;
    memcpy(p, c->in + c->in_pos, n);
    c->in_pos += n;
    return (ssize_t)n;
}

static ssize_t read_length(struct http_call *c, void *p, size_t n, struct err *err)
{
    ssize_t got = body_take(c, p, n < c->left ? n : (size_t)c->left, err);

    if (got == 0) {
        return body_fail(c, ERR_UPSTREAM_DOWN, "the connection was closed", err);
    }
    if (got > 0) {
        c->left -= (uint64_t)got;
        c->over = c->left == 0;
    }
    return got;
}

static ssize_t read_until_close(struct http_call *c, void *p, size_t n, struct err *err)
{
    ssize_t got = body_take(c, p, n, err);

    c->over = got == 0;
    return got;
}

/* More of the framing, into the room behind the head. As body_receive(), but 0 is an error. */
static ssize_t chunk_receive(struct http_call *c, struct err *err)
{
    ssize_t got;

    c->in_pos = c->in_base;
    c->in_len = c->in_base;
    got = body_receive(c, c->in + c->in_base, c->in_cap - c->in_base, err);
    if (got == 0) {
        return body_fail(c, ERR_UPSTREAM_DOWN, "the connection was closed within it", err);
    }
    c->in_len += got > 0 ? (size_t)got : 0;
    return got;
}

/* A piece of data that is buffered becomes c->data. 1: it did; 0: the body ended; STREAM_AGAIN:
 * more must be received; STREAM_FAILED. */
static ssize_t chunk_parse(struct http_call *c, struct err *err)
{
    struct slice rest = slice_of(c->in + c->in_pos, buffered(c));
    struct err why = {0};
    enum http_chunk what = http_chunked_next(&c->chunked, &rest, &c->data, &why);

    c->in_pos = c->in_len - rest.len;
    switch (what) {
    case HTTP_CHUNK_DATA:
        return 1;
    case HTTP_CHUNK_MORE:
        return STREAM_AGAIN;
    case HTTP_CHUNK_END:
        c->over = true;
        return 0;
    case HTTP_CHUNK_BAD:
        break;
    }
    return body_fail(c, ERR_UPSTREAM_PROTOCOL, why.text, err);
}

static ssize_t read_chunked(struct http_call *c, void *p, size_t n, struct err *err)
{
    for (;;) {
        uint64_t left = http_chunked_left(&c->chunked);
        ssize_t got;

        if (c->data.len > 0) {
            n = n < c->data.len ? n : c->data.len;
            memcpy(p, c->data.p, n);
            c->data = slice_from(c->data, n);
            return (ssize_t)n;
        }
        if (buffered(c) > 0) {
            got = chunk_parse(c, err);
        } else if (left > 0) {
            got = body_receive(c, p, n < left ? n : (size_t)left, err);
            if (got > 0) {
                http_chunked_took(&c->chunked, (uint64_t)got);
            }
            return got == 0 ? body_fail(c, ERR_UPSTREAM_DOWN, "the connection was closed", err)
                            : got;
        } else {
            got = chunk_receive(c, err);
            if (got == STREAM_AGAIN) {
                return got;
            }
        }
        if (got == 0 || got == STREAM_FAILED) {
            return got;
        }
    }
}

bool http_call_is_slow(const struct http_call *c)
{
    return pace_left(&c->pace, loop_now(c->loop), limits.upstream_stall) == 0;
}

void http_call_rest(struct http_call *c)
{
    clock_stop(c);
}

ssize_t http_call_read(struct http_call *c, void *p, size_t n, struct err *err)
{
    ssize_t got;

    if (c->over) {
        return 0;
    }
    switch (c->head.framing) {
    case HTTP_BODY_LENGTH:
        got = read_length(c, p, n, err);
        break;
    case HTTP_BODY_CHUNKED:
        got = read_chunked(c, p, n, err);
        break;
    default:
        got = read_until_close(c, p, n, err);
        break;
    }
    if (got > 0) {
        c->got += (uint64_t)got;
        count_add(upstream_bytes, got);
    }
    return got;
}
