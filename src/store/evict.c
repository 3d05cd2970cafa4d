/* store/evict.c - draws blobs, compares them, drops the dearest. */
#include "store/evict.h"

#include "base/clock.h"
#include "base/counter.h"
#include "base/limits.h"
#include "base/log.h"
#include "store/boot.h"
#include "store/budget.h"
#include "store/drop.h"
#include "store/judge.h"
#include "store/lease.h"
#include "store/retain.h"
#include "store/score.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>

#define HIGH_PERCENT 95
#define LOW_PERCENT 90
/* How often the disk is asked for what others took of it. */
#define LOOK_MS 30000
/* Draws without one that may go, after which the table is read in its order. */
#define BARREN_MAX 64
/* Rounds in a row of which nothing could be dropped, after which nothing is taken to be left. */
#define IN_VAIN_MAX 8
/* Records of one such reading. */
#define SCAN_MAX 20000
/* Manifests and configurations stay while they take less of the budget than this. */
#define SMALL_PERCENT 2

/* Owner: the store. Thread: runs under `lock`; the rest never changes. */
struct evict {
    struct store *store;
    bool never;
    pthread_mutex_t lock;
    uint64_t random;
    struct record_key scan; /* where the next reading in order begins */
    struct store_job job;
    bool behind;                 /* the run at hand is the background's */
    bool yielded;                /* … and ended before its time */
    atomic_uint hurried;         /* those who wait for room themselves */
    _Atomic uint64_t rest_until; /* clock_mono_ms: the last run left too much, as nothing may go */
};

/* A blob that may go. */
struct candidate {
    struct digest digest;
    uint64_t size;
    int64_t score;
};

/* One round: what goes in one change. */
struct round {
    struct evict *evict;
    struct judge judge;
    int64_t now;
    bool spare_small;
    struct candidate all[DROP_MAX];
    size_t n;
    uint64_t bytes;
    /* of the draw, or the reading, at hand; `looked`: at so many records */
    struct candidate best;
    bool found;
    unsigned looked;
    uint64_t want;
};

/* --- candidates ---------------------------------------------------------------------------- */

static bool is_chosen(const struct round *r, const struct digest *d)
{
    for (size_t i = 0; i < r->n; i++) {
        if (digest_equal(&r->all[i].digest, d)) {
            return true;
        }
    }
    return false;
}

/* As far as the record tells. */
static bool record_may_go(const struct round *r, const struct blob_record *b)
{
    bool small = b->class == BLOB_MANIFEST || b->class == BLOB_CONFIG;

    return !b->pinned && !(small && r->spare_small) &&
           r->now - b->created >= (int64_t)(limits.evict_young / 1000);
}

static bool read_record(const struct round *r, struct slice key, struct slice value,
                        struct candidate *ret)
{
    struct blob_record b;

    if (!record_digest_of_key(key, &ret->digest) || !record_get_blob(value, &b) ||
        !record_may_go(r, &b)) {
        return false;
    }
    ret->size = b.size;
    ret->score = evict_score(r->now - b.used, b.size, b.hits);
    return true;
}

/* What the record does not tell. The last question takes long of what many images share. */
static bool others_let_go(const struct round *r, const struct digest *d)
{
    return !is_chosen(r, d) && !lease_held(r->evict->store->leases, d) &&
           !judge_is_hosted(&r->judge, d) && !judge_is_needed_by_pinned(&r->judge, d);
}

static bool draw_one(void *arg, struct slice key, struct slice value)
{
    struct round *r = arg;
    struct candidate c;

    if (read_record(r, key, value, &c) && (!r->found || c.score > r->best.score) &&
        others_let_go(r, &c.digest)) {
        r->best = c;
        r->found = true;
    }
    return ++r->looked < SCORE_SAMPLE;
}

static uint64_t next_random(struct evict *e)
{
    e->random ^= e->random << 13;
    e->random ^= e->random >> 7;
    e->random ^= e->random << 17;
    return e->random;
}

static void random_key(struct evict *e, enum digest_alg alg, struct record_key *ret)
{
    struct digest d = {.alg = alg};

    for (size_t i = 0; i < sizeof(uint64_t) * 2; i += sizeof(uint64_t)) {
        uint64_t n = next_random(e);

        memcpy(d.bytes + i, &n, sizeof(n));
    }
    record_key_digest(ret, &d);
}

static void draw_behind(struct round *r, enum digest_alg alg)
{
    struct record_key from;

    random_key(r->evict, alg, &from);
    db_each(r->judge.db, DB_BLOBS, SLICE_NULL, record_key_view(&from), draw_one, r);
}

/*
 * Draws a sample, and takes the dearest of it. False: none of them may go.
 *
 * The sample is a row of records that begins at a random key, as if the table were a ring: digests
 * lie at random, so neighbours have nothing else in common. Records that are drawn one by one would
 * not all come as often: the one behind a wide gap is met by many keys, the one close behind
 * another by hardly any, and what is never met never goes.
 */
static bool draw(struct round *r)
{
    r->found = false;
    r->looked = 0;
    if (next_random(r->evict) % 8 == 0) {
        draw_behind(r, DIGEST_SHA512);
    }
    if (r->looked == 0) {
        draw_behind(r, DIGEST_SHA256);
    }
    if (r->looked < SCORE_SAMPLE) {
        db_each(r->judge.db, DB_BLOBS, SLICE_NULL, SLICE_NULL, draw_one, r);
    }
    if (r->found) {
        r->bytes += r->best.size;
        r->all[r->n++] = r->best;
    }
    return r->found;
}

static bool scan_one(void *arg, struct slice key, struct slice value)
{
    struct round *r = arg;
    struct candidate c;

    if (r->n == DROP_MAX || r->bytes >= r->want || r->looked++ == SCAN_MAX) {
        r->evict->scan.len = key.len;
        memcpy(r->evict->scan.bytes, key.p, key.len);
        r->found = true; /* there is more */
        return false;
    }
    if (read_record(r, key, value, &c) && others_let_go(r, &c.digest)) {
        r->bytes += c.size;
        r->all[r->n++] = c;
    }
    return true;
}

/* Where few may go, a reading in order finds them. False: that came to the end of the table. */
static bool scan(struct round *r)
{
    struct evict *e = r->evict;

    r->found = false;
    r->looked = 0;
    db_each(r->judge.db, DB_BLOBS, SLICE_NULL, record_key_view(&e->scan), scan_one, r);
    if (!r->found) {
        e->scan.len = 0;
    }
    return r->found;
}

/* --- a round ------------------------------------------------------------------------------- */

/* The background is behind everybody else: who is in a hurry does it himself, and is not kept
 * waiting for the lock by a thread that hardly runs. */
static bool is_to_yield(struct evict *e)
{
    e->yielded = e->yielded ||
                 (e->behind && (atomic_load(&e->hurried) > 0 || atomic_load(&e->store->closing)));
    return e->yielded;
}

static bool small_are_few(struct store *s)
{
    struct record_totals t = budget_totals(s->budget);
    uint64_t small = t.bytes[BLOB_MANIFEST] + t.bytes[BLOB_CONFIG];

    return small <= budget_max(s->budget) / 100 * SMALL_PERCENT;
}

/* Fills r->all with what is to go, `want` bytes or as many as one change takes. */
static int choose(struct evict *e, struct round *r, uint64_t want, struct err *err)
{
    unsigned barren = 0;

    *r = (struct round){.evict = e, .now = clock_wall_s(), .want = want};
    r->spare_small = small_are_few(e->store);
    r->judge.db = db_read_begin(e->store->db, err);
    if (r->judge.db == NULL) {
        return -1;
    }
    while (r->n < DROP_MAX && r->bytes < want && barren < BARREN_MAX && !is_to_yield(e)) {
        barren = draw(r) ? 0 : barren + 1;
    }
    if (r->n == 0 && !is_to_yield(e)) {
        /* From where the last one stopped to the end, then all of it once. */
        for (int turns = e->scan.len > 0 ? 2 : 1; turns > 0 && r->n == 0;) {
            turns -= scan(r) ? 0 : 1;
        }
    }
    db_read_end(r->judge.db);
    return 0;
}

struct freed {
    uint64_t n;
    uint64_t bytes;
};

static void on_gone(void *arg, const struct digest *d, uint64_t size)
{
    struct freed *freed = arg;

    (void)d;
    freed->n++;
    freed->bytes += size;
}

static int drop_round(struct evict *e, const struct round *r, struct freed *freed, struct err *err)
{
    struct digest digests[DROP_MAX];

    for (size_t i = 0; i < r->n; i++) {
        digests[i] = r->all[i].digest;
    }
    return drop_mirrored(e->store, digests, r->n, on_gone, freed, err);
}

/* Frees about `want` bytes, or what one round can; *ret_bytes 0 and not *ret_again: nothing can go
 * any more. *ret_again: what was to go is needed as of just now, and a larger choice holds others
 * too. */
static int free_some(struct evict *e, uint64_t want, uint64_t *ret_bytes, bool *ret_again,
                     struct err *err)
{
    struct round *r = xnew(struct round);
    struct freed freed = {0};
    int rc = choose(e, r, want, err);

    if (rc == 0 && r->n > 0) {
        rc = drop_round(e, r, &freed, err);
    }
    count_add(evictions, (int64_t)freed.n);
    count_add(evicted_bytes, (int64_t)freed.bytes);
    *ret_bytes = freed.bytes;
    *ret_again = r->n > 0 && freed.bytes == 0;
    if (rc == 0 && r->n == 0 && !is_to_yield(e)) {
        rc = retain_give_way(e->store, ret_bytes, err);
    }
    free(r);
    return rc;
}

/* --- runs ---------------------------------------------------------------------------------- */

/* Frees until lack() is 0; false where that cannot be reached. Under the lock. */
static bool free_all(struct evict *e, uint64_t (*lack)(struct evict *e, void *arg), void *arg)
{
    unsigned in_vain = 0;
    uint64_t missing;
    struct err err;

    while ((missing = lack(e, arg)) > 0) {
        uint64_t bytes = 0;
        bool again = false;

        if (missing == UINT64_MAX || atomic_load(&e->store->closing)) {
            return false;
        }
        if (free_some(e, missing << in_vain, &bytes, &again, &err) < 0) {
            log_event(LOG_ERROR, "evict.failed", "%s: %s", e->store->dir, err.text);
            return false;
        }
        in_vain = again ? in_vain + 1 : 0;
        if (bytes == 0 && (!again || in_vain == IN_VAIN_MAX)) {
            return false;
        }
    }
    return true;
}

struct room {
    uint64_t size;
    uint64_t backed;
};

static uint64_t lack_room(struct evict *e, void *arg)
{
    const struct room *room = arg;

    return budget_lack(e->store->budget, room->size, room->backed);
}

static uint64_t lack_low(struct evict *e, void *arg)
{
    (void)arg;
    return is_to_yield(e) ? 0 : budget_excess(e->store->budget, LOW_PERCENT);
}

bool evict_make_room(struct store *s, uint64_t size, uint64_t backed)
{
    struct evict *e = s->evict;
    struct room room = {size, backed};
    bool made;

    if (e->never) {
        return false;
    }
    atomic_fetch_add(&e->hurried, 1);
    pthread_mutex_lock(&e->lock);
    made = free_all(e, lack_room, &room);
    pthread_mutex_unlock(&e->lock);
    atomic_fetch_sub(&e->hurried, 1);
    return made;
}

static void evict_run(struct store *s)
{
    struct evict *e = s->evict;
    uint64_t before = store_bytes(s);
    bool yielded;

    pthread_mutex_lock(&e->lock);
    e->behind = true;
    ignore_result(free_all(e, lack_low, NULL));
    yielded = e->yielded;
    e->behind = false;
    e->yielded = false;
    pthread_mutex_unlock(&e->lock);
    if (yielded) {
        return; /* the next change that is written begins it again */
    }
    if (budget_excess(s->budget, HIGH_PERCENT) > 0) {
        atomic_store(&e->rest_until, clock_mono_ms() + LOOK_MS); /* its end wakes the writer */
    }
    log_event(LOG_INFO, "evict.done", "held before=%" PRIu64 " after=%" PRIu64 " budget=%" PRIu64,
              before, store_bytes(s), store_budget(s));
}

uint64_t evict_tick(struct evict *e, uint64_t now)
{
    if (e->never) {
        return UINT64_MAX;
    }
    if (atomic_load(&e->hurried) == 0 && now >= atomic_load(&e->rest_until) &&
        budget_excess(e->store->budget, HIGH_PERCENT) > 0) {
        ignore_result(store_job_start(e->store, &e->job));
    }
    return now + LOOK_MS;
}

struct evict *evict_new(struct store *s, bool never)
{
    struct evict *e = xnew(struct evict);

    e->store = s;
    e->never = never;
    e->random = boot_random() | 1;
    e->job.store = s;
    e->job.run = evict_run;
    e->job.idle = true;
    pthread_mutex_init(&e->lock, NULL);
    return e;
}

void evict_free(struct evict *e)
{
    if (e != NULL) {
        pthread_mutex_destroy(&e->lock);
        free(e);
    }
}
