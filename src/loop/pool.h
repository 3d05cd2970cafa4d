/*
 * loop/pool.h - threads for what may block: disk, names, hashing of what is large.
 *
 * A job owns its inputs; run() is called on a pool thread, done() on the loop that submitted it.
 * Jobs of one pool start in the order of submission. What bounds the queue is that each flow has a
 * bounded number of jobs under way.
 */
#ifndef LOOP_POOL_H
#define LOOP_POOL_H

#include "loop/loop.h"

struct pool;

/* Owner: whoever embeds it; must stay until done(). */
struct job {
    struct list node;
    struct post post;
    struct loop *loop;
    void (*run)(struct job *);  /* pool thread */
    void (*done)(struct job *); /* loop thread; may free the job */
};

struct pool *pool_new(const char *name, unsigned threads);
/* The same at idle priority of CPU and disk, as far as the kernel lets us: for what nobody waits
 * for. Under load its threads stand still for long, so a job holds nothing that others need. */
struct pool *pool_new_idle(const char *name, unsigned threads);
/* Finishes what is queued, then ends the threads. done() of those jobs runs where their loop still
 * does. */
void pool_free(struct pool *p);

/* `l` may be NULL: then done() is called on the pool thread. Any thread. */
void pool_submit(struct pool *p, struct loop *l, struct job *j, void (*run)(struct job *),
                 void (*done)(struct job *));

#endif
