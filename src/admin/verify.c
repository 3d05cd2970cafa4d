/* admin/verify.c - a page of blobs hashed again, and who has those that were bad. */
#include "admin/admin.h"
#include "store/scrub.h"

#define PAGE_MS 1000
/* Repositories that are named for one blob. */
#define HOLDERS_MAX 8

/* One page. Owner: admin_verify(). */
struct verifying {
    const struct admin *admin;
    struct buf *out;
    bool more; /* not the first bad one */
};

/* The holders of one blob, of one kind. */
struct holding {
    struct index_read *read;
    struct buf *out;
    enum repo_kind kind;
    unsigned n;
};

static bool add_holder(void *arg, uint64_t repo, const struct member_record *m)
{
    struct holding *h = arg;
    enum repo_kind kind;
    char name[512];

    (void)m;
    if (index_get_repo_name(h->read, repo, &kind, name) != INDEX_FOUND || kind != h->kind) {
        return true;
    }
    buf_str(h->out, h->n++ == 0 ? "" : ",");
    buf_json(h->out, slice_str(name));
    return h->n < HOLDERS_MAX;
}

static void add_holders(const struct verifying *v, const struct digest *d, enum repo_kind kind)
{
    struct holding h = {index_read_begin(v->admin->store), v->out, kind, 0};

    buf_str(v->out, kind == REPO_HOSTED ? ",\"hosted\":[" : ",\"mirrored\":[");
    if (h.read != NULL) {
        index_each_holder(h.read, d, add_holder, &h);
        index_read_end(h.read);
    }
    buf_str(v->out, "]");
}

static const char *why_text(enum scrub_why why)
{
    static const char *const TEXTS[] = {
        [SCRUB_MISSING] = "missing",
        [SCRUB_SIZE] = "size",
        [SCRUB_UNREADABLE] = "unreadable",
        [SCRUB_WRONG] = "wrong",
    };

    return TEXTS[why];
}

static void add_bad(void *arg, const struct scrub_bad *bad)
{
    struct verifying *v = arg;
    char text[DIGEST_TEXT_MAX];

    buf_printf(v->out, "%s\n {\"digest\":\"%s\",\"bytes\":%llu,\"why\":\"%s\"", v->more ? "," : "",
               digest_text(bad->digest, text), (unsigned long long)bad->record->size,
               why_text(bad->why));
    buf_printf(v->out, ",\"manifest\":%s,\"pinned\":%s,\"mended\":%s,\"kept\":%s",
               bad->record->class == BLOB_MANIFEST ? "true" : "false",
               bad->record->pinned ? "true" : "false", bad->mended ? "true" : "false",
               bad->kept ? "true" : "false");
    add_holders(v, bad->digest, REPO_HOSTED);
    add_holders(v, bad->digest, REPO_MIRRORED);
    buf_str(v->out, "}");
    v->more = true;
}

static void add_sums(const struct verifying *v, const struct scrub_sum *sum)
{
    struct store_numbers n = store_numbers(v->admin->store);
    char text[DIGEST_TEXT_MAX] = "";
    uint64_t blobs = 0;
    uint64_t bytes = 0;

    for (size_t i = 0; i < STORE_CLASSES; i++) {
        blobs += n.blobs[i];
        bytes += n.blob_bytes[i];
    }
    if (sum->last.alg != 0) {
        digest_text(&sum->last, text);
    }
    buf_printf(v->out, "],\n\"blobs\":%llu,\"bytes\":%llu,\"of_blobs\":%llu,\"of_bytes\":%llu,",
               (unsigned long long)sum->blobs, (unsigned long long)sum->bytes,
               (unsigned long long)blobs, (unsigned long long)bytes);
    buf_printf(v->out, "\"after\":\"%s\",\"end\":%s}\n", text, sum->end ? "true" : "false");
}

int admin_verify(const struct admin *a, const struct admin_query *q, struct buf *out,
                 struct err *err)
{
    struct verifying v = {.admin = a, .out = out};
    struct scrub_rules rules = {
        .rate = q->n, .for_ms = PAGE_MS, .stopping = a->stopping, .f = add_bad, .arg = &v};
    struct scrub_sum sum;

    if (q->after != NULL && q->after[0] != '\0' &&
        !digest_parse(slice_str(q->after), &rules.after)) {
        return err_set(err, ERR_DIGEST_INVALID, "after must be a digest");
    }
    buf_str(out, "{\"bad\":[");
    if (store_scrub(a->store, &rules, &sum, err) < 0) {
        return -1;
    }
    add_sums(&v, &sum);
    return 0;
}
