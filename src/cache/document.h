/*
 * cache/document.h - a manifest, tag list or referrers list in memory, and its way into the store.
 *
 * Documents are small (MANIFEST_LIMIT) and must be read whole before they can be believed. They are
 * kept as blobs by the digest of their bytes, like everything else.
 */
#ifndef CACHE_DOCUMENT_H
#define CACHE_DOCUMENT_H

#include "base/sha.h"
#include "base/str.h"
#include "cache/cache.h"
#include "store/ingest.h"

/* Owner: counted; whoever holds a reference. Never changes once shared. Any thread. */
struct document {
    atomic_uint refs;
    struct digest digest;
    char media_type[128];
    size_t len;
    unsigned char body[];
};

/* A copy of `len` bytes; its digest by `alg` is computed. One reference. */
struct document *document_new(const void *body, size_t len, enum sha_alg alg,
                              const char *media_type);
struct document *document_ref(struct document *d);
void document_unref(struct document *d);

/*
 * Keeps a document: parses it where it is a manifest, writes the blob (pool), then records blob,
 * body, tag, membership and children in one change. Where the disk refuses, `kept` is false and
 * the document serves all the same. Owner: whoever embeds it. Thread: `loop`'s.
 */
struct document_keep {
    /* asked for */
    struct cache *cache;
    struct cache_repo repo;
    struct document *document; /* borrowed until done */
    enum tag_kind kind;
    char reference[512]; /* the tag to move, or "" */
    bool is_manifest;
    void (*done)(struct document_keep *); /* loop thread */
    /* found out */
    bool kept;
    struct err err; /* ERR_MANIFEST_INVALID where it is no manifest: nothing was kept */
    /* own */
    struct job job;
    struct ingest ingest;
    struct index_write write;
    struct manifest *manifest;
    bool stored;
};

void document_keep_start(struct document_keep *k, struct loop *l);

struct manifest; /* oci/manifest.h */

/* Records the children of a manifest that upstream vouches for in this repository: how they hang
 * together, and that they are members. `m` may be NULL. Within a change. */
void document_put_children(struct index_txn *t, const struct cache_repo *repo,
                           const struct digest *parent, const struct manifest *m);

#endif
