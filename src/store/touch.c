/*
 * store/touch.c - a filter that passes each blob once in 10 min, and a list that one lazy change
 * writes.
 *
 * Nothing here is worth a wait: a list that is full drops uses, and the filter forgets one of two
 * blobs that fall into the same place.
 */
#include "store/touch.h"

#include "base/clock.h"
#include "store/writer.h"

#include <stdlib.h>

#define TOUCH_S 600
#define FILTER 16384
/* Of one transaction: each touches a page of its own, and LMDB keeps the memory for good. */
#define TOUCHES_MAX 1000

/* Owner: the store. Thread: the filter is anybody's; the lists are under `lock`, but what is being
 * written is the writer's. */
struct touch {
    struct store *store;
    _Atomic uint64_t filter[FILTER]; /* upper half: of the digest; lower half: seconds */
    pthread_mutex_t lock;
    struct digest *list;
    size_t n;
    bool writing; /* `write` is under way, with `taken` */
    struct digest *taken;
    size_t n_taken;
    struct index_write write;
};

/* Whether this use is worth noting. */
static bool filter_passes(struct touch *t, const struct digest *d)
{
    uint64_t hash = digest_hash(d);
    _Atomic uint64_t *place = &t->filter[hash % FILTER];
    uint64_t now = clock_mono_ms() / 1000 + TOUCH_S; /* so that an empty place is long ago */
    uint64_t seen = atomic_load_explicit(place, memory_order_relaxed);

    if (seen >> 32 == hash >> 32 && now - (uint32_t)seen < TOUCH_S) {
        return false;
    }
    atomic_store_explicit(place, (hash >> 32 << 32) | (uint32_t)now, memory_order_relaxed);
    return true;
}

static void touch_one(struct index_txn *t, const struct digest *d, int64_t now)
{
    struct blob_record b;

    if (index_txn_get_blob(t, d, &b) != INDEX_FOUND || now - b.used < TOUCH_S) {
        return;
    }
    b.used = now;
    b.hits += b.hits < UINT32_MAX;
    index_txn_put_blob(t, d, &b);
}

static void touch_apply(struct index_write *w, struct index_txn *txn)
{
    struct touch *t = container_of(w, struct touch, write);
    int64_t now = clock_wall_s();

    pthread_mutex_lock(&t->lock);
    if (t->taken == NULL) {
        t->taken = t->list;
        t->n_taken = t->n;
        t->list = NULL;
        t->n = 0;
    }
    pthread_mutex_unlock(&t->lock);
    for (size_t i = 0; i < t->n_taken; i++) {
        touch_one(txn, &t->taken[i], now);
    }
}

static void touch_done(struct index_write *w)
{
    struct touch *t = container_of(w, struct touch, write);
    bool more;

    free(t->taken);
    t->taken = NULL;
    pthread_mutex_lock(&t->lock);
    t->n = writer_refused(w) ? 0 : t->n; /* nobody will take them any more */
    more = t->n > 0;
    t->writing = more;
    pthread_mutex_unlock(&t->lock);
    if (more) {
        index_write_submit(t->store, NULL, &t->write);
    }
}

void index_touch_blob(struct store *s, const struct digest *d)
{
    struct touch *t = s->touch;
    bool first = false;

    if (!filter_passes(t, d)) {
        return;
    }
    pthread_mutex_lock(&t->lock);
    if (t->list == NULL) {
        t->list = xcalloc(TOUCHES_MAX, sizeof(*t->list));
    }
    if (t->n < TOUCHES_MAX) {
        t->list[t->n++] = *d;
        first = !t->writing;
        t->writing = true;
    }
    pthread_mutex_unlock(&t->lock);
    if (first) {
        index_write_submit(s, NULL, &t->write);
    }
}

struct touch *touch_new(struct store *s)
{
    struct touch *t = xnew(struct touch);

    t->store = s;
    pthread_mutex_init(&t->lock, NULL);
    t->write = (struct index_write){.apply = touch_apply, .done = touch_done, .lazy = true};
    return t;
}

void touch_free(struct touch *t)
{
    if (t == NULL) {
        return;
    }
    pthread_mutex_destroy(&t->lock);
    free(t->list);
    free(t->taken);
    free(t);
}
