/* store/writer.c - the queue of changes, and groups of them. */
#include "store/writer.h"

#include "base/clock.h"
#include "base/counter.h"
#include "base/log.h"
#include "store/backup.h"
#include "store/sync.h"

#include <assert.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

#define LAZY_MS 10000
#define LAZY_MAX 5000
/* Records that one transaction changes, but for what a single change does: each may have a page of
 * its own, which is memory until the commit, and everybody waits for that. */
#define GROUP_CHANGES 20000
/* A group is applied anew when one change of it failed; this often. */
#define TRIES 2

/* Owner: the store. Thread: the queue under `lock`; the rest is the writer's. */
struct writer {
    struct store *store;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t more;
    struct list queue; /* struct index_write; all of them, in order */
    size_t n_lazy;
    bool urgent; /* one of them is not lazy */
    bool poked;
    bool ending;
    bool resting;        /* there is no thread, and takes nothing */
    uint64_t lazy_until; /* when the oldest lazy one has waited long enough */
    uint64_t tick_at;
};

/* --- one group ----------------------------------------------------------------------------- */

static void txn_begin(struct index_txn *t, struct store *s, struct db_txn *db)
{
    *t = (struct index_txn){.store = s, .db = db, .totals = s->totals};
}

static void txn_end(struct index_txn *t)
{
    free(t->put);
    free(t->unsynced);
}

static void put_totals(struct index_txn *t)
{
    struct record_key key;
    struct record value;

    if (memcmp(&t->totals, &t->store->totals, sizeof(t->totals)) == 0) {
        return;
    }
    record_key_meta(&key, "totals");
    record_put_totals(&value, &t->totals);
    db_put(t->db, DB_META, record_key_view(&key), record_view(&value));
}

/* What follows from a commit. */
static void txn_committed(struct index_txn *t)
{
    struct store *s = t->store;

    s->totals = t->totals;
    budget_recorded(s->budget, &t->totals, t->put, t->n_put);
    sync_add(s->sync, t->unsynced, t->n_unsynced);
    if (t->lasting) {
        backup_note(s->backup);
    }
}

/* Moves what is behind `last` to `rest`. */
static void group_split(struct list *group, struct list *last, struct list *rest)
{
    while (last->next != group) {
        struct list *node = last->next;

        list_remove(node);
        list_append(rest, node);
    }
}

/* One attempt; what is too much for one transaction is moved to `rest`. -1 with *err; *ret_bad is
 * the change that failed, NULL where that was the commit. */
static int group_try(struct store *s, struct list *group, struct list *rest,
                     struct index_write **ret_bad, struct err *err)
{
    struct db_txn *db = db_write_begin(s->db, err);
    struct index_txn t;
    size_t n = 0;
    int rc;

    *ret_bad = NULL;
    if (db == NULL) {
        return -1;
    }
    txn_begin(&t, s, db);
    list_each(it, group) {
        struct index_write *w = container_of(it, struct index_write, node);

        w->apply(w, &t);
        if (db_has_failed(db, err)) {
            *ret_bad = w;
            break;
        }
        n++;
        if (t.changes >= GROUP_CHANGES) {
            group_split(group, it, rest);
        }
    }
    put_totals(&t);
    rc = db_commit(db, err);
    if (rc == 0) {
        txn_committed(&t);
        count(index_commits);
        count_add(index_changes, (int64_t)n);
    }
    txn_end(&t);
    return rc;
}

static void write_fail(struct index_write *w, const struct err *err)
{
    w->failed = true;
    w->err = *err;
}

/* A change that cannot be applied is left out, so that it does not take the others with it; a
 * commit that failed is tried once more, unless the disk is full. */
static void group_commit(struct store *s, struct list *group, struct list *rest,
                         struct list *failed)
{
    for (unsigned tries = 0; !list_empty(group); tries++) {
        struct index_write *bad;
        struct err err = {0};

        if (group_try(s, group, rest, &bad, &err) == 0) {
            return;
        }
        if (bad != NULL && tries + 1 < TRIES) {
            list_remove(&bad->node);
            list_append(failed, &bad->node);
            write_fail(bad, &err);
        }
        if (tries + 1 >= TRIES || err.code == ERR_NO_SPACE) {
            list_each(it, group) {
                write_fail(container_of(it, struct index_write, node), &err);
            }
            return;
        }
    }
}

static void write_posted(struct post *p)
{
    struct index_write *w = container_of(p, struct index_write, post);

    w->done(w);
}

/* done() may free what it is called with. */
static void group_done(struct list *group)
{
    struct list *node;

    while ((node = list_pop(group)) != NULL) {
        struct index_write *w = container_of(node, struct index_write, node);

        if (w->loop != NULL) {
            loop_post(w->loop, &w->post);
        } else {
            w->done(w);
        }
    }
}

static void group_run(struct store *s, struct list *group)
{
    LIST_HEAD(failed);
    LIST_HEAD(rest);

    do {
        group_commit(s, group, &rest, &failed);
        group_done(&failed);
        group_done(group);
        list_splice(group, &rest);
    } while (!list_empty(group));
}

/* --- the thread ---------------------------------------------------------------------------- */

static void deadline_of(uint64_t ms, struct timespec *ret)
{
    ret->tv_sec = (time_t)(ms / 1000);
    ret->tv_nsec = (long)(ms % 1000) * 1000000;
}

/* Under the lock: whether a group should be committed now. */
static bool group_is_due(const struct writer *w, uint64_t now)
{
    return w->urgent || w->n_lazy >= LAZY_MAX || (w->n_lazy > 0 && now >= w->lazy_until) ||
           (w->ending && !list_empty(&w->queue));
}

/* Waits until there is something to do; what is due is moved to `group`. False: it is the end. */
static bool writer_next(struct writer *w, struct list *group)
{
    uint64_t now = clock_mono_ms();
    bool more = true;

    pthread_mutex_lock(&w->lock);
    while (!group_is_due(w, now) && !w->poked && !w->ending && now < w->tick_at) {
        uint64_t until = w->n_lazy > 0 && w->lazy_until < w->tick_at ? w->lazy_until : w->tick_at;
        struct timespec deadline;

        deadline_of(until, &deadline);
        pthread_cond_timedwait(&w->more, &w->lock, &deadline);
        now = clock_mono_ms();
    }
    if (group_is_due(w, now)) {
        list_splice(group, &w->queue);
        w->urgent = false;
        w->n_lazy = 0;
    } else if (w->ending) {
        w->resting = true;
        more = false;
    }
    w->poked = false;
    pthread_mutex_unlock(&w->lock);
    return more;
}

static void *writer_thread(void *arg)
{
    struct writer *w = arg;
    LIST_HEAD(group);

    while (writer_next(w, &group)) {
        group_run(w->store, &group);
        w->tick_at = store_tick(w->store, clock_mono_ms());
    }
    return NULL;
}

static void thread_start(struct writer *w)
{
    sigset_t all;
    sigset_t before;
    int failed;

    sigfillset(&all); /* as threads of a pool */
    sigdelset(&all, SIGBUS);
    sigdelset(&all, SIGSEGV);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    failed = pthread_create(&w->thread, NULL, writer_thread, w);
    assert(failed == 0);
    pthread_setname_np(w->thread, "index");
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

void writer_start(struct store *s)
{
    struct writer *w = xnew(struct writer);
    pthread_condattr_t attr;

    w->store = s;
    s->writer = w;
    list_init(&w->queue);
    pthread_mutex_init(&w->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&w->more, &attr);
    pthread_condattr_destroy(&attr);
    thread_start(w);
}

/* The thread ends once the queue is empty, and in the same moment nothing more is taken. */
void writer_rest(struct store *s)
{
    struct writer *w = s->writer;

    pthread_mutex_lock(&w->lock);
    w->ending = true;
    pthread_cond_signal(&w->more);
    pthread_mutex_unlock(&w->lock);
    pthread_join(w->thread, NULL);
}

void writer_wake(struct store *s)
{
    struct writer *w = s->writer;

    pthread_mutex_lock(&w->lock);
    assert(w->resting); /* else there would be two threads */
    w->ending = false;
    w->resting = false;
    w->tick_at = 0;
    pthread_mutex_unlock(&w->lock);
    thread_start(w);
}

void writer_stop(struct store *s)
{
    struct writer *w = s->writer;

    if (w == NULL) {
        return;
    }
    if (!w->resting) {
        writer_rest(s);
    }
    pthread_cond_destroy(&w->more);
    pthread_mutex_destroy(&w->lock);
    free(w);
    s->writer = NULL;
}

void writer_poke(struct store *s)
{
    struct writer *w = s->writer;

    pthread_mutex_lock(&w->lock);
    w->poked = true;
    pthread_cond_signal(&w->more);
    pthread_mutex_unlock(&w->lock);
}

/* The index is another process's by now. */
static void refuse(struct index_write *w)
{
    LIST_HEAD(group);
    struct err err;

    err_set(&err, ERR_UNAVAILABLE, "this server is being replaced: ask again");
    write_fail(w, &err);
    list_append(&group, &w->node);
    group_done(&group);
}

bool writer_refused(const struct index_write *w)
{
    return w->failed && w->err.code == ERR_UNAVAILABLE;
}

/* --- submitting ---------------------------------------------------------------------------- */

void index_write_submit(struct store *s, struct loop *l, struct index_write *write)
{
    struct writer *w = s->writer;
    bool first_lazy;

    list_init(&write->node);
    post_init(&write->post, write_posted);
    write->loop = l;
    write->failed = false;
    write->err = (struct err){0};
    pthread_mutex_lock(&w->lock);
    if (w->resting) {
        pthread_mutex_unlock(&w->lock);
        refuse(write);
        return;
    }
    list_append(&w->queue, &write->node);
    if (write->lazy) {
        first_lazy = w->n_lazy++ == 0;
        if (first_lazy) {
            w->lazy_until = clock_mono_ms() + LAZY_MS;
        }
    } else {
        w->urgent = true;
    }
    pthread_cond_signal(&w->more);
    pthread_mutex_unlock(&w->lock);
}

int writer_apply(struct store *s, struct index_write *w, struct err *err)
{
    LIST_HEAD(group);
    LIST_HEAD(rest);
    struct index_write *bad;
    int rc;

    list_init(&w->node);
    list_append(&group, &w->node);
    rc = group_try(s, &group, &rest, &bad, err);
    list_remove(&w->node);
    return rc;
}

/* Owner: writer_wait(). */
struct waited {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool done;
    struct index_write write;
    struct index_write *inner;
};

static void waited_apply(struct index_write *w, struct index_txn *t)
{
    struct index_write *inner = container_of(w, struct waited, write)->inner;

    inner->apply(inner, t);
}

static void waited_done(struct index_write *w)
{
    struct waited *waited = container_of(w, struct waited, write);

    pthread_mutex_lock(&waited->lock);
    waited->done = true;
    pthread_cond_signal(&waited->changed);
    pthread_mutex_unlock(&waited->lock);
}

int writer_wait(struct store *s, struct index_write *w, struct err *err)
{
    struct waited waited = {
        .write = {.apply = waited_apply, .done = waited_done},
        .inner = w,
    };

    if (s->writer == NULL) {
        return writer_apply(s, w, err);
    }
    pthread_mutex_init(&waited.lock, NULL);
    pthread_cond_init(&waited.changed, NULL);
    index_write_submit(s, NULL, &waited.write);
    pthread_mutex_lock(&waited.lock);
    while (!waited.done) {
        pthread_cond_wait(&waited.changed, &waited.lock);
    }
    pthread_mutex_unlock(&waited.lock);
    pthread_cond_destroy(&waited.changed);
    pthread_mutex_destroy(&waited.lock);
    if (waited.write.failed) {
        *err = waited.write.err;
        return -1;
    }
    return 0;
}
