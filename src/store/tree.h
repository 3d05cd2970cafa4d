/*
 * store/tree.h - the data directory's folders and the files in them, by descriptor.
 *
 * Names come from digests only, and all opens are relative to descriptors, so that no path can lead
 * elsewhere. All functions may block; any thread.
 *
 *   blobs/sha256/ab/cdef…   whole blobs        ingest/       under way
 *   blobs/sha512/ab/cdef…                      quarantine/   once right and bad now
 */
#ifndef STORE_TREE_H
#define STORE_TREE_H

#include "base/err.h"
#include "oci/digest.h"

#define TREE_NAME_MAX 160

/* Owner: the store. Constant after tree_open(). */
struct tree {
    char *path; /* as configured, for messages */
    int root;
    int ingest;
    int quarantine;
    int blobs[3];       /* by algorithm */
    int shards[3][256]; /* by algorithm and first byte; -1: not opened yet */
};

/* Opens the data directory, making what is missing. -1 with ERR_CONFIG: not a directory, not
 * writable, full, … and the remedy. */
int tree_open(struct tree *t, const char *path, struct err *err) MUST_CHECK;
void tree_close(struct tree *t);

/* Opens a blob for reading; *ret_size is its size now. -1 with errno. */
int tree_open_blob(const struct tree *t, const struct digest *d, uint64_t *ret_size) MUST_CHECK;
/* Renames ingest/NAME to the blob's place (replacing what is there, which is the same bytes). With
 * `sync`, the folder is synced after. -1 with errno. */
int tree_adopt(const struct tree *t, const char *name, const struct digest *d,
               bool sync) MUST_CHECK;
/* Syncs the folder in which the blob lies. */
int tree_sync_folder(const struct tree *t, const struct digest *d) MUST_CHECK;
/* Removes a blob's file; one that is not there is no error. */
int tree_remove_blob(const struct tree *t, const struct digest *d) MUST_CHECK;
/* Moves a blob's file to quarantine/. */
int tree_quarantine_blob(const struct tree *t, const struct digest *d) MUST_CHECK;

/* Calls f for each blob file whose name is a digest, with its size, until f says false. Other files
 * are passed over. -1 with errno where a folder cannot be read. */
int tree_each_blob(const struct tree *t,
                   bool (*f)(void *arg, const struct digest *d, uint64_t size), void *arg);

#endif
