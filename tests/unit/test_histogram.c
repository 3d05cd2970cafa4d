/* test_histogram.c - buckets, noted by several threads. */
#include "../../src/base/histogram.c"

#include "tap.h"

static void *note(void *arg)
{
    for (uint64_t us = 1; us <= 1000; us++) {
        histogram_note(HISTOGRAM_blob_store, HISTOGRAM_WHOLE, us);
    }
    return arg;
}

static void test_threads(void)
{
    pthread_t threads[4];
    struct histogram_sum sum;

    for (size_t i = 0; i < 4; i++) {
        pthread_create(&threads[i], NULL, note, NULL);
    }
    for (size_t i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
    }
    sum = histogram_read(HISTOGRAM_blob_store, HISTOGRAM_WHOLE);
    CHECK_INT(sum.counts[0], 4 * 100);
    CHECK_INT(sum.counts[1], 4 * 150);
    CHECK_INT(sum.counts[2], 4 * 250);
    CHECK_INT(sum.counts[3], 4 * 500);
    CHECK_INT(sum.counts[4], 0);
    CHECK_INT(sum.total_us, 4 * 1000 * 1001 / 2);
}

static void test_bounds(void)
{
    struct histogram_sum sum;

    for (size_t i = 1; i < HISTOGRAM_BOUNDS; i++) {
        CHECK(HISTOGRAM_BOUND_US[i] > HISTOGRAM_BOUND_US[i - 1]);
    }
    histogram_note(HISTOGRAM_other, HISTOGRAM_FIRST_BYTE, 0);
    histogram_note(HISTOGRAM_other, HISTOGRAM_FIRST_BYTE, HISTOGRAM_BOUND_US[0]);
    histogram_note(HISTOGRAM_other, HISTOGRAM_FIRST_BYTE, HISTOGRAM_BOUND_US[0] + 1);
    histogram_note(HISTOGRAM_other, HISTOGRAM_FIRST_BYTE, UINT64_MAX / 2);
    sum = histogram_read(HISTOGRAM_other, HISTOGRAM_FIRST_BYTE);
    CHECK_INT(sum.counts[0], 2);
    CHECK_INT(sum.counts[1], 1);
    CHECK_INT(sum.counts[HISTOGRAM_BOUNDS], 1);
    sum = histogram_read(HISTOGRAM_other, HISTOGRAM_WHOLE);
    CHECK_INT(sum.counts[0] + sum.total_us, 0);
}

static void test_names(void)
{
    CHECK_STR(histogram_kind(HISTOGRAM_manifest_upstream), "manifest");
    CHECK_STR(histogram_from(HISTOGRAM_manifest_upstream), "upstream");
}

int main(void)
{
    test_threads();
    test_bounds();
    test_names();
    return tap_done();
}
