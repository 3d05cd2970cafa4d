/* store/sync.c - batches of files to sync. */
#include "store/sync.h"

#include "base/clock.h"
#include "base/counter.h"
#include "base/fault.h"
#include "base/log.h"
#include "store/writer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define SYNC_MS 5000
/* Files of one batch, which one change of the index marks: each has a page of its own there, and
 * LMDB keeps the memory for good. */
#define BATCH_MAX 500

/* One blob of a batch. */
struct synced {
    struct digest digest;
    bool good; /* it is on disk, its folder too */
};

/* Owner: the store. Thread: the writer's; the batch is the pool's while the job runs. */
struct sync {
    struct store *store;
    struct digest *pending;
    size_t n_pending;
    size_t cap_pending;
    uint64_t due_ms; /* of the oldest pending one */
    struct synced *batch;
    size_t n_batch; /* 0: no batch is under way */
    struct store_job job;
    struct index_write write;
};

/* --- on the disk pool ---------------------------------------------------------------------- */

/* Write-back starts for all of them before the first one is waited for. */
static void start_write_back(struct store *s, const struct digest *d)
{
    int fd = tree_open_blob(&s->tree, d);

    if (fd >= 0) {
        ignore_result(sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE) < 0);
        close(fd);
    }
}

/* A file whose sync failed once is lost: the kernel will not say so again. */
static void sync_failed(struct store *s, const struct digest *d, int fd)
{
    char text[DIGEST_TEXT_MAX];
    const char *why = strerror(errno);

    count(store_errors);
    log_event(LOG_ERROR, "store.sync", "%s: %s cannot be put on disk: %s; it is removed", s->dir,
              digest_text(d, text), why);
    ignore_result(!store_forget(s, d, fd, false));
}

/* Gone already: whoever removed it has seen to its record. */
static bool sync_file(struct store *s, const struct digest *d)
{
    _cleanup_close_ int fd = tree_open_blob(&s->tree, d);

    if (fd < 0) {
        return false;
    }
    if (fault_at("blob.fsync")) {
        errno = EIO;
    } else if (fdatasync(fd) == 0) {
        return true;
    }
    sync_failed(s, d, fd);
    return false;
}

static bool same_folder(const struct digest *a, const struct digest *b)
{
    return a->alg == b->alg && a->bytes[0] == b->bytes[0];
}

/* The batch is sorted, so that the blobs of a folder stand together. */
static void sync_folders(struct store *s, struct synced *batch, size_t n)
{
    for (size_t i = 0, next; i < n; i = next) {
        bool any = false;

        for (next = i; next < n && same_folder(&batch[i].digest, &batch[next].digest); next++) {
            any = any || batch[next].good;
        }
        if (any && tree_sync_folder(&s->tree, &batch[i].digest) < 0) {
            count(store_errors);
            log_event(LOG_ERROR, "store.sync", "%s: a folder cannot be put on disk: %s", s->dir,
                      strerror(errno));
            for (size_t k = i; k < next; k++) {
                batch[k].good = false;
            }
        }
    }
}

static void sync_batch(struct store *s, struct synced *batch, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        start_write_back(s, &batch[i].digest);
    }
    for (size_t i = 0; i < n; i++) {
        batch[i].good = sync_file(s, &batch[i].digest);
    }
    sync_folders(s, batch, n);
}

static void sync_run(struct store *s)
{
    struct sync *y = s->sync;

    sync_batch(s, y->batch, y->n_batch);
    index_write_submit(s, NULL, &y->write);
}

/* --- on the writer thread ------------------------------------------------------------------ */

static bool is_pending(const struct sync *y, const struct digest *d)
{
    return y->n_pending > 0 &&
           bsearch(d, y->pending, y->n_pending, sizeof(*y->pending), digest_order) != NULL;
}

/* Recorded anew by a change of this very transaction, which nobody was told of yet. */
static bool is_recorded_anew(const struct index_txn *t, const struct digest *d)
{
    for (size_t i = 0; i < t->n_unsynced; i++) {
        if (digest_equal(&t->unsynced[i], d)) {
            return true;
        }
    }
    return false;
}

static void mark_apply(struct index_write *w, struct index_txn *t)
{
    struct sync *y = container_of(w, struct sync, write);

    if (y->n_pending > 0) {
        qsort(y->pending, y->n_pending, sizeof(*y->pending), digest_order);
    }
    for (size_t i = 0; i < y->n_batch; i++) {
        struct synced *one = &y->batch[i];
        struct blob_record b;

        if (one->good && !is_pending(y, &one->digest) && !is_recorded_anew(t, &one->digest) &&
            index_txn_get_blob(t, &one->digest, &b) == INDEX_FOUND && !b.synced &&
            b.boot == y->store->boot) {
            b.synced = true;
            index_txn_put_blob(t, &one->digest, &b);
        }
    }
}

static void batch_end(struct sync *y)
{
    free(y->batch);
    y->batch = NULL;
    y->n_batch = 0;
}

/* Where the index refused, they stay unsynced there: hashed once more after the next boot. */
static void mark_done(struct index_write *w)
{
    batch_end(container_of(w, struct sync, write));
}

static void batch_begin(struct sync *y)
{
    size_t n = y->n_pending < BATCH_MAX ? y->n_pending : BATCH_MAX;

    qsort(y->pending, y->n_pending, sizeof(*y->pending), digest_order);
    y->batch = xcalloc(n, sizeof(*y->batch));
    y->n_batch = n;
    for (size_t i = 0; i < n; i++) {
        y->batch[i].digest = y->pending[i];
    }
    memmove(y->pending, y->pending + n, (y->n_pending - n) * sizeof(*y->pending));
    y->n_pending -= n;
}

void sync_add(struct sync *y, const struct digest *d, size_t n)
{
    if (n == 0) {
        return;
    }
    if (y->n_pending == 0) {
        y->due_ms = clock_mono_ms() + SYNC_MS;
    }
    if (y->n_pending + n > y->cap_pending) {
        y->cap_pending = 2 * (y->n_pending + n);
        y->pending = xrealloc(y->pending, y->cap_pending * sizeof(*y->pending));
    }
    memcpy(y->pending + y->n_pending, d, n * sizeof(*d));
    y->n_pending += n;
}

/* The job could not be started: the store closes, or the one before has not quite ended. */
static void batch_undo(struct sync *y)
{
    for (size_t i = 0; i < y->n_batch; i++) {
        sync_add(y, &y->batch[i].digest, 1);
    }
    batch_end(y);
}

uint64_t sync_tick(struct sync *y, uint64_t now)
{
    if (y->n_pending == 0 || y->n_batch > 0) {
        return UINT64_MAX; /* the end of the batch wakes the writer */
    }
    if (now < y->due_ms) {
        return y->due_ms;
    }
    batch_begin(y);
    if (!store_job_start(y->store, &y->job)) {
        batch_undo(y);
        return now + SYNC_MS;
    }
    y->due_ms = now;
    return UINT64_MAX;
}

/* --- at once ------------------------------------------------------------------------------- */

/* One of those that somebody waits for. The file that was synced is known by its inode: a download
 * may put another in its place. */
struct wanted {
    struct digest digest;
    ino_t inode; /* 0: it could not be synced */
};

/* Owner: store_sync_blobs(). */
struct sync_now {
    struct index_write write;
    struct store *store;
    struct wanted *wanted;
    size_t n;
};

static ino_t inode_of(const struct store *s, const struct digest *d)
{
    char path[TREE_PATH_MAX];
    struct stat st;

    return fstatat(s->tree.blobs, tree_path(d, path), &st, AT_SYMLINK_NOFOLLOW) == 0 ? st.st_ino
                                                                                     : 0;
}

static void now_apply(struct index_write *w, struct index_txn *t)
{
    struct sync_now *now = container_of(w, struct sync_now, write);

    for (size_t i = 0; i < now->n; i++) {
        const struct wanted *one = &now->wanted[i];
        struct blob_record b;

        if (one->inode != 0 && index_txn_get_blob(t, &one->digest, &b) == INDEX_FOUND &&
            !b.synced && store_blob_trusted(t->store, &b) &&
            inode_of(now->store, &one->digest) == one->inode) {
            b.synced = true;
            index_txn_put_blob(t, &one->digest, &b);
        }
    }
}

/* The files that are not synced yet, as the index has it. */
static size_t want(struct store *s, const struct digest *d, size_t n, struct wanted *out)
{
    struct index_read *r = index_read_begin(s);
    size_t found = 0;

    if (r == NULL) {
        return 0;
    }
    for (size_t i = 0; i < n; i++) {
        struct blob_record b;

        if (index_get_blob(r, &d[i], &b) == INDEX_FOUND && !b.synced && store_blob_trusted(s, &b)) {
            out[found++].digest = d[i];
        }
    }
    index_read_end(r);
    return found;
}

void store_sync_blobs(struct store *s, const struct digest *d, size_t n)
{
    struct sync_now now = {.write = {.apply = now_apply}, .store = s};
    struct err err;

    now.wanted = xcalloc(n + 1, sizeof(*now.wanted));
    now.n = want(s, d, n, now.wanted);
    for (size_t i = 0; i < now.n; i++) {
        start_write_back(s, &now.wanted[i].digest);
    }
    for (size_t i = 0; i < now.n; i++) {
        struct wanted *one = &now.wanted[i];

        one->inode = inode_of(s, &one->digest);
        if (!sync_file(s, &one->digest) || tree_sync_folder(&s->tree, &one->digest) < 0) {
            one->inode = 0;
        }
    }
    if (now.n > 0 && writer_wait(s, &now.write, &err) < 0) {
        log_event(LOG_ERROR, "index.refused", "blobs cannot be recorded as synced: %s", err.text);
    }
    free(now.wanted);
}

void sync_finish(struct sync *y)
{
    struct err err;

    while (y->n_pending > 0) {
        batch_begin(y);
        sync_batch(y->store, y->batch, y->n_batch);
        ignore_result(writer_apply(y->store, &y->write, &err) < 0);
        batch_end(y);
    }
}

struct sync *sync_new(struct store *s)
{
    struct sync *y = xnew(struct sync);

    y->store = s;
    y->job.store = s;
    y->job.run = sync_run;
    y->write = (struct index_write){.apply = mark_apply, .done = mark_done};
    list_init(&y->write.node);
    return y;
}

void sync_free(struct sync *y)
{
    if (y == NULL) {
        return;
    }
    free(y->pending);
    free(y->batch);
    free(y);
}
