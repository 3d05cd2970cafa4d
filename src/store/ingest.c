/* store/ingest.c - files in ingest/, their room and their three ends. */
#include "store/ingest.h"

#include "base/clock.h"
#include "base/counter.h"
#include "base/fault.h"
#include "base/file.h"
#include "store/claim.h"
#include "store/evict.h"
#include "store/gate.h"
#include "store/handover.h"
#include "store/inner.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define ROOM_TRIES 16
#define WRITE_BACK ((uint64_t)8 << 20)
#define WRITE_BACK_WINDOW ((uint64_t)32 << 20)
/* Reserved at a time where the size is not known; in a small store such a part of it. */
#define GROW ((uint64_t)8 << 20)
#define GROW_PART 16

/* --- errors -------------------------------------------------------------------------------- */

/* What is written, as errors name it: a session's digest is told last. */
static const char *ingest_text(const struct ingest *in, char text[DIGEST_TEXT_MAX])
{
    return in->digest.alg == 0 ? in->name : digest_text(&in->digest, text);
}

static int ingest_error(const struct ingest *in, int error, const char *doing, struct err *err)
{
    bool full = error == ENOSPC || error == EDQUOT || error == EFBIG;
    char text[DIGEST_TEXT_MAX];

    count(store_errors);
    return err_set(err, full ? ERR_NO_SPACE : ERR_STORE, "%s: %s %s: %s", in->store->dir, doing,
                   ingest_text(in, text), strerror(error));
}

static int no_room(const struct ingest *in, uint64_t size, bool or_more, struct err *err)
{
    struct budget *b = in->store->budget;
    char text[DIGEST_TEXT_MAX];

    return err_set(err, ERR_NO_SPACE,
                   "%.80s: no room for %" PRIu64 " bytes%s: %" PRIu64 " are held, and %" PRIu64
                   " may be (cache.max_size, cache.min_free); %s",
                   in->store->dir, size, or_more ? " or more" : "", budget_held(b), budget_max(b),
                   ingest_text(in, text));
}

/* --- opening ------------------------------------------------------------------------------- */

const char *ingest_file_name(const struct digest *d, char out[INGEST_NAME_MAX])
{
    char hex[2 * sizeof(d->bytes) + 1];

    hex_encode(d->bytes, digest_size(d), hex);
    snprintf(out, INGEST_NAME_MAX, "%s-%s", digest_alg_name(d), hex);
    return out;
}

/* The digest's name for whoever has the claim, which a later download finds; else its own. */
static void ingest_name(struct ingest *in)
{
    static atomic_uint number;
    size_t n = strlen(ingest_file_name(&in->digest, in->name));

    if (in->claim == NULL) {
        snprintf(in->name + n, sizeof(in->name) - n, ".%08" PRIx32 "-%x", in->store->session,
                 atomic_fetch_add(&number, 1));
    }
}

/* What an earlier download left, as far as the index knows. */
static bool find_partial(struct ingest *in)
{
    struct index_read *r = index_read_begin(in->store);
    bool found;

    if (r == NULL) {
        return false;
    }
    found = index_get_partial(r, &in->digest, &in->partial) == INDEX_FOUND;
    index_read_end(r);
    return found;
}

static bool partial_is_useful(const struct partial_record *p, uint64_t size)
{
    bool fits = size == UINT64_MAX || p->size == UINT64_MAX || p->size == size;

    return fits && p->stored > 0 && p->stored <= size && p->state_len > 0 &&
           clock_wall_s() - p->touched < PARTIAL_S;
}

/* The lock says to other processes that somebody writes it: one that finishes what it began, or
 * has taken over. It goes with the descriptor. */
static bool lock_file(int fd)
{
    return flock(fd, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK;
}

bool ingest_is_anothers(struct store *s, const char *name)
{
    _cleanup_close_ int fd = -1;

    if (!atomic_load(&s->before) && store_successor(s) == NULL) {
        return false;
    }
    fd = openat(s->tree.ingest, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    return fd >= 0 && !lock_file(fd);
}

/* The file as it is, cut to what is resumed; what is shorter than it should be begins anew. */
static int open_file(struct ingest *in, struct err *err)
{
    struct stat st;

    in->fd = fault_errno("ingest.open", EIO)
                 ? -1
                 : openat(in->store->tree.ingest, in->name,
                          O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (in->fd >= 0 && !lock_file(in->fd)) {
        close(in->fd);
        in->fd = -1;
        errno = EBUSY;
    }
    if (in->fd < 0 || fstat(in->fd, &st) < 0) {
        return ingest_error(in, errno, "opening", err);
    }
    if ((uint64_t)st.st_size < in->resumed) {
        in->resumed = 0;
    }
    if (st.st_size > 0 && ftruncate(in->fd, (off_t)in->resumed) < 0) {
        return ingest_error(in, errno, "opening", err);
    }
    return 0;
}

/* File systems that cannot set room aside are written to without. */
static int allocate(struct ingest *in, struct err *err)
{
    int rc;

    if (in->reserved == 0 || in->store->tree.in_memory) {
        return 0;
    }
    do {
        rc = fault_errno("ingest.allocate", EIO)
                 ? -1
                 : fallocate(in->fd, FALLOC_FL_KEEP_SIZE, 0, (off_t)in->reserved);
    } while (rc < 0 && errno == EINTR);
    if (rc == 0) {
        in->allocated = true;
        budget_back(in->store->budget, in->reserved - atomic_load(&in->backed));
        atomic_store(&in->backed, in->reserved);
        return 0;
    }
    if (errno == EOPNOTSUPP || errno == ENOSYS) {
        return 0;
    }
    return ingest_error(in, errno, "allocating", err);
}

/* Others give way where there is none. What gave way may be taken by somebody else at once, who
 * needed it as well: then more of them do. Where another process takes over just then, none do, and
 * they need not. */
static bool take_room(struct store *s, uint64_t size, uint64_t backed)
{
    for (unsigned tries = 0; tries < ROOM_TRIES; tries++) {
        if (budget_reserve(s->budget, size, backed)) {
            return true;
        }
        if (!evict_make_room(s, size, backed)) {
            return budget_reserve(s->budget, size, backed);
        }
    }
    return false;
}

static int reserve(struct ingest *in, uint64_t size, struct err *err)
{
    uint64_t want = size == UINT64_MAX ? in->resumed : size;

    if (!take_room(in->store, want, in->resumed)) {
        return no_room(in, want, false, err);
    }
    in->reserved = want;
    atomic_store(&in->backed, in->resumed);
    return 0;
}

/* Lets go of everything but the file itself. */
static void ingest_release(struct ingest *in)
{
    budget_release(in->store->budget, in->reserved + atomic_load(&in->grown),
                   atomic_load(&in->backed));
    in->reserved = 0;
    atomic_store(&in->grown, 0);
    atomic_store(&in->backed, 0);
    if (in->fd >= 0) {
        flock(in->fd, LOCK_UN); /* a program that is just being started may still have it open */
        close(in->fd);
    }
    in->fd = -1;
    in->name[0] = '\0';
    claim_drop(in->store->claims, in->claim);
    in->claim = NULL;
}

int ingest_open(struct ingest *in, struct store *s, const struct digest *d, uint64_t size,
                bool resume, struct err *err)
{
    uint64_t parked = 0;

    *in = (struct ingest){.store = s, .digest = *d, .fd = -1};
    in->claim = claim_take(s->claims, d);
    ingest_name(in);
    if (in->claim != NULL && ingest_is_anothers(s, in->name)) {
        claim_drop(s->claims, in->claim);
        in->claim = NULL;
        ingest_name(in);
    }
    if (in->claim != NULL) {
        parked = budget_unpark(s->budget, d);
    }
    if (in->claim != NULL && resume && find_partial(in) && partial_is_useful(&in->partial, size)) {
        in->resumed = in->partial.stored;
    }
    if (reserve(in, size, err) == 0 && open_file(in, err) == 0 && allocate(in, err) == 0) {
        return 0;
    }
    if (in->fd >= 0 && in->resumed == 0) {
        unlinkat(s->tree.ingest, in->name, 0);
    } else if (in->claim != NULL) {
        budget_park(s->budget, d, parked); /* it waits on */
    }
    if (in->fd >= 0 && in->resumed > 0) {
        ignore_result(ftruncate(in->fd, (off_t)in->resumed) < 0);
    }
    ingest_release(in);
    in->resumed = 0;
    return -1;
}

int ingest_open_named(struct ingest *in, struct store *s, const char *name, uint64_t stored,
                      struct err *err)
{
    *in = (struct ingest){.store = s, .fd = -1, .resumed = stored};
    snprintf(in->name, sizeof(in->name), "%s", name);
    if (reserve(in, UINT64_MAX, err) == 0 && open_file(in, err) == 0) {
        if (in->resumed == stored) {
            return 0;
        }
        err_set(err, ERR_STORE, "%s/ingest/%s is shorter than it was", s->dir, name);
    }
    ingest_release(in);
    return -1;
}

int ingest_open_whole(struct ingest *in, struct store *s, const char *name, const struct digest *d,
                      uint64_t size, struct err *err)
{
    struct stat st;

    *in = (struct ingest){.store = s, .digest = *d, .fd = -1, .resumed = size};
    snprintf(in->name, sizeof(in->name), "%s", name);
    if (reserve(in, size, err) < 0) {
        return -1;
    }
    in->fd = openat(s->tree.ingest, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (in->fd >= 0 && fstat(in->fd, &st) == 0 && S_ISREG(st.st_mode) &&
        (uint64_t)st.st_size == size) {
        return 0;
    }
    if (in->fd < 0) {
        ingest_error(in, errno, "opening", err);
    } else {
        err_set(err, ERR_STORE, "%s/ingest/%s is not of %" PRIu64 " bytes", s->dir, name, size);
    }
    ingest_release(in);
    return -1;
}

/* --- writing ------------------------------------------------------------------------------- */

/* How much is reserved at once: so that others are seldom asked to give way, and no more than is to
 * come. */
static uint64_t grow_step(const struct ingest *in, uint64_t reserved)
{
    uint64_t step = budget_max(in->store->budget) / GROW_PART;

    step = step < GROW ? step : GROW;
    return in->expected > reserved && in->expected - reserved < step ? in->expected - reserved
                                                                     : step;
}

/* More came than was reserved: the size was not known, or was wrong. Where a step does not fit,
 * what came may. */
static int grow(struct ingest *in, uint64_t end, struct err *err)
{
    uint64_t reserved;

    while (end > (reserved = in->reserved + atomic_load(&in->grown))) {
        uint64_t least = end - reserved;
        uint64_t step = grow_step(in, reserved);

        if (step <= least || !take_room(in->store, step, 0)) {
            step = least;
            if (!take_room(in->store, step, 0)) {
                return in->expected < end ? no_room(in, end, true, err)
                                          : no_room(in, in->expected, false, err);
            }
        }
        atomic_fetch_add(&in->grown, step);
    }
    return 0;
}

/* What a sync of this range says: that of a file system that has none is nothing. */
static int sync_range(int fd, uint64_t from, unsigned flags)
{
    if (sync_file_range(fd, (off_t)from, (off_t)WRITE_BACK, flags) == 0 ||
        (errno != EIO && errno != ENOSPC && errno != EDQUOT)) {
        return 0;
    }
    return -1;
}

/* Whenever a write passes another 8 MiB: write-back of those before begins, and those that are
 * 32 MiB behind are waited for, so that the disk's backlog stays bounded. */
static int write_back(int fd, uint64_t offset, size_t n)
{
    uint64_t passed = (offset + n) / WRITE_BACK * WRITE_BACK;

    if (passed == 0 || passed <= offset) {
        return 0;
    }
    if (sync_range(fd, passed - WRITE_BACK, SYNC_FILE_RANGE_WRITE) < 0) {
        return -1;
    }
    if (passed < WRITE_BACK_WINDOW) {
        return 0;
    }
    return sync_range(fd, passed - WRITE_BACK_WINDOW,
                      SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE |
                          SYNC_FILE_RANGE_WAIT_AFTER);
}

static int spoil(struct ingest *in)
{
    atomic_store(&in->spoilt, true);
    return -1;
}

/* Pages whose write failed count as clean: the next sync would succeed without them. */
static bool is_spoilt(const struct ingest *in)
{
    return atomic_load(&in->spoilt) && ((errno = EIO), true);
}

int ingest_sync(struct ingest *in)
{
    if (is_spoilt(in)) {
        return -1;
    }
    return fault_errno("ingest.fsync", EIO) || fdatasync(in->fd) < 0 ? spoil(in) : 0;
}

int ingest_write(struct ingest *in, const void *p, size_t n, uint64_t offset, struct err *err)
{
    if (grow(in, offset + n, err) < 0) {
        return -1;
    }
    if (is_spoilt(in) || fault_errno("ingest.write", EIO) || fault_errno("ingest.full", ENOSPC) ||
        file_pwrite_all(in->fd, p, n, offset) < 0) {
        return ingest_error(in, errno, "writing", err);
    }
    if (write_back(in->fd, offset, n) < 0) {
        int error = errno;

        spoil(in);
        return ingest_error(in, error, "writing", err);
    }
    if (!in->allocated) {
        atomic_fetch_add(&in->backed, n);
        budget_back(in->store->budget, n);
    }
    return 0;
}

int ingest_restart(struct ingest *in, struct err *err)
{
    in->resumed = 0;
    if (ftruncate(in->fd, 0) < 0) {
        return ingest_error(in, errno, "emptying", err);
    }
    atomic_store(&in->spoilt, false);
    budget_release(in->store->budget, 0, atomic_load(&in->backed));
    atomic_store(&in->backed, 0);
    in->allocated = false;
    return allocate(in, err);
}

/* --- the ends ------------------------------------------------------------------------------ */

/* Whether a good copy is on disk already: what is synced is not replaced by what is not. */
static bool is_here_already(const struct ingest *in, uint64_t size)
{
    struct index_read *r = index_read_begin(in->store);
    struct blob_record b;
    bool here;

    if (r == NULL) {
        return false;
    }
    here = index_get_blob(r, &in->digest, &b) == INDEX_FOUND && b.synced && b.size == size;
    index_read_end(r);
    return here && tree_size(&in->store->tree, &in->digest) == (int64_t)size;
}

static int commit_file(struct ingest *in, bool sync, struct err *err)
{
    if (tree_take(&in->store->tree, in->name, &in->digest) < 0) {
        return ingest_error(in, errno, "moving", err);
    }
    in->name[0] = '\0';
    if (sync && tree_sync_folder(&in->store->tree, &in->digest) < 0) {
        int error = errno;

        ignore_result(tree_remove(&in->store->tree, &in->digest) < 0);
        return ingest_error(in, error, "syncing the folder of", err);
    }
    return 0;
}

static int sync_or_fail(struct ingest *in, struct err *err)
{
    return ingest_sync(in) < 0 ? ingest_error(in, errno, "syncing", err) : 0;
}

/* Within the gate. */
static int place_file(struct ingest *in, uint64_t size, bool sync, bool synced, struct err *err)
{
    in->was_here = is_here_already(in, size);
    if (!in->was_here && sync && !synced && sync_or_fail(in, err) < 0) {
        return -1;
    }
    if (!in->was_here) {
        return commit_file(in, sync, err);
    }
    unlinkat(in->store->tree.ingest, in->name, 0);
    in->name[0] = '\0';
    return 0;
}

/* Whether the directory went over to another process, which alone puts blobs there. */
static bool is_anothers(const struct ingest *in, struct err *err)
{
    if (store_successor(in->store) == NULL) {
        return false;
    }
    err_set(err, ERR_UNAVAILABLE, "%s: another process has taken over", in->store->dir);
    return true;
}

int ingest_commit(struct ingest *in, uint64_t size, bool sync, struct err *err)
{
    bool synced = sync && !is_here_already(in, size); /* others would wait for it at the gate */

    if (is_anothers(in, err)) {
        return -1;
    }
    if (is_spoilt(in) || fault_errno("ingest.cut", EIO) || ftruncate(in->fd, (off_t)size) < 0) {
        return ingest_error(in, errno, "cutting", err);
    }
    if (synced && sync_or_fail(in, err) < 0) {
        return -1;
    }
    gate_enter(in->store->gate, &in->digest);
    in->gated = true;
    if (is_anothers(in, err)) { /* since it waited */
        ingest_recorded(in);
        return -1;
    }
    if (place_file(in, size, sync, synced, err) < 0) {
        ingest_recorded(in);
        return -1;
    }
    budget_hand(in->store->budget, &in->digest, in->reserved + atomic_load(&in->grown),
                atomic_load(&in->backed));
    in->reserved = 0;
    atomic_store(&in->grown, 0);
    atomic_store(&in->backed, 0);
    claim_drop(in->store->claims, in->claim);
    in->claim = NULL;
    return 0;
}

void ingest_moved(struct ingest *in)
{
    in->name[0] = '\0';
}

void ingest_recorded(struct ingest *in)
{
    if (in->gated) {
        in->gated = false;
        gate_leave(in->store->gate, &in->digest);
    }
}

int ingest_keep(struct ingest *in, struct partial_record *p, struct err *err)
{
    struct stat st;

    if (in->claim == NULL || in->fd < 0 || p->stored == 0 || fstat(in->fd, &st) < 0 ||
        (uint64_t)st.st_size < p->stored) {
        return err_set(err, ERR_STORE, "this part of a blob cannot be kept");
    }
    if (ftruncate(in->fd, (off_t)p->stored) < 0 || ingest_sync(in) < 0 ||
        fault_errno("ingest.folder", EIO) || fsync(in->store->tree.ingest) < 0) {
        return ingest_error(in, errno, "keeping a part of", err);
    }
    p->touched = clock_wall_s();
    budget_park(in->store->budget, &in->digest, p->stored);
    ingest_release(in);
    return 0;
}

void ingest_close(struct ingest *in)
{
    if (in->store != NULL) {
        ingest_release(in);
    }
}

void ingest_drop(struct ingest *in)
{
    if (in->store == NULL) {
        return;
    }
    if (in->name[0] != '\0') {
        unlinkat(in->store->tree.ingest, in->name, 0);
    }
    ingest_release(in);
}
