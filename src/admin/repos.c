/* admin/repos.c - repositories by name, and all of them. */
#include "admin/repos.h"

#include <stdio.h>
#include <stdlib.h>

int admin_read_begin(const struct admin *a, struct index_read **ret, struct err *err)
{
    *ret = index_read_begin(a->store);
    return *ret == NULL ? err_set(err, ERR_STORE, "the index cannot be read; the log says why") : 0;
}

/* What routing makes of the name, as the index writes it. */
static int route_name(const struct admin *a, const char *name, struct admin_repo *ret,
                      struct err *err)
{
    struct route route;
    char text[ROUTE_REPO_MAX];

    if (route_parse_name(a->routes, ROLE_ALL, slice_str(name), &route, err) < 0) {
        return -1;
    }
    ret->kind = route.upstream >= 0 ? REPO_MIRRORED : REPO_HOSTED;
    snprintf(ret->name, sizeof(ret->name), "%s", route_repo_text(a->routes, &route, text));
    return 0;
}

static int unknown(const struct admin_repo *repo, struct err *err)
{
    return err_set(err, ERR_NAME_UNKNOWN,
                   repo->kind == REPO_HOSTED ? "there is no repository %s"
                                             : "nothing of %s was pulled through here",
                   repo->name);
}

int admin_repo_name(const struct admin *a, struct slice name, struct admin_repo *ret,
                    struct err *err)
{
    struct admin_repo hosted = {.kind = REPO_HOSTED};
    struct admin_repo routed = {0};
    enum index_found found;
    struct index_read *r;

    if (!slice_copy(route_without_own(a->routes, name), hosted.name, sizeof(hosted.name))) {
        return err_set(err, ERR_NAME_INVALID, "the name is too long");
    }
    if (admin_read_begin(a, &r, err) < 0) {
        return -1;
    }
    found = index_get_repo(r, REPO_HOSTED, hosted.name, &hosted.id);
    if (found == INDEX_FOUND) {
        *ret = hosted;
    } else if (route_name(a, hosted.name, &routed, err) < 0) {
        index_read_end(r);
        return -1;
    } else {
        found = index_get_repo(r, routed.kind, routed.name, &routed.id);
        *ret = routed;
    }
    index_read_end(r);
    return found == INDEX_FAILED
               ? err_set(err, ERR_STORE, "the index cannot be read; the log says why")
               : 0;
}

int admin_repo_find(const struct admin *a, struct slice name, struct admin_repo *ret,
                    struct err *err)
{
    struct admin_repo found;

    if (admin_repo_name(a, name, &found, err) < 0) {
        return -1;
    }
    if (found.id == 0) {
        return unknown(&found, err);
    }
    *ret = found;
    return 0;
}

/* --- all of them --------------------------------------------------------------------------- */

struct listing {
    enum repo_kind kind;
    struct admin_repo *repos;
    size_t n;
    size_t cap;
};

static bool list_repo(void *arg, uint64_t id, const char *name)
{
    struct listing *l = arg;

    if (l->n == l->cap) {
        l->cap = l->cap == 0 ? 64 : 2 * l->cap;
        l->repos = xrealloc(l->repos, l->cap * sizeof(*l->repos));
    }
    l->repos[l->n] = (struct admin_repo){.id = id, .kind = l->kind};
    snprintf(l->repos[l->n].name, sizeof(l->repos[l->n].name), "%s", name);
    l->n++;
    return true;
}

int admin_repo_list(const struct admin *a, struct admin_repo **ret, size_t *ret_n, struct err *err)
{
    struct listing l = {.kind = REPO_HOSTED};
    struct index_read *r;

    if (admin_read_begin(a, &r, err) < 0) {
        return -1;
    }
    index_each_repo(r, REPO_HOSTED, "", list_repo, &l);
    l.kind = REPO_MIRRORED;
    index_each_repo(r, REPO_MIRRORED, "", list_repo, &l);
    index_read_end(r);
    *ret = l.repos;
    *ret_n = l.n;
    return 0;
}

void admin_repo_json(struct buf *out, enum repo_kind kind, const char *name)
{
    struct slice all = slice_str(name);
    size_t slash = slice_find(all, '/');

    buf_str(out, "\"repository\":");
    if (kind == REPO_HOSTED || slash == all.len) {
        buf_json(out, all);
        return;
    }
    buf_json(out, slice_from(all, slash + 1));
    buf_str(out, ",\"upstream\":");
    buf_json(out, slice_sub(all, 0, slash));
}
