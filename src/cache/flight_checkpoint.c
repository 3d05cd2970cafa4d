/*
 * cache/flight_checkpoint.c - notes now and then how far a download is, so that it goes on there
 * after a crash: bytes synced first, then length and hash state in the index.
 */
#include "cache/flight_steps.h"

#include "base/clock.h"

#include <unistd.h>

#define CHECKPOINT_BYTES (32u * 1024 * 1024)
#define CHECKPOINT_MS 1000
#define CHECKPOINT_LEAST (256u * 1024)

void flight_checkpoint_arm(struct flight *f)
{
    struct flight_checkpoint *c = &f->checkpoint;
    uint64_t now = loop_now(f->loop);
    uint64_t fresh = f->received - c->last_at;

    if (c->last_ms == 0) {
        c->last_ms = f->started_ms;
    }
    if (c->armed || c->busy || !f->stored || flight_in_window(f) || fresh < CHECKPOINT_LEAST ||
        (fresh < CHECKPOINT_BYTES && now - c->last_ms < CHECKPOINT_MS)) {
        return;
    }
    c->armed = true;
    c->partial = (struct partial_record){
        .size = atomic_load(&f->size),
        .stored = f->received,
        .touched = clock_wall_s(),
    };
    c->partial.state_len = sha_save(&f->sha, c->partial.state);
}

static void checkpoint_end(struct flight *f)
{
    f->checkpoint.busy = false;
    op_wake(&f->op);
    flight_unref(f);
}

static void checkpoint_apply(struct index_write *w, struct index_txn *t)
{
    struct flight *f = container_of(w, struct flight, checkpoint.write);

    index_put_partial(t, &f->digest, &f->checkpoint.partial);
}

static void checkpoint_recorded(struct index_write *w)
{
    struct flight *f = container_of(w, struct flight, checkpoint.write);

    f->noted = true;
    checkpoint_end(f);
}

static void checkpoint_run(struct job *job)
{
    struct flight *f = container_of(job, struct flight, checkpoint.job);

    if (ingest_sync(&f->ingest) < 0) {
        f->checkpoint.partial.stored = 0;
    }
}

static void checkpoint_synced(struct job *job)
{
    struct flight *f = container_of(job, struct flight, checkpoint.job);

    if (f->checkpoint.partial.stored == 0) {
        checkpoint_end(f); /* the write or commit after it will tell; nothing is noted */
        return;
    }
    f->checkpoint.write =
        (struct index_write){.apply = checkpoint_apply, .done = checkpoint_recorded};
    index_write_submit(f->cache->store, f->loop, &f->checkpoint.write);
}

void flight_checkpoint_start(struct flight *f)
{
    struct flight_checkpoint *c = &f->checkpoint;

    if (!c->armed || atomic_load(&f->landed) < c->partial.stored) {
        return;
    }
    c->armed = false;
    if (flight_in_window(f)) {
        return;
    }
    c->busy = true;
    c->last_at = c->partial.stored;
    c->last_ms = loop_now(f->loop);
    flight_ref(f);
    pool_submit(store_disk(f->cache->store), f->loop, &c->job, checkpoint_run, checkpoint_synced);
}

/* What was received and hashed is not in the file where a write of it failed. */
void flight_keep_run(struct job *job)
{
    struct flight *f = container_of(job, struct flight, job);
    struct partial_record *p = &f->checkpoint.partial;
    bool keep = f->op.err.code != ERR_NONE && f->op.err.code != ERR_DIGEST_MISMATCH &&
                f->received > 0 && !flight_in_window(f) && f->sha.hashed == f->received &&
                f->write_err.code == ERR_NONE && atomic_load(&f->landed) == f->received;

    *p = (struct partial_record){.size = atomic_load(&f->size), .stored = f->received};
    p->state_len = sha_save(&f->sha, p->state);
    if (!keep || ingest_keep(&f->ingest, p, &f->job_err) < 0) {
        p->stored = 0;
        ingest_drop(&f->ingest);
    }
}
