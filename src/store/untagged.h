/*
 * store/untagged.h - manifests of a hosted repository that no tag holds, and what they alone need.
 *
 * Judged as retention does (store/roots.h), as if nothing but tags held anything: an index that has
 * a tag holds its children, and they what refers to them.
 */
#ifndef STORE_UNTAGGED_H
#define STORE_UNTAGGED_H

#include "store/index.h"

struct untagged_manifest {
    struct digest digest;
    int64_t since; /* it had a tag, was pushed or asked for; wall seconds */
    bool pinned;
};

/* Owner: the caller, by untagged_fini(). */
struct untagged {
    struct untagged_manifest *all; /* the oldest first */
    size_t n;
    size_t cap;
    uint64_t bytes; /* of them, and of the blobs that no other manifest of the repository names */
};

/* What is here of such. For as long as the read lasts; any thread. */
void untagged_find(struct index_read *r, uint64_t repo, struct untagged *ret);
void untagged_fini(struct untagged *u);

#endif
