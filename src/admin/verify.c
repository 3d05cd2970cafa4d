/*
 * admin/verify.c - a page of blobs hashed again, or of what is not here and should be, and who has
 * those.
 */
#include "admin/repos.h"
#include "oci/manifest.h"
#include "store/scrub.h"

#include <stdlib.h>

#define PAGE_MS 1000
/* A page that is so long already takes no more. */
#define PAGE_BYTES (1u << 20)
/* Digests that are looked at for a page. */
#define LOOKS_MAX 20000
/* Repositories that are named for one blob: all to push it to, and some to fetch it from. */
#define HOSTED_MAX 1000
#define MIRRORED_MAX 8

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
    unsigned max;
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
    return h->n < h->max;
}

/* `r` may be NULL: then nobody is known. */
static void add_holders(struct index_read *r, const struct digest *d, struct buf *out)
{
    struct holding hosted = {r, out, REPO_HOSTED, HOSTED_MAX, 0};
    struct holding mirrored = {r, out, REPO_MIRRORED, MIRRORED_MAX, 0};

    buf_str(out, ",\"hosted\":[");
    if (r != NULL) {
        index_each_holder(r, d, add_holder, &hosted);
    }
    buf_str(out, "],\"mirrored\":[");
    if (r != NULL) {
        index_each_holder(r, d, add_holder, &mirrored);
    }
    buf_str(out, "]");
}

/* --- what is bad --------------------------------------------------------------------------- */

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

static bool add_bad(void *arg, const struct scrub_bad *bad)
{
    struct verifying *v = arg;
    struct index_read *r = index_read_begin(v->admin->store);
    char text[DIGEST_TEXT_MAX];

    buf_printf(v->out, "%s\n {\"digest\":\"%s\",\"bytes\":%llu,\"why\":\"%s\"", v->more ? "," : "",
               digest_text(bad->digest, text), (unsigned long long)bad->record->size,
               why_text(bad->why));
    buf_printf(v->out, ",\"manifest\":%s,\"pinned\":%s,\"mended\":%s,\"kept\":%s",
               bad->record->class == BLOB_MANIFEST ? "true" : "false",
               bad->record->pinned ? "true" : "false", bad->mended ? "true" : "false",
               bad->kept ? "true" : "false");
    add_holders(r, bad->digest, v->out);
    if (r != NULL) {
        index_read_end(r);
    }
    buf_str(v->out, "}");
    v->more = true;
    return v->out->len < PAGE_BYTES;
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

/* --- what is missing ----------------------------------------------------------------------- */

/* One page. Owner: admin_missing(). */
struct missing {
    struct index_read *read;
    struct buf *out;
    struct digest *bad; /* what lies in quarantine, and is wanted; in order */
    size_t n_bad;
    uint64_t left; /* digests that may be looked at */
    struct digest last;
    bool more; /* not the first one that is told */
    bool end;
};

/* What its repositories know of one digest. */
struct known {
    struct index_read *read;
    bool hosted; /* by one of them */
    bool manifest;
    uint64_t size; /* UINT64_MAX: nobody knows */
};

static bool know_holder(void *arg, uint64_t repo, const struct member_record *m)
{
    struct known *k = arg;
    enum repo_kind kind;
    char name[512];

    k->manifest |= m->kind == CHILD_MANIFEST;
    k->size = m->size == UINT64_MAX ? k->size : m->size;
    k->hosted |=
        index_get_repo_name(k->read, repo, &kind, name) == INDEX_FOUND && kind == REPO_HOSTED;
    return !k->hosted;
}

static bool is_quarantined(const struct missing *m, const struct digest *d)
{
    return m->n_bad > 0 && bsearch(d, m->bad, m->n_bad, sizeof(*d), digest_order) != NULL;
}

static void add_missing(struct missing *m, const struct digest *d, const struct known *k)
{
    char text[DIGEST_TEXT_MAX];

    buf_printf(m->out, "%s\n {\"digest\":\"%s\",\"manifest\":%s", m->more ? "," : "",
               digest_text(d, text), k->manifest ? "true" : "false");
    if (k->size != UINT64_MAX) {
        buf_printf(m->out, ",\"bytes\":%llu", (unsigned long long)k->size);
    }
    add_holders(m->read, d, m->out);
    buf_str(m->out, "}");
    m->more = true;
}

/* What is not here is no trouble where only upstreams had it: it gave way, and comes again. */
static bool look_missing(void *arg, const struct digest *d)
{
    struct missing *m = arg;
    struct known known = {.read = m->read, .size = UINT64_MAX};
    struct blob_record blob;

    if (m->left == 0 || m->out->len >= PAGE_BYTES) {
        m->end = false;
        return false;
    }
    m->left--;
    m->last = *d;
    if (index_get_blob(m->read, d, &blob) == INDEX_ABSENT) {
        index_each_holder(m->read, d, know_holder, &known);
        if (known.hosted || is_quarantined(m, d)) {
            add_missing(m, d, &known);
        }
    }
    return true;
}

static int missing_page(const struct admin *a, struct missing *m, struct err *err)
{
    char text[DIGEST_TEXT_MAX] = "";
    bool good;

    if (admin_read_begin(a, &m->read, err) < 0) {
        return -1;
    }
    buf_str(m->out, "{\"missing\":[");
    good = index_each_held(m->read, &m->last, look_missing, m);
    index_read_end(m->read);
    if (!good) {
        return err_set(err, ERR_STORE, "the index cannot be read; the log says why");
    }
    if (m->last.alg != 0) {
        digest_text(&m->last, text);
    }
    buf_printf(m->out, "],\n\"after\":\"%s\",\"end\":%s}\n", text, m->end ? "true" : "false");
    return 0;
}

int admin_missing(const struct admin *a, const struct admin_query *q, struct buf *out,
                  struct err *err)
{
    struct missing m = {.out = out, .end = true};
    int result;

    m.left = q->n == 0 || q->n > LOOKS_MAX ? LOOKS_MAX : q->n;
    if (q->after != NULL && q->after[0] != '\0' && !digest_parse(slice_str(q->after), &m.last)) {
        return err_set(err, ERR_DIGEST_INVALID, "after must be a digest");
    }
    if (q->all) {
        m.bad = store_quarantined(a->store, &m.n_bad);
    }
    result = missing_page(a, &m, err);
    free(m.bad);
    return result;
}
