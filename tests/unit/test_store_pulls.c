/* test_store_pulls.c - the table of pulls: what is noted, when it is written, what goes. */
#include "../../src/store/pulls.c"

#include "store_blobs.h"
#include "tap.h"

#include "base/clock.h"
#include "base/log.h"

static struct err err;

/* --- what is there ------------------------------------------------------------------------- */

/* Lines as "repo reference digest platform client;", digests by their first digits. */
struct lines {
    unsigned n;
    unsigned stop;
    char text[4096];
};

static bool see_pull(void *arg, const struct pull *p)
{
    struct lines *l = arg;
    size_t len = strlen(l->text);
    char text[DIGEST_TEXT_MAX];

    snprintf(l->text + len, sizeof(l->text) - len, "%.15s %.15s %s %s;", p->reference,
             digest_text(p->digest, text), p->platform, p->client);
    return ++l->n != l->stop;
}

static const char *lines_since(struct store *s, int64_t since, struct lines *ret)
{
    struct index_read *r = index_read_begin(s);

    ret->text[0] = '\0';
    ret->n = 0;
    pulls_each(r, since, see_pull, ret);
    index_read_end(r);
    return ret->text;
}

static void note(struct store *s, const char *tag, const struct digest *d, const char *client)
{
    pulls_note(s, &(struct pull_note){
                      .kind = REPO_MIRRORED,
                      .repo = "docker.io/library/x",
                      .tag = tag,
                      .digest = d,
                      .client = client,
                  });
}

/* The seconds of the clock must not change in the middle of a test. */
static int64_t fresh_second(void)
{
    int64_t now = clock_wall_s();
    struct timespec t;

    clock_gettime(CLOCK_REALTIME, &t);
    while (t.tv_nsec > 500000000 && clock_wall_s() == now) {
        clock_gettime(CLOCK_REALTIME, &t);
    }
    return clock_wall_s();
}

/* --- tests --------------------------------------------------------------------------------- */

static void test_notes(void)
{
    struct digest one = nth_digest(1, 10);
    struct digest two = nth_digest(2, 10);
    struct lines l = {0};
    char expected[512];
    char first[DIGEST_TEXT_MAX];
    char second[DIGEST_TEXT_MAX];
    struct store *s;
    int64_t now;

    store_dir_new();
    s = store_dir_open();
    now = fresh_second();
    note(s, "latest", &one, "a");
    note(s, "latest", &one, "a");
    note(s, "", &one, "a");
    note(s, "latest", &one, "b");
    note(s, "latest", &two, "a");
    note(s, "latest", &one, "a");
    CHECK_STR(lines_since(s, 0, &l), "");
    CHECK_INT(pulls_flush(s, &err), 0);
    snprintf(expected, sizeof(expected),
             "latest %.15s  a; %.15s  a;latest %.15s  b;latest %.15s  a;", digest_text(&one, first),
             first, first, digest_text(&two, second));
    CHECK_STR(lines_since(s, 0, &l), expected);
    CHECK_STR(lines_since(s, now, &l), expected);
    CHECK_STR(lines_since(s, clock_wall_s() + 2, &l), "");
    l.stop = 2;
    lines_since(s, 0, &l);
    CHECK_INT(l.n, 2);
    note(s, "last", &one, "c");
    store_close(s); /* commits what is lazy */
    s = store_dir_open();
    l.stop = 0;
    CHECK(strstr(lines_since(s, 0, &l), "last ") != NULL);
    CHECK_INT(l.n, 5);
    store_close(s);
}

#define ENTRY                                                                                      \
    "{\"mediaType\":\"application/vnd.oci.image.manifest.v1+json\",\"digest\":\"%s\","             \
    "\"platform\":{\"os\":\"linux\",\"architecture\":\"%s\"}}"

/* An index of two entries, as a pull leaves it; another that holds the first, in another
 * repository; and a referrer of the first. */
static void put_index(struct index_txn *t, void *arg)
{
    struct digest index = nth_digest(100, 10);
    struct digest other = nth_digest(101, 10);
    struct digest amd = nth_digest(102, 10);
    struct digest arm = nth_digest(103, 10);
    struct member_record m = {.proof = PROOF_UPSTREAM_ANSWER, .kind = CHILD_MANIFEST};
    uint64_t here = index_put_repo(t, REPO_MIRRORED, "docker.io/library/x");
    uint64_t there = index_put_repo(t, REPO_MIRRORED, "docker.io/library/y");
    char first[DIGEST_TEXT_MAX];
    char second[DIGEST_TEXT_MAX];
    char body[1024];

    (void)arg;
    snprintf(body, sizeof(body), "{\"manifests\":[" ENTRY "," ENTRY "]}", digest_text(&amd, first),
             "amd64", digest_text(&arm, second), "arm64");
    index_put_body(t, &index, body, strlen(body));
    index_put_member(t, here, &index, &m);
    index_put_member(t, there, &other, &m);
    index_put_member(t, here, &arm, &m);
    index_put_ref(t, &index, &amd, CHILD_MANIFEST, 10);
    index_put_ref(t, &index, &arm, CHILD_MANIFEST, 10);
    index_put_ref(t, &other, &amd, CHILD_MANIFEST, 10);
    index_put_ref(t, &arm, &amd, CHILD_REFERRER, 10);
}

static void test_platforms(void)
{
    struct digest index = nth_digest(100, 10);
    struct digest amd = nth_digest(102, 10);
    struct lines l = {0};
    char expected[256];
    char text[DIGEST_TEXT_MAX];
    char child[DIGEST_TEXT_MAX];
    struct store *s;

    store_dir_new();
    s = store_dir_open();
    CHECK_INT(change(s, put_index, NULL, &err), 0);
    note(s, "", &amd, "a");
    note(s, "tag", &amd, "a");
    CHECK_INT(pulls_flush(s, &err), 0);
    snprintf(expected, sizeof(expected), "%.15s %.15s linux/amd64 a;tag %.15s  a;",
             digest_text(&index, text), digest_text(&amd, child), child);
    CHECK_STR(lines_since(s, 0, &l), expected);
    store_close(s);
}

/* More than there is room for, while the writer is busy: some are dropped, and it goes on. */
static void test_too_many(void)
{
    int64_t before = counter_sum(COUNTER_pulls_dropped);
    struct digest one = nth_digest(1, 10);
    struct lines l = {0};
    struct store *s;
    char tag[32];

    store_dir_new();
    s = store_dir_open();
    s->pulls->writing = s->pulls->hurried = true;
    for (unsigned i = 0; i < NOTES_MAX + 10; i++) {
        snprintf(tag, sizeof(tag), "t%u", i);
        note(s, tag, &one, "a");
    }
    CHECK_INT(counter_sum(COUNTER_pulls_dropped) - before, 10);
    s->pulls->hurried = false;
    index_write_submit(s, NULL, &s->pulls->write);
    CHECK_INT(pulls_flush(s, &err), 0);
    lines_since(s, 0, &l);
    CHECK_INT(l.n, NOTES_MAX);
    note(s, "again", &one, "a");
    CHECK_INT(pulls_flush(s, &err), 0);
    lines_since(s, 0, &l);
    CHECK_INT(l.n, NOTES_MAX + 1);
    store_close(s);
}

static void put_old_pull(struct index_txn *t, void *arg)
{
    struct record_pull pull = {.repo = 1, .has_digest = true, .digest = nth_digest(1, 1)};
    struct record_key key;
    struct record value;

    record_key_pull(&key, clock_wall_s() - 31 * 24 * 3600, *(uint32_t *)arg);
    record_put_pull(&value, &pull);
    db_put(t->db, DB_PULLS, record_key_view(&key), record_view(&value));
}

static void test_old_ones_go(void)
{
    struct digest one = nth_digest(1, 10);
    struct lines l = {0};
    struct store *s;

    store_dir_new();
    s = store_dir_open();
    for (uint32_t i = 0; i < 5; i++) {
        CHECK_INT(change(s, put_old_pull, &i, &err), 0);
    }
    lines_since(s, 0, &l);
    CHECK_INT(l.n, 5);
    note(s, "a", &one, "a");
    note(s, "b", &one, "a");
    CHECK_INT(pulls_flush(s, &err), 0);
    lines_since(s, 0, &l);
    CHECK_NOTE(l.n == 3, "each new one takes two away that are too old");
    note(s, "c", &one, "a");
    CHECK_INT(pulls_flush(s, &err), 0);
    lines_since(s, 0, &l);
    CHECK_INT(l.n, 3);
    store_close(s);
}

int main(void)
{
    log_setup(LOG_ERROR, false);
    test_notes();
    test_platforms();
    test_too_many();
    test_old_ones_go();
    store_dir_join_pool();
    return tap_done();
}
