/*
 * store/tree.h - the folders of blobs, of what is on its way and of what was found bad.
 *
 *     blobs/sha256/ab/cdef…    a whole blob, named by its digest
 *     ingest/NAME              being written; ingest.h
 *     quarantine/DIGEST.TIME   found bad; 1 GiB and 7 days at most
 *
 * Names come from digests only, so that no path can lead out. Everything blocks but opening a
 * blob, which loop threads may. Any thread; failure is -1 with errno.
 */
#ifndef STORE_TREE_H
#define STORE_TREE_H

#include "base/err.h"
#include "oci/digest.h"

#include <stdatomic.h>
#include <sys/types.h>

/* Owner: the store. Thread: any; the descriptors never change once it is open. */
struct tree {
    int blobs;
    int ingest;
    int quarantine;
    bool in_memory;          /* setting room aside there is work, and gains nothing */
    _Atomic unsigned making; /* how many threads make a folder below `blobs` */
    _Atomic uint64_t made;   /* folders there, and 1 for those found at start */
    _Atomic uint64_t synced; /* as many of them are on disk for certain */
};

/* 256 folders of each algorithm, made when they are first needed: that takes some 100 ms for all of
 * them on a busy disk. */
#define TREE_FOLDERS 512
#define TREE_PATH_MAX 160

/* Opens the folders below `dir_fd`, making those that are missing. `dir` is for messages. */
int tree_open(struct tree *t, int dir_fd, const char *dir, struct err *err) MUST_CHECK;
void tree_close(struct tree *t);

/* "sha256/ab/cdef…", relative to `blobs`; gives buf. */
const char *tree_path(const struct digest *d, char buf[TREE_PATH_MAX]);

/* For reading, close-on-exec. */
int tree_open_blob(const struct tree *t, const struct digest *d);
/* Its size, or -1. */
int64_t tree_size(const struct tree *t, const struct digest *d);
/* Makes ingest/`name` the blob, in place of whatever was there. */
int tree_take(struct tree *t, const char *name, const struct digest *d) MUST_CHECK;
/* Syncs the folder that holds it, and those above where they are new. */
int tree_sync_folder(struct tree *t, const struct digest *d) MUST_CHECK;
int tree_remove(const struct tree *t, const struct digest *d) MUST_CHECK;
/* Moves it to quarantine/, and removes there what is too old or too much. */
int tree_quarantine(const struct tree *t, const struct digest *d) MUST_CHECK;
/* What lies there, TREE_QUARANTINE_MAX at most, in no order: how many were put into `ret`. */
#define TREE_QUARANTINE_MAX 4096
size_t tree_quarantined(const struct tree *t, struct digest *ret);

/* Calls f for each blob in folder `n` (0 to TREE_FOLDERS - 1), whose path below `blobs` is given
 * too, until it says false. What is named otherwise is passed over. A missing folder is empty. */
int tree_each(const struct tree *t, unsigned n,
              bool (*f)(void *arg, const struct digest *d, const char *path), void *arg) MUST_CHECK;

#endif
