/* base/histogram.c - one block of buckets a thread, summed by whoever reads. */
#include "base/histogram.h"

#include "base/mem.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>

const uint64_t HISTOGRAM_BOUND_US[HISTOGRAM_BOUNDS] = {
    100,    250,    500,     1000,    2500,    5000,     10000,    25000,    50000,     100000,
    250000, 500000, 1000000, 2500000, 5000000, 10000000, 30000000, 60000000, 300000000,
};

struct cells {
    _Atomic uint64_t counts[HISTOGRAM_BOUNDS + 1];
    _Atomic uint64_t total_us;
};

struct histogram_block {
    struct histogram_block *next;
    struct cells cells[HISTOGRAM_COUNT][HISTOGRAM_OF_COUNT];
};

static const struct {
    const char *kind;
    const char *from;
} HISTOGRAM_ROWS[] = {
#define X(name, kind, from) {kind, from},
    HISTOGRAM_LIST(X)
#undef X
};

/* Never freed: a thread's figures outlive it, and threads are few and long-lived. */
static pthread_mutex_t blocks_lock = PTHREAD_MUTEX_INITIALIZER;
static struct histogram_block *blocks;
static _Thread_local struct histogram_block *own;

static struct histogram_block *block_get(void)
{
    if (own == NULL) {
        own = xnew(struct histogram_block);
        pthread_mutex_lock(&blocks_lock);
        own->next = blocks;
        blocks = own;
        pthread_mutex_unlock(&blocks_lock);
    }
    return own;
}

/* Only this thread writes the cell, so a plain load and store do; readers need no order. */
static void cell_add(_Atomic uint64_t *cell, uint64_t n)
{
    atomic_store_explicit(cell, atomic_load_explicit(cell, memory_order_relaxed) + n,
                          memory_order_relaxed);
}

void histogram_note(enum histogram h, enum histogram_of of, uint64_t us)
{
    struct cells *cells = &block_get()->cells[h][of];
    size_t i = 0;

    while (i < HISTOGRAM_BOUNDS && us > HISTOGRAM_BOUND_US[i]) {
        i++;
    }
    cell_add(&cells->counts[i], 1);
    cell_add(&cells->total_us, us);
}

struct histogram_sum histogram_read(enum histogram h, enum histogram_of of)
{
    struct histogram_sum sum = {0};

    pthread_mutex_lock(&blocks_lock);
    for (struct histogram_block *b = blocks; b != NULL; b = b->next) {
        struct cells *cells = &b->cells[h][of];

        for (size_t i = 0; i <= HISTOGRAM_BOUNDS; i++) {
            sum.counts[i] += atomic_load_explicit(&cells->counts[i], memory_order_relaxed);
        }
        sum.total_us += atomic_load_explicit(&cells->total_us, memory_order_relaxed);
    }
    pthread_mutex_unlock(&blocks_lock);
    return sum;
}

const char *histogram_kind(enum histogram h)
{
    return HISTOGRAM_ROWS[h].kind;
}

const char *histogram_from(enum histogram h)
{
    return HISTOGRAM_ROWS[h].from;
}
