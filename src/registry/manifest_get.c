/*
 * registry/manifest_get.c - GET and HEAD /v2/<name>/manifests/<reference>.
 *
 *   by tag:    resolve (resolve.c) ---------.
 *   by digest, or by a tag that the lock file has:
 *              look --here and a member--> deliver -> (body from memory, index or file)
 *                '--else--> ask -> asking -----^
 */
#include "base/limits.h"
#include "cache/prefetch.h"
#include "oci/manifest.h"
#include "registry/request.h"

#include <stdio.h>

STEP(ask);
STEP(asking);
STEP(deliver);

const struct step REQUEST_STEP_MANIFEST = {"deliver", step_deliver};
const struct step REQUEST_STEP_MANIFEST_ASK = {"ask", step_ask};

/* The copy in the index: most manifests need no file. */
static bool body_from_index(struct request *q, unsigned char body[BODY_MAX], size_t *ret_len)
{
    struct index_read *r = index_read_begin(q->registry->cache->store);
    bool found;

    if (r == NULL) {
        return false;
    }
    found = index_get_body(r, &q->digest, body, ret_len) == INDEX_FOUND;
    index_read_end(r);
    return found;
}

/* One that is large is served from its file, so that no client that takes its time, and none of
 * those that came together, has it in memory. Where it could not be kept it has to be. */
static bool is_for_file(const struct request *q)
{
    struct index_read *r;
    struct blob_record blob;
    bool here;

    if (q->document->len <= BODY_MAX) {
        return false;
    }
    r = index_read_begin(q->registry->cache->store);
    here = r != NULL && index_get_blob(r, &q->digest, &blob) == INDEX_FOUND;
    if (r != NULL) {
        index_read_end(r);
    }
    return here;
}

bool manifest_deliver_now(struct request *q)
{
    unsigned char body[BODY_MAX];
    struct slice bytes;
    struct err err;
    size_t len;

    if (reply_conditional(q)) {
        return true;
    }
    if (q->document != NULL && is_for_file(q)) {
        request_let_go(q);
    }
    if (q->document != NULL && q->x->head.method == HTTP_GET &&
        !reply_may_hold(q, q->document->len)) {
        reply_too_many(&err, "too many large manifests are being sent at once");
        reply_error(q, &err);
        return true;
    }
    if (q->document != NULL) {
        bytes = slice_of((const char *)q->document->body, q->document->len);
    } else if (body_from_index(q, body, &len)) {
        bytes = slice_of((const char *)body, len);
    } else {
        return false;
    }
    if (q->x->head.method == HTTP_GET && q->mirrored) {
        prefetch_served(q->registry->cache, &q->digest);
    }
    reply_body(q, bytes);
    return true;
}

static const struct step *step_deliver(struct op *op)
{
    struct request *q = request_of(op);

    if (q->x->gone) {
        return op_fail(op, ERR_CLIENT_GONE, "the client is gone");
    }
    return manifest_deliver_now(q) ? STEP_END : &REQUEST_STEP_SERVE;
}

/* --- by digest ------------------------------------------------------------------------------ */

static enum member_verdict look_by_digest(struct request *q)
{
    struct cache *c = q->registry->cache;
    struct index_read *r = index_read_begin(c->store);
    enum member_verdict verdict = MEMBER_UNKNOWN;
    struct member_record member;
    struct blob_record blob;

    if (r == NULL) {
        return verdict;
    }
    if (index_get_blob(r, &q->route.digest, &blob) == INDEX_FOUND) {
        verdict = request_judge(q, r, &q->route.digest, &member);
        if (verdict != MEMBER_UNKNOWN && member.kind != CHILD_MANIFEST) {
            verdict = MEMBER_UNKNOWN; /* a blob at the wrong door */
        }
    }
    if (verdict != MEMBER_UNKNOWN) {
        snprintf(q->media_type, sizeof(q->media_type), "%s", member.media_type);
        q->size = blob.size;
        q->kind = member.kind;
        q->from = FROM_HIT;
    }
    index_read_end(r);
    return verdict;
}

static const struct step *step_ask(struct op *op)
{
    struct request *q = request_of(op);
    struct cache *c = q->registry->cache;
    char text[DIGEST_TEXT_MAX];

    digest_text(q->damaged ? &q->digest : &q->route.digest, text);
    if (request_is_offline(q)) {
        return op_fail(op, ERR_MANIFEST_UNKNOWN, "%s@%s is not here, and %s", q->repo.text, text,
                       request_offline_why(q));
    }
    bell_leave(&q->waiter);
    ask_unref(q->ask);
    q->ask = ask_join(c, q->loop, ASK_DIGEST, &q->repo, text, &q->ask_joined);
    request_wait(q, q->has_digest ? q->registry->options.tag_patience_ms : limits.first_byte);
    return &S_asking;
}

/* A proof that has only grown old stands where upstream cannot be asked. */
static const struct step *old_proof(struct request *q)
{
    q->from = FROM_STALE;
    return &S_deliver;
}

static const struct step *step_asking(struct op *op)
{
    struct request *q = request_of(op);
    const struct ask_result *result = ask_result(q->ask);

    if (q->x->gone) {
        return op_fail(op, ERR_CLIENT_GONE, "the client is gone");
    }
    switch (ask_poll(q->ask, q->loop, &q->waiter)) {
    case ASK_NOT_YET:
        if (q->has_digest && (q->timed_out || ask_troubled(q->ask))) {
            return old_proof(q);
        }
        return q->timed_out ? op_fail(op, ERR_TIMEOUT, "%s does not answer in time", q->repo.text)
                            : STEP_WAIT;
    case ASK_CONFIRMED:
        q->from = FROM_REVALIDATED;
        break;
    case ASK_FETCHED:
        q->from = q->ask_joined ? FROM_JOINED : FROM_MISS;
        q->document = document_ref(result->document);
        break;
    case ASK_FAILED:
        return q->has_digest && cache_upstream_failed(result->err.code)
                   ? old_proof(q)
                   : op_fail_with(op, &result->err);
    }
    q->digest = result->digest;
    q->has_digest = true;
    q->size = result->size;
    q->kind = CHILD_MANIFEST;
    snprintf(q->media_type, sizeof(q->media_type), "%s", result->media_type);
    return &S_deliver;
}

static void get_by_digest(struct request *q)
{
    enum member_verdict verdict = look_by_digest(q);

    q->proved = true;
    if (verdict != MEMBER_UNKNOWN) {
        q->digest = q->route.digest;
        q->has_digest = true;
    }
    if (verdict != MEMBER_YES) {
        request_start(q, &S_ask);
    } else if (!manifest_deliver_now(q)) {
        request_start(q, &REQUEST_STEP_SERVE);
    }
}

void manifest_get(struct request *q)
{
    if (q->hosted) {
        hosted_manifest_get(q);
        return;
    }
    if (!q->route.by_digest && q->registry->lock != NULL && !locked_find(q)) {
        return;
    }
    if (q->route.by_digest || q->registry->lock != NULL) {
        get_by_digest(q);
        return;
    }
    q->tag_kind = TAG_TAG;
    q->ask_kind = ASK_TAG;
    q->reference = q->route.reference;
    q->deliver = &S_deliver;
    if (!resolve_look(q)) {
        request_start(q, &REQUEST_STEP_RESOLVE);
    } else if (!manifest_deliver_now(q)) {
        request_start(q, &REQUEST_STEP_SERVE);
    }
}
