/*
 * cache/room.h - memory for what is held whole: manifests that are pushed or fetched, lists.
 *
 * Each is bounded, and how many there are at once is up to clients: so all of a kind have a number
 * of bytes in common. Who finds none left waits, before a byte is read. What is large may have half
 * of it only, so that it leaves some to what is not. One lock, held to add and subtract.
 */
#ifndef CACHE_ROOM_H
#define CACHE_ROOM_H

#include "loop/bell.h"

#include <stddef.h>

/* Of one kind, in all. */
#define ROOM_BYTES (64u * 1024 * 1024)
/* What more is called large. */
#define ROOM_LARGE (1024u * 1024)
/* What a document takes beside its bytes, read and parsed, as a multiple of them; and what is taken
 * for one whose length is not told. */
#define ROOM_WEIGHT 3u
#define ROOM_FIRST (64u * 1024)
/* For a page of a list that is made of the index; of many bytes only where manifests are large. */
#define ROOM_INDEXED (3u * 1024 * 1024)

struct room;

struct room *room_new(void);
/* Once the loops have ended. NULL is allowed. */
void room_free(struct room *r);

/* Owner: whoever embeds it. Thread: its loop's, while it waits; then anybody's who has it. */
struct room_hold {
    struct room *room;
    size_t n; /* held; 0: nothing */
    bool waits;
    struct waiter waiter;
};

void room_hold_init(struct room_hold *h, struct room *r, void (*wake)(struct waiter *));
/* Holds n bytes, at most half of ROOM_BYTES. False: there is not so much; h->waiter waits on loop
 * `l`, and the caller asks again when it is woken. Nothing is done where something is held. */
bool room_take(struct room_hold *h, struct loop *l, size_t n) MUST_CHECK;
/* Holds n in all, where that is more; false: there is not so much, and nobody waits. Any thread. */
bool room_grow(struct room_hold *h, size_t n) MUST_CHECK;
/* Gives all back, or stops waiting. Harmless when repeated. */
void room_give(struct room_hold *h);
/* Whether anybody waits. Any thread. */
bool room_is_wanted(struct room *r);

#endif
