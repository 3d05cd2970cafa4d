/*
 * store_dir.h - a data directory of a test's own, and changes of the index that are waited for.
 *
 * The directory lies under $TMPDIR and is removed with rm at the end of the program.
 */
#ifndef STORE_DIR_H
#define STORE_DIR_H

#include "base/sha.h"
#include "store/ingest.h"
#include "store/inner.h"
#include "store/writer.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static char store_dir_path[256];
static struct pool *store_dir_pool;

static inline int store_dir_unlink(const char *path, const struct stat *st, int flag,
                                   struct FTW *ftw)
{
    (void)st;
    (void)flag;
    (void)ftw;
    ignore_result(remove(path) != 0);
    return 0;
}

static inline void store_dir_remove(void)
{
    nftw(store_dir_path, store_dir_unlink, 16, FTW_DEPTH | FTW_PHYS);
}

/* A new empty directory; the one before goes. */
static inline const char *store_dir_new(void)
{
    const char *tmp = getenv("TMPDIR");

    if (store_dir_path[0] != '\0') {
        store_dir_remove();
    } else {
        atexit(store_dir_remove);
    }
    snprintf(store_dir_path, sizeof(store_dir_path), "%s/larder-test-XXXXXX",
             tmp == NULL ? "/tmp" : tmp);
    if (mkdtemp(store_dir_path) == NULL) {
        perror(store_dir_path);
        exit(1);
    }
    return store_dir_path;
}

static inline struct store_options store_dir_options(void)
{
    if (store_dir_pool == NULL) {
        store_dir_pool = pool_new("disk", 3);
    }
    return (struct store_options){
        .dir = store_dir_path, .max_size = UINT64_MAX, .disk = store_dir_pool};
}

/* Opens it, or ends the program. */
static inline struct store *store_dir_open(void)
{
    struct store_options options = store_dir_options();
    struct err err = {0};
    struct store *s = store_open(&options, &err);

    if (s == NULL) {
        printf("Bail out! %s\n", err.text);
        exit(1);
    }
    return s;
}

static inline void store_dir_join_pool(void)
{
    pool_free(store_dir_pool);
    store_dir_pool = NULL;
}

/* --- bytes --------------------------------------------------------------------------------- */

/* The n-th blob of tests: its bytes follow from n. */
static inline void nth_bytes(unsigned n, void *out, size_t size)
{
    unsigned char *bytes = out;

    for (size_t i = 0; i < size; i++) {
        bytes[i] = (unsigned char)(i * 31 + i / 251 + n * 7 + 1);
    }
}

static inline struct digest nth_digest(unsigned n, size_t size)
{
    unsigned char *bytes = xcalloc(size + 1, 1);
    struct digest d = {.alg = DIGEST_SHA256};

    nth_bytes(n, bytes, size);
    sha_of(SHA_256, bytes, size, d.bytes);
    free(bytes);
    return d;
}

/* --- changes ------------------------------------------------------------------------------- */

struct blob_put {
    struct index_write write;
    struct digest digest;
    struct blob_record record;
    bool partial_gone;
};

static inline void blob_put_apply(struct index_write *w, struct index_txn *t)
{
    struct blob_put *p = container_of(w, struct blob_put, write);

    index_put_blob(t, &p->digest, &p->record);
    if (p->partial_gone) {
        index_del_partial(t, &p->digest);
    }
}

static inline int blob_put(struct store *s, const struct digest *d, const struct blob_record *b,
                           struct err *err)
{
    struct blob_put p = {.digest = *d, .record = *b, .write = {.apply = blob_put_apply}};

    p.partial_gone = true;
    return writer_wait(s, &p.write, err);
}

/* Takes the n-th blob of tests through ingest into the index. */
static inline int blob_add(struct store *s, unsigned n, size_t size, bool sync, struct err *err)
{
    struct blob_record b = {.size = size, .class = BLOB_LAYER, .synced = sync};
    struct digest d = nth_digest(n, size);
    unsigned char *bytes = xcalloc(size + 1, 1);
    struct ingest in;
    int rc;

    nth_bytes(n, bytes, size);
    rc = ingest_open(&in, s, &d, size, false, err);
    if (rc == 0) {
        rc = ingest_write(&in, bytes, size, 0, err);
        rc = rc < 0 ? rc : ingest_commit(&in, size, sync, err);
        if (rc < 0) {
            ingest_drop(&in);
        } else {
            close(in.fd);
            rc = blob_put(s, &d, &b, err);
        }
    }
    free(bytes);
    return rc;
}

static inline enum index_found blob_get(struct store *s, const struct digest *d,
                                        struct blob_record *ret)
{
    struct index_read *r = index_read_begin(s);
    enum index_found found;

    if (r == NULL) {
        return INDEX_FAILED;
    }
    found = index_get_blob(r, d, ret);
    index_read_end(r);
    return found;
}

/* Whether the n-th blob of tests is there, with its bytes. */
static inline bool blob_is_whole(struct store *s, unsigned n, size_t size)
{
    struct digest d = nth_digest(n, size);
    unsigned char *want = xcalloc(size + 1, 1);
    unsigned char *got = xcalloc(size + 1, 1);
    struct blob_record b;
    struct err err;
    bool good = false;
    int fd = -1;

    nth_bytes(n, want, size);
    if (blob_get(s, &d, &b) == INDEX_FOUND && b.size == size) {
        fd = store_open_blob(s, &d, b.size, &err);
    }
    if (fd >= 0) {
        good = pread(fd, got, size + 1, 0) == (ssize_t)size && memcmp(want, got, size) == 0;
        close(fd);
    }
    free(want);
    free(got);
    return good;
}

#endif
