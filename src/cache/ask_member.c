/*
 * cache/ask_member.c - may this repository serve this blob? Upstream is asked by HEAD.
 *
 *   head -> heading -> record -> recorded -> publish
 *     ^--pause--'  '--HEAD refused: the same by GET of one byte
 */
#include "cache/ask_steps.h"

#include "cache/member.h"
#include "oci/manifest.h"

STEP(head);
STEP(heading);
STEP(pause);
STEP(record);
STEP(refused);

const struct step ASK_STEP_MEMBER = {"head", step_head};

static const struct step *step_head(struct op *op)
{
    struct ask *a = ask_of(op);

    a->by_byte = false;
    ask_fetch(a, FETCH_BLOB, true, a->reference);
    return &S_heading;
}

static const struct step *step_heading(struct op *op)
{
    struct ask *a = ask_of(op);

    switch (ask_fetch_poll(a)) {
    case FETCH_NOT_YET:
        return STEP_WAIT;
    case FETCH_READY:
        a->result.size = fetch_answer(a->fetch)->total;
        ask_fetch_end(a);
        return &S_record;
    case FETCH_FAILED:
        break;
    }
    if (a->by_byte && op->err.code == ERR_RANGE) {
        op->err = (struct err){0};
        a->result.size = 0; /* the first byte of nothing */
        return &S_record;
    }
    if (!a->by_byte && (op->err.code == ERR_UNSUPPORTED || op->err.code == ERR_UPSTREAM_REFUSED)) {
        a->by_byte = true;
        op->err = (struct err){0};
        ask_fetch_byte(a, FETCH_BLOB, a->reference);
        return &S_heading;
    }
    if (ask_may_retry(a)) {
        return &S_pause;
    }
    return cache_upstream_failed(op->err.code) ? &ASK_STEP_FAILED : &S_refused;
}

static const struct step *step_pause(struct op *op)
{
    return ask_pause_over(ask_of(op)) ? &S_head : STEP_WAIT;
}

static void apply_member(struct index_write *w, struct index_txn *t)
{
    struct ask *a = container_of(w, struct ask, write);

    member_put_answered(t, &a->repo, &a->want, a->result.size, "", CHILD_BLOB);
}

static const struct step *step_record(struct op *op)
{
    struct ask *a = ask_of(op);

    a->result.digest = a->want;
    a->outcome = ASK_CONFIRMED;
    ask_record(a, apply_member);
    return &ASK_STEP_RECORDED;
}

static void apply_refused(struct index_write *w, struct index_txn *t)
{
    struct ask *a = container_of(w, struct ask, write);

    index_del_member(t, index_put_repo(t, REPO_MIRRORED, a->repo.text), &a->want);
}

/* 401, 403 and 404 end a proof; a repository that has none needs no change. */
static const struct step *step_refused(struct op *op)
{
    struct ask *a = ask_of(op);
    struct index_read *r = index_read_begin(a->cache->store);
    struct member_record m;
    enum member_verdict verdict = MEMBER_UNKNOWN;

    if (r != NULL) {
        verdict = member_judge(a->cache, r, &a->repo, &a->want, &m);
        index_read_end(r);
    }
    if (verdict == MEMBER_UNKNOWN) {
        return &ASK_STEP_FAILED;
    }
    ask_record(a, apply_refused);
    return &ASK_STEP_REFUSED;
}
