/* test_flight_proof.c - which repository gets bytes that another one's source sends. */
#include "flight_fixture.h"

static void check_whole(const struct client *c, const char *what)
{
    CHECK_NOTE(c->state == DONE && c->n == blob_size && c->wrong == 0 && c->too_soon == 0, what);
}

/* A repository without a proof gets nothing of another's download, at no point of it. */
static void test_unproved(void)
{
    struct client a;
    struct client b;

    make_blob(3 * MIB);
    SCRIPT(&corp_c, {.body = blob, .size = blob_size, .gate = MIB});
    client_join(&a, loop_a, &corp_c, (struct flight_question){0});
    client_join(&b, loop_b, &hub_b, (struct flight_question){0}); /* before there is anything */
    settle();
    CHECK_INT(b.state, UNPROVED);
    client_leave(&b);
    client_join(&b, loop_b, &hub_b, (struct flight_question){0}); /* in mid-flight */
    settle();
    CHECK_INT(b.state, UNPROVED);
    CHECK_INT(b.n, 0);
    client_leave(&b);
    CHECK_INT(a.ticket.flight->n_sources, 1); /* nobody makes the list of sources long by names */
    client_join(&b, loop_b, &hub_b, (struct flight_question){.proved = true});
    upstream_open(&corp_c, ALL);
    settle();
    check_whole(&a, "whose source it is");
    check_whole(&b, "who proved that it may have it");
    client_leave(&a);
    client_leave(&b);
    settle();
}

/* A manifest's word does not open what is read with another upstream's credential. */
static void test_listed(void)
{
    const struct flight_question listed = {.proved = true, .listed = true};
    struct member_record m = {.proof = PROOF_MANIFEST};
    uint64_t repo;
    struct client a;
    struct client b;

    make_blob(3 * MIB);
    SCRIPT(&corp_c, {.body = blob, .size = blob_size, .gate = MIB});
    client_join(&a, loop_a, &corp_c, (struct flight_question){0});
    settle();
    client_join(&b, loop_b, &hub_b, listed);
    settle();
    CHECK_INT(b.state, UNPROVED);
    CHECK_INT(b.n, 0);
    client_leave(&b);
    client_leave(&a);
    upstream_open(&corp_c, ALL);
    settle();

    make_blob(3 * MIB); /* … but what comes without a credential, it does, once that has come */
    SCRIPT(&hub_a, {.body = blob, .size = blob_size, .hold = true});
    client_join(&a, loop_a, &hub_a, (struct flight_question){0});
    settle();
    client_join(&b, loop_b, &corp_c, listed);
    settle();
    CHECK_INT(b.state, UNPROVED); /* nobody has answered for it yet */
    client_leave(&b);
    upstream_open(&hub_a, MIB);
    settle();
    client_join(&b, loop_b, &corp_c, listed);
    settle();
    CHECK_INT(b.n, MIB);
    upstream_open(&hub_a, ALL);
    settle();
    check_whole(&b, "what is nobody's secret needs no further proof");
    client_leave(&a);
    client_leave(&b);

    make_blob(3 * MIB); /* begun by a manifest's word: its own upstream has to answer */
    SCRIPT(&hub_b, {.fail = ERR_BLOB_UNKNOWN});
    repo = index_put_repo(&fake.txn, REPO_MIRRORED, "docker.io/b/x");
    index_put_member(&fake.txn, repo, &blob_digest, &m);
    fake.held = true;
    client_join(&b, loop_b, &hub_b, listed);
    settle();
    CHECK_INT(b.state, WAITS);
    fake.held = false;
    settle();
    CHECK(index_get_member(&fake.read, repo, &blob_digest, &m) ==
          INDEX_ABSENT); /* told after that */
    CHECK_INT(b.state, REFUSED);
    CHECK_INT(b.err.code, ERR_BLOB_UNKNOWN);
    client_leave(&b);

    make_blob(3 * MIB); /* the source that answers is another's: a proof is wanted, also later */
    SCRIPT(&hub_b, {.fail = ERR_UPSTREAM_DOWN});
    SCRIPT(&corp_c, {.body = blob, .size = blob_size, .hold = true});
    client_join(&b, loop_b, &hub_b, listed);
    client_join(&a, loop_a, &corp_c, (struct flight_question){.proved = true});
    settle();
    CHECK_INT(corp_c.asked, 1);
    CHECK_INT(b.state, WAITS);
    upstream_open(&corp_c, ALL);
    settle();
    check_whole(&a, "the other one's client");
    CHECK(b.state == UNPROVED || (b.state == REFUSED && b.may_rejoin));
    CHECK_INT(b.n, 0);
    client_leave(&a);
    client_leave(&b);
    settle();
}

/* One source says no, another has it: each client gets its own repository's answer. */
static void test_refused(void)
{
    static const enum err_code NO[] = {ERR_BLOB_UNKNOWN, ERR_UPSTREAM_REFUSED, ERR_TOO_MANY};

    for (size_t i = 0; i < ARRAY_LEN(NO); i++) {
        struct client a;
        struct client b;
        struct client c;

        make_blob(3 * MIB);
        SCRIPT(&hub_a, {.fail = NO[i], .hold = true});
        SCRIPT(&corp_c, GOOD);
        client_join(&a, loop_a, &hub_a, (struct flight_question){0});
        client_join(&b, loop_b, &hub_a, (struct flight_question){0});
        client_join(&c, loop_b, &corp_c, (struct flight_question){.proved = true});
        settle();
        upstream_open(&hub_a, ALL);
        settle();
        CHECK_INT(a.state, REFUSED);
        CHECK_INT(a.err.code, NO[i]);
        CHECK(!a.may_rejoin);
        CHECK_INT(b.err.code, NO[i]);
        CHECK_INT(a.n + b.n, 0);
        check_whole(&c, "the one whose source has it");
        CHECK_INT(hub_a.asked, 1);
        client_leave(&a);
        client_leave(&b);
        client_leave(&c);
        settle();
    }
}

/* Who joins while a flight gives up is not told another repository's error. */
static void test_late_source(void)
{
    for (unsigned turns = 0; turns < 40; turns++) {
        struct client a;
        struct client b;

        make_blob(600 * KIB);
        SCRIPT(&hub_a, {.fail = ERR_BLOB_UNKNOWN});
        SCRIPT(&corp_c, GOOD);
        client_join(&a, loop_a, &hub_a, (struct flight_question){0});
        fake_pool_held = true;
        for (unsigned i = 0; i < turns; i++) {
            fake_turn();
            if (i % 3 == 2) {
                fake_job();
            }
        }
        client_join(&b, loop_b, &corp_c, (struct flight_question){.proved = true});
        fake_pool_held = false;
        settle();
        CHECK_INT(a.state, REFUSED);
        CHECK_NOTE(b.state == DONE || (b.state == REFUSED && b.may_rejoin),
                   "its own source was asked, or is to be");
        client_leave(&a);
        client_leave(&b);
        settle();
    }
}

/* A second source is tried at once; only the one that failed has to pause. */
static void test_next_source(void)
{
    struct client a;
    struct client b;
    uint64_t began;

    make_blob(3 * MIB);
    SCRIPT(&hub_a, {.body = blob, .size = blob_size, .cut = MIB}, {.fail = ERR_UPSTREAM_DOWN});
    SCRIPT(&corp_c, GOOD);
    client_join(&a, loop_a, &hub_a, (struct flight_question){0});
    client_join(&b, loop_b, &corp_c, (struct flight_question){.proved = true});
    began = fake_ms;
    settle();
    check_whole(&a, "by two sources");
    CHECK_INT(corp_c.from[0], MIB);
    CHECK_INT(fake_ms, began);
    client_leave(&a);
    client_leave(&b);
    settle();

    make_blob(3 * MIB); /* it comes while the first one pauses */
    SCRIPT(&hub_a, {.fail = ERR_TOO_MANY, .retry_after = 15});
    SCRIPT(&corp_c, GOOD);
    client_join(&a, loop_a, &hub_a, (struct flight_question){.proved = true});
    pass_ms(100);
    CHECK_INT(a.state, WAITS);
    client_join(&b, loop_b, &corp_c, (struct flight_question){.proved = true});
    settle();
    check_whole(&a, "by the source of who joined");
    CHECK_INT(hub_a.asked, 1);
    client_leave(&a);
    client_leave(&b);
    settle();
}

/* What upstream is asked while this cache is offline: nothing. */
static void test_offline(void)
{
    struct client a;

    make_blob(MIB);
    cache->offline = true;
    SCRIPT(&hub_a, GOOD);
    client_join(&a, loop_a, &hub_a, (struct flight_question){.proved = true});
    settle();
    CHECK_INT(a.state, REFUSED);
    CHECK_INT(a.err.code, ERR_BLOB_UNKNOWN);
    CHECK_INT(hub_a.asked, 0);
    client_leave(&a);
    settle();
    cache->offline = false;
}

int main(void)
{
    flights_begin();
    test_unproved();
    test_listed();
    test_refused();
    test_late_source();
    test_next_source();
    test_offline();
    flights_end();
    return tap_done();
}
