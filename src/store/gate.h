/*
 * store/gate.h - a blob's file is not removed or replaced while somebody puts the same blob there.
 *
 * Between the rename of a file into blobs/ and the change that records it, the index does not know
 * of it: whoever came then would put a file that is not synced in the place of one that is. And
 * between the change that forgets a blob and its unlink, the file is doomed. The gate of a digest
 * lets one through at a time, to the one or to the other. Any thread.
 */
#ifndef STORE_GATE_H
#define STORE_GATE_H

#include "oci/digest.h"

struct gate;

struct gate *gate_new(void);
void gate_free(struct gate *g);

/* Before the rename: waits for a removal under way, which takes one commit and one unlink, or for
 * another who puts it there, which takes a commit. Blocks; not on a loop. */
void gate_enter(struct gate *g, const struct digest *d);
/* Once it is recorded, or was not. Needs no thread of the pool: others may wait there. */
void gate_leave(struct gate *g, const struct digest *d);

/* Before the record is removed; false: somebody is putting it there. */
bool gate_shut(struct gate *g, const struct digest *d) MUST_CHECK;
/* The same, but waits for those who are there; false: it is the end. Blocks; not on a loop. */
bool gate_close(struct gate *g, const struct digest *d) MUST_CHECK;
/* Once the file is gone, or stays. */
void gate_open(struct gate *g, const struct digest *d);

/* Whether nobody is there, or waits to be. */
bool gate_is_empty(struct gate *g) MUST_CHECK;

/* At the end: nobody waits any more, as those who are inside may never be heard of again. What is
 * put there from now on is not recorded. */
void gate_end(struct gate *g);

#endif
