/*
 * tests/bench/fill_index.c - an index of many blobs, made through the store itself.
 *
 *     fill_index DATA COUNT UPSTREAM/REPOSITORY [SIZE]
 *
 * Puts COUNT records of blobs, which are members of one mirrored repository, into the data
 * directory DATA, and ends as a server does that is stopped. Prints "DIGEST SIZE" for each. With
 * SIZE each has a file of so many bytes, and came a day ago. Without, there are no files behind
 * them: what is asked for is HEAD, which the index alone answers.
 */
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/sha.h"
#include "store/index.h"
#include "store/ingest.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { GROUP = 5000 }; /* records of one transaction */
enum { FILE_MAX = 1024 * 1024, DAY_S = 86400 };

/* Owner: main. Thread: `done` under the mutex; the rest belongs to whoever has its turn. */
struct fill {
    struct index_write write;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    bool done;
    const char *repository;
    uint64_t from, to;
    size_t file; /* bytes of each; 0: there are no files */
    unsigned char bytes[FILE_MAX];
};

/* The bytes of the n-th blob: its number, and zeros to the size of a file. */
static struct digest nth_digest(struct fill *f, uint64_t n)
{
    unsigned char raw[SHA_MAX];

    memcpy(f->bytes, &n, sizeof(n));
    sha_of(SHA_256, f->bytes, f->file > 0 ? f->file : sizeof(n), raw);
    return digest_of_raw(DIGEST_SHA256, raw);
}

static uint64_t nth_size(const struct fill *f, uint64_t n)
{
    return f->file > 0 ? f->file : 1000 + n % 1000000;
}

static bool put_file(struct store *s, struct fill *f, uint64_t n)
{
    struct digest d = nth_digest(f, n);
    struct ingest in;
    struct err err;

    if (ingest_open(&in, s, &d, f->file, false, &err) < 0) {
        fprintf(stderr, "fill_index: %s\n", err.text);
        return false;
    }
    if (ingest_write(&in, f->bytes, f->file, 0, &err) < 0 ||
        ingest_commit(&in, f->file, false, &err) < 0) {
        fprintf(stderr, "fill_index: %s\n", err.text);
        ingest_drop(&in);
        return false;
    }
    ingest_recorded(&in); /* nothing is removed here */
    ingest_close(&in);
    return true;
}

static void put_one(struct index_txn *t, struct fill *f, uint64_t repo, uint64_t n)
{
    struct digest d = nth_digest(f, n);
    int64_t came = clock_wall_s() - (f->file > 0 ? DAY_S : 0);
    struct blob_record blob = {
        .size = nth_size(f, n),
        .created = came,
        .used = came,
        .class = BLOB_LAYER,
        .synced = true,
    };
    struct member_record member = {
        .size = blob.size,
        .media_type = "application/vnd.oci.image.layer.v1.tar+gzip",
        .proof = PROOF_UPSTREAM_ANSWER,
        .proved = clock_wall_s(),
    };

    index_put_blob(t, &d, &blob);
    index_put_member(t, repo, &d, &member);
}

static void apply(struct index_write *w, struct index_txn *t)
{
    struct fill *f = container_of(w, struct fill, write);
    uint64_t repo = index_put_repo(t, REPO_MIRRORED, f->repository);

    for (uint64_t n = f->from; n < f->to; n++) {
        put_one(t, f, repo, n);
    }
}

static void on_done(struct index_write *w)
{
    struct fill *f = container_of(w, struct fill, write);

    pthread_mutex_lock(&f->mutex);
    f->done = true;
    pthread_cond_signal(&f->changed);
    pthread_mutex_unlock(&f->mutex);
}

static bool put_group(struct store *s, struct fill *f)
{
    f->done = false;
    f->write = (struct index_write){.apply = apply, .done = on_done};
    index_write_submit(s, NULL, &f->write);
    pthread_mutex_lock(&f->mutex);
    while (!f->done) {
        pthread_cond_wait(&f->changed, &f->mutex);
    }
    pthread_mutex_unlock(&f->mutex);
    if (f->write.failed) {
        fprintf(stderr, "fill_index: %s\n", f->write.err.text);
    }
    return !f->write.failed;
}

static bool put_files(struct store *s, struct fill *f)
{
    for (uint64_t n = f->from; f->file > 0 && n < f->to; n++) {
        if (!put_file(s, f, n)) {
            return false;
        }
    }
    return true;
}

static bool fill(struct store *s, uint64_t count, const char *repository, size_t file)
{
    static struct fill f;
    char text[DIGEST_TEXT_MAX];

    f.repository = repository;
    f.file = file;
    pthread_mutex_init(&f.mutex, NULL);
    pthread_cond_init(&f.changed, NULL);
    for (f.from = 0; f.from < count; f.from = f.to) {
        f.to = f.from + GROUP < count ? f.from + GROUP : count;
        if (!put_files(s, &f) || !put_group(s, &f)) {
            return false;
        }
    }
    for (uint64_t n = 0; n < count; n++) {
        struct digest d = nth_digest(&f, n);

        printf("%s %" PRIu64 "\n", digest_text(&d, text), nth_size(&f, n));
    }
    return fflush(stdout) == 0;
}

int main(int argc, char **argv)
{
    struct store_options options = {.max_size = UINT64_MAX};
    struct err err = {0};
    struct store *s;
    size_t file;
    bool filled;

    file = argc == 5 ? strtoull(argv[4], NULL, 10) : 0;
    if (argc < 4 || argc > 5 || file > FILE_MAX) {
        fprintf(stderr, "usage: fill_index DATA COUNT UPSTREAM/REPOSITORY [SIZE]\n");
        return 2;
    }
    log_setup(LOG_WARN, false);
    options.dir = argv[1];
    options.disk = pool_new("disk", 2);
    s = store_open(&options, &err);
    if (s == NULL) {
        fprintf(stderr, "fill_index: %s\n", err.text);
        return 1;
    }
    filled = fill(s, strtoull(argv[2], NULL, 10), argv[3], file);
    store_close(s);
    pool_free(options.disk);
    return filled ? 0 : 1;
}
