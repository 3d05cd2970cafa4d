/*
 * http/link.h - connections to upstreams, kept per loop. For http/client*.c and nobody else.
 *
 * A group is what connections must have in common to stand for one another: origin, trust, proxy
 * and which addresses are allowed.
 */
#ifndef HTTP_LINK_H
#define HTTP_LINK_H

#include "base/map.h"
#include "http/client.h"
#include "net/tls.h"

#define IDLE_LINKS_MAX 8   /* of a group */
#define IDLE_LINK_MS 60000 /* an idle connection is closed then */
#define IDLE_GROUPS_MAX 256

struct http_depot;

/* Owner: its depot. Thread: the loop's. Invariant: stays while it has calls or idle links. */
struct http_group {
    struct map_node node;
    struct http_depot *depot;
    unsigned refs;    /* calls */
    struct list idle; /* of links, the one used last at the end */
    unsigned n_idle;
    struct tls_ticket ticket;
    char key[];
};

/* Owner: a call, or its group while idle. Thread: its loop's. */
struct http_link {
    struct stream stream;
    struct list node; /* in group->idle */
    struct http_group *group;
    struct task task;   /* owns the stream while idle */
    struct timer timer; /* while idle */
    bool is_public;
};

/* One loop's groups. Thread: that loop's. */
struct http_depot {
    struct loop *loop;
    struct map groups;
};

void depot_init(struct http_depot *d, struct loop *l);
/* Closes what is idle; no call is under way. */
void depot_fini(struct http_depot *d);

/* The group for such calls, with a reference. */
struct http_group *group_get(struct http_depot *d, const struct http_origin *origin,
                             const struct http_route *route);
void group_unref(struct http_group *g);

/* An idle link that seems alive, now the caller's, its stream's owner too; or NULL. */
struct http_link *group_take(struct http_group *g, struct task *owner);
/* Makes a link of a connected socket. */
struct http_link *link_new(struct http_group *g, int fd, struct task *owner);
/* Keeps a link that can take another request. */
void link_keep(struct http_link *link);
/* Closes and frees. NULL is allowed. */
void link_free(struct http_link *link);

#endif
