/*
 * store/upload.h - upload sessions: a blob that a client pushes in pieces, over any number of
 * requests, and whose digest it tells last (distribution-spec "Pushing a blob in chunks").
 *
 *     open or claim -> write... -> leave      another request goes on with it
 *                               -> commit     the file is the blob, on disk for certain -> finish
 *                               -> drop       it is gone
 *
 * A session is claimed by one request at a time, on whatever loop. Bytes count once they are
 * written: offset and hash are always those of the same bytes. What is synced is told to the index
 * now and then, so that a session survives a restart at that offset.
 */
#ifndef STORE_UPLOAD_H
#define STORE_UPLOAD_H

#include "base/map.h"
#include "base/sha.h"
#include "store/ingest.h"

/* 32 digits of hex and a NUL. */
#define UPLOAD_ID_SIZE 33
/* Sessions at once; an open one may hold a descriptor. */
#define UPLOADS_MAX 10000
/* Of those, by one user, or by one address where nobody signs in. */
#define UPLOADS_EACH 2000

/* In place of a repository: the blob will be a member of none. */
#define UPLOAD_NO_REPO "-"

struct uploads;

/* Owner: the table, and whoever claimed it. Thread: what never changes, any; `claimed` and `gone`
 * under the table's lock; the rest is the claimer's. */
struct upload {
    struct map_node node;
    struct list in_all;
    struct store *store;
    char id[UPLOAD_ID_SIZE];
    char *repo;
    char *owner;  /* the user; "" where there are none */
    char *client; /* among whose sessions it counts; "": nobody's, as after a restart */
    bool claimed;
    bool gone;               /* out of the table: dropped when its claimer leaves */
    int64_t touched;         /* wall seconds */
    _Atomic uint64_t offset; /* bytes that were written and hashed */
    uint64_t synced;         /* bytes that a restart will find */
    struct sha sha;          /* of exactly `offset` bytes */
    uint64_t expected;       /* bytes once the request at hand has ended; 0: nobody knows */
    struct ingest ingest;    /* open where ingest.fd >= 0 */
    struct digest digest;    /* of a commit */
    struct job job;          /* of a drop, or of handing it over */
    /* store/handover.h */
    atomic_bool handed; /* the process that takes over has to be told how it goes on */
    bool told;          /* … and was */
    bool back;          /* it does not take over after all; of a job that was to tell it */
    bool recorded;      /* by it; the claimer's */
    bool inherited;     /* a request of the process before is at it; under the table's lock */
};

/* A state of a session that a restart may find. */
struct upload_mark {
    uint64_t offset;
    struct sha sha;
    bool end; /* of the request, and another process goes on with the session */
};

/* Whose a new session is. Strings are copied. */
struct upload_client {
    const char *owner;   /* the user; "" where there are none */
    const char *address; /* "": of no interest, as the operator's */
};

/* A new session, claimed. `lasting`: its client will be told of it, so it should survive a restart.
 * Where there are UPLOADS_MAX, or UPLOADS_EACH of this client, the one of them that was left alone
 * for the longest time ends instead; NULL: all are in use. No I/O. Any thread. */
struct upload *upload_open(struct store *s, const char *repo, const struct upload_client *client,
                           enum sha_alg alg, bool lasting) MUST_CHECK;

enum upload_claim {
    UPLOAD_CLAIMED,
    UPLOAD_BUSY,    /* another request is at it */
    UPLOAD_UNKNOWN, /* never was, ended, idle for too long; of another repository or user */
};

/* *ret is for UPLOAD_CLAIMED; *ret_offset also for UPLOAD_BUSY, as of now. Any thread, no I/O. */
enum upload_claim upload_claim(struct store *s, const char *id, const char *repo, const char *owner,
                               struct upload **ret, uint64_t *ret_offset) MUST_CHECK;
/* The same without claiming: UPLOAD_CLAIMED means that it could be. */
enum upload_claim upload_look(struct store *s, const char *id, const char *repo, const char *owner,
                              uint64_t *ret_offset) MUST_CHECK;
/* Lets another request go on. Any thread, no I/O. */
void upload_leave(struct upload *u);
/* Ends a session that is claimed, whatever it holds. Any thread; the file goes behind it. */
void upload_drop(struct upload *u);
/* The same by its name; one that is claimed ends when its claimer leaves. False: UPLOAD_UNKNOWN. */
bool upload_cancel(struct store *s, const char *id, const char *repo, const char *owner) MUST_CHECK;

/* By the claimer, on its loop. */

/* So many more bytes are to come with this request, as its client says; UINT64_MAX: it does not. No
 * more room is taken for them. */
void upload_expect(struct upload *u, uint64_t n);
/* The n bytes that follow `offset` are in the file, and `sha` is that of all. */
void upload_wrote(struct upload *u, size_t n, const struct sha *sha);
/* Where it stands, for a sync. False: too little is new for that, while more comes or at the end
 * of a request. */
bool upload_mark(const struct upload *u, bool end, struct upload_mark *ret) MUST_CHECK;

/* Whether the process that took over is still to be told, by upload_sync() at the end. */
bool upload_is_owed(const struct upload *u) MUST_CHECK;
/* Whether the disk lost some of the bytes: nobody can go on with it, so the claimer drops it. */
bool upload_is_lost(const struct upload *u) MUST_CHECK;

/* By the claimer, on a pool thread, which may block. */

/* Appends, but for upload_wrote(). -1: ERR_NO_SPACE, ERR_STORE; what was there before still counts.
 */
int upload_write(struct upload *u, const void *p, size_t n, struct err *err) MUST_CHECK;
/* Syncs what was there at the mark and tells the index, or the process that goes on with it: a
 * restart will find it. May run beside a write, unless it is the end. */
void upload_sync(struct upload *u, const struct upload_mark *mark);
/* All bytes are there: moves the file to blobs/, on disk for certain. -1: ERR_DIGEST_INVALID where
 * they are not the digest, ERR_NO_SPACE, ERR_STORE; the caller drops, or leaves, the session. */
int upload_commit(struct upload *u, const struct digest *d, struct err *err) MUST_CHECK;
/* Whether that recorded it as well: the process that took over did. */
bool upload_is_recorded(const struct upload *u);
/* Records a commit, within a change: blob, member of the session's repository if it has one; the
 * session ends. */
void upload_record(struct upload *u, struct index_txn *t);
/* After that change, however it went: frees the session. Any thread. */
void upload_finish(struct upload *u);

#endif
