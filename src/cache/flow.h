/*
 * cache/flow.h - the buffers through which downloads move: FLOW_BUFFER bytes each, a bounded number
 * a loop. No buffer, no recv: a loop whose buffers are all out leaves bytes in the sockets.
 */
#ifndef CACHE_FLOW_H
#define CACHE_FLOW_H

#include "base/limits.h"
#include "loop/pool.h"

/* Owner: whoever took it, until flow_put(). Thread: its loop's, and the pool's while a job runs. */
struct flow_buffer {
    struct job job;
    struct list node;
    void *user;
    unsigned char *data; /* FLOW_BUFFER bytes */
    size_t len;
    uint64_t offset; /* of its first byte in the blob */
    bool written;
    bool failed;
    bool slow;
};

/* A flow that wants a buffer. Owner: whoever embeds it; flow_unwait() before its memory goes. */
struct flow_wait {
    struct list node;
    struct task *task;
};

void flow_wait_init(struct flow_wait *w, struct task *task);
void flow_unwait(struct flow_wait *w);

/* A buffer of this thread's loop, empty; NULL where all are out: w->task is deferred when one is
 * back. */
struct flow_buffer *flow_take(struct loop *l, struct flow_wait *w);
/* The same for bytes that wait for a client: of those only a part of all may be out, so that slow
 * clients cannot stop downloads. */
struct flow_buffer *flow_take_slow(struct loop *l, struct flow_wait *w);
void flow_put(struct loop *l, struct flow_buffer *b);
/* Frees what the loop keeps. Once it has ended. */
void flow_fini(unsigned loop_index);

#endif
