/* test_flight_wrong.c - bytes that are not the digest: nobody gets all of them, nothing is kept. */
#include "flight_fixture.h"

static void check_whole(const struct client *c, const char *what)
{
    CHECK_NOTE(c->state == DONE && c->n == blob_size && c->wrong == 0 && c->too_soon == 0, what);
}

/* Not one client of a wrong blob has all its bytes, whenever it came. */
static void test_mismatch(void)
{
    static const uint64_t SIZES[] = {1, 100 * KIB, 256 * KIB, 256 * KIB + 1, 3 * MIB};

    for (size_t i = 0; i < ARRAY_LEN(SIZES); i++) {
        struct client a;
        struct client b;
        struct client c;

        make_blob(SIZES[i]);
        spoil_blob(SIZES[i] - 1);
        SCRIPT(&hub_a, {.body = blob, .size = blob_size, .gate = 1});
        client_join(&a, loop_a, &hub_a, (struct flight_question){0});
        settle();
        client_join(&b, loop_b, &hub_a, (struct flight_question){.offset = SIZES[i] - 1});
        upstream_open(&hub_a, SIZES[i] / 2);
        settle();
        upstream_open(&hub_a, ALL);
        settle();
        if (SIZES[i] <= SMALL_BLOB) {
            CHECK_INT(a.state, REFUSED); /* answered after the verdict: a clean error */
            CHECK_INT(a.n, 0);
        } else {
            CHECK_INT(a.state, CUT);
            CHECK_INT(a.n, SIZES[i] - HOLD_BACK);
        }
        CHECK_INT(a.too_soon, 0);
        CHECK_INT(b.n, 0); /* the last byte is released by a verdict only */
        CHECK_INT(a.err.code, ERR_DIGEST_MISMATCH);
        CHECK(!flight_may_rejoin(&a.ticket)); /* the same upstream would be refused */
        CHECK(!disk_has_blob(&blob_digest) && !disk_has_file(&blob_digest));
        client_leave(&a);
        client_leave(&b);
        settle();

        /* Nobody goes on where the wrong bytes were cut; nobody asks that upstream for a minute. */
        CHECK(flight_refused(cache, loop_a, &hub, &blob_digest));
        CHECK(!flight_refused(cache, loop_a, &corp, &blob_digest));
        client_join(&c, loop_b, &hub_b, (struct flight_question){.offset = SIZES[i] / 2});
        settle();
        CHECK_INT(c.state, REFUSED);
        CHECK_INT(c.err.code, ERR_DIGEST_MISMATCH);
        CHECK_INT(hub_a.asked, 1);
        client_leave(&c);
        settle();
        pass_ms(limits.bad_digest);
        CHECK(!flight_refused(cache, loop_a, &hub, &blob_digest));
        spoil_blob(SIZES[i] - 1); /* upstream was mended */
        SCRIPT(&hub_b, GOOD);
        client_join(&c, loop_b, &hub_b, (struct flight_question){0});
        settle();
        check_whole(&c, "what was wrong is fetched again");
        client_leave(&c);
        settle();
    }
}

/* One upstream is wrong; a client of another goes on to its own. */
static void test_other_upstream(void)
{
    struct client a;
    struct client b;

    make_blob(3 * MIB);
    spoil_blob(0);
    SCRIPT(&hub_a, {.body = blob, .size = blob_size, .gate = MIB});
    SCRIPT(&corp_c, GOOD);
    client_join(&a, loop_a, &hub_a, (struct flight_question){0});
    client_join(&b, loop_b, &corp_c, (struct flight_question){.proved = true});
    settle();
    upstream_open(&hub_a, ALL);
    settle();
    CHECK_INT(a.state, CUT);
    CHECK_INT(b.state, CUT);
    CHECK(!flight_may_rejoin(&a.ticket));
    CHECK(flight_may_rejoin(&b.ticket)); /* its own upstream was never asked */
    client_leave(&a);
    client_leave(&b);
    spoil_blob(0);
    client_join(&b, loop_b, &corp_c, (struct flight_question){.proved = true});
    settle();
    check_whole(&b, "from the other upstream");
    CHECK_INT(hub_a.asked, 1);
    client_leave(&b);
    settle();
}

/* Puts the first n bytes, as they are, into ingest/: what a crash or an end leaves. */
static void put_partial(uint64_t n)
{
    struct partial_record p = {.size = UINT64_MAX, .stored = n, .touched = fake_wall_s};
    struct ingest in;
    struct err err;
    struct sha sha;

    sha_init(&sha, SHA_256);
    sha_update(&sha, blob, n);
    p.state_len = sha_save(&sha, p.state);
    assert(ingest_open(&in, NULL, &blob_digest, UINT64_MAX, false, &err) == 0);
    assert(ingest_write(&in, blob, n, 0, &err) == 0);
    assert(ingest_keep(&in, &p, &err) == 0);
    index_put_partial(&fake.txn, &blob_digest, &p);
}

/* A part of a wrong blob is on disk; then upstream is right. Tried once more from zero, by whoever
 * joins again, and the upstream is not held to be bad. */
static void test_partial(void)
{
    struct partial_record p;
    struct client c;

    make_blob(3 * MIB);
    spoil_blob(7);
    put_partial(MIB);
    spoil_blob(7);
    SCRIPT(&hub_a, {.body = blob, .size = blob_size, .gate = 2 * MIB});
    client_join(&c, loop_a, &hub_a, (struct flight_question){0});
    settle();
    CHECK_INT(hub_a.from[0], MIB);
    CHECK_INT(c.n, 2 * MIB);
    upstream_open(&hub_a, ALL);
    settle();
    CHECK_INT(c.state, CUT);
    CHECK_INT(c.n, 3 * MIB - HOLD_BACK);
    CHECK(flight_may_rejoin(&c.ticket));
    CHECK(!flight_refused(cache, loop_a, &hub, &blob_digest));
    CHECK(!disk_has_file(&blob_digest));
    CHECK(fake_get_partial(&blob_digest, &p) == INDEX_ABSENT);
    client_leave(&c);
    SCRIPT(&hub_a, GOOD);
    client_join(&c, loop_a, &hub_a, (struct flight_question){0});
    settle();
    check_whole(&c, "from zero, after a bad part");
    CHECK_INT(hub_a.from[0], 0);
    client_leave(&c);

    make_blob(MIB); /* longer than the blob is */
    put_partial(MIB);
    blob_size = 600 * KIB;
    sha_of(SHA_256, blob, blob_size, blob_digest.bytes);
    put_partial(MIB);
    SCRIPT(&hub_a, GOOD);
    client_join(&c, loop_a, &hub_a, (struct flight_question){0});
    pass_ms(2000);
    CHECK(c.state == CUT || c.state == REFUSED);
    CHECK(c.n + HOLD_BACK <= blob_size);
    CHECK(c.may_rejoin || flight_may_rejoin(&c.ticket));
    client_leave(&c);
    client_join(&c, loop_a, &hub_a, (struct flight_question){0});
    settle();
    check_whole(&c, "from zero, after a part that is too long");
    client_leave(&c);

    make_blob(2 * MIB); /* whole: only the verdict is missing */
    put_partial(2 * MIB);
    SCRIPT(&hub_a, {.fail = ERR_UPSTREAM_DOWN});
    client_join(&c, loop_a, &hub_a, (struct flight_question){.size = 2 * MIB, .proved = true});
    settle();
    check_whole(&c, "a part that is whole needs no upstream");
    CHECK_INT(hub_a.asked, 0);
    client_leave(&c);

    make_blob(2 * MIB); /* … but a repository without a proof needs its upstream's word */
    put_partial(2 * MIB);
    SCRIPT(&hub_a, {.fail = ERR_BLOB_UNKNOWN});
    client_join(&c, loop_a, &hub_a, (struct flight_question){.size = 2 * MIB});
    settle();
    CHECK_INT(c.state, REFUSED);
    CHECK_INT(c.n, 0);
    CHECK(fake_get_partial(&blob_digest, &p) == INDEX_FOUND); /* the part stays for others */
    client_leave(&c);
    settle();
}

/* Half from one source, half from another: nobody can tell who was wrong. */
static void test_mixed(void)
{
    struct client a;
    struct client b;

    make_blob(3 * MIB);
    spoil_blob(5);
    SCRIPT(&hub_a, {.body = blob, .size = blob_size, .cut = MIB}, {.fail = ERR_BLOB_UNKNOWN});
    SCRIPT(&corp_c, GOOD);
    client_join(&a, loop_a, &hub_a, (struct flight_question){.proved = true});
    client_join(&b, loop_b, &corp_c, (struct flight_question){.proved = true});
    pass_ms(1000);
    CHECK_INT(a.state, CUT);
    CHECK_INT(b.state, CUT);
    CHECK_INT(corp_c.from[0], MIB);
    CHECK(flight_may_rejoin(&a.ticket) && flight_may_rejoin(&b.ticket));
    CHECK(!flight_refused(cache, loop_a, &hub, &blob_digest));
    CHECK(!flight_refused(cache, loop_a, &corp, &blob_digest));
    client_leave(&a);
    client_leave(&b);
    settle();
    CHECK(!disk_has_file(&blob_digest));
}

/* A blob of a crash: hashed as it is served, believed once, or thrown away. */
static void test_local(void)
{
    struct blob_record record;
    struct client c;

    make_blob(3 * MIB);
    disk.untrusted = true;
    disk_put_blob(&blob_digest, blob, blob_size);
    index_put_blob(&fake.txn, &blob_digest, &(struct blob_record){.size = blob_size});
    fake.held = true;
    client_join(&c, loop_a, &hub_a, (struct flight_question){.proved = true});
    settle();
    check_whole(&c, "a blob that is here and not trusted");
    CHECK(flight_is_local(&c.ticket));
    client_leave(&c);
    client_join(&c, loop_b, &hub_a, (struct flight_question){.proved = true});
    settle();
    check_whole(&c, "and again, before the index believes it");
    CHECK(c.ticket.joined); /* it is not hashed once more */
    fake.held = false;
    client_leave(&c);
    settle();
    CHECK_INT(counter_sum(COUNTER_verified_again), 1);

    make_blob(3 * MIB);
    disk.untrusted = true;
    spoil_blob(9);
    disk_put_blob(&blob_digest, blob, blob_size);
    index_put_blob(&fake.txn, &blob_digest, &(struct blob_record){.size = blob_size});
    client_join(&c, loop_a, &hub_a, (struct flight_question){0});
    settle();
    CHECK_INT(c.state, REFUSED); /* another repository's bytes: to be proved */
    CHECK(c.may_rejoin);
    client_leave(&c);
    client_join(&c, loop_a, &hub_a, (struct flight_question){.proved = true});
    settle();
    CHECK_INT(c.state, CUT);
    CHECK_INT(c.n, 3 * MIB - HOLD_BACK);
    CHECK(flight_may_rejoin(&c.ticket));
    CHECK_INT(disk.quarantined, 1);
    CHECK(fake_get_blob(&blob_digest, &record) == INDEX_ABSENT);
    client_leave(&c);
    spoil_blob(9);
    SCRIPT(&hub_a, GOOD);
    client_join(&c, loop_a, &hub_a, (struct flight_question){.proved = true});
    settle();
    check_whole(&c, "fetched after the file was bad");
    client_leave(&c);
    settle();
}

int main(void)
{
    flights_begin();
    test_mismatch();
    test_other_upstream();
    test_partial();
    test_mixed();
    test_local();
    flights_end();
    return tap_done();
}
