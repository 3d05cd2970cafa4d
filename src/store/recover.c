/* store/recover.c - from whatever is in index/ to an index that is ours. */
#include "store/recover.h"

#include "base/log.h"
#include "store/adopt.h"
#include "store/backup.h"
#include "store/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

/* --- opening ------------------------------------------------------------------------------- */

static bool exists(int at, const char *name)
{
    return faccessat(at, name, F_OK, 0) == 0;
}

static void index_path(const struct store *s, char out[4096])
{
    snprintf(out, 4096, "%s/index", s->dir);
}

static int index_folder(struct store *s, const char *path, struct err *err)
{
    struct statfs fs;
    const char *name;

    if (mkdirat(s->dir_fd, "index", 0755) < 0 && errno != EEXIST) {
        return lock_dir_error(s, "index", errno, err);
    }
    if (statfs(path, &fs) < 0) {
        return lock_dir_error(s, "index", errno, err);
    }
    name = db_refused_filesystem((uint64_t)fs.f_type);
    if (name != NULL) {
        return err_set(err, ERR_STORE,
                       "%s: the index may not lie on %s: make %s a symbolic link to a folder on a "
                       "local disk (the blobs may stay), or choose another data directory",
                       path, name, path);
    }
    return 0;
}

/* Puts the copy, or nothing, where the index was. */
static void index_replace(struct store *s, const char *path, const char *why)
{
    struct recover *r = &s->recover;
    bool first = !r->replaced;

    r->replaced = true;
    r->copied = first && backup_restore(s->dir_fd, path);
    log_event(LOG_ERROR, "index.replaced", "%s; %s", why,
              r->copied ? "its copy takes its place: what was recorded since is lost, but the blobs"
                        : "it is made anew from the blobs: tags are asked for again");
}

static bool meta_get(struct db_txn *t, const char *name, struct slice *ret)
{
    struct record_key key;

    record_key_meta(&key, name);
    return db_get(t, DB_META, record_key_view(&key), ret) == DB_FOUND;
}

static uint64_t meta_number(struct db_txn *t, const char *name)
{
    struct slice value;
    uint64_t n = 0;

    if (meta_get(t, name, &value) && !record_get_number(value, &n)) {
        n = 0;
    }
    return n;
}

static void meta_put_number(struct db_txn *t, const char *name, uint64_t n)
{
    struct record_key key;
    struct record value;

    record_key_meta(&key, name);
    record_put_number(&value, n);
    db_put(t, DB_META, record_key_view(&key), record_view(&value));
}

/* Whether it is ours to change. Reads only. */
static int index_format(struct store *s, bool *ret_empty, struct err *err)
{
    struct db_txn *t = db_read_begin(s->db, err);
    uint64_t format;

    if (t == NULL) {
        return -1;
    }
    format = meta_number(t, "format");
    *ret_empty = db_count(t, DB_META) == 0;
    db_read_end(t);
    if (*ret_empty || format == STORE_FORMAT) {
        return 0;
    }
    if (format == 0) {
        return err_set(err, ERR_STORE,
                       "%s/index/" DB_FILE " is not Larder's: choose another data directory",
                       s->dir);
    }
    return err_set(err, ERR_STORE,
                   "%s: the index has format %" PRIu64 " and this Larder knows %d: use the newer "
                   "Larder that wrote it, or another data directory; nothing was changed",
                   s->dir, format, STORE_FORMAT);
}

/* The names of the files, which LMDB does not see to. */
static int sync_names(struct store *s, struct err *err)
{
    _cleanup_close_ int fd = openat(s->dir_fd, "index", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0 || fsync(fd) < 0 || fsync(s->dir_fd) < 0) {
        return lock_dir_error(s, "index", errno, err);
    }
    return 0;
}

/* The sums, and whether the last stop was clean; from here on it is not. */
static int index_begin(struct store *s, bool empty, struct err *err)
{
    struct db_txn *t = db_write_begin(s->db, err);
    bool clean = empty;
    struct slice value;

    if (t == NULL) {
        return -1;
    }
    s->totals = (struct record_totals){0};
    if (meta_get(t, "totals", &value) && !record_get_totals(value, &s->totals)) {
        log_event(LOG_ERROR, "index.record", "%s: the sums cannot be read", s->dir);
    }
    clean = clean || meta_number(t, "clean") == 1;
    meta_put_number(t, "format", STORE_FORMAT);
    meta_put_number(t, "boot", s->boot);
    meta_put_number(t, "clean", 0);
    if (db_commit(t, err) < 0 || (empty && sync_names(s, err) < 0)) {
        return -1;
    }
    s->recover.unclean = !clean;
    if (!clean && !s->recover.replaced) {
        log_event(LOG_INFO, "store.recover",
                  "%s: the last stop was not clean; looking for what it left", s->dir);
    }
    return 0;
}

/* What is read and written before anything else. Owner: index_open(). */
struct first {
    struct store *store;
    struct err *err;
    int rc;
};

static void index_first(void *arg)
{
    struct first *f = arg;
    struct store *s = f->store;
    bool empty;

    f->rc = index_format(s, &empty, f->err);
    if (f->rc == 0) {
        f->rc = db_create_tables(s->db, f->err);
    }
    if (f->rc == 0) {
        f->rc = index_begin(s, empty, f->err);
    }
}

/* Opens what is there. -1 with *ret_why. */
static int index_open(struct store *s, const char *path, enum db_refusal *ret_why, struct err *err)
{
    struct first first = {.store = s, .err = err};

    s->db = db_open(path, ret_why, err);
    if (s->db == NULL) {
        return -1;
    }
    *ret_why = DB_REFUSED;
    if (!db_try(s->db, index_first, &first)) {
        db_close(s->db);
        s->db = NULL;
        *ret_why = DB_UNREADABLE;
        return err_set(err, ERR_STORE, "%s: the index is damaged", path);
    }
    db_opened(s->db);
    return first.rc;
}

/* One that is damaged is moved aside, and so is a copy that is. */
int recover_index(struct store *s, struct err *err)
{
    enum db_refusal why;
    struct stat st;
    char path[4096];
    char text[512];
    char name[64];

    index_path(s, path);
    if (index_folder(s, path, err) < 0) {
        return -1;
    }
    snprintf(text, sizeof(text), "%.400s/" DB_FILE, path);
    if ((stat(text, &st) < 0 || st.st_size == 0) &&
        (exists(s->dir_fd, BACKUP_NAME) || exists(s->dir_fd, "blobs"))) {
        snprintf(text, sizeof(text), "%.400s: the index is missing", s->dir);
        index_replace(s, path, text);
    }
    while (index_open(s, path, &why, err) < 0) {
        if (why != DB_UNREADABLE || db_move_aside(path, name, err) < 0) {
            return -1;
        }
        snprintf(text, sizeof(text), "%.400s; it is kept as %s", err->text, name);
        index_replace(s, path, text);
    }
    return 0;
}

static int mark_clean(struct store *s, bool clean, struct err *err)
{
    struct db_txn *t = db_write_begin(s->db, err);

    if (t == NULL) {
        return -1;
    }
    meta_put_number(t, "clean", clean);
    return db_commit(t, err);
}

/* Blobs whose reservation no commit has ended have files that the index does not know. */
int recover_finish(struct store *s, struct err *err)
{
    if (adopt_is_running(s->adopt) || budget_is_owed(s->budget)) {
        return err_set(err, ERR_STORE, "files are left that the index does not know");
    }
    return mark_clean(s, true, err);
}

int recover_again(struct store *s, struct err *err)
{
    if (index_begin(s, false, err) < 0) {
        return -1;
    }
    budget_recorded(s->budget, &s->totals, NULL, 0);
    if (s->recover.unclean) {
        adopt_start(s->adopt);
    }
    return 0;
}
