/*
 * store/evict.h - which blobs give way when there is no room (cache.max_size, cache.min_free).
 *
 * Mirrored blobs can be fetched again, so they go, by a score (store/score.h) that is looked at for
 * a few blobs drawn at random: no list is kept, and nothing is to be rebuilt after a start.
 * Spared are: what is pinned, needed by what is pinned, or leased, what one of Larder's own
 * repositories has, what came less than limits.evict_young ago, and manifests and configurations
 * while they are few. Then hosted repositories of class `cache` give way (store/retain.h).
 *
 *     held  > 95 % of the budget: a run begins on the disk pool, and ends at 90 %
 *     no room for what is to be written now: whoever writes it makes room first
 */
#ifndef STORE_EVICT_H
#define STORE_EVICT_H

#include "store/inner.h"

struct evict;

/* `never`: nothing goes (offline: it could not be fetched again). */
struct evict *evict_new(struct store *s, bool never);
void evict_free(struct evict *e);

/* Makes room for `size` bytes more, of which `backed` are on the disk already. False: there is none
 * to be made. Blocks; not on a loop, not on the writer. One at a time: others wait. */
bool evict_make_room(struct store *s, uint64_t size, uint64_t backed) MUST_CHECK;

/* Starts a run where too much is held; when to look again. Writer thread. */
uint64_t evict_tick(struct evict *e, uint64_t now);

#endif
