/*
 * test_store_retain.c - what goes from hosted repositories, and what never does.
 *
 * Blobs are real files. Time is moved by writing records that are older than now.
 */
#include "store_blobs.h"
#include "tap.h"

/* What lies between a candidate and its removal is not seen from outside. */
#include "store/retain.c"

#include "base/clock.h"
#include "base/limits.h"
#include "store/gate.h"
#include "store/hosted.h"
#include "store/inner.h"
#include "store/judge.h"
#include "store/keep.h"
#include "store/lease.h"
#include "store/retain.h"

#include <sys/stat.h>

#define DAY (24 * 3600)
#define LAYER 100u
#define IMAGE 200u
#define INDEX 500u

static struct err err;
static struct store *s;

static const char *const PROTECTED[] = {"release-*", "latest"};
static const struct retain_rule RULES[] = {
    {.pattern = "stage/keep", .keep_tags = 2, .protect = PROTECTED, .n_protect = 2},
    {.pattern = "stage/old",
     .expire_after_s = 10 * DAY,
     .untagged_after_s = DAY,
     .protect = PROTECTED,
     .n_protect = 2},
    {.pattern = "stage/**"},
    {.pattern = "cache/**", .untagged_after_s = 7 * DAY},
};
static const struct retain_rules ALL_RULES = {RULES, ARRAY_LEN(RULES)};

static struct digest digest_of(unsigned n)
{
    return nth_digest(n, 500);
}

/* --- making ------------------------------------------------------------------------------- */

static void start(void)
{
    struct store_options options;

    store_dir_new();
    options = store_dir_options();
    options.retain = &ALL_RULES;
    s = store_open(&options, &err);
    CHECK(s != NULL);
}

struct made {
    const char *repo;
    unsigned n;
    int64_t age; /* of its last push or use */
    struct manifest parsed;
    struct descriptor children[6];
    const char *tag;
    size_t missing;
};

static void put_layer(struct index_txn *t, void *arg)
{
    struct made *m = arg;
    struct digest d = digest_of(m->n);
    uint64_t repo = index_put_repo(t, REPO_HOSTED, m->repo);
    struct member_record member;

    hosted_put_blob(t, m->repo, &d, 500);
    if (index_txn_get_member(t, repo, &d, &member) == INDEX_FOUND) {
        member.proved -= m->age;
        index_put_member(t, repo, &d, &member);
    }
}

static void layer(const char *repo, unsigned n, int64_t age)
{
    struct made m = {.repo = repo, .n = n, .age = age};

    CHECK_INT(blob_add(s, n, 500, true, &err), 0);
    CHECK_INT(change(s, put_layer, &m, &err), 0);
}

static void put_image(struct index_txn *t, void *arg)
{
    struct made *m = arg;
    struct digest d = digest_of(m->n);
    uint64_t repo = index_put_repo(t, REPO_HOSTED, m->repo);
    static char body[500];
    struct hosted_manifest put = {
        .digest = d,
        .body = slice_of(body, sizeof(body)),
        .parsed = &m->parsed,
        .tags = &m->tag,
        .n_tags = m->tag == NULL ? 0 : 1,
    };
    struct member_record member;
    struct tag_record tag;

    m->parsed.children = m->children;
    hosted_put_manifest(t, m->repo, &put, &m->missing);
    if (index_txn_get_member(t, repo, &d, &member) == INDEX_FOUND) {
        member.proved -= m->age;
        index_put_member(t, repo, &d, &member);
    }
    if (m->tag != NULL && index_txn_get_tag(t, repo, TAG_TAG, m->tag, &tag) == INDEX_FOUND) {
        tag.checked -= m->age;
        index_put_tag(t, repo, TAG_TAG, m->tag, &tag);
    }
}

static void image(struct made m)
{
    CHECK_INT(blob_add(s, m.n, 500, true, &err), 0);
    CHECK_INT(change(s, put_image, &m, &err), 0);
}

static struct made names(struct made m, unsigned n, enum child_kind kind)
{
    m.children[m.parsed.n_children++] =
        (struct descriptor){.digest = digest_of(n), .size = 500, .kind = kind};
    return m;
}

/* An image of one layer, which was asked for when it was named. */
static void simple(const char *repo, unsigned n, const char *tag, int64_t age)
{
    layer(repo, n + LAYER, age);
    image(
        names((struct made){.repo = repo, .n = n, .tag = tag, .age = age}, n + LAYER, CHILD_LAYER));
    layer(repo, n + LAYER, age);
}

/* --- asking -------------------------------------------------------------------------------- */

static bool has(const char *repo, unsigned n)
{
    struct index_read *r = index_read_begin(s);
    struct digest d = digest_of(n);
    struct member_record m;
    uint64_t id;
    bool found = index_get_repo(r, REPO_HOSTED, repo, &id) == INDEX_FOUND &&
                 index_get_member(r, id, &d, &m) == INDEX_FOUND;

    index_read_end(r);
    return found;
}

static bool has_tag(const char *repo, const char *tag)
{
    struct index_read *r = index_read_begin(s);
    struct tag_record t;
    uint64_t id;
    bool found = index_get_repo(r, REPO_HOSTED, repo, &id) == INDEX_FOUND &&
                 index_get_tag(r, id, TAG_TAG, tag, &t) == INDEX_FOUND;

    index_read_end(r);
    return found;
}

/* Record and file, which must agree. */
static bool is_here(unsigned n)
{
    struct digest d = digest_of(n);
    struct blob_record b;
    bool record = blob_get(s, &d, &b) == INDEX_FOUND;

    CHECK_INT(tree_size(&s->tree, &d), record ? 500 : -1);
    return record;
}

struct report {
    unsigned n;
    uint64_t hash;
};

static void note(void *arg, const struct retain_gone *gone)
{
    struct report *report = arg;
    uint64_t one = digest_hash(gone->digest) * 31 + (uint64_t)gone->what;

    for (const char *p = gone->tag; *p != '\0'; p++) {
        one = one * 31 + (unsigned char)*p;
    }
    for (const char *p = gone->repo; *p != '\0'; p++) {
        one = one * 31 + (unsigned char)*p;
    }
    report->n++;
    report->hash += one; /* in whatever order */
}

/* A dry run says what the run behind it does. */
static struct retain_sum run(void)
{
    struct report dry = {0};
    struct report real = {0};
    struct retain_sum would;
    struct retain_sum did;

    CHECK_INT(retain_run(s, true, note, &dry, &would, &err), 0);
    CHECK_INT(retain_run(s, false, note, &real, &did, &err), 0);
    CHECK(dry.n == real.n && dry.hash == real.hash);
    CHECK(memcmp(&would, &did, sizeof(did)) == 0);
    CHECK_INT(retain_run(s, false, NULL, NULL, &would, &err), 0);
    CHECK_INT(would.tags + would.manifests + would.blobs + would.bytes, 0); /* nothing is left */
    return did;
}

/* --- tests --------------------------------------------------------------------------------- */

static void test_nothing_goes_unasked(void)
{
    struct retain_sum sum;

    start();
    simple("stage/a", IMAGE, "one", 400 * DAY);
    simple("stage/a", IMAGE + 1, NULL, 400 * DAY);
    sum = run();
    CHECK_INT(sum.tags + sum.manifests + sum.blobs + sum.bytes, 0);
    CHECK(is_here(IMAGE) && is_here(IMAGE + 1) && is_here(IMAGE + LAYER));
    store_close(s);
}

static void test_unreferenced_blobs(void)
{
    struct retain_sum sum;
    struct digest leased = digest_of(LAYER + 2);

    start();
    layer("stage/a", LAYER, 2 * DAY);
    layer("stage/a", LAYER + 1, DAY / 2); /* within the grace */
    layer("stage/a", LAYER + 2, 2 * DAY); /* somebody was told that it is here */
    CHECK(store_lease(s, &leased));
    layer("stage/b", LAYER + 3, 2 * DAY); /* from one repository, but not the other */
    layer("stage/a", LAYER + 3, 2 * DAY);
    image(names((struct made){.repo = "stage/b", .n = IMAGE, .tag = "t"}, LAYER + 3, CHILD_LAYER));
    sum = run();
    CHECK(!has("stage/a", LAYER) && !is_here(LAYER));
    CHECK(has("stage/a", LAYER + 1) && is_here(LAYER + 1));
    CHECK(has("stage/a", LAYER + 2) && is_here(LAYER + 2));
    CHECK(!has("stage/a", LAYER + 3) && has("stage/b", LAYER + 3) && is_here(LAYER + 3));
    CHECK_INT(sum.blobs, 2);
    CHECK_INT(sum.bytes, 500);
    store_close(s);
}

static void put_mirrored(struct index_txn *t, void *arg)
{
    const struct digest *d = arg;
    struct member_record m = {.size = 500, .proof = PROOF_UPSTREAM_ANSWER};

    index_put_member(t, index_put_repo(t, REPO_MIRRORED, "docker.io/library/x"), d, &m);
}

static void test_mirrored_bytes_stay(void)
{
    struct digest d = digest_of(LAYER);
    struct retain_sum sum;

    start();
    layer("stage/a", LAYER, 2 * DAY);
    CHECK_INT(change(s, put_mirrored, &d, &err), 0);
    sum = run();
    CHECK(!has("stage/a", LAYER) && is_here(LAYER));
    CHECK(sum.blobs == 1 && sum.bytes == 0);
    store_close(s);
}

static void test_tags_by_number(void)
{
    static const char *const TAGS[] = {"a", "b", "c", "d", "latest", "release-1"};
    struct retain_sum sum;

    start();
    for (unsigned i = 0; i < ARRAY_LEN(TAGS); i++) {
        simple("stage/keep", IMAGE + i, TAGS[i], (int64_t)(i + 1) * DAY);
    }
    sum = run();
    CHECK(has_tag("stage/keep", "a") && has_tag("stage/keep", "b"));
    CHECK(!has_tag("stage/keep", "c") && !has_tag("stage/keep", "d"));
    CHECK(has_tag("stage/keep", "latest") && has_tag("stage/keep", "release-1"));
    CHECK_INT(sum.tags, 2);
    CHECK(has("stage/keep", IMAGE + 2)); /* the rule says nothing of manifests */
    store_close(s);
}

/* Which of them was pushed last nobody knows. */
static void test_tags_of_one_second(void)
{
    struct retain_sum sum;

    start();
    simple("stage/keep", IMAGE, "d", DAY);
    simple("stage/keep", IMAGE + 1, "a", 2 * DAY);
    simple("stage/keep", IMAGE + 2, "b", 2 * DAY);
    simple("stage/keep", IMAGE + 3, "c", 3 * DAY);
    sum = run();
    CHECK(has_tag("stage/keep", "d") && has_tag("stage/keep", "a") && has_tag("stage/keep", "b"));
    CHECK(!has_tag("stage/keep", "c"));
    CHECK_INT(sum.tags, 1);
    store_close(s);
}

static void test_tags_by_age(void)
{
    struct retain_sum sum;

    start();
    simple("stage/old", IMAGE, "new", 9 * DAY);
    simple("stage/old", IMAGE + 1, "old", 11 * DAY);
    simple("stage/old", IMAGE + 2, "latest", 11 * DAY);
    sum = run();
    CHECK(has_tag("stage/old", "new") && has_tag("stage/old", "latest"));
    CHECK(!has_tag("stage/old", "old"));
    CHECK(has("stage/old", IMAGE + 1)); /* without a tag since just now */
    CHECK_INT(sum.tags, 1);
    CHECK_INT(sum.manifests + sum.blobs, 0);
    store_close(s);
}

/* An index in an index, each with its children; what is tagged keeps all of it. */
static void nested(const char *repo, const char *tag, int64_t age)
{
    simple(repo, IMAGE, NULL, age);
    simple(repo, IMAGE + 1, NULL, age);
    image(names(names((struct made){.repo = repo, .n = INDEX, .age = age}, IMAGE, CHILD_MANIFEST),
                IMAGE + 1, CHILD_MANIFEST));
    image(names((struct made){.repo = repo, .n = INDEX + 1, .tag = tag, .age = age}, INDEX,
                CHILD_MANIFEST));
}

static void test_an_index_and_its_children(void)
{
    struct retain_sum sum;

    start();
    nested("stage/old", "latest", 400 * DAY);
    sum = run();
    CHECK_INT(sum.manifests + sum.blobs + sum.bytes, 0);
    store_close(s);

    start();
    nested("stage/old", NULL, 400 * DAY);
    sum = run();
    CHECK(!has("stage/old", INDEX + 1) && !has("stage/old", INDEX) && !has("stage/old", IMAGE));
    CHECK(!is_here(INDEX + 1) && !is_here(INDEX) && !is_here(IMAGE + 1) && !is_here(IMAGE + LAYER));
    CHECK_INT(sum.manifests, 4);
    CHECK_INT(sum.blobs, 2);
    CHECK_INT(sum.bytes, 6 * 500);
    store_close(s);
}

static void test_referrers_go_with_their_subject(void)
{
    struct made signature = {.repo = "stage/old", .n = IMAGE + 7, .age = 400 * DAY};

    start();
    simple("stage/old", IMAGE, "latest", 400 * DAY);
    signature.parsed.has_subject = true;
    signature.parsed.subject = digest_of(IMAGE);
    image(signature);
    run();
    CHECK(has("stage/old", IMAGE + 7));
    store_close(s);

    start();
    simple("stage/old", IMAGE, NULL, 400 * DAY);
    image(signature);
    run();
    CHECK(!has("stage/old", IMAGE) && !has("stage/old", IMAGE + 7) && !is_here(IMAGE + 7));
    store_close(s);
}

/* An index that names its own subject as a child: each of the two refers to the other. */
static void ring(const char *index_tag, const char *image_tag, int64_t age)
{
    struct made index = {.repo = "stage/old", .n = INDEX, .tag = index_tag, .age = age};

    index.parsed.has_subject = true;
    index.parsed.subject = digest_of(IMAGE);
    simple("stage/old", IMAGE, image_tag, 400 * DAY);
    image(names(index, IMAGE, CHILD_MANIFEST));
}

static bool ring_stays(void)
{
    bool stays;

    run();
    stays = has("stage/old", INDEX);
    CHECK_INT(has("stage/old", IMAGE), stays);
    CHECK_INT(is_here(INDEX), stays);
    CHECK_INT(is_here(IMAGE), stays);
    CHECK_INT(is_here(IMAGE + LAYER), stays);
    return stays;
}

static void pin_index(struct index_txn *t, void *arg)
{
    struct digest d = digest_of(INDEX);
    struct blob_record b;

    CHECK_INT(index_txn_get_blob(t, &d, &b), INDEX_FOUND);
    b.pinned = *(const bool *)arg;
    index_put_blob(t, &d, &b);
}

static void test_a_ring_holds_nothing(void)
{
    struct made holder = {.repo = "stage/old", .n = INDEX + 1, .tag = "latest", .age = 400 * DAY};
    struct digest leased = digest_of(INDEX);
    bool pinned = true;

    start();
    ring(NULL, NULL, 400 * DAY);
    CHECK(!ring_stays());
    ring("latest", NULL, 400 * DAY);
    CHECK(ring_stays());
    store_close(s);

    start();
    ring(NULL, "latest", 400 * DAY);
    CHECK(ring_stays());
    store_close(s);

    start();
    ring(NULL, NULL, DAY / 2);
    CHECK(ring_stays());
    ring(NULL, NULL, 400 * DAY);
    image(names(holder, INDEX, CHILD_MANIFEST));
    CHECK(ring_stays());
    store_close(s);

    start();
    ring(NULL, NULL, 400 * DAY);
    CHECK_INT(change(s, pin_index, &pinned, &err), 0);
    CHECK(ring_stays());
    pinned = false;
    CHECK_INT(change(s, pin_index, &pinned, &err), 0);
    CHECK(store_lease(s, &leased));
    CHECK(ring_stays());
    store_close(s);
}

/* Each is a child of the next and the last of the first. */
static void test_a_long_ring(void)
{
    const unsigned n = 2 * BATCH + 3;

    start();
    for (unsigned i = 0; i < n; i++) {
        image(names((struct made){.repo = "stage/old", .n = INDEX + i, .age = 400 * DAY},
                    INDEX + (i + 1) % n, CHILD_MANIFEST));
    }
    CHECK_INT(run().manifests, n);
    CHECK(!is_here(INDEX) && !is_here(INDEX + n - 1));
    store_close(s);
}

struct edge {
    struct digest parent;
    struct digest child;
    bool there;
};

static void look_edge(struct index_txn *t, void *arg)
{
    struct edge *e = arg;
    struct record_key key;
    struct slice value;

    record_key_pair(&key, &e->parent, &e->child);
    e->there = db_get(t->db, DB_REFS, record_key_view(&key), &value) == DB_FOUND;
    record_key_pair(&key, &e->child, &e->parent);
    CHECK((db_get(t->db, DB_PARENTS, record_key_view(&key), &value) == DB_FOUND) == e->there);
}

static bool has_edge(unsigned parent, unsigned child)
{
    struct edge e = {digest_of(parent), digest_of(child), false};

    CHECK_INT(change(s, look_edge, &e, &err), 0);
    return e.there;
}

/* A manifest takes the edges that it made, and leaves those of others. */
static void test_edges(void)
{
    struct made signature = {.repo = "stage/a", .n = IMAGE + 7, .tag = "s"};

    start();
    simple("stage/old", IMAGE, NULL, 400 * DAY);
    image(names((struct made){.repo = "stage/a", .n = INDEX, .tag = "i"}, IMAGE, CHILD_MANIFEST));
    signature.parsed.has_subject = true;
    signature.parsed.subject = digest_of(IMAGE);
    image(signature);
    CHECK(has_edge(IMAGE, IMAGE + LAYER));
    run();
    CHECK(!is_here(IMAGE));
    CHECK(!has_edge(IMAGE, IMAGE + LAYER));
    CHECK(has_edge(INDEX, IMAGE));
    CHECK(has_edge(IMAGE, IMAGE + 7)); /* the signature's own */
    store_close(s);
}

/* --- between candidate and removal --------------------------------------------------------- */

/* The report of the first thing that goes: a push comes in. */
static void push_meanwhile(void *arg, const struct retain_gone *gone)
{
    bool *done = arg;

    (void)gone;
    if (!*done) {
        *done = true;
        simple("stage/old", IMAGE + 1, "latest", 0);
    }
}

static void test_a_push_keeps_it(void)
{
    struct retain_sum sum;
    bool pushed = false;

    start();
    simple("stage/old", IMAGE, NULL, 400 * DAY);
    simple("stage/old", IMAGE + 1, NULL, 400 * DAY);
    CHECK_INT(retain_run(s, false, push_meanwhile, &pushed, &sum, &err), 0);
    CHECK(pushed && has_tag("stage/old", "latest"));
    CHECK(is_here(IMAGE + 1) && is_here(IMAGE + 1 + LAYER) && has("stage/old", IMAGE + 1 + LAYER));
    store_close(s);
}

/* --- leftovers ----------------------------------------------------------------------------- */

static void forget_member(struct index_txn *t, void *arg)
{
    const struct digest *d = arg;

    index_del_member(t, index_put_repo(t, REPO_HOSTED, "stage/a"), d);
}

struct aged {
    struct digest digest;
    enum blob_class class;
    int64_t age;
};

static void set_age(struct index_txn *t, void *arg)
{
    const struct aged *a = arg;
    struct blob_record b;

    if (index_txn_get_blob(t, &a->digest, &b) == INDEX_FOUND) {
        b.created = clock_wall_s() - a->age;
        b.class = a->class;
        index_txn_put_blob(t, &a->digest, &b);
    }
}

static void leave(unsigned n, enum blob_class class, int64_t age)
{
    struct aged a = {digest_of(n), class, age};

    layer("stage/a", n, 0);
    CHECK_INT(change(s, forget_member, &a.digest, &err), 0);
    CHECK_INT(change(s, set_age, &a, &err), 0);
}

static void test_leftovers(void)
{
    start();
    leave(LAYER, BLOB_LAYER, 2 * DAY);
    leave(LAYER + 1, BLOB_OTHER, 2 * DAY); /* as what was adopted */
    leave(LAYER + 2, BLOB_LAYER, 60);
    run();
    CHECK(!is_here(LAYER) && is_here(LAYER + 1) && is_here(LAYER + 2));
    store_close(s);
}

static void test_drop(void)
{
    struct digest d[3] = {digest_of(LAYER), digest_of(LAYER + 1), digest_of(LAYER)};

    start();
    leave(LAYER, BLOB_LAYER, 0);
    layer("stage/a", LAYER + 1, 400 * DAY); /* held */
    retain_drop(s, d, 3);
    store_quiesce(s);
    CHECK(!is_here(LAYER) && is_here(LAYER + 1));
    store_close(s);
}

/* --- between the snapshot and the change ----------------------------------------------------- */

static struct run quiet_run(void)
{
    return (struct run){.store = s, .rules = &ALL_RULES, .now = clock_wall_s(), .err = &err};
}

static uint64_t id_of(const char *repo)
{
    struct index_read *r = index_read_begin(s);
    uint64_t id = 0;

    CHECK(index_get_repo(r, REPO_HOSTED, repo, &id) == INDEX_FOUND);
    index_read_end(r);
    return id;
}

static struct batch *batch_of(struct place *p, bool manifests, int64_t before)
{
    struct batch *b = xnew(struct batch);

    b->place = p;
    b->write.apply = batch_apply;
    b->manifests = manifests;
    b->before = before;
    record_key_members(&b->next, p->repo);
    return b;
}

/* A candidate that is tagged, or named, before the change stays. */
static void test_members_are_judged_again(void)
{
    struct run run;
    struct place p;
    struct batch *b;

    start();
    run = quiet_run();
    simple("stage/old", IMAGE, NULL, 400 * DAY);
    layer("stage/old", LAYER, 400 * DAY);
    p = (struct place){&run, id_of("stage/old"), "stage/old", &RULES[1]};
    b = batch_of(&p, true, run.now - DAY);
    CHECK_INT(batch_find(b), 0);
    CHECK_INT(b->n, 1);
    image(names((struct made){.repo = "stage/old", .n = INDEX, .tag = "i", .age = 400 * DAY}, IMAGE,
                CHILD_MANIFEST));
    CHECK_INT(batch_remove(b), 0);
    CHECK(has("stage/old", IMAGE) && is_here(IMAGE));
    free(b);
    b = batch_of(&p, false, run.now - DAY);
    CHECK_INT(batch_find(b), 0);
    CHECK_INT(b->n, 1);
    image(
        names((struct made){.repo = "stage/old", .n = IMAGE + 1, .tag = "t"}, LAYER, CHILD_LAYER));
    CHECK_INT(batch_remove(b), 0);
    CHECK(has("stage/old", LAYER) && is_here(LAYER));
    free(b);
    store_close(s);
}

/* A tag that was pushed again since it was judged stays. */
static void test_tags_are_judged_again(void)
{
    struct keep_tag *tags;
    struct run run;
    struct place p;
    size_t n;

    start();
    run = quiet_run();
    simple("stage/old", IMAGE, "old", 11 * DAY);
    p = (struct place){&run, id_of("stage/old"), "stage/old", &RULES[1]};
    CHECK_INT(keep_find(s, p.repo, p.rule, run.now, &tags, &n), 0);
    CHECK_INT(n, 1);
    simple("stage/old", IMAGE, "old", 0);
    CHECK_INT(del_tags(&p, tags, n), 0);
    CHECK(has_tag("stage/old", "old"));
    CHECK_INT(run.sum.tags, 0);
    free(tags);
    store_close(s);
}

/* --- what else holds bytes ------------------------------------------------------------------- */

static void pin(struct index_txn *t, void *arg)
{
    struct blob_record b;

    CHECK(index_txn_get_blob(t, arg, &b) == INDEX_FOUND);
    b.pinned = true;
    index_txn_put_blob(t, arg, &b);
}

static void test_leases_and_pins_hold_bytes(void)
{
    struct digest leased = digest_of(LAYER);
    struct digest pinned = digest_of(LAYER + 1);

    start();
    leave(LAYER, BLOB_LAYER, 2 * DAY);
    leave(LAYER + 1, BLOB_LAYER, 2 * DAY);
    leave(LAYER + 2, BLOB_LAYER, 2 * DAY);
    CHECK(store_lease(s, &leased));
    CHECK_INT(change(s, pin, &pinned, &err), 0);
    run();
    CHECK(is_here(LAYER) && is_here(LAYER + 1) && !is_here(LAYER + 2));
    store_close(s);
}

/* Somebody puts it there just now: neither record nor file goes. */
static void test_a_gate_holds_bytes(void)
{
    struct digest d = digest_of(LAYER);

    start();
    leave(LAYER, BLOB_LAYER, 2 * DAY);
    gate_enter(s->gate, &d);
    CHECK_INT(drop_bytes(s, &d, 1, NULL, NULL, &err), 0);
    CHECK(is_here(LAYER));
    gate_leave(s->gate, &d);
    CHECK_INT(drop_bytes(s, &d, 1, NULL, NULL, &err), 0);
    CHECK(!is_here(LAYER));
    store_close(s);
}

/* --- more than one change takes -------------------------------------------------------------- */

static void test_more_than_a_batch(void)
{
    struct retain_sum sum;

    start();
    for (unsigned i = 0; i < 2 * BATCH + 1; i++) {
        layer("stage/a", 1000 + i, 2 * DAY);
        leave(2000 + i, BLOB_LAYER, 2 * DAY);
    }
    sum = run();
    CHECK_INT(sum.blobs, 2 * BATCH + 1);
    CHECK_INT(sum.bytes, 2 * (2 * BATCH + 1) * 500);
    store_close(s);
}

static void test_counts(void)
{
    int64_t before[] = {counter_sum(COUNTER_retain_tags), counter_sum(COUNTER_retain_manifests),
                        counter_sum(COUNTER_retain_blobs), counter_sum(COUNTER_retain_bytes)};
    struct retain_sum sum;

    start();
    simple("stage/old", IMAGE, NULL, 400 * DAY);
    simple("stage/old", IMAGE + 1, "old", 11 * DAY);
    sum = run();
    CHECK(sum.tags == 1 && sum.manifests == 1 && sum.blobs == 1 && sum.bytes == 1000);
    CHECK_INT(counter_sum(COUNTER_retain_tags) - before[0], 1);
    CHECK_INT(counter_sum(COUNTER_retain_manifests) - before[1], 1);
    CHECK_INT(counter_sum(COUNTER_retain_blobs) - before[2], 1);
    CHECK_INT(counter_sum(COUNTER_retain_bytes) - before[3], 1000);
    store_close(s);
}

static void test_patterns_of_tags(void)
{
    CHECK(keep_pattern_valid("release-*") && keep_pattern_valid("V1.2_x") &&
          keep_pattern_valid("*"));
    CHECK(!keep_pattern_valid("") && !keep_pattern_valid("a/b") && !keep_pattern_valid("a b"));
}

int main(void)
{
    test_nothing_goes_unasked();
    test_unreferenced_blobs();
    test_mirrored_bytes_stay();
    test_tags_by_number();
    test_tags_of_one_second();
    test_tags_by_age();
    test_an_index_and_its_children();
    test_referrers_go_with_their_subject();
    test_a_ring_holds_nothing();
    test_a_long_ring();
    test_edges();
    test_a_push_keeps_it();
    test_leftovers();
    test_drop();
    test_members_are_judged_again();
    test_tags_are_judged_again();
    test_leases_and_pins_hold_bytes();
    test_a_gate_holds_bytes();
    test_more_than_a_batch();
    test_counts();
    test_patterns_of_tags();
    store_dir_join_pool();
    return tap_done();
}
