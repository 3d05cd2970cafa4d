/* test_ask.c - questions to upstreams: shared, tried again, remembered for a while, no longer. */
#include "base/counter.h"
#include "base/log.h"
#include "cache/ask_steps.h"
#include "cache/flow.h"
#include "fake_store.h"
#include "fake_upstream.h"
#include "oci/manifest.h"

#include "tap.h"

static struct upstream hub = {"docker.io", 0, NULL};
static struct fake_route heads = {&hub, "a/x", FETCH_MANIFEST, true, .n = 0};
static struct fake_route gets = {&hub, "a/x", FETCH_MANIFEST, false, .n = 0};
static struct fake_route blob_heads = {&hub, "a/x", FETCH_BLOB, true, .n = 0};
static struct fake_route blob_gets = {&hub, "a/x", FETCH_BLOB, false, .n = 0};
static struct fake_route tag_lists = {&hub, "a/x", FETCH_TAGS, false, .n = 0};
static struct fake_route referrers = {&hub, "a/x", FETCH_REFERRERS, false, .n = 0};

static const char LAYER[] =
    "sha256:1111111111111111111111111111111111111111111111111111111111111111";

/* Two manifests, and their digests. */
static char bodies[2][1024];
static struct digest digests[2];

struct asker {
    struct ask *ask;
    struct loop *loop;
    struct waiter waiter;
    struct task task;
    enum ask_state state;
    bool joined;
};

static struct loop *loop_a;
static struct loop *loop_b;
static struct cache *cache;
static struct cache_repo repo;

#define SCRIPT(route, ...)                                                                         \
    do {                                                                                           \
        const struct fake_reply replies[] = {__VA_ARGS__};                                         \
        upstream_script(route, replies, ARRAY_LEN(replies));                                       \
    } while (0)
#define MANIFEST(i)                                                                                \
    {                                                                                              \
        .body = bodies[i], .size = strlen(bodies[i]), .media = MEDIA_TYPE_OCI_MANIFEST,            \
        .digest = &digests[i]                                                                      \
    }

static void settle(void)
{
    unsigned turns = 0;

    do {
        fake_turn();
        assert(++turns < 100000);
    } while (fake_loop_busy() || (!fake_pool_held && fake_job()) || (!fake.held && fake_write()));
}

static void pass_ms(uint64_t ms)
{
    for (uint64_t end = fake_ms + ms; fake_ms < end;) {
        fake_ms = end - fake_ms < 10 ? end : fake_ms + 10;
        while (fake_fire()) {
            settle();
        }
    }
    settle();
}

static void asker_run(struct task *t)
{
    struct asker *a = container_of(t, struct asker, task);

    if (a->state == ASK_NOT_YET) {
        a->state = ask_poll(a->ask, a->loop, &a->waiter);
    }
}

static void asker_wake(struct waiter *w)
{
    struct asker *a = container_of(w, struct asker, waiter);

    loop_defer(a->loop, &a->task);
}

static void ask_from(struct asker *a, struct loop *l, enum ask_kind kind, const char *reference)
{
    *a = (struct asker){.loop = l};
    waiter_init(&a->waiter, asker_wake);
    task_init(&a->task, asker_run);
    a->ask = ask_join(cache, l, kind, &repo, reference, &a->joined);
    loop_defer(l, &a->task);
}

static void ask_end(struct asker *a)
{
    bell_leave(&a->waiter);
    task_cancel(&a->task);
    ask_unref(a->ask);
}

/* Asks, waits for the end, and lets go: the state, and the error or digest. */
static enum ask_state ask_once(enum ask_kind kind, const char *reference, struct err *ret_err,
                               struct digest *ret_digest)
{
    struct asker a;

    ask_from(&a, loop_a, kind, reference);
    settle();
    for (unsigned i = 0; i < 300 && a.state == ASK_NOT_YET; i++) {
        pass_ms(100);
    }
    *ret_err = ask_result(a.ask)->err;
    *ret_digest = ask_result(a.ask)->digest;
    ask_end(&a);
    settle();
    return a.state;
}

static void begin(void)
{
    settle();
    pass_ms(limits.bad_digest + 1); /* what was remembered is over */
    disk_reset();
    SCRIPT(&heads, {.fail = ERR_UPSTREAM_DOWN});
    SCRIPT(&gets, {.fail = ERR_UPSTREAM_DOWN});
}

/* --- tags ---------------------------------------------------------------------------------- */

static void test_shared(void)
{
    enum { N = 50 };
    static struct asker a[N];
    struct tag_record tag;
    struct member_record m;
    struct digest layer;
    uint64_t id = 0;

    begin();
    SCRIPT(&heads, MANIFEST(0));
    SCRIPT(&gets, MANIFEST(0));
    for (unsigned i = 0; i < N; i++) {
        ask_from(&a[i], i % 2 == 0 ? loop_a : loop_b, ASK_TAG, "latest");
        if (i > 40) {
            fake_turn();
        }
    }
    settle();
    for (unsigned i = 0; i < N; i++) {
        CHECK_INT(a[i].state, ASK_FETCHED);
        CHECK_INT(a[i].joined, i > 0);
        ask_end(&a[i]);
    }
    CHECK_INT(heads.asked, 1);
    CHECK_INT(gets.asked, 1);
    CHECK(strncmp(gets.reference, "sha256:", 7) == 0); /* the digest that HEAD told */
    CHECK(index_get_repo(&fake.read, REPO_MIRRORED, "docker.io/a/x", &id) == INDEX_FOUND);
    CHECK(index_get_tag(&fake.read, id, TAG_TAG, "latest", &tag) == INDEX_FOUND);
    CHECK(digest_equal(&tag.digest, &digests[0]));
    CHECK(digest_parse(slice_str(LAYER), &layer));
    CHECK(index_get_member(&fake.read, id, &layer, &m) == INDEX_FOUND);
    CHECK_INT(m.proof, PROOF_MANIFEST);
    CHECK_INT(m.kind, CHILD_LAYER);
    settle();

    ask_from(&a[0], loop_a, ASK_TAG, "latest"); /* later: a HEAD, and nothing more */
    settle();
    CHECK_INT(a[0].state, ASK_CONFIRMED);
    CHECK_INT(heads.asked, 2);
    CHECK_INT(gets.asked, 1);
    ask_end(&a[0]);
    settle();
}

static void test_answers(void)
{
    struct fake_reply bare = MANIFEST(0);
    struct digest d;
    struct err err;

    begin(); /* HEAD is refused: a GET of the tag, whose bytes say what they are */
    SCRIPT(&heads, {.fail = ERR_UNSUPPORTED});
    SCRIPT(&gets, MANIFEST(0));
    CHECK_INT(ask_once(ASK_TAG, "1", &err, &d), ASK_FETCHED);
    CHECK(digest_equal(&d, &digests[0]));
    CHECK_STR(gets.reference, "1");

    begin(); /* no Docker-Content-Digest */
    bare.digest = NULL;
    SCRIPT(&heads, bare);
    SCRIPT(&gets, bare);
    CHECK_INT(ask_once(ASK_TAG, "1", &err, &d), ASK_FETCHED);
    CHECK(digest_equal(&d, &digests[0]));
    CHECK_STR(gets.reference, "1");

    begin(); /* the tag moves: the digest that HEAD told is gone */
    SCRIPT(&heads, MANIFEST(0));
    SCRIPT(&gets, {.fail = ERR_MANIFEST_UNKNOWN}, MANIFEST(1));
    CHECK_INT(ask_once(ASK_TAG, "1", &err, &d), ASK_FETCHED);
    CHECK(digest_equal(&d, &digests[1]));

    begin(); /* the header is a lie about the bytes of a tag: the bytes count */
    SCRIPT(&heads, {.fail = ERR_UNSUPPORTED});
    bare = (struct fake_reply)MANIFEST(1);
    bare.digest = &digests[0];
    SCRIPT(&gets, bare);
    CHECK_INT(ask_once(ASK_TAG, "1", &err, &d), ASK_FETCHED);
    CHECK(digest_equal(&d, &digests[1]));
}

static void test_wrong(void)
{
    struct fake_reply wrong = MANIFEST(1);
    char text[DIGEST_TEXT_MAX];
    struct blob_record record;
    struct digest d;
    struct err err;

    begin(); /* asked by digest, other bytes: refused for a minute, nothing kept */
    SCRIPT(&gets, wrong);
    digest_text(&digests[0], text);
    CHECK_INT(ask_once(ASK_DIGEST, text, &err, &d), ASK_FAILED);
    CHECK_INT(err.code, ERR_DIGEST_MISMATCH);
    CHECK(fake_get_blob(&digests[0], &record) == INDEX_ABSENT);
    CHECK(fake_get_blob(&digests[1], &record) == INDEX_ABSENT);
    SCRIPT(&gets, MANIFEST(0));
    pass_ms(limits.bad_digest / 2);
    CHECK_INT(ask_once(ASK_DIGEST, text, &err, &d), ASK_FAILED);
    CHECK_INT(gets.asked, 0);
    pass_ms(limits.bad_digest / 2);
    CHECK_INT(ask_once(ASK_DIGEST, text, &err, &d), ASK_FETCHED);

    begin(); /* not a manifest */
    SCRIPT(&gets, {.body = "<html>", .size = 6, .media = "text/html"});
    SCRIPT(&heads, {.fail = ERR_UNSUPPORTED});
    CHECK_INT(ask_once(ASK_TAG, "1", &err, &d), ASK_FAILED);
    CHECK_INT(err.code, ERR_MANIFEST_INVALID);
    SCRIPT(&gets, MANIFEST(0));
    CHECK_INT(ask_once(ASK_TAG, "1", &err, &d), ASK_FETCHED); /* that is not remembered */

    begin(); /* too large, said or not */
    SCRIPT(&heads, {.fail = ERR_UNSUPPORTED});
    SCRIPT(&gets, {.body = bodies[0], .size = 64ull << 20});
    CHECK_INT(ask_once(ASK_TAG, "1", &err, &d), ASK_FAILED);
    CHECK_INT(err.code, ERR_UPSTREAM_PROTOCOL);
}

/* --- failures ------------------------------------------------------------------------------ */

static void test_retries(void)
{
    struct digest d;
    struct err err;

    begin();
    SCRIPT(&heads, {.fail = ERR_UPSTREAM_DOWN}, {.fail = ERR_TIMEOUT}, MANIFEST(0));
    SCRIPT(&gets, MANIFEST(0));
    CHECK_INT(ask_once(ASK_TAG, "1", &err, &d), ASK_FETCHED);
    CHECK_INT(heads.asked, 3);

    begin();
    CHECK_INT(ask_once(ASK_TAG, "1", &err, &d), ASK_FAILED);
    CHECK_INT(err.code, ERR_UPSTREAM_DOWN);
    CHECK_INT(heads.asked, 3);
    CHECK_INT(ask_once(ASK_TAG, "1", &err, &d), ASK_FAILED); /* not remembered: asked again */
    CHECK_INT(heads.asked, 6);

    begin();
    SCRIPT(&heads, {.fail = ERR_TOO_MANY, .retry_after = 3600});
    CHECK_INT(ask_once(ASK_TAG, "1", &err, &d), ASK_FAILED);
    CHECK_INT(err.code, ERR_TOO_MANY);
    CHECK_INT(err.retry_after, 3600);
    CHECK_INT(heads.asked, 1); /* too long to wait for */
}

/* A "no" is remembered for its own time, also where a longer one was said before it. */
static void test_memory(void)
{
    char text[DIGEST_TEXT_MAX];
    struct digest d;
    struct err err;

    begin();
    SCRIPT(&gets, MANIFEST(1));
    CHECK_INT(ask_once(ASK_DIGEST, digest_text(&digests[0], text), &err, &d), ASK_FAILED);
    SCRIPT(&heads, {.fail = ERR_MANIFEST_UNKNOWN});
    CHECK_INT(ask_once(ASK_TAG, "no", &err, &d), ASK_FAILED);
    CHECK_INT(err.code, ERR_MANIFEST_UNKNOWN);
    CHECK_INT(ask_once(ASK_TAG, "no", &err, &d), ASK_FAILED);
    CHECK_INT(heads.asked, 1);
    pass_ms(limits.negative);
    SCRIPT(&heads, MANIFEST(0));
    SCRIPT(&gets, MANIFEST(0));
    CHECK_INT(ask_once(ASK_TAG, "no", &err, &d), ASK_FETCHED);

    begin(); /* a refusal is not remembered: the next client may be asked for by another token */
    SCRIPT(&heads, {.fail = ERR_UPSTREAM_REFUSED});
    SCRIPT(&gets, {.fail = ERR_UPSTREAM_REFUSED});
    CHECK_INT(ask_once(ASK_TAG, "no", &err, &d), ASK_FAILED);
    CHECK_INT(ask_once(ASK_TAG, "no", &err, &d), ASK_FAILED);
    CHECK_INT(heads.asked, 2);
}

/* Gone upstream is gone here. */
static void test_gone(void)
{
    struct tag_record tag;
    struct digest d;
    struct err err;
    uint64_t id = 0;

    begin();
    SCRIPT(&heads, MANIFEST(0), {.fail = ERR_MANIFEST_UNKNOWN});
    SCRIPT(&gets, MANIFEST(0));
    CHECK_INT(ask_once(ASK_TAG, "1", &err, &d), ASK_FETCHED);
    CHECK_INT(ask_once(ASK_TAG, "1", &err, &d), ASK_FAILED);
    CHECK(index_get_repo(&fake.read, REPO_MIRRORED, "docker.io/a/x", &id) == INDEX_FOUND);
    CHECK(index_get_tag(&fake.read, id, TAG_TAG, "1", &tag) == INDEX_ABSENT);

    begin(); /* names that somebody made up do not fill the index */
    SCRIPT(&heads, {.fail = ERR_MANIFEST_UNKNOWN});
    CHECK_INT(ask_once(ASK_TAG, "1", &err, &d), ASK_FAILED);
    CHECK_INT(fake.n_repos, 0);
    CHECK_INT(fake.n_writes, 0);
}

/* An answer that never ends, while somebody always waits: it is given up, and asked for anew. */
static void test_endless(void)
{
    struct fake_reply slow = MANIFEST(0);
    struct asker a;

    begin();
    slow.gate = 1;
    SCRIPT(&heads, {.fail = ERR_UNSUPPORTED});
    SCRIPT(&gets, slow);
    ask_from(&a, loop_a, ASK_TAG, "1");
    for (unsigned i = 2; a.state == ASK_NOT_YET && i < 200; i++) {
        pass_ms(5000);
        upstream_open(&gets, i);
    }
    CHECK_INT(a.state, ASK_FAILED);
    CHECK_INT(ask_result(a.ask)->err.code, ERR_TIMEOUT);
    CHECK_INT(net.n_live, 0);
    ask_end(&a);
    settle();
}

/* --- membership ---------------------------------------------------------------------------- */

static void test_member(void)
{
    struct member_record m;
    struct digest d;
    struct digest layer;
    struct err err;
    uint64_t id = 0;

    begin();
    CHECK(digest_parse(slice_str(LAYER), &layer));
    SCRIPT(&blob_heads, {.body = "x", .size = 77});
    CHECK_INT(ask_once(ASK_MEMBER, LAYER, &err, &d), ASK_CONFIRMED);
    CHECK(index_get_repo(&fake.read, REPO_MIRRORED, "docker.io/a/x", &id) == INDEX_FOUND);
    CHECK(index_get_member(&fake.read, id, &layer, &m) == INDEX_FOUND);
    CHECK_INT(m.size, 77);
    CHECK_INT(m.proof, PROOF_UPSTREAM_ANSWER);

    begin(); /* HEAD is refused: one byte */
    SCRIPT(&blob_heads, {.fail = ERR_UNSUPPORTED});
    SCRIPT(&blob_gets, {.body = "xy", .size = 2});
    CHECK_INT(ask_once(ASK_MEMBER, LAYER, &err, &d), ASK_CONFIRMED);
    CHECK_INT(blob_gets.asked, 1);

    begin(); /* the first byte of an empty blob */
    SCRIPT(&blob_gets, {.fail = ERR_RANGE});
    CHECK_INT(ask_once(ASK_MEMBER, LAYER, &err, &d), ASK_CONFIRMED);

    begin(); /* 404 ends a proof; a failing upstream does not */
    SCRIPT(&blob_heads, {.body = "x", .size = 1}, {.fail = ERR_UPSTREAM_DOWN},
           {.fail = ERR_UPSTREAM_DOWN}, {.fail = ERR_UPSTREAM_DOWN}, {.fail = ERR_BLOB_UNKNOWN});
    CHECK_INT(ask_once(ASK_MEMBER, LAYER, &err, &d), ASK_CONFIRMED);
    CHECK_INT(ask_once(ASK_MEMBER, LAYER, &err, &d), ASK_FAILED);
    CHECK(index_get_repo(&fake.read, REPO_MIRRORED, "docker.io/a/x", &id) == INDEX_FOUND);
    CHECK(index_get_member(&fake.read, id, &layer, &m) == INDEX_FOUND);
    CHECK_INT(ask_once(ASK_MEMBER, LAYER, &err, &d), ASK_FAILED);
    CHECK_INT(err.code, ERR_BLOB_UNKNOWN);
    CHECK(index_get_member(&fake.read, id, &layer, &m) == INDEX_ABSENT);
}

/* A digest that was first asked for as a blob is a manifest once upstream answers it as one. */
static void test_kinds(void)
{
    char text[DIGEST_TEXT_MAX];
    struct member_record m;
    struct digest d;
    struct err err;
    uint64_t id = 0;

    begin();
    SCRIPT(&blob_heads, {.body = "x", .size = 1});
    SCRIPT(&gets, MANIFEST(0));
    digest_text(&digests[0], text);
    CHECK_INT(ask_once(ASK_MEMBER, text, &err, &d), ASK_CONFIRMED);
    CHECK_INT(ask_once(ASK_DIGEST, text, &err, &d), ASK_FETCHED);
    CHECK(index_get_repo(&fake.read, REPO_MIRRORED, "docker.io/a/x", &id) == INDEX_FOUND);
    CHECK(index_get_member(&fake.read, id, &digests[0], &m) == INDEX_FOUND);
    CHECK_INT(m.kind, CHILD_MANIFEST);
    CHECK_STR(m.media_type, MEDIA_TYPE_OCI_MANIFEST);

    /* A HEAD without a type that a client could use: the one it was served as before. */
    SCRIPT(&heads, {.body = bodies[0], .size = 5, .digest = &digests[0], .media = "text/plain"});
    CHECK_INT(ask_once(ASK_TAG, "1", &err, &d), ASK_CONFIRMED);
    CHECK(index_get_member(&fake.read, id, &digests[0], &m) == INDEX_FOUND);
    CHECK_STR(m.media_type, MEDIA_TYPE_OCI_MANIFEST);
}

/* --- lists --------------------------------------------------------------------------------- */

static bool list_is(const struct asker *a, const char *expected)
{
    const struct document *d = ask_result(a->ask)->document;

    return d != NULL && d->len == strlen(expected) && memcmp(d->body, expected, d->len) == 0;
}

static void test_lists(void)
{
    static const char ONE[] = "{\"name\":\"a/x\",\"tags\":[\"b\",\"a\"]}";
    static const char TWO[] = "{\"name\":\"a/x\",\"tags\":[\"c\",\"b\"]}";
    struct asker a;

    begin();
    SCRIPT(&tag_lists,
           {.body = ONE, .size = sizeof(ONE) - 1, .link = "/v2/a/x/tags/list?last=b&n=1000"},
           {.body = TWO, .size = sizeof(TWO) - 1});
    ask_from(&a, loop_a, ASK_TAGS, "");
    settle();
    CHECK_INT(a.state, ASK_FETCHED);
    CHECK(list_is(&a, "{\"name\":\"a/x\",\"tags\":[\"a\",\"b\",\"c\"]}"));
    CHECK_STR(tag_lists.reference, "last=b&n=1000");
    ask_end(&a);

    begin(); /* pages that lead in a circle come to an end */
    SCRIPT(&tag_lists, {.body = ONE, .size = sizeof(ONE) - 1, .link = "/v2/a/x/tags/list?n=1"});
    ask_from(&a, loop_a, ASK_TAGS, "");
    settle();
    CHECK_INT(a.state, ASK_FETCHED);
    CHECK(tag_lists.asked <= 1000);
    ask_end(&a);

    begin(); /* neither the API nor the fallback tag: nothing refers to it */
    SCRIPT(&referrers, {.fail = ERR_MANIFEST_UNKNOWN});
    SCRIPT(&gets, {.fail = ERR_MANIFEST_UNKNOWN});
    ask_from(&a, loop_a, ASK_REFERRERS, LAYER);
    settle();
    CHECK_INT(a.state, ASK_FETCHED);
    CHECK(strncmp(gets.reference, "sha256-1111", 11) == 0);
    ask_end(&a);
    settle();
}

/* The process ends while somebody asks, and while something is written. */
static void no_wake(struct waiter *w)
{
    (void)w;
}

/* Who waits too long can tell whether that is because of upstream, or of us. */
static void test_ours(void)
{
    enum { N = ROOM_BYTES / ROOM_LARGE };
    struct room_hold others[N];
    struct asker a;

    begin();
    SCRIPT(&heads, {.fail = ERR_UNSUPPORTED});
    SCRIPT(&gets, MANIFEST(0));
    gets.replies[0].hold = true;
    for (unsigned i = 0; i < N; i++) {
        room_hold_init(&others[i], cache->fetched, no_wake);
        ignore_result(room_take(&others[i], loop_a, ROOM_LARGE));
    }
    fake_pool_held = true;
    ask_from(&a, loop_a, ASK_TAG, "latest");
    settle();
    CHECK(!ask_is_ours(a.ask)); /* upstream says nothing */
    upstream_open(&gets, 10);
    settle();
    CHECK(ask_is_ours(a.ask)); /* it does, and there is no room for it */
    room_give(&others[0]);
    settle();
    CHECK(!ask_is_ours(a.ask)); /* the rest does not come */
    upstream_open(&gets, ALL);
    settle();
    CHECK(ask_is_ours(a.ask) && a.state == ASK_NOT_YET); /* the disk */
    fake_pool_held = false;
    settle();
    CHECK_INT(a.state, ASK_FETCHED);
    for (unsigned i = 0; i < N; i++) {
        room_give(&others[i]);
    }
    ask_end(&a);
    settle();
}

static void test_end(void)
{
    struct fake_reply slow = MANIFEST(0);
    static struct asker a[2];

    begin();
    slow.gate = 1;
    SCRIPT(&heads, {.fail = ERR_UNSUPPORTED});
    SCRIPT(&gets, slow);
    ask_from(&a[0], loop_a, ASK_TAG, "1");
    ask_from(&a[1], loop_b, ASK_TAG, "1");
    settle();
    cache_free(cache);
    CHECK_INT(net.n_live, 0);
}

int main(void)
{
    static const struct cache_options OPTIONS = {.tag_ttl_s = 300};

    setvbuf(stdout, NULL, _IOLBF, 0);
    log_setup(LOG_ERROR, false);
    for (unsigned i = 0; i < 2; i++) {
        snprintf(
            bodies[i], sizeof(bodies[i]),
            "{\"schemaVersion\":2,\"mediaType\":\"%s\",\"config\":{\"mediaType\":\"a/"
            "b\",\"digest\":"
            "\"sha256:%064u\",\"size\":1},\"layers\":[{\"mediaType\":\"a/c\",\"digest\":\"%s\","
            "\"size\":9}]}",
            MEDIA_TYPE_OCI_MANIFEST, i, LAYER);
        digests[i].alg = DIGEST_SHA256;
        sha_of(SHA_256, bodies[i], strlen(bodies[i]), digests[i].bytes);
    }
    loop_a = loop_new();
    loop_b = loop_new();
    cache = cache_new(&OPTIONS, NULL);
    cache_repo_set(&repo, &hub, "docker.io/a/x");
    test_shared();
    test_answers();
    test_wrong();
    test_retries();
    test_memory();
    test_gone();
    test_endless();
    test_member();
    test_kinds();
    test_lists();
    test_ours();
    test_end();
    loop_free(loop_a);
    loop_free(loop_b);
    return tap_done();
}
