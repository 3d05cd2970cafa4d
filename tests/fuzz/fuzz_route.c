/*
 * fuzz_route.c - routing of any request.
 *
 * Input: a byte for the role, then Host, a line end, path[?query]. Whatever is accepted must lie in
 * the grammar, so that it can stand in a header, a key of the index and a request upstream.
 */
#include "oci/route.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const aliases[] = {"index.docker.io", "registry-1.docker.io", "hub"};
static const struct route_upstream upstreams[] = {
    {"docker.io", aliases, 3, true},
    {"ghcr.io", NULL, 0, false},
    {"[::1]:5000", NULL, 0, false},
};
static const char *const hosted[] = {"stage/**", "cache/*", "a*b/**/c"};
static const struct route_table table = {upstreams, 3, hosted, 3, NULL, 0};

static void check_route(const struct route *r, enum route_role role)
{
    char repo[ROUTE_REPO_MAX];
    struct slice reference = slice_str(r->reference);

    assert(r->upstream >= -1 && r->upstream < 3 && r->hosted >= -1 && r->hosted < 3);
    assert(r->upstream < 0 || r->hosted < 0);
    assert(role != ROLE_ADMIN && (role != ROLE_MIRROR || r->hosted < 0));
    assert(r->ns[0] == '\0' || route_find_upstream(&table, slice_str(r->ns)) == r->upstream);
    assert(strlen(route_repo_text(&table, r, repo)) < sizeof(repo));
    if (r->kind == ROUTE_PING || r->kind == ROUTE_CATALOG) {
        assert(r->name[0] == '\0' && r->requested[0] == '\0');
        return;
    }
    assert(name_valid(slice_str(r->name)) && r->requested[0] != '\0');
    assert((r->upstream < 0) == (r->hosted >= 0));
    assert(r->upstream != 0 || strchr(r->name, '/') != NULL);
    if (r->by_digest) {
        struct digest d;

        assert(digest_parse(reference, &d) && digest_equal(&d, &r->digest));
    } else {
        assert(r->kind != ROUTE_BLOB && r->kind != ROUTE_REFERRERS);
        assert((r->kind == ROUTE_MANIFEST) == tag_valid(reference));
    }
    assert((r->kind == ROUTE_UPLOAD) == (r->session[0] != '\0'));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice rest = slice_of((const char *)data, size);
    struct slice host = SLICE_NULL;
    struct slice path = SLICE_NULL;
    struct route r = {.upstream = 77};
    struct err e = {0};
    enum route_role role;

    if (size < 2) {
        return 0;
    }
    role = (enum route_role)(data[0] & 3);
    rest = slice_from(rest, 1);
    if (!slice_split(&rest, '\n', &host) || !slice_split(&rest, '?', &path)) {
        return 0;
    }
    if (route_parse(&table, role, host, path, rest, &r, &e) == 0) {
        check_route(&r, role);
        assert(r.prefix.len == 0 || (r.prefix.p >= path.p && r.prefix.len <= path.len));
    } else {
        assert(err_status(e.code) >= 400 && err_status(e.code) < 500 && r.upstream == 77);
    }
    return 0;
}
