/* test_store_evict.c - what gives way when there is no room, and what does not. */
#include "store/evict.c"

#include "store/gate.h"
#include "store/hosted.h"
#include "store_blobs.h"
#include "tap.h"

#define SIZE 1000u
#define DAY 86400

static struct err err;
static struct store *s;

static const struct retain_rule RULES[] = {{.pattern = "stage/**"},
                                           {.pattern = "cache/**", .gives_way = true}};
static const struct retain_rules ALL_RULES = {RULES, ARRAY_LEN(RULES)};

static void start(uint64_t max_size, bool keep_all)
{
    struct store_options options;

    store_dir_new();
    options = store_dir_options();
    options.retain = &ALL_RULES;
    options.max_size = max_size;
    options.keep_all = keep_all;
    s = store_open(&options, &err);
    CHECK(s != NULL);
}

static void stop(void)
{
    store_close(s);
}

/* How the n-th blob is to be recorded. */
struct blob {
    unsigned n;
    enum repo_kind kind; /* 0: of no repository */
    const char *repo;
    int64_t created; /* seconds ago, as all times */
    int64_t used;
    uint32_t hits;
    enum blob_class class;
    bool pinned;
    bool leased;
};

static struct digest digest_at(unsigned n)
{
    return nth_digest(n, SIZE);
}

static void put_as(struct index_txn *t, void *arg)
{
    const struct blob *b = arg;
    struct digest d = digest_at(b->n);
    struct member_record m = {.size = SIZE, .proof = PROOF_PUSHED, .kind = CHILD_LAYER};
    struct blob_record record;
    int64_t now = clock_wall_s();

    CHECK(index_txn_get_blob(t, &d, &record) == INDEX_FOUND);
    record.created = now - b->created;
    record.used = now - b->used;
    record.hits = b->hits;
    record.class = (uint8_t)b->class;
    record.pinned = b->pinned;
    index_txn_put_blob(t, &d, &record);
    m.proved = now - b->created;
    if (b->repo != NULL) {
        index_put_member(t, index_put_repo(t, b->kind, b->repo), &d, &m);
    }
}

static void add(struct blob b)
{
    struct digest d = digest_at(b.n);

    CHECK_INT(blob_add(s, b.n, SIZE, true, &err), 0);
    CHECK_INT(change(s, put_as, &b, &err), 0);
    if (b.leased) {
        CHECK(store_lease(s, &d));
    }
}

static bool is_here(unsigned n)
{
    struct digest d = digest_at(n);
    struct blob_record record;
    int fd = tree_open_blob(&s->tree, &d);
    bool known = blob_get(s, &d, &record) == INDEX_FOUND;

    CHECK_NOTE(known == (fd >= 0), "index and files agree");
    if (fd >= 0) {
        close(fd);
    }
    return known;
}

static void test_score(void)
{
    CHECK_NOTE(evict_score(200, 1000, 0) > evict_score(100, 1000, 0), "older goes first");
    CHECK_NOTE(evict_score(100, 1u << 30, 0) > evict_score(100, 1000, 0), "larger goes first");
    CHECK_NOTE(evict_score(100, 1000, 0) > evict_score(100, 1000, 9), "used more stays");
    CHECK_NOTE(evict_score(100, 16u << 20, 0) - evict_score(100, 1u << 20, 0) == 1 << 16,
               "16 times the size is as twice the age");
    CHECK_NOTE(evict_score(100, 1000, 0) - evict_score(100, 1000, 3) > 65000,
               "four times the uses is as half the age");
    CHECK_NOTE(evict_score(100 * DAY, 1000, 1000) == evict_score(100 * DAY, 1000, 0),
               "old uses count for nothing");
    CHECK_NOTE(evict_score(-5, 0, 0) == 0 && evict_score(INT32_MAX, UINT64_MAX, UINT32_MAX) > 0,
               "nothing overflows");
}

struct put {
    struct digest digest;
    struct blob_record record;
};

static void put_record(struct index_txn *t, void *arg)
{
    const struct put *p = arg;

    index_txn_put_blob(t, &p->digest, &p->record);
}

/* Hardly any key leads to a record that is close behind another; it goes all the same. */
static void test_close_neighbours(void)
{
    struct put put = {.digest = digest_at(1),
                      .record = {.size = SIZE, .created = clock_wall_s() - 99 * DAY}};
    struct blob_record b;

    start(12 * SIZE, false); /* not so full that they go by themselves */
    for (unsigned n = 0; n < 10; n++) {
        add((struct blob){.n = n, .created = DAY, .used = DAY});
    }
    put.record.used = put.record.created;
    put.digest.bytes[digest_size(&put.digest) - 1]++;
    CHECK_INT(change(s, put_record, &put, &err), 0);
    CHECK(evict_make_room(s, 2 * SIZE, 0));
    CHECK(blob_get(s, &put.digest, &b) == INDEX_ABSENT);
    for (unsigned n = 0; n < 10; n++) {
        CHECK(is_here(n));
    }
    stop();
}

/* Mirrored blobs go until there is room, the one that is used most stays. */
static void test_room(void)
{
    int left = 0;

    start(25 * SIZE, false);
    for (unsigned n = 0; n < 20; n++) {
        add((struct blob){.n = n,
                          .kind = REPO_MIRRORED,
                          .repo = "docker.io/x",
                          .created = DAY,
                          .used = n == 0 ? 1 : DAY,
                          .hits = n == 0 ? 100 : 0});
    }
    CHECK_NOTE(!store_reserve(s, 10 * SIZE), "there is no room");
    CHECK(evict_make_room(s, 10 * SIZE, 0));
    CHECK_NOTE(store_reserve(s, 10 * SIZE), "now there is room");
    store_release(s, 10 * SIZE);
    for (unsigned n = 0; n < 20; n++) {
        left += is_here(n) ? 1 : 0;
    }
    CHECK_INT(left, 15);
    CHECK(is_here(0));
    CHECK_INT(store_bytes(s), 15 * SIZE);
    CHECK_INT(counter_sum(COUNTER_evicted_bytes), 5 * SIZE);
    CHECK_NOTE(!evict_make_room(s, 26 * SIZE, 0), "what never fits removes nothing");
    CHECK_INT(store_bytes(s), 15 * SIZE);
    CHECK_NOTE(evict_make_room(s, 25 * SIZE, 0), "all of it, if need be");
    CHECK(!is_here(0));
    CHECK(blob_add(s, 0, SIZE, true, &err) == 0 && is_here(0));
    stop();
}

static void test_spared(void)
{
    static const struct blob SPARED[] = {
        {.n = 1, .created = DAY, .used = DAY, .pinned = true},
        {.n = 2, .created = DAY, .used = DAY, .leased = true},
        {.n = 3, .created = 10, .used = 10},
        {.n = 4, .kind = REPO_HOSTED, .repo = "stage/app", .created = DAY, .used = DAY},
        {.n = 5, .kind = REPO_HOSTED, .repo = "other/app", .created = DAY, .used = DAY},
    };

    start(10 * SIZE, false);
    for (size_t i = 0; i < ARRAY_LEN(SPARED); i++) {
        add(SPARED[i]);
    }
    add((struct blob){.n = 9, .created = DAY, .used = 0, .hits = 1000});
    CHECK(evict_make_room(s, 5 * SIZE, 0));
    CHECK(!is_here(9));
    CHECK(!evict_make_room(s, 6 * SIZE, 0));
    for (size_t i = 0; i < ARRAY_LEN(SPARED); i++) {
        CHECK(is_here(SPARED[i].n));
    }
    stop();
}

static void put_needs(struct index_txn *t, void *arg)
{
    static const struct {
        unsigned parent;
        unsigned child;
        enum child_kind kind;
    } NEEDS[] = {
        {1, 2, CHILD_MANIFEST}, {2, 3, CHILD_LAYER}, {1, 4, CHILD_REFERRER}, {6, 5, CHILD_LAYER}};

    (void)arg;
    for (size_t i = 0; i < ARRAY_LEN(NEEDS); i++) {
        struct digest parent = digest_at(NEEDS[i].parent);
        struct digest child = digest_at(NEEDS[i].child);

        index_put_ref(t, &parent, &child, NEEDS[i].kind, SIZE);
    }
}

/* Of 1, which is pinned, 2 is a child, and 3 of that; 4 refers to it; 5 is a child of 6, which is
 * not pinned. */
static void test_needed_by_pinned(void)
{
    start(10 * SIZE, false);
    for (unsigned n = 1; n <= 6; n++) {
        add((struct blob){.n = n, .created = DAY, .used = DAY, .pinned = n == 1});
    }
    CHECK_INT(change(s, put_needs, NULL, &err), 0);
    CHECK(evict_make_room(s, 7 * SIZE, 0));
    CHECK(!evict_make_room(s, 8 * SIZE, 0));
    CHECK(is_here(1) && is_here(2) && is_here(3));
    CHECK(!is_here(4) && !is_here(5) && !is_here(6));
    stop();
}

/* Manifests and configurations stay while they are few beside what may be held. */
static void test_small(void)
{
    start(200 * SIZE, false);
    for (unsigned n = 0; n < 2; n++) {
        add((struct blob){.n = n, .created = DAY, .used = DAY, .class = BLOB_MANIFEST});
        add((struct blob){.n = 10 + n, .created = DAY, .used = DAY, .class = BLOB_CONFIG});
        add((struct blob){.n = 20 + n, .created = DAY, .used = 1, .hits = 50});
    }
    CHECK(evict_make_room(s, 196 * SIZE, 0));
    CHECK(is_here(0) && is_here(1) && is_here(10) && is_here(11));
    CHECK(!is_here(20) && !is_here(21));
    stop();
    start(20 * SIZE, false);
    for (unsigned n = 0; n < 4; n++) {
        add((struct blob){.n = n, .created = DAY, .used = DAY, .class = BLOB_MANIFEST});
    }
    CHECK_NOTE(evict_make_room(s, 18 * SIZE, 0), "where they are many, they go too");
    stop();
}

static void test_never(void)
{
    start(2 * SIZE, true);
    add((struct blob){.n = 1, .created = DAY, .used = DAY});
    CHECK_NOTE(!evict_make_room(s, 2 * SIZE, 0), "offline nothing goes");
    CHECK(is_here(1));
    CHECK_INT(evict_tick(s->evict, 0), UINT64_MAX);
    stop();
}

/* Above the mark a run begins by itself, and ends below the lower one. */
static void test_marks(void)
{
    start(100 * SIZE, false);
    for (unsigned n = 0; n < 95; n++) {
        add((struct blob){.n = n, .created = DAY, .used = DAY});
    }
    CHECK_INT(store_bytes(s), 95 * SIZE);
    /* It may be gone again before it could be made older, as the others are. */
    CHECK_INT(blob_add(s, 95, SIZE, true, &err), 0);
    while (store_bytes(s) > 90 * SIZE || atomic_load(&s->evict->job.busy)) {
        sched_yield();
    }
    CHECK_INT(store_bytes(s), 90 * SIZE);
    stop();
}

/* --- repositories of class cache ----------------------------------------------------------- */

struct cached {
    const char *repo;
    const char *tag;
    unsigned manifest;
    unsigned layer;
    int64_t age;
};

static void put_cached(struct index_txn *t, void *arg)
{
    const struct cached *c = arg;
    struct descriptor child = {.digest = digest_at(c->layer), .size = SIZE, .kind = CHILD_LAYER};
    struct manifest parsed = {.n_children = 1, .children = &child};
    static char body[SIZE];
    bool may_take = true;
    struct hosted_manifest put = {.digest = digest_at(c->manifest),
                                  .body = slice_of(body, SIZE),
                                  .parsed = &parsed,
                                  .may_take = &may_take,
                                  .tags = &c->tag,
                                  .n_tags = 1};
    uint64_t repo = index_put_repo(t, REPO_HOSTED, c->repo);
    const struct digest both[] = {put.digest, child.digest};
    struct member_record m;
    struct tag_record tag;
    size_t missing;

    hosted_put_manifest(t, c->repo, &put, &missing);
    for (size_t i = 0; i < 2; i++) {
        if (index_txn_get_member(t, repo, &both[i], &m) == INDEX_FOUND) {
            m.proved -= c->age;
            index_put_member(t, repo, &both[i], &m);
        }
    }
    if (index_txn_get_tag(t, repo, TAG_TAG, c->tag, &tag) == INDEX_FOUND) {
        tag.checked -= c->age;
        tag.fetched -= c->age;
        index_del_tag(t, repo, TAG_TAG, c->tag);
        index_put_tag(t, repo, TAG_TAG, c->tag, &tag);
    }
}

static void cached(struct cached c)
{
    CHECK_INT(blob_add(s, c.manifest, SIZE, true, &err), 0);
    CHECK_INT(blob_add(s, c.layer, SIZE, true, &err), 0);
    CHECK_INT(change(s, put_cached, &c, &err), 0);
}

static bool tag_is_there(const char *repo, const char *tag)
{
    struct index_read *r = index_read_begin(s);
    struct tag_record record;
    uint64_t id;
    bool there = index_get_repo(r, REPO_HOSTED, repo, &id) == INDEX_FOUND &&
                 index_get_tag(r, id, TAG_TAG, tag, &record) == INDEX_FOUND;

    index_read_end(r);
    return there;
}

/* After the mirrored ones; the tag that was used longest ago first, with what it alone held. */
static void test_cache_gives_way(void)
{
    start(20 * SIZE, false);
    cached((struct cached){"cache/a", "old", 1, 2, 9 * DAY});
    cached((struct cached){"cache/a", "new", 3, 4, 1 * DAY});
    cached((struct cached){"cache/b", "middle", 5, 4, 5 * DAY});
    cached((struct cached){"stage/a", "oldest", 7, 8, 99 * DAY});
    add((struct blob){.n = 9, .created = DAY, .used = DAY});
    CHECK_INT(store_bytes(s), 8 * SIZE);
    CHECK(evict_make_room(s, 13 * SIZE, 0));
    CHECK(!is_here(9) && is_here(1));
    CHECK(evict_make_room(s, 14 * SIZE, 0));
    CHECK(!tag_is_there("cache/a", "old") && !is_here(1) && !is_here(2));
    CHECK(tag_is_there("cache/b", "middle") && tag_is_there("cache/a", "new"));
    CHECK(evict_make_room(s, 16 * SIZE, 0));
    CHECK(!tag_is_there("cache/b", "middle") && !is_here(5));
    CHECK_NOTE(is_here(4), "the other image has the same layer");
    CHECK(evict_make_room(s, 18 * SIZE, 0));
    CHECK(!tag_is_there("cache/a", "new") && !is_here(3) && !is_here(4));
    CHECK(!evict_make_room(s, 19 * SIZE, 0));
    CHECK(tag_is_there("stage/a", "oldest") && is_here(7) && is_here(8));
    stop();
}

static void pin_in(struct index_txn *t, void *arg)
{
    const struct digest *d = arg;

    index_pin_blob(t, d, true);
}

/* The oldest tag is of a pinned image: it stays, and no other goes in vain. */
static void test_cache_keeps_what_is_pinned(void)
{
    struct digest pinned[] = {digest_at(1), digest_at(2)};

    start(6 * SIZE, false);
    cached((struct cached){"cache/a", "old", 1, 2, 9 * DAY});
    cached((struct cached){"cache/a", "new", 3, 4, 1 * DAY});
    for (size_t i = 0; i < ARRAY_LEN(pinned); i++) {
        CHECK_INT(change(s, pin_in, &pinned[i], &err), 0);
    }
    CHECK(evict_make_room(s, 4 * SIZE, 0));
    CHECK(tag_is_there("cache/a", "old") && is_here(1) && is_here(2));
    CHECK(!tag_is_there("cache/a", "new") && !is_here(3) && !is_here(4));
    CHECK(!evict_make_room(s, 5 * SIZE, 0));
    CHECK(tag_is_there("cache/a", "old") && is_here(1) && is_here(2));
    stop();
}

/* What a push brought a moment ago will be named yet. */
static void test_cache_keeps_what_is_young(void)
{
    start(4 * SIZE, false);
    add((struct blob){.n = 1, .kind = REPO_HOSTED, .repo = "cache/a", .created = 20, .used = 20});
    add((struct blob){.n = 2, .kind = REPO_HOSTED, .repo = "cache/a", .created = DAY, .used = DAY});
    CHECK(evict_make_room(s, 3 * SIZE, 0));
    CHECK(is_here(1) && !is_here(2));
    CHECK(!evict_make_room(s, 4 * SIZE, 0));
    CHECK(is_here(1));
    stop();
}

/* The one that would go first is just being put there again: others go in its place. */
static void test_another_where_one_is_in_use(void)
{
    struct digest first = digest_at(0);

    start(12 * SIZE, false); /* not so full that they go by themselves */
    for (unsigned n = 0; n < 10; n++) {
        add((struct blob){.n = n,
                          .kind = REPO_MIRRORED,
                          .repo = "docker.io/x",
                          .created = 900 * DAY,
                          .used = n == 0 ? 900 * DAY : 1});
    }
    gate_enter(s->gate, &first);
    CHECK(evict_make_room(s, 3 * SIZE, 0));
    CHECK(is_here(0));
    gate_leave(s->gate, &first);
    stop();
}

int main(void)
{
    log_setup(LOG_ERROR, false); /* what runs tell of themselves is not for the results */
    test_score();
    test_room();
    test_close_neighbours();
    test_spared();
    test_needed_by_pinned();
    test_small();
    test_never();
    test_another_where_one_is_in_use();
    test_marks();
    test_cache_gives_way();
    test_cache_keeps_what_is_pinned();
    test_cache_keeps_what_is_young();
    store_dir_join_pool();
    return tap_done();
}
