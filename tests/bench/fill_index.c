/*
 * tests/bench/fill_index.c - an index of many blobs, made through the store itself.
 *
 *     fill_index DATA COUNT UPSTREAM/REPOSITORY
 *
 * Puts COUNT records of blobs, which are members of one mirrored repository, into the data
 * directory DATA, and ends as a server does that is stopped. Prints "DIGEST SIZE" for each. There
 * are no files behind them: what is asked for is HEAD, which the index alone answers.
 */
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/sha.h"
#include "store/index.h"
#include "store/store.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum { GROUP = 5000 }; /* records of one transaction */

/* Owner: main. Thread: `done` under the mutex; the rest belongs to whoever has its turn. */
struct fill {
    struct index_write write;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    bool done;
    const char *repository;
    uint64_t from, to;
};

static struct digest nth_digest(uint64_t n)
{
    unsigned char raw[SHA_MAX];

    sha_of(SHA_256, &n, sizeof(n), raw);
    return digest_of_raw(DIGEST_SHA256, raw);
}

static uint64_t nth_size(uint64_t n)
{
    return 1000 + n % 1000000;
}

static void put_one(struct index_txn *t, uint64_t repo, uint64_t n)
{
    struct digest d = nth_digest(n);
    struct blob_record blob = {
        .size = nth_size(n),
        .created = clock_wall_s(),
        .used = clock_wall_s(),
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
        put_one(t, repo, n);
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

static bool fill(struct store *s, uint64_t count, const char *repository)
{
    struct fill f = {.repository = repository};
    char text[DIGEST_TEXT_MAX];

    pthread_mutex_init(&f.mutex, NULL);
    pthread_cond_init(&f.changed, NULL);
    for (f.from = 0; f.from < count; f.from = f.to) {
        f.to = f.from + GROUP < count ? f.from + GROUP : count;
        if (!put_group(s, &f)) {
            return false;
        }
    }
    for (uint64_t n = 0; n < count; n++) {
        struct digest d = nth_digest(n);

        printf("%s %" PRIu64 "\n", digest_text(&d, text), nth_size(n));
    }
    return fflush(stdout) == 0;
}

int main(int argc, char **argv)
{
    struct store_options options = {.max_size = UINT64_MAX};
    struct err err = {0};
    struct store *s;
    bool filled;

    if (argc != 4) {
        fprintf(stderr, "usage: fill_index DATA COUNT UPSTREAM/REPOSITORY\n");
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
    filled = fill(s, strtoull(argv[2], NULL, 10), argv[3]);
    store_close(s);
    pool_free(options.disk);
    return filled ? 0 : 1;
}
