/* test_flight.c - downloads that go well or break: sharing, resuming, hold-back, verdicts. */
#include "flight_fixture.h"

/* All of a blob reached the client, in order, nothing too soon, and it was kept. */
static void check_whole(struct client *c, const char *what)
{
    bool good =
        c->state == DONE && c->n == blob_size - c->from && c->wrong == 0 && c->too_soon == 0;

    if (!CHECK_NOTE(good, what)) {
        printf("#      state %d, %llu of %llu bytes, %u wrong, %u too soon, %s\n", (int)c->state,
               (unsigned long long)c->n, (unsigned long long)blob_size, c->wrong, c->too_soon,
               c->err.text);
    }
}

static void test_one(void)
{
    static const uint64_t SIZES[] = {0,      1,         64 * KIB, 256 * KIB,  256 * KIB + 1,
                                     300000, 512 * KIB, 5 * MIB,  5 * MIB + 7};

    for (size_t i = 0; i < ARRAY_LEN(SIZES); i++) {
        struct client c;

        make_blob(SIZES[i]);
        SCRIPT(&hub_a, GOOD);
        client_join(&c, loop_a, &hub_a, (struct flight_question){0});
        settle();
        check_whole(&c, "a blob arrives");
        CHECK(disk_has_blob(&blob_digest) && !disk_has_file(&blob_digest));
        CHECK_INT(hub_a.asked, 1);
        client_leave(&c);
        settle();
        client_join(&c, loop_b, &hub_b, (struct flight_question){.proved = true});
        settle();
        check_whole(&c, "and is there then");
        CHECK(flight_is_local(&c.ticket));
        client_leave(&c);
        settle();
    }
}

/* Bytes become readable as they come, all but the last 64 KiB of what may be wrong. */
static void test_growing(void)
{
    struct client a;
    struct client b;

    make_blob(4 * MIB);
    SCRIPT(&hub_a, {.body = blob, .size = blob_size, .gate = 1});
    client_join(&a, loop_a, &hub_a, (struct flight_question){0});
    settle();
    CHECK_INT(a.state, READS); /* the size is known: the head can go */
    CHECK_INT(a.n, 1);
    upstream_open(&hub_a, MIB);
    settle();
    CHECK_INT(a.n, MIB);
    client_join(&b, loop_b, &hub_a, (struct flight_question){0});
    settle();
    CHECK_INT(b.n, MIB);
    CHECK(b.ticket.joined && !a.ticket.joined);
    upstream_open(&hub_a, 4 * MIB - 1);
    settle();
    CHECK_INT(a.n, 4 * MIB - HOLD_BACK);
    CHECK_INT(b.n, 4 * MIB - HOLD_BACK);
    fake.held = true;
    upstream_open(&hub_a, 4 * MIB);
    settle();
    check_whole(&a, "the verdict releases the tail, before the record");
    fake.held = false;
    client_leave(&a);
    settle();
    check_whole(&b, "who joined has the same");
    CHECK_INT(hub_a.asked, 1);
    client_leave(&b);
    settle();
}

/* Fifty on two loops, at every moment: one GET. */
static void test_many(void)
{
    enum { N = 50 };
    static struct client c[N];
    unsigned joined = 0;

    make_blob(3 * MIB);
    SCRIPT(&hub_a, {.body = blob, .size = blob_size, .hold = true});
    for (unsigned i = 0; i < N; i++) {
        client_join(&c[i], i % 2 == 0 ? loop_a : loop_b, &hub_a, (struct flight_question){0});
        if (i > 10) {
            settle();
        }
        if (i > 20) {
            upstream_open(&hub_a, (i - 20) * 100000);
        }
        joined += c[i].ticket.joined;
    }
    upstream_open(&hub_a, ALL);
    settle();
    for (unsigned i = 0; i < N; i++) {
        check_whole(&c[i], "one of fifty");
        client_leave(&c[i]);
    }
    CHECK_INT(joined, N - 1);
    CHECK_INT(hub_a.asked, 1);
    settle();
}

/* Joining while each thing is under way finds either the flight or the blob, never a second GET. */
static void test_join_points(void)
{
    for (unsigned step = 0; step < 60; step++) {
        struct client a;
        struct client b;

        make_blob(600 * KIB);
        SCRIPT(&hub_a, GOOD);
        fake_pool_held = true;
        fake.held = true;
        client_join(&a, loop_a, &hub_a, (struct flight_question){0});
        for (unsigned i = 0; i < step; i++) {
            fake_turn();
            if (i % 3 == 2 && !fake_job()) {
                fake_write();
            }
        }
        client_join(&b, loop_b, &hub_a, (struct flight_question){.proved = true});
        fake_pool_held = false;
        fake.held = false;
        settle();
        check_whole(&a, "who came first");
        check_whole(&b, "who came in between");
        CHECK_INT(hub_a.asked, 1);
        client_leave(&a);
        client_leave(&b);
        settle();
    }
}

/* The connection breaks here and there; the rest is asked for. */
static void test_resume(void)
{
    struct client c;
    int64_t resumed = counter_sum(COUNTER_flights_resumed);

    make_blob(4 * MIB);
    SCRIPT(&hub_a, {.body = blob, .size = blob_size, .cut = MIB},
           {.body = blob, .size = blob_size, .cut = 5}, {.fail = ERR_UPSTREAM_DOWN},
           {.body = blob, .size = blob_size, .cut = 3 * MIB - 6}, GOOD);
    client_join(&c, loop_a, &hub_a, (struct flight_question){0});
    settle();
    CHECK_INT(c.n, MIB);
    pass_ms(limits.retry_min);
    CHECK_INT(hub_a.asked, 2);
    CHECK_INT(hub_a.from[1], MIB);
    pass_ms(limits.retry_min); /* there was progress: the pause is the first one again */
    CHECK_INT(hub_a.asked, 3);
    CHECK_INT(hub_a.from[2], MIB + 5);
    pass_ms(2000);
    check_whole(&c, "a blob in pieces");
    CHECK_INT(hub_a.from[4], 4 * MIB - 1);
    CHECK(counter_sum(COUNTER_flights_resumed) > resumed);
    client_leave(&c);

    make_blob(4 * MIB); /* ranges are ignored: what is here is skipped */
    SCRIPT(&hub_a, {.body = blob, .size = blob_size, .cut = MIB},
           {.body = blob, .size = blob_size, .no_range = true, .cut = 2 * MIB},
           {.body = blob, .size = blob_size, .no_range = true});
    client_join(&c, loop_a, &hub_a, (struct flight_question){0});
    pass_ms(2000);
    check_whole(&c, "though ranges are ignored");
    client_leave(&c);

    make_blob(4 * MIB); /* ranges are answered wrongly: the whole is asked for */
    SCRIPT(&hub_a, {.body = blob, .size = blob_size, .cut = MIB},
           {.body = blob, .size = blob_size, .bad_range = true}, GOOD);
    client_join(&c, loop_a, &hub_a, (struct flight_question){0});
    pass_ms(2000);
    check_whole(&c, "though ranges are answered wrongly");
    CHECK_INT(hub_a.from[1], MIB);
    CHECK_INT(hub_a.from[2], 0);
    client_leave(&c);

    make_blob(2 * MIB); /* ended in order, but short of what was promised */
    SCRIPT(&hub_a, {.body = blob, .size = blob_size, .cut = MIB, .clean = true}, GOOD);
    client_join(&c, loop_a, &hub_a, (struct flight_question){0});
    pass_ms(2000);
    check_whole(&c, "a short body is gone on with");
    client_leave(&c);
    settle();
}

/* An upstream that always breaks at the same place ends the flight, though it sends bytes. */
static void test_no_progress(void)
{
    struct client c;

    make_blob(4 * MIB);
    SCRIPT(&hub_a, {.body = blob, .size = blob_size, .no_range = true, .cut = MIB});
    client_join(&c, loop_a, &hub_a, (struct flight_question){0});
    pass_ms(limits.retry_for / 2);
    CHECK_INT(c.state, READS);
    pass_ms(limits.retry_for / 2 + 2 * limits.retry_max);
    CHECK_INT(c.state, CUT);
    CHECK_INT(c.n, MIB);
    CHECK(hub_a.asked > 10 && hub_a.asked < 40);
    client_leave(&c);
    settle();

    make_blob(4 * MIB); /* before anybody has got anything: a few tries */
    SCRIPT(&hub_a, {.fail = ERR_UPSTREAM_DOWN});
    client_join(&c, loop_a, &hub_a, (struct flight_question){0});
    pass_ms(limits.first_byte);
    CHECK_INT(c.state, REFUSED);
    CHECK_INT(c.err.code, ERR_UPSTREAM_DOWN);
    CHECK_INT(hub_a.asked, 4);
    client_leave(&c);
    settle();

    make_blob(100 * KIB); /* a small one, whose clients wait for the verdict: no longer than that */
    SCRIPT(&hub_a, {.body = blob, .size = blob_size, .cut = 1});
    client_join(&c, loop_a, &hub_a, (struct flight_question){0});
    pass_ms(limits.first_byte + limits.retry_max);
    CHECK_INT(c.state, REFUSED);
    CHECK_INT(c.err.code, ERR_UPSTREAM_DOWN);
    client_leave(&c);
    settle();
}

static void test_sizes(void)
{
    struct client c;

    make_blob(MIB); /* chunked, and nobody knows the size */
    SCRIPT(&hub_a, {.body = blob, .size = blob_size, .no_length = true, .gate = 200 * KIB});
    client_join(&c, loop_a, &hub_a, (struct flight_question){0});
    settle();
    CHECK_INT(c.state, WAITS); /* it may be a small one */
    upstream_open(&hub_a, 300 * KIB);
    settle();
    CHECK_INT(c.n, 300 * KIB - HOLD_BACK);
    CHECK_INT(c.told, ALL);
    upstream_open(&hub_a, ALL);
    settle();
    check_whole(&c, "a blob of unknown size");
    client_leave(&c);

    make_blob(MIB); /* chunked, with the size from a manifest */
    SCRIPT(&hub_a, {.body = blob, .size = blob_size, .no_length = true, .gate = 10});
    client_join(&c, loop_a, &hub_a, (struct flight_question){.size = MIB});
    settle();
    CHECK_INT(c.told, MIB);
    upstream_open(&hub_a, ALL);
    settle();
    check_whole(&c, "a blob whose size a manifest knows");
    client_leave(&c);

    make_blob(MIB); /* chunked, and longer than the manifest says */
    SCRIPT(&hub_a, {.body = blob, .size = blob_size + 1, .no_length = true});
    client_join(&c, loop_a, &hub_a, (struct flight_question){.size = MIB});
    pass_ms(limits.retry_for + limits.first_byte);
    CHECK_INT(c.state, CUT);
    CHECK(c.n <= MIB - HOLD_BACK && c.too_soon == 0);
    client_leave(&c);
    settle();

    make_blob(2 * MIB); /* on resuming it has another size */
    SCRIPT(&hub_a, {.body = blob, .size = blob_size, .cut = MIB},
           {.body = blob, .size = blob_size + 1});
    client_join(&c, loop_a, &hub_a, (struct flight_question){0});
    pass_ms(5000);
    CHECK_INT(c.state, CUT);
    CHECK_INT(c.n, MIB);
    CHECK_INT(hub_a.asked, 2);
    client_leave(&c);
    settle();
}

/* The head was sent with a manifest's size before upstream said its own. */
static void test_told(void)
{
    static const uint64_t TOLD[] = {400 * KIB, 3 * MIB};
    struct client c;

    for (size_t i = 0; i < ARRAY_LEN(TOLD); i++) {
        make_blob(2 * MIB);
        SCRIPT(&hub_a, {.body = blob, .size = blob_size, .hold = true});
        client_join(&c, loop_a, &hub_a, (struct flight_question){.proved = true, .size = TOLD[i]});
        settle();
        client_begin(&c, TOLD[i]);
        settle();
        CHECK_INT(c.state, READS);
        upstream_open(&hub_a, ALL);
        settle();
        CHECK_INT(c.state, CUT);
        CHECK_INT(c.n, 0);
        client_leave(&c);
        settle();
    }
    make_blob(2 * MIB); /* … and upstream says none: what was told is held back from too */
    SCRIPT(&hub_a, {.body = blob, .size = blob_size, .hold = true, .no_length = true});
    client_join(&c, loop_a, &hub_a, (struct flight_question){.proved = true});
    settle();
    client_begin(&c, 400 * KIB);
    upstream_open(&hub_a, 2 * MIB - 1);
    settle();
    CHECK_INT(c.n, 400 * KIB - HOLD_BACK);
    CHECK_INT(c.too_soon, 0);
    upstream_open(&hub_a, ALL);
    settle();
    CHECK_INT(c.state, CUT);
    CHECK_INT(c.n, 400 * KIB - HOLD_BACK);
    client_leave(&c);
    settle();
}

int main(void)
{
    flights_begin();
    test_one();
    test_growing();
    test_many();
    test_join_points();
    test_resume();
    test_no_progress();
    test_sizes();
    test_told();
    flights_end();
    return tap_done();
}
