/*
 * registry/blob_get.c - GET and HEAD /v2/<name>/blobs/<digest>, and all else served from files.
 *
 *   look --here, a member--> serve --------------------------------> begin -> send -> end
 *     |--here, no proof----> prove -> proving --yes--> serve            ^
 *     |--cold, HEAD--------> (size from the manifest, or prove)         |
 *     |--cold, far range---> pass -> passing ---------------------------|
 *     '--cold--------------> join -> flying ----------------------------'
 *     ^--------- again, once, where the flight says that may help
 *
 * What is served from a file is read a little before anything is said: serve -> first -> begin.
 * Where that fails the store forgets the file, damaged -> judged, and then it is fetched: join; for
 * a manifest, ask.
 */
#include "base/clock.h"
#include "base/counter.h"
#include "base/limits.h"
#include "cache/prefetch.h"
#include "oci/manifest.h"
#include "registry/request.h"

#include <stdio.h>
#include <unistd.h>

STEP(look);
STEP(prove);
STEP(proving);
STEP(serve);
STEP(join);
STEP(flying);
STEP(pass);
STEP(passing);
STEP(begin);
STEP(send);
STEP(first);
STEP(damaged);
STEP(judged);

const struct step REQUEST_STEP_SERVE = {"serve", step_serve};

static struct cache *cache_of(const struct request *q)
{
    return q->registry->cache;
}

static bool is_head(const struct request *q)
{
    return q->x->head.method == HTTP_HEAD;
}

static const struct step *client_gone(struct op *op)
{
    return op_fail(op, ERR_CLIENT_GONE, "the client is gone");
}

/* What the Range asks of a blob of `size`; answers a 416 itself (true), which has to name the size:
 * where that is not known yet, the question waits. */
static bool range_refused(struct request *q, uint64_t size)
{
    char etag[DIGEST_TEXT_MAX + 2];
    char text[DIGEST_TEXT_MAX];
    char value[HTTP_RANGE_TEXT_SIZE];
    struct buf headers;

    snprintf(etag, sizeof(etag), "\"%s\"", digest_text(&q->digest, text));
    q->range_kind = http_range_of(&q->x->head, slice_str(etag), size, &q->range);
    if (q->range_kind != HTTP_RANGE_UNSATISFIABLE) {
        return false;
    }
    if (size == UINT64_MAX) {
        q->range_kind = HTTP_RANGE_NONE;
        return false;
    }
    http_range_text_unsatisfied(size, value);
    buf_init(&headers, 4096);
    reply_headers(q, &headers);
    buf_printf(&headers, "Content-Range: %s\r\n", value);
    http_reply(q->x, 416, buf_view(&headers), SLICE_NULL);
    buf_free(&headers);
    return true;
}

/* --- first look ---------------------------------------------------------------------------- */

struct blob_look {
    bool here;
    bool trusted;
    enum member_verdict verdict;
};

static struct blob_look look(struct request *q)
{
    struct cache *c = cache_of(q);
    struct index_read *r = index_read_begin(c->store);
    struct blob_look found = {.verdict = MEMBER_UNKNOWN};
    struct member_record member = {0};
    struct blob_record blob;

    if (r == NULL) {
        return found;
    }
    found.verdict = request_judge(q, r, &q->digest, &member);
    found.here = index_get_blob(r, &q->digest, &blob) == INDEX_FOUND;
    found.trusted = found.here && store_blob_trusted(c->store, &blob);
    index_read_end(r);
    if (found.verdict != MEMBER_UNKNOWN) {
        q->size = member.size;
        q->kind = member.kind;
    }
    if (found.here && found.verdict != MEMBER_UNKNOWN) {
        q->size = blob.size;
        q->age = clock_wall_s() - blob.created;
    }
    q->proved = found.verdict == MEMBER_YES;
    q->listed = !found.here && member.proof == PROOF_MANIFEST;
    q->expired = found.verdict == MEMBER_EXPIRED;
    return found;
}

/* Opens the whole file; the response can begin. */
static bool open_here(struct request *q)
{
    struct err err;

    q->reader.fd = store_open_blob(cache_of(q)->store, &q->digest, q->size, &err);
    if (q->reader.fd < 0) {
        return false;
    }
    if (q->from == FROM_NONE) {
        q->from = FROM_HIT;
    }
    if (q->route.kind == ROUTE_BLOB) {
        index_touch_blob(cache_of(q)->store, &q->digest);
    }
    return true;
}

/* Whoever has the bytes already needs no download; true where that ended the exchange. */
static bool not_modified(struct request *q)
{
    q->from = FROM_HIT;
    if (reply_conditional(q)) {
        return true;
    }
    q->from = FROM_NONE;
    return false;
}

/* Ranges of what was wrong a moment ago are refused as the whole is: by a flight. */
static bool range_is_passed(struct request *q)
{
    return q->range_kind == HTTP_RANGE_ONE &&
           !flight_refused(cache_of(q), q->loop, q->repo.upstream, &q->digest) &&
           pass_wanted(cache_of(q), q->loop, &q->digest, q->size, q->range.from, q->range.to);
}

static const struct step *after_look(struct request *q, const struct blob_look *found)
{
    if (request_is_offline(q) && !(found->here && found->verdict != MEMBER_UNKNOWN)) {
        return op_fail(&q->op, ERR_BLOB_UNKNOWN, "%s@%s is not here, and %s", q->repo.text,
                       q->route.reference, request_offline_why(q));
    }
    if (found->here && found->verdict != MEMBER_YES) {
        return &S_prove;
    }
    if (found->verdict == MEMBER_YES && not_modified(q)) {
        return STEP_END;
    }
    if (found->here && found->trusted) {
        return &S_serve;
    }
    if (is_head(q)) {
        if (found->verdict == MEMBER_YES && q->size != UINT64_MAX) {
            q->from = FROM_HIT;
            reply_size(q);
            return STEP_END;
        }
        return &S_prove;
    }
    if (range_refused(q, q->size)) {
        return STEP_END;
    }
    return !found->here && range_is_passed(q) ? &S_pass : &S_join;
}

static const struct step *step_look(struct op *op)
{
    struct request *q = request_of(op);
    struct blob_look found = look(q);

    return after_look(q, &found);
}

void blob_get(struct request *q)
{
    if (q->hosted) {
        hosted_blob_get(q);
        return;
    }
    q->digest = q->route.digest;
    q->has_digest = true;
    snprintf(q->media_type, sizeof(q->media_type), "application/octet-stream");
    q->kind = CHILD_BLOB;
    request_start(q, &S_look);
}

/* --- proof of membership ------------------------------------------------------------------- */

static const struct step *step_prove(struct op *op)
{
    struct request *q = request_of(op);
    char text[DIGEST_TEXT_MAX];
    bool joined;

    bell_leave(&q->waiter);
    ask_unref(q->ask);
    q->ask = ask_join(cache_of(q), q->loop, ASK_MEMBER, &q->repo, digest_text(&q->digest, text),
                      &joined);
    request_wait(q, q->expired ? q->registry->options.tag_patience_ms : limits.first_byte);
    return &S_proving;
}

static const struct step *step_proving(struct op *op)
{
    struct request *q = request_of(op);
    const struct ask_result *result = ask_result(q->ask);
    enum ask_state state = ask_poll(q->ask, q->loop, &q->waiter);
    struct blob_look found;

    if (q->x->gone) {
        return client_gone(op);
    }
    if (state == ASK_NOT_YET && !q->timed_out && !ask_troubled(q->ask)) {
        return STEP_WAIT;
    }
    found = look(q);
    if (state == ASK_NOT_YET && found.verdict != MEMBER_EXPIRED) {
        return q->timed_out ? op_fail(op, ERR_TIMEOUT, "%s does not answer in time", q->repo.text)
                            : STEP_WAIT;
    }
    timer_clear(&q->timer);
    if (state == ASK_FAILED &&
        (found.verdict != MEMBER_EXPIRED || !cache_upstream_failed(result->err.code))) {
        return op_fail_with(op, &result->err);
    }
    if (state == ASK_NOT_YET || state == ASK_FAILED) {
        q->from = FROM_STALE; /* a proof that has only grown old stands */
    }
    q->proved = true;
    q->listed = q->listed && state != ASK_CONFIRMED;
    if (found.here && found.trusted) {
        q->from = q->from == FROM_NONE ? FROM_REVALIDATED : q->from;
        return &S_serve;
    }
    if (!is_head(q)) {
        return &S_join;
    }
    if (state == ASK_CONFIRMED && result->size != UINT64_MAX) {
        q->size = result->size;
    }
    if (q->size == UINT64_MAX) {
        return op_fail(op, ERR_UPSTREAM_PROTOCOL, "%s does not say how large the blob is",
                       q->repo.text);
    }
    q->from = q->from == FROM_NONE ? FROM_REVALIDATED : q->from;
    if (!reply_conditional(q)) {
        reply_size(q);
    }
    return STEP_END;
}

/* Flights fetch blobs: a manifest whose file was bad is asked for anew, once. */
static const struct step *manifest_anew(struct request *q)
{
    if (q->route.kind != ROUTE_MANIFEST || !q->mirrored || q->damaged || request_is_offline(q)) {
        return op_fail(&q->op, ERR_UNAVAILABLE, "the file in the store is damaged; try again");
    }
    q->damaged = true;
    q->has_digest = false;
    return &REQUEST_STEP_MANIFEST_ASK;
}

/* Which bytes are to be sent. */
static void aim(struct request *q)
{
    bool part = q->range_kind == HTTP_RANGE_ONE;

    q->reader.offset = part ? q->range.from : 0;
    q->reader.end = part ? q->range.to + 1 : q->size;
}

/* --- from the store ------------------------------------------------------------------------ */

/* A manifest too large for the index is served as a blob is: bytes that a crash may have spoilt
 * only by a flight that hashes them. (Blobs were looked at before.) */
static bool is_trusted(struct request *q)
{
    struct store *s = cache_of(q)->store;
    struct index_read *r;
    struct blob_record blob;
    bool trusted;

    if (q->route.kind == ROUTE_BLOB) {
        return true;
    }
    r = index_read_begin(s);
    if (r == NULL) {
        return false;
    }
    trusted = index_get_blob(r, &q->digest, &blob) == INDEX_FOUND && store_blob_trusted(s, &blob);
    index_read_end(r);
    return trusted;
}

static const struct step *step_serve(struct op *op)
{
    struct request *q = request_of(op);

    if (q->x->gone) {
        return client_gone(op);
    }
    if (is_head(q)) {
        q->from = q->from == FROM_NONE ? FROM_HIT : q->from;
        if (!reply_conditional(q)) {
            reply_size(q);
        }
        return STEP_END;
    }
    if (q->route.kind == ROUTE_BLOB && reply_conditional(q)) {
        return STEP_END;
    }
    if (q->route.kind == ROUTE_MANIFEST && q->mirrored) {
        prefetch_served(cache_of(q), &q->digest);
    }
    if (!is_trusted(q)) {
        return q->hosted ? op_fail(op, ERR_UNAVAILABLE, "the bytes in the store are not verified")
                         : &S_join;
    }
    if (!open_here(q)) {
        return &S_damaged;
    }
    if (range_refused(q, q->size)) {
        return STEP_END;
    }
    aim(q);
    return &S_first;
}

static const struct step *step_first(struct op *op)
{
    struct request *q = request_of(op);

    if (q->x->gone) {
        return client_gone(op);
    }
    switch (reader_first(q)) {
    case READER_WAIT:
        return STEP_WAIT;
    case READER_DONE:
        return &S_begin;
    case READER_BROKEN:
        break;
    }
    return &S_damaged;
}

/* The file is gone or damaged: once the store has forgotten it, it is fetched again. */
static const struct step *step_damaged(struct op *op)
{
    struct request *q = request_of(op);

    q->from = FROM_NONE;
    q->age = 0;
    reader_forget(q);
    return &S_judged;
}

static const struct step *step_judged(struct op *op)
{
    struct request *q = request_of(op);
    struct reader *r = &q->reader;

    if (r->reading) {
        return STEP_WAIT;
    }
    if (r->fd >= 0) {
        close(r->fd);
        r->fd = -1;
    }
    if (q->started) {
        return op_fail_with(op, &r->err); /* too late for this one */
    }
    r->err = (struct err){0};
    return q->route.kind == ROUTE_BLOB && q->mirrored && !request_is_offline(q) ? &S_join
                                                                                : manifest_anew(q);
}

/* --- by a flight --------------------------------------------------------------------------- */

static void on_flight(struct waiter *w)
{
    op_wake(&container_of(w, struct request, ticket.waiter)->op);
}

static const struct step *step_join(struct op *op)
{
    struct request *q = request_of(op);
    struct flight_question question = {
        .digest = q->digest,
        .repo = &q->repo,
        .size = q->size,
        .kind = q->kind,
        .proved = q->proved,
        .listed = q->listed,
        .offset = q->range_kind == HTTP_RANGE_ONE ? q->range.from : 0,
    };

    flight_leave(&q->ticket);
    flight_join(cache_of(q), q->loop, &question, &q->ticket, on_flight);
    if (flight_needs_proof(&q->ticket)) {
        flight_leave(&q->ticket);
        return &S_prove;
    }
    q->from = q->ticket.joined ? FROM_JOINED : FROM_MISS;
    q->age = 0;
    request_wait(q, q->proved && q->size != UINT64_MAX && q->size > SMALL_BLOB
                        ? limits.early_headers
                        : limits.first_byte);
    if (!q->ticket.joined && q->kind == CHILD_LAYER && !request_is_offline(q)) {
        prefetch_layer(cache_of(q), q->loop, &q->repo, &q->digest);
    }
    return &S_flying;
}

/* Size and source vouch for it: the response can begin. */
static const struct step *flight_ready(struct request *q)
{
    timer_clear(&q->timer);
    q->size = flight_size(&q->ticket);
    if (flight_is_local(&q->ticket)) {
        q->from = FROM_HIT;
    } else if (flight_is_passing(&q->ticket)) {
        q->from = FROM_PASSED;
    }
    return reply_conditional(q) || range_refused(q, q->size) ? STEP_END : &S_begin;
}

static const struct step *flight_failed(struct request *q)
{
    struct err err;

    if (flight_needs_proof(&q->ticket)) {
        flight_leave(&q->ticket);
        return &S_prove;
    }
    if (q->route.kind != ROUTE_BLOB) {
        flight_leave(&q->ticket);
        return manifest_anew(q);
    }
    if (flight_may_rejoin(&q->ticket) && !q->rejoined) {
        q->rejoined = true;
        return &S_look;
    }
    flight_error(&q->ticket, &err);
    return op_fail_with(&q->op, &err);
}

static const struct step *step_flying(struct op *op)
{
    struct request *q = request_of(op);

    if (q->x->gone) {
        return client_gone(op);
    }
    switch (flight_poll(&q->ticket)) {
    case FLIGHT_OPENING:
        break;
    case FLIGHT_READY:
    case FLIGHT_LANDED:
        return flight_ready(q);
    case FLIGHT_FAILED:
        return flight_failed(q);
    }
    if (flight_needs_proof(&q->ticket)) {
        flight_leave(&q->ticket);
        return &S_prove;
    }
    if (!q->timed_out) {
        return STEP_WAIT;
    }
    /* Headers before the first byte: a client that waits for them gives up sooner than one that
     * waits for a body. */
    if (q->proved && q->size != UINT64_MAX && q->size > SMALL_BLOB) {
        return range_refused(q, q->size) ? STEP_END : &S_begin;
    }
    return op_fail(op, ERR_TIMEOUT, "%s does not answer in time", q->repo.text);
}

/* --- passed through ------------------------------------------------------------------------ */

static const struct step *step_pass(struct op *op)
{
    struct request *q = request_of(op);

    q->from = FROM_PASSED;
    q->reader.pass = pass_new(q->loop, &q->repo, &q->digest, q->range.from, q->range.to, &op->task);
    request_wait(q, limits.first_byte);
    return &S_passing;
}

static const struct step *step_passing(struct op *op)
{
    struct request *q = request_of(op);
    struct err err = {0};
    uint64_t size;

    if (q->x->gone) {
        return client_gone(op);
    }
    switch (pass_poll(q->reader.pass, &size, &err)) {
    case PASS_NOT_YET:
        return q->timed_out ? op_fail(op, ERR_TIMEOUT, "%s does not answer in time", q->repo.text)
                            : STEP_WAIT;
    case PASS_READY:
        /* Another size than was told: then the range may reach what only a verdict releases. */
        if (size == q->size) {
            timer_clear(&q->timer);
            return &S_begin;
        }
        break;
    case PASS_FAILED:
        break;
    }
    pass_free(q->reader.pass);
    q->reader.pass = NULL;
    return err_status(err.code) == 404 ? op_fail_with(op, &err) : &S_join;
}

/* --- the response -------------------------------------------------------------------------- */

static void start_response(struct request *q)
{
    bool part = q->range_kind == HTTP_RANGE_ONE;
    uint64_t length = q->size;
    char value[HTTP_RANGE_TEXT_SIZE];
    struct buf headers;

    aim(q);
    buf_init(&headers, 4096);
    reply_headers(q, &headers);
    if (part) {
        http_range_text(&q->range, q->size, value);
        buf_printf(&headers, "Content-Range: %s\r\n", value);
        length = q->reader.end - q->reader.offset;
    }
    http_start(q->x, part ? 206 : 200, buf_view(&headers),
               length == UINT64_MAX ? HTTP_LENGTH_UNKNOWN : length);
    q->started = true;
    count(readers_open);
    buf_free(&headers);
}

static const struct step *step_begin(struct op *op)
{
    struct request *q = request_of(op);

    if (q->range_kind == HTTP_RANGE_ONE && q->size == UINT64_MAX) {
        q->range_kind = HTTP_RANGE_NONE; /* of a size that nobody knows: the whole */
    }
    if (q->ticket.flight != NULL &&
        !flight_read_begin(&q->ticket, q->range_kind == HTTP_RANGE_ONE ? q->range.from : 0,
                           q->size)) {
        return &S_join; /* those bytes are gone from its window: a flight of our own */
    }
    start_response(q);
    return &S_send;
}

static const struct step *step_send(struct op *op)
{
    struct request *q = request_of(op);

    if (q->x->gone) {
        return client_gone(op);
    }
    switch (reader_pump(q)) {
    case READER_WAIT:
        return STEP_WAIT;
    case READER_DONE:
        http_finish(q->x);
        return STEP_END;
    case READER_BROKEN:
        break;
    }
    return q->reader.fd >= 0 && q->reader.err.code == ERR_STORE ? &S_damaged
                                                                : op_fail_with(op, &q->reader.err);
}
