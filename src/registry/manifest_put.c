/*
 * registry/manifest_put.c - PUT /v2/<name>/manifests/<reference>[?tag=...].
 *
 *   room -> read -> keep -> keeping (pool: parse, find and sync its children, write the file)
 *        -> recording (one change of the index) -> 201
 *
 * A manifest is kept byte for byte. What it names and is not here is counted in a Warning, not
 * refused: indexes are pushed sparse, and children may come later. It proves nothing: a child
 * becomes a member of the repository only where it was uploaded or mounted there, or where the
 * pusher may read it through a mirrored repository. Distribution-spec "Pushing Manifests";
 * reference protocol.md 1.8; design section 6.
 */
#include "base/counter.h"
#include "cache/room.h"
#include "oci/query.h"
#include "registry/reach.h"
#include "store/hosted.h"
#include "store/ingest.h"

#include <stdio.h>
#include <stdlib.h>

#define READ_PIECE (64u * 1024)

STEP(room);
STEP(read);
STEP(keep);
STEP(keeping);
STEP(recording);

/* Owner: the request. Thread: its loop's, but for what the job works at. */
struct manifest_push {
    struct request *request;
    struct room_hold room; /* for its bytes */
    struct hosted_manifest put;
    char tags[HOSTED_TAGS_MAX][TAG_MAX_LEN + 1];
    const char *tag_list[HOSTED_TAGS_MAX];
    struct manifest *parsed;
    bool *may_take;
    struct ingest ingest;
    bool committed;
    struct job job;
    bool working;
    struct err err;
    struct index_write write;
    bool recorded;
    size_t missing;
};

static struct store *store_of(const struct request *q)
{
    return q->registry->cache->store;
}

void manifest_push_free(struct request *q)
{
    struct manifest_push *p = q->manifest;

    if (p == NULL) {
        return;
    }
    room_give(&p->room);
    manifest_free(p->parsed);
    free(p->may_take);
    free(p);
    q->manifest = NULL;
}

/* --- what is put --------------------------------------------------------------------------- */

/* Types that say nothing of what the body is. */
static bool is_generic(struct slice type)
{
    return type.len == 0 || slice_is_nocase(type, "application/json") ||
           slice_is_nocase(type, "application/octet-stream");
}

static int parse(struct manifest_push *p, struct slice body, struct slice type, struct err *err)
{
    struct slice bare = media_type_bare(type);

    if (manifest_parse(body, type, &p->parsed, err) < 0) {
        err->code = ERR_MANIFEST_REFUSED;
        return -1;
    }
    if (p->parsed->fault != NULL) {
        return err_set(err, ERR_MANIFEST_REFUSED, "%s", p->parsed->fault);
    }
    if (!is_generic(bare) && !slice_is_nocase(bare, p->parsed->media_type)) {
        return err_set(err, ERR_MANIFEST_REFUSED,
                       "it was sent as %.*s, and is a manifest of type %s",
                       (int)(bare.len < 100 ? bare.len : 100), bare.p, p->parsed->media_type);
    }
    snprintf(p->put.media_type, sizeof(p->put.media_type), "%s", p->parsed->media_type);
    return 0;
}

static int name(struct manifest_push *p, struct slice body, struct err *err)
{
    const struct route *route = &p->request->route;
    enum digest_alg alg = route->by_digest ? (enum digest_alg)route->digest.alg : DIGEST_SHA256;
    char text[DIGEST_TEXT_MAX];

    p->put.digest = (struct digest){.alg = (uint8_t)alg};
    sha_of((enum sha_alg)alg, body.p, body.len, p->put.digest.bytes);
    if (route->by_digest && !digest_equal(&p->put.digest, &route->digest)) {
        return err_set(err, ERR_DIGEST_INVALID, "the manifest that was sent is %s",
                       digest_text(&p->put.digest, text));
    }
    return 0;
}

/* --- on the pool --------------------------------------------------------------------------- */

static bool one_type(void *arg, uint64_t repo, const struct member_record *m)
{
    struct descriptor *child = arg;

    (void)repo;
    if (m->kind != CHILD_MANIFEST || m->media_type[0] == '\0') {
        return true;
    }
    snprintf(child->media_type, sizeof(child->media_type), "%s", m->media_type);
    return false;
}

/* A manifest that is taken from elsewhere is served as what it is there, not as what an index calls
 * it. */
static void find_type(struct index_read *r, struct descriptor *child)
{
    if (child->kind == CHILD_MANIFEST) {
        index_each_holder(r, &child->digest, one_type, child);
    }
}

/* Which children the pusher may read elsewhere, and which of all of them are to be synced. */
static size_t find_children(struct manifest_push *p, struct digest *to_sync)
{
    const struct request *q = p->request;
    struct index_read *r = index_read_begin(store_of(q));
    size_t n = 0;
    uint64_t size;

    if (r == NULL) {
        return 0;
    }
    for (size_t i = 0; i < p->parsed->n_children; i++) {
        struct descriptor *child = &p->parsed->children[i];

        p->may_take[i] = reach_blob(q, r, &child->digest, REACH_MIRRORED, &size);
        if (p->may_take[i]) {
            find_type(r, child);
            to_sync[n++] = child->digest;
        }
    }
    index_read_end(r);
    return n;
}

static void sync_children(struct manifest_push *p)
{
    size_t n = p->parsed->n_children + 1;
    _cleanup_free_ struct digest *to_sync = xcalloc(n, sizeof(*to_sync));

    p->may_take = xcalloc(n, sizeof(*p->may_take));
    n = find_children(p, to_sync);
    store_sync_blobs(store_of(p->request), to_sync, n);
}

static int write_file(struct manifest_push *p, struct slice body, struct err *err)
{
    struct ingest *in = &p->ingest;

    if (ingest_open(in, store_of(p->request), &p->put.digest, body.len, false, err) < 0) {
        return -1;
    }
    if (ingest_write(in, body.p, body.len, 0, err) < 0 ||
        ingest_commit(in, body.len, true, err) < 0) {
        ingest_drop(in);
        return -1;
    }
    p->committed = true;
    return 0;
}

static void keep_run(struct job *job)
{
    struct manifest_push *p = container_of(job, struct manifest_push, job);
    struct request *q = p->request;
    struct slice body = buf_view(&q->body);

    if (parse(p, body, http_field(&q->x->head, "Content-Type"), &p->err) < 0 ||
        name(p, body, &p->err) < 0) {
        return;
    }
    sync_children(p);
    ignore_result(write_file(p, body, &p->err) < 0);
}

static void on_kept(struct job *job)
{
    struct manifest_push *p = container_of(job, struct manifest_push, job);
    struct request *q = p->request;

    p->working = false;
    op_wake(&q->op);
    request_unref(q);
}

/* --- the change ---------------------------------------------------------------------------- */

static void put_apply(struct index_write *w, struct index_txn *t)
{
    struct manifest_push *p = container_of(w, struct manifest_push, write);

    p->put.body = buf_view(&p->request->body);
    p->put.parsed = p->parsed;
    p->put.may_take = p->may_take;
    p->put.tags = p->tag_list;
    hosted_put_manifest(t, p->request->route.name, &p->put, &p->missing);
}

static void on_put(struct index_write *w)
{
    struct manifest_push *p = container_of(w, struct manifest_push, write);

    p->recorded = true;
    op_wake(&p->request->op);
}

/* --- steps --------------------------------------------------------------------------------- */

static void on_room(struct waiter *w)
{
    op_wake(&container_of(w, struct manifest_push, room.waiter)->request->op);
}

static const struct step *no_room(struct op *op, const char *why)
{
    struct err err;

    reply_too_many(&err, why);
    return op_fail_with(op, &err);
}

/* Not a byte is read before there is room for all of them. */
static const struct step *step_room(struct op *op)
{
    struct request *q = request_of(op);
    const struct http_head *head = &q->x->head;
    size_t size = head->framing == HTTP_BODY_LENGTH ? (size_t)head->length : ROOM_FIRST;

    if (q->x->gone) {
        return op_fail(op, ERR_CLIENT_GONE, "the client is gone");
    }
    if (!room_take(&q->manifest->room, q->loop, size * ROOM_WEIGHT)) {
        return q->timed_out ? no_room(op, "too many manifests come at once") : STEP_WAIT;
    }
    q->timed_out = false;
    timer_set(&q->timer, limits.client_headers);
    return &S_read;
}

/* Who is slow may take the time as long as nobody waits for the room. */
static bool must_give_way(struct request *q)
{
    if (!q->timed_out) {
        return false;
    }
    q->timed_out = false;
    timer_set(&q->timer, limits.client_headers / 8);
    return room_is_wanted(q->registry->cache->pushed);
}

static const struct step *step_read(struct op *op)
{
    struct request *q = request_of(op);
    char piece[READ_PIECE];
    size_t most = TURN_BUDGET;

    while (most > 0) {
        ssize_t got = http_read_body(q->x, piece, sizeof(piece));

        if (got == STREAM_AGAIN) {
            return must_give_way(q) ? no_room(op, "others wait until this manifest is whole")
                                    : STEP_WAIT;
        }
        if (got == STREAM_FAILED) {
            return op_fail(op, q->x->gone ? ERR_CLIENT_GONE : ERR_BAD_REQUEST,
                           "the body breaks off, or its framing is wrong");
        }
        if (got == 0) {
            timer_clear(&q->timer);
            return &S_keep;
        }
        if (q->body.len + (size_t)got > MANIFEST_LIMIT) {
            return op_fail(op, ERR_TOO_LARGE, "a manifest may have %u bytes", MANIFEST_LIMIT);
        }
        if (!room_grow(&q->manifest->room, (q->body.len + (size_t)got) * ROOM_WEIGHT)) {
            return no_room(op,
                           "too many manifests come at once, and this one does not say its length");
        }
        buf_append(&q->body, piece, (size_t)got);
        most -= (size_t)got < most ? (size_t)got : most;
    }
    op_wake(op);
    return STEP_WAIT;
}

static const struct step *step_keep(struct op *op)
{
    struct request *q = request_of(op);

    q->manifest->working = true;
    request_ref(q);
    pool_submit(store_disk(store_of(q)), q->loop, &q->manifest->job, keep_run, on_kept);
    return &S_keeping;
}

static const struct step *step_keeping(struct op *op)
{
    struct request *q = request_of(op);
    struct manifest_push *p = q->manifest;

    if (p->working) {
        return STEP_WAIT;
    }
    if (p->err.code != ERR_NONE) {
        return op_fail_with(op, &p->err);
    }
    p->write = (struct index_write){.apply = put_apply, .done = on_put};
    index_write_submit(store_of(q), q->loop, &p->write);
    return &S_recording;
}

static void put_headers(struct request *q)
{
    struct manifest_push *p = q->manifest;
    char what[16 + DIGEST_TEXT_MAX];
    char text[DIGEST_TEXT_MAX];

    buf_str(&q->extra, "Location: ");
    snprintf(what, sizeof(what), "manifests/%s", digest_text(&p->put.digest, text));
    reply_location(q, &q->extra, what);
    buf_str(&q->extra, "\r\n");
    if (p->parsed->has_subject) {
        buf_printf(&q->extra, "OCI-Subject: %s\r\n", digest_text(&p->parsed->subject, text));
    }
    for (size_t i = 0; q->route.by_digest && i < p->put.n_tags; i++) {
        buf_printf(&q->extra, "%s%s%s", i == 0 ? "OCI-Tag: " : ", ", p->tags[i],
                   i + 1 == p->put.n_tags ? "\r\n" : "");
    }
    if (p->missing > 0) {
        buf_printf(&q->extra,
                   "Warning: 299 - \"%zu of the %zu blobs and manifests that it names are not "
                   "here\"\r\n",
                   p->missing, p->parsed->n_children);
    }
}

static const struct step *step_recording(struct op *op)
{
    struct request *q = request_of(op);
    struct manifest_push *p = q->manifest;

    if (!p->recorded) {
        return STEP_WAIT;
    }
    ingest_recorded(&p->ingest);
    ingest_close(&p->ingest);
    if (p->write.failed) {
        return op_fail_with(op, &p->write.err);
    }
    count(manifests_pushed);
    count(blobs_stored);
    count_add(bytes_stored, (int64_t)q->body.len);
    if (q->x->gone) {
        return op_fail(op, ERR_CLIENT_GONE, "the client is gone");
    }
    q->digest = p->put.digest;
    q->has_digest = true;
    put_headers(q);
    reply_empty(q, 201);
    return STEP_END;
}

/* --- requests ------------------------------------------------------------------------------ */

/* A legal one. */
static void add_tag(struct manifest_push *p, struct slice tag)
{
    ignore_result(!slice_copy(tag, p->tags[p->put.n_tags], sizeof(p->tags[0])));
    p->tag_list[p->put.n_tags] = p->tags[p->put.n_tags];
    p->put.n_tags++;
}

/* The tags that the request names, in path or query. */
static int take_tags(struct request *q, struct err *err)
{
    struct slice rest = q->x->head.query;
    struct buf text;

    if (!q->route.by_digest) {
        add_tag(q->manifest, slice_str(q->route.reference));
        return 0;
    }
    buf_init(&text, TAG_MAX_LEN + 1);
    while (query_next(&rest, "tag", &text)) {
        bool good = !text.failed && tag_valid(buf_view(&text));

        if (good && q->manifest->put.n_tags < HOSTED_TAGS_MAX) {
            add_tag(q->manifest, buf_view(&text));
        }
        buf_free(&text);
        if (!good) {
            return err_set(err, ERR_TAG_INVALID, "a parameter tag is no tag");
        }
        if (query_has(rest, "tag") && q->manifest->put.n_tags == HOSTED_TAGS_MAX) {
            return err_set(err, ERR_URI_TOO_LONG, "a push may set %d tags", HOSTED_TAGS_MAX);
        }
        buf_init(&text, TAG_MAX_LEN + 1);
    }
    return 0;
}

void manifest_put(struct request *q)
{
    struct err err = {0};

    q->manifest = xnew(struct manifest_push);
    q->manifest->request = q;
    q->manifest->ingest.fd = -1;
    room_hold_init(&q->manifest->room, q->registry->cache->pushed, on_room);
    if (q->x->head.framing == HTTP_BODY_LENGTH && q->x->head.length > MANIFEST_LIMIT) {
        err_set(&err, ERR_TOO_LARGE, "a manifest may have %u bytes", MANIFEST_LIMIT);
        reply_error(q, &err);
    } else if (take_tags(q, &err) < 0) {
        reply_error(q, &err);
    } else {
        request_start(q, &S_room);
        request_wait(q, limits.first_byte);
    }
}
