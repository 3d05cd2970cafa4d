/*
 * http/conn.c - a connection from one request to the next.
 *
 * One function moves it, from its task: whenever the socket is ready, when a response ended outside
 * of it, and to free it. Handlers are told by their own tasks, never called from here but to begin.
 */
#include "http/conn.h"

#include "base/clock.h"
#include "base/counter.h"
#include "base/log.h"
#include "http/crowd.h"
#include "net/tls.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

static void conn_run(struct task *t);
static void head_wait(struct http_conn *c);
static void on_timer(struct timer *t);

/* The first request of a new connection. */
static void expect_first(struct http_conn *c)
{
    c->state = CONN_HEAD;
    c->head_timed = true;
    timer_set(&c->timer, limits.client_headers);
}

struct http_conn *conn_new(struct http_home *home, int fd, const struct http_listener *listener,
                           const char *client)
{
    struct http_conn *c = xnew(struct http_conn);

    c->home = home;
    c->listener = listener;
    snprintf(c->client, sizeof(c->client), "%s", client);
    task_init(&c->task, conn_run);
    timer_init(&c->timer, home->loop, on_timer);
    list_append(&home->conns, &c->node);
    stream_open(&c->stream, home->loop, fd, &c->task);
    if (listener->tls != NULL) {
        c->state = CONN_TLS;
        tls_session_accept(&c->stream, listener->tls);
        timer_set(&c->timer, limits.tls);
    } else {
        expect_first(c);
    }
    atomic_fetch_add_explicit(&home->server->load[loop_index(home->loop)], 1, memory_order_relaxed);
    count(connections_open);
    return c;
}

/* --- buffers ------------------------------------------------------------------------------- */

static void in_free(struct http_conn *c)
{
    if (c->cap == IN_SMALL) {
        spares_give(&c->home->buffers, c->in);
    } else {
        free(c->in);
    }
    c->in = NULL;
    c->at = 0;
    c->end = 0;
    c->cap = 0;
}

/* Makes room for more of a head, and IN_SPARE behind it. No exchange may be there: its head would
 * move. A large buffer may stay full, but then holds more than any head. */
static void in_room(struct http_conn *c)
{
    char *large;

    assert(c->exchange == NULL);
    if (c->in == NULL) {
        c->in = spares_take(&c->home->buffers);
        c->cap = IN_SMALL;
    }
    if (c->end + IN_SPARE < c->cap && c->at < c->end) {
        return;
    }
    memmove(c->in, c->in + c->at, c->end - c->at);
    c->end -= c->at;
    c->at = 0;
    if (c->end + IN_SPARE < c->cap || c->cap == IN_LARGE) {
        return;
    }
    large = xcalloc(1, IN_LARGE);
    memcpy(large, c->in, c->end);
    spares_give(&c->home->buffers, c->in);
    c->in = large;
    c->cap = IN_LARGE;
}

/* --- ends ---------------------------------------------------------------------------------- */

static void exchange_end(struct http_conn *c)
{
    struct exchange *x = c->exchange;

    if (x == NULL) {
        return;
    }
    c->exchange = NULL;
    count_add(bytes_sent, x->pub.bytes_sent);
    if (c->home->server->options.ended != NULL) {
        c->home->server->options.ended(&x->pub);
    }
    spares_give(&c->home->exchanges, x);
}

void conn_free(struct http_conn *c)
{
    struct http_home *home = c->home;

    exchange_end(c);
    stream_close(&c->stream);
    timer_fini(&c->timer);
    task_cancel(&c->task);
    list_remove(&c->node);
    out_free(c);
    if (c->in != NULL) {
        in_free(c);
    }
    atomic_fetch_sub_explicit(&home->server->load[loop_index(home->loop)], 1, memory_order_relaxed);
    crowd_leave(home->server->crowd, c->client);
    count_add(connections_open, -1);
    free(c->certificate);
    free(c);
}

/* Closes; the memory goes when the task runs, because somebody above may be using it. */
static void conn_die(struct http_conn *c)
{
    stream_close(&c->stream);
    timer_clear(&c->timer);
    c->state = CONN_DEAD;
    if (!c->running) {
        loop_defer(c->home->loop, &c->task);
    }
}

void conn_drop(struct http_conn *c)
{
    exchange_end(c);
    conn_die(c);
}

void conn_lost(struct http_conn *c)
{
    struct exchange *x = c->exchange;

    if (c->state != CONN_EXCHANGE) {
        conn_drop(c);
        return;
    }
    stream_close(&c->stream);
    timer_clear(&c->timer);
    x->pub.gone = true;
    if (x->pub.owner != NULL) {
        loop_defer(c->home->loop, x->pub.owner);
    }
}

bool conn_is_expected(const struct http_conn *c)
{
    char byte;

    if (c->state != CONN_HEAD && c->state != CONN_TLS) {
        return false;
    }
    return c->head_timed || recv(c->stream.fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

void conn_end_idle(struct http_conn *c)
{
    if (c->state == CONN_HEAD && c->at == c->end && !c->running) {
        conn_die(c);
    }
}

/* Ends our side and lets the client's bytes go by for a while, so that no reset overtakes what we
 * have said. */
static void linger_begin(struct http_conn *c)
{
    stream_shutdown(&c->stream);
    c->state = CONN_LINGER;
    c->at = 0;
    c->end = 0;
    timer_set(&c->timer, LINGER_MS);
}

void conn_answered(struct http_conn *c)
{
    struct exchange *x = c->exchange;
    /* A client that announced its end sends nothing more that could be answered with a reset. */
    bool quiet = c->peer_done || (x != NULL && !x->pub.head.keep_alive && c->body.ended);

    exchange_end(c);
    out_free(c);
    c->floor = 0;
    c->head_timed = false;
    c->body.expected = false;
    c->skipped = 0;
    timer_clear(&c->timer);
    if (c->keep && !(c->home->draining && c->body.ended && c->at == c->end)) {
        c->state = c->body.ended ? CONN_HEAD : CONN_SKIP;
    } else if (quiet) {
        conn_die(c);
    } else {
        linger_begin(c);
    }
    if (c->running) {
        return;
    }
    if (c->state == CONN_HEAD && c->at == c->end && c->stream.tls == NULL && !c->stream.readable &&
        !c->peer_done) {
        head_wait(c); /* as most often: a task of its own would find nothing */
    } else {
        loop_defer(c->home->loop, &c->task);
    }
}

/* --- time ---------------------------------------------------------------------------------- */

/* Of one that ended its sending side: for a byte that it takes. */
static void half_closed(struct http_conn *c)
{
    timer_set(&c->timer, limits.client_idle < HALF_CLOSED_MS ? limits.client_idle : HALF_CLOSED_MS);
}

/* The client is waited for no longer, whatever comes next. */
static void conn_ready(struct http_conn *c)
{
    pace_go(&c->pace, loop_now(c->home->loop));
    if (!c->peer_done) {
        timer_clear(&c->timer);
    }
}

void conn_moved(struct http_conn *c, size_t n)
{
    conn_ready(c);
    pace_moved(&c->pace, n);
    if (c->peer_done) {
        half_closed(c);
    }
}

void conn_stuck(struct http_conn *c, bool sends)
{
    uint64_t now = loop_now(c->home->loop);

    if (timer_is_set(&c->timer)) {
        return;
    }
    if (c->peer_done) {
        half_closed(c);
        return;
    }
    pace_wait(&c->pace, now);
    c->unsent = sends ? stream_unsent(&c->stream) : 0;
    timer_set(&c->timer, pace_left(&c->pace, now, limits.client_progress));
}

/* Its time is over, unless it took enough of what the kernel holds for it: that may be megabytes,
 * of which a third must go before the socket takes more. */
static void conn_late(struct http_conn *c)
{
    uint64_t now = loop_now(c->home->loop);
    uint64_t unsent = stream_unsent(&c->stream);
    uint64_t left;

    pace_go(&c->pace, now);
    pace_moved(&c->pace, c->unsent > unsent ? c->unsent - unsent : 0);
    c->unsent = unsent;
    left = pace_left(&c->pace, now, limits.client_progress);
    if (left > 0 && !c->peer_done) {
        pace_wait(&c->pace, now);
        timer_set(&c->timer, left);
        return;
    }
    if (!c->peer_done) {
        count(clients_slow);
        log_event(LOG_INFO, "client.slow",
                  "%s at %s: closed, as it moved less than %u bytes a second of a body "
                  "(limits.client_progress)",
                  c->client, c->listener->text, LEAST_RATE);
    }
    conn_lost(c);
}

static void conn_refuse(struct http_conn *c, int status, const char *why)
{
    c->keep = false;
    c->body = (struct http_body){.ended = true};
    c->state = CONN_FLUSH;
    timer_clear(&c->timer);
    reply_refusal(c, status, why);
}

/* Who says nothing at all may only look whether somebody listens, again and again. */
static void tls_refuse(struct http_conn *c, const char *why)
{
    count(tls_refused);
    log_rarely(tls_is_silent(&c->stream) ? LOG_DEBUG : LOG_INFO, "client.tls", "%s at %s: %s",
               c->client, c->listener->text, why);
    conn_die(c);
}

static void on_timer(struct timer *t)
{
    struct http_conn *c = container_of(t, struct http_conn, timer);

    if (c->state == CONN_TLS) {
        tls_refuse(c, "TLS handshake: it did not end in time (limits.tls)");
        return;
    }
    if (c->state == CONN_PROVE) {
        c->state = CONN_FLUSH;
        loop_defer(c->home->loop, &c->task);
        return;
    }
    if (c->state == CONN_HEAD && c->at < c->end) {
        conn_refuse(c, 408, "the head of the request did not arrive in time");
        loop_defer(c->home->loop, &c->task);
        return;
    }
    if (c->state == CONN_EXCHANGE || c->state == CONN_FLUSH || c->state == CONN_SKIP) {
        conn_late(c);
        return;
    }
    conn_lost(c);
}

/* --- a request ----------------------------------------------------------------------------- */

static void exchange_begin(struct http_conn *c, struct exchange *x)
{
    count(requests);
    x->conn = c;
    x->framing = REPLY_NONE;
    x->left = 0;
    x->chunk_left = 0;
    x->chunk_open = false;
    x->pub.listener = c->listener;
    x->pub.loop = c->home->loop;
    x->pub.client = c->client;
    x->pub.certificate = c->certificate;
    x->pub.context = c->home->server->options.context;
    x->pub.owner = NULL;
    x->pub.user = NULL;
    x->pub.gone = false;
    x->pub.status = 0;
    x->pub.bytes_sent = 0;
    x->pub.started_us = clock_mono_us();
    x->pub.first_us = 0;
    body_begin(&c->body, &x->pub.head);
    c->parse = (struct http_parse){0};
    c->exchange = x;
    c->floor = c->at;
    c->keep = false;
    c->wants_send = false;
    c->wants_body = false;
    c->state = CONN_EXCHANGE;
    timer_clear(&c->timer);
    c->home->server->options.handle(&x->pub);
}

static bool pump_tls(struct http_conn *c)
{
    ssize_t n = tls_handshake(&c->stream);

    if (n == STREAM_AGAIN) {
        return false;
    }
    if (n == STREAM_FAILED) {
        tls_refuse(c, c->stream.err.text);
        return false;
    }
    count(tls_accepted);
    c->certificate = tls_peer_name(&c->stream);
    expect_first(c);
    return true;
}

/* The first byte of a handshake (RFC 8446 5.1) begins no request. */
static void note_tls(const struct http_conn *c, struct slice in)
{
    if (c->stream.tls == NULL && in.p[0] == 0x16) {
        log_rarely(LOG_INFO, "client.tls",
                   "%s at %s: the client speaks TLS, and this listener has "
                   "no \"tls\"",
                   c->client, c->listener->text);
    }
}

/* Reads what is there of a head. False: it is not whole. */
static bool head_parse(struct http_conn *c)
{
    struct exchange *x = spares_take(&c->home->exchanges);
    struct slice in = slice_of(c->in + c->at, c->end - c->at);
    struct err err;
    size_t used;

    switch (http_parse_request(&c->parse, in, &x->pub.head, &used, &err)) {
    case HTTP_PARSED_HEAD:
        c->at += used;
        exchange_begin(c, x);
        return true;
    case HTTP_PARSED_BAD:
        count(requests_bad);
        spares_give(&c->home->exchanges, x);
        note_tls(c, in);
        conn_refuse(c, err_status(err.code), err.text);
        return true;
    default:
        spares_give(&c->home->exchanges, x);
        return false;
    }
}

/* Nothing more is there now. A connection without any part of a request holds no buffer. */
static void head_wait(struct http_conn *c)
{
    if (c->at == c->end) {
        in_free(c);
        if (!timer_is_set(&c->timer)) {
            timer_set(&c->timer, limits.client_idle);
        }
    } else if (!c->head_timed) {
        c->head_timed = true;
        timer_set(&c->timer, limits.client_headers);
    }
}

/* Whether nothing is lost by closing it now. */
static bool is_idle(const struct http_conn *c)
{
    return c->at == c->end && !(c->home->patient && c->head_timed);
}

static bool pump_head(struct http_conn *c)
{
    ssize_t n;

    in_room(c);
    if (c->at < c->end && head_parse(c)) {
        return true;
    }
    if (c->peer_done) {
        conn_die(c);
        return false;
    }
    /* What is no whole head and was not refused is shorter than the largest one. */
    assert(c->end + IN_SPARE < c->cap);
    n = stream_read(&c->stream, c->in + c->end, c->cap - IN_SPARE - c->end);
    if (n == STREAM_AGAIN && !(is_idle(c) && c->home->draining)) {
        head_wait(c);
        return false;
    }
    if (n <= 0) {
        conn_die(c);
        return false;
    }
    c->end += (size_t)n;
    return true;
}

/* --- while a handler has it ---------------------------------------------------------------- */

/* Looks whether the client is still there, as far as that goes without taking more of its bytes
 * than the buffer holds. The body's bytes are the handler's to read. */
static void watch_client(struct http_conn *c)
{
    while (c->body.ended && !c->peer_done && c->end < c->cap) {
        ssize_t n = stream_read(&c->stream, c->in + c->end, c->cap - c->end);

        if (n == STREAM_AGAIN) {
            return;
        }
        if (n == STREAM_FAILED) {
            conn_lost(c);
            return;
        }
        c->end += (size_t)n;
        if (n == 0) {
            c->peer_done = true;
            half_closed(c);
        }
    }
}

static bool pump_exchange(struct http_conn *c)
{
    bool waits = c->wants_send || c->wants_body;

    if (!stream_is_open(&c->stream)) {
        return false;
    }
    if (waits && out_flush(c, false) == STREAM_FAILED) {
        return false;
    }
    watch_client(c);
    if (waits) {
        conn_ready(c); /* until the handler finds that it is not so */
    }
    if (waits && c->exchange->pub.owner != NULL && stream_is_open(&c->stream)) {
        c->wants_send = false;
        c->wants_body = false;
        loop_defer(c->home->loop, c->exchange->pub.owner);
    }
    return false;
}

/* --- after it ------------------------------------------------------------------------------ */

/* The response that waited gives way to a refusal. */
static void prove_failed(struct http_conn *c)
{
    count(requests_bad);
    out_free(c);
    c->keep = false;
    c->exchange->pub.status = 400;
    reply_refusal(c, 400, "the body is not in chunks as Transfer-Encoding says");
}

static void prove_wait(struct http_conn *c)
{
    uint64_t now = loop_now(c->home->loop);
    uint64_t ends = c->exchange->prove_ends;
    uint64_t left = ends > now ? ends - now : 0;

    if (!timer_is_set(&c->timer)) {
        timer_set(&c->timer, left < PROVE_MS ? left : PROVE_MS);
    }
}

static bool pump_prove(struct http_conn *c)
{
    char ignored[8192];
    ssize_t n = body_read(c, ignored, sizeof(ignored));

    if (n == STREAM_AGAIN) {
        prove_wait(c);
        return false;
    }
    if (n == STREAM_FAILED && !c->body.bad) {
        conn_lost(c);
        return false;
    }
    if (n > 0) {
        c->skipped += (uint64_t)n;
    }
    if (n > 0 && c->skipped <= SKIP_MAX) {
        return true;
    }
    if (c->body.bad) {
        prove_failed(c);
    } else if (n > 0) {
        c->keep = false; /* more is to come than is worth skipping */
    }
    timer_clear(&c->timer);
    c->state = CONN_FLUSH;
    return true;
}

static bool pump_flush(struct http_conn *c)
{
    switch (out_flush(c, false)) {
    case 0:
        conn_answered(c);
        return true;
    case STREAM_AGAIN:
        conn_stuck(c, true);
        return false;
    default:
        return false;
    }
}

static bool pump_skip(struct http_conn *c)
{
    char ignored[8192];
    ssize_t n = body_read(c, ignored, sizeof(ignored));

    if (n == STREAM_AGAIN) {
        conn_stuck(c, false);
        return false;
    }
    c->skipped += n > 0 ? (uint64_t)n : 0;
    if (n == 0) {
        c->state = CONN_HEAD;
        timer_clear(&c->timer);
    } else if (!stream_is_open(&c->stream) || c->peer_done) {
        conn_die(c);
    } else if (n < 0 || c->skipped > SKIP_MAX) {
        linger_begin(c);
    }
    return true;
}

static bool pump_linger(struct http_conn *c)
{
    char ignored[8192];
    ssize_t n = stream_read(&c->stream, ignored, sizeof(ignored));

    if (n == 0 || n == STREAM_FAILED) {
        conn_die(c);
    }
    return n > 0;
}

/* Moves one step. False: there is nothing to do until something wakes it. */
static bool pump(struct http_conn *c)
{
    switch (c->state) {
    case CONN_TLS:
        return pump_tls(c);
    case CONN_HEAD:
        return pump_head(c);
    case CONN_EXCHANGE:
        return pump_exchange(c);
    case CONN_PROVE:
        return pump_prove(c);
    case CONN_FLUSH:
        return pump_flush(c);
    case CONN_SKIP:
        return pump_skip(c);
    case CONN_LINGER:
        return pump_linger(c);
    default:
        return false;
    }
}

static void conn_run(struct task *t)
{
    struct http_conn *c = container_of(t, struct http_conn, task);
    unsigned steps = 0;

    c->running = true;
    while (steps < STEPS_A_TURN && pump(c)) {
        steps++;
    }
    c->running = false;
    if (c->state == CONN_DEAD) {
        conn_free(c);
    } else if (steps == STEPS_A_TURN) {
        loop_defer(c->home->loop, &c->task);
    }
}
