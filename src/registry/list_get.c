/*
 * registry/list_get.c - GET /v2/<name>/tags/list, /v2/<name>/referrers/<digest>, /v2/_catalog.
 *
 *   resolve (resolve.c) -> deliver --small--> write
 *                             '--large, or in a file--> room -> making (pool) -^
 *   hosted, or offline (indexed_list.c makes it) ---------^
 */
#include "base/file.h"
#include "base/sha.h"
#include "oci/query.h"
#include "oci/referrers.h"
#include "oci/taglist.h"
#include "registry/request.h"

#include <stdio.h>
#include <unistd.h>

#define QUERY_VALUE_MAX 512
#define LOOP_MAX (64u * 1024) /* what is larger is read by the pool: a loop has others to serve */
/* What it takes to make an answer of a list, as a multiple of its bytes: these, what is read of
 * them, and what is written. */
#define MAKE_WEIGHT 6u

STEP(deliver);
STEP(indexed);
STEP(locked);
STEP(room);
STEP(making);
STEP(write);

/* --- the body, wherever it is -------------------------------------------------------------- */

static bool body_from_index(struct request *q)
{
    struct index_read *r = index_read_begin(q->registry->cache->store);
    unsigned char body[BODY_MAX];
    size_t len;
    bool found;

    if (r == NULL) {
        return false;
    }
    found = index_get_body(r, &q->digest, body, &len) == INDEX_FOUND;
    index_read_end(r);
    if (found) {
        buf_append(&q->body, body, len);
    }
    return found;
}

/* --- the answer ----------------------------------------------------------------------------- */

static void link_next(const struct request *q, const char *last, uint64_t n, struct buf *out)
{
    buf_str(out, "Link: <");
    buf_slice(out, q->route.prefix);
    buf_printf(out, "/v2/%s/tags/list?last=", q->route.requested);
    buf_percent(out, slice_str(last));
    buf_printf(out, "&n=%llu", (unsigned long long)n);
    if (q->route.ns[0] != '\0') {
        buf_str(out, "&ns=");
        buf_percent(out, slice_str(q->route.ns));
    }
    buf_str(out, ">; rel=\"next\"\r\n");
}

static int make_tags(struct request *q, struct slice kept, struct buf *out, struct err *err)
{
    uint64_t n = TAGLIST_ALL;
    struct taglist *list = NULL;
    struct taglist_page page;
    struct buf last;
    struct buf text;

    buf_init(&text, QUERY_VALUE_MAX);
    if (query_get(q->x->head.query, "n", &text) && !slice_u64(buf_view(&text), &n)) {
        err_set(err, ERR_PAGINATION, "n is not a number of tags");
        buf_free(&text);
        return -1;
    }
    buf_free(&text);
    if (taglist_parse(kept, &list, err) < 0) {
        return -1;
    }
    buf_init(&last, QUERY_VALUE_MAX);
    ignore_result(query_get(q->x->head.query, "last", &last));
    page = taglist_write(list, slice_str(q->route.requested), buf_view(&last), n, out);
    if (page.more) {
        link_next(q, page.last, n, &q->extra);
    }
    buf_free(&last);
    taglist_free(list);
    return 0;
}

static int make_referrers(struct request *q, struct slice kept, struct buf *out, struct err *err)
{
    struct buf type;
    int result;

    buf_init(&type, QUERY_VALUE_MAX);
    ignore_result(query_get(q->x->head.query, "artifactType", &type));
    if (type.len > 0) {
        buf_str(&q->extra, "OCI-Filters-Applied: artifactType\r\n");
    }
    result = referrers_filter(kept, buf_view(&type), out, err);
    buf_free(&type);
    return result;
}

/* Makes the answer's body of what is kept: in a document, or in the body so far. Any thread: the
 * request waits meanwhile. */
static void make_list(struct request *q)
{
    const struct document *d = q->document;
    struct slice kept = d != NULL ? slice_of((const char *)d->body, d->len) : buf_view(&q->body);
    bool tags = q->route.kind == ROUTE_TAGS;
    struct err *err = &q->reader.err;
    struct buf out;

    buf_init(&out, 4 * (size_t)MANIFEST_LIMIT);
    if ((tags ? make_tags(q, kept, &out, err) : make_referrers(q, kept, &out, err)) == 0 &&
        out.failed) {
        err_set(err, ERR_STORE, "the list would be too large");
    }
    buf_free(&q->body);
    q->body = out;
}

/* The lock file has it. */
static bool is_locked(const struct request *q)
{
    return q->mirrored && q->route.kind == ROUTE_TAGS && q->registry->lock != NULL;
}

/* Where nobody may be asked, a list of what others have would name what nobody gets. */
static bool is_indexed(const struct request *q)
{
    return !is_locked(q) && (!q->mirrored || request_is_offline(q));
}

/* --- in the pool --------------------------------------------------------------------------- */

/* Reads the list's file; what a crash may have spoilt is not believed. */
static void load_list(struct request *q)
{
    struct store *s = q->registry->cache->store;
    _cleanup_close_ int fd = store_open_blob(s, &q->digest, q->size, &q->reader.err);
    _cleanup_free_ char *bytes = NULL;
    struct digest found = {.alg = q->digest.alg};
    ssize_t got;

    if (fd < 0) {
        return;
    }
    bytes = xcalloc((size_t)q->size + 1, 1);
    got = file_pread_all(fd, bytes, (size_t)q->size, 0);
    if (got < 0 || (uint64_t)got != q->size) {
        err_set(&q->reader.err, ERR_STORE, "a list cannot be read from the store");
        return;
    }
    sha_of((enum sha_alg)found.alg, bytes, (size_t)got, found.bytes);
    if (!digest_equal(&found, &q->digest)) {
        store_quarantine(s, &q->digest, fd);
        err_set(&q->reader.err, ERR_UNAVAILABLE, "the list in the store is damaged; try again");
        return;
    }
    buf_append(&q->body, bytes, (size_t)got);
}

static void make_run(struct job *job)
{
    struct request *q = container_of(job, struct request, reader.job);

    if (is_indexed(q)) {
        ignore_result(indexed_list_make(q, &q->body, &q->reader.err) < 0);
        return;
    }
    if (is_locked(q)) {
        ignore_result(!locked_list(q, &q->body));
    } else if (q->document == NULL) {
        load_list(q);
    }
    if (q->reader.err.code == ERR_NONE) {
        make_list(q);
    }
}

static void on_made(struct job *job)
{
    struct request *q = container_of(job, struct request, reader.job);

    q->reader.reading = false;
    op_wake(&q->op);
    request_unref(q);
}

static void on_room(struct waiter *w)
{
    op_wake(&container_of(w, struct request, room.waiter)->op);
}

static const struct step *make_in_pool(struct request *q)
{
    room_hold_init(&q->room, q->registry->cache->made, on_room);
    request_wait(q, limits.first_byte);
    return &S_room;
}

/* Bytes that making it takes. The longest lists would take more than one may have, and get that. */
static size_t make_size(const struct request *q)
{
    uint64_t kept = q->document != NULL ? q->document->len : q->size;

    if (is_indexed(q)) {
        return ROOM_INDEXED;
    }
    return kept * MAKE_WEIGHT < ROOM_BYTES / 2 ? (size_t)kept * MAKE_WEIGHT : ROOM_BYTES / 2;
}

/* Not a byte of it is read before there is room for what becomes of it. */
static const struct step *step_room(struct op *op)
{
    struct request *q = request_of(op);
    struct err err;

    if (q->x->gone) {
        return op_fail(op, ERR_CLIENT_GONE, "the client is gone");
    }
    if (!room_take(&q->room, q->loop, make_size(q))) {
        if (!q->timed_out) {
            return STEP_WAIT;
        }
        reply_too_many(&err, "too many large lists are made at once");
        return op_fail_with(op, &err);
    }
    timer_clear(&q->timer);
    q->reader.reading = true;
    request_ref(q);
    pool_submit(store_disk(q->registry->cache->store), q->loop, &q->reader.job, make_run, on_made);
    return &S_making;
}

static const struct step *step_making(struct op *op)
{
    struct request *q = request_of(op);

    return q->reader.reading ? STEP_WAIT : &S_write;
}

/* --- steps --------------------------------------------------------------------------------- */

static const struct step *step_deliver(struct op *op)
{
    struct request *q = request_of(op);
    bool here = q->document != NULL || body_from_index(q);

    if (q->x->gone) {
        return op_fail(op, ERR_CLIENT_GONE, "the client is gone");
    }
    if (!here && q->size > 4 * (uint64_t)MANIFEST_LIMIT) {
        return op_fail(op, ERR_STORE, "a list in the store is too large");
    }
    if (!here || (q->document != NULL && q->document->len > LOOP_MAX)) {
        return make_in_pool(q);
    }
    make_list(q);
    return &S_write;
}

static const struct step *step_locked(struct op *op)
{
    struct request *q = request_of(op);

    q->from = FROM_HIT;
    if (q->size > LOOP_MAX) {
        return make_in_pool(q);
    }
    ignore_result(!locked_list(q, &q->body));
    make_list(q);
    return &S_write;
}

static const struct step *step_indexed(struct op *op)
{
    struct request *q = request_of(op);

    q->from = q->mirrored ? FROM_HIT : FROM_NONE;
    return make_in_pool(q);
}

static const struct step *step_write(struct op *op)
{
    struct request *q = request_of(op);
    struct buf headers;
    struct err err;

    if (q->x->gone) {
        return op_fail(op, ERR_CLIENT_GONE, "the client is gone");
    }
    if (q->reader.err.code != ERR_NONE) {
        return op_fail_with(op, &q->reader.err);
    }
    request_let_go(q);                         /* what was made of it is in q->body */
    if (!reply_may_hold(q, 2 * q->body.len)) { /* here, and what the socket does not take yet */
        reply_too_many(&err, "too many large lists are being sent at once");
        return op_fail_with(op, &err);
    }
    snprintf(q->media_type, sizeof(q->media_type), "%s",
             q->route.kind == ROUTE_REFERRERS ? REFERRERS_CONTENT_TYPE : "application/json");
    /* A list has no digest that a client could use: it is written anew for each question. */
    q->has_digest = false;
    buf_init(&headers, 8192);
    reply_headers(q, &headers);
    buf_slice(&headers, buf_view(&q->extra));
    http_reply(q->x, 200, buf_view(&headers), buf_view(&q->body));
    buf_free(&headers);
    return STEP_END;
}

void list_get(struct request *q)
{
    bool tags = q->route.kind == ROUTE_TAGS;

    if (is_locked(q)) {
        if (locked_list(q, NULL)) {
            request_start(q, &S_locked);
        }
        return;
    }
    if (is_indexed(q)) {
        request_start(q, &S_indexed);
        return;
    }
    q->tag_kind = tags ? TAG_LIST : TAG_REFERRERS;
    q->ask_kind = tags ? ASK_TAGS : ASK_REFERRERS;
    q->reference = tags ? LIST_REFERENCE : q->route.reference;
    q->deliver = &S_deliver;
    request_start(q, resolve_look(q) ? &S_deliver : &REQUEST_STEP_RESOLVE);
}
