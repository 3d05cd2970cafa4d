/*
 * registry/registry.h - the /v2/ API of distribution-spec: pulls, pushes, tags, referrers.
 *
 * Shared by all loops, read-only after it was made. One for each configuration that requests still
 * use: a newer configuration gets a registry of its own.
 */
#ifndef REGISTRY_REGISTRY_H
#define REGISTRY_REGISTRY_H

#include "cache/cache.h"
#include "http/server.h"
#include "oci/lockfile.h"
#include "registry/bearer.h"
#include "registry/grant.h"
#include "registry/users.h"

struct registry;

struct registry_options {
    struct cache *cache;
    const struct cache_options *options; /* of tags; copied */
    const struct route_table *routes;    /* outlives the registry */
    struct upstream *const *upstreams;   /* by position in routes->upstreams */
    const struct lockfile *lock; /* what tags of mirrored repositories mean; NULL: what upstreams
                                  * say. Outlives the registry, as its path does. */
    const char *lock_path;
    struct users *users;          /* who may use listeners of role registry; NULL: everybody */
    const struct grants *grants;  /* what they may do there; NULL: there are no access rules */
    const struct bearer_key *key; /* of our own tokens; outlives the registry */
};

struct registry *registry_new(const struct registry_options *options);
void registry_free(struct registry *r);
/* Requests that have not come to their end. Any thread. */
unsigned registry_live(const struct registry *r);

/* Answers one exchange: the server's handler, with the registry as its context. Loop thread. */
void registry_handle(struct registry *r, struct http_exchange *x);
/* The server's `ended`: writes the access log and counts. Loop thread. */
void registry_ended(struct http_exchange *x);

#endif
