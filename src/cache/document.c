/* cache/document.c - documents in memory and their way into the store. */
#include "cache/document.h"

#include "base/clock.h"
#include "base/counter.h"
#include "base/log.h"
#include "base/sha.h"
#include "cache/member.h"
#include "oci/manifest.h"
#include "store/ingest.h"

#include <stdio.h>
#include <stdlib.h>

struct document *document_new(const void *body, size_t len, enum sha_alg alg,
                              const char *media_type)
{
    struct document *d = xcalloc(1, sizeof(*d) + len);

    atomic_init(&d->refs, 1);
    d->digest.alg = (uint8_t)alg;
    sha_of(alg, body, len, d->digest.bytes);
    snprintf(d->media_type, sizeof(d->media_type), "%s", media_type);
    d->len = len;
    if (len > 0) {
        memcpy(d->body, body, len);
    }
    return d;
}

struct document *document_ref(struct document *d)
{
    atomic_fetch_add(&d->refs, 1);
    return d;
}

void document_unref(struct document *d)
{
    if (d != NULL && atomic_fetch_sub(&d->refs, 1) == 1) {
        free(d);
    }
}

/* --- keeping ------------------------------------------------------------------------------- */

/* Writes the blob. Pool thread. */
static bool keep_blob(struct document_keep *k, struct err *err)
{
    const struct document *d = k->document;
    struct ingest *in = &k->ingest;

    if (ingest_open(in, k->cache->store, &d->digest, d->len, false, err) < 0) {
        return false;
    }
    if (ingest_write(in, d->body, d->len, 0, err) < 0 ||
        ingest_commit(in, d->len, false, err) < 0) {
        ingest_drop(in);
        return false;
    }
    return true;
}

static void keep_run(struct job *job)
{
    struct document_keep *k = container_of(job, struct document_keep, job);
    struct slice body = slice_of((const char *)k->document->body, k->document->len);
    struct err err = {0};

    if (k->is_manifest &&
        manifest_parse(body, slice_str(k->document->media_type), &k->manifest, &k->err) < 0) {
        return;
    }
    k->stored = keep_blob(k, &err);
    if (!k->stored) {
        count(store_errors);
        log_event(LOG_WARN, "store.refused", "%s: not kept: %s", k->repo.text, err.text);
    }
}

static void put_child(struct index_txn *t, uint64_t repo, uint64_t credential,
                      const struct digest *parent, const struct descriptor *child)
{
    struct member_record m = {0};
    bool answered;

    index_put_ref(t, parent, &child->digest, (uint8_t)child->kind, child->size);
    answered = index_txn_get_member(t, repo, &child->digest, &m) == INDEX_FOUND &&
               m.proof == PROOF_UPSTREAM_ANSWER;
    if (answered && m.credential == 0 && m.kind != CHILD_BLOB) {
        return;
    }
    /* What upstream itself answered for is known better, but for what a mere blob is. */
    if (!answered || m.kind == CHILD_BLOB) {
        m.kind = (uint8_t)child->kind;
        snprintf(m.media_type, sizeof(m.media_type), "%s", child->media_type);
    }
    if (!answered) {
        m.proof = m.proof == 0 ? PROOF_MANIFEST : m.proof;
        m.size = child->size;
    }
    m.credential = credential;
    m.proved = clock_wall_s();
    index_put_member(t, repo, &child->digest, &m);
}

void document_put_children(struct index_txn *t, const struct cache_repo *repo,
                           const struct digest *parent, const struct manifest *m)
{
    uint64_t id = index_put_repo(t, REPO_MIRRORED, repo->text);
    uint64_t credential = upstream_credential(repo->upstream, repo->name);

    for (size_t i = 0; m != NULL && i < m->n_children; i++) {
        put_child(t, id, credential, parent, &m->children[i]);
    }
}

static void keep_apply(struct index_write *w, struct index_txn *t)
{
    struct document_keep *k = container_of(w, struct document_keep, write);
    const struct document *d = k->document;
    int64_t now = clock_wall_s();
    struct blob_record blob = {
        .size = d->len,
        .created = now,
        .used = now,
        .class = BLOB_OTHER,
        .synced = k->ingest.was_here,
    };
    uint64_t repo = index_put_repo(t, REPO_MIRRORED, k->repo.text);

    if (k->is_manifest) {
        blob.class = BLOB_MANIFEST;
    }
    index_put_blob(t, &d->digest, &blob);
    if (d->len <= BODY_MAX) {
        index_put_body(t, &d->digest, d->body, d->len);
    }
    member_put_answered(t, &k->repo, &d->digest, d->len, d->media_type,
                        k->is_manifest ? CHILD_MANIFEST : CHILD_BLOB);
    if (k->reference[0] != '\0') {
        struct tag_record tag = {.digest = d->digest, .fetched = now, .checked = now};

        index_put_tag(t, repo, k->kind, k->reference, &tag);
    }
    document_put_children(t, &k->repo, &d->digest, k->manifest);
    if (k->manifest != NULL && k->manifest->has_subject) {
        index_put_ref(t, &k->manifest->subject, &d->digest, CHILD_REFERRER, d->len);
    }
}

static void keep_end(struct document_keep *k)
{
    manifest_free(k->manifest);
    k->manifest = NULL;
    k->done(k);
}

static void keep_written(struct index_write *w)
{
    struct document_keep *k = container_of(w, struct document_keep, write);

    k->kept = !w->failed;
    ingest_recorded(&k->ingest);
    ingest_close(&k->ingest);
    if (w->failed) {
        log_event(LOG_ERROR, "index.refused", "%s: not recorded: %s", k->repo.text, w->err.text);
    } else {
        count(blobs_stored);
        count_add(bytes_stored, k->document->len);
    }
    keep_end(k);
}

static void keep_stored(struct job *job)
{
    struct document_keep *k = container_of(job, struct document_keep, job);

    if (!k->stored) {
        keep_end(k);
        return;
    }
    k->write = (struct index_write){.apply = keep_apply, .done = keep_written};
    index_write_submit(k->cache->store, job->loop, &k->write);
}

void document_keep_start(struct document_keep *k, struct loop *l)
{
    k->kept = false;
    k->stored = false;
    k->manifest = NULL;
    k->err = (struct err){0};
    pool_submit(store_disk(k->cache->store), l, &k->job, keep_run, keep_stored);
}
