/* net/dial.c - one socket an address, one timer for all. */
#include "net/dial.h"

#include "base/fault.h"
#include "base/limits.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* One address being connected to. */
struct attempt {
    struct watch watch;
    struct dial *dial;
    int fd; /* -1: not started, or over */
    bool ready;
};

/* Owner: whoever dials. Thread: its loop's. */
struct dial {
    struct loop *loop;
    struct task *waker;
    struct lookup lookup;
    struct timer timer;
    char host[256];
    uint16_t port;
    bool public_only;
    bool closed; /* there is no resolver */
    bool resolved;
    struct addresses addresses;
    struct dial_plan plan;
    struct attempt attempts[RESOLVE_MAX];
    struct err err; /* of the last address that failed */
};

/* --- the plan ------------------------------------------------------------------------------ */

static bool plan_idle(const struct dial_plan *p)
{
    for (unsigned i = 0; i < p->next; i++) {
        if (p->started[i] != 0) {
            return false;
        }
    }
    return true;
}

bool dial_plan_start(const struct dial_plan *p, uint64_t now)
{
    return p->next < p->n && (plan_idle(p) || now >= p->last_ms + DIAL_NEXT_MS);
}

bool dial_plan_expired(const struct dial_plan *p, unsigned i, uint64_t now)
{
    return p->started[i] != 0 && now >= p->started[i] + limits.connect;
}

bool dial_plan_over(const struct dial_plan *p)
{
    return p->next == p->n && plan_idle(p);
}

uint64_t dial_plan_wait(const struct dial_plan *p, uint64_t now)
{
    uint64_t until = p->next < p->n ? p->last_ms + DIAL_NEXT_MS : UINT64_MAX;

    for (unsigned i = 0; i < p->next; i++) {
        if (p->started[i] != 0 && p->started[i] + limits.connect < until) {
            until = p->started[i] + limits.connect;
        }
    }
    return until > now ? until - now : 1;
}

/* --- attempts ------------------------------------------------------------------------------ */

static void attempt_ready(struct watch *w, unsigned what)
{
    struct attempt *a = container_of(w, struct attempt, watch);

    (void)what;
    a->ready = true;
    loop_defer(a->dial->loop, a->dial->waker);
}

static void attempt_close(struct attempt *a)
{
    if (a->fd >= 0) {
        watch_close(&a->watch);
        close(a->fd);
        a->fd = -1;
    }
}

static void attempt_fail(struct dial *d, unsigned i, enum err_code code, const char *why)
{
    char text[ADDRESS_TEXT_MAX];

    attempt_close(&d->attempts[i]);
    d->plan.started[i] = 0;
    err_set(&d->err, code, "cannot connect to %s at %s port %u: %s", d->host,
            address_text(&d->addresses.all[i], text), d->port, why);
}

static void attempt_start(struct dial *d)
{
    unsigned i = d->plan.next++;
    struct attempt *a = &d->attempts[i];
    struct sockaddr_storage to;
    socklen_t len = address_to_sockaddr(&d->addresses.all[i], d->port, &to);

    d->plan.last_ms = loop_now(d->loop);
    a->fd = socket(to.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (a->fd < 0) {
        attempt_fail(d, i, ERR_UPSTREAM_DOWN, strerror(errno));
        return;
    }
    if (fault_errno("dial.connect", ECONNREFUSED) ||
        (connect(a->fd, (const struct sockaddr *)&to, len) != 0 && errno != EINPROGRESS)) {
        attempt_fail(d, i, ERR_UPSTREAM_DOWN, strerror(errno));
        return;
    }
    d->plan.started[i] = d->plan.last_ms;
    a->ready = false;
    watch_open(&a->watch, d->loop, a->fd, attempt_ready);
}

/* Whether attempt i is connected; one that failed is closed. */
static bool attempt_done(struct dial *d, unsigned i)
{
    struct attempt *a = &d->attempts[i];
    struct sockaddr_storage peer;
    socklen_t len = sizeof(int);
    int error = 0;

    if (a->fd < 0 || !a->ready) {
        return false;
    }
    a->ready = false;
    if (getsockopt(a->fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0) {
        error = errno;
    }
    if (error != 0) {
        attempt_fail(d, i, ERR_UPSTREAM_DOWN, strerror(error));
        return false;
    }
    len = sizeof(peer);
    return getpeername(a->fd, (struct sockaddr *)&peer, &len) == 0;
}

/* --- dialling ------------------------------------------------------------------------------ */

static void dial_late(struct timer *t)
{
    struct dial *d = container_of(t, struct dial, timer);

    loop_defer(d->loop, d->waker);
}

struct dial *dial_new(struct resolver *r, struct loop *l, const struct dial_target *target,
                      struct task *waker)
{
    struct dial *d = xnew(struct dial);

    d->loop = l;
    d->waker = waker;
    snprintf(d->host, sizeof(d->host), "%s", target->host);
    d->port = target->port;
    d->public_only = target->public_only;
    for (unsigned i = 0; i < RESOLVE_MAX; i++) {
        d->attempts[i].fd = -1;
        d->attempts[i].dial = d;
    }
    timer_init(&d->timer, l, dial_late);
    if (r != NULL) {
        lookup_start(&d->lookup, r, l, d->host, waker);
    } else {
        d->closed = true;
        loop_defer(l, waker);
    }
    return d;
}

/* Leaves out what the asker may not be led to. */
static void keep_public(struct dial *d)
{
    unsigned kept = 0;

    for (unsigned i = 0; i < d->addresses.n; i++) {
        if (address_is_public(&d->addresses.all[i])) {
            d->addresses.all[kept++] = d->addresses.all[i];
        }
    }
    d->addresses.n = kept;
}

static enum dial_state dial_resolve(struct dial *d, struct err *err)
{
    enum lookup_state state = lookup_poll(&d->lookup, &d->addresses, err);

    if (state != LOOKUP_DONE) {
        return state == LOOKUP_NOT_YET ? DIAL_NOT_YET : DIAL_FAILED;
    }
    lookup_end(&d->lookup);
    d->resolved = true;
    if (d->public_only) {
        keep_public(d);
    }
    if (d->addresses.n == 0) {
        err_set(err, ERR_UPSTREAM_PROTOCOL, "%s has only private addresses, which is not allowed",
                d->host);
        return DIAL_FAILED;
    }
    d->plan.n = d->addresses.n;
    return DIAL_DONE;
}

static bool dial_take(struct dial *d, int *ret_fd, struct address *ret_address)
{
    for (unsigned i = 0; i < d->plan.next; i++) {
        if (attempt_done(d, i)) {
            watch_close(&d->attempts[i].watch);
            *ret_fd = d->attempts[i].fd;
            *ret_address = d->addresses.all[i];
            d->attempts[i].fd = -1;
            return true;
        }
    }
    return false;
}

enum dial_state dial_poll(struct dial *d, int *ret_fd, struct address *ret_address, struct err *err)
{
    if (d->closed) {
        err_set(err, ERR_UPSTREAM_DOWN, "%s is not asked: this server is offline", d->host);
        return DIAL_FAILED;
    }
    if (!d->resolved) {
        enum dial_state state = dial_resolve(d, err);

        if (state != DIAL_DONE) {
            return state;
        }
    }
    if (dial_take(d, ret_fd, ret_address)) {
        return DIAL_DONE;
    }
    for (unsigned i = 0; i < d->plan.next; i++) {
        if (dial_plan_expired(&d->plan, i, loop_now(d->loop))) {
            attempt_fail(d, i, ERR_TIMEOUT, "no answer");
        }
    }
    while (dial_plan_start(&d->plan, loop_now(d->loop))) {
        attempt_start(d);
    }
    if (dial_plan_over(&d->plan)) {
        *err = d->err;
        return DIAL_FAILED;
    }
    timer_set(&d->timer, dial_plan_wait(&d->plan, loop_now(d->loop)));
    return DIAL_NOT_YET;
}

void dial_free(struct dial *d)
{
    if (d == NULL) {
        return;
    }
    lookup_end(&d->lookup);
    timer_fini(&d->timer);
    for (unsigned i = 0; i < RESOLVE_MAX; i++) {
        attempt_close(&d->attempts[i]);
    }
    free(d);
}
