/*
 * cache/flight_table.c - the flights under way, by digest; joining and leaving them.
 *
 * The lock is held for a lookup or a change of the map. A flight leaves the table only after the
 * commit that records its blob, so that a request which finds neither flight nor blob may start
 * anew.
 */
#include "base/counter.h"
#include "cache/flight_steps.h"

#include <stdlib.h>
#include <unistd.h>

#define ORPHANS_MAX 8
#define ORPHAN_REST_MAX (512ull * 1024 * 1024)
#define BAD_MAX 4096

/* An (upstream, digest) whose bytes were wrong. */
struct flight_bad {
    struct list node;
    char *upstream; /* its name: the upstream itself may go before */
    struct digest digest;
    uint64_t until;
};

struct flight_table {
    struct cache *cache;
    pthread_mutex_t lock;
    struct map map;
    struct list all; /* the flights, also those that are in the map no more or never were */
    struct list bad; /* oldest first */
    size_t n_bad;
    atomic_uint orphans;
    atomic_uint settling;
};

static bool flight_is(const struct map_node *node, const void *key)
{
    return digest_equal(&container_of_const(node, struct flight, node)->digest, key);
}

struct flight_table *flight_table_new(struct cache *c)
{
    struct flight_table *t = xnew(struct flight_table);

    t->cache = c;
    pthread_mutex_init(&t->lock, NULL);
    map_init(&t->map);
    list_init(&t->all);
    list_init(&t->bad);
    return t;
}

/* --- digests that were wrong ---------------------------------------------------------------- */

static void flight_bad_free(struct flight_bad *b)
{
    free(b->upstream);
    free(b);
}

static void bad_expire(struct flight_table *t, uint64_t now)
{
    list_each_safe(it, &t->bad) {
        struct flight_bad *b = container_of(it, struct flight_bad, node);

        if (b->until > now && t->n_bad <= BAD_MAX) {
            break;
        }
        list_remove(&b->node);
        t->n_bad--;
        flight_bad_free(b);
    }
}

void flight_bad_put(struct flight_table *t, const struct upstream *u, const struct digest *d,
                    uint64_t now)
{
    struct flight_bad *b = xnew(struct flight_bad);

    b->upstream = xstrdup(upstream_name(u));
    b->digest = *d;
    b->until = now + limits.bad_digest;
    pthread_mutex_lock(&t->lock);
    list_append(&t->bad, &b->node);
    t->n_bad++;
    bad_expire(t, now);
    pthread_mutex_unlock(&t->lock);
}

bool flight_bad_get(struct flight_table *t, const struct upstream *u, const struct digest *d,
                    uint64_t now)
{
    bool found = false;

    pthread_mutex_lock(&t->lock);
    bad_expire(t, now);
    list_each(it, &t->bad) {
        struct flight_bad *b = container_of(it, struct flight_bad, node);

        found =
            found || (strcmp(b->upstream, upstream_name(u)) == 0 && digest_equal(&b->digest, d));
    }
    pthread_mutex_unlock(&t->lock);
    return found;
}

bool flight_refused(struct cache *c, struct loop *l, const struct upstream *u,
                    const struct digest *d)
{
    return flight_bad_get(c->flights, u, d, loop_now(l));
}

/* --- life of a flight ---------------------------------------------------------------------- */

static void on_timer(struct timer *timer)
{
    struct flight *f = container_of(timer, struct flight, timer);

    f->paused = false;
    op_wake(&f->op);
}

static void on_nudge(struct post *p)
{
    struct flight *f = container_of(p, struct flight, nudge);

    op_wake(&f->op);
    flight_unref(f);
}

void flight_nudge(struct flight *f)
{
    flight_ref(f);
    if (!loop_post_new(f->loop, &f->nudge)) {
        flight_unref(f);
    }
}

void flight_ref(struct flight *f)
{
    atomic_fetch_add(&f->refs, 1);
}

static void flight_free(struct flight *f)
{
    struct list *node;

    pthread_mutex_lock(&f->table->lock);
    list_remove(&f->among);
    pthread_mutex_unlock(&f->table->lock);
    while ((node = list_pop(&f->sources)) != NULL) {
        struct flight_source *s = container_of(node, struct flight_source, node);

        upstream_release(s->repo.upstream);
        free(s);
    }
    if (f->fd >= 0) {
        close(f->fd);
    }
    flight_window_close(f);
    pthread_mutex_destroy(&f->lock);
    bell_fini(&f->bell);
    free(f);
    count_add(flights_open, -1);
}

void flight_unref(struct flight *f)
{
    if (atomic_fetch_sub(&f->refs, 1) == 1) {
        flight_free(f);
    }
}

/* With its first source, so that nobody who finds it in the table can become that. The caller has
 * the table's lock. */
static struct flight *flight_new(struct flight_table *t, struct loop *l,
                                 const struct flight_question *q)
{
    struct flight *f = xnew(struct flight);
    bool proved;

    atomic_init(&f->refs, 1); /* the op's */
    atomic_init(&f->state, FLIGHT_OPENING);
    atomic_init(&f->size, UINT64_MAX);
    atomic_init(&f->switch_at, NOWHERE);
    f->table = t;
    f->cache = t->cache;
    f->digest = q->digest;
    f->prefetch = q->prefetch;
    f->hint = q->size;
    f->fd = -1;
    f->memory_fd = -1;
    f->loop = l;
    bell_init(&f->bell);
    pthread_mutex_init(&f->lock, NULL);
    list_init(&f->sources);
    list_init(&f->readers);
    post_init(&f->nudge, on_nudge);
    timer_init(&f->timer, l, on_timer);
    flow_wait_init(&f->flow_wait, &f->op.task);
    f->started_ms = f->progress_ms = loop_now(l);
    sha_init(&f->sha, q->digest.alg == DIGEST_SHA512 ? SHA_512 : SHA_256);
    ignore_result(flight_source_join(f, q, true, &proved) == NULL);
    list_append(&t->all, &f->among);
    count(flights_started);
    count(flights_open);
    return f;
}

void flight_unlist(struct flight *f)
{
    struct flight_table *t = f->table;
    bool was;

    pthread_mutex_lock(&t->lock);
    was = f->listed;
    if (was) {
        map_remove(&t->map, &f->node);
        f->listed = false;
    }
    pthread_mutex_unlock(&t->lock);
    if (was) {
        flight_unref(f);
    }
}

/* Whether a request for bytes from `offset` on can be served by this flight. */
static bool flight_serves(struct flight *f, uint64_t offset)
{
    bool serves;

    if (atomic_load(&f->state) == FLIGHT_FAILED) {
        return false;
    }
    pthread_mutex_lock(&f->lock);
    serves = offset >= f->punched;
    pthread_mutex_unlock(&f->lock);
    return serves;
}

/* The flight of the question, with a reference for the caller; *ret_new: it was made now. */
static struct flight *table_take(struct flight_table *t, struct loop *l,
                                 const struct flight_question *q, bool *ret_new)
{
    uint64_t hash = digest_hash(&q->digest);
    struct map_node *node;
    struct flight *f;

    pthread_mutex_lock(&t->lock);
    node = map_find(&t->map, hash, flight_is, &q->digest);
    *ret_new = node == NULL || !flight_serves(container_of(node, struct flight, node), q->offset);
    f = *ret_new ? flight_new(t, l, q) : container_of(node, struct flight, node);
    flight_ref(f);
    if (node == NULL) {
        map_insert(&t->map, hash, &f->node);
        f->listed = true;
        flight_ref(f);
    } else if (*ret_new) {
        f->apart = true;
    }
    pthread_mutex_unlock(&t->lock);
    return f;
}

void flight_join(struct cache *c, struct loop *l, const struct flight_question *q,
                 struct flight_ticket *ticket, void (*wake)(struct waiter *))
{
    bool made;
    struct flight *f = table_take(c->flights, l, q, &made);

    ticket->flight = f;
    ticket->loop = l;
    ticket->joined = !made;
    ticket->waits = !q->prefetch;
    ticket->reading = false;
    ticket->told = UINT64_MAX;
    atomic_store(&ticket->offset, q->offset);
    list_init(&ticket->node);
    waiter_init(&ticket->waiter, wake);
    pthread_mutex_lock(&f->lock);
    ticket->source = flight_source_join(f, q, false, &ticket->proved);
    if (ticket->waits) {
        list_append(&f->readers, &ticket->node);
    }
    pthread_mutex_unlock(&f->lock);
    atomic_fetch_add(&f->interest, ticket->waits);
    if (made) {
        op_start(&f->op, l, &FLIGHT_STEP_BEGIN, &FLIGHT_STEP_FAILED, flight_ended);
    } else {
        count(flights_joined);
        flight_nudge(f);
    }
}

void flight_leave(struct flight_ticket *t)
{
    struct flight *f = t->flight;

    if (f == NULL) {
        return;
    }
    t->flight = NULL;
    bell_leave(&t->waiter);
    pthread_mutex_lock(&f->lock);
    list_remove(&t->node);
    pthread_mutex_unlock(&f->lock);
    atomic_fetch_sub(&f->interest, t->waits);
    flight_nudge(f);
    flight_unref(f);
}

bool flight_peek(struct cache *c, const struct digest *d, uint64_t *ret_landed)
{
    struct flight_table *t = c->flights;
    struct map_node *node;

    pthread_mutex_lock(&t->lock);
    node = map_find(&t->map, digest_hash(d), flight_is, d);
    if (node != NULL) {
        *ret_landed = atomic_load(&container_of(node, struct flight, node)->landed);
    }
    pthread_mutex_unlock(&t->lock);
    return node != NULL;
}

bool flight_orphan_admit(struct flight *f)
{
    uint64_t known = atomic_load(&f->size);
    uint64_t size = known != UINT64_MAX ? known : f->hint;
    uint64_t landed = atomic_load(&f->landed);
    uint64_t rest = size > landed ? size - landed : 0;
    bool worth = size == UINT64_MAX ? landed <= ORPHAN_REST_MAX
                                    : rest <= ORPHAN_REST_MAX || landed >= size / 5;

    /* Judged anew each time: its size may have become known meanwhile. */
    if (!worth || flight_in_window(f)) {
        flight_orphan_release(f);
        return false;
    }
    if (f->orphan) {
        return true;
    }
    if (atomic_fetch_add(&f->table->orphans, 1) >= ORPHANS_MAX) {
        atomic_fetch_sub(&f->table->orphans, 1);
        return false;
    }
    f->orphan = true;
    return true;
}

void flight_orphan_release(struct flight *f)
{
    if (f->orphan) {
        f->orphan = false;
        atomic_fetch_sub(&f->table->orphans, 1);
    }
}

void flight_settle_begin(struct flight *f)
{
    f->settling = true;
    atomic_fetch_add(&f->table->settling, 1);
}

void flight_settle_end(struct flight *f)
{
    if (f->settling) {
        f->settling = false;
        atomic_fetch_sub(&f->table->settling, 1);
    }
}

unsigned flight_settling(struct cache *c)
{
    return atomic_load(&c->flights->settling);
}

unsigned flight_count(struct cache *c)
{
    struct flight_table *t = c->flights;
    unsigned n = 0;

    pthread_mutex_lock(&t->lock);
    list_each(it, &t->all) {
        n++;
    }
    pthread_mutex_unlock(&t->lock);
    return n;
}

/* --- the end of the process ---------------------------------------------------------------- */

/* Loops and pools have ended: nothing runs any more, so the flight can be taken apart here. */
static void flight_abandon(struct flight *f)
{
    fetch_free(f->fetch);
    timer_fini(&f->timer);
    flow_unwait(&f->flow_wait);
    flight_buffers_drop(f);
    if (f->stored) {
        close(f->ingest.fd); /* the file stays for the next start */
    }
    flight_free(f);
}

void flight_table_free(struct flight_table *t)
{
    struct list *node;

    if (t == NULL) {
        return;
    }
    while (!list_empty(&t->all)) {
        flight_abandon(container_of(t->all.next, struct flight, among));
    }
    while ((node = list_pop(&t->bad)) != NULL) {
        flight_bad_free(container_of(node, struct flight_bad, node));
    }
    map_fini(&t->map);
    pthread_mutex_destroy(&t->lock);
    free(t);
}
