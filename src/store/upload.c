/* store/upload.c - the table of sessions, their files and their records. */
#include "store/upload.h"

#include "base/clock.h"
#include "base/counter.h"
#include "base/fault.h"
#include "base/file.h"
#include "base/limits.h"
#include "base/log.h"
#include "store/boot.h"
#include "store/hosted.h"
#include "store/writer.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* Bytes between two syncs of a session that is written to. */
#define CHECKPOINT ((uint64_t)64 << 20)
/* Less is not worth a sync of its own: a client that lost it sends it again. */
#define CHECKPOINT_MIN ((uint64_t)1 << 20)
/* Idle sessions are looked for this often. */
#define TICK_MS 60000
#define FILE_PREFIX "upload-"
/* Seconds after which a session gives way to another, where there are UPLOADS_MAX. */
#define FORGOTTEN_S 300
/* Older than any session may be. */
#define LONG_IDLE INT64_C(-1000000000000)
#define REHASH_PIECE ((size_t)1 << 20)

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

/* --- the table, under its lock ------------------------------------------------------------- */

static bool same_id(const struct map_node *node, const void *key)
{
    const struct upload *u = container_of_const(node, struct upload, node);

    return strcmp(u->id, key) == 0;
}

static bool is_idle(const struct upload *u, int64_t now)
{
    return !u->claimed && now - u->touched > (int64_t)(limits.upload_idle / 1000);
}

static struct upload *find(struct uploads *all, const char *id, const char *repo, const char *owner)
{
    struct map_node *node = map_find(&all->by_id, map_hash(id, strlen(id)), same_id, id);
    struct upload *u = node == NULL ? NULL : container_of(node, struct upload, node);

    if (u == NULL || strcmp(u->repo, repo) != 0 || strcmp(u->owner, owner) != 0 ||
        is_idle(u, clock_wall_s())) {
        return NULL;
    }
    return u;
}

static void insert(struct uploads *all, struct upload *u)
{
    map_insert(&all->by_id, map_hash(u->id, strlen(u->id)), &u->node);
    list_append(&all->all, &u->in_all);
    all->n++;
}

static void take_out(struct uploads *all, struct upload *u)
{
    if (!u->gone) {
        map_remove(&all->by_id, &u->node);
        list_remove(&u->in_all);
        all->n--;
        u->gone = true;
    }
}

/* --- records ------------------------------------------------------------------------------- */

static void key_of(struct record_key *k, const char *id)
{
    k->len = strlen(id);
    memcpy(k->bytes, id, k->len);
}

static void put_record(struct index_txn *t, const char *id, const struct record_upload *value)
{
    struct record_key key;
    struct record record;

    key_of(&key, id);
    record_put_upload(&record, value);
    t->lasting = true;
    db_put(t->db, DB_UPLOADS, record_key_view(&key), record_view(&record));
}

static void del_record(struct index_txn *t, const char *id)
{
    struct record_key key;

    key_of(&key, id);
    t->lasting = true;
    db_del(t->db, DB_UPLOADS, record_key_view(&key));
}

/* A change of a session's record that nobody waits for. Owner: itself. */
struct upload_note {
    struct index_write write;
    char id[UPLOAD_ID_SIZE];
    bool ended;
    struct record_upload value;
};

static void note_apply(struct index_write *w, struct index_txn *t)
{
    struct upload_note *n = container_of(w, struct upload_note, write);

    if (n->ended) {
        del_record(t, n->id);
    } else {
        put_record(t, n->id, &n->value);
    }
}

static void note_done(struct index_write *w)
{
    free(container_of(w, struct upload_note, write));
}

static void value_of(const struct upload *u, const struct upload_mark *mark,
                     struct record_upload *ret)
{
    *ret = (struct record_upload){
        .part = {.size = UINT64_MAX, .stored = mark->offset, .touched = u->touched},
    };
    ret->part.state_len = sha_save(&mark->sha, ret->part.state);
    snprintf(ret->repo, sizeof(ret->repo), "%s", u->repo);
    snprintf(ret->owner, sizeof(ret->owner), "%s", u->owner);
}

/* What is synced of it; NULL: it ended. */
static void note(struct upload *u, const struct upload_mark *mark)
{
    struct upload_note *n = xnew(struct upload_note);

    snprintf(n->id, sizeof(n->id), "%s", u->id);
    n->ended = mark == NULL;
    if (mark != NULL) {
        value_of(u, mark, &n->value);
    }
    n->write = (struct index_write){.apply = note_apply, .done = note_done, .lazy = true};
    index_write_submit(u->store, NULL, &n->write);
}

/* --- opening, claiming --------------------------------------------------------------------- */

static struct upload *upload_new(struct store *s, const char *id, const char *repo,
                                 const char *owner)
{
    struct upload *u = xnew(struct upload);

    u->store = s;
    snprintf(u->id, sizeof(u->id), "%s", id);
    u->repo = xstrdup(repo);
    u->owner = xstrdup(owner);
    u->touched = clock_wall_s();
    u->ingest.fd = -1;
    return u;
}

static void upload_free(struct upload *u)
{
    free(u->repo);
    free(u->owner);
    free(u);
}

/* The session that nobody went on with for the longest time, and for so long that its client has
 * most likely forgotten it, out of the table; NULL: there is none. Under the lock. */
static struct upload *take_forgotten(struct uploads *all)
{
    int64_t before = clock_wall_s() - FORGOTTEN_S;
    struct upload *found = NULL;

    list_each(it, &all->all) {
        struct upload *u = container_of(it, struct upload, in_all);

        if (!u->claimed && u->touched < before) {
            before = u->touched;
            found = u;
        }
    }
    if (found != NULL) {
        take_out(all, found);
    }
    return found;
}

struct upload *upload_open(struct store *s, const char *repo, const char *owner, enum sha_alg alg,
                           bool lasting)
{
    struct uploads *all = s->uploads;
    char id[UPLOAD_ID_SIZE];
    struct upload *forgotten = NULL;
    struct upload *u;
    bool room;

    snprintf(id, sizeof(id), "%016" PRIx64 "%016" PRIx64, boot_random(), boot_random());
    u = upload_new(s, id, repo, owner);
    u->claimed = true;
    sha_init(&u->sha, alg);
    pthread_mutex_lock(&all->lock);
    if (all->n >= UPLOADS_MAX) {
        forgotten = take_forgotten(all);
    }
    room = all->n < UPLOADS_MAX;
    if (room) {
        insert(all, u);
    }
    pthread_mutex_unlock(&all->lock);
    if (forgotten != NULL) {
        log_event(LOG_WARN, "upload.forgotten",
                  "%s: upload %s of %" PRIu64 " bytes gives way: %d are under way", forgotten->repo,
                  forgotten->id, atomic_load(&forgotten->offset), UPLOADS_MAX);
        upload_drop(forgotten);
    }
    if (!room) {
        upload_free(u);
        return NULL;
    }
    count(uploads_started);
    if (lasting) {
        note(u, &(struct upload_mark){.sha = u->sha});
    }
    return u;
}

static enum upload_claim look(struct store *s, const char *id, const char *repo, const char *owner,
                              struct upload **claim, uint64_t *ret_offset)
{
    struct uploads *all = s->uploads;
    enum upload_claim found = UPLOAD_UNKNOWN;
    struct upload *u;

    pthread_mutex_lock(&all->lock);
    u = find(all, id, repo, owner);
    if (u != NULL) {
        found = u->claimed ? UPLOAD_BUSY : UPLOAD_CLAIMED;
        *ret_offset = atomic_load(&u->offset);
    }
    if (found == UPLOAD_CLAIMED && claim != NULL) {
        u->claimed = true;
        *claim = u;
    }
    pthread_mutex_unlock(&all->lock);
    return found;
}

enum upload_claim upload_claim(struct store *s, const char *id, const char *repo, const char *owner,
                               struct upload **ret, uint64_t *ret_offset)
{
    return look(s, id, repo, owner, ret, ret_offset);
}

enum upload_claim upload_look(struct store *s, const char *id, const char *repo, const char *owner,
                              uint64_t *ret_offset)
{
    return look(s, id, repo, owner, NULL, ret_offset);
}

/* --- ends ---------------------------------------------------------------------------------- */

/* Out of the table; only its last user knows it now. */
static void forget(struct upload *u)
{
    struct uploads *all = u->store->uploads;

    pthread_mutex_lock(&all->lock);
    take_out(all, u);
    pthread_mutex_unlock(&all->lock);
}

/* The file of a session that nobody went on with since the start is not open. */
static void remove_file(struct upload *u)
{
    char name[INGEST_NAME_MAX];

    if (u->ingest.fd >= 0) {
        ingest_drop(&u->ingest);
        return;
    }
    snprintf(name, sizeof(name), FILE_PREFIX "%s", u->id);
    unlinkat(u->store->tree.ingest, name, 0);
}

static void drop_run(struct job *job)
{
    struct upload *u = container_of(job, struct upload, job);

    remove_file(u);
    note(u, NULL);
}

static void drop_done(struct job *job)
{
    struct upload *u = container_of(job, struct upload, job);

    store_job_leave(u->store);
    upload_free(u);
}

void upload_drop(struct upload *u)
{
    forget(u);
    if (!store_job_enter(u->store)) {
        /* The store closes: its last sweep removes the file, the next start the record. */
        ingest_close(&u->ingest);
        upload_free(u);
        return;
    }
    pool_submit(u->store->disk, NULL, &u->job, drop_run, drop_done);
}

void upload_leave(struct upload *u)
{
    struct uploads *all = u->store->uploads;
    bool gone;

    pthread_mutex_lock(&all->lock);
    u->claimed = false;
    u->touched = clock_wall_s();
    gone = u->gone;
    pthread_mutex_unlock(&all->lock);
    if (gone) {
        upload_drop(u);
    }
}

bool upload_cancel(struct store *s, const char *id, const char *repo, const char *owner)
{
    struct uploads *all = s->uploads;
    struct upload *u;
    bool claimed = false;

    pthread_mutex_lock(&all->lock);
    u = find(all, id, repo, owner);
    if (u != NULL) {
        claimed = u->claimed;
        take_out(all, u);
    }
    pthread_mutex_unlock(&all->lock);
    if (u != NULL && !claimed) {
        upload_drop(u);
    }
    return u != NULL;
}

/* --- bytes --------------------------------------------------------------------------------- */

static int open_file(struct upload *u, struct err *err)
{
    char name[INGEST_NAME_MAX];

    if (u->ingest.fd >= 0) {
        return 0;
    }
    snprintf(name, sizeof(name), FILE_PREFIX "%s", u->id);
    return ingest_open_named(&u->ingest, u->store, name, u->offset, err);
}

int upload_write(struct upload *u, const void *p, size_t n, struct err *err)
{
    return open_file(u, err) < 0 ? -1 : ingest_write(&u->ingest, p, n, u->offset, err);
}

void upload_wrote(struct upload *u, size_t n, const struct sha *sha)
{
    u->sha = *sha;
    atomic_fetch_add(&u->offset, n);
    count_add(upload_bytes, n);
}

bool upload_mark(const struct upload *u, bool end, struct upload_mark *ret)
{
    uint64_t offset = atomic_load(&u->offset);

    if (offset - u->synced < (end ? CHECKPOINT_MIN : CHECKPOINT)) {
        return false;
    }
    *ret = (struct upload_mark){.offset = offset, .sha = u->sha};
    return true;
}

bool upload_is_lost(const struct upload *u)
{
    return atomic_load(&u->ingest.spoilt);
}

void upload_sync(struct upload *u, const struct upload_mark *mark)
{
    if (ingest_sync(&u->ingest) < 0 || (u->synced == 0 && (fault_errno("ingest.folder", EIO) ||
                                                           fsync(u->store->tree.ingest) < 0))) {
        count(store_errors);
        log_event(LOG_ERROR, "upload.sync", "%s: upload %s cannot be put on disk: %s",
                  u->store->dir, u->id, strerror(errno));
        return;
    }
    u->synced = mark->offset;
    note(u, mark);
}

/* The algorithm was told last: the bytes are read again. */
static int hash_file(struct upload *u, enum sha_alg alg, struct digest *ret, struct err *err)
{
    _cleanup_free_ unsigned char *piece = xcalloc(1, REHASH_PIECE);
    struct digest d = {.alg = (uint8_t)alg};
    struct sha sha;
    ssize_t got;

    sha_init(&sha, alg);
    for (uint64_t at = 0; at < u->offset; at += (uint64_t)got) {
        uint64_t left = u->offset - at;

        got = file_pread_all(u->ingest.fd, piece, left < REHASH_PIECE ? left : REHASH_PIECE, at);
        if (got <= 0) {
            count(store_errors);
            return err_set(err, ERR_STORE, "%s: upload %s cannot be read again: %s", u->store->dir,
                           u->id, got < 0 ? strerror(errno) : "it is shorter than it was");
        }
        sha_update(&sha, piece, (size_t)got);
    }
    sha_final(&sha, d.bytes);
    *ret = d;
    return 0;
}

static int digest_of(struct upload *u, enum sha_alg alg, struct digest *ret, struct err *err)
{
    struct sha sha = u->sha; /* a copy: where this is not the digest, the session may go on */

    if (sha.alg != alg) {
        return hash_file(u, alg, ret, err);
    }
    *ret = (struct digest){.alg = (uint8_t)alg};
    sha_final(&sha, ret->bytes);
    return 0;
}

int upload_commit(struct upload *u, const struct digest *d, struct err *err)
{
    char found_text[DIGEST_TEXT_MAX];
    char text[DIGEST_TEXT_MAX];
    struct digest found;

    if (open_file(u, err) < 0 || digest_of(u, (enum sha_alg)d->alg, &found, err) < 0) {
        return -1;
    }
    if (!digest_equal(&found, d)) {
        return err_set(err, ERR_DIGEST_INVALID, "the %" PRIu64 " bytes are %s, not %s", u->offset,
                       digest_text(&found, found_text), digest_text(d, text));
    }
    u->digest = *d;
    u->ingest.digest = *d;
    return ingest_commit(&u->ingest, u->offset, true, err);
}

void upload_record(struct upload *u, struct index_txn *t)
{
    int64_t now = clock_wall_s();
    struct blob_record blob = {
        .size = u->offset,
        .created = now,
        .used = now,
        .class = BLOB_LAYER,
        .synced = true,
    };

    index_put_blob(t, &u->digest, &blob);
    if (strcmp(u->repo, UPLOAD_NO_REPO) != 0) {
        hosted_put_blob(t, u->repo, &u->digest, u->offset);
    }
    del_record(t, u->id);
}

void upload_finish(struct upload *u)
{
    forget(u);
    ingest_recorded(&u->ingest);
    ingest_close(&u->ingest);
    upload_free(u);
}

/* --- for the store ------------------------------------------------------------------------- */

static void expire_run(struct store *s);

struct uploads *uploads_new(struct store *s)
{
    struct uploads *all = xnew(struct uploads);

    all->store = s;
    all->job.store = s;
    all->job.run = expire_run;
    pthread_mutex_init(&all->lock, NULL);
    map_init(&all->by_id);
    list_init(&all->all);
    return all;
}

void uploads_free(struct uploads *all)
{
    if (all == NULL) {
        return;
    }
    while (!list_empty(&all->all)) {
        struct upload *u = container_of(all->all.next, struct upload, in_all);

        take_out(all, u);
        ingest_close(&u->ingest);
        upload_free(u);
    }
    map_fini(&all->by_id);
    pthread_mutex_destroy(&all->lock);
    free(all);
}

/* A session whose file is shorter than what was synced is lost, and ends as an idle one does. */
static bool load_one(void *arg, struct slice key, struct slice value)
{
    struct store *s = arg;
    struct record_upload record;
    char name[INGEST_NAME_MAX];
    char id[UPLOAD_ID_SIZE];
    struct upload *u;
    struct stat st;

    if (!slice_copy(key, id, sizeof(id)) || !record_get_upload(value, &record)) {
        return true;
    }
    snprintf(name, sizeof(name), FILE_PREFIX "%s", id);
    u = upload_new(s, id, record.repo, record.owner);
    u->offset = record.part.stored;
    u->synced = record.part.stored;
    u->touched = record.part.touched;
    if ((record.part.stored > 0 && (fstatat(s->tree.ingest, name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
                                    (uint64_t)st.st_size < record.part.stored)) ||
        !sha_restore(&u->sha, record.part.state, record.part.state_len) ||
        u->sha.hashed != record.part.stored) {
        u->touched = LONG_IDLE;
    }
    insert(s->uploads, u);
    return true;
}

int uploads_load(struct store *s, struct err *err)
{
    struct db_txn *t = db_read_begin(s->db, err);

    if (t == NULL) {
        return -1;
    }
    db_each(t, DB_UPLOADS, SLICE_NULL, SLICE_NULL, load_one, s);
    db_read_end(t);
    return 0;
}

bool uploads_own(struct store *s, const char *name)
{
    const size_t n = sizeof(FILE_PREFIX) - 1;
    struct uploads *all = s->uploads;
    bool own;

    if (strncmp(name, FILE_PREFIX, n) != 0) {
        return false;
    }
    pthread_mutex_lock(&all->lock);
    own = map_find(&all->by_id, map_hash(name + n, strlen(name + n)), same_id, name + n) != NULL;
    pthread_mutex_unlock(&all->lock);
    return own;
}

/* One idle session, out of the table; NULL where there is none. */
static struct upload *take_idle(struct uploads *all)
{
    struct upload *found = NULL;
    int64_t now = clock_wall_s();

    pthread_mutex_lock(&all->lock);
    list_each(it, &all->all) {
        struct upload *u = container_of(it, struct upload, in_all);

        if (is_idle(u, now)) {
            found = u;
            take_out(all, u);
            break;
        }
    }
    pthread_mutex_unlock(&all->lock);
    return found;
}

static void expire_run(struct store *s)
{
    struct upload *u;

    while ((u = take_idle(s->uploads)) != NULL) {
        log_event(LOG_INFO, "upload.expired", "%s: upload %s of %" PRIu64 " bytes was left idle",
                  u->repo, u->id, atomic_load(&u->offset));
        upload_drop(u);
    }
}

uint64_t uploads_tick(struct uploads *all, uint64_t now)
{
    if (now >= all->due_ms) {
        ignore_result(store_job_start(all->store, &all->job));
        all->due_ms = now + (limits.upload_idle < TICK_MS ? limits.upload_idle : TICK_MS);
    }
    return all->due_ms;
}

static bool is_safe(struct upload *u)
{
    return u->synced == u->offset || (u->ingest.fd >= 0 && ingest_sync(&u->ingest) == 0);
}

/* Idle ones end here as they would have later; their files go with the store's last sweep. */
static void finish_apply(struct index_write *w, struct index_txn *t)
{
    struct uploads *all = t->store->uploads;
    int64_t now = clock_wall_s();

    (void)w;
    list_each(it, &all->all) {
        struct upload *u = container_of(it, struct upload, in_all);
        struct record_upload value;

        if (is_idle(u, now)) {
            del_record(t, u->id);
        } else if (is_safe(u)) {
            value_of(u, &(struct upload_mark){u->offset, u->sha}, &value);
            put_record(t, u->id, &value);
            u->synced = u->offset;
        }
    }
}

void uploads_finish(struct store *s)
{
    struct index_write w = {.apply = finish_apply};
    struct upload *u;
    struct err err;

    if (list_empty(&s->uploads->all)) {
        return;
    }
    if (fsync(s->tree.ingest) < 0 || writer_apply(s, &w, &err) < 0) {
        log_event(LOG_WARN, "upload.stop", "%s: upload sessions may be lost by this stop", s->dir);
    }
    while ((u = take_idle(s->uploads)) != NULL) {
        ingest_close(&u->ingest);
        upload_free(u);
    }
}
