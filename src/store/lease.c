/* store/lease.c - a table of digests and times. */
#include "store/lease.h"

#include "base/clock.h"
#include "base/list.h"
#include "base/map.h"

#include <pthread.h>
#include <stdlib.h>

/* Owner: the table. Under its lock. */
struct lease {
    struct map_node node;
    struct list in_order; /* of their ends */
    struct digest digest;
    uint64_t until; /* clock_mono_ms */
};

struct leases {
    pthread_mutex_t lock;
    struct map map;
    struct list order;
};

struct leases *leases_new(void)
{
    struct leases *l = xnew(struct leases);

    pthread_mutex_init(&l->lock, NULL);
    map_init(&l->map);
    list_init(&l->order);
    return l;
}

static void drop(struct leases *l, struct lease *lease)
{
    map_remove(&l->map, &lease->node);
    list_remove(&lease->in_order);
    free(lease);
}

/* Those that ended by `now` go; the order of ends is that of the list, as all last equally long. */
static void expire(struct leases *l, uint64_t now)
{
    while (!list_empty(&l->order)) {
        struct lease *first = container_of(l->order.next, struct lease, in_order);

        if (first->until > now) {
            return;
        }
        drop(l, first);
    }
}

void leases_free(struct leases *l)
{
    if (l == NULL) {
        return;
    }
    expire(l, UINT64_MAX);
    map_fini(&l->map);
    pthread_mutex_destroy(&l->lock);
    free(l);
}

static bool same(const struct map_node *node, const void *key)
{
    return digest_equal(&container_of_const(node, struct lease, node)->digest, key);
}

static struct lease *find(struct leases *l, const struct digest *d)
{
    struct map_node *node = map_find(&l->map, digest_hash(d), same, d);

    return node == NULL ? NULL : container_of(node, struct lease, node);
}

bool lease_take(struct leases *l, const struct digest *d)
{
    uint64_t now = clock_mono_ms();
    struct lease *lease;
    bool taken = true;

    pthread_mutex_lock(&l->lock);
    expire(l, now);
    lease = find(l, d);
    if (lease != NULL) {
        list_remove(&lease->in_order);
    } else if (l->map.count < LEASES_MAX) {
        lease = xnew(struct lease);
        lease->digest = *d;
        map_insert(&l->map, digest_hash(d), &lease->node);
    } else {
        taken = false;
    }
    if (taken) {
        lease->until = now + LEASE_S * UINT64_C(1000);
        list_append(&l->order, &lease->in_order);
    }
    pthread_mutex_unlock(&l->lock);
    return taken;
}

bool lease_held(struct leases *l, const struct digest *d)
{
    bool held;

    pthread_mutex_lock(&l->lock);
    expire(l, clock_mono_ms());
    held = find(l, d) != NULL;
    pthread_mutex_unlock(&l->lock);
    return held;
}

size_t lease_list(struct leases *l, struct digest **ret)
{
    struct digest *all;
    size_t n = 0;

    pthread_mutex_lock(&l->lock);
    expire(l, clock_mono_ms());
    all = xcalloc(l->map.count + 1, sizeof(*all));
    list_each(it, &l->order) {
        all[n++] = container_of(it, struct lease, in_order)->digest;
    }
    pthread_mutex_unlock(&l->lock);
    *ret = all;
    return n;
}
