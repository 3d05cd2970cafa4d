/*
 * http/body.c - the body of a request, decoded as it comes and never held.
 *
 * What came with the head is used first. Then the bytes of a chunk, or of a body whose length is
 * told, go from the socket straight to the reader, never more of them than belong to it; what
 * stands between chunks passes through the connection's buffer.
 */
#include "http/conn.h"

#include <assert.h>

/* What may stand between two chunks, with the usual sizes; some of the next may come with it. */
#define BETWEEN 32

static const char CONTINUE[] = "HTTP/1.1 100 Continue\r\n\r\n";

void body_begin(struct http_body *b, const struct http_head *h)
{
    *b = (struct http_body){.framing = h->framing, .left = h->length};
    b->ended = h->framing == HTTP_BODY_NONE || (h->framing == HTTP_BODY_LENGTH && h->length == 0);
    b->expected = h->expect_continue && !b->ended;
}

/* How many of the next bytes are the body's and nothing else. */
static uint64_t body_run(const struct http_body *b)
{
    return b->framing == HTTP_BODY_LENGTH ? b->left : http_chunked_left(&b->chunked);
}

static void body_took(struct http_conn *c, size_t n)
{
    struct http_body *b = &c->body;

    /* What stands between chunks does not count: it is no progress, however much of it comes. */
    pace_moved(&c->pace, n);
    if (b->framing == HTTP_BODY_CHUNKED) {
        http_chunked_took(&b->chunked, n);
        return;
    }
    b->left -= n;
    b->ended = b->left == 0;
}

static ssize_t body_broken(struct http_conn *c)
{
    c->body.bad = true;
    return STREAM_FAILED;
}

/* One byte of what stands between chunks. */
static void body_frame(struct http_conn *c)
{
    struct slice byte = slice_of(c->in + c->at, 1);
    struct slice data;
    struct err err;

    c->at++;
    switch (http_chunked_next(&c->body.chunked, &byte, &data, &err)) {
    case HTTP_CHUNK_END:
        c->body.ended = true;
        break;
    case HTTP_CHUNK_BAD:
        c->body.bad = true;
        break;
    default:
        break;
    }
}

/* Takes what the buffer holds of the body. 0: nothing now, unless it ended or is bad. */
static size_t body_buffered(struct http_conn *c, void *p, size_t n)
{
    struct http_body *b = &c->body;

    while (c->at < c->end && !b->ended && !b->bad) {
        uint64_t run = body_run(b);
        size_t take = c->end - c->at;

        if (run == 0) {
            body_frame(c);
            continue;
        }
        take = take < n ? take : n;
        take = take < run ? take : (size_t)run;
        memcpy(p, c->in + c->at, take);
        c->at += take;
        body_took(c, take);
        return take;
    }
    return 0;
}

/* Data to `p`, and what stands behind a chunk to the buffer, by one call. Bytes of data. */
static ssize_t receive_run(struct http_conn *c, void *p, size_t n, uint64_t run)
{
    bool all = c->body.framing == HTTP_BODY_CHUNKED && run <= n && c->floor + BETWEEN <= c->cap;
    struct iovec iov[2] = {{p, n < run ? n : (size_t)run}, {c->in + c->floor, BETWEEN}};
    ssize_t got = stream_readv(&c->stream, iov, all ? 2 : 1);
    size_t data;

    if (got <= 0) {
        return got;
    }
    data = (size_t)got < iov[0].iov_len ? (size_t)got : iov[0].iov_len;
    c->end += (size_t)got - data;
    conn_moved(c, 0);
    body_took(c, data);
    return (ssize_t)data;
}

/* Only what stands between chunks is missing: to the buffer, with what comes behind it. */
static ssize_t receive_between(struct http_conn *c)
{
    ssize_t got;

    assert(c->floor < c->cap);
    got = stream_read(&c->stream, c->in + c->floor, c->cap - c->floor);
    if (got > 0) {
        conn_moved(c, 0);
        c->end += (size_t)got;
    }
    return got;
}

/* Reads from the socket into the empty buffer, or past it. Bytes of data, or 0: look again. */
static ssize_t body_receive(struct http_conn *c, void *p, size_t n)
{
    uint64_t run = body_run(&c->body);
    ssize_t got;

    c->at = c->floor;
    c->end = c->floor;
    got = run > 0 ? receive_run(c, p, n, run) : receive_between(c);
    if (got == 0) {
        c->peer_done = true;
        return body_broken(c);
    }
    return run > 0 || got < 0 ? got : 0;
}

ssize_t body_read(struct http_conn *c, void *p, size_t n)
{
    for (;;) {
        size_t buffered = body_buffered(c, p, n);
        ssize_t got;

        if (buffered > 0 || c->body.ended) {
            return (ssize_t)buffered;
        }
        if (c->body.bad) {
            return STREAM_FAILED;
        }
        got = body_receive(c, p, n);
        if (got != 0) {
            return got;
        }
    }
}

/* Tells the client once to go on, unless its body comes unasked or the response has begun. */
static ssize_t body_continue(struct http_conn *c)
{
    if (!c->body.expected) {
        return 0;
    }
    c->body.expected = false;
    if (c->at < c->end || c->exchange->framing != REPLY_NONE) {
        return 0;
    }
    out_append(c, CONTINUE, sizeof(CONTINUE) - 1, false);
    return out_flush(c, false) == STREAM_FAILED ? STREAM_FAILED : 0;
}

ssize_t http_read_body(struct http_exchange *pub, void *p, size_t n)
{
    struct http_conn *c = exchange_of(pub)->conn;
    ssize_t got;

    assert(n > 0);
    if (pub->gone || c->body.bad) {
        return STREAM_FAILED;
    }
    if (c->body.ended) {
        return 0;
    }
    if (body_continue(c) == STREAM_FAILED) {
        return STREAM_FAILED;
    }
    got = body_read(c, p, n);
    if (got == STREAM_AGAIN) {
        c->wants_body = true;
        conn_stuck(c, false);
    } else if (got == STREAM_FAILED && !c->body.bad) {
        conn_lost(c);
    }
    return got;
}
