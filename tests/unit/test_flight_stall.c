/* test_flight_stall.c - what our own disk, or a reader, keeps waiting is not the upstream's. */
#include "flight_fixture.h"

static void check_whole(const struct client *c, const char *what)
{
    bool good = c->state == DONE && c->n == blob_size && c->wrong == 0 && c->too_soon == 0;

    if (!CHECK_NOTE(good, what)) {
        printf("#      state %d, %llu bytes, %s\n", (int)c->state, (unsigned long long)c->n,
               c->err.text);
    }
}

/* One MiB of four has come, and the next bytes are not written before the test lets them. */
static void begin_held(struct client *c, struct fake_reply first)
{
    make_blob(4 * MIB);
    first.body = blob;
    first.size = blob_size;
    first.gate = MIB;
    SCRIPT(&hub_a, first, GOOD);
    client_join(c, loop_a, &hub_a, (struct flight_question){0});
    settle();
    CHECK_INT(c->n, MIB);
    fake_pool_held = true;
}

static void release(void)
{
    fake_pool_held = false;
    settle();
}

/* Both buffers are with the disk, each with one byte that the upstream sent at its own pace. */
static void fill_buffers(void)
{
    for (unsigned i = 1; i <= FLIGHT_BUFFERS; i++) {
        upstream_open(&hub_a, MIB + i);
        settle();
    }
}

/* The disk stalls for longer than an upstream may. */
static void test_disk(void)
{
    struct client c;

    begin_held(&c, (struct fake_reply){.other = true});
    fill_buffers();
    pass_ms(2 * limits.upstream_stall);
    upstream_open(&hub_a, MIB + FLIGHT_BUFFERS); /* woken, as by a timer */
    settle();
    CHECK_INT(hub_a.asked, 1);
    release();
    CHECK_INT(c.n, MIB + FLIGHT_BUFFERS);
    CHECK_INT(hub_a.asked, 1); /* that nothing more is there yet says nothing of it */
    upstream_open(&hub_a, ALL);
    settle();
    check_whole(&c, "by the one source, however long the disk takes");
    CHECK_INT(hub_a.asked, 1);
    client_leave(&c);
    settle();
}

/* … but once the disk is done, its time runs. */
static void test_slow(void)
{
    struct client c;

    begin_held(&c, (struct fake_reply){.other = true});
    fill_buffers();
    pass_ms(2 * limits.upstream_stall);
    release();
    pass_ms(limits.upstream_stall - 10);
    upstream_open(&hub_a, MIB + FLIGHT_BUFFERS);
    settle();
    CHECK_INT(hub_a.asked, 1);
    pass_ms(10);
    upstream_open(&hub_a, MIB + FLIGHT_BUFFERS);
    settle();
    pass_ms(limits.retry_min);
    check_whole(&c, "the rest by another");
    CHECK_INT(hub_a.asked, 2);
    CHECK_INT(hub_a.from[1], MIB + FLIGHT_BUFFERS);
    client_leave(&c);
    settle();
}

/* A connection breaks while the disk stalls for longer than without progress is tried on. */
static void test_broken(void)
{
    struct client c;

    begin_held(&c, (struct fake_reply){.cut = MIB + 1});
    upstream_open(&hub_a, ALL);
    settle();
    pass_ms(2 * limits.retry_for);
    CHECK_INT(hub_a.asked, 1);
    release();
    pass_ms(limits.retry_min);
    check_whole(&c, "gone on with, though the disk took so long");
    CHECK_INT(hub_a.asked, 2);
    client_leave(&c);
    settle();

    begin_held(&c, (struct fake_reply){.cut = MIB + FLIGHT_BUFFERS}); /* seen only after */
    fill_buffers();
    pass_ms(2 * limits.retry_for);
    release();
    upstream_open(&hub_a, ALL);
    pass_ms(limits.retry_min);
    check_whole(&c, "gone on with, though it was not looked at for so long");
    CHECK_INT(hub_a.asked, 2);
    client_leave(&c);
    settle();
}

/* A connection breaks while a reader of a window takes a break that is longer. */
static void test_reader(void)
{
    struct client c;

    make_blob(20 * MIB);
    disk.refuses_open = true;
    SCRIPT(&hub_a, {.body = blob, .size = blob_size, .cut = FLIGHT_WINDOW}, GOOD);
    client_join(&c, loop_a, &hub_a, (struct flight_question){0});
    c.speed = 0;
    settle();
    pass_ms(2 * limits.retry_for);
    CHECK_INT(hub_a.asked, 1);
    c.speed = ALL;
    loop_defer(loop_a, &c.task);
    pass_ms(limits.retry_min);
    check_whole(&c, "gone on with, though the reader took so long");
    CHECK_INT(hub_a.asked, 2);
    client_leave(&c);
    settle();
}

int main(void)
{
    flights_begin();
    test_disk();
    test_slow();
    test_broken();
    test_reader();
    flights_end();
    return tap_done();
}
