/* cache/cache.c - puts the parts together. */
#include "cache/cache.h"

#include "cache/ask.h"
#include "cache/flight.h"
#include "cache/prefetch.h"
#include "cache/room.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

struct cache *cache_new(const struct cache_options *options, struct store *store)
{
    struct cache *c = xnew(struct cache);

    c->offline = options->offline;
    cache_renew(c, options);
    c->store = store;
    c->asks = ask_table_new();
    c->flights = flight_table_new(c);
    c->prefetch = prefetch_new(c);
    c->pushed = room_new();
    c->fetched = room_new();
    c->made = room_new();
    c->answered = room_new();
    return c;
}

void cache_renew(struct cache *c, const struct cache_options *options)
{
    atomic_store(&c->prefetches, options->prefetch);
}

void cache_free(struct cache *c)
{
    if (c == NULL) {
        return;
    }
    prefetch_free(c->prefetch);
    flight_table_free(c->flights);
    ask_table_free(c->asks);
    room_free(c->pushed);
    room_free(c->fetched);
    room_free(c->made);
    room_free(c->answered);
    free(c);
}

void cache_repo_set(struct cache_repo *ret, struct upstream *u, const char *text)
{
    size_t len = strlen(upstream_name(u));

    snprintf(ret->text, sizeof(ret->text), "%s", text);
    assert(strncmp(text, upstream_name(u), len) == 0 && text[len] == '/');
    ret->upstream = u;
    ret->name = ret->text + len + 1;
}

void cache_repo_copy(struct cache_repo *to, const struct cache_repo *from)
{
    *to = *from;
    to->name = to->text + (from->name - from->text);
}

bool cache_upstream_failed(enum err_code code)
{
    switch (code) {
    case ERR_UPSTREAM_DOWN:
    case ERR_UPSTREAM_SHUT:
    case ERR_UPSTREAM_TLS:
    case ERR_UPSTREAM_PROTOCOL:
    case ERR_TIMEOUT:
    case ERR_TOO_MANY:
        return true;
    default:
        return false;
    }
}
