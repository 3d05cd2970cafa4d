/* store/uploads.c - the table of upload sessions, from one start to the next. */
#include "store/uploads.h"

#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "store/writer.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* Idle sessions are looked for this often. */
#define TICK_MS 60000
/* Older than any session may be. */
#define LONG_IDLE INT64_C(-1000000000000)

struct upload *upload_new(struct store *s, const char *id, const char *repo, const char *owner)
{
    struct upload *u = xnew(struct upload);

    u->store = s;
    snprintf(u->id, sizeof(u->id), "%s", id);
    u->repo = xstrdup(repo);
    u->owner = xstrdup(owner);
    u->client = xstrdup(owner);
    u->touched = clock_wall_s();
    u->ingest.fd = -1;
    return u;
}

void upload_free(struct upload *u)
{
    free(u->repo);
    free(u->owner);
    free(u->client);
    free(u);
}

/* --- the table, under its lock ------------------------------------------------------------- */

static bool same_id(const struct map_node *node, const void *key)
{
    const struct upload *u = container_of_const(node, struct upload, node);

    return strcmp(u->id, key) == 0;
}

bool upload_is_idle(const struct upload *u, int64_t now)
{
    return !u->claimed && now - u->touched > (int64_t)(limits.upload_idle / 1000);
}

static struct upload *find_by_id(struct uploads *all, const char *id)
{
    struct map_node *node = map_find(&all->by_id, map_hash(id, strlen(id)), same_id, id);

    return node == NULL ? NULL : container_of(node, struct upload, node);
}

struct upload *uploads_find(struct uploads *all, const char *id, const char *repo,
                            const char *owner)
{
    struct upload *u = find_by_id(all, id);

    if (u == NULL || strcmp(u->repo, repo) != 0 || strcmp(u->owner, owner) != 0 ||
        upload_is_idle(u, clock_wall_s())) {
        return NULL;
    }
    return u;
}

void uploads_insert(struct uploads *all, struct upload *u)
{
    map_insert(&all->by_id, map_hash(u->id, strlen(u->id)), &u->node);
    list_append(&all->all, &u->in_all);
    all->n++;
}

void uploads_take_out(struct uploads *all, struct upload *u)
{
    if (!u->gone) {
        map_remove(&all->by_id, &u->node);
        list_remove(&u->in_all);
        all->n--;
        u->gone = true;
    }
}

/* --- start and end ------------------------------------------------------------------------- */

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

        uploads_take_out(all, u);
        ingest_close(&u->ingest);
        upload_free(u);
    }
    map_fini(&all->by_id);
    pthread_mutex_destroy(&all->lock);
    free(all);
}

static bool is_known(struct store *s, const char *id)
{
    struct uploads *all = s->uploads;
    bool known;

    pthread_mutex_lock(&all->lock);
    known = find_by_id(all, id) != NULL;
    pthread_mutex_unlock(&all->lock);
    return known;
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

    if (!slice_copy(key, id, sizeof(id)) || !record_get_upload(value, &record) || is_known(s, id)) {
        return true;
    }
    snprintf(name, sizeof(name), UPLOAD_FILE_PREFIX "%s", id);
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
    pthread_mutex_lock(&s->uploads->lock);
    uploads_insert(s->uploads, u);
    pthread_mutex_unlock(&s->uploads->lock);
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
    const size_t n = sizeof(UPLOAD_FILE_PREFIX) - 1;

    return strncmp(name, UPLOAD_FILE_PREFIX, n) == 0 && is_known(s, name + n);
}

/* One idle session, out of the table; NULL where there is none. */
static struct upload *take_idle(struct uploads *all)
{
    struct upload *found = NULL;
    int64_t now = clock_wall_s();

    pthread_mutex_lock(&all->lock);
    list_each(it, &all->all) {
        struct upload *u = container_of(it, struct upload, in_all);

        if (upload_is_idle(u, now)) {
            found = u;
            uploads_take_out(all, u);
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

struct finish {
    struct index_write write;
    bool all;
};

/* Idle ones end here as they would have later; their files go with the store's last sweep. */
static void finish_apply(struct index_write *w, struct index_txn *t)
{
    struct uploads *all = t->store->uploads;
    int64_t now = clock_wall_s();

    pthread_mutex_lock(&all->lock); /* others may still be at theirs */
    list_each(it, &all->all) {
        struct upload *u = container_of(it, struct upload, in_all);
        struct record_upload value;

        if (u->claimed && !container_of(w, struct finish, write)->all) {
            continue;
        }
        if (upload_is_idle(u, now)) {
            upload_del_record(t, u->id);
        } else if (is_safe(u)) {
            upload_value(u, &(struct upload_mark){.offset = u->offset, .sha = u->sha}, &value);
            upload_put_record(t, u->id, &value);
            u->synced = u->offset;
        }
    }
    pthread_mutex_unlock(&all->lock);
}

/* Another process opens them. */
static void close_left(struct uploads *all)
{
    pthread_mutex_lock(&all->lock);
    list_each(it, &all->all) {
        struct upload *u = container_of(it, struct upload, in_all);

        if (!u->claimed) {
            ingest_close(&u->ingest);
        }
    }
    pthread_mutex_unlock(&all->lock);
}

void uploads_finish(struct store *s, bool all)
{
    struct finish finish = {.write = {.apply = finish_apply}, .all = all};
    struct upload *u;
    struct err err;

    if (list_empty(&s->uploads->all)) {
        return;
    }
    if (fsync(s->tree.ingest) < 0 || writer_apply(s, &finish.write, &err) < 0) {
        log_event(LOG_WARN, "upload.stop", "%s: upload sessions may be lost by this stop", s->dir);
    }
    while ((u = take_idle(s->uploads)) != NULL) {
        ingest_close(&u->ingest);
        upload_free(u);
    }
    if (!all) {
        close_left(s->uploads);
    }
}

/* --- from one process to the next ---------------------------------------------------------- */

static void describe(const struct upload *u, struct handed_upload *ret)
{
    *ret = (struct handed_upload){
        .id = xstrdup(u->id), .repo = xstrdup(u->repo), .owner = xstrdup(u->owner)};
}

size_t uploads_hand(struct store *s, struct handed_upload **ret)
{
    struct uploads *all = s->uploads;
    struct handed_upload *found;
    size_t n = 0;

    pthread_mutex_lock(&all->lock);
    found = xcalloc(all->n + 1, sizeof(*found));
    list_each(it, &all->all) {
        struct upload *u = container_of(it, struct upload, in_all);

        if (u->claimed) {
            atomic_store(&u->handed, true);
            describe(u, &found[n++]);
        }
    }
    pthread_mutex_unlock(&all->lock);
    *ret = found;
    return n;
}

int uploads_take_back(struct store *s, struct err *err)
{
    struct uploads *all = s->uploads;

    pthread_mutex_lock(&all->lock);
    list_each_safe(it, &all->all) {
        struct upload *u = container_of(it, struct upload, in_all);

        if (atomic_load(&u->handed)) {
            atomic_store(&u->handed, false);
        } else if (!u->claimed && u->synced == atomic_load(&u->offset)) {
            uploads_take_out(all, u);
            ingest_close(&u->ingest);
            upload_free(u);
        }
    }
    pthread_mutex_unlock(&all->lock);
    return uploads_load(s, err);
}

void uploads_inherit(struct store *s, const struct handed_upload *from)
{
    struct uploads *all = s->uploads;
    struct upload *u;

    pthread_mutex_lock(&all->lock);
    u = find_by_id(all, from->id);
    if (u == NULL) { /* one that the index was not told of */
        u = upload_new(s, from->id, from->repo, from->owner);
        sha_init(&u->sha, SHA_256);
        uploads_insert(all, u);
    }
    u->claimed = true;
    u->inherited = true;
    pthread_mutex_unlock(&all->lock);
}

struct upload *uploads_take_inherited(struct store *s, const char *id)
{
    struct uploads *all = s->uploads;
    struct upload *u;

    pthread_mutex_lock(&all->lock);
    u = find_by_id(all, id);
    if (u != NULL && u->inherited) {
        u->inherited = false;
    } else {
        u = NULL;
    }
    pthread_mutex_unlock(&all->lock);
    return u;
}

void uploads_inherit_end(struct store *s)
{
    struct uploads *all = s->uploads;

    pthread_mutex_lock(&all->lock);
    list_each(it, &all->all) {
        struct upload *u = container_of(it, struct upload, in_all);

        if (u->inherited) {
            u->inherited = false;
            u->claimed = false;
            u->touched = clock_wall_s();
        }
    }
    pthread_mutex_unlock(&all->lock);
}
