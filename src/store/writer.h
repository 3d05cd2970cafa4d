/*
 * store/writer.h - the one thread that changes the index: what is queued becomes one transaction.
 *
 * While one commit syncs, the next group gathers. A change that is lazy waits for company, 10 s or
 * 5000 of them at most. The same thread is the store's clock: store_tick().
 */
#ifndef STORE_WRITER_H
#define STORE_WRITER_H

#include "store/inner.h"

/* Makes s->writer. */
void writer_start(struct store *s);
/* Commits all that is queued, then ends the thread; s->writer is NULL then. Nothing may be
 * submitted any more. Harmless where it never started. */
void writer_stop(struct store *s);

/* Commits all that is queued, and ends the thread; what is submitted from then on fails at once,
 * with ERR_UNAVAILABLE. And starts it again. One thread's, which is not the writer's. */
void writer_rest(struct store *s);
void writer_wake(struct store *s);
/* Whether a change that is done failed because the writer rests. */
bool writer_refused(const struct index_write *w);

/* Looks at the clock again: something may be due earlier than it thinks. Any thread. */
void writer_poke(struct store *s);

/* Applies and commits one change on this thread; for where the writer does not run: at start and
 * end. done() is not called. */
int writer_apply(struct store *s, struct index_write *w, struct err *err) MUST_CHECK;
/* Submits and waits, or applies it here where no writer runs. Not on a loop, not on the writer
 * thread. */
int writer_wait(struct store *s, struct index_write *w, struct err *err) MUST_CHECK;

#endif
