/*
 * loop/bell.h - park and wake across loops: many waiters, one ring, one message a loop.
 *
 * The waiter: bell_wait(), then look again at what it waits for; where that has come, bell_leave().
 * The ringer: store what has come, then bell_ring(). The two are ordered (seq_cst), so that either
 * the waiter's second look sees it or the ring sees the waiter.
 */
#ifndef LOOP_BELL_H
#define LOOP_BELL_H

#include "loop/loop.h"

struct bell_block;

/* Owner: whoever embeds it. Ring from any thread. Invariant: freed only when nobody waits. */
struct bell {
    struct bell_block *block;
};

/* Owner: whoever embeds it. Thread: its loop's. */
struct waiter {
    struct list node;
    void (*wake)(struct waiter *); /* from the loop; is to record and defer, no more */
};

void bell_init(struct bell *b);
/* A message under way stays safe: it finds nobody. */
void bell_fini(struct bell *b);

void waiter_init(struct waiter *w, void (*wake)(struct waiter *));
/* Waits on loop `l`, this thread's. A waiter that waits already stays where it is. */
void bell_wait(struct bell *b, struct loop *l, struct waiter *w);
/* Stops waiting; harmless where it does not wait. */
void bell_leave(struct waiter *w);

/* Wakes all who wait, each once, on its own loop; they wait no longer then. Any thread. */
void bell_ring(struct bell *b);

#endif
