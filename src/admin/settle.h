/*
 * admin/settle.h - a change of the index that a command waits for.
 */
#ifndef ADMIN_SETTLE_H
#define ADMIN_SETTLE_H

#include "store/index.h"

#include <pthread.h>

/* Owner: the waiting thread, by settle_init() and settle_fini(); may be run again. */
struct settle {
    struct index_write write;
    pthread_mutex_t lock;
    pthread_cond_t ended;
    bool done; /* under the lock */
};

/* `apply` as in struct index_write; finds what it works on around w->write. */
void settle_init(struct settle *w, void (*apply)(struct index_write *w, struct index_txn *t));
void settle_fini(struct settle *w);

/* Has the change made, and waits for its commit. Blocks: not on a loop, not on the writer. -1: it
 * was not, *err says why. */
int settle_run(struct settle *w, struct store *s, struct err *err) MUST_CHECK;

#endif
