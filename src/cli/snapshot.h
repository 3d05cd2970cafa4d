/*
 * cli/snapshot.h - one configuration, and all that is made of it alone: names, upstreams, users,
 * the registry and the commands of the control socket.
 *
 * The store, the cache, the loops and the listeners stay while snapshots come and go: each request
 * lives with the one it began with, and a snapshot ends when nothing uses it any more.
 */
#ifndef CLI_SNAPSHOT_H
#define CLI_SNAPSHOT_H

#include "admin/control.h"
#include "cli/config.h"
#include "cli/open.h"
#include "registry/registry.h"

/* What outlives them; borrowed. */
struct snapshot_ground {
    struct store *store;
    struct cache *cache;
    struct http_client *client;
    const struct bearer_key *key; /* tokens outlive a configuration */
    bool alone;                   /* a command's own: nobody signs in */
};

/* Owner: the engine. Read-only once it was made; any thread. */
struct snapshot {
    struct list node; /* for the engine */
    struct config *config;
    struct open_rules rules; /* the store's, from store_renew() or store_open() on */
    struct route_table *routes;
    struct upstreams *upstreams;
    struct upstream **upstream_list;
    struct users *users; /* NULL: nobody signs in */
    struct grant *rules_of_access;
    struct grants grants;
    struct registry *registry;
    struct control *control;
};

/* The first half: names and rules, which opening the store needs. `config` is the snapshot's. */
struct snapshot *snapshot_new(struct config *config);
/* The second. -1 with ERR_CONFIG. */
int snapshot_fill(struct snapshot *s, const struct snapshot_ground *ground,
                  struct err *err) MUST_CHECK;
/* Says where clients really reach the server, as the configuration need not know it (port 0).
 * Before anything is answered; borrows for its life. */
void snapshot_set_listeners(struct snapshot *s, const char *const *addresses, size_t n);
/* Once it is not busy, or no loop runs any more. NULL is accepted. */
void snapshot_free(struct snapshot *s);

/* Requests and commands that have not come to their end. Any thread. */
unsigned snapshot_live(const struct snapshot *s);
/* Whether anything still uses it: those, downloads, questions to its upstreams. Any thread. */
bool snapshot_is_busy(const struct snapshot *s);

#endif
