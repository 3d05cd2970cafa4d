/*
 * store/inner.h - what the files of store/ share of a store. Not for other folders.
 */
#ifndef STORE_INNER_H
#define STORE_INNER_H

#include "store/budget.h"
#include "store/db.h"
#include "store/tree.h"

#include <stdatomic.h>

struct writer;
struct touch;
struct pulls;
struct claims;
struct sync;
struct backup;
struct adopt;
struct sweep;
struct uploads;
struct gate;
struct leases;
struct retain;
struct evict;
struct successor;

/* Work in the background, one run at a time. Owner: whoever embeds it. */
struct store_job {
    struct job job;
    struct store *store;
    void (*run)(struct store *);
    bool idle;        /* in the idle pool; else in the disk pool */
    atomic_bool busy; /* from the start to the end of run() */
};

/* What was found at start. Thread: the one that opens and closes the store. */
struct recover {
    bool unclean;  /* the last stop was: files may be left that the index does not know */
    bool replaced; /* the index is not the one that was there: a copy, or empty */
    bool copied;   /* it is the copy */
};

/* Owner: whoever opened it. Thread: any; each part says what guards it. */
struct store {
    char *dir;
    struct pool *disk;
    struct pool *idle;
    uint64_t boot;    /* of this machine, since it was started */
    uint32_t session; /* random; tells files of this process in ingest/ from older ones */
    int dir_fd;
    int lock_fd;
    struct tree tree;
    struct db *db;
    struct budget *budget;
    struct writer *writer;
    struct touch *touch;
    struct pulls *pulls;
    struct claims *claims;
    struct sync *sync;
    struct backup *backup;
    struct adopt *adopt;
    struct sweep *sweep;
    struct uploads *uploads;
    struct gate *gate;
    struct leases *leases;
    struct retain *retain;
    struct evict *evict;
    struct recover recover;
    struct record_totals totals; /* what the index holds; of the thread that writes it */
    int64_t pull_time;           /* key of the last line of that table; likewise */
    uint32_t pull_number;
    _Atomic(const struct successor *) successor; /* NULL: this process has the directory */
    pthread_mutex_t settled_lock;
    pthread_cond_t settled_now;
    bool settled;         /* no hand-over is under way; under settled_lock */
    atomic_bool before;   /* another process may still finish what it began in here */
    atomic_bool leaving;  /* no more changes are begun but by downloads and bodies of uploads */
    atomic_uint changing; /* changes that were begun before */
    atomic_bool closing;  /* nothing new begins in the background; set under jobs_lock */
    pthread_mutex_t jobs_lock;
    pthread_cond_t jobs_none;
    unsigned jobs; /* under way; under jobs_lock */
};

/* A transaction of the index under construction. Owner, thread: the writer. */
struct index_txn {
    struct store *store;
    struct db_txn *db;
    struct record_totals totals;
    struct digest *put; /* blobs recorded in it, that their reservations may end */
    size_t n_put;
    struct digest *unsynced; /* those of them that are to be synced behind it */
    size_t n_unsynced;
    size_t changes; /* records put and removed, about */
    bool lasting;   /* it changed more than uses of blobs */
};

/* Counts a job of the background, so that the store does not close under it; false: it closes, and
 * the disk pool may be gone. */
bool store_job_enter(struct store *s) MUST_CHECK;
void store_job_leave(struct store *s);
/* The same for what must be done although the store closes, and the pool is sure to be there. */
void store_job_enter_late(struct store *s);
/* Runs job->run(s) on its pool unless it runs already; false: it does, or the store closes. */
bool store_job_start(struct store *s, struct store_job *job);

/* Nothing more begins in the background, and nothing that had begun is under way. */
void store_jobs_end(struct store *s);
/* And begins again. */
void store_jobs_begin(struct store *s);

/* What is due in the background; when to call again (clock_mono_ms). Writer thread; no I/O. */
uint64_t store_tick(struct store *s, uint64_t now);

/* Removes the record of a blob whose file, which is open as fd, is wrong or not readable, and then
 * the file: to quarantine or for good; fd -1: it cannot be opened, or is missing. Nothing goes
 * where another file is in its place by now, which may then be opened. Whether anything went.
 * Blocks until the index has it; no loop thread, no writer thread. */
bool store_forget(struct store *s, const struct digest *d, int fd, bool quarantine);

/* Whether a repository that is pushed to has it: then its bytes are nowhere else, and trouble that
 * may pass is no reason to give them up. Any thread. */
bool store_is_pushed(struct store *s, const struct digest *d);

/* For tables that have a file of their own. */
struct db_txn *index_read_db(struct index_read *r);

/* The record as it is, without what index_put_blob() adds. */
void index_txn_put_blob(struct index_txn *t, const struct digest *d, const struct blob_record *b);

#endif
