/* test_store_sync.c - what is synced behind, and what came anew meanwhile. */
#include "store/sync.c"

#include "store_blobs.h"
#include "tap.h"

#include "store/check.h"

static struct err e;

static bool is_synced(struct store *s, unsigned n)
{
    struct digest d = nth_digest(n, 1000);
    struct blob_record b = {0};

    return blob_get(s, &d, &b) == INDEX_FOUND && b.synced;
}

static void make_due(struct index_txn *t, void *arg)
{
    struct sync *y = arg;

    (void)t;
    y->due_ms = 0;
}

static void noop(struct index_txn *t, void *arg)
{
    (void)t;
    (void)arg;
}

/* Makes the writer start a batch now, and waits for its end. */
static void sync_now(struct store *s)
{
    CHECK_INT(change(s, make_due, s->sync, &e), 0);
    for (bool idle = false; !idle;) {
        ignore_result(change(s, noop, NULL, &e) < 0); /* takes as long as a commit */
        pthread_mutex_lock(&s->jobs_lock);
        idle = s->jobs == 0;
        pthread_mutex_unlock(&s->jobs_lock);
    }
    CHECK_INT(change(s, noop, NULL, &e), 0); /* and the batch's own change was before this one */
}

static void test_batch(void)
{
    struct store *s;

    store_dir_new();
    s = store_dir_open();
    CHECK_INT(blob_add(s, 1, 1000, false, &e), 0);
    CHECK_INT(blob_add(s, 2, 1000, true, &e), 0);
    CHECK_INT(blob_add(s, 3, 1000, false, &e), 0);
    CHECK_NOTE(!is_synced(s, 1) && is_synced(s, 2) && !is_synced(s, 3), "not at once");
    sync_now(s);
    CHECK(is_synced(s, 1) && is_synced(s, 3));
    CHECK_INT(blob_add(s, 1, 1000, false, &e), 0);
    CHECK_NOTE(!is_synced(s, 1), "one that comes again is to be synced again");
    sync_now(s);
    CHECK(is_synced(s, 1));
    CHECK_INT(store_check(s, true, &e), 0);
    store_close(s);
}

/* A blob that was recorded anew while its batch was synced is not marked by that batch. */
static void test_again_meanwhile(void)
{
    struct digest d = nth_digest(5, 1000);
    struct store *s;
    struct sync *y;

    store_dir_new();
    s = store_dir_open();
    y = s->sync;
    CHECK_INT(blob_add(s, 5, 1000, false, &e), 0);
    CHECK_INT(blob_add(s, 6, 1000, false, &e), 0);
    atomic_store(&s->closing, true); /* the writer starts nothing by itself */
    CHECK_INT(change(s, noop, NULL, &e), 0);
    writer_stop(s);
    batch_begin(y);
    CHECK_INT(y->n_batch, 2);
    sync_batch(s, y->batch, y->n_batch);
    sync_add(y, &d, 1);
    CHECK_INT(writer_apply(s, &y->write, &e), 0);
    batch_end(y);
    CHECK(!is_synced(s, 5) && is_synced(s, 6));
    sync_finish(y);
    CHECK(is_synced(s, 5));
    atomic_store(&s->closing, false);
    writer_start(s);
    store_close(s);
}

/* A file that is gone is nobody's fault here, and is not marked. */
static void test_gone(void)
{
    struct digest d = nth_digest(7, 1000);
    struct store *s;

    store_dir_new();
    s = store_dir_open();
    CHECK_INT(blob_add(s, 7, 1000, false, &e), 0);
    CHECK_INT(tree_remove(&s->tree, &d), 0);
    sync_now(s);
    CHECK(!is_synced(s, 7));
    store_close(s);
}

int main(void)
{
    log_setup(LOG_ERROR, false);
    test_batch();
    test_again_meanwhile();
    test_gone();
    store_dir_join_pool();
    return tap_done();
}
