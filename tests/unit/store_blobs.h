/*
 * store_blobs.h - blobs of known bytes, and changes of the index that are waited for.
 */
#ifndef STORE_BLOBS_H
#define STORE_BLOBS_H

#include "base/sha.h"
#include "store/ingest.h"
#include "store/writer.h"
#include "store_dir.h"

/* --- bytes --------------------------------------------------------------------------------- */

/* The n-th blob of tests: its bytes follow from n. */
static inline void nth_bytes(unsigned n, void *out, size_t size)
{
    unsigned char *bytes = out;

    for (size_t i = 0; i < size; i++) {
        bytes[i] = (unsigned char)(i * 31 + i / 251 + (n >> (8 * (i % 4))) + 1);
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

/* A change of a test's own: f(txn, arg). */
struct change {
    struct index_write write;
    void (*f)(struct index_txn *t, void *arg);
    void *arg;
};

static inline void change_apply(struct index_write *w, struct index_txn *t)
{
    struct change *c = container_of(w, struct change, write);

    c->f(t, c->arg);
}

/* Makes it and waits for it. */
static inline int change(struct store *s, void (*f)(struct index_txn *t, void *arg), void *arg,
                         struct err *err)
{
    struct change c = {.write.apply = change_apply, .f = f, .arg = arg};

    return writer_wait(s, &c.write, err);
}

struct blob_put {
    struct digest digest;
    struct blob_record record;
};

static inline void blob_put_in(struct index_txn *t, void *arg)
{
    struct blob_put *p = arg;

    index_put_blob(t, &p->digest, &p->record);
    index_del_partial(t, &p->digest);
}

/* Takes the n-th blob of tests through ingest into the index. */
static inline int blob_add(struct store *s, unsigned n, size_t size, bool sync, struct err *err)
{
    struct blob_put put = {nth_digest(n, size), {.size = size, .synced = sync}};
    unsigned char *bytes = xcalloc(size + 1, 1);
    struct ingest in;
    int rc;

    nth_bytes(n, bytes, size);
    rc = ingest_open(&in, s, &put.digest, size, false, err);
    if (rc == 0 &&
        (ingest_write(&in, bytes, size, 0, err) < 0 || ingest_commit(&in, size, sync, err) < 0)) {
        ingest_drop(&in);
        rc = -1;
    } else if (rc == 0) {
        put.record.synced = sync || in.was_here;
        rc = change(s, blob_put_in, &put, err);
        ingest_recorded(&in);
        ingest_close(&in);
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

/* As whoever read its file and found it wrong; false: it cannot be read. */
static inline bool blob_quarantine(struct store *s, const struct digest *d)
{
    _cleanup_close_ int fd = tree_open_blob(&s->tree, d);

    if (fd >= 0) {
        store_quarantine(s, d, fd);
    }
    return fd >= 0;
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
