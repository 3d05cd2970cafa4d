/*
 * http/reply.c - responses: heads, bodies of memory and of files, the three framings.
 *
 * A head that is not sent yet, the lines of chunks and what the socket did not take of a whole
 * reply wait in the connection's `out`, and leave together with what is sent next.
 */
#include "http/conn.h"

#include "base/clock.h"
#include "http/status.h"

#include <assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

/* --- what is pending ----------------------------------------------------------------------- */

static size_t out_pending(const struct http_conn *c)
{
    return c->out.len - c->out.at;
}

void out_append(struct http_conn *c, const void *p, size_t n, bool is_body)
{
    struct http_out *o = &c->out;

    if (n == 0) {
        return;
    }
    if (o->len + n > o->cap) {
        size_t cap = o->cap == 0 ? 512 : o->cap;

        while (cap < o->len + n) {
            cap *= 2;
        }
        o->p = xrealloc(o->p, cap);
        o->cap = cap;
    }
    memcpy(o->p + o->len, p, n);
    o->len += n;
    o->overhead += is_body ? 0 : n;
}

void out_free(struct http_conn *c)
{
    free(c->out.p);
    c->out = (struct http_out){0};
}

/* The kernel took n bytes, of which so many were the body's. */
static void note_sent(struct http_conn *c, size_t n, size_t body)
{
    struct exchange *x = c->exchange;

    if (n == 0) {
        return;
    }
    conn_moved(c, n);
    if (x == NULL) {
        return;
    }
    x->pub.bytes_sent += body;
    if (x->pub.first_us == 0 && x->framing != REPLY_NONE) {
        x->pub.first_us = clock_mono_us();
    }
}

/* The kernel took the first n bytes of what is pending. */
static void out_took(struct http_conn *c, size_t n)
{
    struct http_out *o = &c->out;
    size_t overhead = n < o->overhead ? n : o->overhead;

    o->at += n;
    o->overhead -= overhead;
    if (o->at == o->len) {
        o->at = 0;
        o->len = 0;
    }
    note_sent(c, n, n - overhead);
}

ssize_t out_flush(struct http_conn *c, bool more)
{
    while (out_pending(c) > 0) {
        struct iovec iov = {c->out.p + c->out.at, out_pending(c)};
        ssize_t n = stream_writev(&c->stream, &iov, 1, more);

        if (n == STREAM_AGAIN) {
            return STREAM_AGAIN;
        }
        if (n == STREAM_FAILED) {
            conn_lost(c);
            return STREAM_FAILED;
        }
        out_took(c, (size_t)n);
    }
    return 0;
}

/* --- heads --------------------------------------------------------------------------------- */

/* The lines around those of the handler. */
struct reply_lines {
    char start[64];
    char end[192];
    size_t start_len;
    size_t end_len;
};

static char *put(char *at, const char *p, size_t n)
{
    memcpy(at, p, n);
    return at + n;
}

static char *put_str(char *at, const char *s)
{
    return put(at, s, strlen(s));
}

static char *put_number(char *at, uint64_t value)
{
    char digits[20];
    size_t n = sizeof(digits);

    do {
        digits[--n] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    return put(at, digits + n, sizeof(digits) - n);
}

/* `length` counts for REPLY_LENGTH, and for REPLY_NO_BODY unless it is HTTP_LENGTH_UNKNOWN. */
static void lines_write(struct reply_lines *lines, struct http_conn *c, int status, int minor,
                        enum reply_framing framing, uint64_t length)
{
    size_t date_len;
    const char *date = home_date(c->home, &date_len);
    char *at = put_str(lines->start, "HTTP/1.1 ");

    at = put_number(at, (uint64_t)status);
    at = put_str(at, " ");
    at = put_str(at, http_status_reason(status));
    at = put_str(at, "\r\n");
    lines->start_len = (size_t)(at - lines->start);
    at = put(lines->end, date, date_len);
    if (framing == REPLY_LENGTH || (framing == REPLY_NO_BODY && length != HTTP_LENGTH_UNKNOWN)) {
        at = put_str(at, "Content-Length: ");
        at = put_number(at, length);
        at = put_str(at, "\r\n");
    } else if (framing == REPLY_CHUNKED) {
        at = put_str(at, "Transfer-Encoding: chunked\r\n");
    }
    if (!c->keep) {
        at = put_str(at, "Connection: close\r\n");
    } else if (minor == 0) {
        at = put_str(at, "Connection: keep-alive\r\n");
    }
    at = put_str(at, "\r\n");
    lines->end_len = (size_t)(at - lines->end);
}

/* Whether the connection may go on after this response, which the response tells. */
static bool may_keep(const struct http_conn *c)
{
    const struct http_body *b = &c->body;

    if (!c->exchange->pub.head.keep_alive || c->home->draining || b->bad) {
        return false;
    }
    /* Ended its side, and no further request of its is here; or it was never told to send its body
     * and may or may not do so now; or more of the body is to come than is worth skipping. */
    return !(c->peer_done && c->at == c->end) && !(b->expected && c->at == c->end) &&
           !(b->framing == HTTP_BODY_LENGTH && b->left > SKIP_MAX);
}

/* Decides on framing and keeping of the connection, and writes the lines that say so. */
static void reply_begin(struct exchange *x, int status, uint64_t length, struct reply_lines *lines)
{
    struct http_conn *c = x->conn;
    const struct http_head *h = &x->pub.head;

    assert(x->framing == REPLY_NONE);
    x->pub.status = status;
    c->keep = may_keep(c);
    if (h->method == HTTP_HEAD || status == 204 || status == 304) {
        x->framing = REPLY_NO_BODY;
    } else if (length != HTTP_LENGTH_UNKNOWN) {
        x->framing = REPLY_LENGTH;
    } else {
        x->framing = h->minor == 1 ? REPLY_CHUNKED : REPLY_UNTIL_CLOSE;
    }
    if (status == 204 || (status == 304 && length == 0)) {
        length = HTTP_LENGTH_UNKNOWN;
    }
    c->keep = c->keep && x->framing != REPLY_UNTIL_CLOSE;
    x->left = x->framing == REPLY_LENGTH ? length : 0;
    lines_write(lines, c, status, h->minor, x->framing, length);
}

/* --- whole replies ------------------------------------------------------------------------- */

/* Whether the chunks of a body that nobody read come first: whoever sends what is none gets 400,
 * whatever the handler says. Not of a client that may wait for the response before it sends. */
static bool reply_proves(const struct http_conn *c)
{
    const struct http_body *b = &c->body;

    return b->framing == HTTP_BODY_CHUNKED && !b->ended && !b->bad &&
           !(b->expected && c->at == c->end) && out_pending(c) == 0;
}

/* Sends what it can of four pieces, of which the last is the body, and keeps the rest. */
static void reply_send(struct http_conn *c, struct iovec iov[4])
{
    size_t overhead = iov[0].iov_len + iov[1].iov_len + iov[2].iov_len;
    size_t sent = 0;
    ssize_t n = 0;

    if (c->state == CONN_FLUSH && out_pending(c) == 0) {
        n = stream_writev(&c->stream, iov, iov[3].iov_len > 0 ? 4 : 3, false);
    }
    if (n == STREAM_FAILED) {
        conn_lost(c);
        return;
    }
    if (n > 0) {
        sent = (size_t)n;
        note_sent(c, sent, sent > overhead ? sent - overhead : 0);
    }
    for (int i = 0; i < 4; i++) {
        size_t skip = sent < iov[i].iov_len ? sent : iov[i].iov_len;

        out_append(c, (const char *)iov[i].iov_base + skip, iov[i].iov_len - skip, i == 3);
        sent -= skip;
    }
}

/* The handler is done with it. */
static void reply_over(struct http_conn *c)
{
    if (c->state != CONN_FLUSH && c->state != CONN_PROVE) {
        return; /* lost on the way */
    }
    if (c->state == CONN_FLUSH && out_pending(c) == 0) {
        conn_answered(c);
    } else if (!c->running) {
        loop_defer(c->home->loop, &c->task);
    }
}

static void set_iov(struct iovec *iov, const char *p, size_t n)
{
    memcpy(&iov->iov_base, &p, sizeof(p)); /* sendmsg does not write through it */
    iov->iov_len = n;
}

static void reply_whole(struct http_exchange *pub, int status, struct slice headers,
                        struct slice body, uint64_t length)
{
    struct exchange *x = exchange_of(pub);
    struct http_conn *c = x->conn;
    struct reply_lines lines;
    struct iovec iov[4];

    if (pub->gone) {
        conn_drop(c);
        return;
    }
    reply_begin(x, status, length, &lines);
    if (x->framing == REPLY_NO_BODY) {
        body = SLICE_NULL;
    }
    assert(x->framing == REPLY_NO_BODY || body.len == length);
    pub->owner = NULL;
    c->state = reply_proves(c) ? CONN_PROVE : CONN_FLUSH;
    x->prove_ends = loop_now(c->home->loop) + PROVE_ALL_MS;
    set_iov(&iov[0], lines.start, lines.start_len);
    set_iov(&iov[1], headers.p, headers.len);
    set_iov(&iov[2], lines.end, lines.end_len);
    set_iov(&iov[3], body.p, body.len);
    reply_send(c, iov);
    reply_over(c);
}

void http_reply(struct http_exchange *pub, int status, struct slice headers, struct slice body)
{
    reply_whole(pub, status, headers, body, body.len);
}

void http_reply_length(struct http_exchange *pub, int status, struct slice headers, uint64_t length)
{
    reply_whole(pub, status, headers, SLICE_NULL, length);
}

void reply_refusal(struct http_conn *c, int status, const char *why)
{
    static const char TYPE[] = "Content-Type: application/json\r\n";
    struct reply_lines lines;
    struct buf body;

    buf_init(&body, 2048);
    buf_str(&body, "{\"errors\":[{\"code\":\"UNSUPPORTED\",\"message\":");
    buf_json(&body, slice_str(why));
    buf_str(&body, "}]}\n");
    lines_write(&lines, c, status, 1, REPLY_LENGTH, body.len);
    out_append(c, lines.start, lines.start_len, false);
    out_append(c, TYPE, sizeof(TYPE) - 1, false);
    out_append(c, lines.end, lines.end_len, false);
    out_append(c, body.p, body.len, true);
    buf_free(&body);
}

/* --- streamed replies ---------------------------------------------------------------------- */

void http_start(struct http_exchange *pub, int status, struct slice headers, uint64_t length)
{
    struct exchange *x = exchange_of(pub);
    struct reply_lines lines;

    reply_begin(x, status, length, &lines);
    out_append(x->conn, lines.start, lines.start_len, false);
    out_append(x->conn, headers.p, headers.len, false);
    out_append(x->conn, lines.end, lines.end_len, false);
}

static ssize_t send_again(struct http_conn *c)
{
    c->wants_send = true;
    conn_stuck(c, true);
    return STREAM_AGAIN;
}

ssize_t http_send_head(struct http_exchange *pub)
{
    struct http_conn *c = exchange_of(pub)->conn;
    ssize_t n;

    if (pub->gone) {
        return STREAM_FAILED;
    }
    n = out_flush(c, false);
    return n == STREAM_AGAIN ? send_again(c) : n;
}

/* How many of n bytes may go now; a new chunk of that size is begun where none is open. */
static size_t send_limit(struct exchange *x, size_t n)
{
    char line[24];

    assert(x->framing != REPLY_NONE);
    if (x->framing == REPLY_LENGTH) {
        return n < x->left ? n : (size_t)x->left;
    }
    if (x->framing != REPLY_CHUNKED || n == 0) {
        return n;
    }
    if (x->chunk_left == 0) {
        int len = snprintf(line, sizeof(line), "%s%zx\r\n", x->chunk_open ? "\r\n" : "", n);

        out_append(x->conn, line, (size_t)len, false);
        x->chunk_left = n;
        x->chunk_open = true;
    }
    return n < x->chunk_left ? n : (size_t)x->chunk_left;
}

static void body_sent(struct exchange *x, size_t n)
{
    if (x->framing == REPLY_LENGTH) {
        x->left -= n;
    } else if (x->framing == REPLY_CHUNKED) {
        x->chunk_left -= n;
    }
    note_sent(x->conn, n, n);
}

ssize_t http_send(struct http_exchange *pub, const void *p, size_t n)
{
    struct exchange *x = exchange_of(pub);
    struct http_conn *c = x->conn;

    if (pub->gone) {
        return STREAM_FAILED;
    }
    n = send_limit(x, n);
    if (n == 0 || x->framing == REPLY_NO_BODY) {
        return (ssize_t)n;
    }
    for (;;) {
        size_t pending = out_pending(c);
        struct iovec iov[2];
        ssize_t got;

        /* A repetition may not have less than did not go over TLS; a flush has the head alone. */
        if (pending > 0 && c->stream.tls != NULL) {
            got = out_flush(c, true);
            if (got != 0) {
                return got == STREAM_AGAIN ? send_again(c) : got;
            }
            pending = 0;
        }
        set_iov(&iov[0], c->out.p + c->out.at, pending);
        set_iov(&iov[1], p, n);
        got = stream_writev(&c->stream, pending > 0 ? iov : iov + 1, pending > 0 ? 2 : 1, false);
        if (got == STREAM_AGAIN) {
            return send_again(c);
        }
        if (got == STREAM_FAILED) {
            conn_lost(c);
            return STREAM_FAILED;
        }
        out_took(c, (size_t)got < pending ? (size_t)got : pending);
        if ((size_t)got > pending) {
            body_sent(x, (size_t)got - pending);
            return got - (ssize_t)pending;
        }
    }
}

ssize_t http_send_file(struct http_exchange *pub, int fd, uint64_t offset, size_t n)
{
    struct exchange *x = exchange_of(pub);
    struct http_conn *c = x->conn;
    ssize_t got;

    if (pub->gone) {
        return STREAM_FAILED;
    }
    n = send_limit(x, n);
    if (n == 0 || x->framing == REPLY_NO_BODY) {
        return (ssize_t)n;
    }
    got = out_flush(c, true);
    if (got == 0) {
        got = stream_sendfile(&c->stream, fd, offset, n < SENDFILE_PIECE ? n : SENDFILE_PIECE);
        if (got == STREAM_FAILED) {
            conn_lost(c);
        }
    }
    if (got == STREAM_AGAIN) {
        return send_again(c);
    }
    if (got > 0) {
        body_sent(x, (size_t)got);
    }
    return got;
}

void http_finish(struct http_exchange *pub)
{
    struct exchange *x = exchange_of(pub);
    struct http_conn *c = x->conn;

    assert(x->framing != REPLY_NONE);
    if (pub->gone || x->left > 0 || x->chunk_left > 0) {
        http_abort(pub);
        return;
    }
    if (x->framing == REPLY_CHUNKED) {
        const char *end = x->chunk_open ? "\r\n0\r\n\r\n" : "0\r\n\r\n";

        out_append(c, end, strlen(end), false);
    }
    pub->owner = NULL;
    c->state = CONN_FLUSH;
    if (out_flush(c, false) != STREAM_FAILED) {
        reply_over(c);
    }
}

int http_detach(struct http_exchange *pub)
{
    struct http_conn *c = exchange_of(pub)->conn;
    int fd;

    if (pub->gone || c->listener->tls != NULL) {
        return -1;
    }
    fd = fcntl(c->stream.fd, F_DUPFD_CLOEXEC, 0);
    if (fd >= 0) {
        conn_drop(c); /* which closes, and shuts down nothing */
    }
    return fd;
}

void http_abort(struct http_exchange *pub)
{
    struct exchange *x = exchange_of(pub);
    struct http_conn *c = x->conn;
    bool begun = pub->first_us != 0;

    if (!pub->gone && begun && (x->framing == REPLY_CHUNKED || x->framing == REPLY_UNTIL_CLOSE)) {
        stream_reset(&c->stream);
    }
    conn_drop(c);
}
