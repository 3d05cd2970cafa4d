/* cache/flight_commit.c - a verified file becomes a blob, by whichever process has the store. */
#include "cache/flight_steps.h"
#include "store/handover.h"

#include <errno.h>
#include <unistd.h>

/* The op waits meanwhile, so that its fields may be read here. */
static int commit_there(struct flight *f, const struct successor *to, struct err *err)
{
    const struct flight_source *s = f->source;
    struct handed_blob blob = {
        .file = f->ingest.name,
        .digest = f->digest,
        .size = f->received,
        .class = BLOB_LAYER,
        .repo = "",
    };

    if (s != NULL) {
        blob.class = (enum blob_class)flight_source_class(s);
        blob.repo = s->repo.text;
        blob.kind = s->kind;
        blob.credential = upstream_credential(s->repo.upstream, s->repo.name);
    }
    if (atomic_load(&f->ingest.spoilt)) { /* a sync over there would succeed without what is lost */
        return err_set(err, ERR_STORE, "ingest/%s: the disk lost bytes of it", f->ingest.name);
    }
    if (ftruncate(f->ingest.fd, (off_t)f->received) < 0) {
        return err_set(err, ERR_STORE, "ingest/%s: %s", f->ingest.name, strerror(errno));
    }
    return to->blob(to->context, &blob, err);
}

void flight_commit_run(struct job *job)
{
    struct flight *f = container_of(job, struct flight, job);
    const struct successor *to;

    do {
        f->job_err = (struct err){0};
        if (ingest_commit(&f->ingest, f->received, false, &f->job_err) == 0 ||
            store_successor(f->cache->store) == NULL) {
            return;
        }
        to = store_settled(f->cache->store);
    } while (to == NULL);
    f->job_err = (struct err){0};
    if (commit_there(f, to, &f->job_err) == 0) {
        ingest_moved(&f->ingest);
        f->elsewhere = true;
    }
}
