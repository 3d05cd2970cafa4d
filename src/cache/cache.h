/*
 * cache/cache.h - what the parts of the cache share: store, upstreams, options, the two tables.
 *
 * One a process. Made before the loops run, freed after they ended.
 */
#ifndef CACHE_CACHE_H
#define CACHE_CACHE_H

#include "store/index.h"
#include "upstream/upstream.h"

#include <stdatomic.h>

struct ask_table;
struct flight_table;
struct prefetch;
struct room;

struct cache_options {
    int64_t tag_ttl_s;            /* a tag asks nothing upstream for so long */
    uint64_t tag_patience_ms;     /* then waits so long for the answer */
    int64_t tag_stale_if_error_s; /* an older one serves so long where upstream fails */
    int64_t tag_stale_while_s;    /* … or is served at once, upstream being asked behind */
    bool offline;                 /* no upstream is ever asked */
    bool prefetch;
};

struct cache {
    bool offline;
    atomic_bool prefetches;
    struct store *store;
    struct ask_table *asks;
    struct flight_table *flights;
    struct prefetch *prefetch;
    /* for what is held whole, so that neither kind keeps the others out */
    struct room *pushed;
    struct room *fetched;
    struct room *made; /* lists, until they are answered */
    struct room *answered;
};

struct cache *cache_new(const struct cache_options *options, struct store *store);
/* Takes over what may change while it runs: prefetching. What tags mean is the registry's. Any
 * thread. */
void cache_renew(struct cache *c, const struct cache_options *options);
/* Once the loops have ended. Downloads under way keep their partial files. */
void cache_free(struct cache *c);

#define CACHE_REPO_TEXT 512

/* A repository of an upstream; a value. */
struct cache_repo {
    struct upstream *upstream;
    char text[CACHE_REPO_TEXT]; /* "docker.io/library/alpine": its name in the index */
    const char *name;           /* within text: "library/alpine" */
};

/* Fills *ret; `text` must begin with the upstream's canonical name and a slash. */
void cache_repo_set(struct cache_repo *ret, struct upstream *u, const char *text);
/* A copy; `name` points into it. */
void cache_repo_copy(struct cache_repo *to, const struct cache_repo *from);

/* Whether the error says that upstream could not be asked (down, slow, overloaded), as against that
 * it answered no. */
bool cache_upstream_failed(enum err_code code);

#endif
