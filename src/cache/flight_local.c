/*
 * cache/flight_local.c - a blob that is here but not trusted: written shortly before a crash. It is
 * served by a flight whose source is the local file, hashed as it goes.
 *
 *   local -> hashing (piece by piece) -> judged -> marking -> end
 *                                          '--not its digest--> quarantined -> failed, to be joined
 */
#include "base/counter.h"
#include "base/file.h"
#include "base/log.h"
#include "cache/flight_steps.h"

STEP(hashing);
STEP(judged);
STEP(marking);
STEP(quarantine);
STEP(quarantined);

static void hash_run(struct job *job)
{
    struct flow_buffer *b = container_of(job, struct flow_buffer, job);
    struct flight *f = b->user;
    uint64_t left = atomic_load(&f->size) - f->received;
    size_t want = left < FLOW_BUFFER ? (size_t)left : FLOW_BUFFER;
    ssize_t got = file_pread_all(f->fd, b->data, want, f->received);

    b->len = got < 0 ? 0 : (size_t)got;
    b->failed = got < 0 || b->len < want;
    sha_update(&f->sha, b->data, b->len);
}

static void on_hashed(struct job *job)
{
    struct flow_buffer *b = container_of(job, struct flow_buffer, job);
    struct flight *f = b->user;

    b->written = true;
    op_wake(&f->op);
}

static const struct step *step_local(struct op *op)
{
    struct flight *f = flight_of(op);

    f->announced = true;
    atomic_store(&f->local, true);
    flight_publish(f, FLIGHT_READY);
    return &S_hashing;
}

const struct step FLIGHT_STEP_LOCAL = {"local", step_local};

static const struct step *step_hashing(struct op *op)
{
    struct flight *f = flight_of(op);
    struct flow_buffer *b = f->filling;

    if (b != NULL && !b->written) {
        return STEP_WAIT;
    }
    if (b != NULL) {
        bool failed = b->failed;

        f->received += b->len;
        f->filling = NULL;
        flow_put(f->loop, b);
        if (failed) {
            return &S_quarantine;
        }
        atomic_store(&f->landed, f->received);
        bell_ring(&f->bell);
    }
    if (f->received == atomic_load(&f->size)) {
        return &S_judged;
    }
    f->filling = flow_take(f->loop, &f->flow_wait);
    if (f->filling != NULL) {
        f->filling->user = f;
        pool_submit(store_disk(f->cache->store), f->loop, &f->filling->job, hash_run, on_hashed);
    }
    return STEP_WAIT;
}

/* As if it had just been pulled: of this boot, and synced behind. */
static void verified_apply(struct index_write *w, struct index_txn *t)
{
    struct flight *f = container_of(w, struct flight, write);
    struct blob_record blob;

    if (index_txn_get_blob(t, &f->digest, &blob) == INDEX_FOUND && !blob.synced) {
        index_put_blob(t, &f->digest, &blob);
    }
}

static void on_marked(struct index_write *w)
{
    struct flight *f = container_of(w, struct flight, write);

    f->recorded = true;
    op_wake(&f->op);
}

static const struct step *step_judged(struct op *op)
{
    struct flight *f = flight_of(op);
    struct digest found = {.alg = f->digest.alg};
    struct sha sha = f->sha;

    count(verified_again);
    sha_final(&sha, found.bytes);
    if (!digest_equal(&found, &f->digest)) {
        return &S_quarantine;
    }
    flight_publish(f, FLIGHT_LANDED);
    f->recorded = false;
    f->write = (struct index_write){.apply = verified_apply, .done = on_marked};
    index_write_submit(f->cache->store, f->loop, &f->write);
    return &S_marking;
}

/* It stays in the table until the index believes the blob: whoever came before that would have it
 * hashed once more. */
static const struct step *step_marking(struct op *op)
{
    struct flight *f = flight_of(op);

    if (!f->recorded) {
        return STEP_WAIT;
    }
    flight_unlist(f);
    return &FLIGHT_STEP_END;
}

static void quarantine_run(struct job *job)
{
    struct flight *f = container_of(job, struct flight, job);

    store_quarantine(f->cache->store, &f->digest, f->fd);
}

static void on_quarantined(struct job *job)
{
    struct flight *f = container_of(job, struct flight, job);

    f->job_done = true;
    op_wake(&f->op);
}

static const struct step *step_quarantine(struct op *op)
{
    struct flight *f = flight_of(op);
    char text[DIGEST_TEXT_MAX];

    log_event(LOG_ERROR, "store.bad", "%s: the file is not its digest; moved to quarantine",
              digest_text(&f->digest, text));
    f->job_done = false;
    pool_submit(store_disk(f->cache->store), f->loop, &f->job, quarantine_run, on_quarantined);
    return &S_quarantined;
}

static const struct step *step_quarantined(struct op *op)
{
    struct flight *f = flight_of(op);

    if (!f->job_done) {
        return STEP_WAIT;
    }
    atomic_store(&f->rejoin, true);
    return op_fail(op, ERR_DIGEST_MISMATCH, "the file in the store was damaged");
}
