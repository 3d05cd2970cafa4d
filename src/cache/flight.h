/*
 * cache/flight.h - one download of one blob, shared by all who want it. Design section 3.
 *
 * Requests see a file that may still be growing: flight_readable() says which bytes may be sent
 * now. Nobody who reads can slow or stop the download, the memory window aside.
 *
 *   OPENING -> READY -> LANDED
 *       '--------'----> FAILED          state moves forward only
 *
 * READY: the size is known (or never will be) and a source vouches for the blob; a small blob
 * (SMALL_BLOB) is READY only with its verdict. Until LANDED the last HOLD_BACK bytes are not
 * readable, so that nobody ever gets all the bytes of a wrong blob.
 */
#ifndef CACHE_FLIGHT_H
#define CACHE_FLIGHT_H

#include "cache/cache.h"
#include "loop/bell.h"

struct flight;
struct flight_source;

enum flight_state { FLIGHT_OPENING, FLIGHT_READY, FLIGHT_LANDED, FLIGHT_FAILED };

struct flight_table *flight_table_new(struct cache *c);
/* Once the loops have ended: what is under way keeps its partial file. */
void flight_table_free(struct flight_table *t);

/* What a request wants. */
struct flight_question {
    struct digest digest;
    const struct cache_repo *repo;
    uint64_t size;   /* as a manifest said; UINT64_MAX: not known */
    uint8_t kind;    /* enum child_kind */
    bool proved;     /* the repository may serve it, whatever this source now says */
    bool listed;     /* … because a manifest lists it, while its bytes were not in the store */
    bool prefetch;   /* nobody waits for it */
    uint64_t offset; /* first byte wanted */
};

/* A request's hold on a flight. Owner: whoever embeds it. Thread: its loop's. */
struct flight_ticket {
    struct flight *flight;        /* NULL: none */
    struct flight_source *source; /* its repository's; NULL: that is none */
    struct loop *loop;
    struct waiter waiter; /* waiter.wake is the owner's */
    bool joined;          /* it was under way */
    bool proved;          /* its repository may serve the blob */
    bool waits;           /* the flight goes on for its sake: it is not a prefetch */
    bool reading;
    uint64_t told;    /* size that the client was told, where reading; UINT64_MAX: none */
    struct list node; /* among the flight's readers, from the start: what it will need stays */
    _Atomic uint64_t offset; /* next byte that is needed */
};

/* Joins the flight of the digest, or starts one on loop `l`; a flight whose bytes at q->offset are
 * gone already (memory window) is not joined. Never fails: what goes wrong is told by
 * flight_poll(). */
void flight_join(struct cache *c, struct loop *l, const struct flight_question *q,
                 struct flight_ticket *ticket, void (*wake)(struct waiter *));
/* Lets go; the flight goes on or keeps its partial by the rules. Harmless where there is none. */
void flight_leave(struct flight_ticket *t);
/* Whether the bytes come, or came, by another repository's leave and this one has none of its own,
 * or only a manifest's while they come by another upstream's credential: then its upstream is to be
 * asked for a proof, and the flight joined anew. To be looked at after joining, and whenever
 * flight_poll() says OPENING or FAILED. */
bool flight_needs_proof(struct flight_ticket *t);
/* Blobs that were answered and are not recorded yet: a clean stop waits for them. Any thread. */
unsigned flight_settling(struct cache *c);
/* Downloads under way. Any thread. */
unsigned flight_count(struct cache *c);
/* Whether a flight of the digest is under way, and how far it is. Any thread. */
bool flight_peek(struct cache *c, const struct digest *d, uint64_t *ret_landed);
/* Whether the upstream's bytes of the digest were wrong less than limits.bad_digest ago. Any thread
 * of a loop. */
bool flight_refused(struct cache *c, struct loop *l, const struct upstream *u,
                    const struct digest *d);

/* The state as far as this ticket's repository may know: FAILED where its source was refused, also
 * while others go on. While it is OPENING or READY, the ticket waits for a change. */
enum flight_state flight_poll(struct flight_ticket *t);
/* Bytes in all; UINT64_MAX: upstream did not say, and the end is not reached. From READY on. */
uint64_t flight_size(const struct flight_ticket *t);
/* Bytes that are still to come; UINT64_MAX: not known, as long as none has come. */
uint64_t flight_left(const struct flight_ticket *t);
/* Why it failed. */
void flight_error(const struct flight_ticket *t, struct err *ret);
/* A failure that another join may heal: the partial file was bad, or this repository's source was
 * never asked to the end. */
bool flight_may_rejoin(const struct flight_ticket *t);
/* Its bytes are not kept: the disk refuses, or the blob exceeds the budget. */
bool flight_is_passing(const struct flight_ticket *t);
/* Its bytes are the store's own; no upstream is asked. */
bool flight_is_local(const struct flight_ticket *t);

enum flight_bytes {
    FLIGHT_BYTES,  /* *ret may be sent */
    FLIGHT_WAIT,   /* not yet: the ticket waits */
    FLIGHT_END,    /* all of the blob was read */
    FLIGHT_BROKEN, /* there will be no more */
};

/* Where bytes can be read: descriptor (the flight's), offset in it, count > 0. */
struct flight_view {
    int fd;
    uint64_t offset;
    uint64_t len;
    bool memory; /* never cold */
};

/* Begins to read at `offset`, for a client that was told the blob has `told` bytes (UINT64_MAX: it
 * was not told); false where those bytes are gone. Where the blob turns out to have another size,
 * reading breaks before the last HOLD_BACK of the bytes told. */
bool flight_read_begin(struct flight_ticket *t, uint64_t offset, uint64_t told);
/* What may be read at the ticket's offset. */
enum flight_bytes flight_readable(struct flight_ticket *t, struct flight_view *ret);
/* n bytes were taken. */
void flight_advance(struct flight_ticket *t, uint64_t n);

#endif
