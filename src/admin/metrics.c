/* admin/metrics.c - counters, histograms and the store's figures, as lines. */
#include "admin/metrics.h"

#include "base/counter.h"
#include "base/histogram.h"
#include "base/version.h"

#include <inttypes.h>
#include <stdio.h>

/* The answers by where they came from are one metric with a label. */
#define RESPONSES "responses_"

/* What also goes down. */
static bool is_gauge(enum counter c)
{
    switch (c) {
    case COUNTER_connections_open:
    case COUNTER_configurations:
    case COUNTER_flights_open:
    case COUNTER_readers_open:
    case COUNTER_hub_ratelimit_limit:
    case COUNTER_hub_ratelimit_remaining:
        return true;
    default:
        return false;
    }
}

static void head(struct buf *out, const char *name, const char *help, const char *type)
{
    buf_printf(out, "# HELP larder_%s %s\n# TYPE larder_%s %s\n", name, help, name, type);
}

static void write_counter(struct buf *out, enum counter c)
{
    const char *suffix = is_gauge(c) ? "" : "_total";
    char name[64];

    snprintf(name, sizeof(name), "%s%s", counter_name(c), suffix);
    head(out, name, counter_help(c), is_gauge(c) ? "gauge" : "counter");
    buf_printf(out, "larder_%s %" PRId64 "\n", name, counter_sum(c));
}

static void write_counters(struct buf *out)
{
    head(out, "responses_total", "answers, by where their bytes came from", "counter");
    for (int i = 0; i < COUNTER_COUNT; i++) {
        struct slice name = slice_str(counter_name((enum counter)i));

        if (slice_starts(name, RESPONSES)) {
            buf_printf(out, "larder_responses_total{from=\"%s\"} %" PRId64 "\n",
                       name.p + strlen(RESPONSES), counter_sum((enum counter)i));
        }
    }
    for (int i = 0; i < COUNTER_COUNT; i++) {
        if (!slice_starts(slice_str(counter_name((enum counter)i)), RESPONSES)) {
            write_counter(out, (enum counter)i);
        }
    }
}

/* Buckets count what took at most so long, each with those before it. */
static void write_histogram(struct buf *out, const char *name, enum histogram h,
                            enum histogram_of of)
{
    struct histogram_sum sum = histogram_read(h, of);
    uint64_t count = 0;
    char labels[64];

    snprintf(labels, sizeof(labels), "kind=\"%s\",from=\"%s\"", histogram_kind(h),
             histogram_from(h));
    for (size_t i = 0; i < HISTOGRAM_BOUNDS; i++) {
        count += sum.counts[i];
        buf_printf(out, "larder_%s_bucket{%s,le=\"%g\"} %" PRIu64 "\n", name, labels,
                   (double)HISTOGRAM_BOUND_US[i] / 1e6, count);
    }
    count += sum.counts[HISTOGRAM_BOUNDS];
    buf_printf(out, "larder_%s_bucket{%s,le=\"+Inf\"} %" PRIu64 "\n", name, labels, count);
    buf_printf(out, "larder_%s_sum{%s} %.6f\n", name, labels, (double)sum.total_us / 1e6);
    buf_printf(out, "larder_%s_count{%s} %" PRIu64 "\n", name, labels, count);
}

static void write_histograms(struct buf *out)
{
    static const struct {
        enum histogram_of of;
        const char *name;
        const char *help;
    } ROWS[] = {
        {HISTOGRAM_FIRST_BYTE, "first_byte_seconds", "time to the first byte of an answer"},
        {HISTOGRAM_WHOLE, "request_seconds", "time to the end of an answer"},
    };

    for (size_t i = 0; i < ARRAY_LEN(ROWS); i++) {
        head(out, ROWS[i].name, ROWS[i].help, "histogram");
        for (int h = 0; h < HISTOGRAM_COUNT; h++) {
            write_histogram(out, ROWS[i].name, (enum histogram)h, ROWS[i].of);
        }
    }
}

static void write_gauge(struct buf *out, const char *name, const char *help, uint64_t value)
{
    head(out, name, help, "gauge");
    buf_printf(out, "larder_%s %" PRIu64 "\n", name, value);
}

static void write_store(struct buf *out, struct store *s)
{
    struct store_numbers n = store_numbers(s);

    head(out, "store_blobs", "blobs held, by class", "gauge");
    for (size_t i = 0; i < STORE_CLASSES; i++) {
        buf_printf(out, "larder_store_blobs{class=\"%s\"} %" PRIu64 "\n", store_class_name(i),
                   n.blobs[i]);
    }
    head(out, "store_blob_bytes", "bytes of blobs held, by class", "gauge");
    for (size_t i = 0; i < STORE_CLASSES; i++) {
        buf_printf(out, "larder_store_blob_bytes{class=\"%s\"} %" PRIu64 "\n", store_class_name(i),
                   n.blob_bytes[i]);
    }
    write_gauge(out, "store_held_bytes", "bytes held and reserved, partial files among them",
                n.held);
    write_gauge(out, "store_budget_bytes", "the most that may be held, as of now", n.budget);
    write_gauge(out, "store_free_bytes", "free on the disk, for an unprivileged user", n.free);
    write_gauge(out, "index_bytes", "bytes of the index in use", n.index);
    write_gauge(out, "index_max_bytes", "bytes that the index may grow to", n.index_max);
}

void metrics_write(struct store *s, struct buf *out)
{
    head(out, "build_info", "the program that runs", "gauge");
    buf_printf(out, "larder_build_info{version=\"%s\"} 1\n", LARDER_VERSION);
    write_counters(out);
    write_histograms(out);
    write_store(out, s);
}
