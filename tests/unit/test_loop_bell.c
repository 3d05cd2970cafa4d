/* test_loop_bell.c - park and wake across loops: no wake is lost, however the two race. */
#include "loop/bell.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>

#include "tap.h"

#define LOOPS 3
#define WAITERS 4 /* a loop */
#define LAST 4000 /* what the number that all wait for grows to */

/* Waits until `number` is more than what it saw last, again and again. Thread: its loop's. */
struct watcher {
    struct waiter waiter;
    struct task task;
    struct loop *loop;
    atomic_uint seen;
    unsigned random;
    bool done;
};

/* Owner of a bell that is freed while messages of it may be under way. */
static struct {
    struct bell bell;
    atomic_uint number;
    struct loop *loops[LOOPS];
    struct watcher watchers[LOOPS][WAITERS];
    atomic_uint left;
} w;

static void on_wake(struct waiter *waiter)
{
    struct watcher *one = container_of(waiter, struct watcher, waiter);

    loop_defer(one->loop, &one->task);
}

/* Some time passes, another each time: the gaps of the protocol become wide enough to be hit. */
static void dawdle(struct watcher *one)
{
    one->random = one->random * 1103515245 + 12345;
    for (volatile unsigned n = one->random >> 16 & 2047; n > 0; n--) {
    }
}

/* The protocol of bell.h: look, wait, look again. */
static void look(struct task *t)
{
    struct watcher *one = container_of(t, struct watcher, task);

    while (!one->done) {
        unsigned now = atomic_load(&w.number);

        if (now == one->seen) {
            dawdle(one);
            bell_wait(&w.bell, one->loop, &one->waiter);
            dawdle(one);
            now = atomic_load(&w.number);
            if (now == one->seen) {
                return;
            }
            bell_leave(&one->waiter);
        }
        atomic_store(&one->seen, now);
        one->done = now == LAST;
    }
    if (atomic_fetch_sub(&w.left, 1) == 1) {
        for (unsigned i = 0; i < LOOPS; i++) {
            loop_stop(w.loops[i]);
        }
    }
}

static void *run(void *arg)
{
    loop_run(arg);
    return NULL;
}

/* Every other ring comes once all have seen the last one, so that a wake that is lost ends the
 * test's progress; the others come at once, so that rings fall into every place of the protocol. */
static void *ring(void *arg)
{
    (void)arg;
    for (unsigned i = 1; i <= LAST; i++) {
        atomic_store(&w.number, i);
        bell_ring(&w.bell);
        for (unsigned k = 0; i % 2 == 0 && k < LOOPS * WAITERS; k++) {
            while (atomic_load(&w.watchers[k / WAITERS][k % WAITERS].seen) < i) {
                sched_yield();
            }
        }
    }
    return NULL;
}

static void test_race(void)
{
    pthread_t threads[LOOPS + 1];
    unsigned wrong = 0;

    for (unsigned i = 0; i < LOOPS; i++) {
        w.loops[i] = loop_new();
    }
    bell_init(&w.bell);
    atomic_store(&w.left, LOOPS * WAITERS);
    for (unsigned i = 0; i < LOOPS; i++) {
        for (unsigned k = 0; k < WAITERS; k++) {
            struct watcher *one = &w.watchers[i][k];

            one->loop = w.loops[i];
            waiter_init(&one->waiter, on_wake);
            task_init(&one->task, look);
            loop_defer(one->loop, &one->task);
        }
    }
    pthread_create(&threads[LOOPS], NULL, ring, NULL);
    for (unsigned i = 0; i < LOOPS; i++) {
        pthread_create(&threads[i], NULL, run, w.loops[i]);
    }
    for (unsigned i = 0; i <= LOOPS; i++) {
        pthread_join(threads[i], NULL);
    }
    for (unsigned i = 0; i < LOOPS; i++) {
        for (unsigned k = 0; k < WAITERS; k++) {
            wrong += atomic_load(&w.watchers[i][k].seen) != LAST;
        }
    }
    CHECK_NOTE(wrong == 0, "every waiter was told of the last value");
}

/* --- on one loop, step by step ------------------------------------------------------------- */

static struct {
    struct bell bell;
    struct loop *loop;
    struct waiter a;
    struct waiter b;
    unsigned woke_a;
    unsigned woke_b;
    struct task steps[4];
} s;

static void wake_a(struct waiter *waiter)
{
    (void)waiter;
    s.woke_a++;
}

static void wake_b(struct waiter *waiter)
{
    (void)waiter;
    s.woke_b++;
}

/* A ring wakes once, all who wait, also one that waited twice; one that left is not woken. */
static void step_1(struct task *t)
{
    (void)t;
    bell_ring(&s.bell); /* nobody */
    bell_wait(&s.bell, s.loop, &s.a);
    bell_wait(&s.bell, s.loop, &s.a);
    bell_wait(&s.bell, s.loop, &s.b);
    bell_leave(&s.b);
    bell_leave(&s.b);
    bell_ring(&s.bell);
    bell_ring(&s.bell);
    CHECK_INT(s.woke_a, 0); /* never from inside the ringer */
    loop_defer(s.loop, &s.steps[1]);
}

static void step_2(struct task *t)
{
    (void)t;
    CHECK_INT(s.woke_a, 1);
    CHECK_INT(s.woke_b, 0);
    bell_ring(&s.bell);
    loop_defer(s.loop, &s.steps[2]);
}

static void step_3(struct task *t)
{
    (void)t;
    CHECK_INT(s.woke_a, 1);
    bell_wait(&s.bell, s.loop, &s.b);
    bell_ring(&s.bell);
    bell_wait(&s.bell, s.loop, &s.a); /* after the ring, before its message: woken with it */
    loop_defer(s.loop, &s.steps[3]);
}

static void step_4(struct task *t)
{
    (void)t;
    CHECK_INT(s.woke_a, 2);
    CHECK_INT(s.woke_b, 1);
    bell_wait(&s.bell, s.loop, &s.a);
    bell_leave(&s.a);
    bell_ring(&s.bell); /* the bit is still set: a message is under way to nobody */
    bell_fini(&s.bell);
    bell_fini(&s.bell);
    loop_stop(s.loop);
}

static void test_steps(void)
{
    static void (*const STEPS[])(struct task *) = {step_1, step_2, step_3, step_4};

    s.loop = loop_new();
    bell_init(&s.bell);
    waiter_init(&s.a, wake_a);
    waiter_init(&s.b, wake_b);
    for (unsigned i = 0; i < 4; i++) {
        task_init(&s.steps[i], STEPS[i]);
    }
    loop_defer(s.loop, &s.steps[0]);
    loop_run(s.loop);
    CHECK_INT(s.woke_a, 2);
}

int main(void)
{
    test_race();
    test_steps();
    bell_fini(&w.bell);
    for (unsigned i = 0; i < loop_count(); i++) {
        loop_free(loop_at(i));
    }
    return tap_done();
}
