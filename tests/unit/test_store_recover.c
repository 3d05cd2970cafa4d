/*
 * test_store_recover.c - what a store is opened on: a lock that is held, an index that is newer,
 * foreign, damaged or gone, files that the index does not know, folders that cannot be written.
 */
#include "store_blobs.h"
#include "tap.h"

#include "base/file.h"
#include "base/log.h"
#include "store/adopt.h"
#include "store/gate.h"
#include "store/check.h"
#include "store/sweep.h"

#include <errno.h>
#include <fcntl.h>
#include <lmdb.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>

static struct err err;

/* Whether opening is refused, with all of these words in the message. */
static bool is_refused(const char *word, const char *other)
{
    struct store_options options = store_dir_options();
    struct store *s = store_open(&options, &err);

    if (s != NULL) {
        printf("# it was opened\n");
        store_close(s);
        return false;
    }
    if (strstr(err.text, word) == NULL || strstr(err.text, other) == NULL ||
        strchr(err.text, '\n') != NULL) {
        printf("# %s\n", err.text);
        return false;
    }
    return true;
}

static const char *within(const char *name)
{
    static char path[2][600];
    static unsigned turn;

    turn = 1 - turn;
    snprintf(path[turn], sizeof(path[turn]), "%s%s%s", store_dir_path, name[0] == '\0' ? "" : "/",
             name);
    return path[turn];
}

static bool exists(const char *name)
{
    return access(within(name), F_OK) == 0;
}

/* A store with some blobs of both kinds, a tag and nothing else, stopped cleanly. */
static void put_tag(struct index_txn *t, void *arg)
{
    struct tag_record value = {.digest = nth_digest(0, 1000), .fetched = 1, .checked = 1};

    (void)arg;
    index_put_tag(t, index_put_repo(t, REPO_HOSTED, "stage/app"), TAG_TAG, "latest", &value);
}

static bool has_tag(struct store *s)
{
    struct index_read *r = index_read_begin(s);
    struct tag_record t;
    uint64_t repo;
    bool has = index_get_repo(r, REPO_HOSTED, "stage/app", &repo) == INDEX_FOUND &&
               index_get_tag(r, repo, TAG_TAG, "latest", &t) == INDEX_FOUND;

    index_read_end(r);
    return has;
}

#define BLOBS 6

static void make_store(void)
{
    struct store *s;

    store_dir_new();
    s = store_dir_open();
    for (unsigned n = 0; n < BLOBS; n++) {
        CHECK_INT(blob_add(s, n, 1000 + n, n % 2 == 0, &err), 0);
    }
    CHECK_INT(change(s, put_tag, NULL, &err), 0);
    store_close(s);
}

static unsigned whole_blobs(struct store *s)
{
    unsigned whole = 0;

    for (unsigned n = 0; n < BLOBS; n++) {
        whole += blob_is_whole(s, n, 1000 + n);
    }
    return whole;
}

static void check_and_close(struct store *s, const char *what)
{
    bool good = store_check(s, false, &err) == 0;

    if (!CHECK_NOTE(good, what)) {
        printf("# %s\n", err.text);
    }
    store_close(s);
}

/* --- the lock ------------------------------------------------------------------------------ */

static void test_lock(void)
{
    char pid[32];
    struct store *s;

    store_dir_new();
    s = store_dir_open();
    snprintf(pid, sizeof(pid), "process %ld (", (long)getpid());
    CHECK(is_refused("in use by", pid));
    store_close(s);
    s = store_dir_open();
    CHECK_NOTE(s != NULL, "it is let go of at the end");
    store_close(s);
}

/* --- whose index --------------------------------------------------------------------------- */

static void put_format(struct index_txn *t, void *arg)
{
    struct record_key key;
    struct record value;

    record_key_meta(&key, "format");
    record_put_number(&value, *(uint64_t *)arg);
    db_put(t->db, DB_META, record_key_view(&key), record_view(&value));
}

static void read_index(char **ret, size_t *ret_len)
{
    struct err e;

    if (file_read(within("index/data.mdb"), (size_t)1 << 30, ret, ret_len, &e) < 0) {
        *ret = NULL;
        *ret_len = 0;
    }
}

static void test_newer(void)
{
    uint64_t newer = STORE_FORMAT + 1;
    char *before;
    char *after;
    size_t n_before;
    size_t n_after;
    struct store *s;

    store_dir_new();
    s = store_dir_open();
    CHECK_INT(change(s, put_format, &newer, &err), 0);
    store_close(s);
    read_index(&before, &n_before);
    CHECK(is_refused("format 2", "newer Larder"));
    CHECK(is_refused("format 2", "newer Larder"));
    read_index(&after, &n_after);
    CHECK_NOTE(n_before > 0 && n_before == n_after && memcmp(before, after, n_before) == 0,
               "a newer index is not touched");
    free(before);
    free(after);
}

/* An LMDB file of another program: with a table, or with a plain key. */
static void make_foreign(const char *table, const char *key)
{
    MDB_val k = {strlen(key), (void *)(uintptr_t)key};
    MDB_val v = {1, (void *)(uintptr_t) "v"};
    MDB_env *env = NULL;
    MDB_txn *txn = NULL;
    MDB_dbi dbi;

    store_dir_new();
    CHECK(mkdir(within("index"), 0755) == 0);
    CHECK(mdb_env_create(&env) == 0 && mdb_env_set_maxdbs(env, 4) == 0 &&
          mdb_env_open(env, within("index"), 0, 0644) == 0);
    CHECK(mdb_txn_begin(env, NULL, 0, &txn) == 0 &&
          mdb_dbi_open(txn, table, table == NULL ? 0 : MDB_CREATE, &dbi) == 0 &&
          mdb_put(txn, dbi, &k, &v, 0) == 0 && mdb_txn_commit(txn) == 0);
    mdb_env_close(env);
}

static void test_foreign(void)
{
    make_foreign("theirs", "k");
    CHECK(is_refused("not Larder's", "another data directory"));
    make_foreign("meta", "k");
    CHECK(is_refused("not Larder's", "another data directory"));
    make_foreign(NULL, "meta");
    CHECK(is_refused("not Larder's", "another data directory"));
    CHECK_NOTE(!exists("blobs"), "nothing is made beside it");
}

/* --- an index that is damaged or gone ------------------------------------------------------ */

static void overwrite(const char *name, off_t from, size_t n)
{
    int fd = open(within(name), O_WRONLY);
    char *rubbish = xcalloc(n, 1);

    memset(rubbish, 0xa5, n);
    CHECK(fd >= 0 && pwrite(fd, rubbish, n, from) == (ssize_t)n);
    close(fd);
    free(rubbish);
}

static void test_lost_index(void)
{
    struct store *s;

    make_store();
    CHECK(unlink(within("index.bak")) == 0 && unlink(within("index/data.mdb")) == 0);
    s = store_dir_open();
    CHECK(s->recover.replaced && !s->recover.copied);
    CHECK_INT(whole_blobs(s), BLOBS);
    CHECK_NOTE(!has_tag(s), "tags are gone with it");
    for (unsigned n = 0; n < BLOBS; n++) {
        struct digest d = nth_digest(n, 1000 + n);
        struct blob_record b = {.synced = true};

        CHECK_NOTE(blob_get(s, &d, &b) == INDEX_FOUND && !store_blob_trusted(s, &b),
                   "nobody vouches for what was found");
    }
    check_and_close(s, "an index made anew from the blobs");
    s = store_dir_open();
    CHECK(!s->recover.replaced && !s->recover.unclean);
    store_close(s);
}

static void test_copy(void)
{
    struct digest late = nth_digest(40, 500);
    struct digest gone = nth_digest(3, 1003);
    struct blob_record b;
    struct store *s;

    make_store();
    CHECK(rename(within("index.bak"), within("kept.bak")) == 0);
    s = store_dir_open();
    CHECK_INT(blob_add(s, 40, 500, true, &err), 0);
    CHECK(blob_quarantine(s, &gone));
    store_close(s);
    CHECK(rename(within("kept.bak"), within("index.bak")) == 0);
    overwrite("index/data.mdb", 0, 8192);
    s = store_dir_open();
    CHECK(s->recover.replaced && s->recover.copied);
    CHECK_NOTE(has_tag(s), "tags come from the copy");
    CHECK_NOTE(blob_get(s, &late, &b) == INDEX_FOUND && !store_blob_trusted(s, &b),
               "a newer blob is taken up");
    CHECK_NOTE(blob_get(s, &gone, &b) == INDEX_ABSENT, "one that was removed since is not");
    CHECK_INT(whole_blobs(s), BLOBS - 1);
    check_and_close(s, "a copy of the index with what came after it");
}

static void test_cut_index(void)
{
    struct stat st;
    struct store *s;

    make_store();
    CHECK(stat(within("index/data.mdb"), &st) == 0);
    CHECK(truncate(within("index/data.mdb"), st.st_size / 2) == 0);
    s = store_dir_open();
    CHECK_NOTE(s->recover.copied && has_tag(s), "an index that was cut is replaced");
    CHECK_INT(whole_blobs(s), BLOBS);
    check_and_close(s, "after the index was cut");
    CHECK(truncate(within("index/data.mdb"), 100) == 0);
    overwrite("index.bak", 0, 4096);
    s = store_dir_open();
    CHECK_NOTE(s->recover.replaced && !s->recover.copied,
               "and a copy that is no better is not used");
    CHECK_INT(whole_blobs(s), BLOBS);
    check_and_close(s, "after both were damaged");
}

/* Damage that was found while running is remembered. */
static void test_marked(void)
{
    struct store *s;
    int fd;

    make_store();
    fd = open(within("index/damaged"), O_CREAT | O_WRONLY, 0644);
    CHECK(fd >= 0);
    close(fd);
    s = store_dir_open();
    CHECK(s->recover.copied && has_tag(s) && !exists("index/damaged"));
    CHECK_INT(whole_blobs(s), BLOBS);
    check_and_close(s, "after damage that was noted");
}

/* Runs f(n) as a process of its own, which damage may end, and gives its status. */
static int run_apart(int (*f)(unsigned n), unsigned n)
{
    int status = 0;
    pid_t pid;

    fflush(stdout);
    pid = fork();
    if (pid == 0) {
        /* Its checks are told by its status: their lines would be counted as ours. */
        _exit(freopen("/dev/null", "w", stdout) == NULL ? 2 : f(n));
    }
    CHECK(waitpid(pid, &status, 0) == pid);
    return status;
}

/* From the n-th page on there is rubbish, which LMDB takes for pages. */
static void spoil(unsigned n)
{
    struct stat st;
    off_t from = (off_t)n * 4096;

    if (stat(within("index/data.mdb"), &st) == 0 && st.st_size > from) {
        overwrite("index/data.mdb", from, (size_t)(st.st_size - from));
    }
}

static int open_spoilt(unsigned n)
{
    struct store *s;
    bool good;

    spoil(n);
    s = store_dir_open();
    good = s->recover.copied && has_tag(s) && whole_blobs(s) == BLOBS;
    store_close(s);
    return good ? 0 : 1;
}

static void test_spoilt(void)
{
    for (unsigned n = 0; n < 5; n++) {
        make_store();
        store_dir_join_pool();
        store_dir_pool = NULL;
        CHECK_NOTE(run_apart(open_spoilt, n) == 0, "pages that are none are found at start");
    }
}

/* Damage that comes while it runs ends it at worst; the next start knows. */
static int read_spoilt(unsigned n)
{
    struct store *s = store_dir_open();

    spoil(n);
    for (unsigned i = 0; i < 100; i++) {
        whole_blobs(s);
        ignore_result(has_tag(s));
    }
    return 0;
}

static void test_spoilt_later(void)
{
    struct store *s;
    int status;

    make_store();
    store_dir_join_pool();
    store_dir_pool = NULL;
    status = run_apart(read_spoilt, 2);
    if (!CHECK(exists("index/damaged"))) {
        printf("# it ended with status %d\n", status);
    }
    s = store_dir_open();
    CHECK(s->recover.copied && has_tag(s));
    CHECK_INT(whole_blobs(s), BLOBS);
    check_and_close(s, "after damage while it ran");
}

/* --- what a crash left --------------------------------------------------------------------- */

static void forget_records(struct index_txn *t, void *arg)
{
    (void)arg;
    for (unsigned n = 0; n < BLOBS; n++) {
        struct digest d = nth_digest(n, 1000 + n);

        index_del_blob(t, &d);
    }
}

static void put_file(const char *name, const char *text)
{
    FILE *f = fopen(within(name), "w");

    CHECK(f != NULL && fputs(text, f) >= 0 && fclose(f) == 0);
}

static void test_left_files(void)
{
    char name[INGEST_NAME_MAX + 16] = "ingest/";
    struct digest d = nth_digest(70, 10);
    struct digest going = nth_digest(2, 1002);
    struct store *s;

    make_store();
    s = store_dir_open();
    CHECK_INT(change(s, forget_records, NULL, &err), 0);
    CHECK_INT(store_bytes(s), 0);
    store_close(s);
    ingest_file_name(&d, name + strlen(name));
    put_file(name, "a part without a record");
    put_file("ingest/sha256-00.00000000-1", "a second download of another process");
    put_file("blobs/sha256/README", "not a blob");
    s = store_dir_open();
    CHECK_INT(store_check(s, false, &err), 0);
    store_quiesce(s); /* the store's own sweep may be at it */
    sweep_run(s);
    CHECK(!exists(name) && !exists("ingest/sha256-00.00000000-1"));
    CHECK(gate_shut(s->gate, &going)); /* it is being removed: the index first, then the file */
    CHECK_INT(adopt_all(s, &err), 0);
    CHECK_INT(whole_blobs(s), BLOBS - 1);
    gate_open(s->gate, &going);
    CHECK_INT(adopt_all(s, &err), 0);
    CHECK_INT(whole_blobs(s), BLOBS);
    CHECK_NOTE(exists("blobs/sha256/README"), "what is not ours stays");
    check_and_close(s, "files that the index did not know");
}

/* A child that ends without closing; what it left is looked for behind the first answer. */
static int forget_and_die(unsigned n)
{
    struct store *s = store_dir_open();

    (void)n;
    ignore_result(change(s, forget_records, NULL, &err) < 0);
    kill(getpid(), SIGKILL);
    return 0;
}

static void test_unclean(void)
{
    struct digest d = nth_digest(2, 1002);
    struct blob_record b;
    struct store *s;

    make_store();
    store_dir_join_pool();
    store_dir_pool = NULL;
    CHECK(WIFSIGNALED(run_apart(forget_and_die, 0)));
    s = store_dir_open();
    CHECK(s->recover.unclean);
    while (adopt_is_running(s->adopt)) {
        /* Each turn waits for a commit, which takes as long as a sync. */
        ignore_result(change(s, put_tag, NULL, &err) < 0);
    }
    CHECK(blob_get(s, &d, &b) == INDEX_FOUND && !store_blob_trusted(s, &b));
    CHECK_NOTE(b.class != BLOB_OTHER, "retention lets it go where nobody comes to hold it");
    CHECK_INT(whole_blobs(s), BLOBS);
    check_and_close(s, "after a stop that was not clean");
    s = store_dir_open();
    CHECK_NOTE(!s->recover.unclean, "the next stop is clean");
    store_close(s);
}

/* --- folders that cannot be used ----------------------------------------------------------- */

static void test_not_a_folder(void)
{
    store_dir_new();
    CHECK(rmdir(store_dir_path) == 0);
    put_file("", "a file");
    CHECK(is_refused("not a directory", "another data directory"));
    CHECK(unlink(store_dir_path) == 0);
    store_close(store_dir_open()); /* it is made where it is missing */
    CHECK(exists("blobs"));
}

static void test_filesystems(void)
{
    CHECK_STR(db_refused_filesystem(0x6969), "NFS");
    CHECK_STR(db_refused_filesystem(0x65735546), "FUSE");
    CHECK_STR(db_refused_filesystem(0xff534d42), "CIFS");
    CHECK(db_refused_filesystem(0xef53) == NULL);     /* ext4 */
    CHECK(db_refused_filesystem(0x01021994) == NULL); /* tmpfs */
    CHECK(db_refused_filesystem(0x794c7630) == NULL); /* overlayfs */
    CHECK(db_refused_filesystem(0x58465342) == NULL); /* XFS */
}

static int open_as_nobody(unsigned n)
{
    (void)n;
    return setresuid(65534, 65534, 65534) == 0 && is_refused("uid 65534", "may not write") ? 0 : 1;
}

static void test_not_permitted(void)
{
    if (geteuid() != 0) {
        printf("# skip: only root can make a folder that is somebody else's\n");
        return;
    }
    store_dir_new();
    CHECK(chmod(store_dir_path, 0755) == 0);
    CHECK_INT(run_apart(open_as_nobody, 0), 0);
}

/* --- a disk that is full ------------------------------------------------------------------- */

static bool mount_small(void)
{
    store_dir_new();
    if (geteuid() == 0 && mount("tmpfs", store_dir_path, "tmpfs", 0, "size=6m") == 0) {
        return true;
    }
    printf("# skip: no file system of 6 MiB can be mounted here: %s\n", strerror(errno));
    return false;
}

static void fill_disk(void)
{
    char *zeros = xcalloc(65536, 1);
    int fd = open(within("filler"), O_CREAT | O_WRONLY, 0644);

    while (write(fd, zeros, 65536) > 0 || write(fd, zeros, 512) > 0) {
    }
    close(fd);
    free(zeros);
}

static void test_full(void)
{
    struct digest d = nth_digest(50, (size_t)8 << 20);
    struct digest small = nth_digest(0, 4000);
    unsigned char bytes[4000];
    struct ingest in;
    struct store *s;

    if (!mount_small()) {
        return;
    }
    s = store_dir_open();
    CHECK_INT(blob_add(s, 1, 4000, true, &err), 0);
    CHECK(ingest_open(&in, s, &d, (size_t)8 << 20, true, &err) < 0 && err.code == ERR_NO_SPACE);
    CHECK_NOTE(s->budget->reserved == 0, "nothing stays reserved");
    nth_bytes(0, bytes, sizeof(bytes));
    CHECK_INT(ingest_open(&in, s, &small, UINT64_MAX, false, &err), 0);
    fill_disk();
    CHECK(ingest_write(&in, bytes, sizeof(bytes), 0, &err) < 0 && err.code == ERR_NO_SPACE);
    ingest_drop(&in);
    CHECK(blob_add(s, 2, 4000, true, &err) < 0 && err.code == ERR_NO_SPACE);
    CHECK_NOTE(blob_is_whole(s, 1, 4000), "what is there is served");
    CHECK(unlink(within("filler")) == 0);
    CHECK_INT(blob_add(s, 2, 4000, true, &err), 0);
    CHECK_INT(store_check(s, true, &err), 0);
    store_close(s);
    CHECK(umount(store_dir_path) == 0);
}

/* At start: one clear line, and nothing is harmed. */
static void test_full_at_start(void)
{
    if (!mount_small()) {
        return;
    }
    fill_disk();
    CHECK(is_refused("the disk is full", store_dir_path));
    CHECK(unlink(within("filler")) == 0);
    store_close(store_dir_open());
    fill_disk();
    CHECK(is_refused("the disk is full", store_dir_path));
    CHECK(mount(NULL, store_dir_path, NULL, MS_REMOUNT | MS_RDONLY, NULL) == 0);
    CHECK(is_refused("read-only", "another data directory"));
    CHECK(umount(store_dir_path) == 0);
}

int main(void)
{
    log_setup(LOG_ERROR, false);
    ignore_result(freopen("/dev/null", "w", stderr) == NULL);
    test_lock();
    test_newer();
    test_foreign();
    test_lost_index();
    test_copy();
    test_cut_index();
    test_marked();
    test_spoilt();
    test_spoilt_later();
    test_left_files();
    test_unclean();
    test_not_a_folder();
    test_filesystems();
    test_not_permitted();
    test_full();
    test_full_at_start();
    store_dir_join_pool();
    return tap_done();
}
