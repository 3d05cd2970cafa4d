/*
 * store/ingest.h - a blob on its way into the store: a file in ingest/ that becomes one in blobs/.
 *
 *     open -> write... -> commit        the file is the blob
 *                      -> keep          it waits for a later download (24 h)
 *                      -> drop          it is gone
 *
 * All functions block: pool threads call them. One ingest is used by one thread at a time, except
 * that several may write to different places of it.
 */
#ifndef STORE_INGEST_H
#define STORE_INGEST_H

#include "store/index.h"

#include <stdatomic.h>

/* How long a partial file waits. */
#define PARTIAL_S (24 * 3600)

#define INGEST_NAME_MAX 160

struct claim;

/* Owner: whoever embeds it. Thread: see above. */
struct ingest {
    struct store *store;
    struct digest digest;
    int fd;            /* read and write; owned; -1: not open */
    uint64_t reserved; /* with store_reserve() */
    uint64_t resumed;  /* bytes that an earlier download left, hashed in `partial.state` */
    struct partial_record partial;
    char name[INGEST_NAME_MAX]; /* within ingest/; "": not there any more */
    struct claim *claim;
    bool gated;              /* between its rename and its record: store/gate.h */
    bool was_here;           /* a commit found the same blob, synced: that one stays */
    bool allocated;          /* the disk has set `reserved` bytes aside */
    atomic_bool spoilt;      /* the disk lost some of what was written */
    uint64_t expected;       /* bytes that it will have, where that is known later; 0: it is not */
    _Atomic uint64_t grown;  /* reserved besides, where more came than was said */
    _Atomic uint64_t backed; /* of all that is reserved, bytes that the disk has set aside */
};

/* Opens the file for a download of `digest`, of `size` bytes (UINT64_MAX: not known), which are
 * reserved and allocated ahead. With `resume`, what an earlier download left is taken up
 * (in->resumed > 0). -1: ERR_NO_SPACE (budget, min_free or the disk itself), ERR_STORE; nothing is
 * to be dropped then. */
int ingest_open(struct ingest *in, struct store *s, const struct digest *d, uint64_t size,
                bool resume, struct err *err) MUST_CHECK;
/* Opens the file `name` in ingest/ for bytes whose digest is not known yet, and of which `stored`
 * are there; what it holds beyond them is cut. Before its commit the caller sets in->digest. -1:
 * ERR_NO_SPACE, ERR_STORE (fewer are there); nothing is to be dropped then. */
int ingest_open_named(struct ingest *in, struct store *s, const char *name, uint64_t stored,
                      struct err *err) MUST_CHECK;
/* Takes up a file of that name in ingest/ whose bytes are all there and verified, by whoever wrote
 * it: for its commit. -1: ERR_NO_SPACE, ERR_STORE (it is no file of that size). */
int ingest_open_whole(struct ingest *in, struct store *s, const char *name, const struct digest *d,
                      uint64_t size, struct err *err) MUST_CHECK;
/* Writes; starts write-back every 8 MiB so that the last sync is short, and reserves what comes
 * beyond the size that was said. -1: ERR_NO_SPACE, ERR_STORE. */
int ingest_write(struct ingest *in, const void *p, size_t n, uint64_t offset,
                 struct err *err) MUST_CHECK;
/* Puts on disk what was written; beside a write, too. -1, with errno: the disk has lost some of it,
 * and says so once only, so from then on writes, syncs, commit and keep fail. The same holds where
 * a write-back fails. */
int ingest_sync(struct ingest *in) MUST_CHECK;
/* Empties the file: the download starts over. */
int ingest_restart(struct ingest *in, struct err *err) MUST_CHECK;
/* The bytes are the digest: moves the file to blobs/, size cut to `size`; with `sync`, on disk
 * before it returns (file and folder). Where the same blob is there and synced, that one stays, and
 * in->was_here. The descriptor stays open for readers and is the caller's from here: in->fd is
 * kept. The caller records it in the index (synced = `sync` or in->was_here), then calls
 * ingest_recorded() and closes. The reservation is the store's from here and ends with that record:
 * in->reserved is 0. Where it fails, the caller drops. -1 also: ERR_UNAVAILABLE, where another
 * process has taken the directory over (store/handover.h), to which it may be handed. */
int ingest_commit(struct ingest *in, uint64_t size, bool sync, struct err *err) MUST_CHECK;
/* Another process made the file a blob. What is left is to be closed. */
void ingest_moved(struct ingest *in);
/* Whether another process writes the file of that name in ingest/, which it may during and after a
 * hand-over; what this one itself has open counts likewise then. Blocks. */
bool ingest_is_anothers(struct store *s, const char *name);
/* After a commit, once its record is made or has failed: from then on the blob may be removed. */
void ingest_recorded(struct ingest *in);
/* Stops, keeping what is there for a later download: synced up to p->stored, whose hash state is
 * in p->state; the caller then puts *p, of which only `touched` is filled in here. Where it fails,
 * as it does where another ingest of the digest holds its name, the caller drops. */
int ingest_keep(struct ingest *in, struct partial_record *p, struct err *err) MUST_CHECK;
/* Stops, and leaves the file as it is. Harmless after any of the ends. */
void ingest_close(struct ingest *in);
/* Stops and removes the file. Harmless after any of the ends. */
void ingest_drop(struct ingest *in);

/* The name of the file that a later download of the digest takes up; gives out. */
const char *ingest_file_name(const struct digest *d, char out[INGEST_NAME_MAX]);

#endif
