/*
 * registry/resolve.c - what does a tag, or a list, mean now? Design section 7.
 *
 *   resolve --fresh--> deliver
 *      '--> asking --answer, or the old one where upstream fails or dawdles--> deliver
 */
#include "base/clock.h"
#include "base/limits.h"
#include "oci/manifest.h"
#include "base/counter.h"
#include "registry/request.h"

#include <stdio.h>

STEP(asking);

static const struct step *step_resolve(struct op *op);
const struct step REQUEST_STEP_RESOLVE = {"resolve", step_resolve};

static const struct cache_options *options_of(const struct request *q)
{
    return &q->registry->options;
}

/* Fills what the index knows of the name; false where that is nothing that could be served. */
static bool look_up(struct request *q)
{
    struct cache *c = q->registry->cache;
    struct index_read *r = index_read_begin(c->store);
    enum member_verdict verdict = MEMBER_UNKNOWN;
    struct member_record member;
    struct blob_record blob;
    uint64_t repo;
    bool found;

    if (r == NULL) {
        return false;
    }
    found = index_get_repo(r, REPO_MIRRORED, q->repo.text, &repo) == INDEX_FOUND &&
            index_get_tag(r, repo, q->tag_kind, q->reference, &q->old) == INDEX_FOUND &&
            index_get_blob(r, &q->old.digest, &blob) == INDEX_FOUND;
    if (found) {
        verdict = request_judge(q, r, &q->old.digest, &member);
        found = verdict != MEMBER_UNKNOWN;
    }
    if (found) {
        q->have_old = true;
        q->expired = verdict == MEMBER_EXPIRED;
        q->digest = q->old.digest;
        q->has_digest = true;
        q->size = blob.size;
        q->kind = CHILD_MANIFEST;
        q->proved = true;
        snprintf(q->media_type, sizeof(q->media_type), "%s", member.media_type);
    }
    index_read_end(r);
    return found;
}

bool resolve_look(struct request *q)
{
    int64_t age;

    if (!look_up(q)) {
        return false;
    }
    age = clock_wall_s() - q->old.checked;
    q->age = age > 0 ? age : 0;
    if (!request_is_offline(q) && (q->expired || age < 0 || age >= options_of(q)->tag_ttl_s)) {
        /* Of a time that is yet to come, or proved too long ago: as if it had just grown old. */
        q->age = q->age < options_of(q)->tag_ttl_s ? options_of(q)->tag_ttl_s : q->age;
        return false;
    }
    q->from = FROM_HIT;
    return true;
}

static const struct step *serve_old(struct request *q)
{
    q->from = FROM_STALE;
    return q->deliver;
}

static const struct step *step_resolve(struct op *op)
{
    struct request *q = request_of(op);
    const struct cache_options *o = options_of(q);
    uint64_t patience = limits.first_byte;
    bool may_be_old;

    if (request_is_offline(q)) {
        return &REQUEST_STEP_ABSENT;
    }
    may_be_old = q->have_old && q->age < o->tag_stale_if_error_s;
    if (may_be_old && !q->expired && upstream_is_short(q->repo.upstream, loop_now(q->loop))) {
        count(upstream_spared);
        return serve_old(q);
    }
    q->ask =
        ask_join(q->registry->cache, q->loop, q->ask_kind, &q->repo, q->reference, &q->ask_joined);
    if (q->have_old && !q->expired && q->age < o->tag_ttl_s + o->tag_stale_while_s) {
        return serve_old(q); /* the question goes on behind it */
    }
    if (may_be_old && upstream_is_troubled(q->repo.upstream, loop_now(q->loop))) {
        return serve_old(q); /* likewise: whoever else waits for it would wait in vain */
    }
    if (may_be_old && o->tag_patience_ms < patience) {
        patience = o->tag_patience_ms;
    }
    request_wait(q, patience);
    return &S_asking;
}

static const struct step *take_answer(struct request *q, enum ask_state state)
{
    const struct ask_result *result = ask_result(q->ask);

    timer_clear(&q->timer);
    q->digest = result->digest;
    q->has_digest = true;
    q->size = result->size;
    q->kind = CHILD_MANIFEST;
    q->proved = true;
    q->age = 0;
    snprintf(q->media_type, sizeof(q->media_type), "%s", result->media_type);
    if (state == ASK_FETCHED) {
        document_unref(q->document);
        q->document = document_ref(result->document);
        snprintf(q->media_type, sizeof(q->media_type), "%s", result->document->media_type);
        q->size = result->document->len;
        q->from = q->ask_joined ? FROM_JOINED : FROM_MISS;
    } else {
        q->from = FROM_REVALIDATED;
    }
    return q->deliver;
}

/* Patience is over. Where upstream has said its part, and room or disk are what is waited for, that
 * says nothing of it. */
static const struct step *out_of_time(struct request *q, bool may_be_old)
{
    bool ours = ask_is_ours(q->ask);

    if (!ours) {
        count(upstream_late);
        upstream_was_late(q->repo.upstream, loop_now(q->loop));
    }
    if (may_be_old) {
        return serve_old(q);
    }
    return op_fail(&q->op, ERR_TIMEOUT,
                   ours ? "the answer of %s was not taken in time" : "%s does not answer in time",
                   q->repo.text);
}

static const struct step *step_asking(struct op *op)
{
    struct request *q = request_of(op);
    enum ask_state state = ask_poll(q->ask, q->loop, &q->waiter);
    bool may_be_old = q->have_old && q->age < options_of(q)->tag_stale_if_error_s;

    if (q->x->gone) {
        return op_fail(op, ERR_CLIENT_GONE, "the client is gone");
    }
    if (state == ASK_CONFIRMED || state == ASK_FETCHED) {
        return take_answer(q, state);
    }
    if (state == ASK_FAILED) {
        const struct err *err = &ask_result(q->ask)->err;
        bool stale =
            may_be_old && (cache_upstream_failed(err->code) || err->code == ERR_DIGEST_MISMATCH ||
                           err->code == ERR_MANIFEST_INVALID);

        return stale ? serve_old(q) : op_fail_with(op, err);
    }
    if (may_be_old && ask_troubled(q->ask)) {
        return serve_old(q); /* the next tries go on behind it */
    }
    return q->timed_out ? out_of_time(q, may_be_old) : STEP_WAIT;
}
