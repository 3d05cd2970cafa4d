/*
 * cache/ask.c - the table of questions under way, and what all kinds of ask share.
 *
 *   (steps of its kind) -> publish -> end
 *          '--any failure--> failed ----^
 */
#include "cache/ask.h"

#include "base/clock.h"
#include "base/counter.h"
#include "base/log.h"
#include "cache/ask_steps.h"
#include "oci/manifest.h"
#include "oci/taglist.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#define REMEMBERED_MAX 8192 /* ended asks that stay */

/* One a process. Lock: held for a lookup or a change of the map, never longer. */
struct ask_table {
    pthread_mutex_t lock;
    struct map map;
    struct list expiring; /* oldest first, roughly: two durations only */
    size_t n_expiring;
};

struct ask_key {
    enum ask_kind kind;
    const char *repo;
    const char *reference;
};

static bool ask_is(const struct map_node *node, const void *key)
{
    const struct ask *a = container_of_const(node, struct ask, node);
    const struct ask_key *k = key;

    return a->kind == k->kind && strcmp(a->repo.text, k->repo) == 0 &&
           strcmp(a->reference, k->reference) == 0;
}

static uint64_t ask_hash(const struct ask_key *k)
{
    return map_hash(k->repo, strlen(k->repo)) ^ map_hash(k->reference, strlen(k->reference)) * 3 ^
           (uint64_t)k->kind;
}

static void ask_free(struct ask *a)
{
    op_cancel(&a->op);
    timer_fini(&a->timer);
    timer_fini(&a->life);
    fetch_free(a->fetch);
    buf_free(&a->body);
    buf_free(&a->gathered);
    taglist_free(a->tags);
    manifest_free(a->confirmed);
    document_unref(a->result.document);
    room_give(&a->room);
    bell_fini(&a->bell);
    free(a);
}

void ask_unref(struct ask *a)
{
    if (a != NULL && atomic_fetch_sub(&a->refs, 1) == 1) {
        ask_free(a);
    }
}

/* --- the table ----------------------------------------------------------------------------- */

struct ask_table *ask_table_new(void)
{
    struct ask_table *t = xnew(struct ask_table);

    pthread_mutex_init(&t->lock, NULL);
    map_init(&t->map);
    list_init(&t->expiring);
    return t;
}

/* Takes it out of the table; the caller has the lock and then drops the table's reference. */
static void table_remove(struct ask_table *t, struct ask *a)
{
    if (a->listed) {
        map_remove(&t->map, &a->node);
        a->listed = false;
    }
    if (!list_empty(&a->expiring)) {
        list_remove(&a->expiring);
        t->n_expiring--;
    }
}

static void table_expire(struct ask_table *t, uint64_t now)
{
    list_each_safe(it, &t->expiring) {
        struct ask *a = container_of(it, struct ask, expiring);

        if (a->expires > now && t->n_expiring <= REMEMBERED_MAX) {
            break;
        }
        table_remove(t, a);
        ask_unref(a);
    }
}

static void drop_all(struct map_node *node, void *arg)
{
    struct list *all = arg;
    struct ask *a = container_of(node, struct ask, node);

    list_remove(&a->expiring);
    list_append(all, &a->expiring);
}

void ask_table_free(struct ask_table *t)
{
    struct list *node;
    LIST_HEAD(all);

    if (t == NULL) {
        return;
    }
    /* The loops have ended: whatever still holds a reference will never use it. */
    map_each(&t->map, drop_all, &all);
    while ((node = list_pop(&all)) != NULL) {
        ask_free(container_of(node, struct ask, expiring));
    }
    map_fini(&t->map);
    pthread_mutex_destroy(&t->lock);
    free(t);
}

/* --- life cycle ---------------------------------------------------------------------------- */

static void on_timer(struct timer *timer)
{
    struct ask *a = container_of(timer, struct ask, timer);

    a->waited = true;
    op_wake(&a->op);
}

static void on_room(struct waiter *w)
{
    op_wake(&container_of(w, struct ask, room.waiter)->op);
}

static void on_life(struct timer *timer)
{
    op_wake(&container_of(timer, struct ask, life)->op);
}

static void ask_ended(struct op *op)
{
    struct ask *a = ask_of(op);
    struct ask_table *t = a->table;
    bool leaves;

    timer_fini(&a->timer);
    timer_fini(&a->life);
    buf_free(&a->body);
    ask_fetch_end(a);
    if (a->result.document == NULL) {
        room_give(&a->room); /* else when nobody has the document any more */
    }
    upstream_release(a->repo.upstream); /* what it remembers needs none */
    pthread_mutex_lock(&t->lock);
    leaves = a->expires == 0;
    if (leaves) {
        table_remove(t, a);
    } else {
        list_append(&t->expiring, &a->expiring);
        t->n_expiring++;
    }
    pthread_mutex_unlock(&t->lock);
    if (leaves) {
        ask_unref(a);
    }
    ask_unref(a);
}

static const struct step *ask_first_step(enum ask_kind kind)
{
    switch (kind) {
    case ASK_TAG:
    case ASK_DIGEST:
        return &ASK_STEP_MANIFEST;
    case ASK_MEMBER:
        return &ASK_STEP_MEMBER;
    case ASK_TAGS:
        return &ASK_STEP_TAGS;
    case ASK_REFERRERS:
        break;
    }
    return &ASK_STEP_REFERRERS;
}

static struct ask *ask_new(struct cache *c, struct loop *l, const struct ask_key *key,
                           const struct cache_repo *repo)
{
    struct ask *a = xnew(struct ask);

    atomic_init(&a->refs, 3); /* the table's, the op's, the caller's */
    atomic_init(&a->state, ASK_NOT_YET);
    atomic_init(&a->troubled, false);
    list_init(&a->expiring);
    a->cache = c;
    a->table = c->asks;
    a->kind = key->kind;
    cache_repo_copy(&a->repo, repo);
    upstream_hold(repo->upstream);
    snprintf(a->reference, sizeof(a->reference), "%s", key->reference);
    bell_init(&a->bell);
    buf_init(&a->body, MANIFEST_LIMIT);
    buf_init(&a->gathered, MANIFEST_LIMIT);
    room_hold_init(&a->room, c->fetched, on_room);
    timer_init(&a->timer, l, on_timer);
    timer_init(&a->life, l, on_life);
    timer_set(&a->life, ASK_LIFE_MS);
    a->ends = loop_now(l) + ASK_LIFE_MS;
    a->deadline = loop_now(l) + limits.first_byte;
    a->has_want = digest_parse(slice_str(a->reference), &a->want);
    a->result.size = UINT64_MAX;
    return a;
}

/* The ask for this question that counts still: what is remembered is so for its own time, whatever
 * stands before it in the line. Caller has the lock. */
static struct ask *table_find(struct ask_table *t, const struct ask_key *key, uint64_t now)
{
    struct map_node *node;
    struct ask *a;

    table_expire(t, now);
    node = map_find(&t->map, ask_hash(key), ask_is, key);
    if (node == NULL) {
        return NULL;
    }
    a = container_of(node, struct ask, node);
    if (!list_empty(&a->expiring) && a->expires <= now) {
        table_remove(t, a);
        ask_unref(a);
        return NULL;
    }
    return a;
}

struct ask *ask_join(struct cache *c, struct loop *l, enum ask_kind kind,
                     const struct cache_repo *repo, const char *reference, bool *ret_joined)
{
    struct ask_table *t = c->asks;
    struct ask_key key = {kind, repo->text, reference};
    struct ask *a;

    pthread_mutex_lock(&t->lock);
    a = table_find(t, &key, loop_now(l));
    *ret_joined = a != NULL;
    if (a != NULL) {
        atomic_fetch_add(&a->refs, 1);
    } else {
        a = ask_new(c, l, &key, repo);
        map_insert(&t->map, ask_hash(&key), &a->node);
        a->listed = true;
    }
    pthread_mutex_unlock(&t->lock);
    if (*ret_joined) {
        count(asks_joined);
    } else {
        count(asks_started);
        op_start(&a->op, l, ask_first_step(kind), &ASK_STEP_FAILED, ask_ended);
    }
    return a;
}

enum ask_state ask_poll(struct ask *a, struct loop *l, struct waiter *w)
{
    enum ask_state state = atomic_load(&a->state);

    if (state != ASK_NOT_YET) {
        return state;
    }
    bell_wait(&a->bell, l, w);
    state = atomic_load(&a->state);
    if (state != ASK_NOT_YET) {
        bell_leave(w);
    }
    return state;
}

bool ask_troubled(struct ask *a)
{
    return atomic_load(&a->troubled);
}

bool ask_is_ours(struct ask *a)
{
    return atomic_load(&a->ours);
}

const struct ask_result *ask_result(const struct ask *a)
{
    return &a->result;
}

/* --- what the kinds share ------------------------------------------------------------------ */

void ask_fetch(struct ask *a, enum fetch_kind kind, bool head, const char *reference)
{
    struct fetch_question q = {
        .upstream = a->repo.upstream,
        .repo = a->repo.name,
        .reference = reference,
        .kind = kind,
        .head = head,
        .to = UINT64_MAX,
    };

    fetch_free(a->fetch);
    buf_free(&a->body);
    atomic_store(&a->ours, false);
    a->fetch = fetch_new(&q, a->op.loop, &a->op.task);
}

void ask_fetch_byte(struct ask *a, enum fetch_kind kind, const char *reference)
{
    struct fetch_question q = {
        .upstream = a->repo.upstream,
        .repo = a->repo.name,
        .reference = reference,
        .kind = kind,
    };

    fetch_free(a->fetch);
    atomic_store(&a->ours, false);
    a->fetch = fetch_new(&q, a->op.loop, &a->op.task);
}

void ask_fetch_end(struct ask *a)
{
    fetch_free(a->fetch);
    a->fetch = NULL;
}

/* Whether the ask has lived too long; *err says so then. */
static bool ask_is_over(struct ask *a, struct err *err)
{
    if (loop_now(a->op.loop) < a->ends) {
        return false;
    }
    err_set(err, ERR_TIMEOUT, "%s: the answer does not come to its end", a->repo.text);
    return true;
}

enum fetch_state ask_fetch_poll(struct ask *a)
{
    struct err err = {0};
    enum fetch_state state = fetch_poll(a->fetch, &err);

    if (state == FETCH_NOT_YET && ask_is_over(a, &err)) {
        state = FETCH_FAILED;
    }
    if (state == FETCH_FAILED) {
        ask_fetch_end(a);
        a->op.err = err;
    }
    return state;
}

/* Room for what is being read, its pages before and what is made of all: 1, 0 to wait, or -1. The
 * longest lists would weigh more than one may have: they get that, and can be fetched. */
static int ask_room(struct ask *a, size_t max)
{
    uint64_t told = fetch_answer(a->fetch)->length;
    size_t page = told <= max ? (size_t)told : ROOM_FIRST;
    size_t all = (a->taken + (page > a->body.len ? page : a->body.len)) * ROOM_WEIGHT;

    if (all > ROOM_BYTES / 2) {
        all = ROOM_BYTES / 2;
    }
    if (a->room.n == 0) {
        return room_take(&a->room, a->op.loop, all);
    }
    return room_grow(&a->room, all) ? 1 : -1;
}

int ask_read_body(struct ask *a, size_t max)
{
    char piece[16 * 1024];
    struct err err = {0};
    ssize_t n = STREAM_AGAIN;
    int room;

    while ((room = ask_room(a, max)) > 0 &&
           (n = fetch_read(a->fetch, piece, sizeof(piece), &err)) > 0) {
        buf_append(&a->body, piece, (size_t)n);
        if (a->body.failed || a->body.len > max) {
            err_set(&err, ERR_UPSTREAM_PROTOCOL, "%s: answer is larger than %zu bytes",
                    a->repo.text, max);
            n = STREAM_FAILED;
            break;
        }
    }
    atomic_store(&a->ours, room == 0);
    if (room < 0) {
        err_set(&err, ERR_TOO_MANY, "%s: too many large answers come at once", a->repo.text);
        n = STREAM_FAILED;
    }
    if (n == STREAM_AGAIN && !ask_is_over(a, &err)) {
        return 0;
    }
    ask_fetch_end(a);
    if (n == 0) {
        a->taken += a->body.len;
        return 1;
    }
    a->op.err = err;
    return -1;
}

bool ask_may_retry(struct ask *a)
{
    uint64_t now = loop_now(a->op.loop);
    uint64_t pause = limits.retry_min << (2 * a->tries);

    /* Of what is shut the next answer is far: whoever waits may go elsewhere sooner. */
    if (!cache_upstream_failed(a->op.err.code) || a->op.err.code == ERR_UPSTREAM_SHUT ||
        ++a->tries >= ASK_TRIES) {
        return false;
    }
    if (a->op.err.retry_after > 0) {
        pause = (uint64_t)a->op.err.retry_after * 1000;
    }
    if (now + pause >= a->deadline) {
        return false;
    }
    a->op.err = (struct err){0};
    a->waited = false;
    timer_set(&a->timer, pause);
    atomic_store(&a->troubled, true);
    bell_ring(&a->bell);
    return true;
}

bool ask_pause_over(struct ask *a)
{
    return a->waited;
}

static void ask_recorded(struct index_write *w)
{
    struct ask *a = container_of(w, struct ask, write);

    a->written = true;
    if (w->failed) {
        log_event(LOG_ERROR, "index.refused", "%s: not recorded: %s", a->repo.text, w->err.text);
    }
    op_wake(&a->op);
}

void ask_record(struct ask *a, void (*apply)(struct index_write *, struct index_txn *))
{
    a->written = false;
    atomic_store(&a->ours, true);
    a->write = (struct index_write){.apply = apply, .done = ask_recorded};
    index_write_submit(a->cache->store, a->op.loop, &a->write);
}

static void ask_kept(struct document_keep *k)
{
    struct ask *a = container_of(k, struct ask, keep);

    a->written = true;
    op_wake(&a->op);
}

void ask_keep(struct ask *a, enum tag_kind kind, const char *reference, bool is_manifest)
{
    struct document_keep *k = &a->keep;

    a->written = false;
    atomic_store(&a->ours, true);
    *k = (struct document_keep){
        .cache = a->cache,
        .document = a->result.document,
        .kind = kind,
        .is_manifest = is_manifest,
        .done = ask_kept,
    };
    cache_repo_copy(&k->repo, &a->repo);
    snprintf(k->reference, sizeof(k->reference), "%s", reference);
    document_keep_start(k, a->op.loop);
}

static const struct step *step_recorded(struct op *op)
{
    struct ask *a = ask_of(op);

    if (!a->written) {
        return STEP_WAIT;
    }
    return a->keep.err.code == ERR_NONE ? &ASK_STEP_PUBLISH : op_fail_with(op, &a->keep.err);
}

const struct step ASK_STEP_RECORDED = {"recorded", step_recorded};

static const struct step *step_refused(struct op *op)
{
    return ask_of(op)->written ? &ASK_STEP_FAILED : STEP_WAIT;
}

const struct step ASK_STEP_REFUSED = {"refused", step_refused};

static const struct step *step_publish(struct op *op)
{
    struct ask *a = ask_of(op);

    ask_fetch_end(a);
    atomic_store(&a->state, a->outcome);
    bell_ring(&a->bell);
    return STEP_END;
}

const struct step ASK_STEP_PUBLISH = {"publish", step_publish};

/* How long the answer "no" is remembered; 0: not at all. */
static uint64_t ask_memory(const struct ask *a)
{
    switch (a->result.err.code) {
    case ERR_MANIFEST_UNKNOWN:
    case ERR_BLOB_UNKNOWN:
    case ERR_NAME_UNKNOWN:
        return limits.negative;
    case ERR_DIGEST_MISMATCH:
        return limits.bad_digest;
    default:
        return 0;
    }
}

/* What was read is of no use, and may stay in the table for long. */
static void ask_forget(struct ask *a)
{
    document_unref(a->result.document);
    a->result.document = NULL;
    buf_free(&a->gathered);
    taglist_free(a->tags);
    a->tags = NULL;
}

static const struct step *step_failed(struct op *op)
{
    struct ask *a = ask_of(op);
    uint64_t memory;

    a->outcome = ASK_FAILED;
    ask_forget(a);
    a->result.err = op->err;
    memory = ask_memory(a);
    if (memory > 0) {
        a->expires = loop_now(op->loop) + memory;
    }
    log_event(err_status(op->err.code) >= 500 || op->err.code == ERR_TOO_MANY ? LOG_WARN : LOG_INFO,
              "upstream.refused", "%s %s: %s", a->repo.text, a->reference, op->err.text);
    return &ASK_STEP_PUBLISH;
}

const struct step ASK_STEP_FAILED = {"failed", step_failed};
