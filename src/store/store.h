/*
 * store/store.h - blobs in files by digest, and the index that says what they are.
 *
 * Design section 4 gives the tree, the tables and what "pushed" and "pulled" promise.
 */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include "base/err.h"
#include "loop/pool.h"
#include "oci/digest.h"

struct store;

struct retain_rules; /* store/retain.h */
struct store_state;  /* store/handover.h */

struct store_options {
    const char *dir;
    uint64_t max_size;    /* bytes, or UINT64_MAX */
    unsigned max_percent; /* of what Larder holds plus what is free; 0: max_size counts */
    uint64_t min_free;
    unsigned min_free_percent;         /* of the same; 0: min_free counts */
    const struct retain_rules *retain; /* NULL: nothing goes by itself; outlives the store */
    bool keep_all;                     /* nothing gives way: it could not be fetched again */
    struct pool *disk; /* where blocking work goes; not freed before store_quiesce() */
    struct pool *idle; /* and such that nobody waits for; likewise. NULL: `disk` */
    const struct store_state *inherited; /* store/handover.h; NULL: no process was before */
};

/* Opens or creates the data directory: takes the lock (one server a directory), opens the index
 * (rebuilt from its copy or the blobs where it cannot be read), cleans up after a crash. Blocks;
 * logs progress where it takes long. NULL: *err names the thing, the cause and the remedy;
 * ERR_IN_USE: another process has the directory. */
struct store *store_open(const struct store_options *options, struct err *err) MUST_CHECK;
/* Limits and retention of `options` from now on, whatever else they say. False: retention is at
 * work with the rules before, which must stay; ask again. Any thread; does not block. */
bool store_renew(struct store *s, const struct store_options *options) MUST_CHECK;
/* Begins nothing more of the store's own on the disk pool, and waits for the end of what is there:
 * the pool may then be freed, with the work of others that still uses the store, and the store be
 * closed after it. Blocks. NULL is allowed. */
void store_quiesce(struct store *s);
/* Quiesces, commits what is queued, syncs what was pulled, writes index.bak, marks the clean stop,
 * lets go of the lock. Blocks. Nobody uses the store any more; done() of changes that were under
 * way runs where their loop still does. */
void store_close(struct store *s);

/* The pool that blocking work goes to, and the one for such that nobody waits for. */
struct pool *store_disk(const struct store *s);
struct pool *store_idle(const struct store *s);
const char *store_dir(const struct store *s);

/* Bytes held, partial files among them, and the most that may be (as of now). Any thread; cheap:
 * the disk is asked once a second at most. */
uint64_t store_bytes(const struct store *s);
uint64_t store_budget(const struct store *s);
/* What an operator wants to see of it. */
#define STORE_CLASSES 4
struct store_numbers {
    uint64_t held;                 /* store_bytes() */
    uint64_t budget;               /* store_budget() */
    uint64_t free;                 /* on the disk of the data directory */
    uint64_t blobs[STORE_CLASSES]; /* by class, as the index has them */
    uint64_t blob_bytes[STORE_CLASSES];
    uint64_t index; /* bytes in use, and how many it may become */
    uint64_t index_max;
};
/* As of now; asks the disk. Any thread. */
struct store_numbers store_numbers(const struct store *s);
/* "layer", "manifest", "config", "other". */
const char *store_class_name(size_t class);

/* Whether `size` more bytes may be kept: cache.max_size and cache.min_free. Counts what flights
 * have reserved. Any thread. */
bool store_reserve(struct store *s, uint64_t size) MUST_CHECK;
void store_release(struct store *s, uint64_t size);
/* Whether they might be, once others have given way. Any thread; asks the disk. */
bool store_may_hold(struct store *s, uint64_t size) MUST_CHECK;

/* Opens a whole blob for reading; the caller closes. -1: ERR_STORE. Where the file is missing, or
 * cannot be opened, or its size is not what the index says, it is forgotten behind this answer (and
 * moved to quarantine), so that the next request fetches it again. One openat and one fstat; loop
 * threads may. */
int store_open_blob(struct store *s, const struct digest *d, uint64_t size,
                    struct err *err) MUST_CHECK;

struct blob_record; /* store/index.h */

/* Whether a record's bytes may be believed without hashing them again: they were synced, or written
 * since this machine was booted. Any thread. */
bool store_blob_trusted(const struct store *s, const struct blob_record *b);
/* Puts blobs on disk for certain, and says so in their records: before something that was answered
 * 201 depends on them. Those that are synced take no time. Whoever depends on one looks at its
 * record, in its own change: what could not be synced is not `synced` there, or gone. Blocks; not
 * on a loop. */
void store_sync_blobs(struct store *s, const struct digest *d, size_t n);
/* A client was told that the blob is here, and will name it: it stays for an hour. False: it cannot
 * be promised. Any thread. */
bool store_lease(struct store *s, const struct digest *d) MUST_CHECK;
/* They were hashed again and are right: the record will say so. Any thread; nobody waits. */
void store_mark_verified(struct store *s, const struct digest *d);
/* It could not be opened: looked at again, and forgotten where it is missing, has not `size` bytes
 * or, unless it was pushed, still cannot be opened. Once this returns, whoever asks the index is
 * not sent there again, and what is fetched anew takes its place. Blocks. */
void store_judge_blob(struct store *s, const struct digest *d, uint64_t size);
/* They are wrong, or cannot be read, as read from fd: the file goes to quarantine/, the record
 * goes, unless another file has taken its place. Blocks; index first. */
void store_quarantine(struct store *s, const struct digest *d, int fd);

#endif
