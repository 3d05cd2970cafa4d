/* store/upload.c - sessions: their files and their records. */
#include "store/upload.h"

#include "base/clock.h"
#include "base/counter.h"
#include "base/fault.h"
#include "base/file.h"
#include "base/limits.h"
#include "base/log.h"
#include "store/boot.h"
#include "store/hosted.h"
#include "store/uploads.h"
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
/* Seconds after which a session gives way to another, where there are too many. */
#define FORGOTTEN_S 300
#define REHASH_PIECE ((size_t)1 << 20)

/* --- records ------------------------------------------------------------------------------- */

static void key_of(struct record_key *k, const char *id)
{
    k->len = strlen(id);
    memcpy(k->bytes, id, k->len);
}

void upload_put_record(struct index_txn *t, const char *id, const struct record_upload *value)
{
    struct record_key key;
    struct record record;

    key_of(&key, id);
    record_put_upload(&record, value);
    t->lasting = true;
    db_put(t->db, DB_UPLOADS, record_key_view(&key), record_view(&record));
}

void upload_del_record(struct index_txn *t, const char *id)
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
        upload_del_record(t, n->id);
    } else {
        upload_put_record(t, n->id, &n->value);
    }
}

static void note_done(struct index_write *w)
{
    free(container_of(w, struct upload_note, write));
}

void upload_value(const struct upload *u, const struct upload_mark *mark, struct record_upload *ret)
{
    *ret = (struct record_upload){
        .part = {.size = UINT64_MAX, .stored = mark->offset, .touched = u->touched},
    };
    ret->part.state_len = sha_save(&mark->sha, ret->part.state);
    snprintf(ret->repo, sizeof(ret->repo), "%s", u->repo);
    snprintf(ret->owner, sizeof(ret->owner), "%s", u->owner);
}

void upload_note(struct upload *u, const struct upload_mark *mark)
{
    struct upload_note *n = xnew(struct upload_note);

    snprintf(n->id, sizeof(n->id), "%s", u->id);
    n->ended = mark == NULL;
    if (mark != NULL) {
        upload_value(u, mark, &n->value);
    }
    n->write = (struct index_write){.apply = note_apply, .done = note_done, .lazy = true};
    index_write_submit(u->store, NULL, &n->write);
}

/* --- opening, claiming --------------------------------------------------------------------- */

static bool is_of(const struct upload *u, const char *client)
{
    return client[0] != '\0' && strcmp(u->client, client) == 0;
}

/* How many sessions there are of the client. They are not counted where so many cannot be too many.
 * Under the lock. */
static size_t count_of(struct uploads *all, const char *client)
{
    size_t n = 0;

    if (all->n < UPLOADS_EACH || client[0] == '\0') {
        return 0;
    }
    list_each(it, &all->all) {
        n += is_of(container_of(it, struct upload, in_all), client);
    }
    return n;
}

/* The session (of `client`; NULL: of anybody) that nobody went on with for the longest time, and
 * for so long that its client has most likely forgotten it, out of the table; NULL: there is none.
 * Under the lock. */
static struct upload *take_forgotten(struct uploads *all, const char *client)
{
    int64_t before = clock_wall_s() - FORGOTTEN_S;
    struct upload *found = NULL;

    list_each(it, &all->all) {
        struct upload *u = container_of(it, struct upload, in_all);

        if (!u->claimed && u->touched < before && (client == NULL || is_of(u, client))) {
            before = u->touched;
            found = u;
        }
    }
    if (found != NULL) {
        uploads_take_out(all, found);
    }
    return found;
}

/* Puts it into the table; false: there are too many. *ret_forgotten: what gave way to it. */
static bool admit(struct uploads *all, struct upload *u, struct upload **ret_forgotten)
{
    bool of_client;
    bool room;

    pthread_mutex_lock(&all->lock);
    of_client = count_of(all, u->client) >= UPLOADS_EACH;
    room = all->n < UPLOADS_MAX && !of_client;
    *ret_forgotten = room ? NULL : take_forgotten(all, of_client ? u->client : NULL);
    room = room || *ret_forgotten != NULL;
    if (room) {
        uploads_insert(all, u);
    }
    pthread_mutex_unlock(&all->lock);
    return room;
}

static struct upload *upload_made(struct store *s, const char *repo,
                                  const struct upload_client *client, enum sha_alg alg)
{
    char id[UPLOAD_ID_SIZE];
    struct upload *u;

    snprintf(id, sizeof(id), "%016" PRIx64 "%016" PRIx64, boot_random(), boot_random());
    u = upload_new(s, id, repo, client->owner);
    if (client->owner[0] == '\0') {
        free(u->client);
        u->client = xstrdup(client->address);
    }
    u->claimed = true;
    sha_init(&u->sha, alg);
    return u;
}

struct upload *upload_open(struct store *s, const char *repo, const struct upload_client *client,
                           enum sha_alg alg, bool lasting)
{
    struct upload *u = upload_made(s, repo, client, alg);
    struct upload *forgotten;
    bool room = admit(s->uploads, u, &forgotten);

    if (forgotten != NULL) {
        log_event(LOG_WARN, "upload.forgotten",
                  "%s: upload %s of %" PRIu64 " bytes gives way to another: too many are under way",
                  forgotten->repo, forgotten->id, atomic_load(&forgotten->offset));
        upload_drop(forgotten);
    }
    if (!room) {
        upload_free(u);
        return NULL;
    }
    count(uploads_started);
    if (lasting) {
        upload_note(u, &(struct upload_mark){.sha = u->sha});
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
    u = uploads_find(all, id, repo, owner);
    if (u != NULL) {
        found = u->claimed || store_successor(s) != NULL ? UPLOAD_BUSY : UPLOAD_CLAIMED;
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
    uploads_take_out(all, u);
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
    snprintf(name, sizeof(name), UPLOAD_FILE_PREFIX "%s", u->id);
    unlinkat(u->store->tree.ingest, name, 0);
}

/* --- to the process that took over --------------------------------------------------------- */

/* -1: it cannot be reached, or refuses. */
static int tell(struct upload *u, const struct successor *to, enum handed_end end,
                const struct upload_mark *mark, struct err *err)
{
    struct handed_upload what = {
        .id = u->id, .repo = u->repo, .owner = u->owner, .end = end, .offset = mark->offset};

    what.digest = u->digest;
    what.state_len = sha_save(&mark->sha, what.state);
    u->told = true;
    return to->upload(to->context, &what, err);
}

/* Once nobody here is at it: the other one opens the file when it hears of it. Where there is none
 * after all, the index is told. */
static int tell_left(struct upload *u, const struct upload_mark *mark)
{
    const struct successor *to = store_settled(u->store);
    struct err err;

    if (to == NULL) {
        upload_note(u, mark);
        return 0;
    }
    ingest_close(&u->ingest);
    if (tell(u, to, HANDED_LEFT, mark, &err) == 0) {
        return 0;
    }
    log_event(LOG_ERROR, "upload.handover", "%s: upload %s cannot be gone on with: %s", u->repo,
              u->id, err.text);
    return -1;
}

static void tell_dropped(struct upload *u, const struct successor *to)
{
    struct err err;

    ingest_close(&u->ingest);
    if (tell(u, to, HANDED_DROPPED, &(struct upload_mark){.sha = u->sha}, &err) < 0) {
        log_event(LOG_WARN, "upload.handover", "%s: upload %s is left to its end: %s", u->repo,
                  u->id, err.text);
    }
}

static void drop_run(struct job *job)
{
    struct upload *u = container_of(job, struct upload, job);
    const struct successor *to = store_settled(u->store);

    if (to != NULL) {
        tell_dropped(u, to);
        return;
    }
    remove_file(u);
    upload_note(u, NULL);
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
    if (store_successor(u->store) != NULL) {
        store_job_enter_late(u->store);
    } else if (!store_job_enter(u->store)) {
        /* The store closes: its last sweep removes the file, the next start the record. */
        ingest_close(&u->ingest);
        upload_free(u);
        return;
    }
    pool_submit(u->store->disk, NULL, &u->job, drop_run, drop_done);
}

/* What it says is synced must be: the other one vouches for it over a power cut. */
static void leave_run(struct job *job)
{
    struct upload *u = container_of(job, struct upload, job);
    const struct successor *to = store_settled(u->store);

    u->back = to == NULL;
    if (u->back) {
        return;
    }
    upload_sync(u, &(struct upload_mark){.offset = u->offset, .sha = u->sha, .end = true});
    if (!u->told) {
        tell_dropped(u, to);
    }
}

static void leave_done(struct job *job)
{
    struct upload *u = container_of(job, struct upload, job);
    struct store *s = u->store;

    if (u->back) {
        upload_leave(u);
    } else {
        forget(u);
        upload_free(u);
    }
    store_job_leave(s);
}

/* What becomes of it is the other process's business. Until that is certain it stays listed. */
static void leave_for_good(struct upload *u)
{
    if (u->told) {
        forget(u);
        upload_free(u);
        return;
    }
    store_job_enter_late(u->store);
    pool_submit(u->store->disk, NULL, &u->job, leave_run, leave_done);
}

void upload_leave(struct upload *u)
{
    struct uploads *all = u->store->uploads;
    bool handed;
    bool gone;

    pthread_mutex_lock(&all->lock);
    handed = atomic_load(&u->handed);
    u->claimed = handed;
    u->touched = clock_wall_s();
    gone = u->gone;
    pthread_mutex_unlock(&all->lock);
    if (gone) {
        upload_drop(u);
    } else if (handed) {
        leave_for_good(u);
    }
}

bool upload_cancel(struct store *s, const char *id, const char *repo, const char *owner)
{
    struct uploads *all = s->uploads;
    struct upload *u;
    bool claimed = false;

    pthread_mutex_lock(&all->lock);
    u = uploads_find(all, id, repo, owner);
    if (u != NULL) {
        claimed = u->claimed && !u->inherited; /* whoever is at that one will find it gone */
        uploads_take_out(all, u);
    }
    pthread_mutex_unlock(&all->lock);
    if (u != NULL && !claimed) {
        upload_drop(u);
    }
    return u != NULL;
}

/* --- bytes --------------------------------------------------------------------------------- */

int upload_open_file(struct upload *u, struct err *err)
{
    char name[INGEST_NAME_MAX];

    if (u->ingest.fd >= 0) {
        return 0;
    }
    snprintf(name, sizeof(name), UPLOAD_FILE_PREFIX "%s", u->id);
    return ingest_open_named(&u->ingest, u->store, name, u->offset, err);
}

void upload_expect(struct upload *u, uint64_t n)
{
    u->expected = n == UINT64_MAX ? 0 : u->offset + n;
}

int upload_write(struct upload *u, const void *p, size_t n, struct err *err)
{
    if (upload_open_file(u, err) < 0) {
        return -1;
    }
    u->ingest.expected = u->expected;
    return ingest_write(&u->ingest, p, n, u->offset, err);
}

void upload_wrote(struct upload *u, size_t n, const struct sha *sha)
{
    u->sha = *sha;
    atomic_fetch_add(&u->offset, n);
    count_add(upload_bytes, n);
}

bool upload_is_owed(const struct upload *u)
{
    return atomic_load(&u->handed) && !u->told;
}

bool upload_mark(const struct upload *u, bool end, struct upload_mark *ret)
{
    uint64_t offset = atomic_load(&u->offset);

    bool hand = end && upload_is_owed(u);

    if (!hand && offset - u->synced < (end ? CHECKPOINT_MIN : CHECKPOINT)) {
        return false;
    }
    *ret = (struct upload_mark){.offset = offset, .sha = u->sha, .end = hand};
    return true;
}

bool upload_is_lost(const struct upload *u)
{
    return atomic_load(&u->ingest.spoilt);
}

void upload_sync(struct upload *u, const struct upload_mark *mark)
{
    if ((u->ingest.fd >= 0 && ingest_sync(&u->ingest) < 0) ||
        (u->synced == 0 &&
         (fault_errno("ingest.folder", EIO) || fsync(u->store->tree.ingest) < 0))) {
        count(store_errors);
        log_event(LOG_ERROR, "upload.sync", "%s: upload %s cannot be put on disk: %s",
                  u->store->dir, u->id, strerror(errno));
        if (mark->end) {
            atomic_store(&u->ingest.spoilt, true); /* there is no later sync that could mend it */
        }
        return;
    }
    u->synced = mark->offset;
    if (!mark->end) {
        upload_note(u, mark);
    } else if (tell_left(u, mark) < 0) {
        atomic_store(&u->ingest.spoilt, true); /* the client is told so */
    }
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

static int commit_there(struct upload *u, const struct successor *to, struct err *err)
{
    struct upload_mark mark = {.offset = u->offset, .sha = u->sha};

    if (upload_is_lost(u)) { /* a sync over there would succeed without what is lost */
        return err_set(err, ERR_STORE, "%s: the disk lost bytes of upload %s", u->store->dir,
                       u->id);
    }
    ingest_close(&u->ingest);
    if (tell(u, to, HANDED_WHOLE, &mark, err) < 0) {
        return -1;
    }
    u->recorded = true;
    return 0;
}

static int commit(struct upload *u, struct err *err)
{
    const struct successor *to;

    do {
        if (store_successor(u->store) == NULL &&
            ingest_commit(&u->ingest, u->offset, true, err) == 0) {
            return 0;
        }
        if (store_successor(u->store) == NULL) {
            return -1;
        }
        to = store_settled(u->store);
        *err = (struct err){0};
    } while (to == NULL);
    return commit_there(u, to, err);
}

int upload_commit(struct upload *u, const struct digest *d, struct err *err)
{
    char found_text[DIGEST_TEXT_MAX];
    char text[DIGEST_TEXT_MAX];
    struct digest found;

    if (upload_open_file(u, err) < 0 || digest_of(u, (enum sha_alg)d->alg, &found, err) < 0) {
        return -1;
    }
    if (!digest_equal(&found, d)) {
        return err_set(err, ERR_DIGEST_INVALID, "the %" PRIu64 " bytes are %s, not %s", u->offset,
                       digest_text(&found, found_text), digest_text(d, text));
    }
    u->digest = *d;
    u->ingest.digest = *d;
    return commit(u, err);
}

bool upload_is_recorded(const struct upload *u)
{
    return u->recorded;
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
    upload_del_record(t, u->id);
}

void upload_finish(struct upload *u)
{
    forget(u);
    ingest_recorded(&u->ingest);
    ingest_close(&u->ingest);
    upload_free(u);
}
