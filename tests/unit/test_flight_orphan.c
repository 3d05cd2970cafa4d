/* test_flight_orphan.c - flights that nobody waits for: which go on, what is left of the others. */
#include "flight_fixture.h"

static struct fake_reply held_at(uint64_t gate)
{
    return (struct fake_reply){.body = blob, .size = blob_size, .gate = gate};
}

/* The blob as upstream tells it is `size` long; what comes of it is small. */
static void leave_at(struct client *c, uint64_t size, uint64_t landed)
{
    struct fake_reply r;

    make_blob(2 * MIB);
    blob_size = size;
    r = held_at(landed);
    upstream_script(&hub_a, &r, 1);
    client_join(c, loop_a, &hub_a, (struct flight_question){0});
    settle();
    client_leave(c);
    settle();
}

static void test_rules(void)
{
    struct partial_record p = {0};
    struct client c;

    leave_at(&c, 2 * MIB, MIB); /* little remains */
    CHECK_INT(net.n_live, 1);
    upstream_open(&hub_a, ALL);
    settle();
    CHECK(disk_has_blob(&blob_digest));

    leave_at(&c, 4096 * MIB, 2 * MIB); /* much remains, and little is there */
    CHECK_INT(net.n_live, 0);
    CHECK(fake_get_partial(&blob_digest, &p) == INDEX_FOUND);
    CHECK_INT(p.stored, 2 * MIB);
    CHECK_INT(p.size, 4096 * MIB);

    leave_at(&c, 520 * MIB, MIB); /* just too much remains */
    CHECK_INT(net.n_live, 0);

    /* Left before its size was known: judged again once it is. */
    make_blob(2 * MIB);
    blob_size = 4096 * MIB;
    SCRIPT(&hub_a, {.body = blob, .size = blob_size, .hold = true});
    client_join(&c, loop_a, &hub_a, (struct flight_question){0});
    settle();
    client_leave(&c);
    settle();
    CHECK_INT(net.n_live, 1);
    upstream_open(&hub_a, MIB);
    settle();
    CHECK_INT(net.n_live, 0);
}

/* What was left is taken up; a prefetch goes on for nobody; a client's leaving does not stop it. */
static void test_taken_up(void)
{
    struct client c;
    struct client p;

    leave_at(&c, 4096 * MIB, MIB);
    blob_size = 2 * MIB;
    SCRIPT(&hub_a, GOOD);
    client_join(&c, loop_a, &hub_a, (struct flight_question){0});
    settle();
    CHECK(c.state == DONE && c.n == blob_size && c.wrong == 0);
    CHECK_INT(hub_a.from[0], MIB);
    client_leave(&c);

    make_blob(2 * MIB);
    blob_size = 4096 * MIB;
    SCRIPT(&hub_a, held_at(MIB));
    client_join(&p, loop_a, &hub_a,
                (struct flight_question){.prefetch = true, .proved = true, .listed = true});
    task_cancel(&p.task);
    settle();
    client_join(&c, loop_b, &hub_a, (struct flight_question){0});
    settle();
    CHECK_INT(c.n, MIB);
    client_leave(&c);
    settle();
    CHECK_INT(net.n_live, 1);
    client_leave(&p);
    settle();
    CHECK_INT(net.n_live, 1);
    blob_size = 2 * MIB;
    list_each(it, &net.live) {
        container_of(it, struct fetch, node)->reply.cut = 2 * MIB; /* it ends somehow */
    }
    upstream_open(&hub_a, ALL);
    SCRIPT(&hub_a, {.fail = ERR_BLOB_UNKNOWN});
    pass_ms(1000);
    CHECK_INT(net.n_live, 0);

    /* The other way round: a prefetch that joins a client's flight does not keep it. */
    make_blob(2 * MIB);
    blob_size = 4096 * MIB;
    SCRIPT(&hub_a, held_at(MIB));
    client_join(&c, loop_b, &hub_a, (struct flight_question){0});
    settle();
    client_join(&p, loop_a, &hub_a, (struct flight_question){.prefetch = true, .proved = true});
    task_cancel(&p.task);
    settle();
    client_leave(&c);
    settle();
    CHECK_INT(net.n_live, 0);
    client_leave(&p);
    settle();
}

/* Eight go on for nobody, and no more; when one has ended another may. */
static void test_eight(void)
{
    enum { N = 9 };
    static struct client c[N];
    static struct digest digests[N];

    make_blob(2 * MIB);
    SCRIPT(&hub_a, {.body = blob, .size = blob_size, .gate = MIB});
    for (unsigned i = 0; i < N; i++) {
        blob_digest.bytes[0] = (uint8_t)i;
        digests[i] = blob_digest;
        client_join(&c[i], i % 2 == 0 ? loop_a : loop_b, &hub_a, (struct flight_question){0});
        settle();
    }
    for (unsigned i = 0; i < N; i++) {
        client_leave(&c[i]);
        settle();
    }
    CHECK_INT(net.n_live, 8);
    CHECK(disk_has_file(&digests[8])); /* it keeps its part */
    upstream_open(&hub_a, ALL);
    settle();
    CHECK_INT(net.n_live, 0);
    client_join(&c[8], loop_a, &hub_a, (struct flight_question){.offset = 0});
    CHECK(!c[8].ticket.joined);
    settle();
    client_leave(&c[8]);
    settle();
    CHECK_INT(net.n_live, 1);
    upstream_open(&hub_a, ALL);
    settle();
}

/* A flight that went on for nobody and breaks has the same time as one that is read. */
static void test_breaks(void)
{
    struct client c;

    make_blob(2 * MIB);
    SCRIPT(&hub_a, {.body = blob, .size = blob_size, .gate = MIB, .cut = MIB},
           {.fail = ERR_UPSTREAM_DOWN}, {.fail = ERR_UPSTREAM_DOWN}, {.fail = ERR_UPSTREAM_DOWN},
           {.fail = ERR_UPSTREAM_DOWN}, {.fail = ERR_UPSTREAM_DOWN}, GOOD);
    client_join(&c, loop_a, &hub_a, (struct flight_question){0});
    settle();
    client_leave(&c);
    pass_ms(60000);
    CHECK(disk_has_blob(&blob_digest));
    CHECK_INT(hub_a.asked, 7);
}

/* Nothing is told the index of a blob that upstream does not have: that would be a commit each. */
static void test_nothing_noted(void)
{
    unsigned before;
    struct client c;

    make_blob(MIB);
    before = fake.n_writes;
    SCRIPT(&hub_a, {.fail = ERR_BLOB_UNKNOWN});
    client_join(&c, loop_a, &hub_a, (struct flight_question){0});
    settle();
    CHECK_INT(c.state, REFUSED);
    CHECK_INT(fake.n_writes, before);
    CHECK(!disk_has_file(&blob_digest));
    client_leave(&c);
    settle();
}

/* The process ends in the middle of everything: nothing is lost of memory. */
static void test_end(void)
{
    static struct client c[3];

    make_blob(4 * MIB);
    SCRIPT(&hub_a, {.body = blob, .size = blob_size, .gate = MIB});
    client_join(&c[0], loop_a, &hub_a, (struct flight_question){0});
    settle();
    fake_pool_held = true;
    upstream_open(&hub_a, 3 * MIB);
    fake_turn();
    fake_turn();
    disk.refuses_open = true;
    blob_digest.bytes[0]++;
    client_join(&c[1], loop_b, &hub_a, (struct flight_question){0});
    blob_digest.bytes[0]++;
    client_join(&c[2], loop_b, &hub_a, (struct flight_question){.prefetch = true});
    fake_turn();
    while (fake_job()) { /* as pools do that end: what is queued runs, nobody hears of it */
    }
    cache_free(cache);
    CHECK_INT(counter_sum(COUNTER_flights_open), 0);
    CHECK_INT(net.n_live, 0);
    for (unsigned i = 0; i < loop_count(); i++) {
        flow_fini(i);
        loop_free(loop_at(i));
    }
}

int main(void)
{
    flights_begin();
    test_rules();
    test_taken_up();
    test_eight();
    test_breaks();
    test_nothing_noted();
    test_end();
    return tap_done();
}
