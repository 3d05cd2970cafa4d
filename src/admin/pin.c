/* admin/pin.c - images whose bytes never give way to others. */
#include "admin/closure.h"
#include "admin/repos.h"
#include "admin/settle.h"
#include "oci/reference.h"

/* One change. Owner: pin_all(). */
struct pinning {
    struct settle settle;
    const struct closure *closure;
    bool pin;
    uint64_t changed; /* of the change, which may run twice */
};

static void pin_one(struct pinning *p, struct index_txn *t, const struct digest *d)
{
    struct blob_record blob;

    if (index_txn_get_blob(t, d, &blob) == INDEX_FOUND && blob.pinned != p->pin &&
        (p->pin || !index_txn_needed_by_pinned(t, d))) {
        index_pin_blob(t, d, p->pin);
        p->changed++;
    }
}

/* Manifests first, parents before their children, so that of what is no longer pinned nothing
 * counts as needed, and what another pinned image shares stays. */
static void pin_apply(struct index_write *w, struct index_txn *t)
{
    struct pinning *p = container_of(w, struct pinning, settle.write);
    const struct closure *c = p->closure;

    p->changed = 0;
    for (size_t i = 0; i < c->n_manifests; i++) {
        pin_one(p, t, &c->manifests[i].digest);
    }
    for (size_t i = 0; i < c->n_blobs; i++) {
        if (c->blobs[i].kind != CHILD_MANIFEST) {
            pin_one(p, t, &c->blobs[i].digest);
        }
    }
}

/* Which manifest is meant, as it is here, and whether its repository is mirrored. */
static int find(const struct admin *a, const char *text, struct digest *ret, bool *ret_mirrored,
                struct err *err)
{
    struct reference reference;
    struct admin_repo repo = {0};
    struct tag_record tag;
    struct index_read *r;
    int result = 0;

    if (reference_parse(slice_str(text), &reference, err) < 0 ||
        admin_repo_find(a, slice_str(reference.name), &repo, err) < 0) {
        return -1;
    }
    *ret_mirrored = repo.kind == REPO_MIRRORED;
    if (reference.by_digest) {
        *ret = reference.digest;
        return 0;
    }
    if (admin_read_begin(a, &r, err) < 0) {
        return -1;
    }
    if (index_get_tag(r, repo.id, TAG_TAG, reference.tag, &tag) == INDEX_FOUND) {
        *ret = tag.digest;
    } else {
        result =
            err_set(err, ERR_MANIFEST_UNKNOWN, "%.150s:%s is not here", repo.name, reference.tag);
    }
    index_read_end(r);
    return result;
}

static bool is_absent(const struct err *err)
{
    return err->code == ERR_MANIFEST_UNKNOWN || err->code == ERR_BLOB_UNKNOWN;
}

static int pin_all(const struct admin *a, const struct closure *c, bool pin, struct buf *out,
                   struct err *err)
{
    struct pinning p = {.closure = c, .pin = pin};
    int result;

    settle_init(&p.settle, pin_apply);
    result = settle_run(&p.settle, a->store, err);
    settle_fini(&p.settle);
    buf_printf(out, "{\"blobs\":%zu,\"bytes\":%llu,\"changed\":%llu}\n", c->n_blobs,
               (unsigned long long)c->bytes, (unsigned long long)p.changed);
    return result;
}

static int pin_run(const struct admin *a, const struct admin_query *q, bool pin, struct buf *out,
                   struct err *err)
{
    struct closure c = {0};
    struct digest d;
    bool mirrored = false;
    int result = find(a, q->name, &d, &mirrored, err);

    if (result == 0) {
        result = closure_read(a->store, &d, &c, err);
    }
    if (result == 0 && pin && c.n_missing > 0) {
        result = err_set(err, ERR_BLOB_UNKNOWN, "%zu of the blobs of %.90s are not here",
                         c.n_missing, q->name);
    }
    if (result < 0 && pin && mirrored && is_absent(err)) {
        struct err said = *err;

        err_set(err, said.code, "%.130s; `larder warm %.90s` fetches what is missing", said.text,
                q->name);
    }
    if (result == 0) {
        result = pin_all(a, &c, pin, out, err);
    }
    closure_fini(&c);
    return result;
}

int admin_pin(const struct admin *a, const struct admin_query *q, struct buf *out, struct err *err)
{
    return pin_run(a, q, true, out, err);
}

int admin_unpin(const struct admin *a, const struct admin_query *q, struct buf *out,
                struct err *err)
{
    return pin_run(a, q, false, out, err);
}
