/*
 * fake_loop.h - loops that the test turns by hand, time that it moves, and a pool that it runs.
 *
 * Everything happens on one thread and in one order, so that a test can stop at each point between
 * two completions. The functions below take the place of those of base/clock, loop/timer and
 * loop/pool; the loop itself is the real one.
 */
#ifndef FAKE_LOOP_H
#define FAKE_LOOP_H

#include "loop/loop.c"
#include "loop/pool.h"

#include <stdio.h>
#include <string.h>

/* --- time ---------------------------------------------------------------------------------- */

static uint64_t fake_ms = 1000000;
static int64_t fake_wall_s = 1700000000;

uint64_t clock_mono_ms(void)
{
    return fake_ms;
}

uint64_t clock_mono_us(void)
{
    return fake_ms * 1000;
}

int64_t clock_wall_s(void)
{
    return fake_wall_s;
}

void clock_text(char out[32])
{
    snprintf(out, 32, "now");
}

void clock_text_of(int64_t wall_s, char out[32])
{
    snprintf(out, 32, "%lld", (long long)wall_s);
}

/* --- timers -------------------------------------------------------------------------------- */

#define FAKE_TIMERS 256

static struct timer *fake_timers[FAKE_TIMERS];
static unsigned n_fake_timers;

void timer_init(struct timer *t, struct loop *l, void (*fire)(struct timer *))
{
    *t = (struct timer){.loop = l, .fire = fire};
}

void timer_clear(struct timer *t)
{
    t->deadline = 0;
    for (unsigned i = 0; i < n_fake_timers; i++) {
        if (fake_timers[i] == t) {
            fake_timers[i] = fake_timers[--n_fake_timers];
            return;
        }
    }
}

void timer_fini(struct timer *t)
{
    timer_clear(t);
}

void timer_set(struct timer *t, uint64_t ms)
{
    timer_clear(t);
    assert(n_fake_timers < FAKE_TIMERS);
    fake_timers[n_fake_timers++] = t;
    t->deadline = loop_now(t->loop) + ms + (ms == 0);
}

/* Fires the first timer that is due; false where none is. */
static inline bool fake_fire(void)
{
    struct timer *due = NULL;

    for (unsigned i = 0; i < n_fake_timers; i++) {
        struct timer *t = fake_timers[i];

        if (t->deadline <= fake_ms && (due == NULL || t->deadline < due->deadline)) {
            due = t;
        }
    }
    if (due == NULL) {
        return false;
    }
    timer_clear(due);
    due->loop->now = fake_ms;
    due->fire(due);
    return true;
}

/* --- the pool ------------------------------------------------------------------------------ */

static LIST_HEAD(fake_jobs);
static bool fake_pool_held __attribute__((unused)); /* jobs wait for fake_job() */

static inline void fake_job_posted(struct post *p)
{
    struct job *j = container_of(p, struct job, post);

    j->done(j);
}

void pool_submit(struct pool *p, struct loop *l, struct job *j, void (*run)(struct job *),
                 void (*done)(struct job *))
{
    (void)p;
    list_init(&j->node);
    post_init(&j->post, fake_job_posted);
    j->loop = l;
    j->run = run;
    j->done = done;
    list_append(&fake_jobs, &j->node);
}

/* Runs the oldest job; false where there is none. */
static inline bool fake_job(void)
{
    struct list *node = list_pop(&fake_jobs);
    struct job *j;

    if (node == NULL) {
        return false;
    }
    j = container_of(node, struct job, node);
    j->run(j);
    if (j->loop != NULL) {
        loop_post(j->loop, &j->post);
    } else {
        j->done(j);
    }
    return true;
}

/* --- turns --------------------------------------------------------------------------------- */

static inline bool fake_loop_busy(void)
{
    for (unsigned i = 0; i < loop_count(); i++) {
        if (loop_has_more(loop_at(i))) {
            return true;
        }
    }
    return false;
}

/* One turn of each loop: messages, then tasks. */
static inline void fake_turn(void)
{
    for (unsigned i = 0; i < loop_count(); i++) {
        struct loop *l = loop_at(i);

        current = l;
        l->now = fake_ms;
        loop_take_posts(l);
        loop_run_tasks(l);
        current = NULL;
    }
}

#endif
