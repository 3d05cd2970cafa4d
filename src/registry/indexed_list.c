/*
 * registry/indexed_list.c - tags, referrers and repositories, as the index has them.
 *
 * Pages: `last` and `n` as distribution-spec "Listing Tags" has them; what is left is told by a
 * Link. Pool thread: a repository may have many of each.
 */
#include "base/file.h"
#include "oci/query.h"
#include "oci/referrers.h"
#include "registry/access.h"
#include "store/hosted.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define QUERY_VALUE_MAX 512
/* Entries of a page where the client asks for none or for more. */
#define PAGE_MAX 10000
#define CATALOG_PAGE 100
#define CATALOG_MAX 1000
/* Bytes of descriptors in a page: containerd reads some 4 MiB of an answer. */
#define REFERRERS_PAGE (3u << 20)

static struct store *store_of(const struct request *q)
{
    return q->registry->cache->store;
}

/* Where the repository stands in the index. */
static bool find_repo(const struct request *q, struct index_read *r, uint64_t *ret)
{
    enum repo_kind kind = q->mirrored ? REPO_MIRRORED : REPO_HOSTED;

    return index_get_repo(r, kind, q->mirrored ? q->repo.text : q->route.name, ret) == INDEX_FOUND;
}

/* Of a mirrored repository much may be known that is not here. */
static bool is_served(const struct request *q, struct index_read *r, const struct digest *d)
{
    struct member_record member;
    struct blob_record blob;

    return !q->mirrored || (index_get_blob(r, d, &blob) == INDEX_FOUND &&
                            request_judge(q, r, d, &member) != MEMBER_UNKNOWN);
}

/* --- pages --------------------------------------------------------------------------------- */

/* A page of names under construction. */
struct page {
    struct buf *out;
    uint64_t n;    /* at most */
    uint64_t have; /* so far */
    bool more;
    char after[QUERY_VALUE_MAX]; /* of the question */
    char last[QUERY_VALUE_MAX];  /* of the answer */
};

static int page_begin(const struct request *q, uint64_t n, uint64_t max, struct page *ret,
                      struct err *err)
{
    struct buf text;
    bool good = true;

    ret->n = n;
    buf_init(&text, QUERY_VALUE_MAX - 1);
    if (query_get(q->x->head.query, "n", &text)) {
        good = slice_u64(buf_view(&text), &ret->n);
        ret->n = ret->n > max ? max : ret->n;
    }
    buf_free(&text);
    if (!good) {
        return err_set(err, ERR_PAGINATION, "n is not a number of entries");
    }
    buf_init(&text, QUERY_VALUE_MAX - 1);
    if (query_get(q->x->head.query, "last", &text)) {
        good = slice_copy(buf_view(&text), ret->after, sizeof(ret->after)) && !text.failed;
    }
    buf_free(&text);
    return good ? 0 : err_set(err, ERR_PAGINATION, "last is not a name");
}

/* False: the page is full. */
static bool page_add(struct page *p, const char *name)
{
    if (p->have == p->n) {
        p->more = p->n > 0;
        return false;
    }
    if (p->have++ > 0) {
        buf_str(p->out, ",");
    }
    buf_json(p->out, slice_str(name));
    snprintf(p->last, sizeof(p->last), "%s", name);
    return true;
}

/* n 0, an empty type: not asked for. */
static void link_next(struct request *q, const char *path, const char *last, uint64_t n,
                      struct slice type)
{
    buf_str(&q->extra, "Link: <");
    buf_slice(&q->extra, q->route.prefix);
    buf_printf(&q->extra, "/v2/%s?last=", path);
    buf_percent(&q->extra, slice_str(last));
    if (n > 0) {
        buf_printf(&q->extra, "&n=%" PRIu64, n);
    }
    if (type.len > 0) {
        buf_str(&q->extra, "&artifactType=");
        buf_percent(&q->extra, type);
    }
    if (q->route.ns[0] != '\0') {
        buf_str(&q->extra, "&ns=");
        buf_percent(&q->extra, slice_str(q->route.ns));
    }
    buf_str(&q->extra, ">; rel=\"next\"\r\n");
}

/* --- tags ---------------------------------------------------------------------------------- */

struct tags {
    struct page page;
    const struct request *q;
    struct index_read *read;
};

static bool add_tag(void *arg, const char *reference, const struct tag_record *tag)
{
    struct tags *tags = arg;

    return !is_served(tags->q, tags->read, &tag->digest) || page_add(&tags->page, reference);
}

static int unknown_name(const struct request *q, struct err *err)
{
    return q->mirrored ? err_set(err, ERR_NAME_UNKNOWN, "nothing of %.120s is here, and %s",
                                 q->repo.text, request_offline_why(q))
                       : err_set(err, ERR_NAME_UNKNOWN, "nothing was pushed to %s", q->route.name);
}

static int make_tags(struct request *q, struct index_read *r, struct buf *out, struct err *err)
{
    struct tags tags = {.page = {.out = out}, .q = q, .read = r};
    struct page *page = &tags.page;
    char path[ROUTE_REPO_MAX + 16];
    uint64_t repo;

    if (page_begin(q, PAGE_MAX, PAGE_MAX, page, err) < 0) {
        return -1;
    }
    if (!find_repo(q, r, &repo)) {
        return unknown_name(q, err);
    }
    buf_str(out, "{\"name\":");
    buf_json(out, slice_str(q->route.requested));
    buf_str(out, ",\"tags\":[");
    index_each_tag(r, repo, TAG_TAG, page->after, add_tag, &tags);
    buf_str(out, "]}");
    if (page->more) {
        snprintf(path, sizeof(path), "%s/tags/list", q->route.requested);
        link_next(q, path, page->last, page->n, SLICE_NULL);
    }
    return 0;
}

/* --- repositories -------------------------------------------------------------------------- */

struct catalog {
    struct page page;
    const struct request *q;
    struct index_read *read;
};

static bool any_member(void *arg, const struct digest *d, const struct member_record *m)
{
    bool *any = arg;

    (void)d;
    (void)m;
    *any = true;
    return false;
}

/* One that everything was deleted from is none any more. */
static bool add_repo(void *arg, uint64_t id, const char *name)
{
    struct catalog *c = arg;
    bool any = false;

    if (!access_may_read(c->q, name, NULL)) {
        return true;
    }
    index_each_member(c->read, id, any_member, &any);
    return !any || page_add(&c->page, name);
}

static int make_catalog(struct request *q, struct index_read *r, struct buf *out, struct err *err)
{
    struct catalog catalog = {.page = {.out = out}, .q = q, .read = r};

    if (page_begin(q, CATALOG_PAGE, CATALOG_MAX, &catalog.page, err) < 0) {
        return -1;
    }
    buf_str(out, "{\"repositories\":[");
    index_each_repo(r, REPO_HOSTED, catalog.page.after, add_repo, &catalog);
    buf_str(out, "]}");
    if (catalog.page.more) {
        link_next(q, "_catalog", catalog.page.last, catalog.page.n, SLICE_NULL);
    }
    return 0;
}

/* --- referrers ----------------------------------------------------------------------------- */

struct referrers {
    struct request *q;
    struct index_read *read;
    uint64_t repo;
    struct buf type; /* that is asked for; empty: any */
    struct buf entries;
    bool begun;          /* the page begins with the first */
    struct digest after; /* … else behind this one, which may have gone since */
    char last[DIGEST_TEXT_MAX];
    bool more;
    bool crowded; /* there is no room for the next one */
};

/* Whether a manifest of so many bytes may be read beside what the page has so far. */
static bool has_room(struct referrers *w, uint64_t size)
{
    size_t all = (w->entries.len + (size_t)size) * ROOM_WEIGHT;

    if (!room_grow(&w->q->room, all < ROOM_BYTES / 2 ? all : ROOM_BYTES / 2)) {
        w->crowded = true;
    }
    return !w->crowded;
}

/* The manifest's bytes, from the index or its file; NULL: they are not to be had. */
static char *body_of(struct referrers *w, const struct digest *d, size_t *ret_len)
{
    char *bytes = xcalloc(1, BODY_MAX);
    struct blob_record blob;
    struct err ignored = {0};
    ssize_t got = -1;
    int fd;

    if (index_get_body(w->read, d, (unsigned char *)bytes, ret_len) == INDEX_FOUND) {
        return bytes;
    }
    if (index_get_blob(w->read, d, &blob) == INDEX_FOUND && blob.size <= MANIFEST_LIMIT &&
        has_room(w, blob.size) &&
        (fd = store_open_blob(store_of(w->q), d, blob.size, &ignored)) >= 0) {
        bytes = xrealloc(bytes, (size_t)blob.size + 1);
        got = file_pread_all(fd, bytes, (size_t)blob.size, 0);
        close(fd);
    }
    if (got < 0) {
        free(bytes);
        return NULL;
    }
    *ret_len = (size_t)got;
    return bytes;
}

/* In the order of the index. */
static bool is_behind(const struct digest *d, const struct digest *other)
{
    return d->alg != other->alg ? d->alg > other->alg
                                : memcmp(d->bytes, other->bytes, sizeof(d->bytes)) > 0;
}

static bool add_referrer(void *arg, const struct digest *d)
{
    struct referrers *w = arg;
    struct member_record m;
    char text[DIGEST_TEXT_MAX];
    _cleanup_free_ char *body = NULL;
    size_t len = 0;

    digest_text(d, text);
    if (!w->begun && !is_behind(d, &w->after)) {
        return true;
    }
    if (w->entries.len >= REFERRERS_PAGE) {
        w->more = true;
        return false;
    }
    if (index_get_member(w->read, w->repo, d, &m) == INDEX_FOUND &&
        (body = body_of(w, d, &len)) != NULL) {
        ignore_result(referrers_describe(slice_of(body, len), m.media_type, d, buf_view(&w->type),
                                         &w->entries) < 0);
        snprintf(w->last, sizeof(w->last), "%s", text);
    }
    return !w->crowded;
}

static void filter_of(struct request *q, struct referrers *w)
{
    ignore_result(query_get(q->x->head.query, "artifactType", &w->type));
    if (w->type.len > 0) {
        buf_str(&q->extra, "OCI-Filters-Applied: artifactType\r\n");
    }
}

static int after_of(struct request *q, struct referrers *w, struct err *err)
{
    struct buf text;
    bool good;

    buf_init(&text, DIGEST_TEXT_MAX);
    w->begun = !query_get(q->x->head.query, "last", &text);
    good = w->begun || digest_parse(buf_view(&text), &w->after);
    buf_free(&text);
    return good ? 0 : err_set(err, ERR_PAGINATION, "last is not a digest");
}

static void link_referrers(struct request *q, const struct referrers *w)
{
    char path[ROUTE_REPO_MAX + DIGEST_TEXT_MAX + 16];

    snprintf(path, sizeof(path), "%s/referrers/%s", q->route.requested, q->route.reference);
    link_next(q, path, w->last, 0, buf_view(&w->type));
}

/* A hosted repository that never was has none: the answer is 200 all the same. */
static int make_referrers(struct request *q, struct index_read *r, struct buf *out, struct err *err)
{
    struct referrers w = {.q = q, .read = r};
    bool known = find_repo(q, r, &w.repo);

    if (!known && q->mirrored) {
        return unknown_name(q, err);
    }
    if (after_of(q, &w, err) < 0) {
        return -1;
    }
    buf_init(&w.type, QUERY_VALUE_MAX);
    buf_init(&w.entries, 2 * (size_t)MANIFEST_LIMIT);
    filter_of(q, &w);
    if (known) {
        hosted_each_referrer(r, w.repo, &q->route.digest, add_referrer, &w);
    }
    referrers_write(buf_view(&w.entries), out);
    if (w.more) {
        link_referrers(q, &w);
    }
    buf_free(&w.type);
    buf_free(&w.entries);
    if (w.crowded) {
        reply_too_many(err, "lists of too many large manifests are made at once");
        return -1;
    }
    return 0;
}

int indexed_list_make(struct request *q, struct buf *out, struct err *err)
{
    struct index_read *r = index_read_begin(store_of(q));
    int result;

    if (r == NULL) {
        return err_set(err, ERR_STORE, "the index cannot be read");
    }
    switch (q->route.kind) {
    case ROUTE_TAGS:
        result = make_tags(q, r, out, err);
        break;
    case ROUTE_CATALOG:
        result = make_catalog(q, r, out, err);
        break;
    default:
        result = make_referrers(q, r, out, err);
        break;
    }
    index_read_end(r);
    return result;
}
