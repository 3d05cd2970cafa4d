/*
 * registry/absent.c - a tag that is not here, where nobody may be asked for it: what is here.
 *
 * Pool thread: a repository may have many tags.
 */
#include "oci/near.h"
#include "registry/request.h"

/* Records that are looked at, of tags and of members; what lies behind is not told. */
#define LOOK_MAX 20000

STEP(looked);

static const struct step *step_absent(struct op *op);
const struct step REQUEST_STEP_ABSENT = {"absent", step_absent};

struct look {
    const struct request *q;
    struct index_read *read;
    uint64_t repo;
    struct near near;
    unsigned seen;
    bool any;
};

static bool is_here(const struct look *l, const struct digest *d)
{
    struct blob_record blob;

    return index_get_blob(l->read, d, &blob) == INDEX_FOUND;
}

static bool add_tag(void *arg, const char *tag, const struct tag_record *record)
{
    struct look *l = arg;
    struct member_record member;

    if (is_here(l, &record->digest) &&
        request_judge(l->q, l->read, &record->digest, &member) != MEMBER_UNKNOWN) {
        near_add(&l->near, tag);
    }
    return ++l->seen < LOOK_MAX;
}

static bool find_any(void *arg, const struct digest *d, const struct member_record *m)
{
    struct look *l = arg;

    (void)m;
    l->any = is_here(l, d);
    return !l->any && ++l->seen < LOOK_MAX;
}

static void look(struct look *l)
{
    if (index_get_repo(l->read, REPO_MIRRORED, l->q->repo.text, &l->repo) != INDEX_FOUND) {
        return;
    }
    index_each_tag(l->read, l->repo, TAG_TAG, "", add_tag, l);
    l->seen = 0;
    if (l->near.n == 0) {
        index_each_member(l->read, l->repo, find_any, l);
    }
}

/* What an error's text has room for comes first. */
static void describe(const struct look *l, struct err *err)
{
    const struct request *q = l->q;
    const char *why = request_offline_why(q);
    char names[sizeof(err->text)];
    size_t used;

    if (l->near.n == 0) {
        err_set(err, ERR_MANIFEST_UNKNOWN,
                l->any ? "%.100s:%.60s is not here, no other tag of it is, and %s"
                       : "%.100s:%.60s is not here, nothing of that repository is, and %s",
                q->repo.text, q->reference, why);
        return;
    }
    err_set(err, ERR_MANIFEST_UNKNOWN,
            "%.60s:%.40s is not here, and %s; tags that are here: ", q->repo.text, q->reference,
            why);
    used = strlen(err->text);
    near_write(&l->near, names, sizeof(err->text) - used);
    err_set(err, ERR_MANIFEST_UNKNOWN, "%.60s:%.40s is not here, and %s; tags that are here: %s",
            q->repo.text, q->reference, why, names);
}

static void look_run(struct job *job)
{
    struct request *q = container_of(job, struct request, reader.job);
    struct look l = {.q = q, .read = index_read_begin(q->registry->cache->store)};

    if (l.read == NULL) {
        err_set(&q->reader.err, ERR_STORE, "the index cannot be read");
        return;
    }
    near_init(&l.near, q->reference);
    look(&l);
    index_read_end(l.read);
    describe(&l, &q->reader.err);
}

static void on_looked(struct job *job)
{
    struct request *q = container_of(job, struct request, reader.job);

    q->reader.reading = false;
    op_wake(&q->op);
    request_unref(q);
}

static const struct step *step_absent(struct op *op)
{
    struct request *q = request_of(op);

    q->reader.reading = true;
    request_ref(q);
    pool_submit(store_disk(q->registry->cache->store), q->loop, &q->reader.job, look_run,
                on_looked);
    return &S_looked;
}

static const struct step *step_looked(struct op *op)
{
    struct request *q = request_of(op);

    return q->reader.reading ? STEP_WAIT : op_fail_with(op, &q->reader.err);
}
