/*
 * base/histogram.h - how long things took, in buckets, one table.
 *
 * Each thread notes into its own block, as with counters. Any thread.
 */
#ifndef BASE_HISTOGRAM_H
#define BASE_HISTOGRAM_H

#include <stdint.h>

/* name, what was asked for, where the answer came from (X-Larder: hit, stale and revalidated are
 * "store"; miss, joined and passed are "upstream"). */
#define HISTOGRAM_LIST(X)                                                                          \
    X(manifest_store, "manifest", "store")                                                         \
    X(manifest_upstream, "manifest", "upstream")                                                   \
    X(blob_store, "blob", "store")                                                                 \
    X(blob_upstream, "blob", "upstream")                                                           \
    X(other, "other", "none")

enum histogram {
#define X(name, kind, from) HISTOGRAM_##name,
    HISTOGRAM_LIST(X)
#undef X
        HISTOGRAM_COUNT
};

/* Of each row, two figures are kept. */
enum histogram_of {
    HISTOGRAM_FIRST_BYTE, /* from the request's head to the first byte of the answer */
    HISTOGRAM_WHOLE,      /* from the head to the end of the answer */
    HISTOGRAM_OF_COUNT
};

/* Upper bounds of the buckets, in microseconds; what took longer is in one more. */
#define HISTOGRAM_BOUNDS 19
extern const uint64_t HISTOGRAM_BOUND_US[HISTOGRAM_BOUNDS];

/* The sums over all threads. */
struct histogram_sum {
    uint64_t counts[HISTOGRAM_BOUNDS + 1];
    uint64_t total_us;
};

void histogram_note(enum histogram h, enum histogram_of of, uint64_t us);
struct histogram_sum histogram_read(enum histogram h, enum histogram_of of);

const char *histogram_kind(enum histogram h);
const char *histogram_from(enum histogram h);

#endif
