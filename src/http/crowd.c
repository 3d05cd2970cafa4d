/* http/crowd.c - a count for each address that has connections. */
#include "http/crowd.h"

#include "base/list.h"
#include "base/map.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>

/* Owner: the crowd, while it counts anything. */
struct crowd_address {
    struct map_node node;
    struct list in_all;
    unsigned n;
    char text[];
};

struct crowd {
    pthread_mutex_t lock;
    unsigned all;
    unsigned each;
    unsigned n;
    struct map map;
    struct list addresses;
};

struct crowd *crowd_new(unsigned all, unsigned each)
{
    struct crowd *c = xnew(struct crowd);

    pthread_mutex_init(&c->lock, NULL);
    c->all = all;
    c->each = each;
    map_init(&c->map);
    list_init(&c->addresses);
    return c;
}

void crowd_free(struct crowd *c)
{
    struct list *node;

    if (c == NULL) {
        return;
    }
    while ((node = list_pop(&c->addresses)) != NULL) {
        free(container_of(node, struct crowd_address, in_all));
    }
    map_fini(&c->map);
    pthread_mutex_destroy(&c->lock);
    free(c);
}

static bool same(const struct map_node *node, const void *key)
{
    return strcmp(container_of_const(node, struct crowd_address, node)->text, key) == 0;
}

static struct crowd_address *find(const struct crowd *c, const char *address)
{
    struct map_node *node = map_find(&c->map, map_hash(address, strlen(address)), same, address);

    return node == NULL ? NULL : container_of(node, struct crowd_address, node);
}

static struct crowd_address *make(struct crowd *c, const char *address)
{
    size_t len = strlen(address);
    struct crowd_address *a = xcalloc(1, sizeof(*a) + len + 1);

    memcpy(a->text, address, len);
    map_insert(&c->map, map_hash(address, len), &a->node);
    list_append(&c->addresses, &a->in_all);
    return a;
}

static bool has_address(const char *address)
{
    return strcmp(address, "unix") != 0;
}

bool crowd_enter(struct crowd *c, const char *address)
{
    struct crowd_address *a;
    bool may;

    if (!has_address(address)) {
        return true;
    }
    pthread_mutex_lock(&c->lock);
    a = find(c, address);
    may = c->n < c->all && (a == NULL || a->n < c->each);
    if (may) {
        a = a == NULL ? make(c, address) : a;
        a->n++;
        c->n++;
    }
    pthread_mutex_unlock(&c->lock);
    return may;
}

void crowd_leave(struct crowd *c, const char *address)
{
    struct crowd_address *a;

    if (!has_address(address)) {
        return;
    }
    pthread_mutex_lock(&c->lock);
    a = find(c, address);
    assert(a != NULL && a->n > 0 && c->n > 0);
    c->n--;
    if (--a->n == 0) {
        map_remove(&c->map, &a->node);
        list_remove(&a->in_all);
        free(a);
    }
    pthread_mutex_unlock(&c->lock);
}
