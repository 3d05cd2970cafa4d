/* base/counter.c - one block of counters a thread, summed by whoever reads. */
#include "base/counter.h"

#include "base/mem.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>

struct counter_block {
    struct counter_block *next;
    _Atomic int64_t values[COUNTER_COUNT];
};

static const struct {
    const char *name;
    const char *help;
} COUNTER_ROWS[] = {
#define X(name, help) {#name, help},
    COUNTER_LIST(X)
#undef X
};

/* Blocks are never freed: a thread's counts outlive it, and threads are few and long-lived. */
static pthread_mutex_t blocks_lock = PTHREAD_MUTEX_INITIALIZER;
/* Two that set at once would each add the whole difference. Taken before the other. */
static pthread_mutex_t set_lock = PTHREAD_MUTEX_INITIALIZER;
static struct counter_block *blocks;
static _Thread_local struct counter_block *own;

static struct counter_block *counter_block_get(void)
{
    if (own == NULL) {
        own = xnew(struct counter_block);
        pthread_mutex_lock(&blocks_lock);
        own->next = blocks;
        blocks = own;
        pthread_mutex_unlock(&blocks_lock);
    }
    return own;
}

void counter_add(enum counter c, int64_t n)
{
    _Atomic int64_t *value = &counter_block_get()->values[c];

    /* Only this thread writes the cell, so a plain load and store do; readers need no order. */
    atomic_store_explicit(value, atomic_load_explicit(value, memory_order_relaxed) + n,
                          memory_order_relaxed);
}

void counter_set(enum counter c, int64_t value)
{
    pthread_mutex_lock(&set_lock);
    counter_add(c, value - counter_sum(c));
    pthread_mutex_unlock(&set_lock);
}

int64_t counter_sum(enum counter c)
{
    int64_t sum = 0;

    pthread_mutex_lock(&blocks_lock);
    for (struct counter_block *b = blocks; b != NULL; b = b->next) {
        sum += atomic_load_explicit(&b->values[c], memory_order_relaxed);
    }
    pthread_mutex_unlock(&blocks_lock);
    return sum;
}

const char *counter_name(enum counter c)
{
    return COUNTER_ROWS[c].name;
}

const char *counter_help(enum counter c)
{
    return COUNTER_ROWS[c].help;
}
