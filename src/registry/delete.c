/*
 * registry/delete.c - DELETE of tags, manifests and blobs of hosted repositories.
 *
 *   forget (one change of the index) -> forgetting -> 202, or 404 where there was none
 *
 * It is gone from the repository with the answer; the bytes go behind it, where nobody else holds
 * them. Distribution-spec "Content Management"; reference protocol.md 1.12.
 */
#include "registry/request.h"
#include "store/hosted.h"
#include "store/retain.h"

STEP(forget);
STEP(forgetting);

static struct store *store_of(const struct request *q)
{
    return q->registry->cache->store;
}

static bool del(struct request *q, struct index_txn *t)
{
    uint64_t repo;

    if (index_txn_get_repo(t, REPO_HOSTED, q->route.name, &repo) != INDEX_FOUND) {
        return false;
    }
    if (q->route.kind == ROUTE_BLOB) {
        return hosted_del_blob(t, repo, &q->route.digest);
    }
    return q->route.by_digest ? hosted_del_manifest(t, repo, &q->route.digest)
                              : hosted_del_tag(t, repo, q->route.reference);
}

static void forget_apply(struct index_write *w, struct index_txn *t)
{
    struct request *q = container_of(w, struct request, write);

    q->proved = del(q, t);
}

static void on_forgotten(struct index_write *w)
{
    struct request *q = container_of(w, struct request, write);

    q->written = true;
    op_wake(&q->op);
}

static const struct step *step_forget(struct op *op)
{
    struct request *q = request_of(op);

    q->write = (struct index_write){.apply = forget_apply, .done = on_forgotten};
    index_write_submit(store_of(q), q->loop, &q->write);
    return &S_forgetting;
}

static const struct step *step_forgetting(struct op *op)
{
    struct request *q = request_of(op);
    bool by_digest = q->route.kind == ROUTE_BLOB || q->route.by_digest;

    if (!q->written) {
        return STEP_WAIT;
    }
    if (q->write.failed) {
        return op_fail_with(op, &q->write.err);
    }
    if (!q->proved) {
        return op_fail(op, q->route.kind == ROUTE_BLOB ? ERR_BLOB_UNKNOWN : ERR_MANIFEST_UNKNOWN,
                       "%s%s%s is not here", q->route.name, by_digest ? "@" : ":",
                       q->route.reference);
    }
    if (by_digest) {
        retain_drop(store_of(q), &q->route.digest, 1);
    }
    if (q->x->gone) {
        return op_fail(op, ERR_CLIENT_GONE, "the client is gone");
    }
    reply_empty(q, 202);
    return STEP_END;
}

void delete_handle(struct request *q)
{
    request_start(q, &S_forget);
}
