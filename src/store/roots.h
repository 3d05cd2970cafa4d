/*
 * store/roots.h - whether anything still holds a manifest of a repository.
 *
 * Roots are manifests that stay by themselves: tagged, asked for of late, leased or pinned. They
 * hold what they name and what refers to them (store/hosted.h), and so on. It is found out from
 * below: an index and its subject may refer to each other, so that being referred to says nothing.
 */
#ifndef STORE_ROOTS_H
#define STORE_ROOTS_H

#include "base/map.h"
#include "store/judge.h"
#include "store/lease.h"

/* Ways up that may be looked at between two resets of `visited`; what more than these might hold
 * counts as held. */
#define ROOTS_VISIT_MAX 20000

/* Owner: the caller, by roots_fini(). What was found out is kept, and is true for as long as the
 * transaction of `judge` sees no other change than the removal of what was told to be free. */
struct roots {
    const struct judge *judge;
    struct leases *leases;
    uint64_t repo;  /* the caller's to set, as is the next */
    int64_t before; /* asked for later than this: a root */

    struct map known;
    struct list queue; /* of the question under way */
    unsigned visited;  /* the caller's to reset */
};

/* judge and leases are borrowed. `leases` NULL: tags alone make roots. */
void roots_init(struct roots *r, const struct judge *judge, struct leases *leases);
void roots_fini(struct roots *r);
/* Whether the member, a manifest, is a root or held by one. */
bool roots_hold(struct roots *r, const struct digest *d);

#endif
