/*
 * registry/reach.h - through which repositories may this client read a blob that is here?
 *
 * A blob is stored once; who asks for it in a hosted repository, to mount it or to name it in a
 * manifest, must be able to read it somewhere (design section 6). Any thread.
 */
#ifndef REGISTRY_REACH_H
#define REGISTRY_REACH_H

#include "registry/request.h"

enum reach {
    REACH_MIRRORED, /* only through repositories of upstreams */
    REACH_ALL,      /* hosted ones too */
};

/* Whether the blob is here, whole and believed, and a member of a repository that the client may
 * read; its size is put into *ret_size. */
bool reach_blob(const struct request *q, struct index_read *r, const struct digest *d,
                enum reach through, uint64_t *ret_size);

/* The same through one repository, as `from` of a mount names it. */
bool reach_blob_in(const struct request *q, struct index_read *r, const struct digest *d,
                   struct slice from, uint64_t *ret_size);

#endif
