/* http/link.c - which connections are kept, and for how long. */
#include "http/link.h"

#include "net/tls.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define KEY_MAX 4096

void depot_init(struct http_depot *d, struct loop *l)
{
    d->loop = l;
    map_init(&d->groups);
}

static void group_free(struct http_group *g)
{
    map_remove(&g->depot->groups, &g->node);
    tls_ticket_fini(&g->ticket);
    free(g);
}

static void group_close(struct http_group *g)
{
    struct list *node;

    while ((node = list_pop(&g->idle)) != NULL) {
        g->n_idle--;
        link_free(container_of(node, struct http_link, node));
    }
}

static void first_group(struct map_node *node, void *arg)
{
    struct http_group **first = arg;

    *first = container_of(node, struct http_group, node);
}

void depot_fini(struct http_depot *d)
{
    while (d->groups.count > 0) {
        struct http_group *g = NULL;

        map_each(&d->groups, first_group, &g);
        group_close(g);
        group_free(g);
    }
    map_fini(&d->groups);
}

static bool same_key(const struct map_node *node, const void *key)
{
    return strcmp(container_of_const(node, struct http_group, node)->key, key) == 0;
}

struct http_group *group_get(struct http_depot *d, const struct http_origin *origin,
                             const struct http_route *route)
{
    struct map_node *node;
    struct http_group *g;
    struct buf key;
    uint64_t hash;

    buf_init(&key, KEY_MAX);
    http_origin_text(origin, &key);
    buf_printf(&key, " %" PRIu64 " %d %s", tls_trust_id(route->trust), route->public_only,
               route->proxy != NULL ? route->proxy : "");
    hash = map_hash(key.p, key.len);
    node = map_find(&d->groups, hash, same_key, key.p);
    if (node != NULL) {
        g = container_of(node, struct http_group, node);
    } else {
        g = xcalloc(1, sizeof(*g) + key.len + 1);
        memcpy(g->key, key.p, key.len);
        g->depot = d;
        list_init(&g->idle);
        map_insert(&d->groups, hash, &g->node);
    }
    buf_free(&key);
    g->refs++;
    return g;
}

/* Groups of hosts that redirects led to once would be kept for ever. */
static void group_trim(struct http_group *g)
{
    if (g->refs == 0 && g->n_idle == 0 && g->depot->groups.count > IDLE_GROUPS_MAX) {
        group_free(g);
    }
}

void group_unref(struct http_group *g)
{
    g->refs--;
    group_trim(g);
}

static void link_unlink(struct http_link *link)
{
    list_remove(&link->node);
    link->group->n_idle--;
    timer_clear(&link->timer);
    task_cancel(&link->task);
}

static void link_drop(struct http_link *link)
{
    struct http_group *g = link->group;

    link_unlink(link);
    link_free(link);
    group_trim(g);
}

/* An idle connection has nothing to say but that it ends. */
static bool link_is_dead(struct http_link *link)
{
    char byte;

    return stream_read(&link->stream, &byte, 1) != STREAM_AGAIN;
}

static void link_ready(struct task *t)
{
    struct http_link *link = container_of(t, struct http_link, task);

    if (link_is_dead(link)) {
        link_drop(link);
    }
}

static void link_late(struct timer *t)
{
    link_drop(container_of(t, struct http_link, timer));
}

struct http_link *link_new(struct http_group *g, int fd, struct task *owner)
{
    struct http_link *link = xnew(struct http_link);

    link->group = g;
    list_init(&link->node);
    task_init(&link->task, link_ready);
    timer_init(&link->timer, g->depot->loop, link_late);
    stream_open(&link->stream, g->depot->loop, fd, owner);
    return link;
}

struct http_link *group_take(struct http_group *g, struct task *owner)
{
    while (!list_empty(&g->idle)) {
        struct http_link *link = container_of(g->idle.prev, struct http_link, node);

        link_unlink(link);
        if (!link_is_dead(link)) {
            link->stream.owner = owner;
            return link;
        }
        link_free(link);
    }
    return NULL;
}

void link_keep(struct http_link *link)
{
    struct http_group *g = link->group;

    if (g->n_idle == IDLE_LINKS_MAX) {
        link_drop(container_of(g->idle.next, struct http_link, node));
    }
    list_append(&g->idle, &link->node);
    g->n_idle++;
    link->stream.owner = &link->task;
    timer_set(&link->timer, IDLE_LINK_MS);
    loop_defer(g->depot->loop, &link->task);
}

void link_free(struct http_link *link)
{
    if (link == NULL) {
        return;
    }
    task_cancel(&link->task);
    timer_fini(&link->timer);
    stream_close(&link->stream);
    free(link);
}
