/* test_flight_window.c - disks that refuse, budgets that are spent: blobs pass through memory. */
#include "flight_fixture.h"

static void check_passed(const struct client *c, const char *what)
{
    bool good =
        c->state == DONE && c->n == blob_size - c->from && c->wrong == 0 && c->too_soon == 0;

    if (!CHECK_NOTE(good, what)) {
        printf("#      state %d, %llu bytes, %u wrong, %u too soon\n", (int)c->state,
               (unsigned long long)c->n, c->wrong, c->too_soon);
    }
    CHECK(!disk_has_blob(&blob_digest) && !disk_has_file(&blob_digest));
}

/* The disk refuses at the k-th write: from there on bytes go through the window. */
static void test_refuses(void)
{
    for (int k = 1; k <= 16; k++) { /* of as many writes */
        struct client a;
        struct client b;

        make_blob(4 * MIB);
        disk.refuses_write = k;
        SCRIPT(&hub_a, {.body = blob, .size = blob_size, .gate = 2 * MIB});
        client_join(&a, loop_a, &hub_a, (struct flight_question){.size = blob_size});
        client_join(&b, loop_b, &hub_a, (struct flight_question){0});
        settle();
        CHECK(a.n > MIB);
        upstream_open(&hub_a, ALL);
        settle();
        check_passed(&a, "whole, though the disk refuses");
        check_passed(&b, "and for who joined");
        CHECK_INT(hub_a.asked, 1);
        client_leave(&a);
        client_leave(&b);
        settle();
    }
}

static void test_opens(void)
{
    struct client c;

    make_blob(4 * MIB);
    disk.refuses_open = true;
    SCRIPT(&hub_a, GOOD);
    client_join(&c, loop_a, &hub_a, (struct flight_question){0});
    settle();
    check_passed(&c, "whole, though no file can be made");
    CHECK(flight_is_passing(&c.ticket));
    client_leave(&c);

    make_blob(4 * MIB);
    disk.room = 4 * MIB - 1;
    SCRIPT(&hub_a, GOOD);
    client_join(&c, loop_a, &hub_a, (struct flight_question){0});
    settle();
    check_passed(&c, "whole, though the budget is spent");
    client_leave(&c);

    make_blob(4 * MIB);
    disk.refuses_commit = true;
    SCRIPT(&hub_a, GOOD);
    client_join(&c, loop_a, &hub_a, (struct flight_question){0});
    settle();
    check_passed(&c, "whole, though it cannot be kept");
    client_leave(&c);

    make_blob(4 * MIB); /* wrong bytes are held back in memory too */
    disk.refuses_open = true;
    spoil_blob(3);
    SCRIPT(&hub_a, {.body = blob, .size = blob_size, .gate = 1});
    client_join(&c, loop_a, &hub_a, (struct flight_question){0});
    settle();
    upstream_open(&hub_a, 4 * MIB - 1);
    settle();
    upstream_open(&hub_a, ALL);
    settle();
    CHECK_INT(c.state, CUT);
    CHECK_INT(c.n, 4 * MIB - HOLD_BACK);
    client_leave(&c);
    settle();
}

/* At most FLIGHT_WINDOW bytes are in memory: the slowest reader paces the download. */
static void test_pace(void)
{
    struct client slow;
    struct client fast;
    struct client late;
    const struct flight *f;

    make_blob(20 * MIB);
    disk.refuses_open = true;
    SCRIPT(&hub_a, GOOD);
    client_join(&slow, loop_a, &hub_a, (struct flight_question){0});
    client_join(&fast, loop_b, &hub_a, (struct flight_question){0});
    slow.speed = MIB;
    settle();
    f = slow.ticket.flight;
    for (unsigned i = 0; i < 8; i++) {
        CHECK(atomic_load(&f->landed) <= slow.n + FLIGHT_WINDOW);
        CHECK(fast.n >= slow.n && fast.n <= slow.n + FLIGHT_WINDOW);
        loop_defer(loop_a, &slow.task);
        settle();
    }
    CHECK(slow.n >= 8 * MIB && slow.n < 12 * MIB);
    /* What is gone is gone: who wants it gets a download of its own, which is not kept. */
    SCRIPT(&hub_a, GOOD);
    client_join(&late, loop_b, &hub_a, (struct flight_question){0});
    settle();
    CHECK(!late.ticket.joined);
    CHECK_INT(hub_a.asked, 1);
    check_passed(&late, "a late one, by a flight of its own");
    client_leave(&late);
    client_join(&late, loop_b, &hub_a, (struct flight_question){.offset = 19 * MIB});
    settle();
    CHECK(late.ticket.joined); /* what is to come can be waited for */
    client_leave(&slow);
    settle();
    check_passed(&fast, "the fast one, once the slow one has left");
    check_passed(&late, "the end of it");
    client_leave(&fast);
    client_leave(&late);
    settle();
}

/* Nobody reads: the window fills and waits, without a buffer that others could use. */
static void test_no_reader(void)
{
    enum { N = 60 }; /* more than a loop has buffers */
    static struct client stuck[N];
    struct client c;

    make_blob(20 * MIB);
    disk.refuses_open = true;
    SCRIPT(&hub_a, GOOD);
    for (unsigned i = 0; i < N; i++) {
        client_join(&stuck[i], loop_a, &hub_a, (struct flight_question){0});
        /* The first reads a little, so that each of the others has to have its own flight. */
        stuck[i].speed = i == 0 ? MIB : 0;
        settle();
        stuck[i].speed = 0;
    }
    CHECK_INT(hub_a.asked, N);
    SCRIPT(&hub_b, GOOD);
    disk.refuses_open = false;
    spoil_blob(0); /* another blob */
    sha_of(SHA_256, blob, blob_size, blob_digest.bytes);
    client_join(&c, loop_a, &hub_b, (struct flight_question){0});
    settle();
    CHECK_NOTE(c.state == DONE && c.n == blob_size,
               "sixty clients that do not read stop nobody else");
    client_leave(&c);
    for (unsigned i = 0; i < N; i++) {
        client_leave(&stuck[i]);
    }
    settle();
    CHECK_INT(net.n_live, 0);
}

/* A prefetch that cannot be kept has nobody to wait for. */
static void test_prefetch(void)
{
    struct client c;

    make_blob(20 * MIB);
    disk.refuses_open = true;
    SCRIPT(&hub_a, GOOD);
    client_join(&c, loop_a, &hub_a, (struct flight_question){.prefetch = true, .proved = true});
    task_cancel(&c.task);
    settle();
    pass_ms(1000);
    CHECK_INT(net.n_live, 0);
    CHECK_INT(flight_poll(&c.ticket), FLIGHT_FAILED);
    client_leave(&c);
    settle();
}

int main(void)
{
    flights_begin();
    test_refuses();
    test_opens();
    test_pace();
    test_no_reader();
    test_prefetch();
    flights_end();
    return tap_done();
}
