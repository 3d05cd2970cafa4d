/*
 * store/db.c - LMDB 0.9.24 and its rules.
 *
 * - The map is chosen once, far larger than needed (64 GiB of address space, less where that is
 *   limited): resizing under readers unmaps them.
 * - MDB_NOTLS: a read transaction is an object of ours, reset and renewed. They are pooled, as many
 *   as ever ran at once.
 * - Default durability: data is synced, then the meta page; only a full disk or a dying one fails.
 * - On a full disk LMDB reports a short write as EIO, so EIO is looked at twice.
 * - No DUPSORT: its cursors had bugs that were fixed later.
 * - Damage that LMDB finds while running is noted in a file, so that the next start does not trust
 *   this one again.
 */
#include "store/db.h"

#include "base/clock.h"
#include "base/counter.h"
#include "base/fault.h"
#include "base/log.h"
#include "store/guard.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <lmdb.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define MAP_BYTES ((size_t)64 << 30)
#define MAP_BYTES_LEAST ((size_t)1 << 28)
#define READERS 254
#define NO_TABLE ((MDB_dbi)-1)
#define DAMAGED_FILE "damaged"

/* Owner: whoever holds it between begin and end; else the pool, where `txn` is reset. */
struct db_txn {
    struct db *db;
    struct db_txn *next_free;
    struct db_txn *next_made;
    MDB_txn *txn;
    bool writes;
    struct err err; /* sticky; code ERR_NONE: nothing failed */
};

struct db {
    MDB_env *env;
    MDB_dbi tables[DB_TABLES];
    char *dir;
    bool is_new;
    bool opening; /* damage is no surprise yet */
    atomic_bool damaged;
    struct db_txn write; /* the one write transaction */
    pthread_mutex_t lock;
    struct db_txn *free; /* readers that may be renewed; under lock */
    struct db_txn *made; /* all of them; under lock */
};

static const char *const TABLE_NAMES[DB_TABLES] = {
#define X(id, name) name,
    DB_TABLE_LIST(X)
#undef X
};

/* --- errors -------------------------------------------------------------------------------- */

/* LMDB found that what it reads cannot be. */
static void db_note_damage(struct db *db, const char *what)
{
    if (atomic_exchange(&db->damaged, true) || db->opening) {
        return;
    }
    guard_note();
    log_event(LOG_ERROR, "index.damaged",
              "%s: the index is damaged (%s); it will be replaced at the next start", db->dir,
              what);
}

/* LMDB found itself wrong and will abort. */
static void on_assert(MDB_env *env, const char *text)
{
    guard_leave();
    db_note_damage(mdb_env_get_userctx(env), text);
}

static bool disk_is_full(const char *dir)
{
    struct statvfs v;

    return statvfs(dir, &v) == 0 && (uint64_t)v.f_bavail * v.f_frsize < 1024 * 1024;
}

/* Translates what LMDB or the system said. Returns -1. */
static int db_error(struct db *db, int rc, const char *doing, struct err *err)
{
    switch (rc) {
    case ENOSPC:
    case EDQUOT:
        return err_set(err, ERR_NO_SPACE, "%s: %s: the disk is full", db->dir, doing);
    case EIO:
        if (disk_is_full(db->dir)) {
            return err_set(err, ERR_NO_SPACE, "%s: %s: the disk is full", db->dir, doing);
        }
        break;
    case MDB_MAP_FULL:
        return err_set(err, ERR_NO_SPACE, "%s: %s: the index has reached its largest size", db->dir,
                       doing);
    case MDB_CORRUPTED:
    case MDB_PAGE_NOTFOUND:
    case MDB_CURSOR_FULL:
        db_note_damage(db, mdb_strerror(rc));
        return err_set(err, ERR_STORE, "%s: %s: the index is damaged", db->dir, doing);
    case MDB_PANIC:
        return err_set(err, ERR_STORE,
                       "%s: %s: writing the index has failed for good; it needs a restart", db->dir,
                       doing);
    default:
        break;
    }
    return err_set(err, ERR_STORE, "%s: %s: %s", db->dir, doing, mdb_strerror(rc));
}

static void txn_error(struct db_txn *t, int rc, const char *doing)
{
    if (t->err.code == ERR_NONE) {
        count(store_errors);
        db_error(t->db, rc, doing, &t->err);
    }
}

/* --- opening ------------------------------------------------------------------------------- */

const char *db_refused_filesystem(uint64_t statfs_type)
{
    static const struct {
        uint32_t type;
        const char *name;
    } refused[] = {
        {0x6969, "NFS"},
        {0x517b, "SMB"},
        {0xff534d42, "CIFS"},
        {0xfe534d42, "SMB"},
        {0x65735546, "FUSE"},
        {0x01021997, "9P"},
        {0x00c36400, "Ceph"},
        {0x5346414f, "AFS"},
        {0x6b414653, "AFS"},
        {0x73757245, "Coda"},
        {0x564c, "NCP"},
        {0x0bd00bd0, "Lustre"},
        {0x786f4256, "vboxsf"},
        {0xaad7aaea, "PanFS"},
        {0x19830326, "BeeGFS"},
        {0x20030528, "OrangeFS"},
        {0xbacbacbc, "VMware's shared folders"},
    };

    for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
        if (refused[i].type == (uint32_t)statfs_type) {
            return refused[i].name;
        }
    }
    return NULL;
}

/* One attempt with a map of that size; the environment, or NULL with LMDB's code. */
static MDB_env *env_open(struct db *db, size_t map, int *ret_rc)
{
    MDB_env *env;
    int rc = mdb_env_create(&env);

    if (rc != 0) {
        *ret_rc = rc;
        return NULL;
    }
    if ((rc = mdb_env_set_mapsize(env, map)) == 0 &&
        (rc = mdb_env_set_maxdbs(env, DB_TABLES)) == 0 &&
        (rc = mdb_env_set_maxreaders(env, READERS)) == 0 &&
        (rc = mdb_env_open(env, db->dir, MDB_NOTLS | MDB_NORDAHEAD, 0644)) == 0) {
        mdb_env_set_userctx(env, db);
        mdb_env_set_assert(env, on_assert);
        return env;
    }
    mdb_env_close(env);
    *ret_rc = rc;
    return NULL;
}

static MDB_env *env_open_any(struct db *db, int *ret_rc)
{
    MDB_env *env = NULL;

    *ret_rc = fault_at("index.open") ? EIO : 0;
    for (size_t map = MAP_BYTES; *ret_rc == 0 && map >= MAP_BYTES_LEAST; map /= 2) {
        env = env_open(db, map, ret_rc);
        if (env != NULL || *ret_rc != ENOMEM) {
            break;
        }
        *ret_rc = map / 2 >= MAP_BYTES_LEAST ? 0 : ENOMEM;
    }
    return env;
}

/* The file may be shorter than its pages say: legally, where the last were never written, or
 * because it was cut. Reading there would be SIGBUS, so it is made as long as it should be. */
static int env_lengthen(struct db *db, bool *ret_was_short)
{
    MDB_envinfo info;
    MDB_stat stat;
    struct stat st;
    mdb_filehandle_t fd;
    off_t need;

    if (mdb_env_info(db->env, &info) != 0 || mdb_env_stat(db->env, &stat) != 0 ||
        mdb_env_get_fd(db->env, &fd) != 0 || fstat(fd, &st) < 0) {
        return -1;
    }
    need = (off_t)((info.me_last_pgno + 1) * stat.ms_psize);
    *ret_was_short = st.st_size < need;
    return *ret_was_short ? ftruncate(fd, need) : 0;
}

/* Opens the tables that exist. */
static int tables_open(struct db *db, MDB_txn *txn, unsigned flags)
{
    for (size_t i = 0; i < DB_TABLES; i++) {
        int rc;

        if (db->tables[i] != NO_TABLE) {
            continue;
        }
        rc = mdb_dbi_open(txn, TABLE_NAMES[i], flags, &db->tables[i]);
        if (rc != 0) {
            db->tables[i] = NO_TABLE;
        }
        if (rc != 0 && rc != MDB_NOTFOUND) {
            return rc;
        }
    }
    return 0;
}

/* Walks all of it; false where that is not possible or gives less than was promised. */
static bool tables_walk(struct db *db, MDB_txn *txn)
{
    for (size_t i = 0; i < DB_TABLES; i++) {
        MDB_cursor *cursor;
        MDB_stat stat;
        MDB_val key;
        MDB_val value;
        uint64_t n = 0;

        if (db->tables[i] == NO_TABLE) {
            continue;
        }
        if (mdb_stat(txn, db->tables[i], &stat) != 0 ||
            mdb_cursor_open(txn, db->tables[i], &cursor) != 0) {
            return false;
        }
        while (n <= stat.ms_entries && mdb_cursor_get(cursor, &key, &value, MDB_NEXT) == 0 &&
               key.mv_size > 0 && key.mv_size <= DB_KEY_MAX) {
            n++;
        }
        mdb_cursor_close(cursor);
        if (n != stat.ms_entries) {
            return false;
        }
    }
    return true;
}

/* Whether the file is ours, and readable. 0, or LMDB's code; MDB_INCOMPATIBLE: it is not ours. */
static int db_look(struct db *db, bool was_short)
{
    MDB_txn *txn;
    MDB_dbi main_table;
    MDB_stat stat;
    int rc = mdb_txn_begin(db->env, NULL, MDB_RDONLY, &txn);

    if (rc != 0) {
        return rc;
    }
    rc = mdb_dbi_open(txn, NULL, 0, &main_table);
    if (rc == 0) {
        rc = mdb_stat(txn, main_table, &stat);
    }
    if (rc == 0) {
        db->is_new = stat.ms_entries == 0;
        rc = tables_open(db, txn, 0);
    }
    if (rc == 0 && !db->is_new && db->tables[DB_META] == NO_TABLE) {
        rc = MDB_INCOMPATIBLE;
    }
    if (rc == 0 && was_short && !tables_walk(db, txn)) {
        rc = MDB_CORRUPTED;
    }
    if (rc != 0) {
        mdb_txn_abort(txn);
        return rc;
    }
    return mdb_txn_commit(txn); /* keeps the tables open */
}

static enum db_refusal refusal_of(int rc)
{
    switch (rc) {
    case MDB_INVALID:
    case MDB_CORRUPTED:
    case MDB_PAGE_NOTFOUND:
    case MDB_CURSOR_FULL:
        return DB_UNREADABLE;
    default:
        return DB_REFUSED;
    }
}

static int open_error(struct db *db, int rc, struct err *err)
{
    switch (rc) {
    case MDB_INVALID:
        return err_set(err, ERR_STORE, "%s/" DB_FILE " is damaged, or no LMDB file", db->dir);
    case MDB_VERSION_MISMATCH:
        return err_set(err, ERR_STORE,
                       "%s/" DB_FILE " was written by another version of LMDB; it is left as it is",
                       db->dir);
    case MDB_INCOMPATIBLE:
        return err_set(err, ERR_STORE,
                       "%s/" DB_FILE " is not Larder's: choose another data directory", db->dir);
    case ENOMEM:
        return err_set(err, ERR_STORE,
                       "%s: no address space for the index; raise the limit (ulimit -v)", db->dir);
    default:
        return db_error(db, rc, "opening the index", err);
    }
}

/* Owner: db_open(). */
struct opening {
    struct db *db;
    int rc;
};

static void open_guarded(void *arg)
{
    struct opening *o = arg;
    struct db *db = o->db;
    bool was_short = false;
    int dead;

    db->env = env_open_any(db, &o->rc);
    if (db->env != NULL && env_lengthen(db, &was_short) < 0) {
        o->rc = errno != 0 ? errno : EIO;
    }
    if (o->rc == 0) {
        mdb_reader_check(db->env, &dead);
        o->rc = db_look(db, was_short);
    }
}

struct db *db_open(const char *dir, enum db_refusal *ret_why, struct err *err)
{
    struct db *db = xnew(struct db);
    struct opening o = {.db = db};
    char note[4096];

    db->dir = xstrdup(dir);
    db->opening = true;
    pthread_mutex_init(&db->lock, NULL);
    db->write.db = db;
    db->write.writes = true;
    for (size_t i = 0; i < DB_TABLES; i++) {
        db->tables[i] = NO_TABLE;
    }
    snprintf(note, sizeof(note), "%s/" DAMAGED_FILE, dir);
    guard_install(note);
    if (access(note, F_OK) == 0 || !guard_run(open_guarded, &o)) {
        o.rc = MDB_CORRUPTED;
    }
    if (o.rc != 0) {
        *ret_why = refusal_of(o.rc);
        open_error(db, o.rc, err);
        db_close(db);
        return NULL;
    }
    return db;
}

bool db_try(struct db *db, void (*f)(void *arg), void *arg)
{
    return guard_run(f, arg) && !atomic_load(&db->damaged);
}

void db_opened(struct db *db)
{
    db->opening = false;
}

void db_close(struct db *db)
{
    if (db == NULL) {
        return;
    }
    while (db->made != NULL) {
        struct db_txn *t = db->made;

        db->made = t->next_made;
        mdb_txn_abort(t->txn);
        free(t);
    }
    if (db->env != NULL) {
        mdb_env_close(db->env);
    }
    pthread_mutex_destroy(&db->lock);
    free(db->dir);
    free(db);
}

bool db_is_new(const struct db *db)
{
    return db->is_new;
}

int db_create_tables(struct db *db, struct err *err)
{
    MDB_txn *txn;
    int rc = mdb_txn_begin(db->env, NULL, 0, &txn);

    if (rc == 0) {
        rc = tables_open(db, txn, MDB_CREATE);
        if (rc != 0) {
            mdb_txn_abort(txn);
        } else {
            rc = mdb_txn_commit(txn);
        }
    }
    return rc == 0 ? 0 : db_error(db, rc, "creating the index", err);
}

int db_move_aside(const char *dir, char ret_name[64], struct err *err)
{
    char name[64];
    char from[4096];
    char to[4096];

    snprintf(name, sizeof(name), DB_FILE ".bad-%lld", (long long)clock_wall_s());
    snprintf(from, sizeof(from), "%s/" DB_FILE, dir);
    snprintf(to, sizeof(to), "%s/%s", dir, name);
    if (rename(from, to) < 0 && errno != ENOENT) {
        return err_set(err, ERR_STORE, "%s: cannot be moved aside: %s", from, strerror(errno));
    }
    snprintf(from, sizeof(from), "%s/" DAMAGED_FILE, dir);
    if (unlink(from) < 0 && errno != ENOENT) {
        return err_set(err, ERR_STORE, "%s: cannot be removed: %s", from, strerror(errno));
    }
    memcpy(ret_name, name, sizeof(name));
    return 0;
}

/* --- transactions -------------------------------------------------------------------------- */

static struct db_txn *reader_take(struct db *db)
{
    struct db_txn *t;

    pthread_mutex_lock(&db->lock);
    t = db->free;
    if (t != NULL) {
        db->free = t->next_free;
    }
    pthread_mutex_unlock(&db->lock);
    return t;
}

void db_forget_dead(struct db *db)
{
    int dead;

    ignore_result(mdb_reader_check(db->env, &dead) != 0);
}

/* A further reader. Slots of processes that died are taken back where there is none left. */
static struct db_txn *reader_make(struct db *db, struct err *err)
{
    struct db_txn *t;
    MDB_txn *txn;
    int dead;
    int rc = mdb_txn_begin(db->env, NULL, MDB_RDONLY, &txn);

    if (rc == MDB_READERS_FULL && mdb_reader_check(db->env, &dead) == 0 && dead > 0) {
        rc = mdb_txn_begin(db->env, NULL, MDB_RDONLY, &txn);
    }
    if (rc != 0) {
        db_error(db, rc, "reading the index", err);
        return NULL;
    }
    t = xnew(struct db_txn);
    t->db = db;
    t->txn = txn;
    pthread_mutex_lock(&db->lock);
    t->next_made = db->made;
    db->made = t;
    pthread_mutex_unlock(&db->lock);
    return t;
}

struct db_txn *db_read_begin(struct db *db, struct err *err)
{
    struct db_txn *t = reader_take(db);
    int rc;

    if (t == NULL) {
        return reader_make(db, err);
    }
    rc = fault_at("index.read") ? MDB_BAD_RSLOT : mdb_txn_renew(t->txn);
    if (rc != 0) {
        db_error(db, rc, "reading the index", err);
        pthread_mutex_lock(&db->lock);
        t->next_free = db->free;
        db->free = t;
        pthread_mutex_unlock(&db->lock);
        return NULL;
    }
    t->err.code = ERR_NONE;
    return t;
}

void db_read_end(struct db_txn *t)
{
    struct db *db = t->db;

    mdb_txn_reset(t->txn);
    pthread_mutex_lock(&db->lock);
    t->next_free = db->free;
    db->free = t;
    pthread_mutex_unlock(&db->lock);
}

struct db_txn *db_write_begin(struct db *db, struct err *err)
{
    MDB_txn *txn;
    int rc = fault_at("index.begin") ? EIO : mdb_txn_begin(db->env, NULL, 0, &txn);

    if (rc != 0) {
        db_error(db, rc, "changing the index", err);
        return NULL;
    }
    /* LMDB's lock is ours from here: `write` is this thread's. */
    db->write.txn = txn;
    db->write.err = (struct err){0};
    return &db->write;
}

int db_commit(struct db_txn *t, struct err *err)
{
    struct db *db = t->db;
    MDB_txn *txn = t->txn;
    int rc;

    assert(t->writes);
    if (t->err.code == ERR_NONE && fault_at("index.commit")) {
        txn_error(t, EIO, "committing");
    } else if (t->err.code == ERR_NONE && fault_at("index.full")) {
        txn_error(t, ENOSPC, "committing");
    }
    if (t->err.code != ERR_NONE) {
        *err = t->err;
        mdb_txn_abort(txn);
        return -1;
    }
    /* Frees the handle even where it fails; another thread may begin as soon as it returns. */
    rc = mdb_txn_commit(txn);
    if (rc != 0) {
        count(store_errors);
        return db_error(db, rc, "committing", err);
    }
    ignore_result(fault_at("index.committed")); /* of interest where it kills */
    return 0;
}

void db_abort(struct db_txn *t)
{
    assert(t->writes);
    mdb_txn_abort(t->txn);
}

bool db_has_failed(const struct db_txn *t, struct err *ret)
{
    if (t->err.code != ERR_NONE && ret != NULL) {
        *ret = t->err;
    }
    return t->err.code != ERR_NONE;
}

void db_fail(struct db_txn *t, enum err_code code, const char *why)
{
    if (t->err.code == ERR_NONE) {
        err_set(&t->err, code, "%s: %s", t->db->dir, why);
    }
}

/* --- records ------------------------------------------------------------------------------- */

static MDB_val val_of(struct slice s)
{
    /* LMDB does not write through what it is given. */
    return (MDB_val){.mv_size = s.len, .mv_data = (void *)(uintptr_t)s.p};
}

static struct slice slice_of_val(const MDB_val *v)
{
    return slice_of(v->mv_data, v->mv_size);
}

static bool key_fits(struct slice key)
{
    return key.len > 0 && key.len <= DB_KEY_MAX;
}

enum db_found db_get(struct db_txn *t, enum db_table table, struct slice key, struct slice *ret)
{
    MDB_val k = val_of(key);
    MDB_val v;
    int rc;

    if (t->err.code != ERR_NONE) {
        return DB_FAILED;
    }
    if (t->db->tables[table] == NO_TABLE || !key_fits(key)) {
        return DB_ABSENT;
    }
    rc = fault_at("index.get") ? EIO : mdb_get(t->txn, t->db->tables[table], &k, &v);
    if (rc == MDB_NOTFOUND) {
        return DB_ABSENT;
    }
    if (rc != 0) {
        txn_error(t, rc, "reading a record");
        return DB_FAILED;
    }
    *ret = slice_of_val(&v);
    return DB_FOUND;
}

void db_put(struct db_txn *t, enum db_table table, struct slice key, struct slice value)
{
    MDB_val k = val_of(key);
    MDB_val v = val_of(value);
    int rc;

    assert(t->writes);
    if (t->err.code != ERR_NONE) {
        return;
    }
    if (!key_fits(key)) {
        db_fail(t, ERR_STORE, "a key has no fitting length");
        return;
    }
    rc = fault_at("index.put") ? EIO : mdb_put(t->txn, t->db->tables[table], &k, &v, 0);
    if (rc != 0) {
        txn_error(t, rc, "writing a record");
    }
}

void db_del(struct db_txn *t, enum db_table table, struct slice key)
{
    MDB_val k = val_of(key);
    int rc;

    assert(t->writes);
    if (t->err.code != ERR_NONE || !key_fits(key)) {
        return;
    }
    rc = fault_at("index.del") ? EIO : mdb_del(t->txn, t->db->tables[table], &k, NULL);
    if (rc != 0 && rc != MDB_NOTFOUND) {
        txn_error(t, rc, "deleting a record");
    }
}

/* Cursors run only up to the last key of the prefix. */
static bool has_prefix(const MDB_val *key, struct slice prefix)
{
    return key->mv_size >= prefix.len && memcmp(key->mv_data, prefix.p, prefix.len) == 0;
}

enum db_found db_each(struct db_txn *t, enum db_table table, struct slice prefix, struct slice from,
                      bool (*f)(void *arg, struct slice key, struct slice value), void *arg)
{
    struct slice start = from.len > 0 ? from : prefix;
    MDB_val key = val_of(start);
    MDB_val value;
    MDB_cursor *cursor;
    enum db_found found = DB_ABSENT;
    int rc;

    if (t->err.code != ERR_NONE) {
        return DB_FAILED;
    }
    if (t->db->tables[table] == NO_TABLE || start.len > DB_KEY_MAX) {
        return DB_ABSENT;
    }
    rc = fault_at("index.each") ? EIO : mdb_cursor_open(t->txn, t->db->tables[table], &cursor);
    if (rc != 0) {
        txn_error(t, rc, "reading records");
        return DB_FAILED;
    }
    rc = mdb_cursor_get(cursor, &key, &value, start.len > 0 ? MDB_SET_RANGE : MDB_FIRST);
    while (rc == 0 && (prefix.len == 0 || has_prefix(&key, prefix))) {
        found = DB_FOUND;
        if (!f(arg, slice_of_val(&key), slice_of_val(&value))) {
            break;
        }
        rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
    }
    mdb_cursor_close(cursor);
    if (rc != 0 && rc != MDB_NOTFOUND) {
        txn_error(t, rc, "reading records");
        return DB_FAILED;
    }
    return found;
}

uint64_t db_count(struct db_txn *t, enum db_table table)
{
    MDB_stat stat;

    if (t->err.code != ERR_NONE || t->db->tables[table] == NO_TABLE ||
        mdb_stat(t->txn, t->db->tables[table], &stat) != 0) {
        return 0;
    }
    return stat.ms_entries;
}

uint64_t db_size(struct db *db)
{
    MDB_envinfo info;
    MDB_stat stat;

    if (mdb_env_info(db->env, &info) != 0 || mdb_env_stat(db->env, &stat) != 0) {
        return 0;
    }
    return ((uint64_t)info.me_last_pgno + 1) * stat.ms_psize;
}

uint64_t db_size_max(struct db *db)
{
    MDB_envinfo info;

    return mdb_env_info(db->env, &info) == 0 ? info.me_mapsize : 0;
}

/* Where pages have leaked, which 0.9.24 lets happen, it can be copied only as it is. */
int db_copy(struct db *db, int fd, struct err *err)
{
    int rc = fault_at("index.copy") ? EIO : mdb_env_copyfd2(db->env, fd, MDB_CP_COMPACT);

    if (rc == MDB_INCOMPATIBLE) {
        rc = ftruncate(fd, 0) < 0 || lseek(fd, 0, SEEK_SET) < 0 ? errno
                                                                : mdb_env_copyfd2(db->env, fd, 0);
    }
    return rc == 0 ? 0 : db_error(db, rc, "copying the index", err);
}
