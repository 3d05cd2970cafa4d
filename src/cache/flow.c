/* cache/flow.c - bounded buffers, a few kept ready a loop. */
#include "cache/flow.h"

#include <assert.h>
#include <stdlib.h>
#include <sys/mman.h>

#define OUT_MAX 48 /* a loop: 12 MiB */
#define KEPT_MAX 4

/* One a loop. Thread: its loop's. */
static struct flow_pool {
    struct flow_buffer *kept[KEPT_MAX];
    unsigned n_kept;
    unsigned n_out;
    struct list waiting; /* zeroed until first used */
} pools[LOOPS_MAX];

/* Mapped, not from the heap: what is given back is gone from the process at once. */
static struct flow_buffer *flow_new(void)
{
    struct flow_buffer *b = xnew(struct flow_buffer);
    void *data =
        mmap(NULL, FLOW_BUFFER, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (data == MAP_FAILED) {
        free(b);
        return NULL;
    }
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

struct flow_buffer *flow_take(struct loop *l, struct flow_wait *w)
{
    struct flow_pool *p = flow_pool_of(l);
    struct flow_buffer *b = NULL;

    if (p->n_kept > 0) {
        b = p->kept[--p->n_kept];
    } else if (p->n_out < OUT_MAX) {
        b = flow_new();
    }
    if (b == NULL) {
        list_remove(&w->node);
        list_append(&p->waiting, &w->node);
        return NULL;
    }
    p->n_out++;
    b->len = 0;
    b->written = false;
    b->failed = false;
    return b;
}

void flow_put(struct loop *l, struct flow_buffer *b)
{
    struct flow_pool *p = flow_pool_of(l);
    struct list *node;

    assert(p->n_out > 0);
    p->n_out--;
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
