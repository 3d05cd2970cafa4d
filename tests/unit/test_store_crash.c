/*
 * test_store_crash.c - a store whose process dies, or whose calls fail, at every point there is.
 *
 * The program runs itself as a child that takes blobs, parts and tags into a store and says on a
 * pipe what it was told is done; then it opens what is left and looks whether all of that is there.
 */
#include "base/clock.h"
#include "store_blobs.h"
#include "tap.h"

#include "base/log.h"
#include "store/adopt.h"
#include "store/check.h"
#include "store/sweep.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>

#define BLOBS 9
#define SIZE(n) (2000 + 61 * (size_t)(n))
#define PART_SIZE 300000
#define PART 100000
#define DIE_AFTER "STORE_DIE_AFTER"

static struct err err;

/* --- the child ----------------------------------------------------------------------------- */

struct child {
    struct store *store;
    unsigned acks;
    unsigned die_after; /* acknowledgements; 0: never */
};

static void ack(struct child *c, char what)
{
    ignore_result(write(STDOUT_FILENO, &what, 1) < 0);
    if (++c->acks == c->die_after) {
        kill(getpid(), SIGKILL);
    }
}

struct both {
    struct digest digest;
    struct partial_record partial;
};

static void put_part(struct index_txn *t, void *arg)
{
    struct both *b = arg;

    index_put_partial(t, &b->digest, &b->partial);
}

static void child_part(struct child *c)
{
    unsigned char *bytes = xcalloc(PART_SIZE, 1);
    struct both b = {nth_digest(100, PART_SIZE),
                     {.size = PART_SIZE, .stored = PART, .touched = clock_wall_s()}};
    struct ingest in;
    struct sha sha;

    nth_bytes(100, bytes, PART_SIZE);
    sha_init(&sha, SHA_256);
    sha_update(&sha, bytes, PART);
    b.partial.state_len = sha_save(&sha, b.partial.state);
    if (ingest_open(&in, c->store, &b.digest, PART_SIZE, true, &err) == 0) {
        if (ingest_write(&in, bytes, PART, 0, &err) == 0 &&
            ingest_keep(&in, &b.partial, &err) == 0) {
            if (change(c->store, put_part, &b, &err) == 0) {
                ack(c, 'p');
            }
        } else {
            ingest_drop(&in);
        }
    }
    free(bytes);
}

static void put_tag(struct index_txn *t, void *arg)
{
    struct tag_record value = {.digest = nth_digest(1, SIZE(1)), .fetched = 1, .checked = 1};

    (void)arg;
    index_put_tag(t, index_put_repo(t, REPO_HOSTED, "stage/app"), TAG_TAG, "latest", &value);
}

static int child_main(void)
{
    const char *die_after = getenv(DIE_AFTER);
    struct store_options options = store_dir_options();
    struct child c = {.die_after = die_after == NULL ? 0 : (unsigned)strtoul(die_after, NULL, 10)};

    c.store = store_open(&options, &err);
    if (c.store == NULL) {
        return 3;
    }
    for (unsigned n = 0; n < BLOBS; n++) {
        if (blob_add(c.store, n, SIZE(n), n % 3 == 0, &err) == 0) {
            ack(&c, (char)('0' + n));
        }
    }
    child_part(&c);
    if (change(c.store, put_tag, NULL, &err) == 0) {
        ack(&c, 't');
    }
    for (unsigned n = 0; n < BLOBS; n += 2) {
        struct digest d = nth_digest(n, SIZE(n));

        if (blob_quarantine(c.store, &d)) {
            ack(&c, (char)('A' + n));
        }
    }
    store_close(c.store);
    ack(&c, 'z');
    store_dir_join_pool();
    return 0;
}

/* --- the parent ---------------------------------------------------------------------------- */

struct outcome {
    int status;
    char acks[64];
};

/* Runs a child with FAULT or DIE_AFTER set. */
static void run_child(const char *program, const char *variable, const char *value,
                      struct outcome *ret)
{
    int fds[2];
    pid_t pid;
    ssize_t n;
    size_t got = 0;

    if (pipe2(fds, O_CLOEXEC) < 0 || (pid = fork()) < 0) {
        perror("pipe, fork");
        exit(1);
    }
    if (pid == 0) {
        dup2(fds[1], STDOUT_FILENO);
        setenv(variable, value, 1);
        execl("/proc/self/exe", program, "child", store_dir_path, (char *)NULL);
        _exit(9);
    }
    close(fds[1]);
    *ret = (struct outcome){0};
    while ((n = read(fds[0], ret->acks + got, sizeof(ret->acks) - 1 - got)) > 0) {
        got += (size_t)n;
    }
    close(fds[0]);
    waitpid(pid, &ret->status, 0);
}

static bool part_is_there(struct store *s)
{
    struct digest d = nth_digest(100, PART_SIZE);
    struct ingest in;
    bool there;

    if (ingest_open(&in, s, &d, PART_SIZE, true, &err) < 0) {
        return false;
    }
    there = in.resumed == PART;
    ingest_drop(&in);
    return there;
}

static bool tag_is_there(struct store *s)
{
    struct index_read *r = index_read_begin(s);
    struct tag_record t;
    uint64_t repo;
    bool there = index_get_repo(r, REPO_HOSTED, "stage/app", &repo) == INDEX_FOUND &&
                 index_get_tag(r, repo, TAG_TAG, "latest", &t) == INDEX_FOUND;

    index_read_end(r);
    return there;
}

/* What was acknowledged and is not there, as its letter; NUL: nothing. Pulled blobs may go. */
static char find_loss(struct store *s, const char *acks, bool may_go)
{
    for (unsigned n = 0; n < BLOBS; n++) {
        struct digest d = nth_digest(n, SIZE(n));
        struct blob_record b;

        bool going = n % 2 == 0 && strchr(acks, 't') != NULL;

        if (strchr(acks, 'A' + (int)n) != NULL) {
            if (blob_get(s, &d, &b) != INDEX_ABSENT) {
                return (char)('A' + n);
            }
        } else if (strchr(acks, '0' + (int)n) != NULL && !going && !blob_is_whole(s, n, SIZE(n)) &&
                   !(may_go && n % 3 != 0 && blob_get(s, &d, &b) == INDEX_ABSENT)) {
            return (char)('0' + n);
        }
    }
    if (strchr(acks, 't') != NULL && !tag_is_there(s)) {
        return 't';
    }
    return strchr(acks, 'p') != NULL && !part_is_there(s) ? 'p' : '\0';
}

/* Killed where that was asked for; else it ended well, or said that it cannot open the store. A
 * sanitizer that has something to say gives another status. */
static bool was_killed(const struct outcome *o)
{
    return WIFSIGNALED(o->status) && WTERMSIG(o->status) == SIGKILL;
}

static bool ended_well(const struct outcome *o)
{
    return was_killed(o) ||
           (WIFEXITED(o->status) && (WEXITSTATUS(o->status) == 0 || WEXITSTATUS(o->status) == 3));
}

/* The directory after a child is a good store with all that was promised. */
static void check_left(const char *note, const struct outcome *o, bool may_go)
{
    struct store *s = store_dir_open();
    char text[200];
    char lost;
    bool good;

    store_quiesce(s); /* what it takes up by itself is done, or left to this */
    good = adopt_all(s, &err) == 0;
    sweep_run(s);
    good = good && store_check(s, false, &err) == 0;
    lost = find_loss(s, o->acks, may_go);
    sweep_run(s);
    good = good && store_check(s, true, &err) == 0;
    snprintf(text, sizeof(text), "%s: acknowledged %s", note, o->acks);
    if (!CHECK_NOTE(good && lost == '\0' && ended_well(o), text)) {
        printf("# lost: %c; status %d; %s\n", lost == '\0' ? '-' : lost, o->status, err.text);
    }
    store_close(s);
}

/* Dies after each acknowledgement. */
static void test_killed(const char *program)
{
    struct outcome o = {0};
    char value[16];

    for (unsigned n = 1; n < 40 && strchr(o.acks, 'z') == NULL; n++) {
        store_dir_new();
        snprintf(value, sizeof(value), "%u", n);
        run_child(program, DIE_AFTER, value, &o);
        CHECK(was_killed(&o) && strlen(o.acks) == n);
        check_left("killed", &o, false);
    }
    CHECK_NOTE(strchr(o.acks, 'z') != NULL, "it came to its end at last");
}

#ifdef FAULTS
static const char *const POINTS[] = {
    "ingest.open",  "ingest.allocate", "ingest.write", "ingest.fsync", "ingest.rename",
    "dir.fsync",    "index.open",      "index.begin",  "index.get",    "index.put",
    "index.commit", "index.copy",      "blob.open",    "blob.fsync",
};

/* Dies there at the first, second, fourth, ninth, … passage, or fails there once. */
static void test_point(const char *program, const char *point)
{
    struct outcome o = {0};
    char value[64];

    for (unsigned hit = 1; hit < 300; hit = 2 * hit + hit / 4 + (hit == 1)) {
        store_dir_new();
        snprintf(value, sizeof(value), "%s:%u:kill", point, hit);
        run_child(program, "FAULT", value, &o);
        check_left(value, &o, false);
        if (!was_killed(&o)) {
            CHECK_NOTE(hit > 1, "the point is reached at all");
            CHECK_NOTE(strchr(o.acks, 'z') != NULL, "without the fault it comes to its end");
            return;
        }
        store_dir_new();
        snprintf(value, sizeof(value), "%s:%u", point, hit);
        run_child(program, "FAULT", value, &o);
        /* What cannot be synced is removed, and fetched again. */
        check_left(value, &o, strcmp(point, "blob.fsync") == 0);
    }
}
#endif

int main(int argc, char **argv)
{
    log_setup(LOG_ERROR, false);
    if (argc == 3) {
        snprintf(store_dir_path, sizeof(store_dir_path), "%s", argv[2]);
        ignore_result(freopen("/dev/null", "w", stderr) == NULL);
        return child_main();
    }
    test_killed(argv[0]);
#ifdef FAULTS
    for (size_t i = 0; i < ARRAY_LEN(POINTS); i++) {
        test_point(argv[0], POINTS[i]);
    }
#endif
    store_dir_join_pool();
    return tap_done();
}
