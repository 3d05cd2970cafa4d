/*
 * net/resolve.h - names to addresses, off the loop, remembered.
 *
 * Answers are used for limits.names_fresh without asking again, and for limits.names_stale where
 * asking fails. Who asks for a name that is being asked for waits for that answer. Failures are not
 * remembered. Nothing is resolved before somebody asks.
 */
#ifndef NET_RESOLVE_H
#define NET_RESOLVE_H

#include "base/err.h"
#include "loop/bell.h"
#include "net/address.h"

/* Addresses used of one name; names remembered. */
#define RESOLVE_MAX 16
#define RESOLVE_NAMES_MAX 1024

struct resolver;
struct resolver_name;

/* In the order in which to try them: families take turns (RFC 8305 4). A value. */
struct addresses {
    unsigned n;
    struct address all[RESOLVE_MAX];
};

/* `threads` look names up. After the loops were made. */
struct resolver *resolver_new(unsigned threads);
/* Waits for the lookups under way. Once nobody waits for one. NULL is allowed. */
void resolver_free(struct resolver *r);

enum lookup_state { LOOKUP_NOT_YET, LOOKUP_DONE, LOOKUP_FAILED };

/* One question. Owner: whoever embeds it. Thread: its loop's. */
struct lookup {
    struct resolver *resolver;
    struct resolver_name *name; /* NULL: answered at the start, or never started */
    struct loop *loop;
    struct task *waker;
    struct waiter waiter;
    struct timer timer; /* limits.connect; then what is remembered counts, however old */
    uint64_t round;     /* the answer of which asking it waits for */
    bool late;
    bool started;
    struct addresses found;
};

/* `waker` is deferred when polling may get further. IP addresses and localhost are answered at
 * once. `host` is copied. */
void lookup_start(struct lookup *l, struct resolver *r, struct loop *loop, const char *host,
                  struct task *waker);
/* LOOKUP_FAILED: *err says why (ERR_UPSTREAM_DOWN, ERR_TIMEOUT) and names the host. */
enum lookup_state lookup_poll(struct lookup *l, struct addresses *ret, struct err *err);
/* Ends it at any time; harmless where it was never started (zeroed) or has ended. */
void lookup_end(struct lookup *l);

/* Puts families in turns, keeping each one's order, the first address first. Pure. */
void addresses_interleave(struct addresses *a);

#endif
