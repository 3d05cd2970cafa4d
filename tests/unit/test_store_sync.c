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
    struct digest one = nth_digest(1, 1000);
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
    CHECK_NOTE(is_synced(s, 1), "the file that is there stays when the blob comes again");
    CHECK_INT(tree_remove(&s->tree, &one), 0);
    CHECK_INT(blob_add(s, 1, 1000, false, &e), 0);
    CHECK_NOTE(!is_synced(s, 1), "one whose file was gone is to be synced again");
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
    store_quiesce(s); /* the writer starts nothing by itself */
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

static void put_then_mark(struct index_txn *t, void *arg)
{
    struct sync *y = arg;
    struct digest d = nth_digest(8, 1000);
    struct blob_record b = {.size = 1000};

    index_put_blob(t, &d, &b);
    mark_apply(&y->write, t);
}

/* The same, where the mark and the new record share a transaction. */
static void test_again_in_group(void)
{
    struct change c = {.write.apply = change_apply, .f = put_then_mark};
    struct store *s;
    struct sync *y;

    store_dir_new();
    s = store_dir_open();
    y = s->sync;
    c.arg = y;
    CHECK_INT(blob_add(s, 8, 1000, false, &e), 0);
    store_quiesce(s);
    CHECK_INT(change(s, noop, NULL, &e), 0);
    writer_stop(s);
    batch_begin(y);
    sync_batch(s, y->batch, y->n_batch);
    CHECK_INT(writer_apply(s, &c.write, &e), 0);
    batch_end(y);
    CHECK(!is_synced(s, 8));
    sync_finish(y);
    CHECK(is_synced(s, 8));
    atomic_store(&s->closing, false);
    writer_start(s);
    store_close(s);
}

/* Once it is quiet, the pool may go first. */
static void test_quiesce(void)
{
    struct digest d = nth_digest(9, 1000);
    struct store_options options;
    struct store *s;

    store_dir_new();
    options = store_dir_options();
    options.disk = pool_new("disk", 2);
    s = store_open(&options, &e);
    CHECK(s != NULL);
    CHECK_INT(blob_add(s, 9, 1000, false, &e), 0);
    CHECK_INT(blob_add(s, 10, 1000, false, &e), 0);
    CHECK_INT(tree_remove(&s->tree, &d), 0);
    store_quiesce(s);
    pool_free(options.disk);
    CHECK_INT(change(s, make_due, s->sync, &e), 0); /* the writer looks for what is due */
    CHECK_INT(change(s, noop, NULL, &e), 0);
    CHECK(store_open_blob(s, &d, 1000, &e) < 0);
    CHECK(!store_job_start(s, &s->sync->job));
    store_close(s);
    s = store_dir_open();
    CHECK_NOTE(is_synced(s, 10), "at the close");
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
    test_again_in_group();
    test_gone();
    test_quiesce();
    store_dir_join_pool();
    return tap_done();
}
