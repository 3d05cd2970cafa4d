/*
 * registry/upload.c - POST, PATCH, PUT, GET and DELETE of /v2/<name>/blobs/uploads/[<session>].
 *
 *   POST (plain)  ------------------------------------------------------------------> 202
 *   POST ?mount   -> mount -> mounting --found--> recording -> 201, else as a plain one
 *   POST ?digest  -> receive -> commit -> committing -> recording ------------------> 201
 *   PATCH         -> receive -> checkpoint -> checkpointing ------------------------> 202
 *   PUT ?digest   -> receive -> commit -> committing -> recording ------------------> 201
 *   a body that breaks off, or a disk that refuses -> stop
 *
 * While one buffer is written by the pool, it is hashed here and the other is filled from the
 * socket. Of what fails before the commit the session survives, at the offset that was written.
 * Distribution-spec "Push"; reference protocol.md 1.10, 1.11.
 */
#include "base/counter.h"
#include "oci/query.h"
#include "registry/access.h"
#include "registry/reach.h"
#include "store/handover.h"
#include "store/hosted.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define QUERY_VALUE_MAX 512

STEP(receive);
STEP(stop);
STEP(checkpoint);
STEP(checkpointing);
STEP(commit);
STEP(committing);
STEP(recording);
STEP(mount);
STEP(mounting);

/* Owner: the request. Thread: its loop's, but for what a job works at. */
struct upload_push {
    struct request *request;
    struct upload *upload;       /* claimed; NULL: a mount, or it ended */
    bool single;                 /* of one request only: nobody could go on with it */
    struct flow_buffer *filling; /* from the socket */
    struct flow_buffer *writing; /* by the pool */
    uint64_t left;               /* of the body, where Content-Range says; else UINT64_MAX */
    uint64_t got;
    bool over; /* the body is read to its end */
    struct digest digest;
    struct job job;
    bool working;   /* the job is under way */
    struct sha sha; /* with what is being written */
    struct job sync_job;
    bool syncing; /* beside it */
    struct upload_mark mark;
    struct err err;
    struct err disk; /* of a write: the pool's, until the job is done */
    struct index_write write;
    bool recorded;
    bool mounted; /* found, and recorded as a member */
    uint64_t size;
    char from[ROUTE_REPO_MAX]; /* of a mount; "": anywhere */
};

static struct store *store_of(const struct request *q)
{
    return q->registry->cache->store;
}

/* Which repository a session is of. */
static const char *repo_of(const struct request *q)
{
    return q->route.own ? UPLOAD_NO_REPO : q->route.name;
}

static struct upload_push *push_of(struct request *q)
{
    if (q->upload == NULL) {
        q->upload = xnew(struct upload_push);
        q->upload->request = q;
        q->upload->left = UINT64_MAX;
    }
    return q->upload;
}

/* Gives the session back: dropped, or for another request to go on with. */
static void end_session(struct upload_push *p, bool drop)
{
    struct upload *u = p->upload;

    p->upload = NULL;
    if (u == NULL) {
        return;
    }
    if (drop || p->single || upload_is_lost(u)) {
        upload_drop(u);
    } else {
        upload_leave(u);
    }
}

void upload_push_free(struct request *q)
{
    struct upload_push *p = q->upload;

    if (p == NULL) {
        return;
    }
    end_session(p, false);
    if (p->filling != NULL) {
        flow_put(q->loop, p->filling);
    }
    free(p);
    q->upload = NULL;
}

/* --- answers ------------------------------------------------------------------------------- */

/* Range as clients parse it: no unit, both ends inclusive; "0-0" where there is nothing yet. */
static void session_headers(struct request *q, const char *id, uint64_t offset)
{
    char what[64 + UPLOAD_ID_SIZE];

    buf_str(&q->extra, "Location: ");
    snprintf(what, sizeof(what), "blobs/uploads/%s", id);
    reply_location(q, &q->extra, what);
    buf_printf(&q->extra, "\r\nRange: 0-%" PRIu64 "\r\nDocker-Upload-UUID: %s\r\n",
               offset == 0 ? 0 : offset - 1, id);
}

static void reply_session(struct request *q, int status)
{
    struct upload *u = q->upload->upload;

    session_headers(q, u->id, atomic_load(&u->offset));
    end_session(q->upload, false);
    reply_empty(q, status);
}

static void reply_created(struct request *q)
{
    char what[16 + DIGEST_TEXT_MAX];
    char text[DIGEST_TEXT_MAX];

    q->digest = q->upload->digest;
    q->has_digest = true;
    if (q->route.own) {
        /* Nobody has it yet; who uploaded it will say in a moment who does. */
        ignore_result(!store_lease(store_of(q), &q->digest));
    }
    buf_str(&q->extra, "Location: ");
    snprintf(what, sizeof(what), "blobs/%s", digest_text(&q->digest, text));
    reply_location(q, &q->extra, what);
    buf_str(&q->extra, "\r\n");
    reply_empty(q, 201);
}

static void refuse(struct request *q, enum err_code code, const char *why)
{
    struct err err;

    err_set(&err, code, "%s", why);
    reply_error(q, &err);
}

static void refuse_unknown(struct request *q)
{
    struct err err;

    err_set(&err, ERR_UPLOAD_UNKNOWN, "%s has no upload %s", q->route.name, q->route.session);
    reply_error(q, &err);
}

/* --- jobs ---------------------------------------------------------------------------------- */

/* A job keeps the request; the op stays until it has ended, as the steps see to. */
static void job_start(struct request *q, struct job *job, void (*run)(struct job *),
                      void (*done)(struct job *))
{
    request_ref(q);
    pool_submit(store_disk(store_of(q)), q->loop, job, run, done);
}

static void job_ended(struct request *q)
{
    op_wake(&q->op);
    request_unref(q);
}

static void on_worked(struct job *job)
{
    struct upload_push *p = container_of(job, struct upload_push, job);

    p->working = false;
    job_ended(p->request);
}

static void work(struct request *q, void (*run)(struct job *))
{
    q->upload->working = true;
    job_start(q, &q->upload->job, run, on_worked);
}

static void commit_run(struct job *job)
{
    struct upload_push *p = container_of(job, struct upload_push, job);

    ignore_result(upload_commit(p->upload, &p->digest, &p->err) < 0);
}

/* --- syncs, so that a session survives ----------------------------------------------------- */

static void sync_run(struct job *job)
{
    struct upload_push *p = container_of(job, struct upload_push, sync_job);

    upload_sync(p->upload, &p->mark);
}

static void on_synced(struct job *job)
{
    struct upload_push *p = container_of(job, struct upload_push, sync_job);

    p->syncing = false;
    job_ended(p->request);
}

static void sync_start(struct request *q, bool end)
{
    struct upload_push *p = q->upload;

    if (!p->syncing && upload_mark(p->upload, end, &p->mark)) {
        p->syncing = true;
        job_start(q, &p->sync_job, sync_run, on_synced);
    }
}

/* --- writing ------------------------------------------------------------------------------- */

static void write_run(struct job *job)
{
    struct upload_push *p = container_of(job, struct upload_push, job);

    ignore_result(upload_write(p->upload, p->writing->data, p->writing->len, &p->disk) < 0);
}

static void on_written(struct job *job)
{
    struct upload_push *p = container_of(job, struct upload_push, job);
    struct request *q = p->request;

    if (p->disk.code != ERR_NONE) {
        p->err = p->disk;
    } else {
        upload_wrote(p->upload, p->writing->len, &p->sha);
        sync_start(q, false);
    }
    flow_put(q->loop, p->writing);
    p->writing = NULL;
    on_worked(job);
}

/* The pool writes while this loop hashes; both only read the buffer. */
static void write_start(struct request *q)
{
    struct upload_push *p = q->upload;

    p->writing = p->filling;
    p->filling = NULL;
    p->working = true;
    job_start(q, &p->job, write_run, on_written);
    p->sha = p->upload->sha;
    sha_update(&p->sha, p->writing->data, p->writing->len);
}

/* --- receiving ----------------------------------------------------------------------------- */

enum filled { FILLED_SOME, FILLED_WAIT, FILLED_OVER, FILLED_BROKEN };

static enum filled too_much(struct upload_push *p)
{
    err_set(&p->err, ERR_SIZE_INVALID, "the body is longer than its Content-Range");
    return FILLED_BROKEN;
}

/* Reads once into the buffer that is being filled. */
static enum filled fill(struct request *q)
{
    struct upload_push *p = q->upload;
    ssize_t got;

    if (p->over) {
        return FILLED_OVER;
    }
    if (p->filling == NULL && (p->filling = flow_take(q->loop, &q->flow_wait)) == NULL) {
        return FILLED_WAIT;
    }
    if (p->filling->len == FLOW_BUFFER) {
        return FILLED_WAIT; /* until the other one is written */
    }
    got = http_read_body(q->x, p->filling->data + p->filling->len, FLOW_BUFFER - p->filling->len);
    if (got == STREAM_AGAIN) {
        return FILLED_WAIT;
    }
    if (got == STREAM_FAILED) {
        err_set(&p->err, ERR_BAD_REQUEST, "the body breaks off, or its framing is wrong");
        return FILLED_BROKEN;
    }
    if (p->left != UINT64_MAX && (uint64_t)got > p->left - p->got) {
        return too_much(p);
    }
    p->filling->len += (size_t)got;
    p->got += (uint64_t)got;
    p->over = got == 0;
    return got == 0 ? FILLED_OVER : FILLED_SOME;
}

/* Gives what was read to the pool, unless it is still at the last one. A buffer goes on when it is
 * full or nothing more has come: a slow client holds none. */
static void send_on(struct request *q, bool more_now)
{
    struct upload_push *p = q->upload;

    if (p->filling == NULL || p->writing != NULL || (more_now && p->filling->len < FLOW_BUFFER)) {
        return;
    }
    if (p->filling->len == 0) {
        flow_put(q->loop, p->filling);
        p->filling = NULL;
        return;
    }
    write_start(q);
}

static const struct step *received(struct request *q)
{
    struct upload_push *p = q->upload;

    if (p->left != UINT64_MAX && p->got != p->left) {
        err_set(&p->err, ERR_SIZE_INVALID, "the body is shorter than its Content-Range");
        return &S_stop;
    }
    return q->x->head.method == HTTP_PATCH ? &S_checkpoint : &S_commit;
}

static const struct step *step_receive(struct op *op)
{
    struct request *q = request_of(op);
    struct upload_push *p = q->upload;
    uint64_t until = p->got + TURN_BUDGET;
    enum filled filled = FILLED_SOME;

    while (filled == FILLED_SOME && p->got < until) {
        if (q->x->gone || p->err.code != ERR_NONE) {
            return &S_stop;
        }
        filled = fill(q);
        send_on(q, filled == FILLED_SOME);
    }
    if (filled == FILLED_BROKEN) {
        return &S_stop;
    }
    if (filled == FILLED_OVER && p->filling == NULL && !p->working) {
        return received(q);
    }
    if (filled == FILLED_SOME) {
        op_wake(op); /* others have their turn first */
    }
    return STEP_WAIT;
}

/* What came is kept as far as it was written; the answer tells a client that is still there. */
static const struct step *step_stop(struct op *op)
{
    struct request *q = request_of(op);
    struct upload_push *p = q->upload;

    if (p->working || p->syncing) {
        return STEP_WAIT;
    }
    if (p->err.code == ERR_NONE || q->x->gone) {
        err_set(&p->err, ERR_CLIENT_GONE, "the client is gone");
    }
    end_session(p, false);
    return op_fail_with(op, &p->err);
}

/* --- the end of a PATCH -------------------------------------------------------------------- */

static const struct step *step_checkpoint(struct op *op)
{
    struct request *q = request_of(op);

    if (q->upload->syncing) {
        return STEP_WAIT;
    }
    sync_start(q, true);
    return &S_checkpointing;
}

static const struct step *step_checkpointing(struct op *op)
{
    struct request *q = request_of(op);

    if (q->upload->syncing) {
        return STEP_WAIT;
    }
    if (upload_is_lost(q->upload->upload)) { /* first: no sync of it succeeds any more */
        err_set(&q->upload->err, ERR_STORE,
                "the disk lost bytes of this upload: it is to be begun anew");
        return &S_stop;
    }
    if (upload_is_owed(q->upload->upload)) {
        return &S_checkpoint; /* another process took over just now */
    }
    if (q->x->gone) {
        return &S_stop;
    }
    reply_session(q, 202);
    return STEP_END;
}

/* --- the blob is whole --------------------------------------------------------------------- */

static const struct step *step_commit(struct op *op)
{
    struct request *q = request_of(op);

    if (q->upload->syncing) {
        return STEP_WAIT;
    }
    work(q, commit_run);
    return &S_committing;
}

static void record_apply(struct index_write *w, struct index_txn *t)
{
    upload_record(container_of(w, struct upload_push, write)->upload, t);
}

static void on_recorded(struct index_write *w)
{
    struct upload_push *p = container_of(w, struct upload_push, write);

    p->recorded = true;
    op_wake(&p->request->op);
}

static const struct step *step_committing(struct op *op)
{
    struct request *q = request_of(op);
    struct upload_push *p = q->upload;

    if (p->working) {
        return STEP_WAIT;
    }
    if (p->err.code != ERR_NONE) {
        end_session(p, true);
        return op_fail_with(op, &p->err);
    }
    p->write = (struct index_write){.apply = record_apply, .done = on_recorded};
    if (upload_is_recorded(p->upload)) {
        p->recorded = true;
    } else {
        index_write_submit(store_of(q), q->loop, &p->write);
    }
    return &S_recording;
}

/* The 201 of uploads and mounts: what it says is on disk. */
static const struct step *step_recording(struct op *op)
{
    struct request *q = request_of(op);
    struct upload_push *p = q->upload;

    if (!p->recorded) {
        return STEP_WAIT;
    }
    if (p->upload != NULL) {
        count(uploads_finished);
        count(blobs_stored);
        count_add(bytes_stored, (int64_t)atomic_load(&p->upload->offset));
        upload_finish(p->upload);
        p->upload = NULL;
    }
    if (p->write.failed) {
        return op_fail_with(op, &p->write.err);
    }
    if (q->x->gone) {
        return op_fail(op, ERR_CLIENT_GONE, "the client is gone");
    }
    reply_created(q);
    return STEP_END;
}

/* --- mounting ------------------------------------------------------------------------------ */

static bool find_source(struct request *q)
{
    struct upload_push *p = q->upload;
    struct index_read *r = index_read_begin(store_of(q));
    bool found;

    if (r == NULL) {
        return false;
    }
    found = p->from[0] == '\0' ? reach_blob(q, r, &p->digest, REACH_ALL, &p->size)
                               : reach_blob_in(q, r, &p->digest, slice_str(p->from), &p->size);
    index_read_end(r);
    return found;
}

static void mount_run(struct job *job)
{
    struct upload_push *p = container_of(job, struct upload_push, job);

    p->mounted = find_source(p->request);
    if (p->mounted) {
        store_sync_blobs(store_of(p->request), &p->digest, 1);
    }
}

/* It may have gone since it was found. */
static void mount_apply(struct index_write *w, struct index_txn *t)
{
    struct upload_push *p = container_of(w, struct upload_push, write);
    struct blob_record blob;

    p->mounted = index_txn_get_blob(t, &p->digest, &blob) == INDEX_FOUND && blob.synced;
    if (p->mounted) {
        hosted_put_blob(t, p->request->route.name, &p->digest, blob.size);
    }
}

/* Answers itself where there are too many. */
static bool open_session(struct request *q, enum sha_alg alg, bool lasting)
{
    struct upload_push *p = push_of(q);
    bool ours = strcmp(q->x->client, "unix") == 0;
    struct upload_client client = {access_owner(q), ours ? "" : q->x->client};
    struct err err;

    p->upload = upload_open(store_of(q), repo_of(q), &client, alg, lasting);
    if (p->upload == NULL) {
        reply_too_many(&err, "too many uploads are under way, in all or by this client");
        reply_error(q, &err);
        return false;
    }
    return true;
}

/* As if no mount had been asked: the client uploads. */
static const struct step *open_instead(struct request *q)
{
    if (open_session(q, SHA_256, true)) {
        reply_session(q, 202);
    }
    return STEP_END;
}

static const struct step *step_mount(struct op *op)
{
    work(request_of(op), mount_run);
    return &S_mounting;
}

static const struct step *step_mounting(struct op *op)
{
    struct request *q = request_of(op);
    struct upload_push *p = q->upload;

    if (p->working || (p->write.apply != NULL && !p->recorded)) {
        return STEP_WAIT;
    }
    if (q->x->gone) {
        return op_fail(op, ERR_CLIENT_GONE, "the client is gone");
    }
    if (!p->mounted) {
        return open_instead(q);
    }
    if (p->recorded) {
        if (!p->write.failed) {
            count(mounts);
        }
        return &S_recording;
    }
    p->write = (struct index_write){.apply = mount_apply, .done = on_recorded};
    index_write_submit(store_of(q), q->loop, &p->write);
    return STEP_WAIT;
}

/* --- requests ------------------------------------------------------------------------------ */

/* A parameter's value as a C string; false where there is none, or it does not fit. */
static bool parameter(const struct request *q, const char *name, char *out, size_t size)
{
    struct buf text;
    bool found;

    buf_init(&text, QUERY_VALUE_MAX);
    found = query_get(q->x->head.query, name, &text) && !text.failed &&
            slice_copy(buf_view(&text), out, size);
    buf_free(&text);
    return found;
}

/* The digest that the upload must have; false where that was refused. */
static bool take_digest(struct request *q)
{
    char text[DIGEST_TEXT_MAX];

    if (parameter(q, "digest", text, sizeof(text)) &&
        digest_parse(slice_str(text), &push_of(q)->digest)) {
        return true;
    }
    refuse(q, ERR_DIGEST_INVALID,
           "the parameter digest is no sha256 or sha512 digest of lower-case hex digits");
    return false;
}

/* However long the body takes, nobody waits for it: what is done with it then goes by whichever
 * process has the store. */
static void receive_start(struct request *q)
{
    const struct http_head *head = &q->x->head;
    struct upload_push *p = q->upload;

    upload_expect(p->upload, head->framing == HTTP_BODY_LENGTH ? head->length : p->left);
    if (q->changing) {
        store_change_end(store_of(q));
        q->changing = false;
    }
    request_start(q, &S_receive);
}

/* All in one request: the digest comes first. */
static void post_whole(struct request *q)
{
    if (take_digest(q) && open_session(q, (enum sha_alg)q->upload->digest.alg, false)) {
        q->upload->single = true;
        receive_start(q);
    }
}

static void post_plain(struct request *q)
{
    enum sha_alg alg = SHA_256;
    char text[32];

    if (query_has(q->x->head.query, "digest-algorithm")) {
        if (!parameter(q, "digest-algorithm", text, sizeof(text)) ||
            (strcmp(text, "sha256") != 0 && strcmp(text, "sha512") != 0)) {
            refuse(q, ERR_DIGEST_INVALID, "digest-algorithm is neither sha256 nor sha512");
            return;
        }
        alg = strcmp(text, "sha512") == 0 ? SHA_512 : SHA_256;
    }
    if (open_session(q, alg, true)) {
        reply_session(q, 202);
    }
}

static void post(struct request *q)
{
    struct upload_push *p = push_of(q);
    char text[DIGEST_TEXT_MAX];

    if (!q->route.own && parameter(q, "mount", text, sizeof(text)) &&
        digest_parse(slice_str(text), &p->digest)) {
        ignore_result(parameter(q, "from", p->from, sizeof(p->from)));
        request_start(q, &S_mount);
    } else if (query_has(q->x->head.query, "digest")) {
        post_whole(q);
    } else {
        post_plain(q);
    }
}

/* "FIRST-LAST", both inclusive, without a unit. */
static bool content_range(struct slice text, uint64_t *ret_first, uint64_t *ret_last)
{
    size_t dash = slice_find(text, '-');

    return slice_u64(slice_sub(text, 0, dash), ret_first) &&
           slice_u64(slice_from(text, dash + 1), ret_last);
}

/* Whether the body goes on where the session stands: 0, or -1 with what is wrong. */
static int range_check(struct request *q, uint64_t offset, struct err *err)
{
    const struct http_head *head = &q->x->head;
    struct slice field;
    struct slice other;
    uint64_t first;
    uint64_t last;
    size_t at = 0;

    if (!http_field_next(head, "Content-Range", &at, &field)) {
        return 0;
    }
    /* The sign bit stays free, as in Content-Length. */
    if (!content_range(field, &first, &last) || last < first || last >= INT64_MAX) {
        return err_set(err, ERR_SIZE_INVALID, "Content-Range is not FIRST-LAST");
    }
    if (http_field_next(head, "Content-Range", &at, &other)) {
        return err_set(err, ERR_SIZE_INVALID, "more than one Content-Range");
    }
    if (first != offset) {
        return err_set(err, ERR_UPLOAD_RANGE, "the upload stands at byte %" PRIu64, offset);
    }
    if (head->framing != HTTP_BODY_CHUNKED && head->length != last - first + 1) {
        return err_set(err, ERR_SIZE_INVALID, "Content-Range and Content-Length do not agree");
    }
    q->upload->left = last - first + 1;
    return 0;
}

/* Claims the session and begins to read; what is wrong before that leaves it as it was, and the
 * answer says how that is. */
static void go_on(struct request *q)
{
    struct upload_push *p = push_of(q);
    struct err err = {0};
    uint64_t offset = 0;

    switch (upload_claim(store_of(q), q->route.session, repo_of(q), access_owner(q), &p->upload,
                         &offset)) {
    case UPLOAD_UNKNOWN:
        refuse_unknown(q);
        return;
    case UPLOAD_BUSY:
        err_set(&err, ERR_UPLOAD_RANGE, "another request is writing to this upload");
        break;
    case UPLOAD_CLAIMED:
        if (range_check(q, offset, &err) == 0) {
            receive_start(q);
            return;
        }
        end_session(p, false); /* before the answer: the client may come again at once */
        break;
    }
    session_headers(q, q->route.session, offset);
    reply_error(q, &err);
}

static void tell(struct request *q)
{
    uint64_t offset = 0;

    if (upload_look(store_of(q), q->route.session, repo_of(q), access_owner(q), &offset) ==
        UPLOAD_UNKNOWN) {
        refuse_unknown(q);
        return;
    }
    session_headers(q, q->route.session, offset);
    reply_empty(q, 204);
}

static void cancel(struct request *q)
{
    if (upload_cancel(store_of(q), q->route.session, repo_of(q), access_owner(q))) {
        reply_empty(q, 204);
    } else {
        refuse_unknown(q);
    }
}

void upload_handle(struct request *q)
{
    if (q->route.kind == ROUTE_UPLOADS && q->x->head.method != HTTP_POST) {
        refuse(q, ERR_UNSUPPORTED, "uploads are begun by POST");
        return;
    }
    switch (q->x->head.method) {
    case HTTP_POST:
        post(q);
        break;
    case HTTP_PATCH:
        go_on(q);
        break;
    case HTTP_PUT:
        if (take_digest(q)) {
            go_on(q);
        }
        break;
    case HTTP_DELETE:
        cancel(q);
        break;
    default:
        tell(q);
        break;
    }
}
