/* registry/reach.c - membership and access, of all holders of a blob. */
#include "registry/reach.h"

#include "cache/member.h"
#include "registry/access.h"

#include <string.h>

/* The repository of an upstream that the index calls `text`; false: none that is configured. */
static bool mirrored_repo(const struct request *q, const char *text, struct cache_repo *ret)
{
    const struct registry *registry = q->registry;
    size_t len = slice_find(slice_str(text), '/');
    int i = route_find_upstream(registry->routes, slice_of(text, len));

    if (i < 0 || text[len] == '\0') {
        return false;
    }
    cache_repo_set(ret, registry->upstreams[i], text);
    return true;
}

static bool may_read(const struct request *q, struct index_read *r, enum repo_kind kind,
                     const char *name, const struct digest *d)
{
    struct member_record m;
    struct cache_repo repo;
    uint64_t id;

    if (kind == REPO_HOSTED) {
        return access_may_read(q, name, NULL) &&
               index_get_repo(r, kind, name, &id) == INDEX_FOUND &&
               index_get_member(r, id, d, &m) == INDEX_FOUND;
    }
    return mirrored_repo(q, name, &repo) && access_may_read(q, name, repo.upstream) &&
           member_judge(q->registry->cache, r, &repo, d, &m) == MEMBER_YES;
}

static bool is_here(const struct request *q, struct index_read *r, const struct digest *d,
                    uint64_t *ret_size)
{
    struct blob_record blob;

    if (index_get_blob(r, d, &blob) != INDEX_FOUND ||
        !store_blob_trusted(q->registry->cache->store, &blob)) {
        return false;
    }
    *ret_size = blob.size;
    return true;
}

struct search {
    const struct request *q;
    struct index_read *read;
    const struct digest *digest;
    enum reach through;
    bool found;
};

static bool one_holder(void *arg, uint64_t repo, const struct member_record *m)
{
    struct search *s = arg;
    char name[CACHE_REPO_TEXT];
    enum repo_kind kind;

    (void)m;
    s->found = index_get_repo_name(s->read, repo, &kind, name) == INDEX_FOUND &&
               (s->through == REACH_ALL || kind == REPO_MIRRORED) &&
               may_read(s->q, s->read, kind, name, s->digest);
    return !s->found;
}

bool reach_blob(const struct request *q, struct index_read *r, const struct digest *d,
                enum reach through, uint64_t *ret_size)
{
    struct search search = {q, r, d, through, false};

    if (!is_here(q, r, d, ret_size)) {
        return false;
    }
    index_each_holder(r, d, one_holder, &search);
    return search.found;
}

bool reach_blob_in(const struct request *q, struct index_read *r, const struct digest *d,
                   struct slice from, uint64_t *ret_size)
{
    const struct route_table *table = q->registry->routes;
    enum route_role role = (enum route_role)q->x->listener->role;
    char text[ROUTE_REPO_MAX];
    struct route route;
    struct err err;

    return is_here(q, r, d, ret_size) && route_parse_name(table, role, from, &route, &err) == 0 &&
           may_read(q, r, route.hosted >= 0 ? REPO_HOSTED : REPO_MIRRORED,
                    route_repo_text(table, &route, text), d);
}
