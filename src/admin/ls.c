/* admin/ls.c - repositories, their tags, what has none, and how many bytes each takes. */
#include "admin/repos.h"
#include "base/clock.h"
#include "oci/manifest.h"
#include "store/untagged.h"

#include <stdlib.h>

/* Blobs that are counted for one tag, at most. */
#define BLOBS_MAX 100000

/* Blobs of one tag or repository. */
struct blobs {
    struct digest *list;
    size_t n;
    size_t cap;
};

/* The repository that is being told. */
struct listing {
    struct index_read *read;
    const struct admin_repo *repo;
    struct buf *out;
    struct blobs blobs;
    bool first; /* nothing told yet */
    uint64_t members;
    uint64_t manifests;
    uint64_t bytes;
};

/* --- sizes --------------------------------------------------------------------------------- */

static bool blobs_add(struct blobs *b, const struct digest *d)
{
    if (b->n == BLOBS_MAX) {
        return false;
    }
    if (b->n == b->cap) {
        b->cap = b->cap == 0 ? 64 : 2 * b->cap;
        b->list = xrealloc(b->list, b->cap * sizeof(*b->list));
    }
    b->list[b->n++] = *d;
    return true;
}

static bool add_child(void *arg, const struct digest *child, uint8_t kind, uint64_t size)
{
    struct blobs *b = arg;

    (void)size;
    return kind == CHILD_REFERRER || blobs_add(b, child);
}

static int order_of_digests(const void *left, const void *right)
{
    return memcmp(left, right, sizeof(struct digest));
}

/* Bytes that are here of what the digest is and names, each blob once; referrers do not count. */
static uint64_t bytes_of(struct index_read *r, const struct digest *d, struct blobs *b)
{
    uint64_t bytes = 0;

    b->n = 0;
    ignore_result(blobs_add(b, d));
    for (size_t i = 0; i < b->n; i++) { /* which grows meanwhile */
        struct digest parent = b->list[i];

        index_each_ref(r, &parent, add_child, b);
    }
    qsort(b->list, b->n, sizeof(*b->list), order_of_digests);
    for (size_t i = 0; i < b->n; i++) {
        struct blob_record blob;

        if ((i == 0 || !digest_equal(&b->list[i - 1], &b->list[i])) &&
            index_get_blob(r, &b->list[i], &blob) == INDEX_FOUND) {
            bytes += blob.size;
        }
    }
    return bytes;
}

/* --- one repository ------------------------------------------------------------------------ */

static void write_time(struct buf *out, const char *name, int64_t time)
{
    char text[32];

    clock_text_of(time, text);
    buf_printf(out, ",\"%s\":\"%s\"", name, text);
}

static bool write_tag(void *arg, const char *reference, const struct tag_record *t)
{
    struct listing *l = arg;
    bool hosted = l->repo->kind == REPO_HOSTED;
    struct blob_record blob;
    char text[DIGEST_TEXT_MAX];

    buf_str(l->out, l->first ? "\n {\"tag\":" : ",\n {\"tag\":");
    l->first = false;
    buf_json(l->out, slice_str(reference));
    buf_printf(l->out, ",\"digest\":\"%s\",\"bytes\":%llu", digest_text(&t->digest, text),
               (unsigned long long)bytes_of(l->read, &t->digest, &l->blobs));
    write_time(l->out, hosted ? "pushed" : "fetched", t->fetched);
    write_time(l->out, hosted ? "used" : "checked", t->checked);
    if (index_get_blob(l->read, &t->digest, &blob) == INDEX_FOUND && blob.pinned) {
        buf_str(l->out, ",\"pinned\":true");
    }
    buf_str(l->out, "}");
    return !l->out->failed;
}

static bool count_member(void *arg, const struct digest *d, const struct member_record *m)
{
    struct listing *l = arg;
    struct blob_record blob;

    if (index_get_blob(l->read, d, &blob) == INDEX_FOUND) {
        l->members++;
        l->manifests += m->kind == CHILD_MANIFEST;
        l->bytes += blob.size;
    }
    return true;
}

/* What no tag holds; each of them, where the repository was asked for. */
static void write_untagged(struct listing *l, bool named)
{
    char text[DIGEST_TEXT_MAX];
    struct untagged u;

    untagged_find(l->read, l->repo->id, &u);
    buf_printf(l->out, "\"untagged\":{\"manifests\":%zu,\"bytes\":%llu%s", u.n,
               (unsigned long long)u.bytes, named ? ",\"list\":[" : "");
    for (size_t i = 0; i < u.n && named && !l->out->failed; i++) {
        const struct digest *d = &u.all[i].digest;

        buf_printf(l->out, "%s\n {\"digest\":\"%s\",\"bytes\":%llu", i == 0 ? "" : ",",
                   digest_text(d, text), (unsigned long long)bytes_of(l->read, d, &l->blobs));
        write_time(l->out, "since", u.all[i].since);
        buf_str(l->out, u.all[i].pinned ? ",\"pinned\":true}" : "}");
    }
    buf_str(l->out, named ? "]}," : "},");
    untagged_fini(&u);
}

/* One that holds nothing any more is not told, unless it was asked for. */
static int write_repo(const struct admin *a, const struct admin_repo *repo, bool named,
                      struct listing *l, struct err *err)
{
    size_t before = l->out->len;

    if (admin_read_begin(a, &l->read, err) < 0) {
        return -1;
    }
    buf_str(l->out, l->first ? "\n{" : ",\n{");
    l->repo = repo;
    l->members = l->manifests = l->bytes = 0;
    admin_repo_json(l->out, repo->kind, repo->name);
    index_each_member(l->read, repo->id, count_member, l);
    buf_printf(l->out, ",\"blobs\":%llu,\"manifests\":%llu,\"bytes\":%llu,",
               (unsigned long long)l->members, (unsigned long long)l->manifests,
               (unsigned long long)l->bytes);
    if (repo->kind == REPO_HOSTED) {
        write_untagged(l, named);
    }
    buf_str(l->out, "\"tags\":[");
    l->first = true;
    index_each_tag(l->read, repo->id, TAG_TAG, "", write_tag, l);
    buf_str(l->out, "]}");
    index_read_end(l->read);
    if (l->first && l->members == 0 && !named && !l->out->failed) {
        l->out->len = before;
        return 0;
    }
    return 1;
}

/* --- all of them --------------------------------------------------------------------------- */

static int write_repos(const struct admin *a, bool all, struct listing *l, struct err *err)
{
    struct admin_repo *repos;
    bool first = true;
    int result = 0;
    size_t n;

    if (admin_repo_list(a, &repos, &n, err) < 0) {
        return -1;
    }
    for (size_t i = 0; i < n && result >= 0 && !l->out->failed; i++) {
        if (repos[i].kind == REPO_HOSTED || all) {
            l->first = first;
            result = write_repo(a, &repos[i], false, l, err);
            first = first && result == 0;
        }
    }
    free(repos);
    return result < 0 ? -1 : 0;
}

int admin_ls(const struct admin *a, const struct admin_query *q, struct buf *out, struct err *err)
{
    struct listing l = {.out = out, .first = true};
    struct admin_repo repo;
    int result;

    buf_str(out, "{\"repositories\":[");
    if (q->name[0] == '\0') {
        result = write_repos(a, q->all, &l, err);
    } else {
        result = admin_repo_find(a, slice_str(q->name), &repo, err);
        if (result == 0) {
            result = write_repo(a, &repo, true, &l, err);
        }
    }
    buf_str(out, "]}\n");
    free(l.blobs.list);
    return result < 0 ? -1 : 0;
}
