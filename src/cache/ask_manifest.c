/*
 * cache/ask_manifest.c - what a tag is now, or a manifest by digest.
 *
 *   head -> heading --here already--> confirm -> recorded -> publish
 *     |        '--not here--> get -> getting -> body -> check -> keep -> recorded -> publish
 *     '--no HEAD wanted-------^  ^---------pause--------'
 *
 * By tag: a HEAD first (it costs nothing at Docker Hub), then a GET of the digest that it told, so
 * that a tag which moves in between cannot mix two manifests. Where HEAD is refused or tells no
 * digest, a GET of the tag, whose bytes then say what the digest is.
 */
#include "cache/ask_steps.h"

#include "base/clock.h"
#include "base/log.h"
#include "cache/member.h"
#include "oci/manifest.h"

#include <stdio.h>

STEP(head);
STEP(heading);
STEP(pause);
STEP(confirm);
STEP(get);
STEP(getting);
STEP(body);
STEP(check);
STEP(keep);
STEP(gone);

const struct step ASK_STEP_MANIFEST = {"head", step_head};

static bool is_here(struct ask *a, const struct digest *d, uint64_t *ret_size)
{
    struct index_read *r = index_read_begin(a->cache->store);
    struct blob_record blob;
    bool here;

    if (r == NULL) {
        return false;
    }
    here = index_get_blob(r, d, &blob) == INDEX_FOUND;
    index_read_end(r);
    if (here) {
        *ret_size = blob.size;
    }
    return here;
}

static const struct step *step_head(struct op *op)
{
    struct ask *a = ask_of(op);
    uint64_t size;

    a->by_tag = a->kind == ASK_TAG;
    if (a->by_tag) {
        a->has_want = false;
        a->want = (struct digest){0};
    }
    /* By digest a HEAD is only worth it where the bytes are here and only the proof is missing. */
    if (a->kind == ASK_DIGEST && !is_here(a, &a->want, &size)) {
        return &S_get;
    }
    ask_fetch(a, FETCH_MANIFEST, true, a->reference);
    return &S_heading;
}

static void take_head(struct ask *a)
{
    const struct fetch_answer *answer = fetch_answer(a->fetch);

    snprintf(a->result.media_type, sizeof(a->result.media_type), "%s", answer->media_type);
    if (a->kind == ASK_TAG && answer->has_digest) {
        a->want = answer->digest;
        a->has_want = true;
        a->by_tag = false;
    }
    ask_fetch_end(a);
}

static const struct step *step_heading(struct op *op)
{
    struct ask *a = ask_of(op);

    switch (ask_fetch_poll(a)) {
    case FETCH_NOT_YET:
        return STEP_WAIT;
    case FETCH_READY:
        take_head(a);
        return a->has_want && is_here(a, &a->want, &a->result.size) ? &S_confirm : &S_get;
    case FETCH_FAILED:
        break;
    }
    if (op->err.code == ERR_UNSUPPORTED || op->err.code == ERR_UPSTREAM_REFUSED) {
        op->err = (struct err){0};
        return &S_get;
    }
    if (ask_may_retry(a)) {
        return &S_pause;
    }
    return err_status(op->err.code) == 404 ? &S_gone : &ASK_STEP_FAILED;
}

/* After the pause all begins again: what HEAD told may be old by now. */
static const struct step *step_pause(struct op *op)
{
    struct ask *a = ask_of(op);

    if (!ask_pause_over(a)) {
        return STEP_WAIT;
    }
    return &S_head;
}

/* --- upstream vouches for bytes that are here ---------------------------------------------- */

static void apply_confirmed(struct index_write *w, struct index_txn *t)
{
    struct ask *a = container_of(w, struct ask, write);
    struct tag_record tag = {.digest = a->want};

    member_put_answered(t, &a->repo, &a->want, a->result.size, a->result.media_type,
                        CHILD_MANIFEST);
    document_put_children(t, &a->repo, &a->want, a->confirmed);
    if (a->kind == ASK_TAG) {
        tag.fetched = tag.checked = clock_wall_s();
        index_put_tag(t, index_put_repo(t, REPO_MIRRORED, a->repo.text), TAG_TAG, a->reference,
                      &tag);
    }
}

/* The manifest as it is here. One that is too large for the index is not read: its children are
 * asked for one by one then. */
static struct manifest *confirmed_manifest(struct ask *a)
{
    struct index_read *r = index_read_begin(a->cache->store);
    unsigned char body[BODY_MAX];
    struct manifest *m = NULL;
    struct err err;
    size_t len;
    bool found;

    if (r == NULL) {
        return NULL;
    }
    found = index_get_body(r, &a->want, body, &len) == INDEX_FOUND;
    index_read_end(r);
    if (!found || manifest_parse(slice_of((const char *)body, len), slice_str(a->result.media_type),
                                 &m, &err) < 0) {
        return NULL;
    }
    return m;
}

/* The type to serve it as, where HEAD told none that is a manifest's: what the bytes say, or what
 * it was served as before. False: nothing is known of it. */
static bool settle_confirmed_type(struct ask *a)
{
    struct index_read *r;
    struct member_record m;
    uint64_t repo;
    bool known;

    if (media_type_is_manifest(slice_str(a->result.media_type))) {
        return true;
    }
    if (a->confirmed != NULL) {
        snprintf(a->result.media_type, sizeof(a->result.media_type), "%s",
                 a->confirmed->media_type);
        return true;
    }
    r = index_read_begin(a->cache->store);
    if (r == NULL) {
        return false;
    }
    known = index_get_repo(r, REPO_MIRRORED, a->repo.text, &repo) == INDEX_FOUND &&
            index_get_member(r, repo, &a->want, &m) == INDEX_FOUND &&
            media_type_is_manifest(slice_str(m.media_type));
    index_read_end(r);
    if (known) {
        snprintf(a->result.media_type, sizeof(a->result.media_type), "%s", m.media_type);
    }
    return known;
}

static const struct step *step_confirm(struct op *op)
{
    struct ask *a = ask_of(op);

    a->confirmed = confirmed_manifest(a);
    if (!settle_confirmed_type(a)) {
        return &S_get;
    }
    a->result.digest = a->want;
    a->outcome = ASK_CONFIRMED;
    ask_record(a, apply_confirmed);
    return &ASK_STEP_RECORDED;
}

/* --- the bytes are fetched ----------------------------------------------------------------- */

static const struct step *step_get(struct op *op)
{
    struct ask *a = ask_of(op);
    char text[DIGEST_TEXT_MAX];

    ask_fetch(a, FETCH_MANIFEST, false, a->by_tag ? a->reference : digest_text(&a->want, text));
    return &S_getting;
}

static const struct step *step_getting(struct op *op)
{
    struct ask *a = ask_of(op);
    const struct fetch_answer *answer;

    switch (ask_fetch_poll(a)) {
    case FETCH_NOT_YET:
        return STEP_WAIT;
    case FETCH_READY:
        break;
    case FETCH_FAILED:
        /* The digest that HEAD told is gone: the tag has moved meanwhile. */
        if (a->kind == ASK_TAG && !a->by_tag && op->err.code == ERR_MANIFEST_UNKNOWN) {
            op->err = (struct err){0};
            a->by_tag = true;
            a->has_want = false;
            a->want = (struct digest){0};
            return &S_get;
        }
        if (ask_may_retry(a)) {
            return &S_pause;
        }
        return err_status(op->err.code) == 404 ? &S_gone : &ASK_STEP_FAILED;
    }
    answer = fetch_answer(a->fetch);
    if (answer->length != UINT64_MAX && answer->length > MANIFEST_LIMIT) {
        return op_fail(op, ERR_UPSTREAM_PROTOCOL,
                       "manifest of %llu bytes; more than %u are not taken",
                       (unsigned long long)answer->length, MANIFEST_LIMIT);
    }
    snprintf(a->result.media_type, sizeof(a->result.media_type), "%s", answer->media_type);
    if (a->by_tag && answer->has_digest) {
        a->want = answer->digest; /* compared, not believed */
    }
    return &S_body;
}

static const struct step *step_body(struct op *op)
{
    struct ask *a = ask_of(op);
    int done = ask_read_body(a, MANIFEST_LIMIT);

    if (done == 0) {
        return STEP_WAIT;
    }
    if (done < 0) {
        return ask_may_retry(a) ? &S_pause : &ASK_STEP_FAILED;
    }
    return &S_check;
}

/* The type to serve it as: some registries' storage answers with none or a general one. */
static void settle_media_type(struct ask *a)
{
    struct manifest *m = NULL;
    struct err err;

    if (media_type_is_manifest(slice_str(a->result.media_type)) || a->body.len > BODY_MAX) {
        return;
    }
    if (manifest_parse(buf_view(&a->body), slice_str(a->result.media_type), &m, &err) == 0) {
        snprintf(a->result.media_type, sizeof(a->result.media_type), "%s", m->media_type);
        manifest_free(m);
    }
}

static const struct step *step_check(struct op *op)
{
    struct ask *a = ask_of(op);
    enum sha_alg alg = a->want.alg == DIGEST_SHA512 ? SHA_512 : SHA_256;
    char text[DIGEST_TEXT_MAX];
    struct document *d;

    settle_media_type(a);
    d = document_new(a->body.p, a->body.len, alg, a->result.media_type);
    buf_free(&a->body);
    a->result.document = d;
    a->result.digest = d->digest;
    a->result.size = d->len;
    if (digest_equal(&d->digest, &a->want)) {
        return &S_keep;
    }
    if (a->by_tag) {
        if (a->want.alg != 0) {
            log_event(LOG_WARN, "upstream.digest", "%s:%s: Docker-Content-Digest is not the bytes'",
                      a->repo.text, a->reference);
        }
        return &S_keep;
    }
    return op_fail(op, ERR_DIGEST_MISMATCH, "manifest is not %s: its bytes are another's",
                   digest_text(&a->want, text));
}

static const struct step *step_keep(struct op *op)
{
    struct ask *a = ask_of(op);

    a->outcome = ASK_FETCHED;
    ask_keep(a, TAG_TAG, a->kind == ASK_TAG ? a->reference : "", true);
    return &ASK_STEP_RECORDED;
}

/* --- upstream says no ---------------------------------------------------------------------- */

static void apply_gone(struct index_write *w, struct index_txn *t)
{
    struct ask *a = container_of(w, struct ask, write);
    uint64_t repo = index_put_repo(t, REPO_MIRRORED, a->repo.text);

    if (a->kind == ASK_TAG) {
        index_del_tag(t, repo, TAG_TAG, a->reference);
    } else {
        index_del_member(t, repo, &a->want);
    }
}

/* Only what was known can be forgotten: names that somebody made up are not to fill the index. */
static bool repo_is_known(struct ask *a)
{
    struct index_read *r = index_read_begin(a->cache->store);
    uint64_t id;
    bool known;

    if (r == NULL) {
        return false;
    }
    known = index_get_repo(r, REPO_MIRRORED, a->repo.text, &id) == INDEX_FOUND;
    index_read_end(r);
    return known;
}

static const struct step *step_gone(struct op *op)
{
    struct ask *a = ask_of(op);

    if (!repo_is_known(a)) {
        return &ASK_STEP_FAILED;
    }
    ask_record(a, apply_gone);
    return &ASK_STEP_REFUSED;
}
