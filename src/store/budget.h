/*
 * store/budget.h - how many bytes may be kept: cache.max_size and cache.min_free.
 *
 * Any thread: one small lock; the file system is asked at most once a second.
 */
#ifndef STORE_BUDGET_H
#define STORE_BUDGET_H

#include "store/store.h"

#include <pthread.h>

/* Owner: the store. */
struct budget {
    pthread_mutex_t lock;
    int fd; /* a folder on the file system; borrowed */
    uint64_t max_size;
    unsigned max_percent;
    uint64_t min_free;
    unsigned min_free_percent;
    uint64_t held;     /* bytes of whole blobs */
    uint64_t reserved; /* by what is under way */
    uint64_t asked_ms; /* when the file system was last asked; 0: never */
    uint64_t fs_size;
    uint64_t fs_free;
};

void budget_init(struct budget *b, const struct store_options *options, int fd, uint64_t held);
void budget_fini(struct budget *b);

/* Whole blobs came (or, negative, went). */
void budget_add(struct budget *b, int64_t bytes);
bool budget_reserve(struct budget *b, uint64_t size) MUST_CHECK;
void budget_release(struct budget *b, uint64_t size);
uint64_t budget_held(struct budget *b);
/* The most that may be held now. */
uint64_t budget_limit(struct budget *b);

/* The pure rule: what may be held where `held` bytes are, of a file system of which `fs_free` of
 * `fs_size` bytes are free. Percent is of what is held plus what is free (max_percent), and of the
 * file system (min_free_percent). */
uint64_t budget_rule(const struct budget *b, uint64_t held, uint64_t fs_size, uint64_t fs_free);

#endif
