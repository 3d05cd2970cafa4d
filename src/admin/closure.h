/*
 * admin/closure.h - all that an image needs, and what of it is not here.
 *
 * An index may miss some of its manifests (it came for some platforms only), but not all of them;
 * an image may miss nothing but foreign layers. Referrers do not belong to it.
 */
#ifndef ADMIN_CLOSURE_H
#define ADMIN_CLOSURE_H

#include "oci/manifest.h"
#include "store/index.h"

/* Bytes of all manifests of one image, at most. */
#define CLOSURE_BODIES_MAX (64u << 20)

/* A manifest that is here. Owner: the closure. */
struct closure_manifest {
    struct digest digest;
    char *body;
    size_t len;
    struct manifest *parsed;
};

/* A blob that is here, manifests among them. A value. */
struct closure_blob {
    struct digest digest;
    uint64_t size;
    enum child_kind kind;
    char media_type[MEDIA_TYPE_MAX]; /* a manifest's own; else what its parent says */
};

/* Owner: the caller, by closure_fini(). */
struct closure {
    struct closure_manifest *manifests; /* parents before their children */
    size_t n_manifests;
    struct closure_blob *blobs; /* each once */
    size_t n_blobs;
    uint64_t bytes; /* of those */
    struct digest *missing;
    size_t n_missing;
};

/* Reads what hangs on the manifest `root`. 0 also where something is missing; -1: ERR_MANIFEST_…
 * where a manifest is none, ERR_TOO_LARGE, ERR_STORE. *ret needs closure_fini() either way. Bytes
 * of manifests are checked against their digests. Blocks: not on a loop. */
int closure_read(struct store *s, const struct digest *root, struct closure *ret,
                 struct err *err) MUST_CHECK;
void closure_fini(struct closure *c);

#endif
