/* loop/bell.c - one list of waiters a loop, one bit a loop that says whether to send a message. */
#include "loop/bell.h"

#include <assert.h>
#include <stdlib.h>

/* One loop's waiters. Thread: that loop's, but for `post`. */
struct bell_slot {
    struct post post;
    struct list waiters;
    struct bell_block *block;
};

/* Lives until its owner and every message under way have let go. */
struct bell_block {
    atomic_uint refs;
    _Atomic uint64_t waiting; /* a bit for each loop whose list is not empty */
    unsigned n_slots;
    struct bell_slot slots[];
};

static void block_unref(struct bell_block *block)
{
    if (atomic_fetch_sub(&block->refs, 1) == 1) {
        free(block);
    }
}

static void slot_wake(struct post *p)
{
    struct bell_slot *slot = container_of(p, struct bell_slot, post);
    struct list *node;
    LIST_HEAD(woken);

    list_splice(&woken, &slot->waiters);
    while ((node = list_pop(&woken)) != NULL) {
        struct waiter *w = container_of(node, struct waiter, node);

        w->wake(w);
    }
    block_unref(slot->block);
}

void bell_init(struct bell *b)
{
    unsigned n = loop_count();
    struct bell_block *block;

    block = xcalloc(1, sizeof(*block) + n * sizeof(struct bell_slot));
    atomic_init(&block->refs, 1);
    atomic_init(&block->waiting, 0);
    block->n_slots = n;
    for (unsigned i = 0; i < n; i++) {
        post_init(&block->slots[i].post, slot_wake);
        list_init(&block->slots[i].waiters);
        block->slots[i].block = block;
    }
    b->block = block;
}

void bell_fini(struct bell *b)
{
    if (b->block != NULL) {
        block_unref(b->block);
        b->block = NULL;
    }
}

void waiter_init(struct waiter *w, void (*wake)(struct waiter *))
{
    list_init(&w->node);
    w->wake = wake;
}

void bell_wait(struct bell *b, struct loop *l, struct waiter *w)
{
    unsigned i = loop_index(l);
    struct bell_slot *slot = &b->block->slots[i];

    assert(i < b->block->n_slots);
    if (!list_empty(&w->node)) {
        return;
    }
    list_append(&slot->waiters, &w->node);
    atomic_fetch_or(&b->block->waiting, UINT64_C(1) << i);
}

void bell_leave(struct waiter *w)
{
    list_remove(&w->node);
}

void bell_ring(struct bell *b)
{
    struct bell_block *block = b->block;
    uint64_t waiting = atomic_exchange(&block->waiting, 0);

    for (unsigned i = 0; waiting != 0; i++, waiting >>= 1) {
        if ((waiting & 1) == 0) {
            continue;
        }
        /* A post already under way holds a reference of its own; only a new one needs another. */
        atomic_fetch_add(&block->refs, 1);
        if (!loop_post_new(loop_at(i), &block->slots[i].post)) {
            block_unref(block);
        }
    }
}
