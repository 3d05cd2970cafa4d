/*
 * store/lease.h - blobs that somebody was told are here, and will name in a moment.
 *
 * A client that was answered 200 for a HEAD uploads nothing and pushes a manifest that names the
 * blob, so it has to stay until then (design section 6: an hour). In memory, bounded; a lease that
 * finds no room is refused, and the client uploads. Any thread.
 */
#ifndef STORE_LEASE_H
#define STORE_LEASE_H

#include "oci/digest.h"

#define LEASE_S 3600
#define LEASES_MAX 100000

struct leases;

struct leases *leases_new(void);
void leases_free(struct leases *l);

/* From now on for LEASE_S seconds. False: there are LEASES_MAX already. */
bool lease_take(struct leases *l, const struct digest *d) MUST_CHECK;
/* All of them; the caller frees the array. */
size_t lease_list(struct leases *l, struct digest **ret);
bool lease_held(struct leases *l, const struct digest *d);

#endif
