/* store/gate.c - the digests that are between a file and its record, either way. */
#include "store/gate.h"

#include "base/list.h"
#include "base/map.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>

/* One digest, for as long as somebody is in its gate. Owner: the gate. Under its lock. */
struct passage {
    struct map_node node;
    struct list in_all;
    struct digest digest;
    unsigned inside;  /* who put the blob there; one, until the end */
    unsigned waiting; /* to do so, or to remove it */
    bool shut;        /* it is being removed */
};

struct gate {
    pthread_mutex_t lock;
    pthread_cond_t opened;
    bool ended;
    struct map map;
    struct list all;
};

struct gate *gate_new(void)
{
    struct gate *g = xnew(struct gate);

    pthread_mutex_init(&g->lock, NULL);
    pthread_cond_init(&g->opened, NULL);
    map_init(&g->map);
    list_init(&g->all);
    return g;
}

static void drop(struct gate *g, struct passage *p)
{
    map_remove(&g->map, &p->node);
    list_remove(&p->in_all);
    free(p);
}

void gate_free(struct gate *g)
{
    if (g == NULL) {
        return;
    }
    while (!list_empty(&g->all)) {
        drop(g, container_of(g->all.next, struct passage, in_all));
    }
    map_fini(&g->map);
    pthread_cond_destroy(&g->opened);
    pthread_mutex_destroy(&g->lock);
    free(g);
}

static bool same(const struct map_node *node, const void *key)
{
    return digest_equal(&container_of_const(node, struct passage, node)->digest, key);
}

static struct passage *find(struct gate *g, const struct digest *d)
{
    struct map_node *node = map_find(&g->map, digest_hash(d), same, d);

    return node == NULL ? NULL : container_of(node, struct passage, node);
}

static struct passage *make(struct gate *g, const struct digest *d)
{
    struct passage *p = find(g, d);

    if (p == NULL) {
        p = xnew(struct passage);
        p->digest = *d;
        map_insert(&g->map, digest_hash(d), &p->node);
        list_append(&g->all, &p->in_all);
    }
    return p;
}

static void drop_if_unused(struct gate *g, struct passage *p)
{
    if (p->inside == 0 && p->waiting == 0 && !p->shut) {
        drop(g, p);
    }
}

void gate_enter(struct gate *g, const struct digest *d)
{
    struct passage *p;

    pthread_mutex_lock(&g->lock);
    p = make(g, d);
    p->waiting++;
    while ((p->shut || p->inside > 0) && !g->ended) {
        pthread_cond_wait(&g->opened, &g->lock);
    }
    p->waiting--;
    p->inside++;
    pthread_mutex_unlock(&g->lock);
}

void gate_leave(struct gate *g, const struct digest *d)
{
    struct passage *p;

    pthread_mutex_lock(&g->lock);
    p = find(g, d);
    assert(p != NULL && p->inside > 0);
    p->inside--;
    if (p->waiting > 0) {
        pthread_cond_broadcast(&g->opened);
    }
    drop_if_unused(g, p);
    pthread_mutex_unlock(&g->lock);
}

bool gate_shut(struct gate *g, const struct digest *d)
{
    struct passage *p;
    bool shut;

    pthread_mutex_lock(&g->lock);
    p = make(g, d);
    shut = p->inside == 0 && p->waiting == 0 && !p->shut;
    p->shut = p->shut || shut;
    drop_if_unused(g, p);
    pthread_mutex_unlock(&g->lock);
    return shut;
}

bool gate_close(struct gate *g, const struct digest *d)
{
    struct passage *p;
    bool shut;

    pthread_mutex_lock(&g->lock);
    p = make(g, d);
    p->waiting++;
    while ((p->shut || p->inside > 0) && !g->ended) {
        pthread_cond_wait(&g->opened, &g->lock);
    }
    p->waiting--;
    shut = p->inside == 0 && !p->shut;
    p->shut = p->shut || shut;
    drop_if_unused(g, p);
    pthread_mutex_unlock(&g->lock);
    return shut;
}

void gate_open(struct gate *g, const struct digest *d)
{
    struct passage *p;

    pthread_mutex_lock(&g->lock);
    p = find(g, d);
    assert(p != NULL && p->shut);
    p->shut = false;
    pthread_cond_broadcast(&g->opened);
    drop_if_unused(g, p);
    pthread_mutex_unlock(&g->lock);
}

bool gate_is_empty(struct gate *g)
{
    bool empty;

    pthread_mutex_lock(&g->lock);
    empty = list_empty(&g->all);
    pthread_mutex_unlock(&g->lock);
    return empty;
}

void gate_end(struct gate *g)
{
    pthread_mutex_lock(&g->lock);
    g->ended = true;
    pthread_cond_broadcast(&g->opened);
    pthread_mutex_unlock(&g->lock);
}
