/* cache/room.c - a sum under a lock, and a bell for those who wait for it to fall. */
#include "cache/room.h"

#include "base/str.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>

struct room {
    pthread_mutex_t lock;
    size_t used;
    size_t large; /* of that, by holds that are large */
    atomic_uint waiting;
    struct bell bell;
};

struct room *room_new(void)
{
    struct room *r = xnew(struct room);

    pthread_mutex_init(&r->lock, NULL);
    bell_init(&r->bell);
    return r;
}

void room_free(struct room *r)
{
    if (r == NULL) {
        return;
    }
    bell_fini(&r->bell);
    pthread_mutex_destroy(&r->lock);
    free(r);
}

void room_hold_init(struct room_hold *h, struct room *r, void (*wake)(struct waiter *))
{
    h->room = r;
    h->n = 0;
    h->waits = false;
    waiter_init(&h->waiter, wake);
}

static size_t if_large(size_t n)
{
    return n > ROOM_LARGE ? n : 0;
}

/* Makes the hold one of n bytes, if there is room for that; to hold less there always is. */
static bool hold(struct room_hold *h, size_t n)
{
    struct room *r = h->room;
    bool may;

    pthread_mutex_lock(&r->lock);
    may = n <= h->n || (r->used - h->n + n <= ROOM_BYTES &&
                        (n <= ROOM_LARGE || r->large - if_large(h->n) + n <= ROOM_BYTES / 2));
    if (may) {
        r->used = r->used - h->n + n;
        r->large = r->large - if_large(h->n) + if_large(n);
        h->n = n;
    }
    pthread_mutex_unlock(&r->lock);
    return may;
}

static void wait_no_more(struct room_hold *h)
{
    if (h->waits) {
        h->waits = false;
        atomic_fetch_sub(&h->room->waiting, 1);
        bell_leave(&h->waiter);
    }
}

bool room_take(struct room_hold *h, struct loop *l, size_t n)
{
    bool held;

    assert(n <= ROOM_BYTES / 2);
    n = n > 0 ? n : 1;
    held = h->n > 0 || hold(h, n);
    if (!held) {
        if (!h->waits) {
            h->waits = true;
            atomic_fetch_add(&h->room->waiting, 1);
        }
        bell_wait(&h->room->bell, l, &h->waiter);
        held = hold(h, n); /* what was given meanwhile rang for others */
    }
    if (held) {
        wait_no_more(h);
    }
    return held;
}

bool room_grow(struct room_hold *h, size_t n)
{
    return n <= h->n || hold(h, n);
}

void room_give(struct room_hold *h)
{
    if (h->room == NULL) {
        return;
    }
    wait_no_more(h);
    if (h->n > 0) {
        ignore_result(!hold(h, 0));
        bell_ring(&h->room->bell);
    }
}

bool room_is_wanted(struct room *r)
{
    return atomic_load(&r->waiting) > 0;
}
