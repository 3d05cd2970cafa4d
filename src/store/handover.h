/*
 * store/handover.h - a data directory goes over to another process, which serves it from then on.
 *
 *     the one before                            its successor
 *     store_begin_hand_over: no new changes
 *     store_hand_over: index and lock free  ->  store_open with what it gave
 *     … sends, downloads, receives …            answers all that is new
 *     successor->blob, ->upload             ->  store_take_blob, store_take_upload
 *     ends                                  ->  store_inherit_end
 *
 * The one before changes the index no more; what it still reads there is as good as ever. Files in
 * ingest/ that it writes are its own by their locks (flock); once their bytes are verified, the
 * successor makes them blobs and records them.
 */
#ifndef STORE_HANDOVER_H
#define STORE_HANDOVER_H

#include "store/upload.h"

/* A download that is whole and verified. Strings are borrowed. */
struct handed_blob {
    const char *file; /* within ingest/ */
    struct digest digest;
    uint64_t size;
    enum blob_class class;
    const char *repo; /* the mirrored repository that its upstream answered for; "": none */
    uint8_t kind;     /* enum child_kind */
    uint64_t credential;
};

enum handed_end {
    HANDED_LEFT,    /* another request goes on at `offset` */
    HANDED_WHOLE,   /* `digest` is that of all */
    HANDED_DROPPED, /* it ended */
};

/* An upload session whose request came to its end. Strings are borrowed. */
struct handed_upload {
    const char *id;
    const char *repo;
    const char *owner;
    enum handed_end end;
    uint64_t offset;
    struct digest digest;
    size_t state_len; /* of the hash of `offset` bytes */
    unsigned char state[SHA_STATE_MAX];
};

/* How the one before reaches its successor. Both block; any thread of a pool. -1: *err says why. */
struct successor {
    int (*blob)(void *context, const struct handed_blob *b, struct err *err);
    int (*upload)(void *context, const struct handed_upload *u, struct err *err);
    void *context;
};

/* What only memory knew. Owner: the caller, by store_state_free(). */
struct store_state {
    struct handed_upload *uploads; /* sessions that requests are at; their `end` means nothing */
    size_t n_uploads;
    struct digest *leases;
    size_t n_leases;
};

void store_state_free(struct store_state *s);

/* --- the one before ------------------------------------------------------------------------ */

/* Around whatever changes the index but for downloads and the bodies of uploads. False: a hand-over
 * is under way, so that it must be asked of the successor. Any thread. */
bool store_change_begin(struct store *s) MUST_CHECK;
void store_change_end(struct store *s);

/* From now on store_change_begin() is false; how many changes are still under way. Owner's thread,
 * as for what follows. */
unsigned store_begin_hand_over(struct store *s);
/* New changes are taken again: store_hand_over() will not follow. */
void store_cancel_hand_over(struct store *s);
/* Asks the disk for what it has not written yet. Blocks; all goes on meanwhile. */
void store_flush(struct store *s);
/* Writes to the index what waits for that, lets go of it and of the lock; `to` outlives the store.
 * Blocks for as long as blobs are being recorded, and some syncs. One of the next two follows. */
void store_hand_over(struct store *s, const struct successor *to, struct store_state *ret);
/* The successor answers by now, or will: whoever waits in store_settled() may tell it. */
void store_handed(struct store *s);
/* There is no successor after all: all is as it was, but for what that one may have changed in the
 * index, which is read again. Blocks while it still ends. -1: another process has the lock. */
int store_take_back(struct store *s, struct err *err) MUST_CHECK;
/* NULL: it is not handed over, nor about to be. Any thread. */
const struct successor *store_successor(const struct store *s);
/* The same once that is certain. Blocks while a hand-over is under way; any thread of a pool. */
const struct successor *store_settled(struct store *s);

/* --- the successor ------------------------------------------------------------------------- */

/* Of store_open(), before anything works in the background. */
void store_inherit(struct store *s, const struct store_state *state);
/* The one before is gone: what it did not finish goes on as after a crash. Any thread. */
void store_inherit_end(struct store *s);
/* Makes the file a blob, on disk for certain, and records it; `member` says within that change what
 * it is a member of. Blocks. -1: the file is not there, or not of that size; ERR_NO_SPACE,
 * ERR_STORE. */
int store_take_blob(struct store *s, const struct handed_blob *b,
                    void (*member)(struct index_txn *t, const struct handed_blob *b),
                    struct err *err) MUST_CHECK;
/* The same of an upload session, or lets another request go on with it. */
int store_take_upload(struct store *s, const struct handed_upload *u, struct err *err) MUST_CHECK;

#endif
