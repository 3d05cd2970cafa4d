/*
 * net/dial.h - connecting to a name: its addresses tried one beside the other (RFC 8305).
 *
 * The next address starts 250 ms after the last one, or at once when that failed. The first
 * connection wins; the others are closed.
 */
#ifndef NET_DIAL_H
#define NET_DIAL_H

#include "net/resolve.h"

#define DIAL_NEXT_MS 250

struct dial;

struct dial_target {
    const char *host; /* copied */
    uint16_t port;
    bool public_only; /* addresses that are not the public internet's are passed over */
};

enum dial_state { DIAL_NOT_YET, DIAL_DONE, DIAL_FAILED };

/* Starts; `waker` is deferred when polling may get further. r NULL: nothing is reached, no socket
 * opened and no name looked up. Thread: the loop's. */
struct dial *dial_new(struct resolver *r, struct loop *l, const struct dial_target *target,
                      struct task *waker);
/* DIAL_DONE, told once: *ret_fd is connected, non-blocking and the caller's, *ret_address is where
 * to. DIAL_FAILED: *err names host and reason (ERR_UPSTREAM_DOWN, ERR_TIMEOUT, or
 * ERR_UPSTREAM_PROTOCOL where public_only left no address). */
enum dial_state dial_poll(struct dial *d, int *ret_fd, struct address *ret_address,
                          struct err *err);
/* Ends it at any time. NULL is allowed. */
void dial_free(struct dial *d);

/* When the next address is to start, and which attempt to give up: pure, for dial.c and its test.
 * Times are milliseconds of one clock; 0 in `started` is never. */
struct dial_plan {
    unsigned n;                    /* addresses */
    unsigned next;                 /* the first that was not started */
    uint64_t started[RESOLVE_MAX]; /* of those that go on; 0 once it failed */
    uint64_t last_ms;              /* when the last one was started */
};

/* Whether to start plan->next now: nothing goes on, or the last one had its 250 ms. */
bool dial_plan_start(const struct dial_plan *p, uint64_t now);
/* Whether attempt i is older than limits.connect. */
bool dial_plan_expired(const struct dial_plan *p, unsigned i, uint64_t now);
/* Whether nothing goes on and nothing is left. */
bool dial_plan_over(const struct dial_plan *p);
/* Milliseconds until one of these may change; at least 1. */
uint64_t dial_plan_wait(const struct dial_plan *p, uint64_t now);

#endif
