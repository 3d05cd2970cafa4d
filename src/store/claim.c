/* store/claim.c - a set of digests under a lock. */
#include "store/claim.h"

#include "base/list.h"
#include "base/map.h"

#include <pthread.h>
#include <stdlib.h>

/* Owner: the claims. */
struct claim {
    struct map_node node;
    struct list in_all;
    struct digest digest;
};

struct claims {
    pthread_mutex_t lock;
    struct map map;
    struct list all;
};

struct claims *claims_new(void)
{
    struct claims *c = xnew(struct claims);

    pthread_mutex_init(&c->lock, NULL);
    map_init(&c->map);
    list_init(&c->all);
    return c;
}

void claims_clear(struct claims *c)
{
    while (!list_empty(&c->all)) {
        claim_drop(c, container_of(c->all.next, struct claim, in_all));
    }
}

void claims_free(struct claims *c)
{
    if (c == NULL) {
        return;
    }
    claims_clear(c);
    map_fini(&c->map);
    pthread_mutex_destroy(&c->lock);
    free(c);
}

static bool same(const struct map_node *node, const void *key)
{
    const struct claim *claim = (const void *)node; /* its first member */

    return digest_equal(&claim->digest, key);
}

struct claim *claim_take(struct claims *c, const struct digest *d)
{
    struct claim *claim = NULL;
    uint64_t hash = digest_hash(d);

    pthread_mutex_lock(&c->lock);
    if (map_find(&c->map, hash, same, d) == NULL) {
        claim = xnew(struct claim);
        claim->digest = *d;
        map_insert(&c->map, hash, &claim->node);
        list_append(&c->all, &claim->in_all);
    }
    pthread_mutex_unlock(&c->lock);
    return claim;
}

void claim_drop(struct claims *c, struct claim *claim)
{
    if (claim == NULL) {
        return;
    }
    pthread_mutex_lock(&c->lock);
    map_remove(&c->map, &claim->node);
    list_remove(&claim->in_all);
    pthread_mutex_unlock(&c->lock);
    free(claim);
}
