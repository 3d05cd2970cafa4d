/*
 * store/uploads.h - all upload sessions: the table, its start and end, and how sessions go over to
 * another process. Not for other folders, which use store/upload.h.
 */
#ifndef STORE_UPLOADS_H
#define STORE_UPLOADS_H

#include "store/handover.h"
#include "store/inner.h"

#define UPLOAD_FILE_PREFIX "upload-"

/* Owner: the store. Thread: any, under `lock`; `due_ms` is the writer's. */
struct uploads {
    struct store *store;
    pthread_mutex_t lock;
    struct map by_id;
    struct list all;
    size_t n;
    uint64_t due_ms;
    struct store_job job;
};

struct uploads *uploads_new(struct store *s);
void uploads_free(struct uploads *all);
/* Takes up the sessions that the index knows. Before the writer starts. */
int uploads_load(struct store *s, struct err *err) MUST_CHECK;
/* Whether the file of that name in ingest/ belongs to a session. */
bool uploads_own(struct store *s, const char *name);
/* Ends idle sessions when that is due; when to ask again. Writer thread. */
uint64_t uploads_tick(struct uploads *all, uint64_t now);
/* At the end: makes all of them survive; unless `all`, but for those that a request is at, and
 * closes their files. The writer does not run any more. */
void uploads_finish(struct store *s, bool all);

/* Those that a request is at, as copies; from here on they are the successor's to end. */
size_t uploads_hand(struct store *s, struct handed_upload **ret);
/* There is no successor after all: those are this store's again, and the others as the index has
 * them by now. The writer does not run. */
int uploads_take_back(struct store *s, struct err *err) MUST_CHECK;
/* A session that a request of the process before is at. */
void uploads_inherit(struct store *s, const struct handed_upload *from);
/* The one that bears the id and was inherited, which is the caller's as if it had claimed it; NULL:
 * there is none. */
struct upload *uploads_take_inherited(struct store *s, const char *id);
/* What was inherited and not taken: another request may go on with it. */
void uploads_inherit_end(struct store *s);

/* Under the table's lock. NULL: there is none of that repository and owner, or it is idle. */
struct upload *uploads_find(struct uploads *all, const char *id, const char *repo,
                            const char *owner);
void uploads_insert(struct uploads *all, struct upload *u);
/* Harmless when repeated. */
void uploads_take_out(struct uploads *all, struct upload *u);

/* Out of any table, with nothing in it. */
struct upload *upload_new(struct store *s, const char *id, const char *repo, const char *owner);
void upload_free(struct upload *u);
bool upload_is_idle(const struct upload *u, int64_t now);
/* Opens its file, where that is not open, for writing at its offset. Pool thread. */
int upload_open_file(struct upload *u, struct err *err) MUST_CHECK;
/* Tells the index what is synced of it, and waits for nothing; NULL: it ended. */
void upload_note(struct upload *u, const struct upload_mark *mark);

/* Its record, within a change. */
void upload_value(const struct upload *u, const struct upload_mark *mark,
                  struct record_upload *ret);
void upload_put_record(struct index_txn *t, const char *id, const struct record_upload *value);
void upload_del_record(struct index_txn *t, const char *id);

#endif
