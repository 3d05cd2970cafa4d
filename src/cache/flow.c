/* cache/flow.c - bounded buffers, a few kept ready a loop. */
#include "cache/flow.h"

#include <assert.h>
#include <stdlib.h>
#include <sys/mman.h>

#define OUT_MAX 48 /* a loop: 12 MiB */
#define SLOW_MAX 24
#define KEPT_MAX 4

/* One a loop. Thread: its loop's. */
static struct flow_pool {
    struct flow_buffer *kept[KEPT_MAX];
    unsigned n_kept;
    unsigned n_out;
    unsigned n_slow;     /* of those */
    struct list waiting; /* zeroed until first used */
} pools[LOOPS_MAX];

/* Mapped, not from the heap: what is given back is gone from the process at once. */
static struct flow_buffer *flow_new(void)
{
    struct flow_buffer *b = xnew(struct flow_buffer);
    void *data =
        mmap(NULL, FLOW_BUFFER, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    assert(data != MAP_FAILED); /* as everywhere: memory that is out ends the process */
    b->data = data;
    return b;
}

static void flow_free(struct flow_buffer *b)
{
    munmap(b->data, FLOW_BUFFER);
    free(b);
}

static struct flow_pool *flow_pool_of(struct loop *l)
{
    struct flow_pool *p = &pools[loop_index(l)];

    if (p->waiting.next == NULL) {
        list_init(&p->waiting);
    }
    return p;
}

void flow_wait_init(struct flow_wait *w, struct task *task)
{
    list_init(&w->node);
    w->task = task;
}

void flow_unwait(struct flow_wait *w)
{
    list_remove(&w->node);
}

static struct flow_buffer *take(struct flow_pool *p, struct flow_wait *w, bool slow)
{
    struct flow_buffer *b = NULL;

    list_remove(&w->node);
    if (p->n_out < OUT_MAX && (!slow || p->n_slow < SLOW_MAX)) {
        b = p->n_kept > 0 ? p->kept[--p->n_kept] : flow_new();
    }
    if (b == NULL) {
        list_append(&p->waiting, &w->node);
        return NULL;
    }
    p->n_out++;
    p->n_slow += slow;
    b->len = 0;
    b->written = false;
    b->failed = false;
    b->slow = slow;
    return b;
}

struct flow_buffer *flow_take(struct loop *l, struct flow_wait *w)
{
    return take(flow_pool_of(l), w, false);
}

struct flow_buffer *flow_take_slow(struct loop *l, struct flow_wait *w)
{
    return take(flow_pool_of(l), w, true);
}

void flow_put(struct loop *l, struct flow_buffer *b)
{
    struct flow_pool *p = flow_pool_of(l);
    struct list *node;

    assert(p->n_out > 0);
    p->n_out--;
    p->n_slow -= b->slow;
    if (p->n_kept < KEPT_MAX) {
        p->kept[p->n_kept++] = b;
    } else {
        flow_free(b);
    }
    /* All of them: one that no longer needs a buffer must not swallow the wake of another. */
    while ((node = list_pop(&p->waiting)) != NULL) {
        loop_defer(l, container_of(node, struct flow_wait, node)->task);
    }
}

void flow_fini(unsigned loop_index)
{
    struct flow_pool *p = &pools[loop_index];

    while (p->n_kept > 0) {
        flow_free(p->kept[--p->n_kept]);
    }
}
