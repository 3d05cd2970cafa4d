/* test_store_gate.c - those who put a blob there, and those who remove it, keep apart; leases. */
#include "store_blobs.h"
#include "tap.h"

#include "store/gate.h"
#include "store/inner.h"
#include "store/lease.h"

#include <pthread.h>
#include <sys/stat.h>

#define ROUNDS 20000

static struct gate *gate;
static struct digest one;

static void test_rules(void)
{
    struct digest other = nth_digest(2, 10);

    gate_enter(gate, &one);
    CHECK(!gate_shut(gate, &one));
    CHECK(gate_shut(gate, &other));
    CHECK(!gate_shut(gate, &other)); /* a single one */
    gate_leave(gate, &one);
    CHECK(gate_shut(gate, &one));
    gate_open(gate, &one);
    gate_open(gate, &other);
    CHECK(gate_shut(gate, &other));
    gate_open(gate, &other);
}

/* --- both at once -------------------------------------------------------------------------- */

static atomic_int inside;
static atomic_int removing;
static atomic_bool mixed;

static void *put_thread(void *arg)
{
    (void)arg;
    for (unsigned i = 0; i < ROUNDS; i++) {
        gate_enter(gate, &one);
        if (atomic_fetch_add(&inside, 1) > 0 || atomic_load(&removing) > 0) {
            atomic_store(&mixed, true);
        }
        atomic_fetch_sub(&inside, 1);
        gate_leave(gate, &one);
    }
    return NULL;
}

static void *remove_thread(void *arg)
{
    unsigned *n = arg;

    for (unsigned i = 0; i < ROUNDS || *n == 0; i++) {
        if (!gate_shut(gate, &one)) {
            continue;
        }
        if (atomic_fetch_add(&removing, 1) > 0 || atomic_load(&inside) > 0) {
            atomic_store(&mixed, true);
        }
        (*n)++;
        atomic_fetch_sub(&removing, 1);
        gate_open(gate, &one);
    }
    return NULL;
}

static void test_threads(void)
{
    pthread_t threads[4];
    unsigned removed[2] = {0};

    for (unsigned i = 0; i < 2; i++) {
        CHECK_INT(pthread_create(&threads[i], NULL, put_thread, NULL), 0);
        CHECK_INT(pthread_create(&threads[2 + i], NULL, remove_thread, &removed[i]), 0);
    }
    for (unsigned i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
    }
    CHECK(!atomic_load(&mixed));
    CHECK(removed[0] > 0 && removed[1] > 0);
}

/* --- a store ------------------------------------------------------------------------------- */

struct taker {
    struct ingest in;
    struct err err;
    int rc;
    atomic_bool done;
};

static void *commit_thread(void *arg)
{
    struct taker *t = arg;

    t->rc = ingest_commit(&t->in, 100, true, &t->err);
    atomic_store(&t->done, true);
    return NULL;
}

/* A commit waits for a removal under way, and a removal gives way to a commit. */
static void test_commit(void)
{
    struct store *s = store_dir_open();
    struct taker t = {0};
    unsigned char bytes[100];
    pthread_t thread;
    struct digest d = nth_digest(7, sizeof(bytes));

    nth_bytes(7, bytes, sizeof(bytes));
    CHECK_INT(ingest_open(&t.in, s, &d, sizeof(bytes), false, &t.err), 0);
    CHECK_INT(ingest_write(&t.in, bytes, sizeof(bytes), 0, &t.err), 0);
    CHECK(gate_shut(s->gate, &d));
    CHECK_INT(pthread_create(&thread, NULL, commit_thread, &t), 0);
    CHECK(!atomic_load(&t.done));
    gate_open(s->gate, &d);
    pthread_join(thread, NULL);
    CHECK(t.rc == 0 && atomic_load(&t.done));
    CHECK(!gate_shut(s->gate, &d)); /* not recorded yet */
    ingest_recorded(&t.in);
    CHECK(gate_shut(s->gate, &d));
    gate_open(s->gate, &d);
    ingest_close(&t.in);
    store_close(s);
}

/* What is here and synced stays: no second file takes its place. */
static void test_was_here(void)
{
    struct store *s = store_dir_open();
    unsigned char bytes[100];
    struct err err;
    struct ingest in;
    struct digest d = nth_digest(8, sizeof(bytes));

    nth_bytes(8, bytes, sizeof(bytes));
    CHECK_INT(blob_add(s, 8, sizeof(bytes), true, &err), 0);
    CHECK_INT(ingest_open(&in, s, &d, sizeof(bytes), false, &err), 0);
    CHECK_INT(ingest_write(&in, bytes, sizeof(bytes), 0, &err), 0);
    CHECK_INT(ingest_commit(&in, sizeof(bytes), false, &err), 0);
    CHECK(in.was_here);
    ingest_recorded(&in);
    ingest_close(&in);
    store_close(s);
}

static void *unsynced_thread(void *arg)
{
    struct taker *t = arg;

    t->rc = ingest_commit(&t->in, 100, false, &t->err);
    return NULL;
}

static void put_synced(struct index_txn *t, void *arg)
{
    struct blob_record b = {.size = 100, .synced = true};

    index_put_blob(t, arg, &b);
}

static ino_t inode_of(struct store *s, const struct digest *d)
{
    struct stat st = {0};
    int fd = tree_open_blob(&s->tree, d);

    CHECK(fd >= 0 && fstat(fd, &st) == 0);
    close(fd);
    return st.st_ino;
}

/* A download that ends while a push of the same blob is being recorded: what was put there synced
 * stays, for it is what the push's 201 promises. */
static void test_a_pull_beside_a_push(void)
{
    struct store *s = store_dir_open();
    struct taker pull = {0};
    struct ingest push = {0};
    unsigned char bytes[100];
    struct blob_record b;
    struct err err;
    pthread_t thread;
    ino_t inode;
    struct digest d = nth_digest(9, sizeof(bytes));

    nth_bytes(9, bytes, sizeof(bytes));
    CHECK_INT(ingest_open(&pull.in, s, &d, sizeof(bytes), false, &err), 0);
    CHECK_INT(ingest_write(&pull.in, bytes, sizeof(bytes), 0, &err), 0);
    CHECK_INT(ingest_open(&push, s, &d, sizeof(bytes), false, &err), 0);
    CHECK_INT(ingest_write(&push, bytes, sizeof(bytes), 0, &err), 0);
    CHECK_INT(ingest_commit(&push, sizeof(bytes), true, &err), 0);
    inode = inode_of(s, &d);
    CHECK_INT(pthread_create(&thread, NULL, unsynced_thread, &pull), 0);
    CHECK_INT(change(s, put_synced, &d, &err), 0);
    ingest_recorded(&push);
    pthread_join(thread, NULL);
    CHECK(pull.rc == 0 && pull.in.was_here);
    CHECK(inode_of(s, &d) == inode);
    ingest_recorded(&pull.in);
    CHECK(blob_get(s, &d, &b) == INDEX_FOUND && b.synced);
    ingest_close(&push);
    ingest_close(&pull.in);
    store_close(s);
}

struct bad_file {
    struct store *store;
    struct digest digest;
    int fd;
};

static void *quarantine_thread(void *arg)
{
    struct bad_file *bad = arg;

    store_quarantine(bad->store, &bad->digest, bad->fd);
    return NULL;
}

/* What was pushed meanwhile is not what was found bad. */
static void test_a_quarantine_beside_a_push(void)
{
    struct store *s = store_dir_open();
    struct bad_file bad = {s, nth_digest(10, 100), -1};
    struct ingest push = {0};
    unsigned char bytes[100];
    struct err err;
    pthread_t thread;

    nth_bytes(10, bytes, sizeof(bytes));
    CHECK_INT(blob_add(s, 10, sizeof(bytes), false, &err), 0);
    bad.fd = tree_open_blob(&s->tree, &bad.digest);
    CHECK_INT(ingest_open(&push, s, &bad.digest, sizeof(bytes), false, &err), 0);
    CHECK_INT(ingest_write(&push, bytes, sizeof(bytes), 0, &err), 0);
    CHECK_INT(ingest_commit(&push, sizeof(bytes), true, &err), 0);
    CHECK_INT(pthread_create(&thread, NULL, quarantine_thread, &bad), 0);
    CHECK_INT(change(s, put_synced, &bad.digest, &err), 0);
    ingest_recorded(&push);
    pthread_join(thread, NULL);
    CHECK(blob_is_whole(s, 10, sizeof(bytes)));
    ingest_close(&push);
    close(bad.fd);
    CHECK(blob_quarantine(s, &bad.digest)); /* but now it is */
    CHECK(!blob_is_whole(s, 10, sizeof(bytes)));
    store_close(s);
}

/* At a stop nobody waits for one who never comes back. */
static void test_end(void)
{
    gate_enter(gate, &one);
    gate_end(gate);
    gate_enter(gate, &one);
    CHECK(!gate_close(gate, &one));
    gate_leave(gate, &one);
    CHECK(!gate_close(gate, &one));
    gate_leave(gate, &one);
    CHECK(gate_close(gate, &one));
    CHECK(!gate_close(gate, &one));
    gate_open(gate, &one);
}

static void test_leases(void)
{
    struct leases *l = leases_new();
    struct digest other = nth_digest(2, 10);

    CHECK(!lease_held(l, &one));
    CHECK(lease_take(l, &one));
    CHECK(lease_take(l, &one));
    CHECK(lease_held(l, &one));
    CHECK(!lease_held(l, &other));
    for (unsigned i = 1; i < LEASES_MAX; i++) {
        struct digest d = {.alg = DIGEST_SHA256};

        memcpy(d.bytes, &i, sizeof(i));
        if (!lease_take(l, &d)) {
            CHECK_NOTE(false, "a lease was refused too early");
            break;
        }
    }
    CHECK(!lease_take(l, &other)); /* no room */
    CHECK(lease_take(l, &one));    /* one that is there is prolonged all the same */
    leases_free(l);
}

int main(void)
{
    gate = gate_new();
    one = nth_digest(1, 10);
    test_rules();
    test_threads();
    test_end();
    gate_free(gate);
    store_dir_new();
    test_commit();
    test_was_here();
    test_a_pull_beside_a_push();
    test_a_quarantine_beside_a_push();
    test_leases();
    store_dir_join_pool();
    return tap_done();
}
