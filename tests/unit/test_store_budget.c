/* test_store_budget.c - how much may come, by size and by percent; how bytes change their kind. */
#include "store/budget.c"

#include "store_dir.h"
#include "tap.h"

#include <fcntl.h>

#define G ((uint64_t)1 << 30)

/* A budget whose disk said that it has `free` bytes free, and is not asked again for an hour. */
static struct budget *budget_of(struct store_options options, uint64_t free)
{
    struct budget *b = budget_new(&options, -1);

    b->asked_ms = clock_mono_ms() + 3600 * 1000;
    b->free = free;
    return b;
}

static bool takes(const struct budget *b, uint64_t size)
{
    return fits(b, size, 0);
}

static void hold(struct budget *b, uint64_t bytes)
{
    struct record_totals t = {.bytes = {bytes}, .count = {1}};

    budget_recorded(b, &t, NULL, 0);
}

static const struct digest part = {.alg = DIGEST_SHA256};

static void test_sizes(void)
{
    struct budget *b = budget_of((struct store_options){.max_size = 10 * G}, 100 * G);

    CHECK(takes(b, 10 * G) && !takes(b, 10 * G + 1));
    hold(b, 4 * G);
    CHECK(takes(b, 6 * G) && !takes(b, 6 * G + 1));
    budget_park(b, &part, 3 * G);
    budget_park(b, &part, 1 * G); /* not both */
    CHECK(takes(b, 5 * G) && !takes(b, 5 * G + 1));
    CHECK(budget_reserve(b, 5 * G, 0));
    CHECK(!takes(b, 1) && takes(b, 0));
    budget_release(b, 5 * G, 0);
    CHECK(takes(b, 5 * G));
    CHECK(!takes(b, UINT64_MAX));
    CHECK_INT(budget_held(b), 5 * G);
    budget_free(b);
}

static void test_min_free(void)
{
    struct budget *b =
        budget_of((struct store_options){.max_size = UINT64_MAX, .min_free = 10 * G}, 30 * G);

    CHECK(takes(b, 20 * G) && !takes(b, 20 * G + 1));
    CHECK(budget_reserve(b, 5 * G, 0));
    CHECK_NOTE(takes(b, 15 * G) && !takes(b, 15 * G + 1), "what is promised is not free");
    budget_free(b);
    b = budget_of((struct store_options){.max_size = UINT64_MAX, .min_free = 10 * G}, 9 * G);
    CHECK(!takes(b, 1));
    CHECK_NOTE(takes(b, 0), "what needs no room is taken");
    CHECK_NOTE(budget_max(b) == 0, "the most is no more than there is room for");
    budget_free(b);
}

/* Percent is of what Larder holds plus what is free, which does not change as blobs come. */
static void test_percent(void)
{
    struct store_options half = {.max_percent = 50, .min_free_percent = 5};
    struct budget *b = budget_of(half, 100 * G);

    CHECK_INT(budget_max(b), 50 * G);
    CHECK(takes(b, 50 * G) && !takes(b, 50 * G + 1));
    CHECK(budget_reserve(b, 20 * G, 0));
    CHECK_INT(budget_max(b), 50 * G);
    CHECK(takes(b, 30 * G) && !takes(b, 30 * G + 1));
    budget_free(b);

    b = budget_of(half, 60 * G); /* others have filled the disk */
    hold(b, 40 * G);
    CHECK_INT(budget_max(b), 50 * G);
    CHECK(takes(b, 10 * G) && !takes(b, 10 * G + 1));
    budget_free(b);

    b = budget_of((struct store_options){.max_percent = 100, .min_free_percent = 5}, 60 * G);
    hold(b, 40 * G);
    CHECK_NOTE(takes(b, 55 * G) && !takes(b, 55 * G + 1), "5 percent of 100 stay free");
    CHECK_INT(budget_max(b), 95 * G);
    budget_free(b);
    CHECK(percent(UINT64_MAX, 50) == UINT64_MAX / 2 && percent(199, 50) == 99);
}

/* A part that is taken up needs room only for what is missing. */
static void test_resumed(void)
{
    struct budget *b = budget_of((struct store_options){.max_size = 10 * G, .min_free = G}, 4 * G);

    budget_park(b, &part, 6 * G);
    CHECK(!takes(b, 9 * G));
    CHECK(budget_unpark(b, &part) == 6 * G);
    CHECK_NOTE(budget_unpark(b, &part) == 0, "only once");
    CHECK(budget_reserve(b, 9 * G, 6 * G));
    CHECK_NOTE(!takes(b, 1), "3 of the 4 that are free are promised, and one must stay");
    budget_release(b, 9 * G, 6 * G);
    budget_free(b);
}

/* What many downloads left behind is let go of, whatever the order of it. */
static void test_leftovers(void)
{
    struct budget *b = budget_of((struct store_options){.max_size = 10 * G}, 100 * G);

    for (unsigned char i = 0; i < 200; i++) {
        struct digest d = {.alg = DIGEST_SHA256, .bytes = {i}};

        budget_hand(b, &d, 0, 0);
        budget_park(b, &d, 1);
    }
    CHECK_INT(budget_held(b), 200);
    CHECK(budget_is_owed(b));
    budget_free(b);
}

/* From reserved to recorded in one step: never both, never neither. */
static void test_handing(void)
{
    struct budget *b = budget_of((struct store_options){.max_size = 10 * G}, 100 * G);
    struct digest d = {.alg = DIGEST_SHA256, .bytes = {1}};
    struct digest other = {.alg = DIGEST_SHA256, .bytes = {2}};
    struct record_totals t = {.bytes = {6 * G}, .count = {1}};

    CHECK(budget_reserve(b, 6 * G, 0));
    budget_back(b, 6 * G);
    budget_hand(b, &d, 6 * G, 6 * G);
    CHECK(!takes(b, 5 * G) && budget_is_owed(b));
    budget_recorded(b, &t, &other, 1);
    CHECK(budget_is_owed(b));
    budget_recorded(b, &t, &d, 1);
    CHECK(takes(b, 4 * G) && !takes(b, 5 * G) && !budget_is_owed(b));
    CHECK(b->reserved == 0 && b->backed == 0);
    CHECK(budget_reserve(b, G, 0));
    budget_hand(b, &d, G, 0);
    budget_hand(b, &d, 0, 0);
    CHECK_NOTE(b->reserved == 0, "a blob that comes twice is reserved once");
    budget_unhand(b, &d);
    CHECK(!budget_is_owed(b));
    budget_hand(b, &d, 0, 0);
    budget_hand(b, &other, 0, 0);
    budget_free(b); /* frees what was never recorded */
}

/* The real disk: asked once a second at most, and before anybody is refused. */
static void test_disk(void)
{
    struct store_options options = {.max_size = UINT64_MAX, .min_free = 1};
    int fd = open(store_dir_new(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct budget *b = budget_new(&options, fd);
    struct statvfs v;

    CHECK(fstatvfs(fd, &v) == 0);
    CHECK(budget_reserve(b, 1, 0));
    CHECK(!budget_reserve(b, (uint64_t)v.f_blocks * v.f_frsize, 0));
    b->free = 0;
    CHECK_NOTE(budget_reserve(b, 4096, 0), "an old answer refuses nobody");
    CHECK(b->free > 0);
    budget_free(b);
    close(fd);
}

int main(void)
{
    test_sizes();
    test_min_free();
    test_percent();
    test_resumed();
    test_handing();
    test_leftovers();
    test_disk();
    return tap_done();
}
