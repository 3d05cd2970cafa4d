/* test_store.c - blobs through ingest into the index and back, on a directory of its own. */
#include "store_dir.h"
#include "tap.h"

#include "base/clock.h"
#include "base/counter.h"
#include "base/log.h"

#include <fcntl.h>

#define MIB ((size_t)1 << 20)

/* --- a blob's life ------------------------------------------------------------------------- */

static void test_round_trip(void)
{
    struct store *s;
    struct blob_record b = {0};
    struct digest d = nth_digest(1, 100000);
    struct err err = {0};

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
    CHECK_INT(s->budget->reserved, 0);
    store_close(s);
    s = store_dir_open();
    CHECK(blob_is_whole(s, 1, 100000) && blob_is_whole(s, 2, 0));
    CHECK(blob_get(s, &d, &b) == INDEX_FOUND && b.synced);
    CHECK_INT(store_bytes(s), 100000);
    CHECK_INT(s->recover.unclean, 0);
    store_close(s);
}

static void test_resume(void)
{
    size_t size = 3 * MIB + 17;
    size_t part = 1 * MIB + 5;
    struct digest d = nth_digest(3, size);
    unsigned char *bytes = xcalloc(size, 1);
    unsigned char state[SHA_STATE_MAX];
    struct partial_record partial;
    struct err err = {0};
    struct ingest in;
    struct store *s;
    struct sha sha;

    (void)partial;
    nth_bytes(3, bytes, size);
    store_dir_new();
    s = store_dir_open();
    CHECK_INT(ingest_open(&in, s, &d, size, true, &err), 0);
    CHECK_INT(in.resumed, 0);
    CHECK_INT(ingest_write(&in, bytes, part + 100, 0, &err), 0);
    sha_init(&sha, SHA_256);
    sha_update(&sha, bytes, part);
    CHECK_INT(ingest_keep(&in, size, part, state, sha_save(&sha, state), &partial, &err), 0);
    ingest_drop(&in);
    store_close(s);
    free(bytes);
}

int main(void)
{
    log_setup(LOG_ERROR, false);
    test_round_trip();
    test_resume();
    store_dir_join_pool();
    return tap_done();
}
