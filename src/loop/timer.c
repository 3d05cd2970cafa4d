/*
 * loop/timer.c - timers that move without a system call or a heap operation.
 *
 * Most timers are pushed back again and again and hardly ever fire. The libevent timer is left
 * where it is when the deadline moves later; when it fires early it is armed again for the rest.
 */
#include "loop/loop.h"

#include "loop/base.h"

#include <event2/event.h>

static void timer_arm(struct timer *t, uint64_t ms)
{
    struct timeval tv = {(time_t)(ms / 1000), (suseconds_t)(ms % 1000) * 1000};

    event_add(t->event, &tv);
    t->armed = loop_now(t->loop) + ms;
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct timer *t = arg;
    uint64_t now = loop_tick(t->loop);

    (void)fd;
    (void)what;
    t->armed = 0;
    if (t->deadline == 0) {
        return;
    }
    if (t->deadline > now) {
        timer_arm(t, t->deadline - now);
        return;
    }
    t->deadline = 0;
    t->fire(t);
}

void timer_init(struct timer *t, struct loop *l, void (*fire)(struct timer *))
{
    *t = (struct timer){.loop = l, .fire = fire};
}

void timer_fini(struct timer *t)
{
    if (t->event != NULL) {
        event_free(t->event);
    }
    t->event = NULL;
    t->deadline = 0;
    t->armed = 0;
}

void timer_set(struct timer *t, uint64_t ms)
{
    t->deadline = loop_now(t->loop) + ms + (ms == 0);
    if (t->armed != 0 && t->armed <= t->deadline) {
        return;
    }
    if (t->event == NULL) {
        t->event = event_new(loop_base(t->loop), -1, 0, on_timer, t);
    }
    timer_arm(t, ms);
}

void timer_clear(struct timer *t)
{
    t->deadline = 0;
}

static void on_ready(evutil_socket_t fd, short what, void *arg)
{
    struct watch *w = arg;

    (void)fd;
    w->ready(w, ((what & EV_READ) ? WATCH_READ : 0u) | ((what & EV_WRITE) ? WATCH_WRITE : 0u));
}

void watch_open(struct watch *w, struct loop *l, int fd, void (*ready)(struct watch *, unsigned))
{
    w->ready = ready;
    w->event = event_new(loop_base(l), fd, EV_READ | EV_WRITE | EV_ET | EV_PERSIST, on_ready, w);
    event_add(w->event, NULL);
}

void watch_close(struct watch *w)
{
    if (w->event != NULL) {
        event_free(w->event);
        w->event = NULL;
    }
}
