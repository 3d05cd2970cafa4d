/*
 * registry/hosted_get.c - GET and HEAD of manifests and blobs of hosted repositories.
 *
 *   look --here and a member-----------------------------> (manifest_get.c, blob_get.c: serve)
 *     '--HEAD of a blob that retention may be after--> renew --still a member--> serve
 *     '--HEAD of a blob that the pusher may read in a mirrored repository--> 200, leased
 *     '--else--> 404
 *
 * Under ROUTE_OWN, for commands, every blob that is here and believed is served.
 */
#include "base/clock.h"
#include "base/counter.h"
#include "base/limits.h"
#include "oci/manifest.h"
#include "registry/access.h"
#include "registry/reach.h"
#include "store/hosted.h"

#include <stdio.h>

static struct store *store_of(const struct request *q)
{
    return q->registry->cache->store;
}

/* A manifest is served as a blob only where it was pushed as one: the type would be another. */
static bool is_door(const struct request *q, const struct member_record *m)
{
    return (m->kind == CHILD_MANIFEST) == (q->route.kind == ROUTE_MANIFEST) ||
           m->proof == PROOF_PUSHED_BOTH;
}

/* Fills what is served from the member and the blob; false: one of them is not here. */
static bool look(struct request *q, struct index_read *r, uint64_t repo, const struct digest *d)
{
    struct member_record member;
    struct blob_record blob;

    if (index_get_member(r, repo, d, &member) != INDEX_FOUND || !is_door(q, &member) ||
        index_get_blob(r, d, &blob) != INDEX_FOUND || !store_blob_trusted(store_of(q), &blob)) {
        return false;
    }
    q->digest = *d;
    q->has_digest = true;
    q->size = blob.size;
    q->kind = member.kind;
    q->proved = true;
    q->age = clock_wall_s() - member.proved; /* since anyone asked */
    q->from = FROM_HIT;
    snprintf(q->media_type, sizeof(q->media_type), "%s",
             q->route.kind == ROUTE_MANIFEST ? member.media_type : "application/octet-stream");
    return true;
}

static void refuse(struct request *q, enum err_code code, const char *what)
{
    struct err err;

    err_set(&err, code, "%s%s%s is not here", q->route.name, what, q->route.reference);
    reply_error(q, &err);
}

/* --- manifests ----------------------------------------------------------------------------- */

static bool find_manifest(struct request *q)
{
    struct index_read *r = index_read_begin(store_of(q));
    struct tag_record tag;
    uint64_t repo;
    bool found;

    if (r == NULL) {
        return false;
    }
    found = index_get_repo(r, REPO_HOSTED, q->route.name, &repo) == INDEX_FOUND;
    if (found && q->route.by_digest) {
        found = look(q, r, repo, &q->route.digest);
    } else if (found) {
        found = index_get_tag(r, repo, TAG_TAG, q->route.reference, &tag) == INDEX_FOUND &&
                look(q, r, repo, &tag.digest);
    }
    index_read_end(r);
    q->age = 0;
    return found;
}

void hosted_manifest_get(struct request *q)
{
    if (!find_manifest(q)) {
        refuse(q, ERR_MANIFEST_UNKNOWN, q->route.by_digest ? "@" : ":");
        return;
    }
    if (q->route.by_digest) {
        hosted_touch_blob(store_of(q), q->route.name, &q->digest);
    } else {
        hosted_touch_tag(store_of(q), q->route.name, q->route.reference);
    }
    if (!manifest_deliver_now(q)) {
        request_start(q, &REQUEST_STEP_MANIFEST);
    }
}

/* --- blobs --------------------------------------------------------------------------------- */

STEP(renew);
STEP(renewing);

/* Whoever has it as a member, if anyone. */
static bool look_own(struct request *q, struct index_read *r, const struct digest *d)
{
    struct blob_record blob;

    if (index_get_blob(r, d, &blob) != INDEX_FOUND || !store_blob_trusted(store_of(q), &blob)) {
        return false;
    }
    q->digest = *d;
    q->has_digest = true;
    q->size = blob.size;
    q->proved = true;
    q->from = FROM_HIT;
    snprintf(q->media_type, sizeof(q->media_type), "application/octet-stream");
    return true;
}

static bool find_blob(struct request *q)
{
    struct index_read *r = index_read_begin(store_of(q));
    uint64_t repo;
    bool found;

    if (r == NULL) {
        return false;
    }
    if (q->route.own) {
        found = look_own(q, r, &q->route.digest);
    } else {
        found = index_get_repo(r, REPO_HOSTED, q->route.name, &repo) == INDEX_FOUND &&
                look(q, r, repo, &q->route.digest);
    }
    index_read_end(r);
    return found;
}

/* A pusher need not upload what it may read in a mirrored repository: the manifest that names it
 * will take it from there (design section 6). Not manifests: they are asked for by another path,
 * and who fetches one would be led astray by a HEAD that GET belies. */
static bool lease(struct request *q)
{
    struct blob_record blob;
    struct index_read *r;
    bool found;

    if (q->x->head.method != HTTP_HEAD || !access_may_push(q) ||
        (r = index_read_begin(store_of(q))) == NULL) {
        return false;
    }
    found = index_get_blob(r, &q->route.digest, &blob) == INDEX_FOUND &&
            blob.class != BLOB_MANIFEST &&
            reach_blob(q, r, &q->route.digest, REACH_MIRRORED, &q->size);
    index_read_end(r);
    if (!found || !store_lease(store_of(q), &q->route.digest)) {
        return false;
    }
    count(head_leases);
    q->digest = q->route.digest;
    q->has_digest = true;
    q->from = FROM_HIT;
    snprintf(q->media_type, sizeof(q->media_type), "application/octet-stream");
    return true;
}

/* Whoever asks by HEAD means to name it, so it stays from now on. One that nobody asked for in a
 * long time may be going at this very moment: that is settled before the answer. */
static void renew_apply(struct index_write *w, struct index_txn *t)
{
    struct request *q = container_of(w, struct request, write);

    q->proved = hosted_renew_blob(t, q->route.name, &q->digest);
}

static void on_renewed(struct index_write *w)
{
    struct request *q = container_of(w, struct request, write);

    q->written = true;
    op_wake(&q->op);
}

static const struct step *step_renew(struct op *op)
{
    struct request *q = request_of(op);

    q->write = (struct index_write){.apply = renew_apply, .done = on_renewed};
    index_write_submit(store_of(q), q->loop, &q->write);
    return &S_renewing;
}

static const struct step *step_renewing(struct op *op)
{
    struct request *q = request_of(op);

    if (!q->written) {
        return STEP_WAIT;
    }
    if (q->write.failed) {
        return op_fail_with(op, &q->write.err);
    }
    return q->proved ? &REQUEST_STEP_SERVE
                     : op_fail(op, ERR_BLOB_UNKNOWN, "%s@%s is not here", q->route.name,
                               q->route.reference);
}

static bool may_be_going(const struct request *q)
{
    return q->x->head.method == HTTP_HEAD && !q->route.own &&
           q->age >= (int64_t)(limits.retain_grace / 2000);
}

void hosted_blob_get(struct request *q)
{
    if (find_blob(q)) {
        const struct step *first = may_be_going(q) ? &S_renew : &REQUEST_STEP_SERVE;

        q->age = 0;
        request_start(q, first);
    } else if (!q->route.own && lease(q)) {
        reply_size(q);
    } else {
        refuse(q, ERR_BLOB_UNKNOWN, "@");
    }
}
