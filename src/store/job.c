/* store/job.c - the work of a store behind it: what is due and what is under way. */
#include "store/adopt.h"
#include "store/backup.h"
#include "store/evict.h"
#include "store/inner.h"
#include "store/retain.h"
#include "store/sweep.h"
#include "store/sync.h"
#include "store/uploads.h"
#include "store/writer.h"

bool store_job_enter(struct store *s)
{
    bool open;

    pthread_mutex_lock(&s->jobs_lock);
    open = !atomic_load(&s->closing);
    s->jobs += open;
    pthread_mutex_unlock(&s->jobs_lock);
    return open;
}

void store_job_enter_late(struct store *s)
{
    pthread_mutex_lock(&s->jobs_lock);
    s->jobs++;
    pthread_mutex_unlock(&s->jobs_lock);
}

void store_job_leave(struct store *s)
{
    pthread_mutex_lock(&s->jobs_lock);
    s->jobs--;
    if (s->jobs == 0) {
        pthread_cond_broadcast(&s->jobs_none);
    }
    pthread_mutex_unlock(&s->jobs_lock);
}

void store_jobs_end(struct store *s)
{
    pthread_mutex_lock(&s->jobs_lock);
    atomic_store(&s->closing, true);
    while (s->jobs > 0) {
        pthread_cond_wait(&s->jobs_none, &s->jobs_lock);
    }
    pthread_mutex_unlock(&s->jobs_lock);
}

void store_jobs_begin(struct store *s)
{
    pthread_mutex_lock(&s->jobs_lock);
    atomic_store(&s->closing, false);
    pthread_mutex_unlock(&s->jobs_lock);
}

static void job_run(struct job *j)
{
    struct store_job *job = container_of(j, struct store_job, job);

    job->run(job->store);
}

/* The writer looks at the clock: the next run may be due. */
static void job_done(struct job *j)
{
    struct store_job *job = container_of(j, struct store_job, job);
    struct store *s = job->store;

    atomic_store(&job->busy, false);
    writer_poke(s);
    store_job_leave(s);
}

bool store_job_start(struct store *s, struct store_job *job)
{
    if (!store_job_enter(s)) {
        return false;
    }
    if (atomic_exchange(&job->busy, true)) {
        store_job_leave(s);
        return false;
    }
    pool_submit(job->idle ? s->idle : s->disk, NULL, &job->job, job_run, job_done);
    return true;
}

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

uint64_t store_tick(struct store *s, uint64_t now)
{
    if (atomic_load(&s->closing)) {
        return UINT64_MAX;
    }
    return least(least(least(sync_tick(s->sync, now), backup_tick(s->backup, now)),
                       least(adopt_tick(s->adopt, now), sweep_tick(s->sweep, now))),
                 least(uploads_tick(s->uploads, now),
                       least(retain_tick(s->retain, now), evict_tick(s->evict, now))));
}
