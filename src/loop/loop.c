/*
 * loop/loop.c - libevent drives descriptors and timers; tasks and messages run between its turns.
 *
 * The run queue is drained by a sweep over what was queued when the sweep began: a task that queues
 * itself again waits for the descriptors first, so that one busy flow cannot starve the others.
 */
#include "loop/loop.h"

#include "base/clock.h"
#include "loop/base.h"

#include <assert.h>
#include <errno.h>
#include <event2/event.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* What is queued when a loop is stopped still runs, but not what goes on for ever. */
#define LAST_TURNS 1000

struct loop {
    struct event_base *base;
    struct list tasks;
    uint64_t now;
    unsigned index;
    atomic_bool stopping;
    /* Messages from other threads: pushed as a stack, taken whole, reversed. */
    _Atomic(struct post *) posts;
    int wake_fd;
    struct event *wake_event;
};

/* Every loop ever made, by index; written once each, before the count says so. */
static _Atomic(struct loop *) loops[LOOPS_MAX];
static atomic_uint loops_made;
static _Thread_local struct loop *current;

static void on_wake(evutil_socket_t fd, short what, void *arg)
{
    uint64_t value;

    (void)what;
    (void)arg;
    ignore_result(read(fd, &value, sizeof(value)) < 0);
}

struct loop *loop_new(void)
{
    struct loop *l = xnew(struct loop);
    struct event_config *config = event_config_new();

    assert(config != NULL);
    event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK);
    event_config_require_features(config, EV_FEATURE_ET);
    l->base = event_base_new_with_config(config);
    event_config_free(config);
    l->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    assert(l->base != NULL && l->wake_fd >= 0);
    l->wake_event = event_new(l->base, l->wake_fd, EV_READ | EV_PERSIST | EV_ET, on_wake, l);
    event_add(l->wake_event, NULL);
    list_init(&l->tasks);
    l->now = clock_mono_ms();
    l->index = atomic_load(&loops_made);
    assert(l->index < LOOPS_MAX);
    atomic_store(&loops[l->index], l);
    atomic_store(&loops_made, l->index + 1);
    return l;
}

void loop_free(struct loop *l)
{
    if (l == NULL) {
        return;
    }
    event_free(l->wake_event);
    close(l->wake_fd);
    event_base_free(l->base);
    free(l);
}

unsigned loop_index(const struct loop *l)
{
    return l->index;
}

unsigned loop_count(void)
{
    return atomic_load(&loops_made);
}

struct loop *loop_at(unsigned index)
{
    return atomic_load(&loops[index]);
}

struct loop *loop_current(void)
{
    return current;
}

uint64_t loop_now(const struct loop *l)
{
    return l->now;
}

struct event_base *loop_base(struct loop *l)
{
    return l->base;
}

uint64_t loop_tick(struct loop *l)
{
    l->now = clock_mono_ms();
    return l->now;
}

static void loop_take_posts(struct loop *l)
{
    struct post *taken = atomic_exchange_explicit(&l->posts, NULL, memory_order_acquire);
    struct post *in_order = NULL;

    while (taken != NULL) {
        struct post *next = taken->next;

        taken->next = in_order;
        in_order = taken;
        taken = next;
    }
    while (in_order != NULL) {
        struct post *p = in_order;

        in_order = p->next;
        /* Cleared before run(): what is stored after this is told by a message of its own. */
        atomic_store(&p->queued, false);
        p->run(p);
    }
}

static void loop_run_tasks(struct loop *l)
{
    LIST_HEAD(sweep);
    struct list *node;

    list_splice(&sweep, &l->tasks);
    while ((node = list_pop(&sweep)) != NULL) {
        struct task *t = container_of(node, struct task, node);

        t->run(t);
    }
}

/* Whether tasks or messages wait to be run. */
static bool loop_has_more(struct loop *l)
{
    return !list_empty(&l->tasks) || atomic_load(&l->posts) != NULL;
}

void loop_run(struct loop *l)
{
    unsigned last_turns = LAST_TURNS;

    current = l;
    while (!atomic_load(&l->stopping) || (loop_has_more(l) && last_turns-- > 0)) {
        bool wait = !loop_has_more(l) && !atomic_load(&l->stopping);

        event_base_loop(l->base, wait ? EVLOOP_ONCE : EVLOOP_ONCE | EVLOOP_NONBLOCK);
        l->now = clock_mono_ms();
        loop_take_posts(l);
        loop_run_tasks(l);
    }
    current = NULL;
}

static void loop_wake(struct loop *l)
{
    uint64_t one = 1;

    ignore_result(write(l->wake_fd, &one, sizeof(one)) < 0);
}

void loop_stop(struct loop *l)
{
    atomic_store(&l->stopping, true);
    loop_wake(l);
}

void task_init(struct task *t, void (*run)(struct task *))
{
    list_init(&t->node);
    t->run = run;
}

void loop_defer(struct loop *l, struct task *t)
{
    if (list_empty(&t->node)) {
        list_append(&l->tasks, &t->node);
    }
}

void task_cancel(struct task *t)
{
    list_remove(&t->node);
}

void post_init(struct post *p, void (*run)(struct post *))
{
    p->next = NULL;
    atomic_init(&p->queued, false);
    p->run = run;
}

void loop_post(struct loop *l, struct post *p)
{
    ignore_result(loop_post_new(l, p));
}

bool loop_post_new(struct loop *l, struct post *p)
{
    struct post *head;

    if (atomic_exchange(&p->queued, true)) {
        return false;
    }
    head = atomic_load_explicit(&l->posts, memory_order_relaxed);
    do {
        p->next = head;
    } while (!atomic_compare_exchange_weak(&l->posts, &head, p));
    /* Only the first of a batch has to wake the loop: it takes the whole stack. */
    if (head == NULL && l != current) {
        loop_wake(l);
    }
    return true;
}
