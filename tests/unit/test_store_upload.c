/* test_store_upload.c - upload sessions: who has them, what they hold, what a restart leaves. */
#include "store_blobs.h"
#include "tap.h"

#include "base/limits.h"
#include "store/upload.c"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#define SIZE ((size_t)(3u << 20))

static struct err err;
static struct store *s;
static unsigned char *bytes;

/* A disk that loses what is on its way to it: says so once, as the kernel does. */
static atomic_bool sync_fails;

int fdatasync(int fd)
{
    if (atomic_exchange(&sync_fails, false)) {
        errno = EIO;
        return -1;
    }
    return (int)syscall(SYS_fdatasync, fd);
}

static atomic_bool write_back_fails;

int sync_file_range(int fd, off64_t from, off64_t n, unsigned flags)
{
    if (atomic_exchange(&write_back_fails, false)) {
        errno = EIO;
        return -1;
    }
    return (int)syscall(SYS_sync_file_range, fd, from, n, flags);
}

/* What a request does with the bytes that came. */
static int add(struct upload *u, size_t n)
{
    uint64_t at = u->offset;
    struct sha sha = u->sha;

    if (upload_write(u, bytes + at, n, &err) < 0) {
        return -1;
    }
    sha_update(&sha, bytes + at, n);
    upload_wrote(u, n, &sha);
    return 0;
}

static void record(struct index_txn *t, void *arg)
{
    upload_record(arg, t);
}

static bool has_file(const char *folder, const char *name)
{
    char path[600];
    struct stat st;

    snprintf(path, sizeof(path), "%s/%s/%s", store_dir(s), folder, name);
    return stat(path, &st) == 0;
}

static bool session_has_file(const char *id)
{
    char name[64];

    snprintf(name, sizeof(name), "upload-%s", id);
    return has_file("ingest", name);
}

static bool is_member(const char *repo, const struct digest *d)
{
    struct index_read *r = index_read_begin(s);
    struct member_record m;
    struct blob_record b;
    uint64_t id;
    bool found = index_get_repo(r, REPO_HOSTED, repo, &id) == INDEX_FOUND &&
                 index_get_member(r, id, d, &m) == INDEX_FOUND && m.proof == PROOF_PUSHED &&
                 index_get_blob(r, d, &b) == INDEX_FOUND && b.synced && b.size == m.size;

    index_read_end(r);
    return found;
}

/* --- one session --------------------------------------------------------------------------- */

static void test_a_blob(enum sha_alg told, enum digest_alg alg, size_t size)
{
    struct upload *u = upload_open(s, "stage/a", &(struct upload_client){"", ""}, told, true);
    struct digest d = {.alg = (uint8_t)alg};

    sha_of((enum sha_alg)alg, bytes, size, d.bytes);
    CHECK(u != NULL && strlen(u->id) == UPLOAD_ID_SIZE - 1);
    if (size > 0) {
        CHECK_INT(add(u, size / 3), 0);
        CHECK_INT(add(u, size - size / 3), 0);
    }
    CHECK_INT(u->offset, size);
    CHECK_INT(upload_commit(u, &d, &err), 0);
    CHECK_INT(change(s, record, u, &err), 0);
    CHECK(is_member("stage/a", &d));
    CHECK(!session_has_file(u->id));
    upload_finish(u);
}

static void test_wrong_digest_leaves_it(void)
{
    struct upload *u = upload_open(s, "stage/a", &(struct upload_client){"", ""}, SHA_256, true);
    struct digest wrong = nth_digest(77, 10);
    struct digest right = {.alg = DIGEST_SHA256};

    CHECK_INT(add(u, 1000), 0);
    CHECK_INT(upload_commit(u, &wrong, &err), -1);
    CHECK_INT(err.code, ERR_DIGEST_INVALID);
    CHECK(!is_member("stage/a", &wrong));
    CHECK_INT(add(u, 1000), 0); /* it may still go on */
    sha_of(SHA_256, bytes, 2000, right.bytes);
    CHECK_INT(upload_commit(u, &right, &err), 0);
    CHECK_INT(change(s, record, u, &err), 0);
    upload_finish(u);
    CHECK(is_member("stage/a", &right));
}

/* What the disk lost is not in the blob: the bytes were hashed on their way, so nothing else would
 * tell. */
static void test_a_lost_write(bool by_sync)
{
    struct upload *u = upload_open(s, "stage/a", &(struct upload_client){"", ""}, SHA_256, true);
    struct digest d = {.alg = DIGEST_SHA256};
    struct upload_mark mark;
    char id[UPLOAD_ID_SIZE];
    size_t more = by_sync ? 1000 : 8u << 20; /* write-back begins there */

    memcpy(id, u->id, sizeof(id));
    CHECK_INT(add(u, 2u << 20), 0);
    atomic_store(by_sync ? &sync_fails : &write_back_fails, true);
    CHECK(upload_mark(u, true, &mark));
    if (by_sync) {
        upload_sync(u, &mark);
        CHECK_INT(u->synced, 0);
    } else {
        _cleanup_free_ unsigned char *zeros = xcalloc(more, 1);

        CHECK_INT(upload_write(u, zeros, more, &err), -1);
    }
    CHECK(!atomic_load(&sync_fails) && !atomic_load(&write_back_fails));
    CHECK(upload_is_lost(u));
    CHECK_INT(add(u, 1000), -1);
    sha_of(SHA_256, bytes, 2u << 20, d.bytes);
    CHECK_INT(upload_commit(u, &d, &err), -1);
    CHECK_INT(err.code, ERR_STORE);
    upload_drop(u);
    store_quiesce(s);
    CHECK(!session_has_file(id));
    store_close(s);
    s = store_dir_open();
}

static void test_claims(void)
{
    struct upload *u = upload_open(s, "stage/a", &(struct upload_client){"ann", ""}, SHA_256, true);
    struct upload *again = NULL;
    char id[UPLOAD_ID_SIZE];
    uint64_t offset = 0;

    memcpy(id, u->id, sizeof(id));
    CHECK_INT(add(u, 5), 0);
    CHECK(upload_claim(s, id, "stage/a", "ann", &again, &offset) == UPLOAD_BUSY && offset == 5);
    CHECK(upload_look(s, id, "stage/a", "ann", &offset) == UPLOAD_BUSY);
    upload_leave(u);
    CHECK(upload_claim(s, id, "stage/b", "ann", &again, &offset) == UPLOAD_UNKNOWN);
    CHECK(upload_claim(s, id, "stage/a", "bob", &again, &offset) == UPLOAD_UNKNOWN);
    CHECK(upload_claim(s, "0123", "stage/a", "ann", &again, &offset) == UPLOAD_UNKNOWN);
    CHECK(upload_look(s, id, "stage/a", "ann", &offset) == UPLOAD_CLAIMED);
    CHECK(upload_claim(s, id, "stage/a", "ann", &again, &offset) == UPLOAD_CLAIMED && again == u);
    CHECK(upload_cancel(s, id, "stage/a", "ann")); /* while it is claimed */
    CHECK(upload_look(s, id, "stage/a", "ann", &offset) == UPLOAD_UNKNOWN);
    CHECK(!upload_cancel(s, id, "stage/a", "ann"));
    upload_leave(u);
    store_quiesce(s); /* waits for what goes in the background */
    CHECK(!session_has_file(id));
    store_close(s);
    s = store_dir_open();
    CHECK(upload_look(s, id, "stage/a", "ann", &offset) == UPLOAD_UNKNOWN);
}

/* --- restarts ------------------------------------------------------------------------------ */

static void test_a_clean_stop(void)
{
    struct upload *u = upload_open(s, "stage/a", &(struct upload_client){"", ""}, SHA_512, true);
    struct digest d = {.alg = DIGEST_SHA512};
    char id[UPLOAD_ID_SIZE];
    uint64_t offset = 0;

    memcpy(id, u->id, sizeof(id));
    CHECK_INT(add(u, 100001), 0);
    upload_leave(u);
    store_close(s);
    s = store_dir_open();
    CHECK(session_has_file(id));
    CHECK(upload_claim(s, id, "stage/a", "", &u, &offset) == UPLOAD_CLAIMED);
    CHECK_INT(offset, 100001);
    CHECK_INT(add(u, SIZE - 100001), 0);
    sha_of(SHA_512, bytes, SIZE, d.bytes);
    CHECK_INT(upload_commit(u, &d, &err), 0);
    CHECK_INT(change(s, record, u, &err), 0);
    upload_finish(u);
    CHECK(is_member("stage/a", &d));
}

/* What a crash leaves: the state at the last sync, and a file that is longer. */
static void test_marks(void)
{
    struct upload *u = upload_open(s, "stage/a", &(struct upload_client){"", ""}, SHA_256, true);
    struct upload_mark mark;
    char id[UPLOAD_ID_SIZE];

    memcpy(id, u->id, sizeof(id));
    CHECK_INT(add(u, 1000), 0);
    CHECK(!upload_mark(u, true, &mark)); /* not worth a sync */
    CHECK_INT(add(u, (2u << 20) - 1000), 0);
    CHECK(!upload_mark(u, false, &mark)); /* while more comes */
    CHECK(upload_mark(u, true, &mark) && mark.offset == 2u << 20);
    upload_sync(u, &mark);
    CHECK_INT(u->synced, 2u << 20);
    CHECK(!upload_mark(u, true, &mark));
    CHECK_INT(add(u, 1000), 0);
    upload_leave(u);
    CHECK(session_has_file(id));
}

static void test_a_short_file_ends_it(void)
{
    struct upload *u = upload_open(s, "stage/a", &(struct upload_client){"", ""}, SHA_256, true);
    char id[UPLOAD_ID_SIZE];
    char path[600];
    uint64_t offset = 0;

    memcpy(id, u->id, sizeof(id));
    CHECK_INT(add(u, 5000), 0);
    upload_leave(u);
    store_close(s);
    snprintf(path, sizeof(path), "%s/ingest/upload-%s", store_dir_path, id);
    CHECK_INT(truncate(path, 4999), 0);
    s = store_dir_open();
    CHECK(upload_look(s, id, "stage/a", "", &offset) == UPLOAD_UNKNOWN);
    store_close(s);
    s = store_dir_open();
    CHECK(!session_has_file(id));
}

/* As if nobody had touched the session for so long; the store looks for idle ones meanwhile. */
static void age(struct upload *u, int64_t seconds)
{
    pthread_mutex_lock(&s->uploads->lock);
    u->touched -= seconds;
    pthread_mutex_unlock(&s->uploads->lock);
}

static void test_an_idle_one_ends(void)
{
    int64_t idle = (int64_t)(limits.upload_idle / 1000);
    struct upload *u = upload_open(s, "stage/a", &(struct upload_client){"", ""}, SHA_256, true);
    uint64_t offset = 0;
    char id[UPLOAD_ID_SIZE];

    memcpy(id, u->id, sizeof(id));
    age(u, idle + 60); /* claimed: it does not count */
    CHECK(upload_look(s, id, "stage/a", "", &offset) == UPLOAD_BUSY);
    upload_leave(u);
    age(u, idle - 60);
    CHECK(upload_look(s, id, "stage/a", "", &offset) == UPLOAD_CLAIMED);
    upload_leave(u);
    age(u, idle + 60);
    CHECK(upload_look(s, id, "stage/a", "", &offset) == UPLOAD_UNKNOWN);
    CHECK(!upload_cancel(s, id, "stage/a", ""));
}

/* Clients that begin uploads and never come again keep nobody else from pushing. */
static void test_forgotten_ones_give_way(void)
{
    struct upload **all = xcalloc(UPLOADS_MAX, sizeof(struct upload *));
    uint64_t offset = 0;
    size_t n = 0;
    char oldest[UPLOAD_ID_SIZE];
    char younger[UPLOAD_ID_SIZE];
    struct upload *u;

    while (n < UPLOADS_MAX && (u = upload_open(s, "stage/a", &(struct upload_client){"", ""},
                                               SHA_256, false)) != NULL) {
        all[n++] = u;
    }
    CHECK(n > 3);
    upload_leave(all[0]);
    CHECK(upload_open(s, "stage/a", &(struct upload_client){"", ""}, SHA_256, false) ==
          NULL); /* just left, or in use */
    upload_leave(all[1]);
    age(all[0], 400);
    age(all[1], 500);
    age(all[2], 600); /* claimed */
    memcpy(younger, all[0]->id, sizeof(younger));
    memcpy(oldest, all[1]->id, sizeof(oldest));
    all[1] = upload_open(s, "stage/a", &(struct upload_client){"", ""}, SHA_256, false);
    CHECK(all[1] != NULL);
    CHECK(upload_look(s, oldest, "stage/a", "", &offset) == UPLOAD_UNKNOWN);
    CHECK(upload_look(s, younger, "stage/a", "", &offset) == UPLOAD_CLAIMED);
    all[0] = upload_open(s, "stage/a", &(struct upload_client){"", ""}, SHA_256, false);
    CHECK(all[0] != NULL);
    CHECK(upload_look(s, younger, "stage/a", "", &offset) == UPLOAD_UNKNOWN);
    CHECK(upload_open(s, "stage/a", &(struct upload_client){"", ""}, SHA_256, false) == NULL);
    for (size_t i = 0; i < n; i++) {
        upload_drop(all[i]);
    }
    free(all);
}

/* One client may not have all of them; what it left long ago gives way to what it begins. */
static void test_each_has_a_share(void)
{
    struct upload **all = xcalloc(UPLOADS_EACH, sizeof(struct upload *));
    const struct upload_client ann = {"ann", "10.0.0.1"};
    const struct upload_client other = {"", "10.0.0.1"};
    char oldest[UPLOAD_ID_SIZE];
    uint64_t offset = 0;
    size_t n = 0;
    struct upload *u;

    while (n < UPLOADS_EACH && (all[n] = upload_open(s, "stage/a", &ann, SHA_256, false)) != NULL) {
        n++;
    }
    CHECK(n == UPLOADS_EACH);
    CHECK(upload_open(s, "stage/a", &ann, SHA_256, false) == NULL);
    u = upload_open(s, "stage/a", &other, SHA_256, false); /* no user, the same address */
    CHECK(u != NULL);
    upload_leave(u);
    age(u, 900); /* not ann's */
    upload_leave(all[7]);
    age(all[7], 400);
    memcpy(oldest, all[7]->id, sizeof(oldest));
    all[7] = upload_open(s, "stage/a", &ann, SHA_256, false);
    CHECK(all[7] != NULL);
    CHECK(upload_look(s, oldest, "stage/a", "ann", &offset) == UPLOAD_UNKNOWN);
    CHECK(upload_look(s, u->id, "stage/a", "", &offset) == UPLOAD_CLAIMED);
    CHECK(upload_open(s, "stage/a", &ann, SHA_256, false) == NULL);
    for (size_t i = 0; i < n; i++) {
        upload_drop(all[i]);
    }
    CHECK(upload_cancel(s, u->id, "stage/a", ""));
    free(all);
}

int main(void)
{
    bytes = xcalloc(SIZE, 1);
    nth_bytes(1, bytes, SIZE);
    store_dir_new();
    s = store_dir_open();
    test_a_blob(SHA_256, DIGEST_SHA256, SIZE);
    test_a_blob(SHA_256, DIGEST_SHA512, SIZE); /* the algorithm is told last */
    test_a_blob(SHA_512, DIGEST_SHA512, 4096);
    test_a_blob(SHA_256, DIGEST_SHA256, 0);
    test_wrong_digest_leaves_it();
    test_a_lost_write(true);
    test_a_lost_write(false);
    test_claims();
    test_a_clean_stop();
    test_marks();
    test_a_short_file_ends_it();
    test_an_idle_one_ends();
    test_forgotten_ones_give_way();
    test_each_has_a_share();
    store_close(s);
    store_dir_join_pool();
    free(bytes);
    return tap_done();
}
