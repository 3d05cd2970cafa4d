/*
 * give_way.c - what the store keeps of a made-up history of pulls (trace.h), beside LRU.
 *
 *     give_way DIR SEED PULLS PERCENT...
 *
 * A store is opened in DIR, which should lie in memory, for each PERCENT of the bytes of all
 * layers. Every layer that is not there comes as a download does: room is made for it, its file is
 * moved in, its record is written; the file has the size and nothing in it. Those that are there
 * are touched. Which give way, and when, src/store decides alone, by a clock that the history
 * moves, and which stands still while it works. A disk that is large enough is all else that is
 * made up. LRU is a list that always fills all of the room. Both count after the first quarter.
 * Prints one JSON object.
 */
#include "base/clock.h"
#include "base/log.h"
#include "base/sha.h"
#include "store/boot.h"
#include "store/evict.h"
#include "store/ingest.h"
#include "store/writer.h"
#include "trace.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#define REPOSITORY "docker.io/bench/image"
/* Layers of one pull (trace.c), with room to spare. */
#define PULL_MAX 64
/* How long the store's writer lets uses wait. */
#define LAZY_S 10

/* --- the world that the store sees --------------------------------------------------------- */

/* The linker leads calls of these functions here (--wrap). */
uint64_t __wrap_clock_mono_ms(void);
int64_t __wrap_clock_wall_s(void);
uint64_t __wrap_boot_random(void);
int __wrap_fstatvfs(int fd, struct statvfs *ret);
uint64_t __real_clock_mono_ms(void);
int64_t __real_clock_wall_s(void);

/* Seconds of the history. They are so far ahead of the machine's that no wait ends by itself. */
static _Atomic uint64_t now_s;
static uint64_t mono_start_ms;
static int64_t wall_start_s;
static _Atomic uint64_t random_state;

uint64_t __wrap_clock_mono_ms(void)
{
    return mono_start_ms + 1000 * now_s;
}

int64_t __wrap_clock_wall_s(void)
{
    return wall_start_s + (int64_t)now_s;
}

uint64_t __wrap_boot_random(void)
{
    return random_state += 0x9e3779b97f4a7c15u;
}

int __wrap_fstatvfs(int fd, struct statvfs *ret)
{
    (void)fd;
    *ret = (struct statvfs){.f_bavail = (fsblkcnt_t)1 << 40, .f_frsize = 4096};
    return 0;
}

static void start_clock(uint64_t seed)
{
    mono_start_ms = __real_clock_mono_ms() + (uint64_t)3650 * 86400 * 1000;
    wall_start_s = __real_clock_wall_s();
    random_state = seed;
}

/* --- counting ------------------------------------------------------------------------------ */

struct score {
    double objects, bytes;
    double hit_objects, hit_bytes;
};

static void score_add(struct score *s, uint64_t size, bool hit)
{
    s->objects++;
    s->bytes += (double)size;
    s->hit_objects += hit;
    s->hit_bytes += hit ? (double)size : 0;
}

static bool counts(const struct trace *t, unsigned get)
{
    return get >= t->n_gets / 4;
}

static void print_score(const char *name, const struct score *s)
{
    printf("\"%s\":[%.4f,%.4f]", name, s->hit_objects / s->objects, s->hit_bytes / s->bytes);
}

/* --- LRU ----------------------------------------------------------------------------------- */

struct lru {
    uint64_t room, held;
    bool *here;
    unsigned *next, *before; /* a ring through n_layers: the oldest first */
};

static void unlink_one(struct lru *c, unsigned i)
{
    c->next[c->before[i]] = c->next[i];
    c->before[c->next[i]] = c->before[i];
}

static void link_last(struct lru *c, unsigned end, unsigned i)
{
    c->before[i] = c->before[end];
    c->next[i] = end;
    c->next[c->before[end]] = i;
    c->before[end] = i;
}

/* Whether it was there. */
static bool lru_get(struct lru *c, const struct trace *t, unsigned i)
{
    uint64_t size = t->layers[i].size;
    unsigned end = t->n_layers;
    bool hit = c->here[i];

    if (size > c->room) {
        return false;
    }
    if (hit) {
        unlink_one(c, i);
    }
    while (!hit && c->held + size > c->room) {
        unsigned oldest = c->next[end];

        unlink_one(c, oldest);
        c->here[oldest] = false;
        c->held -= t->layers[oldest].size;
    }
    c->held += hit ? 0 : size;
    c->here[i] = true;
    link_last(c, end, i);
    return hit;
}

static struct score run_lru(const struct trace *t, uint64_t room)
{
    struct lru c = {.room = room};
    struct score score = {0};

    c.here = xcalloc(t->n_layers, sizeof(*c.here));
    c.next = xcalloc(t->n_layers + 1, sizeof(*c.next));
    c.before = xcalloc(t->n_layers + 1, sizeof(*c.before));
    c.next[t->n_layers] = t->n_layers;
    c.before[t->n_layers] = t->n_layers;
    for (unsigned i = 0; i < t->n_gets; i++) {
        unsigned layer = t->gets[i].layer;
        bool hit = lru_get(&c, t, layer);

        if (counts(t, i)) {
            score_add(&score, t->layers[layer].size, hit);
        }
    }
    free(c.here);
    free(c.next);
    free(c.before);
    return score;
}

/* --- the store ----------------------------------------------------------------------------- */

/* A layer on its way. Owner: struct store_run. */
struct arrival {
    struct index_write write;
    struct ingest in;
    struct digest digest;
    uint64_t size;
};

/* One store and the pull at hand. Thread: main; `left` is under the mutex. */
struct store_run {
    struct store *store;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    unsigned left; /* records that are being written */
    struct arrival all[PULL_MAX];
    unsigned n;
    uint64_t written_s; /* now_s when a record was last written */
    struct score score;
};

static struct store_run run = {.lock = PTHREAD_MUTEX_INITIALIZER,
                               .changed = PTHREAD_COND_INITIALIZER};

static void die(const char *what, const char *why)
{
    fprintf(stderr, "give_way: %s: %s\n", what, why);
    exit(1);
}

static struct digest layer_digest(unsigned layer)
{
    unsigned char raw[SHA_MAX];

    sha_of(SHA_256, &layer, sizeof(layer), raw);
    return digest_of_raw(DIGEST_SHA256, raw);
}

/* What a flight records of what it brought; it is not synced behind that, as nothing depends on
 * it. */
static void arrival_apply(struct index_write *w, struct index_txn *txn)
{
    struct arrival *a = container_of(w, struct arrival, write);
    int64_t now = clock_wall_s();
    struct blob_record blob = {
        .size = a->size, .created = now, .used = now, .class = BLOB_LAYER, .synced = true};
    struct member_record member = {.size = a->size, .proof = PROOF_UPSTREAM_ANSWER, .proved = now};

    index_put_blob(txn, &a->digest, &blob);
    index_put_member(txn, index_put_repo(txn, REPO_MIRRORED, REPOSITORY), &a->digest, &member);
}

static void arrival_done(struct index_write *w)
{
    if (w->failed) {
        die("a record", w->err.text);
    }
    pthread_mutex_lock(&run.lock);
    run.left--;
    pthread_cond_signal(&run.changed);
    pthread_mutex_unlock(&run.lock);
}

/* Room, a file, its place; no room is no failure, but all else is. */
static void arrive(const struct digest *d, uint64_t size)
{
    struct arrival *a = &run.all[run.n];
    struct err err;

    if (ingest_open(&a->in, run.store, d, size, false, &err) < 0) {
        if (err.code != ERR_NO_SPACE) {
            die("a download", err.text);
        }
        return;
    }
    if (ingest_commit(&a->in, size, false, &err) < 0) {
        die("a download", err.text);
    }
    a->digest = *d;
    a->size = size;
    a->write = (struct index_write){.apply = arrival_apply, .done = arrival_done};
    run.n++;
}

static bool is_here(struct store *s, const struct digest *d)
{
    struct index_read *r = index_read_begin(s);
    struct blob_record b;
    bool here;

    if (r == NULL) {
        die("the index", "it cannot be read");
    }
    here = index_get_blob(r, d, &b) == INDEX_FOUND;
    index_read_end(r);
    return here;
}

static void get(const struct trace *t, unsigned i)
{
    unsigned layer = t->gets[i].layer;
    struct digest d = layer_digest(layer);
    bool hit = is_here(run.store, &d);

    if (hit) {
        index_touch_blob(run.store, &d);
    } else if (run.n < PULL_MAX) {
        arrive(&d, t->layers[layer].size);
    }
    if (counts(t, i)) {
        score_add(&run.score, t->layers[layer].size, hit);
    }
}

static void nothing(struct index_write *w, struct index_txn *txn)
{
    (void)w;
    (void)txn;
}

/* Everything that the store does in the background is done before the clock moves on. */
static void settle(struct store *s)
{
    ignore_result(evict_tick(s->evict, clock_mono_ms()));
    pthread_mutex_lock(&s->jobs_lock);
    while (s->jobs > 0) {
        pthread_cond_wait(&s->jobs_none, &s->jobs_lock);
    }
    pthread_mutex_unlock(&s->jobs_lock);
}

/* The end of a pull: its records, with the uses that wait to be written. */
static void record_all(void)
{
    struct index_write write = {.apply = nothing};
    struct err err;

    run.left = run.n;
    for (unsigned i = 0; i < run.n; i++) {
        index_write_submit(run.store, NULL, &run.all[i].write);
    }
    pthread_mutex_lock(&run.lock);
    while (run.left > 0) {
        pthread_cond_wait(&run.changed, &run.lock);
    }
    pthread_mutex_unlock(&run.lock);
    for (unsigned i = 0; i < run.n; i++) {
        ingest_recorded(&run.all[i].in);
        ingest_close(&run.all[i].in);
    }
    if (run.n == 0 && now_s >= run.written_s + LAZY_S && writer_wait(run.store, &write, &err) < 0) {
        die("the index", err.text);
    }
    if (run.n > 0 || now_s >= run.written_s + LAZY_S) {
        run.written_s = now_s;
        settle(run.store);
    }
    run.n = 0;
}

static void replay(const struct trace *t, uint64_t room)
{
    for (unsigned i = 0; i < t->n_gets; i++) {
        get(t, i);
        if (i + 1 == t->n_gets || t->gets[i + 1].pull != t->gets[i].pull) {
            record_all();
            now_s += (uint64_t)(i + 1 == t->n_gets ? 1 : t->gets[i + 1].pull - t->gets[i].pull) *
                     TRACE_SECONDS_A_PULL;
        }
        if (store_bytes(run.store) > room) {
            die("the store", "it holds more than it may");
        }
    }
}

static struct score run_store(const struct trace *t, uint64_t room, const char *dir)
{
    struct store_options options = {.dir = dir, .max_size = room};
    struct err err;

    options.disk = pool_new("disk", 2);
    run.store = store_open(&options, &err);
    if (run.store == NULL) {
        die(dir, err.text);
    }
    run.score = (struct score){0};
    replay(t, room);
    store_close(run.store);
    pool_free(options.disk);
    return run.score;
}

/* --- one after the other ------------------------------------------------------------------- */

static void compare(const struct trace *t, uint64_t bytes, const char *percent, const char *in)
{
    uint64_t room = bytes / 100 * strtoull(percent, NULL, 10);
    _cleanup_free_ char *dir = xasprintf("%s/%s", in, percent);
    struct score lru = run_lru(t, room);
    struct score own = run_store(t, room, dir);

    printf(",\"%s\":{", percent);
    print_score("lru", &lru);
    printf(",");
    print_score("larder", &own);
    printf("}");
    fflush(stdout);
}

int main(int argc, char **argv)
{
    const struct trace *t;
    uint64_t bytes;

    if (argc < 5) {
        fprintf(stderr, "usage: give_way DIR SEED PULLS PERCENT...\n");
        return 2;
    }
    log_setup(LOG_WARN, false);
    start_clock(strtoull(argv[2], NULL, 10));
    t = trace_make(strtoull(argv[2], NULL, 10), (unsigned)strtoul(argv[3], NULL, 10));
    printf("{");
    bytes = trace_describe(t);
    for (int i = 4; i < argc; i++) {
        compare(t, bytes, argv[i], argv[1]);
    }
    puts("}");
    return 0;
}
