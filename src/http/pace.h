/*
 * http/pace.h - whether a peer that is waited for moves at least LEAST_RATE bytes a second.
 *
 * Only the time counts in which bytes of a body could move and the peer was what kept them: waits
 * for an upstream, a disk or a buffer are nobody's fault. Such time is a debt, at LEAST_RATE; each
 * byte that moves pays for one, and nothing is saved up. So a peer may pause for as long as its
 * patience is, may do so again once it has made up for it, and cannot drip for ever. Pure.
 */
#ifndef HTTP_PACE_H
#define HTTP_PACE_H

#include "base/limits.h"

#include <stdint.h>

/* Zeroed: nothing is owed. Owner and thread: its connection's. */
struct pace {
    uint64_t owed;  /* thousandths of a byte */
    uint64_t since; /* when the wait began (loop_now); 0: nobody waits for the peer */
};

/* The peer is waited for, from now on; harmless where it is already. */
void pace_wait(struct pace *p, uint64_t now);
/* It is waited for no longer. */
void pace_go(struct pace *p, uint64_t now);
/* n bytes moved. */
void pace_moved(struct pace *p, uint64_t n);
/* How many ms it may still be waited for, with so much patience in all; 0: it is too slow. */
uint64_t pace_left(const struct pace *p, uint64_t now, uint64_t patience);

#endif
