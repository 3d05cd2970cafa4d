/* test_store.c - blobs through ingest into the store and back, on a directory of its own. */
#include "store_blobs.h"
#include "tap.h"

#include "base/clock.h"
#include "base/log.h"
#include "store/boot.h"
#include "store/check.h"
#include "store/sweep.h"

#include <fcntl.h>
#include <sys/stat.h>

#define MIB ((size_t)1 << 20)

static struct err err;

/* Checks everything and closes. */
static void close_checked(struct store *s, const char *what)
{
    bool good = store_check(s, true, &err) == 0;

    if (!CHECK_NOTE(good, what)) {
        printf("# %s\n", err.text);
    }
    store_close(s);
}

/* --- a blob's life ------------------------------------------------------------------------- */

static void test_round_trip(void)
{
    struct store *s;
    struct blob_record b = {0};
    struct digest d = nth_digest(1, 100000);

    store_dir_new();
    s = store_dir_open();
    CHECK_INT(store_bytes(s), 0);
    CHECK(blob_get(s, &d, &b) == INDEX_ABSENT);
    CHECK_INT(blob_add(s, 1, 100000, false, &err), 0);
    CHECK(blob_get(s, &d, &b) == INDEX_FOUND);
    CHECK(b.size == 100000 && !b.synced && b.boot == s->boot && store_blob_trusted(s, &b));
    CHECK(blob_is_whole(s, 1, 100000));
    CHECK_INT(blob_add(s, 2, 0, true, &err), 0);
    CHECK(blob_is_whole(s, 2, 0));
    CHECK_INT(store_bytes(s), 100000);
    close_checked(s, "a pulled and a pushed blob");
    s = store_dir_open();
    CHECK(blob_is_whole(s, 1, 100000) && blob_is_whole(s, 2, 0));
    CHECK_NOTE(blob_get(s, &d, &b) == INDEX_FOUND && b.synced, "a stop syncs what was pulled");
    CHECK_INT(store_bytes(s), 100000);
    CHECK(!s->recover.unclean && !s->recover.replaced);
    close_checked(s, "the same after a clean stop");
}

/* A blob that is fetched again: the file that is on disk stays, the record keeps its past. */
static void test_again(void)
{
    struct blob_put put = {nth_digest(4, 5000), {.size = 5000, .created = 100, .hits = 7}};
    struct blob_record b = {0};
    struct store *s;
    int64_t inode;
    struct stat st;
    char path[TREE_PATH_MAX];

    store_dir_new();
    s = store_dir_open();
    put.record.synced = true;
    put.record.pinned = true;
    CHECK_INT(blob_add(s, 4, 5000, true, &err), 0);
    CHECK_INT(change(s, blob_put_in, &put, &err), 0);
    CHECK(fstatat(s->tree.blobs, tree_path(&put.digest, path), &st, 0) == 0);
    inode = (int64_t)st.st_ino;
    CHECK_INT(blob_add(s, 4, 5000, false, &err), 0);
    CHECK(fstatat(s->tree.blobs, path, &st, 0) == 0);
    CHECK_NOTE((int64_t)st.st_ino == inode, "a synced file is not replaced by one that is not");
    CHECK(blob_get(s, &put.digest, &b) == INDEX_FOUND);
    CHECK(b.pinned && b.hits == 7 && b.created == 0);
    CHECK_INT(store_bytes(s), 5000);
    close_checked(s, "a blob that came twice");
}

static void test_sha512(void)
{
    struct digest d = {.alg = DIGEST_SHA512};
    struct blob_put put = {.record = {.size = 3, .synced = true}};
    struct ingest in;
    struct store *s;

    sha_of(SHA_512, "abc", 3, d.bytes);
    put.digest = d;
    store_dir_new();
    s = store_dir_open();
    CHECK_INT(ingest_open(&in, s, &d, 3, false, &err), 0);
    CHECK_INT(ingest_write(&in, "abc", 3, 0, &err), 0);
    CHECK_INT(ingest_commit(&in, 3, true, &err), 0);
    close(in.fd);
    CHECK_INT(change(s, blob_put_in, &put, &err), 0);
    close_checked(s, "sha512, whose folders are made when they are needed");
}

/* --- parts of blobs ------------------------------------------------------------------------ */

struct part {
    struct digest digest;
    struct partial_record record;
};

static void part_put(struct index_txn *t, void *arg)
{
    struct part *p = arg;

    index_put_partial(t, &p->digest, &p->record);
}

/* Begins the n-th blob and keeps `part` bytes of it, with `more` bytes beyond that go. */
static void keep_part(struct store *s, unsigned n, size_t size, size_t part, size_t more)
{
    unsigned char *bytes = xcalloc(size, 1);
    struct part p = {.digest = nth_digest(n, size),
                     .record = {.size = size, .stored = part, .touched = clock_wall_s()}};
    struct ingest in;
    struct sha sha;

    nth_bytes(n, bytes, size);
    sha_init(&sha, SHA_256);
    sha_update(&sha, bytes, part);
    p.record.state_len = sha_save(&sha, p.record.state);
    CHECK_INT(ingest_open(&in, s, &p.digest, size, true, &err), 0);
    CHECK_INT(ingest_write(&in, bytes, part + more, 0, &err), 0);
    /* Noted while it is written, as downloads do: the sweep of the start may come in between. */
    CHECK_INT(change(s, part_put, &p, &err), 0);
    CHECK_INT(ingest_keep(&in, &p.record, &err), 0);
    CHECK_INT(change(s, part_put, &p, &err), 0);
    ingest_drop(&in);
    free(bytes);
}

static void test_resume(void)
{
    size_t size = 3 * MIB + 17;
    size_t part = 1 * MIB + 5;
    struct blob_put put = {nth_digest(3, size), {.size = size}};
    unsigned char *bytes = xcalloc(size, 1);
    struct digest got = {.alg = DIGEST_SHA256};
    struct ingest in;
    struct store *s;
    struct sha sha;

    nth_bytes(3, bytes, size);
    store_dir_new();
    s = store_dir_open();
    keep_part(s, 3, size, part, 1000);
    CHECK_INT(store_bytes(s), part);
    close_checked(s, "a part of a blob");
    s = store_dir_open();
    CHECK_NOTE(store_bytes(s) == part, "parts count as held");
    CHECK_INT(ingest_open(&in, s, &put.digest, size, true, &err), 0);
    CHECK_INT(in.resumed, part);
    CHECK_NOTE(store_bytes(s) == 0 && s->budget->reserved == size, "and then as reserved");
    sha_init(&sha, SHA_256);
    CHECK(sha_restore(&sha, in.partial.state, in.partial.state_len) && sha.hashed == part);
    sha_update(&sha, bytes + part, size - part);
    sha_final(&sha, got.bytes);
    CHECK_NOTE(digest_equal(&got, &put.digest), "the hash goes on where it stopped");
    CHECK_INT(ingest_write(&in, bytes + part, size - part, part, &err), 0);
    CHECK_INT(ingest_commit(&in, size, false, &err), 0);
    close(in.fd);
    CHECK_INT(change(s, blob_put_in, &put, &err), 0);
    CHECK(blob_is_whole(s, 3, size));
    close_checked(s, "a blob of two downloads");
    free(bytes);
}

/* What the record says of a part must be there, be fresh and be of this blob. */
static void test_useless_parts(void)
{
    size_t size = 1 * MIB;
    struct part p = {.digest = nth_digest(5, size)};
    struct ingest in;
    struct store *s;
    char path[600];

    store_dir_new();
    s = store_dir_open();
    keep_part(s, 5, size, 1000, 0);
    CHECK_INT(ingest_open(&in, s, &p.digest, size + 1, true, &err), 0);
    CHECK_NOTE(in.resumed == 0, "the size is another");
    ingest_drop(&in);
    CHECK_INT(store_bytes(s), 0);

    keep_part(s, 5, size, 1000, 0);
    snprintf(path, sizeof(path), "%s/ingest/%s", store_dir_path, "x");
    ingest_file_name(&p.digest, path + strlen(path) - 1);
    CHECK(truncate(path, 999) == 0);
    CHECK_INT(ingest_open(&in, s, &p.digest, size, true, &err), 0);
    CHECK_NOTE(in.resumed == 0, "the file is shorter than was noted");
    ingest_drop(&in);

    keep_part(s, 5, size, 1000, 0);
    CHECK_INT(ingest_open(&in, s, &p.digest, size, false, &err), 0);
    CHECK_NOTE(in.resumed == 0, "nobody wanted it");
    ingest_drop(&in);

    keep_part(s, 5, size, 1000, 0);
    p.record = (struct partial_record){.size = size, .stored = 1000, .state_len = 1};
    p.record.touched = clock_wall_s() - PARTIAL_S;
    CHECK_INT(change(s, part_put, &p, &err), 0);
    CHECK_INT(ingest_open(&in, s, &p.digest, size, true, &err), 0);
    CHECK_NOTE(in.resumed == 0, "it is a day old");
    ingest_drop(&in);
    sweep_run(s);
    close_checked(s, "records without files are swept");
}

/* A part of no use, of a blob that there is no room for, is counted until it is swept, once. */
static void test_part_without_room(void)
{
    size_t size = 1 * MIB;
    struct digest d = nth_digest(6, size);
    struct partial_record p = {.size = 100, .stored = 10};
    struct ingest in;
    struct store *s;

    store_dir_new();
    s = store_dir_open();
    keep_part(s, 6, size, 1000, 0);
    keep_part(s, 7, size, 500, 0);
    s->budget->options.max_size = 10000;
    CHECK(ingest_open(&in, s, &d, size + 1, true, &err) < 0);
    CHECK_INT(err.code, ERR_NO_SPACE);
    CHECK_INT(store_bytes(s), 1500);
    CHECK_INT(unlinkat(s->tree.ingest, ingest_file_name(&d, in.name), 0), 0);
    sweep_run(s);
    CHECK_NOTE(store_bytes(s) == 500, "the other's bytes are still counted");
    /* One whose record the index refused goes, and what it counted goes with it. */
    CHECK_INT(ingest_open(&in, s, &d, 100, true, &err), 0);
    CHECK_INT(ingest_write(&in, "0123456789", 10, 0, &err), 0);
    CHECK_INT(ingest_keep(&in, &p, &err), 0);
    CHECK_INT(store_bytes(s), 510);
    sweep_run(s);
    CHECK_INT(store_bytes(s), 500);
    close_checked(s, "parts are counted as often as they are there");
}

/* Two downloads of one digest do not write one file. */
static void test_two_ingests(void)
{
    size_t size = 70000;
    struct blob_put put = {nth_digest(6, size), {.size = size}};
    struct partial_record part = {.size = size, .stored = 10};
    unsigned char *bytes = xcalloc(size, 1);
    struct ingest one;
    struct ingest two;
    struct store *s;

    nth_bytes(6, bytes, size);
    store_dir_new();
    s = store_dir_open();
    CHECK_INT(ingest_open(&one, s, &put.digest, size, true, &err), 0);
    CHECK_INT(ingest_open(&two, s, &put.digest, size, true, &err), 0);
    CHECK(strcmp(one.name, two.name) != 0);
    CHECK_INT(ingest_write(&two, bytes, size, 0, &err), 0);
    CHECK_INT(ingest_write(&one, bytes, 10, 0, &err), 0);
    CHECK_NOTE(ingest_keep(&two, &part, &err) < 0, "only one of them may be kept as a part");
    CHECK_INT(ingest_commit(&two, size, false, &err), 0);
    close(two.fd);
    ingest_drop(&two);
    CHECK_INT(change(s, blob_put_in, &put, &err), 0);
    CHECK(blob_is_whole(s, 6, size));
    ingest_drop(&one);
    ingest_drop(&one);
    close_checked(s, "two downloads of one blob");
    free(bytes);
}

/* Downloads that were under way when the program ended leave what was noted of them, no more. */
static void test_abandoned(void)
{
    struct part p = {nth_digest(20, 5000), {.size = 5000, .stored = 1000, .state_len = 1}};
    struct digest other = nth_digest(21, 5000);
    unsigned char bytes[2000] = {0};
    struct ingest in[3];
    struct store *s;

    store_dir_new();
    s = store_dir_open();
    p.record.touched = clock_wall_s();
    CHECK_INT(ingest_open(&in[0], s, &p.digest, 5000, false, &err), 0);
    CHECK_INT(ingest_open(&in[1], s, &p.digest, 5000, false, &err), 0);
    CHECK_INT(ingest_open(&in[2], s, &other, 5000, false, &err), 0);
    for (unsigned i = 0; i < 3; i++) {
        CHECK_INT(ingest_write(&in[i], bytes, sizeof(bytes), 0, &err), 0);
        close(in[i].fd);
    }
    CHECK_INT(change(s, part_put, &p, &err), 0);
    store_close(s);
    s = store_dir_open();
    CHECK_INT(store_bytes(s), 1000);
    close_checked(s, "after downloads that nobody ended");
}

static void test_unknown_size(void)
{
    size_t size = 9 * MIB;
    struct blob_put put = {nth_digest(7, size), {.size = size}};
    unsigned char *bytes = xcalloc(size, 1);
    struct ingest in;
    struct store *s;

    nth_bytes(7, bytes, size);
    store_dir_new();
    s = store_dir_open();
    CHECK_INT(ingest_open(&in, s, &put.digest, UINT64_MAX, true, &err), 0);
    CHECK_INT(s->budget->reserved, 0);
    CHECK_INT(ingest_write(&in, bytes, MIB, 0, &err), 0);
    CHECK_NOTE(s->budget->reserved == 8 * MIB, "room is reserved in steps");
    CHECK_INT(ingest_write(&in, bytes + MIB, size - MIB, MIB, &err), 0);
    CHECK_NOTE(s->budget->reserved == 16 * MIB, "room is reserved as bytes come");
    CHECK_INT(ingest_restart(&in, &err), 0);
    CHECK_INT(ingest_write(&in, bytes, size, 0, &err), 0);
    CHECK_INT(ingest_commit(&in, size, false, &err), 0);
    CHECK_NOTE(in.reserved == 0 && s->budget->reserved == 16 * MIB,
               "the reservation is the store's until the blob is recorded");
    close(in.fd);
    CHECK_INT(change(s, blob_put_in, &put, &err), 0);
    CHECK(blob_is_whole(s, 7, size));
    close_checked(s, "a blob whose size was not known");
    free(bytes);
}

/* --- blobs that are wrong ------------------------------------------------------------------ */

static void damage(unsigned n, size_t size, off_t to)
{
    struct digest d = nth_digest(n, size);
    char path[TREE_PATH_MAX];
    char whole[600];

    snprintf(whole, sizeof(whole), "%s/blobs/%s", store_dir_path, tree_path(&d, path));
    CHECK(to < 0 ? unlink(whole) == 0 : truncate(whole, to) == 0);
}

static void test_misfits(void)
{
    struct digest cut = nth_digest(8, 1000);
    struct digest gone = nth_digest(9, 1000);
    struct digest bad = nth_digest(10, 1000);
    struct blob_record b;
    struct store *s;
    char path[600];

    store_dir_new();
    s = store_dir_open();
    for (unsigned n = 8; n < 12; n++) {
        CHECK_INT(blob_add(s, n, 1000, true, &err), 0);
    }
    damage(8, 1000, 999);
    damage(9, 1000, -1);
    CHECK(store_open_blob(s, &cut, 1000, &err) < 0 && err.code == ERR_STORE);
    CHECK(store_open_blob(s, &gone, 1000, &err) < 0 && err.code == ERR_STORE);
    CHECK(blob_quarantine(s, &bad));
    CHECK(blob_get(s, &bad, &b) == INDEX_ABSENT);
    store_close(s); /* waits for what is forgotten behind the answer */
    snprintf(path, sizeof(path), "%s/quarantine", store_dir_path);
    s = store_dir_open();
    CHECK(blob_get(s, &cut, &b) == INDEX_ABSENT);
    CHECK(blob_get(s, &gone, &b) == INDEX_ABSENT);
    CHECK(blob_is_whole(s, 11, 1000));
    CHECK_INT(store_bytes(s), 1000);
    CHECK_INT(blob_add(s, 8, 1000, false, &err), 0);
    CHECK_NOTE(blob_is_whole(s, 8, 1000), "it can be fetched again");
    close_checked(s, "after blobs were forgotten");
}

static void put_untrusted(struct index_txn *t, void *arg)
{
    const struct digest *d = arg;
    struct blob_record b = {.size = 1000, .boot = 12345};

    index_txn_put_blob(t, d, &b);
}

/* A blob of another boot that was not synced is hashed first; then it is as good as any. */
static void test_trust(void)
{
    struct digest d = nth_digest(12, 1000);
    struct blob_record b = {0};
    struct store *s;

    store_dir_new();
    s = store_dir_open();
    CHECK_INT(blob_add(s, 12, 1000, false, &err), 0);
    CHECK_INT(change(s, put_untrusted, &d, &err), 0);
    CHECK(blob_get(s, &d, &b) == INDEX_FOUND && !store_blob_trusted(s, &b));
    store_close(s);
    s = store_dir_open();
    CHECK_NOTE(blob_get(s, &d, &b) == INDEX_FOUND && !store_blob_trusted(s, &b),
               "a stop does not vouch for it");
    store_mark_verified(s, &d);
    store_close(s);
    s = store_dir_open();
    CHECK(blob_get(s, &d, &b) == INDEX_FOUND && b.synced && store_blob_trusted(s, &b));
    close_checked(s, "a blob that was hashed again");
}

static void test_boot(void)
{
    uint64_t id = boot_id();

    CHECK(id != 0);
    CHECK_NOTE(boot_id() == id, "the same for all processes until the machine is started again");
}

int main(void)
{
    log_setup(LOG_ERROR, false);
    test_boot();
    test_round_trip();
    test_again();
    test_sha512();
    test_resume();
    test_useless_parts();
    test_part_without_room();
    test_two_ingests();
    test_abandoned();
    test_unknown_size();
    test_misfits();
    test_trust();
    store_dir_join_pool();
    return tap_done();
}
