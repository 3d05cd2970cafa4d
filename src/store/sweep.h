/*
 * store/sweep.h - ingest/ is kept to what is being written and what may be taken up again.
 *
 * At start, every hour and at the end: files that no ingest writes and no fresh partial record
 * names are removed, and so are the records of partial files that are too old, too short or gone.
 */
#ifndef STORE_SWEEP_H
#define STORE_SWEEP_H

#include "store/inner.h"

struct sweep *sweep_new(struct store *s);
void sweep_free(struct sweep *w);

/* Counts what partial files hold. Before the writer starts. */
int sweep_count(struct store *s, struct err *err) MUST_CHECK;
/* One sweep, on this thread, which may block. */
void sweep_run(struct store *s);
/* Starts what is due; when to ask again. Writer thread. */
uint64_t sweep_tick(struct sweep *w, uint64_t now);

#endif
