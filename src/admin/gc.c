/* admin/gc.c - one run of retention, and what it removed or would remove. */
#include "admin/admin.h"
#include "store/retain.h"

/* The rest is only counted. */
#define GONE_BYTES (ADMIN_ANSWER_MAX / 2)

struct report {
    struct buf *out;
    uint64_t omitted;
    bool first;
};

static const char *what_text(enum retain_what what)
{
    static const char *const TEXTS[] = {
        [RETAIN_TAG] = "tag",
        [RETAIN_MANIFEST] = "manifest",
        [RETAIN_BLOB] = "blob",
    };

    return TEXTS[what];
}

static void write_gone(void *arg, const struct retain_gone *gone)
{
    struct report *report = arg;
    struct buf *out = report->out;
    char text[DIGEST_TEXT_MAX];

    if (out->len > GONE_BYTES) {
        report->omitted++;
        return;
    }
    buf_printf(out, "%s\n {\"what\":\"%s\",\"repository\":", report->first ? "" : ",",
               what_text(gone->what));
    report->first = false;
    buf_json(out, slice_str(gone->repo));
    if (gone->what == RETAIN_TAG) {
        buf_str(out, ",\"tag\":");
        buf_json(out, slice_str(gone->tag));
    }
    buf_printf(out, ",\"digest\":\"%s\",\"bytes\":%llu,\"why\":", digest_text(gone->digest, text),
               (unsigned long long)gone->size);
    buf_json(out, slice_str(gone->why));
    buf_str(out, "}");
}

int admin_gc(const struct admin *a, const struct admin_query *q, struct buf *out, struct err *err)
{
    struct report report = {.out = out, .first = true};
    struct retain_sum sum = {0};

    buf_printf(out, "{\"dry_run\":%s,\"gone\":[", q->dry_run ? "true" : "false");
    if (retain_run(a->store, q->dry_run, write_gone, &report, &sum, err) < 0) {
        return -1;
    }
    buf_printf(out, "],\n\"omitted\":%llu,\"tags\":%llu,\"manifests\":%llu,",
               (unsigned long long)report.omitted, (unsigned long long)sum.tags,
               (unsigned long long)sum.manifests);
    buf_printf(out, "\"blobs\":%llu,\"bytes\":%llu}\n", (unsigned long long)sum.blobs,
               (unsigned long long)sum.bytes);
    return 0;
}
