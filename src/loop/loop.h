/*
 * loop/loop.h - one event loop a thread: deferred tasks, timers, descriptors, messages.
 *
 * The only wrapper of libevent. Tasks run from the loop, never from inside the caller, so that no
 * completion can free what its caller still holds.
 */
#ifndef LOOP_LOOP_H
#define LOOP_LOOP_H

#include "base/list.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct loop;
struct event;

/* The most loops a process may have: waiters are found by one bit a loop. */
#define LOOPS_MAX 64

/* Owner: whoever embeds it. Thread: its loop's. Invariant: on the run queue iff queued. */
struct task {
    struct list node;
    void (*run)(struct task *);
};

/* A loop, numbered from 0 in the order of creation; loop_free() once it does not run. All loops are
 * made by one thread, before any of them runs. */
struct loop *loop_new(void);
void loop_free(struct loop *l);
unsigned loop_index(const struct loop *l);
/* Loops ever made in this process; those of index < loop_count() may receive messages. */
unsigned loop_count(void);
/* The loop of that index, which must be below loop_count(). Any thread. */
struct loop *loop_at(unsigned index);

/* Runs until loop_stop(), which any thread may call. */
void loop_run(struct loop *l);
void loop_stop(struct loop *l);
/* The loop that runs on this thread, or NULL. */
struct loop *loop_current(void);

/* Milliseconds, monotonic, as of the start of this turn. Loop thread. */
uint64_t loop_now(const struct loop *l);

void task_init(struct task *t, void (*run)(struct task *));
/* Runs the task in the next turn; a no-op where it is queued already. Loop thread. */
void loop_defer(struct loop *l, struct task *t);
/* Takes it off the queue; harmless where it is not on it. Loop thread. */
void task_cancel(struct task *t);

/*
 * A message to a loop from any thread. Its memory must stay until run() was called on the loop;
 * posting one that is under way is a no-op, and run() then sees all that was stored before it.
 */
struct post {
    struct post *next;
    atomic_bool queued;
    void (*run)(struct post *);
};

void post_init(struct post *p, void (*run)(struct post *));
void loop_post(struct loop *l, struct post *p);
/* The same; says whether this call queued it. */
bool loop_post_new(struct loop *l, struct post *p);

/*
 * A timer that is cheap to move: setting it later only stores the new deadline.
 * Owner: whoever embeds it; timer_fini() before its memory goes. Loop thread.
 */
struct timer {
    struct loop *loop;
    struct event *event;
    uint64_t deadline; /* 0: not set */
    uint64_t armed;    /* when the event below will fire; 0: it is not pending */
    void (*fire)(struct timer *);
};

void timer_init(struct timer *t, struct loop *l, void (*fire)(struct timer *));
void timer_fini(struct timer *t);
/* Fires once, `ms` from now (of this turn). */
void timer_set(struct timer *t, uint64_t ms);
void timer_clear(struct timer *t);
static inline bool timer_is_set(const struct timer *t)
{
    return t->deadline != 0;
}

/*
 * Readiness of a descriptor, edge-triggered: ready() says that it became readable or writable (or
 * failed: both) and is to remember that and wake somebody; whoever then moves bytes must go on
 * until EAGAIN, or come back by a task of its own. Loop thread.
 */
#define WATCH_READ 1u
#define WATCH_WRITE 2u

struct watch {
    struct event *event;
    void (*ready)(struct watch *, unsigned what);
};

/* Starts watching; the descriptor stays the caller's. */
void watch_open(struct watch *w, struct loop *l, int fd, void (*ready)(struct watch *, unsigned));
/* Stops; harmless where it was never opened (zeroed) or is closed already. */
void watch_close(struct watch *w);

#endif
