/* registry/record.c - a line a request, for people (text) or programs (JSON). */
#include "registry/record.h"

#include "base/clock.h"
#include "base/counter.h"
#include "base/histogram.h"
#include "base/log.h"
#include "oci/query.h"
#include "registry/access.h"

#include <stdio.h>

#define LINE_MAX_BYTES 8192
#define FLUSH_MS 100

static void record_count(enum request_from from)
{
    switch (from) {
    case FROM_NONE:
        count(responses_none);
        break;
    case FROM_HIT:
        count(responses_hit);
        break;
    case FROM_MISS:
        count(responses_miss);
        break;
    case FROM_JOINED:
        count(responses_joined);
        break;
    case FROM_STALE:
        count(responses_stale);
        break;
    case FROM_REVALIDATED:
        count(responses_revalidated);
        break;
    case FROM_PASSED:
        count(responses_passed);
        break;
    }
}

/* Which row of the histograms an answer belongs to. */
static enum histogram histogram_of(const struct request *q)
{
    bool manifest = q != NULL && q->route.kind == ROUTE_MANIFEST;
    bool blob = q != NULL && q->route.kind == ROUTE_BLOB;

    if (!manifest && !blob) {
        return HISTOGRAM_other;
    }
    switch (q->from) {
    case FROM_HIT:
    case FROM_STALE:
    case FROM_REVALIDATED:
        return manifest ? HISTOGRAM_manifest_store : HISTOGRAM_blob_store;
    case FROM_MISS:
    case FROM_JOINED:
    case FROM_PASSED:
        return manifest ? HISTOGRAM_manifest_upstream : HISTOGRAM_blob_upstream;
    case FROM_NONE:
        break;
    }
    return HISTOGRAM_other;
}

/* What the line says, in either form. */
struct line {
    char now[32];
    char digest[DIGEST_TEXT_MAX];
    const char *repo;
    const char *reference;
    const char *from;
    struct slice agent;
    struct buf ns;    /* where `repo` does not tell which registry is meant: what ?ns= does */
    const char *user; /* "": nobody signed in */
    uint64_t first_us;
    uint64_t total_us;
};

static void line_fill(struct line *l, const struct request *q, const struct http_exchange *x)
{
    uint64_t now = clock_mono_us();

    clock_text(l->now);
    snprintf(l->digest, sizeof(l->digest), "-");
    if (q != NULL && q->has_digest) {
        digest_text(&q->digest, l->digest);
    }
    l->repo = q == NULL                  ? "-"
              : q->mirrored              ? q->repo.text
              : q->route.name[0] != '\0' ? q->route.name
                                         : "-";
    l->reference = q == NULL || q->route.reference[0] == '\0' ? "-" : q->route.reference;
    l->from = q == NULL ? "none" : request_from_text(q->from);
    if (strcmp(l->repo, "-") == 0) {
        ignore_result(!query_get(x->head.query, "ns", &l->ns));
    }
    l->user = q == NULL ? "" : access_owner(q);
    l->agent = http_field(&x->head, "User-Agent");
    l->first_us = x->first_us > x->started_us ? x->first_us - x->started_us : 0;
    l->total_us = now - x->started_us;
}

static void text_append(struct buf *b, struct slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        bool plain = s.p[i] > ' ' && s.p[i] != '"' && s.p[i] != '\\' && s.p[i] < 0x7f;

        buf_append(b, plain ? &s.p[i] : s.p[i] == ' ' ? "_" : "?", 1);
    }
}

static void line_text(struct buf *b, const struct line *l, const struct http_exchange *x)
{
    int n;
    char text[1024];

    n = snprintf(text, sizeof(text), "%s client=%s method=", l->now, x->client);
    buf_append(b, text, (size_t)n);
    text_append(b, x->head.method_text);
    n = snprintf(text, sizeof(text),
                 " status=%d from=%s bytes=%llu repo=%s ref=%s digest=%s first_ms=%llu.%03u "
                 "total_ms=%llu.%03u path=",
                 x->status, l->from, (unsigned long long)x->bytes_sent, l->repo, l->reference,
                 l->digest, (unsigned long long)(l->first_us / 1000),
                 (unsigned)(l->first_us % 1000), (unsigned long long)(l->total_us / 1000),
                 (unsigned)(l->total_us % 1000));
    buf_append(b, text, (size_t)n < sizeof(text) ? (size_t)n : sizeof(text) - 1);
    text_append(b, slice_sub(x->head.path, 0, 512));
    buf_str(b, " agent=");
    text_append(b, l->agent.p == NULL ? slice_str("-") : slice_sub(l->agent, 0, 200));
    if (l->ns.len > 0) {
        buf_str(b, " ns=");
        text_append(b, buf_view(&l->ns));
    }
    if (l->user[0] != '\0') {
        buf_str(b, " user=");
        text_append(b, slice_str(l->user));
    }
}

static void line_json(struct buf *b, const struct line *l, const struct http_exchange *x)
{
    buf_printf(b, "{\"time\":\"%s\",\"client\":\"%s\",\"method\":", l->now, x->client);
    buf_json(b, x->head.method_text);
    buf_printf(b, ",\"status\":%d,\"from\":\"%s\",\"bytes\":%llu,\"repo\":", x->status, l->from,
               (unsigned long long)x->bytes_sent);
    buf_json(b, slice_str(l->repo));
    buf_str(b, ",\"ref\":");
    buf_json(b, slice_str(l->reference));
    buf_printf(b, ",\"digest\":\"%s\",\"first_ms\":%.3f,\"total_ms\":%.3f,\"path\":", l->digest,
               (double)l->first_us / 1000, (double)l->total_us / 1000);
    buf_json(b, slice_sub(x->head.path, 0, 512));
    buf_str(b, ",\"agent\":");
    buf_json(b, l->agent.p == NULL ? SLICE_NULL : slice_sub(l->agent, 0, 200));
    if (l->ns.len > 0) {
        buf_str(b, ",\"ns\":");
        buf_json(b, buf_view(&l->ns));
    }
    if (l->user[0] != '\0') {
        buf_str(b, ",\"user\":");
        buf_json(b, slice_str(l->user));
    }
    buf_str(b, "}");
}

/* Lines are gathered a thread; this sends them when a loop has been quiet. */
static _Thread_local struct timer flush_timer;

static void on_flush(struct timer *t)
{
    (void)t;
    ignore_result(log_flush());
}

void record_flush_fini(void)
{
    timer_fini(&flush_timer);
    ignore_result(log_flush());
}

void record_write(const struct request *q, const struct http_exchange *x)
{
    static _Thread_local char storage[LINE_MAX_BYTES];
    struct buf b = {.p = storage, .cap = sizeof(storage), .max = sizeof(storage) - 1};
    char ns[ROUTE_NS_MAX];
    struct line l = {.ns = {.p = ns, .cap = sizeof(ns), .max = sizeof(ns) - 1}};

    record_count(q == NULL ? FROM_NONE : q->from);
    line_fill(&l, q, x);
    histogram_note(histogram_of(q), HISTOGRAM_FIRST_BYTE, l.first_us);
    histogram_note(histogram_of(q), HISTOGRAM_WHOLE, l.total_us);
    if (q != NULL && q->from != FROM_NONE && q->from != FROM_MISS && q->from != FROM_PASSED) {
        count_add(bytes_saved, x->bytes_sent);
    }
    if (log_is_json()) {
        line_json(&b, &l, x);
    } else {
        line_text(&b, &l, x);
    }
    log_access(b.p, b.len);
    if (flush_timer.loop == NULL) {
        timer_init(&flush_timer, x->loop, on_flush);
    }
    if (!timer_is_set(&flush_timer)) {
        timer_set(&flush_timer, FLUSH_MS);
    }
}
