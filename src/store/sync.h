/*
 * store/sync.h - blobs that were pulled are put on disk behind their answer, within seconds.
 *
 * A batch: sync the files, then their folders, on the disk pool; then synced = 1 in one change of
 * the index. A blob that was recorded again meanwhile waits for the next batch.
 */
#ifndef STORE_SYNC_H
#define STORE_SYNC_H

#include "store/inner.h"

struct sync *sync_new(struct store *s);
void sync_free(struct sync *y);

/* These were recorded with synced = 0. Writer thread. */
void sync_add(struct sync *y, const struct digest *d, size_t n);
/* Starts what is due; when to ask again. Writer thread. */
uint64_t sync_tick(struct sync *y, uint64_t now);
/* All that is left, on this thread. The writer does not run any more. */
void sync_finish(struct sync *y);

#endif
