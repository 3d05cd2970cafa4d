/*
 * store/pulls.c - a filter that passes each answer once a second, a list that one lazy change
 * writes, and the table.
 *
 * As with touches, nothing here is worth a wait: a list that is full drops what comes. What a
 * manifest is to which index is looked up by the writer, behind all answers.
 */
#include "store/pulls.h"

#include "base/counter.h"
#include "base/list.h"
#include "base/map.h"
#include "oci/platform.h"
#include "store/writer.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* Pairs of places; a power of two. */
#define FILTER 8192
/* Notes of one change, and from how many on it does not wait for company. */
#define NOTES_MAX 4096
#define NOTES_HURRY 1024
/* Indexes that are told of one manifest. */
#define PARENTS_MAX 4

#define PULLS_MAX 1000000
#define PULLS_S (30 * 24 * 3600)
/* Old pulls that go whenever one comes. */
#define PULLS_TRIM 2

/* Owner: a list. Never changes. */
struct note {
    struct list node;
    int64_t time;
    uint32_t ns; /* of the same second */
    enum repo_kind kind;
    struct digest digest;
    const char *repo; /* these point into text */
    const char *tag;
    const char *client;
    char text[];
};

/* Owner: the store. Thread: the filter is anybody's; the rest is under `lock`, but `taken`, which
 * is the writer's. */
struct pulls {
    struct store *store;
    _Atomic uint64_t filter[FILTER][2]; /* upper half: of a hash; lower half: seconds */
    pthread_mutex_t lock;
    struct list notes;
    size_t n;
    bool writing; /* `write` is under way */
    bool hurried; /* `hurry` is */
    struct list taken;
    struct index_write write;
    struct index_write hurry;
};

/* --- noting -------------------------------------------------------------------------------- */

static uint64_t hash_of(const struct pull_note *n)
{
    uint64_t hash = digest_hash(n->digest) + (uint64_t)n->kind;

    hash = hash * 31 + map_hash(n->repo, strlen(n->repo));
    hash = hash * 31 + map_hash(n->tag, strlen(n->tag));
    return hash * 31 + map_hash(n->client, strlen(n->client));
}

/* Whether it is the first of this second, as far as the filter remembers. */
static bool filter_passes(struct pulls *p, const struct pull_note *n, int64_t now)
{
    uint64_t hash = hash_of(n);
    uint64_t mine = (hash >> 32 << 32) | (uint32_t)now;
    _Atomic uint64_t *pair = p->filter[hash % FILTER];
    uint64_t seen[2];

    for (unsigned i = 0; i < 2; i++) {
        seen[i] = atomic_load_explicit(&pair[i], memory_order_relaxed);
        if (seen[i] == mine) {
            return false;
        }
    }
    /* It takes its own old place, else the one of which less was heard lately. */
    for (unsigned i = 0; i < 2; i++) {
        if (seen[i] >> 32 == hash >> 32) {
            atomic_store_explicit(&pair[i], mine, memory_order_relaxed);
            return true;
        }
    }
    atomic_store_explicit(&pair[(uint32_t)seen[1] < (uint32_t)seen[0]], mine, memory_order_relaxed);
    return true;
}

static struct note *note_new(const struct pull_note *n, const struct timespec *now)
{
    size_t repo = strlen(n->repo) + 1;
    size_t tag = strlen(n->tag) + 1;
    size_t client = strlen(n->client) + 1;
    struct note *note = xcalloc(1, sizeof(*note) + repo + tag + client);

    list_init(&note->node);
    note->time = now->tv_sec;
    note->ns = (uint32_t)now->tv_nsec;
    note->kind = n->kind;
    note->digest = *n->digest;
    note->repo = memcpy(note->text, n->repo, repo);
    note->tag = memcpy(note->text + repo, n->tag, tag);
    note->client = memcpy(note->text + repo + tag, n->client, client);
    return note;
}

void pulls_note(struct store *s, const struct pull_note *n)
{
    struct pulls *p = s->pulls;
    struct timespec now;
    struct note *note;
    bool first = false;
    bool hurry = false;

    clock_gettime(CLOCK_REALTIME, &now);
    if (!filter_passes(p, n, now.tv_sec)) {
        return;
    }
    note = note_new(n, &now);
    pthread_mutex_lock(&p->lock);
    if (p->n < NOTES_MAX) {
        list_append(&p->notes, &note->node);
        note = NULL;
        first = !p->writing;
        p->writing = true;
        hurry = ++p->n >= NOTES_HURRY && !p->hurried;
        p->hurried = p->hurried || hurry;
    }
    pthread_mutex_unlock(&p->lock);
    if (note != NULL) {
        count(pulls_dropped);
        free(note);
    }
    if (first) {
        index_write_submit(s, NULL, &p->write);
    }
    if (hurry) {
        index_write_submit(s, NULL, &p->hurry);
    }
}

/* --- the table ----------------------------------------------------------------------------- */

struct oldest {
    struct record_key key;
    int64_t time;
};

static bool first_pull(void *arg, struct slice key, struct slice value)
{
    struct oldest *oldest = arg;

    (void)value;
    oldest->key.len = key.len;
    memcpy(oldest->key.bytes, key.p, key.len);
    if (!record_time_of_pull(key, &oldest->time)) {
        oldest->time = 0;
    }
    return false;
}

static void trim_pulls(struct index_txn *t, int64_t now)
{
    for (unsigned i = 0; i < PULLS_TRIM; i++) {
        struct oldest oldest;

        if (db_each(t->db, DB_PULLS, SLICE_NULL, SLICE_NULL, first_pull, &oldest) != DB_FOUND ||
            (now - oldest.time <= PULLS_S && db_count(t->db, DB_PULLS) <= PULLS_MAX)) {
            return;
        }
        db_del(t->db, DB_PULLS, record_key_view(&oldest.key));
    }
}

/* Lines stand in the order of their answers, across a restart too; no two have the same key. */
static uint32_t number_of(struct store *s, const struct note *n)
{
    bool after = n->time != s->pull_time || n->ns > s->pull_number;

    s->pull_number = after ? n->ns : s->pull_number + 1;
    s->pull_time = n->time;
    return s->pull_number;
}

/* A history alone is not worth a copy of the index: the transaction does not count as lasting. */
static void put_pull(struct index_txn *t, const struct note *n, uint64_t repo,
                     const char *reference, const char *platform)
{
    struct record_pull pull = {.repo = repo, .has_digest = true, .digest = n->digest};
    struct record_key key;
    struct record value;

    snprintf(pull.reference, sizeof(pull.reference), "%s", reference);
    ignore_result(!slice_copy(slice_str(platform), pull.platform, sizeof(pull.platform)));
    snprintf(pull.client, sizeof(pull.client), "%s", n->client);
    record_key_pull(&key, n->time, number_of(t->store, n));
    record_put_pull(&value, &pull);
    db_put(t->db, DB_PULLS, record_key_view(&key), record_view(&value));
    t->changes++;
    trim_pulls(t, n->time);
}

/* --- writing ------------------------------------------------------------------------------- */

/* Indexes that have a manifest as an entry, in the repository that it was asked under. */
struct parents {
    struct index_txn *txn;
    uint64_t repo;
    const struct digest *child;
    struct digest found[PARENTS_MAX];
    unsigned n;
};

static bool has_entry(const struct parents *p, const struct digest *index)
{
    struct member_record member;
    struct record_key key;
    struct slice value;
    uint64_t size;
    uint8_t kind;

    record_key_pair(&key, index, p->child);
    return db_get(p->txn->db, DB_REFS, record_key_view(&key), &value) == DB_FOUND &&
           record_get_ref(value, &kind, &size) && kind == CHILD_MANIFEST &&
           index_txn_get_member(p->txn, p->repo, index, &member) == INDEX_FOUND;
}

static bool one_parent(void *arg, struct slice key, struct slice value)
{
    struct parents *p = arg;
    struct digest parent;

    (void)value;
    if (record_second_of_pair(key, &parent) && has_entry(p, &parent)) {
        p->found[p->n++] = parent;
    }
    return p->n < PARENTS_MAX;
}

/* What the index, whose body is in the table of bodies, says of its entry; else "". */
static void platform_in(struct index_txn *t, const struct digest *index, const struct digest *entry,
                        char out[PLATFORM_TEXT_MAX])
{
    struct record_key key;
    struct slice body;

    record_key_digest(&key, index);
    if (db_get(t->db, DB_BODIES, record_key_view(&key), &body) != DB_FOUND ||
        !platform_of_entry(body, entry, out)) {
        out[0] = '\0';
    }
}

static void write_note(struct index_txn *t, const struct note *n)
{
    struct parents parents = {
        .txn = t,
        .repo = index_put_repo(t, n->kind, n->repo),
        .child = &n->digest,
    };
    char platform[PLATFORM_TEXT_MAX];
    char text[DIGEST_TEXT_MAX];
    struct record_key prefix;

    if (n->tag[0] == '\0') {
        record_key_digest(&prefix, &n->digest);
        db_each(t->db, DB_PARENTS, record_key_view(&prefix), SLICE_NULL, one_parent, &parents);
    }
    for (unsigned i = 0; i < parents.n; i++) {
        platform_in(t, &parents.found[i], &n->digest, platform);
        put_pull(t, n, parents.repo, digest_text(&parents.found[i], text), platform);
    }
    if (parents.n == 0) {
        put_pull(t, n, parents.repo, n->tag, "");
    }
}

static void pulls_apply(struct index_write *w, struct index_txn *t)
{
    struct pulls *p = container_of(w, struct pulls, write);

    pthread_mutex_lock(&p->lock);
    if (list_empty(&p->taken)) {
        list_splice(&p->taken, &p->notes);
        p->n = 0;
    }
    pthread_mutex_unlock(&p->lock);
    list_each(it, &p->taken) {
        write_note(t, container_of(it, struct note, node));
    }
}

static void notes_free(struct list *notes)
{
    struct list *node;

    while ((node = list_pop(notes)) != NULL) {
        free(container_of(node, struct note, node));
    }
}

static void pulls_done(struct index_write *w)
{
    struct pulls *p = container_of(w, struct pulls, write);
    bool more;

    notes_free(&p->taken);
    pthread_mutex_lock(&p->lock);
    if (writer_refused(w)) {
        notes_free(&p->notes); /* nobody will take them any more */
        p->n = 0;
    }
    more = !list_empty(&p->notes);
    p->writing = more;
    pthread_mutex_unlock(&p->lock);
    if (more) {
        index_write_submit(p->store, NULL, &p->write);
    }
}

static void hurry_apply(struct index_write *w, struct index_txn *t)
{
    (void)w;
    (void)t;
}

static void hurry_done(struct index_write *w)
{
    struct pulls *p = container_of(w, struct pulls, hurry);

    pthread_mutex_lock(&p->lock);
    p->hurried = false;
    pthread_mutex_unlock(&p->lock);
}

/* What is lazy goes with what is not. A change that was being committed has left out what came
 * since; it was queued again before the answer to this one, and the next one goes behind it. */
int pulls_flush(struct store *s, struct err *err)
{
    bool more = true;
    int rc = 0;

    for (unsigned i = 0; i < 2 && more && rc == 0; i++) {
        struct index_write nothing = {.apply = hurry_apply};

        rc = writer_wait(s, &nothing, err);
        pthread_mutex_lock(&s->pulls->lock);
        more = s->pulls->writing;
        pthread_mutex_unlock(&s->pulls->lock);
    }
    return rc;
}

/* --- reading ------------------------------------------------------------------------------- */

struct pull_walk {
    bool (*f)(void *arg, const struct pull *p);
    void *arg;
};

static bool one_pull(void *arg, struct slice key, struct slice value)
{
    const struct pull_walk *walk = arg;
    struct record_pull record;
    struct pull pull;

    if (!record_time_of_pull(key, &pull.time) || !record_get_pull(value, &record) ||
        !record.has_digest) {
        return true;
    }
    pull.repo = record.repo;
    pull.digest = &record.digest;
    pull.reference = record.reference;
    pull.platform = record.platform;
    pull.client = record.client;
    return walk->f(walk->arg, &pull);
}

void pulls_each(struct index_read *r, int64_t since, bool (*f)(void *arg, const struct pull *p),
                void *arg)
{
    struct pull_walk walk = {f, arg};
    struct record_key from;

    record_key_pull(&from, since, 0);
    db_each(index_read_db(r), DB_PULLS, SLICE_NULL, record_key_view(&from), one_pull, &walk);
}

/* --- life ---------------------------------------------------------------------------------- */

struct pulls *pulls_new(struct store *s)
{
    struct pulls *p = xnew(struct pulls);

    p->store = s;
    pthread_mutex_init(&p->lock, NULL);
    list_init(&p->notes);
    list_init(&p->taken);
    p->write = (struct index_write){.apply = pulls_apply, .done = pulls_done, .lazy = true};
    p->hurry = (struct index_write){.apply = hurry_apply, .done = hurry_done};
    return p;
}

void pulls_free(struct pulls *p)
{
    if (p == NULL) {
        return;
    }
    pthread_mutex_destroy(&p->lock);
    notes_free(&p->notes);
    notes_free(&p->taken);
    free(p);
}
