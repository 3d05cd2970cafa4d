/* test_http_pace.c - peers that move too little: what counts as waiting, and what pays for it. */
#include "http/pace.h"

#include "tap.h"

#define PATIENCE 300000u /* ms */

/* A peer that moves n bytes at the end of every `ms`: for how many ms it is put up with, or 0 where
 * it still is after a day. */
static uint64_t survives(uint64_t n, uint64_t ms)
{
    struct pace p = {0};
    uint64_t now = 1000;

    while (now < 86400000) {
        uint64_t left;

        pace_wait(&p, now);
        left = pace_left(&p, now, PATIENCE);
        if (left < ms) {
            return now + left - 1000;
        }
        now += ms;
        pace_go(&p, now);
        pace_moved(&p, n);
    }
    return 0;
}

static void test_rates(void)
{
    CHECK(survives(0, 1000) == PATIENCE);
    CHECK(survives(1, 60000) >= PATIENCE && survives(1, 60000) < PATIENCE + 1000);
    CHECK(survives(1, 10) > PATIENCE && survives(1, 10) < PATIENCE + PATIENCE / 8);
    CHECK(survives(LEAST_RATE / 2, 1000) > 2 * PATIENCE - 5000);
    CHECK(survives(LEAST_RATE, 1000) == 0);
    CHECK(survives(LEAST_RATE * 250, 250000) == 0); /* long pauses, made up for */
    CHECK(survives(100 * LEAST_RATE, 1000) == 0);
}

/* What moved fast before buys no time later. */
static void test_nothing_is_saved(void)
{
    struct pace p = {0};

    pace_wait(&p, 1000);
    pace_go(&p, 1010);
    pace_moved(&p, UINT64_MAX);
    CHECK(pace_left(&p, 1010, PATIENCE) == PATIENCE);
    pace_wait(&p, 1010);
    CHECK(pace_left(&p, 1010 + PATIENCE - 1, PATIENCE) == 1);
    CHECK(pace_left(&p, 1010 + PATIENCE, PATIENCE) == 0);
    CHECK(pace_left(&p, 1010 + 2 * PATIENCE, PATIENCE) == 0);
}

/* Only the time between wait and go counts, from the first wait on. */
static void test_what_counts(void)
{
    struct pace p = {0};

    CHECK(pace_left(&p, 5, PATIENCE) == PATIENCE);
    pace_wait(&p, 1000);
    pace_wait(&p, 50000);
    pace_go(&p, 101000);
    CHECK(pace_left(&p, 900000, PATIENCE) == PATIENCE - 100000);
    pace_go(&p, 900000);
    CHECK(pace_left(&p, 900000, PATIENCE) == PATIENCE - 100000);
    pace_moved(&p, 40 * LEAST_RATE);
    CHECK(pace_left(&p, 900000, PATIENCE) == PATIENCE - 60000);
    pace_moved(&p, 0);
    CHECK(pace_left(&p, 900000, PATIENCE) == PATIENCE - 60000);
}

int main(void)
{
    test_rates();
    test_nothing_is_saved();
    test_what_counts();
    return tap_done();
}
