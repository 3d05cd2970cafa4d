/*
 * fake_store.h - blobs and ingest files as memfds, and a disk that refuses when it is told to.
 */
#ifndef FAKE_STORE_H
#define FAKE_STORE_H

#include "base/file.h"
#include "fake_index.h"
#include "store/handover.h"

#include <sys/mman.h>

struct claim {
    int unused;
};

static struct {
    struct {
        struct digest digest;
        int fd;
        struct claim claim; /* its address says whose the file is */
        bool claimed;
    } files[FAKE_ROWS]; /* ingest/ */
    struct {
        struct digest digest;
        int fd;
    } blobs[FAKE_ROWS]; /* blobs/ */
    bool refuses_open, refuses_commit, refuses_keep;
    int refuses_write; /* the how many-th from now; 0: none */
    bool untrusted;    /* blobs are of another boot */
    uint64_t room;     /* what store_reserve() gives */
    uint64_t reserved;
    unsigned opens, quarantined;
    const struct successor *successor; /* that has the store now */
} disk = {.room = UINT64_MAX};

#define DISK_FIND(table, row, key)                                                                 \
    int row = -1;                                                                                  \
    for (int i = FAKE_ROWS - 1; i >= 0; i--) {                                                     \
        if (digest_equal(&disk.table[i].digest, key)) {                                            \
            row = i;                                                                               \
            break;                                                                                 \
        }                                                                                          \
        row = disk.table[i].digest.alg == 0 ? i : row;                                             \
    }

struct pool *store_disk(const struct store *s)
{
    (void)s;
    return NULL;
}

bool store_reserve(struct store *s, uint64_t size)
{
    (void)s;
    if (size > disk.room) {
        return false;
    }
    disk.reserved += size;
    return true;
}

void store_release(struct store *s, uint64_t size)
{
    (void)s;
    disk.reserved -= size;
}

bool store_may_hold(struct store *s, uint64_t size)
{
    (void)s;
    return size <= disk.room;
}

uint64_t store_budget(const struct store *s)
{
    (void)s;
    return disk.room;
}

const struct successor *store_successor(const struct store *s)
{
    (void)s;
    return disk.successor;
}

const struct successor *store_settled(struct store *s)
{
    return store_successor(s);
}

int store_open_blob(struct store *s, const struct digest *d, uint64_t size, struct err *err)
{
    DISK_FIND(blobs, row, d)
    (void)s;
    (void)size;
    if (row < 0 || disk.blobs[row].digest.alg == 0) {
        return err_set(err, ERR_STORE, "no file");
    }
    return dup(disk.blobs[row].fd);
}

bool store_blob_trusted(const struct store *s, const struct blob_record *b)
{
    (void)s;
    return b->synced || !disk.untrusted;
}

/* Puts a blob's file there, as it was or as a crash left it. */
static inline void disk_put_blob(const struct digest *d, const void *p, size_t n)
{
    DISK_FIND(blobs, row, d)
    disk.blobs[row].digest = *d;
    disk.blobs[row].fd = memfd_create("blob", MFD_CLOEXEC);
    assert(file_pwrite_all(disk.blobs[row].fd, p, n, 0) == 0);
}

static inline bool disk_has_blob(const struct digest *d)
{
    DISK_FIND(blobs, row, d)
    return row >= 0 && disk.blobs[row].digest.alg != 0;
}

static inline bool disk_has_file(const struct digest *d)
{
    DISK_FIND(files, row, d)
    return row >= 0 && disk.files[row].digest.alg != 0;
}

/* Empties disk and index. */
static inline void disk_reset(void)
{
    for (int i = 0; i < FAKE_ROWS; i++) {
        assert(!disk.files[i].claimed);
        if (disk.files[i].digest.alg != 0) {
            close(disk.files[i].fd);
        }
        if (disk.blobs[i].digest.alg != 0) {
            close(disk.blobs[i].fd);
        }
    }
    memset(&disk, 0, sizeof(disk));
    disk.room = UINT64_MAX;
    fake_index_reset();
}

void store_quarantine(struct store *s, const struct digest *d, int fd)
{
    DISK_FIND(blobs, row, d)
    (void)s;
    (void)fd;
    close(disk.blobs[row].fd);
    disk.blobs[row].digest = FAKE_NONE;
    index_del_blob(&fake.txn, d);
    disk.quarantined++;
}

#include "fake_ingest.h"

#endif
