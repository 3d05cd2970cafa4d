/*
 * store/db.h - tables of keys and values on disk, in transactions; the only user of LMDB.
 *
 * Any number of readers beside one writer. What a reader or cursor shows points into the file and
 * dies with the transaction (in a write transaction: with the next change), so callers copy.
 * Errors of a write transaction are sticky: puts and deletes give nothing, the commit tells.
 */
#ifndef STORE_DB_H
#define STORE_DB_H

#include "base/err.h"
#include "base/str.h"

/* Names on disk; design section 4 says what they hold. */
#define DB_TABLE_LIST(X)                                                                           \
    X(META, "meta")                                                                                \
    X(BLOBS, "blobs")                                                                              \
    X(BODIES, "bodies")                                                                            \
    X(REPOS, "repos")                                                                              \
    X(MEMBERS, "members")                                                                          \
    X(HOLDERS, "holders")                                                                          \
    X(TAGS, "tags")                                                                                \
    X(REFS, "refs")                                                                                \
    X(PARENTS, "parents")                                                                          \
    X(PARTIALS, "partials")                                                                        \
    X(UPLOADS, "uploads")                                                                          \
    X(PULLS, "pulls")

enum db_table {
#define X(id, name) DB_##id,
    DB_TABLE_LIST(X)
#undef X
        DB_TABLES
};

/* The file within its folder. */
#define DB_FILE "data.mdb"

/* LMDB's own limit. */
#define DB_KEY_MAX 511

enum db_found { DB_FOUND, DB_ABSENT, DB_FAILED };

struct db;
struct db_txn;

/* Why db_open() gave nothing. */
enum db_refusal {
    DB_UNREADABLE, /* the file is damaged: move it aside and begin anew */
    DB_REFUSED,    /* anything that a new file would not cure, or that must not be touched */
};

/* Opens the file in `dir`, which exists; makes an empty one where there is none. Tables that the
 * file lacks read as empty until db_create_tables(). One a process for one folder. */
struct db *db_open(const char *dir, enum db_refusal *ret_why, struct err *err) MUST_CHECK;
/* For what is read first: calls f(arg). False: the file turned out to be damaged, f may have been
 * left in the middle, and `db` can only be closed. Where damage is found later, it is noted for the
 * next start, at which db_open() says DB_UNREADABLE. */
bool db_try(struct db *db, void (*f)(void *arg), void *arg) MUST_CHECK;
/* That is over. */
void db_opened(struct db *db);
/* No transaction may be left. */
void db_close(struct db *db);

/* Whether nothing was ever put into it. */
bool db_is_new(const struct db *db);
int db_create_tables(struct db *db, struct err *err) MUST_CHECK;

/* Renames the unreadable file within `dir` so that db_open() makes a new one; its new name is put
 * into ret_name. */
int db_move_aside(const char *dir, char ret_name[64], struct err *err) MUST_CHECK;

/* NULL, or the name of a file system of this statfs() type on which the file must not lie: shared
 * memory maps and locks do not work there. */
const char *db_refused_filesystem(uint64_t statfs_type);

/* A snapshot. Any thread; the transaction belongs to it until the end. NULL with *err. */
struct db_txn *db_read_begin(struct db *db, struct err *err) MUST_CHECK;
void db_read_end(struct db_txn *t);

/* The one write transaction; waits for another thread's. It must end on the thread it began on. */
struct db_txn *db_write_begin(struct db *db, struct err *err) MUST_CHECK;
/* Ends it either way; -1: nothing of it was kept (ERR_NO_SPACE, ERR_STORE). */
int db_commit(struct db_txn *t, struct err *err) MUST_CHECK;
void db_abort(struct db_txn *t);

/* Whether something has failed in this transaction; what, where `ret` is not NULL. */
bool db_has_failed(const struct db_txn *t, struct err *ret);
/* Makes it fail: for mistakes found above this layer. */
void db_fail(struct db_txn *t, enum err_code code, const char *why);

/* The value, borrowed. A key of 0 or more than DB_KEY_MAX bytes is absent. */
enum db_found db_get(struct db_txn *t, enum db_table table, struct slice key, struct slice *ret);
void db_put(struct db_txn *t, enum db_table table, struct slice key, struct slice value);
/* Deletes; a key that is not there is no error. */
void db_del(struct db_txn *t, enum db_table table, struct slice key);

/* Calls f for the records whose key begins with `prefix`, in byte order, from the first key at or
 * behind `from` on (SLICE_NULL: the prefix's first), until f says false. Key and value are
 * borrowed; f may read but not change. DB_FAILED, or DB_FOUND where f was called at all. */
enum db_found db_each(struct db_txn *t, enum db_table table, struct slice prefix, struct slice from,
                      bool (*f)(void *arg, struct slice key, struct slice value), void *arg);

/* Records in a table. */
uint64_t db_count(struct db_txn *t, enum db_table table);
/* Bytes of the file that are in use, free pages among them; and how large it may become. */
uint64_t db_size(struct db *db);
uint64_t db_size_max(struct db *db);
/* Takes back what processes that died were reading, which the file keeps for them and grows by. */
void db_forget_dead(struct db *db);
/* Writes a compact copy of what is committed to `fd`; a reader for as long as it takes. */
int db_copy(struct db *db, int fd, struct err *err) MUST_CHECK;

#endif
