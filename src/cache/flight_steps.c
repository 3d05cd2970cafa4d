/*
 * cache/flight_steps.c - the download, from the first look to the record in the index.
 *
 *   begin -> open -> opening -> fetch -> head -> body -> settle -> verdict -> commit -> committing
 *     |                          ^  '--pause--'  |                    |         -> recording -> end
 *     |                          '----broken-----'                    '-> mismatch --.
 *     '--the bytes are here but not trusted--> (flight_local.c)                      |
 *                     any failure, or nobody wants it ------> failed -> keeping -> give up -> end
 *
 * A 404, 401, 403 or 429 ends one source, not the flight. What may pass (no answer, 5xx, a broken
 * body) is tried again after a pause, from where the bytes stop.
 */
#include "cache/flight_steps.h"

#include "base/clock.h"
#include "base/counter.h"
#include "base/log.h"
#include "cache/member.h"
#include "oci/manifest.h"

#include <fcntl.h>
#include <unistd.h>

#define TRIES_UNSEEN 4 /* of one source, while no response has begun */

STEP(open);
STEP(opening);
STEP(fetch);
STEP(head);
STEP(pause);
STEP(body);
STEP(broken);
STEP(forget);
STEP(forgetting);
STEP(settle);
STEP(verdict);
STEP(mismatch);
STEP(commit);
STEP(committing);
STEP(recording);
STEP(keeping);
STEP(keep_recording);
STEP(give_up);

static const struct step *step_begin(struct op *op);
static const struct step *step_failed(struct op *op);
static const struct step *step_end(struct op *op);
const struct step FLIGHT_STEP_BEGIN = {"begin", step_begin};
const struct step FLIGHT_STEP_FAILED = {"failed", step_failed};
const struct step FLIGHT_STEP_END = {"end", step_end};

/* --- opening ------------------------------------------------------------------------------- */

enum found { FOUND_NOT, FOUND_HERE, FOUND_UNTRUSTED };

/* Whoever inserted this flight may have looked before another one recorded its blob. */
static enum found look_again(struct flight *f)
{
    struct index_read *r = index_read_begin(f->cache->store);
    struct blob_record blob;
    struct err err;
    bool found;

    if (r == NULL) {
        return FOUND_NOT;
    }
    found = index_get_blob(r, &f->digest, &blob) == INDEX_FOUND;
    index_read_end(r);
    if (!found) {
        return FOUND_NOT;
    }
    f->fd = store_open_blob(f->cache->store, &f->digest, blob.size, &err);
    if (f->fd < 0) {
        return FOUND_NOT;
    }
    atomic_store(&f->size, blob.size);
    return store_blob_trusted(f->cache->store, &blob) ? FOUND_HERE : FOUND_UNTRUSTED;
}

static bool first_source_proved(struct flight *f)
{
    bool proved;

    pthread_mutex_lock(&f->lock);
    proved = container_of(f->sources.next, struct flight_source, node)->proved;
    pthread_mutex_unlock(&f->lock);
    return proved;
}

/* The source to ask next; those whose bytes were wrong a moment ago are passed over for good. */
static struct flight_source *good_source(struct flight *f)
{
    struct flight_source *s;
    char text[DIGEST_TEXT_MAX];
    struct err err;

    while ((s = flight_source_next(f)) != NULL &&
           flight_bad_get(f->table, s->repo.upstream, &f->digest, loop_now(f->loop))) {
        err_set(&err, ERR_DIGEST_MISMATCH, "%s sent wrong bytes for %s a moment ago", s->repo.text,
                digest_text(&f->digest, text));
        flight_source_end(f, s, &err);
    }
    return s;
}

static const struct step *op_fail_sources(struct flight *f)
{
    struct err err;

    flight_sources_error(f, &err);
    return op_fail_with(&f->op, &err);
}

static const struct step *step_begin(struct op *op)
{
    struct flight *f = flight_of(op);
    enum found found;
    struct err err;

    if (f->apart) {
        return flight_window_open(f, &err) < 0 ? op_fail_with(op, &err) : &S_fetch;
    }
    found = look_again(f);
    if (found == FOUND_NOT && f->cache->offline) {
        return op_fail(op, ERR_BLOB_UNKNOWN, "the blob is not here, and this cache is offline");
    }
    if (found == FOUND_NOT) {
        /* What cannot be asked of anybody needs no file. */
        return good_source(f) == NULL ? op_fail_sources(f) : &S_open;
    }
    if (!first_source_proved(f)) {
        /* The bytes are another repository's: this one has to prove that it may serve them. */
        atomic_store(&f->rejoin, true);
        return op_fail(op, ERR_BLOB_UNKNOWN, "not proved");
    }
    if (found == FOUND_UNTRUSTED) {
        return &FLIGHT_STEP_LOCAL;
    }
    atomic_store(&f->landed, atomic_load(&f->size));
    atomic_store(&f->local, true);
    flight_unlist(f);
    flight_publish(f, FLIGHT_LANDED);
    return &FLIGHT_STEP_END;
}

static void on_job(struct job *job)
{
    struct flight *f = container_of(job, struct flight, job);

    f->job_done = true;
    op_wake(&f->op);
}

/* One blocking thing at a time on the pool; the next step waits for job_done. */
static void flight_job(struct flight *f, void (*run)(struct job *))
{
    f->job_done = false;
    f->job_err = (struct err){0};
    pool_submit(store_disk(f->cache->store), f->loop, &f->job, run, on_job);
}

static void open_run(struct job *job)
{
    struct flight *f = container_of(job, struct flight, job);

    f->stored =
        ingest_open(&f->ingest, f->cache->store, &f->digest, f->hint, true, &f->job_err) == 0;
    if (!f->stored) {
        return;
    }
    f->noted = f->ingest.partial.stored > 0;
    if (f->ingest.resumed > 0 &&
        (!sha_restore(&f->sha, f->ingest.partial.state, f->ingest.partial.state_len) ||
         f->sha.hashed != f->ingest.resumed)) {
        f->ingest.resumed = 0;
        sha_init(&f->sha, f->sha.alg);
        f->stored = ingest_restart(&f->ingest, &f->job_err) == 0;
    }
}

static const struct step *step_open(struct op *op)
{
    flight_job(flight_of(op), open_run);
    return &S_opening;
}

static const struct step *step_opening(struct op *op)
{
    struct flight *f = flight_of(op);
    struct err err;

    if (!f->job_done) {
        return STEP_WAIT;
    }
    if (f->stored) {
        /* A descriptor of its own: readers use it after the ingest has let go of its. */
        f->fd = fcntl(f->ingest.fd, F_DUPFD_CLOEXEC, 0);
        f->received = f->ingest.resumed;
        f->from_partial = f->received > 0;
        f->checkpoint.last_at = f->received;
        atomic_store(&f->landed, f->received);
        if (f->from_partial) {
            count(flights_resumed);
        }
    }
    if (f->stored && f->fd >= 0) {
        return &S_fetch;
    }
    log_event(f->job_err.code == ERR_NO_SPACE ? LOG_INFO : LOG_WARN, "store.refused",
              "a blob is passed through, not kept: %s", f->job_err.text);
    return flight_window_open(f, &err) < 0 ? op_fail_with(op, &err) : &S_fetch;
}

/* --- asking a source ----------------------------------------------------------------------- */

static const struct step *step_fetch(struct op *op)
{
    struct flight *f = flight_of(op);
    struct flight_source *s;
    char text[DIGEST_TEXT_MAX];

    if (f->hint != UINT64_MAX && f->received == f->hint && f->received > 0 && !f->announced &&
        first_source_proved(f)) {
        atomic_store(&f->size, f->received);
        return &S_settle; /* the partial was whole: only the verdict was missing */
    }
    s = good_source(f);
    if (s == NULL) {
        return op_fail_sources(f);
    }
    f->mixed = f->mixed || (f->received > 0 && f->source != NULL && f->source != s);
    f->source = s;
    f->fetch = fetch_new(
        &(struct fetch_question){
            .upstream = s->repo.upstream,
            .repo = s->repo.name,
            .reference = digest_text(&f->digest, text),
            .kind = FETCH_BLOB,
            .from = s->no_range ? 0 : f->received,
            .to = UINT64_MAX,
        },
        f->loop, &f->op.task);
    return &S_head;
}

static void fetch_end(struct flight *f)
{
    fetch_free(f->fetch);
    f->fetch = NULL;
}

/* Where others must give way for it, each write sees to that, in the pool. */
static void reserve_whole(struct flight *f, uint64_t size)
{
    struct store *s = f->cache->store;
    struct err err;

    f->ingest.expected = size;
    if (store_reserve(s, size)) {
        f->ingest.reserved = size;
    } else if (!store_may_hold(s, size)) {
        log_event(LOG_INFO, "store.refused",
                  "a blob of %llu bytes is passed through, not kept: %llu are the most that may be "
                  "held (cache.max_size, cache.min_free)",
                  (unsigned long long)size, (unsigned long long)store_budget(s));
        ignore_result(flight_window_open(f, &err) < 0);
    }
}

/* The size is known now, or will not be before the end. The rest of the budget is asked for. */
static void flight_announce(struct flight *f, uint64_t total)
{
    uint64_t size = total != UINT64_MAX ? total : f->hint;

    f->announced = true;
    if (size != UINT64_MAX && f->stored && f->ingest.reserved == 0 && size > 0) {
        reserve_whole(f, size);
    }
    atomic_store(&f->size, size);
    flight_publish(f, FLIGHT_READY);
}

/* Whether the answer continues what is here. */
static int answer_fits(struct flight *f, struct err *err)
{
    const struct fetch_answer *answer = fetch_answer(f->fetch);
    uint64_t size = atomic_load(&f->size);

    if (answer->from != 0 && answer->from != f->received) {
        f->source->no_range = true;
        return err_set(err, ERR_UPSTREAM_PROTOCOL, "%s: a range from %llu was answered from %llu",
                       f->source->repo.text, (unsigned long long)f->received,
                       (unsigned long long)answer->from);
    }
    if (size != UINT64_MAX && answer->total != UINT64_MAX && answer->total != size) {
        /* One of the two sizes is a lie, and to ask again tells nothing more. */
        err_set(err, ERR_UPSTREAM_PROTOCOL, "%s: the blob has %llu bytes, not %llu",
                f->source->repo.text, (unsigned long long)answer->total, (unsigned long long)size);
        flight_source_end(f, f->source, err);
        return -1;
    }
    f->skip = answer->from == 0 ? f->received : 0;
    return 0;
}

static const struct step *step_head(struct op *op)
{
    struct flight *f = flight_of(op);
    struct err err = {0};
    uint64_t total;

    switch (fetch_poll(f->fetch, &err)) {
    case FETCH_NOT_YET:
        return STEP_WAIT;
    case FETCH_FAILED:
        op->err = err;
        return &S_broken;
    case FETCH_READY:
        break;
    }
    total = fetch_answer(f->fetch)->total;
    if (!f->announced && total != UINT64_MAX && total < f->received) {
        return &S_mismatch; /* the partial file is longer than the blob */
    }
    if (answer_fits(f, &err) < 0) {
        op->err = err;
        return &S_broken;
    }
    flight_source_answered(f, f->source);
    if (!f->announced) {
        flight_announce(f, total);
        f->progress_ms = loop_now(f->loop); /* later, only bytes that are new count */
    }
    return &S_body;
}

/* --- moving bytes -------------------------------------------------------------------------- */

/* Whether the download has become nobody's and is not worth going on for. */
static bool flight_unwanted(struct flight *f)
{
    /* What goes through a window waits for a reader, who must be somebody. */
    if ((f->prefetch && !flight_in_window(f)) || atomic_load(&f->interest) > 0) {
        flight_orphan_release(f);
        return false;
    }
    return !flight_orphan_admit(f);
}

/* Says that it stops, then looks once more: a ticket counts itself, then looks whether it stops.
 * False: somebody came. */
static bool flight_stop(struct flight *f)
{
    atomic_store(&f->stopping, true);
    if (atomic_load(&f->interest) == 0) {
        return true;
    }
    atomic_store(&f->stopping, false);
    bell_ring(&f->bell);
    return false;
}

static const struct step *step_unwanted(struct flight *f)
{
    return op_fail(&f->op, ERR_CLIENT_GONE, "nobody waits for it any more");
}

static const struct step *step_body(struct op *op)
{
    struct flight *f = flight_of(op);
    struct err err = {0};

    if (flight_unwanted(f) && flight_stop(f)) {
        return step_unwanted(f);
    }
    switch (flight_move(f, &err)) {
    case MOVED_MORE:
        op_wake(op);
        return STEP_WAIT;
    case MOVED_WAIT:
        if (!flight_source_is_slow(f, &err)) {
            return STEP_WAIT;
        }
        break;
    case MOVED_FULL:
        return STEP_WAIT;
    case MOVED_END:
        fetch_end(f);
        return &S_settle;
    case MOVED_BROKEN:
        break;
    }
    op->err = err;
    return &S_broken;
}

/* --- what went wrong ----------------------------------------------------------------------- */

static bool has_readers(struct flight *f)
{
    bool has = false;

    pthread_mutex_lock(&f->lock);
    list_each(it, &f->readers) {
        has = has || container_of(it, struct flight_ticket, node)->reading;
    }
    pthread_mutex_unlock(&f->lock);
    return has;
}

/* Whether a response may have begun: then what counts is the time without progress. */
static bool has_begun(struct flight *f)
{
    uint64_t size = atomic_load(&f->size);

    return has_readers(f) || (f->announced && (size == UINT64_MAX || size > SMALL_BLOB));
}

/* Until when the flight may be tried on. */
static uint64_t patience_end(struct flight *f)
{
    return has_begun(f) ? f->progress_ms + limits.retry_for : f->started_ms + limits.first_byte;
}

/* What another try of the source cannot change, or may not for too long. */
static bool is_final(struct flight *f, const struct err *err)
{
    if (err->code == ERR_TOO_MANY) {
        uint64_t wait = (uint64_t)err->retry_after * 1000;

        return wait == 0 || loop_now(f->loop) + wait >= patience_end(f);
    }
    if (err->code == ERR_UPSTREAM_SHUT) {
        return !has_begun(f);
    }
    return !cache_upstream_failed(err->code);
}

static bool may_try_on(struct flight *f, const struct flight_source *s)
{
    return loop_now(f->loop) < patience_end(f) && (has_begun(f) || s->fails < TRIES_UNSEEN);
}

/* Whether there is another source that has not failed: it needs no pause. */
static bool has_fresh_source(struct flight *f)
{
    const struct flight_source *next = flight_source_next(f);

    return next != NULL && next != f->source && next->fails == 0;
}

/* To ask sooner than a 429 says costs more of what is rationed; other errors only guess. */
static uint64_t pause_after(const struct flight_source *s, const struct err *err)
{
    uint64_t said = (uint64_t)err->retry_after * 1000;
    uint64_t pause = said > 0 ? said : limits.retry_min << (s->fails < 16 ? s->fails : 16);

    return pause < limits.retry_max || err->code == ERR_TOO_MANY ? pause : limits.retry_max;
}

static void on_recorded(struct index_write *w)
{
    struct flight *f = container_of(w, struct flight, write);

    f->recorded = true;
    op_wake(&f->op);
}

static void forget_apply(struct index_write *w, struct index_txn *t)
{
    struct flight *f = container_of(w, struct flight, write);

    index_del_member(t, index_put_repo(t, REPO_MIRRORED, f->source->repo.text), &f->digest);
}

/* The source has no more to say. Upstream's 401, 403 or 404 ends what the index knew of its
 * repository, before anybody is told. */
static const struct step *step_forget(struct op *op)
{
    struct flight *f = flight_of(op);
    bool claimed;

    pthread_mutex_lock(&f->lock);
    claimed = f->source->claimed;
    pthread_mutex_unlock(&f->lock);
    f->recorded = !claimed || err_status(op->err.code) != 404;
    if (!f->recorded) {
        f->write = (struct index_write){.apply = forget_apply, .done = on_recorded};
        index_write_submit(f->cache->store, f->loop, &f->write);
    }
    return &S_forgetting;
}

static const struct step *step_forgetting(struct op *op)
{
    struct flight *f = flight_of(op);
    struct err err = op->err;

    if (!f->recorded) {
        return STEP_WAIT;
    }
    op->err = (struct err){0};
    flight_source_end(f, f->source, &err);
    return &S_fetch;
}

static const struct step *step_broken(struct op *op)
{
    struct flight *f = flight_of(op);
    struct flight_source *s = f->source;
    struct err err = op->err;
    uint64_t pause;

    op->err = (struct err){0};
    fetch_end(f);
    if (!flight_settled(f)) {
        op->err = err;
        return STEP_WAIT;
    }
    if (f->write_err.code != ERR_NONE) {
        return op_fail_with(op, &f->write_err);
    }
    log_event(LOG_WARN, "upstream.failed", "%s: %s", s->repo.text, err.text);
    if (err.code == ERR_RANGE) {
        s->no_range = true;
        err.code = ERR_UPSTREAM_PROTOCOL; /* the client's own range is not meant */
    }
    if (is_final(f, &err)) {
        op->err = err;
        return &S_forget;
    }
    pause = pause_after(s, &err);
    s->fails++;
    if (!may_try_on(f, s)) {
        flight_source_end(f, s, &err);
        return &S_fetch;
    }
    if (f->received > 0) {
        count(flights_resumed);
    }
    f->paused = true;
    timer_set(&f->timer, pause);
    return &S_pause;
}

static const struct step *step_pause(struct op *op)
{
    struct flight *f = flight_of(op);

    if (flight_unwanted(f) && flight_stop(f)) {
        return step_unwanted(f);
    }
    if (f->paused && !has_fresh_source(f)) {
        return STEP_WAIT;
    }
    timer_clear(&f->timer);
    f->paused = false;
    return &S_fetch;
}

/* --- the verdict --------------------------------------------------------------------------- */

static const struct step *step_settle(struct op *op)
{
    return flight_settled(flight_of(op)) ? &S_verdict : STEP_WAIT;
}

static const struct step *step_verdict(struct op *op)
{
    struct flight *f = flight_of(op);
    uint64_t size = atomic_load(&f->size);
    struct digest found = {.alg = f->digest.alg};
    struct sha sha = f->sha;

    if (f->write_err.code != ERR_NONE) {
        return op_fail_with(op, &f->write_err);
    }
    if (size != UINT64_MAX && f->received < size) {
        err_set(&op->err, ERR_UPSTREAM_PROTOCOL, "the body ended after %llu of %llu bytes",
                (unsigned long long)f->received, (unsigned long long)size);
        return &S_broken;
    }
    sha_final(&sha, found.bytes);
    if (!digest_equal(&found, &f->digest)) {
        return &S_mismatch;
    }
    atomic_store(&f->size, f->received);
    f->announced = true;
    flight_settle_begin(f);
    flight_publish(f, FLIGHT_LANDED);
    return &S_commit;
}

static const struct step *step_mismatch(struct op *op)
{
    struct flight *f = flight_of(op);
    char text[DIGEST_TEXT_MAX];
    const char *from =
        f->source == NULL ? "a partial file" : upstream_name(f->source->repo.upstream);
    struct err err = {0};

    count(flights_mismatched);
    err_set(&err, ERR_DIGEST_MISMATCH, "%s: the bytes are not %s", from,
            digest_text(&f->digest, text));
    if (f->from_partial || f->mixed || f->source == NULL) {
        /* Whose bytes were wrong nobody can tell: once more, from zero. */
        atomic_store(&f->rejoin, true);
    } else {
        flight_bad_put(f->table, f->source->repo.upstream, &f->digest, loop_now(f->loop));
        flight_source_end(f, f->source, &err);
    }
    return op_fail_with(op, &err);
}

/* --- keeping a whole blob ------------------------------------------------------------------ */

static const struct step *step_commit(struct op *op)
{
    struct flight *f = flight_of(op);

    if (f->checkpoint.busy) {
        return STEP_WAIT;
    }
    if (!f->stored || flight_in_window(f)) {
        count(flights_passed);
        return &S_keeping;
    }
    flight_job(f, flight_commit_run);
    return &S_committing;
}

static void record_apply(struct index_write *w, struct index_txn *t)
{
    struct flight *f = container_of(w, struct flight, write);
    int64_t now = clock_wall_s();
    struct blob_record blob = {.size = f->received, .created = now, .used = now};

    blob.synced = f->ingest.was_here;
    if (f->source != NULL) {
        blob.class = flight_source_class(f->source);
        member_put_answered(t, &f->source->repo, &f->digest, f->received, "", f->source->kind);
    }
    index_put_blob(t, &f->digest, &blob);
    index_del_partial(t, &f->digest);
}

static const struct step *step_committing(struct op *op)
{
    struct flight *f = flight_of(op);

    if (!f->job_done) {
        return STEP_WAIT;
    }
    if (f->job_err.code != ERR_NONE) {
        count(store_errors);
        log_event(LOG_ERROR, "store.refused", "a verified blob is not kept: %s", f->job_err.text);
        return &S_keeping;
    }
    f->stored = false; /* it is no ingest any more */
    if (f->elsewhere) {
        ingest_close(&f->ingest);
        return &S_give_up;
    }
    close(f->ingest.fd);
    f->recorded = false;
    f->write = (struct index_write){.apply = record_apply, .done = on_recorded};
    index_write_submit(f->cache->store, f->loop, &f->write);
    return &S_recording;
}

static const struct step *step_recording(struct op *op)
{
    struct flight *f = flight_of(op);

    if (!f->recorded) {
        return STEP_WAIT;
    }
    ingest_recorded(&f->ingest);
    if (f->write.failed) {
        count(store_errors);
        log_event(LOG_ERROR, "index.refused", "a blob is not recorded: %s", f->write.err.text);
    } else {
        count(flights_landed);
        count(blobs_stored);
        count_add(bytes_stored, f->received);
    }
    store_release(f->cache->store, f->ingest.reserved);
    return &S_give_up;
}

/* --- the other ends ------------------------------------------------------------------------ */

/* What fails ends here; also what nobody wants. Buffers and syncs under way come to their end. */
static const struct step *step_failed(struct op *op)
{
    struct flight *f = flight_of(op);

    fetch_end(f);
    if (!flight_settled(f) || f->checkpoint.busy) {
        return STEP_WAIT;
    }
    if (!atomic_load(&f->stopping) && !atomic_load(&f->rejoin)) {
        count(flights_failed);
        log_event(LOG_WARN, "flight.failed", "%s", op->err.text);
    }
    return &S_keeping;
}

static void partial_apply(struct index_write *w, struct index_txn *t)
{
    struct flight *f = container_of(w, struct flight, write);

    if (f->checkpoint.partial.stored > 0) {
        index_put_partial(t, &f->digest, &f->checkpoint.partial);
    } else {
        index_del_partial(t, &f->digest);
    }
}

/* The ingest file, if there is one, becomes a partial or goes. */
static const struct step *step_keeping(struct op *op)
{
    struct flight *f = flight_of(op);

    if (!f->stored) {
        return &S_give_up;
    }
    f->stored = false;
    flight_job(f, flight_keep_run);
    return &S_keep_recording;
}

static const struct step *step_keep_recording(struct op *op)
{
    struct flight *f = flight_of(op);

    if (!f->job_done) {
        return STEP_WAIT;
    }
    if (f->checkpoint.partial.stored == 0 && !f->noted) {
        return &S_give_up; /* the index knows of nothing that is gone now */
    }
    if (f->write.apply != partial_apply) {
        f->recorded = false;
        f->write = (struct index_write){.apply = partial_apply, .done = on_recorded};
        index_write_submit(f->cache->store, f->loop, &f->write);
    }
    return f->recorded ? &S_give_up : STEP_WAIT;
}

/* Out of the table first, so that who is told may start anew at once. */
static const struct step *step_give_up(struct op *op)
{
    struct flight *f = flight_of(op);

    flight_settle_end(f);
    flight_unlist(f);
    if (atomic_load(&f->state) != FLIGHT_LANDED) {
        pthread_mutex_lock(&f->lock);
        f->err = op->err;
        pthread_mutex_unlock(&f->lock);
        if (atomic_load(&f->stopping)) {
            atomic_store(&f->rejoin, true);
        }
        flight_publish(f, FLIGHT_FAILED);
    }
    return &FLIGHT_STEP_END;
}

/* In a window the bytes are only here: the flight stays until its last reader has had them. */
static const struct step *step_end(struct op *op)
{
    struct flight *f = flight_of(op);

    flight_orphan_release(f);
    return STEP_END;
}

void flight_ended(struct op *op)
{
    struct flight *f = flight_of(op);

    flow_unwait(&f->flow_wait);
    flight_buffers_drop(f);
    fetch_end(f);
    timer_fini(&f->timer);
    flight_unref(f);
}
