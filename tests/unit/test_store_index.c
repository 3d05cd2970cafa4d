/* test_store_index.c - questions and changes of the index, and the thread that groups them. */
#include "store_blobs.h"
#include "tap.h"

#include "base/clock.h"
#include "base/counter.h"
#include "base/log.h"
#include "store/check.h"

#include <pthread.h>

static struct err err;

/* --- what is put can be asked for ---------------------------------------------------------- */

static void fill(struct index_txn *t, void *arg)
{
    uint64_t *repos = arg;
    struct digest manifest = nth_digest(1, 10);
    struct member_record m = {.size = 10, .proof = PROOF_UPSTREAM_ANSWER, .proved = 5};

    repos[0] = index_put_repo(t, REPO_MIRRORED, "docker.io/library/alpine");
    repos[1] = index_put_repo(t, REPO_HOSTED, "docker.io/library/alpine");
    repos[2] = index_put_repo(t, REPO_MIRRORED, "docker.io/library/alpine");
    index_put_blob(t, &manifest, &(struct blob_record){.size = 10, .class = BLOB_MANIFEST});
    index_put_body(t, &manifest, "0123456789", 10);
    index_put_member(t, repos[0], &manifest, &m);
    m.proof = PROOF_MANIFEST;
    index_put_member(t, repos[1], &manifest, &m);
    for (unsigned n = 2; n < 5; n++) {
        struct digest child = nth_digest(n, 10);

        index_put_ref(t, &manifest, &child, (uint8_t)n, 100 + n);
    }
}

struct seen {
    unsigned n;
    unsigned stop;
    uint64_t sum;
    char text[512];
};

static bool see_holder(void *arg, uint64_t repo, const struct member_record *m)
{
    struct seen *seen = arg;

    seen->sum += repo * 100 + m->proof;
    return ++seen->n != seen->stop;
}

static bool see_ref(void *arg, const struct digest *child, uint8_t kind, uint64_t size)
{
    struct seen *seen = arg;
    struct digest want = nth_digest(kind, 10);

    seen->sum += size;
    seen->n += digest_equal(&want, child);
    return true;
}

static bool see_tag(void *arg, const char *reference, const struct tag_record *t)
{
    struct seen *seen = arg;

    (void)t;
    snprintf(seen->text + strlen(seen->text), 64, "%.60s ", reference);
    return ++seen->n != seen->stop;
}

static bool see_repo(void *arg, uint64_t repo, const char *name)
{
    struct seen *seen = arg;

    seen->sum += repo;
    snprintf(seen->text + strlen(seen->text), 64, "%.60s ", name);
    return ++seen->n != seen->stop;
}

static bool see_member(void *arg, const struct digest *d, const struct member_record *m)
{
    struct seen *seen = arg;
    struct digest want = nth_digest((unsigned)m->size, 10);

    seen->sum += digest_equal(&want, d);
    return ++seen->n != seen->stop;
}

static void put_repos(struct index_txn *t, void *arg)
{
    static const char *const NAMES[] = {"stage/b", "stage/a", "cache/z", "stage/a/b"};
    uint64_t *repo = arg;

    for (size_t i = 0; i < ARRAY_LEN(NAMES); i++) {
        repo[i] = index_put_repo(t, REPO_HOSTED, NAMES[i]);
    }
    index_put_repo(t, REPO_MIRRORED, "docker.io/library/x");
    for (unsigned n = 1; n < 5; n++) {
        struct digest d = nth_digest(n, 10);

        index_put_member(t, n < 4 ? repo[1] : repo[2], &d,
                         &(struct member_record){.size = n, .proof = PROOF_PUSHED});
    }
}

static void test_walks(void)
{
    struct seen seen = {0};
    struct index_read *r;
    uint64_t repos[4];
    struct store *s;

    store_dir_new();
    s = store_dir_open();
    CHECK_INT(change(s, put_repos, repos, &err), 0);
    r = index_read_begin(s);
    index_each_repo(r, REPO_HOSTED, "", see_repo, &seen);
    CHECK_STR(seen.text, "cache/z stage/a stage/a/b stage/b ");
    CHECK_INT(seen.sum, repos[0] + repos[1] + repos[2] + repos[3]);
    seen = (struct seen){0};
    index_each_repo(r, REPO_HOSTED, "stage/a", see_repo, &seen);
    CHECK_STR(seen.text, "stage/a/b stage/b ");
    seen = (struct seen){.stop = 1};
    index_each_repo(r, REPO_HOSTED, "cache/zz", see_repo, &seen);
    CHECK_STR(seen.text, "stage/a ");
    seen = (struct seen){0};
    index_each_repo(r, REPO_MIRRORED, "", see_repo, &seen);
    CHECK_STR(seen.text, "docker.io/library/x ");
    seen = (struct seen){0};
    index_each_member(r, repos[1], see_member, &seen);
    CHECK(seen.n == 3 && seen.sum == 3);
    seen = (struct seen){.stop = 2};
    index_each_member(r, repos[1], see_member, &seen);
    CHECK_INT(seen.n, 2);
    seen = (struct seen){0};
    index_each_member(r, repos[3], see_member, &seen);
    CHECK_INT(seen.n, 0);
    index_read_end(r);
    store_close(s);
}

static void test_questions(void)
{
    struct digest manifest = nth_digest(1, 10);
    unsigned char body[BODY_MAX];
    struct seen seen = {0};
    struct member_record m = {0};
    enum repo_kind kind = REPO_HOSTED;
    struct index_read *r;
    uint64_t repos[3];
    uint64_t id = 0;
    char name[512];
    struct store *s;
    size_t n = 0;

    store_dir_new();
    s = store_dir_open();
    CHECK_INT(change(s, fill, repos, &err), 0);
    CHECK(repos[0] != 0 && repos[0] == repos[2] && repos[1] != repos[0]);
    r = index_read_begin(s);
    CHECK(index_get_repo(r, REPO_MIRRORED, "docker.io/library/alpine", &id) == INDEX_FOUND);
    CHECK_INT(id, repos[0]);
    CHECK(index_get_repo(r, REPO_MIRRORED, "docker.io/library/alpin", &id) == INDEX_ABSENT);
    CHECK(index_get_repo_name(r, repos[0], &kind, name) == INDEX_FOUND);
    CHECK(kind == REPO_MIRRORED);
    CHECK_STR(name, "docker.io/library/alpine");
    CHECK(index_get_repo_name(r, 99, &kind, name) == INDEX_ABSENT);
    CHECK(index_get_body(r, &manifest, body, &n) == INDEX_FOUND && n == 10 &&
          memcmp(body, "0123456789", 10) == 0);
    CHECK(index_get_member(r, repos[0], &manifest, &m) == INDEX_FOUND && m.proved == 5);
    CHECK(index_get_member(r, 99, &manifest, &m) == INDEX_ABSENT);
    index_each_holder(r, &manifest, see_holder, &seen);
    CHECK_INT(seen.n, 2);
    CHECK_INT(seen.sum, repos[0] * 100 + repos[1] * 100 + PROOF_UPSTREAM_ANSWER + PROOF_MANIFEST);
    seen = (struct seen){.stop = 1};
    index_each_holder(r, &manifest, see_holder, &seen);
    CHECK_INT(seen.n, 1);
    seen = (struct seen){0};
    index_each_ref(r, &manifest, see_ref, &seen);
    CHECK_INT(seen.n, 3);
    CHECK_INT(seen.sum, 102 + 103 + 104);
    index_read_end(r);
    store_close(s);
}

/* --- tags ---------------------------------------------------------------------------------- */

struct tag_put {
    const char *reference;
    struct tag_record value;
};

static void put_tag(struct index_txn *t, void *arg)
{
    const struct tag_put *p = arg;

    index_put_tag(t, 7, TAG_TAG, p->reference, &p->value);
}

static void del_tag(struct index_txn *t, void *arg)
{
    index_del_tag(t, 7, TAG_TAG, arg);
}

static void put_tags(struct index_txn *t, void *arg)
{
    char *longest = arg;
    struct tag_record value = {.digest = nth_digest(1, 1), .fetched = 1, .checked = 1};

    index_put_tag(t, 6, TAG_TAG, "other", &value);
    index_put_tag(t, 7, TAG_LIST, "", &value);
    index_put_tag(t, 8, TAG_TAG, "another", &value);
    index_put_tag(t, 7, TAG_TAG, "b", &value);
    index_put_tag(t, 7, TAG_TAG, "a", &value);
    index_put_tag(t, 7, TAG_TAG, "ab", &value);
    memset(longest, 'z', REFERENCE_MAX);
    index_put_tag(t, 7, TAG_TAG, longest, &value);
}

static struct tag_record get_tag(struct store *s, const char *reference)
{
    struct index_read *r = index_read_begin(s);
    struct tag_record t = {0};

    ignore_result(index_get_tag(r, 7, TAG_TAG, reference, &t) != INDEX_FOUND);
    index_read_end(r);
    return t;
}

static void see_tags(struct store *s, const char *after, unsigned stop, struct seen *ret)
{
    struct index_read *r = index_read_begin(s);

    *ret = (struct seen){.stop = stop};
    index_each_tag(r, 7, TAG_TAG, after, see_tag, ret);
    index_read_end(r);
}

static void test_tags(void)
{
    char longest[REFERENCE_MAX + 1] = "";
    struct tag_put p = {"a", {.digest = nth_digest(2, 1), .fetched = 50, .checked = 50}};
    struct tag_record t;
    struct seen seen;
    struct store *s;

    store_dir_new();
    s = store_dir_open();
    CHECK_INT(change(s, put_tags, longest, &err), 0);
    see_tags(s, "", 0, &seen);
    CHECK_INT(seen.n, 4);
    CHECK_NOTE(strncmp(seen.text, "a ab b zzzz", 11) == 0, "tags come in byte order");
    see_tags(s, "a", 2, &seen);
    CHECK_STR(seen.text, "ab b ");
    see_tags(s, "aa", 1, &seen);
    CHECK_STR(seen.text, "ab ");
    CHECK_INT(get_tag(s, longest).fetched, 1);
    CHECK_INT(change(s, put_tag, &p, &err), 0);
    p.value.fetched = 60;
    p.value.checked = 60;
    CHECK_INT(change(s, put_tag, &p, &err), 0);
    t = get_tag(s, "a");
    CHECK_NOTE(t.fetched == 50 && t.checked == 60, "the same value only moves `checked`");
    CHECK_INT(change(s, del_tag, longest, &err), 0);
    CHECK_INT(get_tag(s, longest).fetched, 0);
    CHECK_NOTE(get_tag(s, "b").fetched == 1, "others stay");
    store_close(s);
}

/* --- records that are none ----------------------------------------------------------------- */

static void put_rubbish(struct index_txn *t, void *arg)
{
    struct digest d = nth_digest(1, 10);
    struct record_key key;

    (void)arg;
    record_key_digest(&key, &d);
    db_put(t->db, DB_BLOBS, record_key_view(&key), slice_str("\x63rubbish"));
    db_put(t->db, DB_PARTIALS, record_key_view(&key), slice_str(""));
    record_key_member(&key, 1, &d);
    db_put(t->db, DB_MEMBERS, record_key_view(&key), slice_str("\x01"));
    record_key_holder(&key, &d, 1);
    db_put(t->db, DB_HOLDERS, record_key_view(&key), slice_str(""));
    ignore_result(!record_key_tag(&key, 7, TAG_TAG, "a"));
    db_put(t->db, DB_TAGS, record_key_view(&key), slice_str("\x01\x09"));
}

static void test_rubbish(void)
{
    struct tag_put p = {"a", {.digest = nth_digest(2, 1), .fetched = 50, .checked = 50}};
    struct digest d = nth_digest(1, 10);
    struct partial_record partial;
    struct seen seen = {0};
    struct index_read *r;
    struct blob_record b;
    struct member_record m;
    struct tag_record t;
    struct store *s;

    store_dir_new();
    s = store_dir_open();
    CHECK_INT(change(s, put_rubbish, NULL, &err), 0);
    r = index_read_begin(s);
    CHECK(index_get_blob(r, &d, &b) == INDEX_ABSENT);
    CHECK(index_get_partial(r, &d, &partial) == INDEX_ABSENT);
    CHECK(index_get_member(r, 1, &d, &m) == INDEX_ABSENT);
    CHECK(index_get_tag(r, 7, TAG_TAG, "a", &t) == INDEX_ABSENT);
    index_each_holder(r, &d, see_holder, &seen);
    index_each_tag(r, 7, TAG_TAG, "", see_tag, &seen);
    CHECK_INT(seen.n, 0);
    index_read_end(r);
    CHECK(store_check(s, false, &err) < 0);
    CHECK_INT(change(s, put_tag, &p, &err), 0);
    CHECK_NOTE(get_tag(s, "a").fetched == 50, "a record that is none can be written over");
    CHECK_INT(blob_add(s, 1, 10, true, &err), 0);
    CHECK(blob_is_whole(s, 1, 10));
    store_close(s);
}

/* --- groups -------------------------------------------------------------------------------- */

#define THREADS 6
#define EACH 40

struct load {
    struct store *store;
    unsigned number;
    unsigned missed; /* what was acknowledged and cannot be read */
};

static void *load_thread(void *arg)
{
    struct load *l = arg;

    for (unsigned i = 0; i < EACH; i++) {
        struct blob_put put = {nth_digest(l->number * 1000 + i, 8), {.size = 8, .synced = true}};
        struct blob_record b;
        struct err e;

        if (change(l->store, blob_put_in, &put, &e) < 0 ||
            blob_get(l->store, &put.digest, &b) != INDEX_FOUND) {
            l->missed++;
        }
    }
    return NULL;
}

static void test_groups(void)
{
    struct load loads[THREADS];
    pthread_t threads[THREADS];
    int64_t commits;
    int64_t changes;
    struct store *s;

    store_dir_new();
    s = store_dir_open();
    commits = counter_sum(COUNTER_index_commits);
    changes = counter_sum(COUNTER_index_changes);
    for (unsigned i = 0; i < THREADS; i++) {
        loads[i] = (struct load){s, i, 0};
        pthread_create(&threads[i], NULL, load_thread, &loads[i]);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        CHECK_NOTE(loads[i].missed == 0, "what was acknowledged can be read");
    }
    changes = counter_sum(COUNTER_index_changes) - changes;
    commits = counter_sum(COUNTER_index_commits) - commits;
    CHECK_INT(changes, THREADS * EACH);
    CHECK_NOTE(commits < changes, "changes share commits");
    CHECK_INT(store_bytes(s), 8 * THREADS * EACH);
    store_close(s);
}

/* A gate for the writer: what is submitted while it is shut makes one group. */
struct gate {
    struct index_write write;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool entered;
    bool open;
};

static void gate_apply(struct index_write *w, struct index_txn *t)
{
    struct gate *g = container_of(w, struct gate, write);

    (void)t;
    pthread_mutex_lock(&g->lock);
    g->entered = true;
    pthread_cond_broadcast(&g->changed);
    while (!g->open) {
        pthread_cond_wait(&g->changed, &g->lock);
    }
    pthread_mutex_unlock(&g->lock);
}

static void gate_done(struct index_write *w)
{
    (void)w;
}

static void gate_shut(struct store *s, struct gate *g)
{
    *g = (struct gate){.write = {.apply = gate_apply, .done = gate_done}};
    pthread_mutex_init(&g->lock, NULL);
    pthread_cond_init(&g->changed, NULL);
    index_write_submit(s, NULL, &g->write);
    pthread_mutex_lock(&g->lock);
    while (!g->entered) {
        pthread_cond_wait(&g->changed, &g->lock);
    }
    pthread_mutex_unlock(&g->lock);
}

static void gate_open(struct gate *g)
{
    pthread_mutex_lock(&g->lock);
    g->open = true;
    pthread_cond_broadcast(&g->changed);
    pthread_mutex_unlock(&g->lock);
}

struct counted {
    struct index_write write;
    char reference[REFERENCE_MAX + 16];
    atomic_uint *left;
    unsigned applied;
};

static void counted_apply(struct index_write *w, struct index_txn *t)
{
    struct counted *c = container_of(w, struct counted, write);
    struct tag_record value = {.digest = nth_digest(1, 1), .fetched = 9, .checked = 9};

    c->applied++;
    index_put_tag(t, 7, TAG_TAG, c->reference, &value);
}

static void counted_done(struct index_write *w)
{
    atomic_fetch_sub(container_of(w, struct counted, write)->left, 1);
}

static void noop(struct index_txn *t, void *arg)
{
    (void)t;
    (void)arg;
}

/* One change that cannot be applied fails alone, and those of its group are applied anew. */
static void test_bad_change(void)
{
    struct counted *c = xcalloc(3, sizeof(*c));
    atomic_uint left = 3;
    struct gate gate;
    struct store *s;

    store_dir_new();
    s = store_dir_open();
    gate_shut(s, &gate);
    for (unsigned i = 0; i < 3; i++) {
        c[i].write = (struct index_write){.apply = counted_apply, .done = counted_done};
        c[i].left = &left;
        snprintf(c[i].reference, sizeof(c[i].reference), "tag%u", i);
        if (i == 1) {
            memset(c[i].reference, 'x', sizeof(c[i].reference) - 1);
        }
        index_write_submit(s, NULL, &c[i].write);
    }
    gate_open(&gate);
    CHECK_INT(change(s, noop, NULL, &err), 0);
    CHECK_INT(atomic_load(&left), 0);
    CHECK(!c[0].write.failed && c[1].write.failed && !c[2].write.failed);
    CHECK(c[1].write.err.code == ERR_STORE && c[0].applied == 2 && c[2].applied == 1);
    CHECK_INT(get_tag(s, "tag0").fetched, 9);
    CHECK_INT(get_tag(s, "tag2").fetched, 9);
    store_close(s);
    free(c);
}

/* A change of many records. */
struct large {
    struct index_write write;
    unsigned n;
    unsigned *order;
};

#define LARGE 5000

static void large_apply(struct index_write *w, struct index_txn *t)
{
    const struct large *l = container_of(w, struct large, write);
    struct digest parent = nth_digest(l->n, 10);
    struct digest child = {.alg = DIGEST_SHA256};

    for (unsigned i = 0; i < LARGE / 2; i++) {
        memcpy(child.bytes, &i, sizeof(i));
        index_put_ref(t, &parent, &child, 1, 1);
    }
}

static void large_done(struct index_write *w)
{
    struct large *l = container_of(w, struct large, write);

    CHECK(*l->order == l->n && !w->failed);
    (*l->order)++;
}

/* Many large changes at once are several transactions, in their order. */
static void test_large_group(void)
{
    struct large *l = xcalloc(10, sizeof(*l));
    struct gate gate;
    unsigned order = 0;
    int64_t commits;
    struct store *s;

    store_dir_new();
    s = store_dir_open();
    gate_shut(s, &gate);
    for (unsigned i = 0; i < 10; i++) {
        l[i] = (struct large){{.apply = large_apply, .done = large_done}, i, &order};
        index_write_submit(s, NULL, &l[i].write);
    }
    commits = counter_sum(COUNTER_index_commits);
    gate_open(&gate);
    CHECK_INT(change(s, noop, NULL, &err), 0);
    CHECK_INT(order, 10);
    CHECK_NOTE(counter_sum(COUNTER_index_commits) - commits >= 4, "none holds all 50,000 records");
    store_close(s);
    free(l);
}

/* --- lazy ones ----------------------------------------------------------------------------- */

static void put_old(struct index_txn *t, void *arg)
{
    struct blob_record b = {.size = 8, .synced = true, .used = clock_wall_s() - 601};

    index_txn_put_blob(t, arg, &b);
}

static void test_touches(void)
{
    struct digest old = nth_digest(1, 8);
    struct blob_put put = {nth_digest(2, 8), {.size = 8, .synced = true}};
    struct blob_record b = {0};
    struct gate gate;
    struct store *s;

    store_dir_new();
    s = store_dir_open();
    CHECK_INT(change(s, put_old, &old, &err), 0);
    put.record.used = clock_wall_s() - 590;
    CHECK_INT(change(s, blob_put_in, &put, &err), 0);
    gate_shut(s, &gate);
    for (unsigned i = 0; i < 5; i++) {
        index_touch_blob(s, &old);
        index_touch_blob(s, &put.digest);
    }
    gate_open(&gate);
    CHECK_NOTE(blob_get(s, &old, &b) == INDEX_FOUND && b.hits == 0, "touches wait for company");
    CHECK_INT(change(s, noop, NULL, &err), 0);
    CHECK(blob_get(s, &old, &b) == INDEX_FOUND && b.hits == 1);
    CHECK(b.used >= clock_wall_s() - 5);
    CHECK_NOTE(blob_get(s, &put.digest, &b) == INDEX_FOUND && b.hits == 0, "not so young ones");
    index_touch_blob(s, &old);
    store_close(s); /* commits what is lazy */
    s = store_dir_open();
    CHECK_NOTE(blob_get(s, &old, &b) == INDEX_FOUND && b.hits == 1, "once in ten minutes");
    store_close(s);
}

int main(void)
{
    log_setup(LOG_ERROR, false);
    test_questions();
    test_walks();
    test_tags();
    test_rubbish();
    test_groups();
    test_bad_change();
    test_large_group();
    test_touches();
    store_dir_join_pool();
    return tap_done();
}
