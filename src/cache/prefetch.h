/*
 * cache/prefetch.h - when a client begins to pull an image's layers, the others are fetched too.
 *
 * The first GET of a cold layer starts flights for the other layers of the manifest it was asked
 * under: PREFETCH_IMAGE at a time for one image, PREFETCH_ALL in all, the rest as those are about
 * to land. Any loop.
 */
#ifndef CACHE_PREFETCH_H
#define CACHE_PREFETCH_H

#include "cache/cache.h"

#define PREFETCH_IMAGE 6
#define PREFETCH_ALL 32

struct prefetch;

struct prefetch *prefetch_new(struct cache *c);
void prefetch_free(struct prefetch *p);

/* A manifest was served: layers asked for next belong to it. Cheap; any thread. */
void prefetch_served(struct cache *c, const struct digest *manifest);
/* A client began to fetch this layer, which is not here. Loop thread. */
void prefetch_layer(struct cache *c, struct loop *l, const struct cache_repo *repo,
                    const struct digest *layer);

#endif
