/* store/backup.c - copies of the index, there and back. */
#include "store/backup.h"

#include "base/clock.h"
#include "base/counter.h"
#include "base/fault.h"
#include "base/file.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define BACKUP_MS (3600 * 1000)
/* A larger index is not copied at a stop, which must not take long: the last hour's copy stays. */
#define BACKUP_AT_STOP_BYTES ((uint64_t)256 << 20)
#define BACKUP_NEW BACKUP_NAME ".new"
#define PIECE ((size_t)1 << 20)

/* Owner: the store. Thread: the writer's. */
struct backup {
    struct store *store;
    atomic_bool changed; /* since the last copy began */
    uint64_t due_ms;
    struct store_job job;
};

static int write_copy(struct store *s, struct err *err)
{
    _cleanup_close_ int fd =
        openat(s->dir_fd, BACKUP_NEW, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);

    if (fd < 0) {
        return err_set(err, ERR_STORE, "%s/" BACKUP_NEW ": %s", s->dir, strerror(errno));
    }
    if (db_copy(s->db, fd, err) < 0) {
        return -1;
    }
    if (fault_errno("backup.fsync", EIO) || fsync(fd) < 0 || fault_errno("backup.rename", EIO) ||
        renameat(s->dir_fd, BACKUP_NEW, s->dir_fd, BACKUP_NAME) < 0 || fsync(s->dir_fd) < 0) {
        return err_set(err, ERR_STORE, "%s/" BACKUP_NAME ": %s", s->dir, strerror(errno));
    }
    return 0;
}

static void backup_run(struct store *s)
{
    struct err err;

    atomic_store(&s->backup->changed, false);
    if (write_copy(s, &err) == 0) {
        return;
    }
    atomic_store(&s->backup->changed, true);
    unlinkat(s->dir_fd, BACKUP_NEW, 0);
    count(store_errors);
    log_event(LOG_WARN, "index.copy", "no copy of the index was made: %s", err.text);
}

struct backup *backup_new(struct store *s)
{
    struct backup *b = xnew(struct backup);

    b->store = s;
    b->due_ms = clock_mono_ms() + BACKUP_MS;
    b->job.store = s;
    b->job.run = backup_run;
    return b;
}

void backup_free(struct backup *b)
{
    free(b);
}

void backup_note(struct backup *b)
{
    atomic_store_explicit(&b->changed, true, memory_order_relaxed);
}

uint64_t backup_tick(struct backup *b, uint64_t now)
{
    if (!atomic_load(&b->changed)) {
        return UINT64_MAX; /* the change will tick */
    }
    if (now >= b->due_ms) {
        ignore_result(store_job_start(b->store, &b->job));
        b->due_ms = now + BACKUP_MS;
    }
    return b->due_ms;
}

void backup_finish(struct backup *b)
{
    if (atomic_load(&b->changed) && db_size(b->store->db) <= BACKUP_AT_STOP_BYTES) {
        backup_run(b->store);
    }
}

/* All of `from` to `to`, which may be on another file system. */
static bool copy_file(int from, int to)
{
    _cleanup_free_ char *piece = xcalloc(1, PIECE);
    uint64_t offset = 0;
    ssize_t n;

    while ((n = file_pread_all(from, piece, PIECE, offset)) > 0) {
        if (file_pwrite_all(to, piece, (size_t)n, offset) < 0) {
            return false;
        }
        offset += (uint64_t)n;
    }
    return n == 0 && fsync(to) == 0;
}

/* By a file of another name, so that a crash leaves no half of a copy in its place. */
bool backup_restore(int data_fd, const char *dir)
{
    _cleanup_close_ int from = openat(data_fd, BACKUP_NAME, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    _cleanup_close_ int at = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    _cleanup_close_ int to = -1;

    if (from < 0 || at < 0) {
        return false;
    }
    to = openat(at, DB_FILE ".new", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (to >= 0 && copy_file(from, to) && renameat(at, DB_FILE ".new", at, DB_FILE) == 0 &&
        fsync(at) == 0) {
        return true;
    }
    log_event(LOG_ERROR, "index.copy", "%s: the copy of the index cannot be put there: %s", dir,
              strerror(errno));
    unlinkat(at, DB_FILE ".new", 0);
    return false;
}
