/* test_oci_route.c - every form in which clients name a repository, and the order among them. */
#include "../../src/oci/route.c"

#include "tap.h"

#include <stdlib.h>

#define HEX64 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define D256 "sha256:" HEX64
#define D512 "sha512:" HEX64 HEX64

static const char *const hub_aliases[] = {"index.docker.io", "registry-1.docker.io",
                                          "registry.hub.docker.com", "hub"};
static const struct route_upstream upstreams[] = {
    {"docker.io", hub_aliases, 4, true},
    {"ghcr.io", NULL, 0, false},
    {"reg.local:5000", NULL, 0, false},
    {"[::1]:5001", NULL, 0, false},
};
static const char *const hosted[] = {"stage/**", "cache/*", "v2/**", "solo"};
static const char *const listeners[] = {"127.0.0.1:5000", "0.0.0.0:5002", "[::]:5003",
                                        "10.0.0.1:5004",  "[::1]:5001",   "unix:/run/x:5005",
                                        "localhost:5006"};
static const struct route_table table = {upstreams, ARRAY_LEN(upstreams), hosted, ARRAY_LEN(hosted),
                                         listeners, ARRAY_LEN(listeners)};
static const struct route_upstream closed_upstreams[] = {{"ghcr.io", NULL, 0, false}};
static const struct route_table closed = {closed_upstreams, 1, NULL, 0, NULL, 0};

static int parse(enum route_role role, const char *target, struct route *r, struct err *e)
{
    struct slice query = slice_str(target);
    struct slice path = SLICE_NULL;

    *e = (struct err){0};
    ignore_result(!slice_split(&query, '?', &path));
    return route_parse(&table, role, slice_str("Cache.local:5000"), path, query, r, e);
}

struct good_case {
    enum route_role role;
    const char *target;
    enum route_kind kind;
    const char *repo; /* as route_repo_text() gives it */
    const char *reference;
};

static const struct good_case good[] = {
    /* Nothing names the upstream. */
    {ROLE_ALL, "/v2/library/alpine/manifests/3", ROUTE_MANIFEST, "docker.io/library/alpine", "3"},
    {ROLE_ALL, "/v2/alpine/manifests/3", ROUTE_MANIFEST, "docker.io/library/alpine", "3"},
    {ROLE_ALL, "/v2/team/app/blobs/" D256, ROUTE_BLOB, "docker.io/team/app", D256},
    {ROLE_ALL, "/v2/team/app/blobs/" D512, ROUTE_BLOB, "docker.io/team/app", D512},
    {ROLE_ALL, "/v2/team/app/manifests/" D256, ROUTE_MANIFEST, "docker.io/team/app", D256},
    {ROLE_ALL, "/v2/a/tags/list", ROUTE_TAGS, "docker.io/library/a", ""},
    {ROLE_ALL, "/v2/a/b/tags/list?n=5&last=x", ROUTE_TAGS, "docker.io/a/b", ""},
    {ROLE_ALL, "/v2/a/b/referrers/" D256, ROUTE_REFERRERS, "docker.io/a/b", D256},
    {ROLE_ALL, "/v2/a/manifests/sha256-abc", ROUTE_MANIFEST, "docker.io/library/a", "sha256-abc"},
    {ROLE_ALL, "/v2/a/manifests/sha256%3A" HEX64, ROUTE_MANIFEST, "docker.io/library/a", D256},
    {ROLE_ALL, "/v2/%61/manifests/%6Catest", ROUTE_MANIFEST, "docker.io/library/a", "latest"},
    /* 1: ns. */
    {ROLE_ALL, "/v2/library/alpine/manifests/3?ns=docker.io", ROUTE_MANIFEST,
     "docker.io/library/alpine", "3"},
    {ROLE_ALL, "/v2/library/alpine/manifests/3?ns=index.docker.io", ROUTE_MANIFEST,
     "docker.io/library/alpine", "3"},
    {ROLE_ALL, "/v2/library/alpine/manifests/3?ns=registry-1.docker.io", ROUTE_MANIFEST,
     "docker.io/library/alpine", "3"},
    {ROLE_ALL, "/v2/library/alpine/manifests/3?ns=registry.hub.docker.com", ROUTE_MANIFEST,
     "docker.io/library/alpine", "3"},
    {ROLE_ALL, "/v2/alpine/manifests/3?ns=docker.io", ROUTE_MANIFEST, "docker.io/library/alpine",
     "3"},
    {ROLE_ALL, "/v2/app/manifests/3?ns=ghcr.io", ROUTE_MANIFEST, "ghcr.io/app", "3"},
    {ROLE_ALL, "/v2/o/app/manifests/3?ns=GHCR.io", ROUTE_MANIFEST, "ghcr.io/o/app", "3"},
    {ROLE_ALL, "/v2/o/app/manifests/3?ns=reg.local:5000", ROUTE_MANIFEST, "reg.local:5000/o/app",
     "3"},
    {ROLE_ALL, "/v2/o/app/manifests/3?ns=reg.local%3A5000", ROUTE_MANIFEST, "reg.local:5000/o/app",
     "3"},
    {ROLE_ALL, "/v2/o/app/manifests/3?ns=%5B::1%5D:5001", ROUTE_MANIFEST, "[::1]:5001/o/app", "3"},
    {ROLE_ALL, "/v2/o/app/manifests/3?ns=[::1]:5001", ROUTE_MANIFEST, "[::1]:5001/o/app", "3"},
    {ROLE_ALL, "/v2/o/app/tags/list?n=1&ns=ghcr.io", ROUTE_TAGS, "ghcr.io/o/app", ""},
    {ROLE_ALL, "/v2/o/app/manifests/3?ns=", ROUTE_MANIFEST, "docker.io/o/app", "3"},
    /* The Host that was asked says nothing. */
    {ROLE_ALL, "/v2/stage/app/manifests/dev?ns=cache.local:5000", ROUTE_MANIFEST, "stage/app",
     "dev"},
    {ROLE_ALL, "/v2/o/app/manifests/3?ns=cache.local:5000", ROUTE_MANIFEST, "docker.io/o/app", "3"},
    {ROLE_ALL, "/v2/ghcr.io/o/app/manifests/3?ns=cache.local:5000", ROUTE_MANIFEST, "ghcr.io/o/app",
     "3"},
    /* The same upstream named twice, and thrice. */
    {ROLE_ALL, "/v2/ghcr.io/o/app/manifests/3?ns=ghcr.io", ROUTE_MANIFEST, "ghcr.io/o/app", "3"},
    {ROLE_ALL, "/ghcr.io/v2/o/app/manifests/3?ns=ghcr.io", ROUTE_MANIFEST, "ghcr.io/o/app", "3"},
    {ROLE_ALL, "/ghcr.io/v2/ghcr.io/o/app/manifests/3?ns=ghcr.io", ROUTE_MANIFEST, "ghcr.io/o/app",
     "3"},
    {ROLE_ALL, "/v2/hub/library/alpine/manifests/3?ns=registry-1.docker.io", ROUTE_MANIFEST,
     "docker.io/library/alpine", "3"},
    {ROLE_ALL, "/v2/docker.io/alpine/manifests/3?ns=docker.io", ROUTE_MANIFEST,
     "docker.io/library/alpine", "3"},
    {ROLE_ALL, "/v2/hub/manifests/3?ns=docker.io", ROUTE_MANIFEST, "docker.io/library/hub", "3"},
    /* Another one in the first component stays; in the prefix it is overruled. */
    {ROLE_ALL, "/v2/ghcr.io/o/app/manifests/3?ns=docker.io", ROUTE_MANIFEST,
     "docker.io/ghcr.io/o/app", "3"},
    {ROLE_ALL, "/v2/other.io/o/app/manifests/3?ns=docker.io", ROUTE_MANIFEST,
     "docker.io/other.io/o/app", "3"},
    {ROLE_ALL, "/v2/localhost/app/manifests/3?ns=ghcr.io", ROUTE_MANIFEST, "ghcr.io/localhost/app",
     "3"},
    {ROLE_ALL, "/hub/v2/o/app/manifests/3?ns=ghcr.io", ROUTE_MANIFEST, "ghcr.io/o/app", "3"},
    /* 2: a prefix. */
    {ROLE_ALL, "/ghcr.io/v2/o/app/manifests/3", ROUTE_MANIFEST, "ghcr.io/o/app", "3"},
    {ROLE_ALL, "/hub/v2/library/alpine/manifests/3", ROUTE_MANIFEST, "docker.io/library/alpine",
     "3"},
    {ROLE_ALL, "/docker.io/v2/alpine/manifests/3", ROUTE_MANIFEST, "docker.io/library/alpine", "3"},
    {ROLE_ALL, "/reg.local:5000/v2/app/blobs/" D256, ROUTE_BLOB, "reg.local:5000/app", D256},
    {ROLE_ALL, "/%5B::1%5D:5001/v2/app/tags/list", ROUTE_TAGS, "[::1]:5001/app", ""},
    {ROLE_ALL, "/ghcr.io/v2/docker.io/app/manifests/3", ROUTE_MANIFEST, "ghcr.io/docker.io/app",
     "3"},
    {ROLE_ALL, "/ghcr.io/v2/stage/app/manifests/3", ROUTE_MANIFEST, "ghcr.io/stage/app", "3"},
    {ROLE_ALL, "/ghcr.io/v2/a/v2/b/manifests/3", ROUTE_MANIFEST, "ghcr.io/a/v2/b", "3"},
    /* 3: a first component. */
    {ROLE_ALL, "/v2/ghcr.io/o/app/manifests/3", ROUTE_MANIFEST, "ghcr.io/o/app", "3"},
    {ROLE_ALL, "/v2/hub/library/alpine/manifests/3", ROUTE_MANIFEST, "docker.io/library/alpine",
     "3"},
    {ROLE_ALL, "/v2/docker.io/alpine/manifests/3", ROUTE_MANIFEST, "docker.io/library/alpine", "3"},
    {ROLE_ALL, "/v2/index.docker.io/alpine/tags/list", ROUTE_TAGS, "docker.io/library/alpine", ""},
    {ROLE_ALL, "/v2/reg.local:5000/app/tags/list", ROUTE_TAGS, "reg.local:5000/app", ""},
    {ROLE_ALL, "/v2/reg.local%3a5000/app/tags/list", ROUTE_TAGS, "reg.local:5000/app", ""},
    {ROLE_ALL, "/v2/[::1]:5001/app/tags/list", ROUTE_TAGS, "[::1]:5001/app", ""},
    {ROLE_ALL, "/v2/ghcr.io/ghcr.io/app/manifests/3", ROUTE_MANIFEST, "ghcr.io/ghcr.io/app", "3"},
    /* 4: hosted; never with ns or prefix, never on a mirror. */
    {ROLE_ALL, "/v2/stage/app/manifests/dev", ROUTE_MANIFEST, "stage/app", "dev"},
    {ROLE_REGISTRY, "/v2/stage/app/manifests/dev", ROUTE_MANIFEST, "stage/app", "dev"},
    {ROLE_MIRROR, "/v2/stage/app/manifests/dev", ROUTE_MANIFEST, "docker.io/stage/app", "dev"},
    {ROLE_MIRROR, "/v2/solo/manifests/dev", ROUTE_MANIFEST, "docker.io/library/solo", "dev"},
    {ROLE_MIRROR, "/v2/ghcr.io/o/app/manifests/3", ROUTE_MANIFEST, "ghcr.io/o/app", "3"},
    {ROLE_ALL, "/v2/solo/manifests/dev", ROUTE_MANIFEST, "solo", "dev"},
    {ROLE_ALL, "/v2/stage/app/manifests/dev?ns=docker.io", ROUTE_MANIFEST, "docker.io/stage/app",
     "dev"},
    {ROLE_ALL, "/docker.io/v2/stage/app/manifests/dev", ROUTE_MANIFEST, "docker.io/stage/app",
     "dev"},
    {ROLE_ALL, "/v2/docker.io/stage/app/manifests/dev", ROUTE_MANIFEST, "docker.io/stage/app",
     "dev"},
    {ROLE_ALL, "/v2/stage/manifests/dev", ROUTE_MANIFEST, "docker.io/library/stage", "dev"},
    {ROLE_ALL, "/v2/cache/x/blobs/" D256, ROUTE_BLOB, "cache/x", D256},
    {ROLE_ALL, "/v2/cache/x/y/blobs/" D256, ROUTE_BLOB, "docker.io/cache/x/y", D256},
    /* Names that hold the words of the path. */
    {ROLE_ALL, "/v2/stage/blobs/manifests/dev", ROUTE_MANIFEST, "stage/blobs", "dev"},
    {ROLE_ALL, "/v2/stage/manifests/blobs/" D256, ROUTE_BLOB, "stage/manifests", D256},
    {ROLE_ALL, "/v2/stage/manifests/manifests/manifests", ROUTE_MANIFEST, "stage/manifests",
     "manifests"},
    {ROLE_ALL, "/v2/stage/blobs/uploads/manifests/dev", ROUTE_MANIFEST, "stage/blobs/uploads",
     "dev"},
    {ROLE_ALL, "/v2/stage/uploads/manifests/dev", ROUTE_MANIFEST, "stage/uploads", "dev"},
    {ROLE_ALL, "/v2/stage/tags/list/tags/list", ROUTE_TAGS, "stage/tags/list", ""},
    {ROLE_ALL, "/v2/stage/manifests/tags/list", ROUTE_TAGS, "stage/manifests", ""},
    {ROLE_ALL, "/v2/stage/tags/manifests/list", ROUTE_MANIFEST, "stage/tags", "list"},
    {ROLE_ALL, "/v2/stage/referrers/referrers/" D256, ROUTE_REFERRERS, "stage/referrers", D256},
    {ROLE_ALL, "/v2/v2/v2/manifests/v2", ROUTE_MANIFEST, "v2/v2", "v2"},
    {ROLE_ALL, "/v2/library/blobs/manifests/manifests/x", ROUTE_MANIFEST,
     "docker.io/library/blobs/manifests", "x"},
    /* Uploads. */
    {ROLE_ALL, "/v2/stage/a/blobs/uploads/", ROUTE_UPLOADS, "stage/a", ""},
    {ROLE_ALL, "/v2/stage/a/blobs/uploads", ROUTE_UPLOADS, "stage/a", ""},
    {ROLE_ALL, "/v2/stage/a/blobs/uploads/?mount=x&from=y", ROUTE_UPLOADS, "stage/a", ""},
    {ROLE_ALL, "/v2/stage/blobs/uploads/blobs/uploads/", ROUTE_UPLOADS, "stage/blobs/uploads", ""},
    {ROLE_ALL, "/v2/stage/a/blobs/uploads/0a-B_c.d=", ROUTE_UPLOAD, "stage/a", ""},
    /* Without repository. */
    {ROLE_ALL, "/v2", ROUTE_PING, "", ""},
    {ROLE_ALL, "/v2/", ROUTE_PING, "", ""},
    {ROLE_MIRROR, "/v2/?ns=docker.io", ROUTE_PING, "", ""},
    {ROLE_ALL, "/ghcr.io/v2/", ROUTE_PING, "", ""},
    {ROLE_ALL, "/ghcr.io/v2", ROUTE_PING, "", ""},
    {ROLE_ALL, "/v2/_catalog?n=3", ROUTE_CATALOG, "", ""},
};

static void test_good(void)
{
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        const struct good_case *c = &good[i];
        char repo[ROUTE_REPO_MAX] = "";
        struct route r = {0};
        struct err e;

        if (!CHECK_NOTE(parse(c->role, c->target, &r, &e) == 0, c->target)) {
            printf("# %s: %s\n", err_name(e.code), e.text);
            continue;
        }
        CHECK_INT(r.kind, c->kind);
        CHECK_STR(route_repo_text(&table, &r, repo), c->repo);
        CHECK_STR(r.reference, c->reference);
        CHECK_INT(r.by_digest, strchr(c->reference, ':') != NULL);
        CHECK(r.name[0] == '\0' || (r.upstream >= 0) == (r.hosted < 0));
    }
}

static const struct {
    enum route_role role;
    const char *target;
    enum err_code code;
} bad[] = {
    /* Closed lists. */
    {ROLE_ALL, "/v2/o/app/manifests/3?ns=evil.example", ERR_NAME_UNKNOWN},
    {ROLE_ALL, "/v2/o/app/manifests/3?ns=169.254.169.254", ERR_NAME_UNKNOWN},
    {ROLE_ALL, "/v2/o/app/manifests/3?ns=ghcr.io%00", ERR_NAME_UNKNOWN},
    {ROLE_ALL, "/v2/o/app/manifests/3?ns=%zz", ERR_NAME_UNKNOWN},
    {ROLE_ALL, "/v2/o/app/manifests/3?ns=ghcr.io:443", ERR_NAME_UNKNOWN},
    {ROLE_ALL, "/v2/?ns=evil.example", ERR_NAME_UNKNOWN},
    {ROLE_ALL, "/evil.example/v2/o/app/manifests/3", ERR_NAME_UNKNOWN},
    {ROLE_ALL, "/evil.example/v2/o/app/manifests/3?ns=docker.io", ERR_NAME_UNKNOWN},
    {ROLE_ALL, "/evil/v2/", ERR_NAME_UNKNOWN},
    {ROLE_ALL, "/a/ghcr.io/v2/o/app/manifests/3", ERR_NAME_UNKNOWN},
    {ROLE_ALL, "/v2/evil.example/app/manifests/3", ERR_NAME_UNKNOWN},
    {ROLE_ALL, "/v2/host:80/app/manifests/3", ERR_NAME_UNKNOWN},
    {ROLE_ALL, "/v2/localhost/app/manifests/3", ERR_NAME_UNKNOWN},
    {ROLE_ALL, "/v2/[::2]:5001/app/manifests/3", ERR_NAME_UNKNOWN},
    {ROLE_ALL, "/v2/a.b/manifests/3", ERR_NAME_UNKNOWN},
    {ROLE_ALL, "/v2/a.b/c_d/manifests/3", ERR_NAME_UNKNOWN},
    {ROLE_ALL, "/v2/a.b_c/d/manifests/3", ERR_NAME_UNKNOWN},
    {ROLE_MIRROR, "/v2/cache.local:5000/stage/app/manifests/3", ERR_NAME_UNKNOWN},
    /* Names. */
    {ROLE_ALL, "/v2/A/manifests/3", ERR_NAME_INVALID},
    {ROLE_ALL, "/v2/a___b/manifests/3", ERR_NAME_INVALID},
    {ROLE_ALL, "/v2/a..b/manifests/3", ERR_NAME_INVALID},
    {ROLE_ALL, "/v2/-a/manifests/3", ERR_NAME_INVALID},
    {ROLE_ALL, "/v2/a-/manifests/3", ERR_NAME_INVALID},
    {ROLE_ALL, "/v2/a//b/manifests/3", ERR_NAME_INVALID},
    {ROLE_ALL, "/v2//a/manifests/3", ERR_NAME_INVALID},
    {ROLE_ALL, "/v2/a//manifests/3", ERR_NAME_INVALID},
    {ROLE_ALL, "/v2//manifests/3", ERR_NAME_INVALID},
    {ROLE_ALL, "/v2/a._b/manifests/3", ERR_NAME_INVALID},
    {ROLE_ALL, "/v2/../etc/manifests/3", ERR_NAME_INVALID},
    {ROLE_ALL, "/v2/a/../b/manifests/3", ERR_NAME_INVALID},
    {ROLE_ALL, "/v2/a/./b/manifests/3", ERR_NAME_INVALID},
    {ROLE_ALL, "/v2/stage/../../x/manifests/3", ERR_NAME_INVALID},
    {ROLE_ALL, "/v2/ghcr.io/A/manifests/3", ERR_NAME_INVALID},
    {ROLE_ALL, "/v2/ghcr.io/manifests/3", ERR_NAME_INVALID},
    {ROLE_ALL, "/v2/A/tags/list", ERR_NAME_INVALID},
    {ROLE_ALL, "/v2/A/blobs/" D256, ERR_NAME_INVALID},
    {ROLE_ALL, "/v2/A/manifests/3?ns=ghcr.io", ERR_NAME_INVALID},
    {ROLE_ALL, "/v2/reg:x/a/manifests/3?ns=ghcr.io", ERR_NAME_INVALID},
    /* Escapes. */
    {ROLE_ALL, "/v2/a%2Fb/manifests/3", ERR_NAME_INVALID},
    {ROLE_ALL, "/v2/a%2fb/manifests/3", ERR_NAME_INVALID},
    {ROLE_ALL, "/v2/a%5cb/manifests/3", ERR_NAME_INVALID},
    {ROLE_ALL, "/v2/%2e%2e/b/manifests/3", ERR_NAME_INVALID},
    {ROLE_ALL, "/v2/a/manifests/3%00", ERR_NAME_INVALID},
    {ROLE_ALL, "/v2/a/manifests/3%0d%0aX", ERR_NAME_INVALID},
    {ROLE_ALL, "/v2/a/manifests/3%2", ERR_NAME_INVALID},
    {ROLE_ALL, "/v2/a/manifests/%zz", ERR_NAME_INVALID},
    {ROLE_ALL, "/v2/a/manifests/%", ERR_NAME_INVALID},
    {ROLE_ALL, "/v2/a%252fb/manifests/3", ERR_NAME_INVALID},
    {ROLE_ALL, "/ghcr%2eio/v2/", ERR_NAME_INVALID},
    /* References. */
    {ROLE_ALL, "/v2/a/manifests/.INVALID_MANIFEST_NAME", ERR_MANIFEST_UNKNOWN},
    {ROLE_ALL, "/v2/a/manifests/-x", ERR_MANIFEST_UNKNOWN},
    {ROLE_ALL, "/v2/a/manifests/a+b", ERR_MANIFEST_UNKNOWN},
    {ROLE_ALL, "/v2/a/manifests/", ERR_MANIFEST_UNKNOWN},
    {ROLE_ALL, "/v2/a/manifests/" HEX64 HEX64 "x", ERR_MANIFEST_UNKNOWN},
    {ROLE_ALL, "/v2/a/manifests/sha256:baddigeststring", ERR_DIGEST_INVALID},
    {ROLE_ALL, "/v2/a/manifests/sha256:", ERR_DIGEST_INVALID},
    {ROLE_ALL, "/v2/a/manifests/blake3:" HEX64, ERR_DIGEST_INVALID},
    {ROLE_ALL, "/v2/a/blobs/sha256:junk", ERR_DIGEST_INVALID},
    {ROLE_ALL, "/v2/a/blobs/latest", ERR_DIGEST_INVALID},
    {ROLE_ALL, "/v2/a/blobs/", ERR_DIGEST_INVALID},
    {ROLE_ALL, "/v2/a/blobs/sha256-" HEX64, ERR_DIGEST_INVALID},
    {ROLE_ALL, "/v2/a/referrers/latest", ERR_DIGEST_INVALID},
    {ROLE_ALL,
     "/v2/a/blobs/sha256:0123456789ABCDEF0123456789abcdef0123456789abcdef0123456789abcdef",
     ERR_DIGEST_INVALID},
    /* No such path. */
    {ROLE_ALL, "/", ERR_NOT_FOUND},
    {ROLE_ALL, "", ERR_NOT_FOUND},
    {ROLE_ALL, "/v1/", ERR_NOT_FOUND},
    {ROLE_ALL, "/v2x/", ERR_NOT_FOUND},
    {ROLE_ALL, "//v2/", ERR_NOT_FOUND},
    {ROLE_ALL, "/v2/a", ERR_NOT_FOUND},
    {ROLE_ALL, "/v2/a/b/c", ERR_NOT_FOUND},
    {ROLE_ALL, "/v2/tags/list", ERR_NOT_FOUND},
    {ROLE_ALL, "/v2/manifests/3", ERR_NOT_FOUND},
    {ROLE_ALL, "/v2/blobs/uploads/", ERR_NOT_FOUND},
    {ROLE_ALL, "/v2/a/tags/list/", ERR_NOT_FOUND},
    {ROLE_ALL, "/v2/a/manifests/3/", ERR_NOT_FOUND},
    {ROLE_ALL, "/v2/_oci/ext/discover", ERR_NOT_FOUND},
    {ROLE_ALL, "/v2/stage/a/blobs/uploads/..", ERR_NOT_FOUND},
    {ROLE_ALL, "/v2/stage/a/blobs/uploads/a~b", ERR_NOT_FOUND},
    {ROLE_ADMIN, "/v2/", ERR_NOT_FOUND},
    {ROLE_ADMIN, "/v2/a/manifests/3", ERR_NOT_FOUND},
};

static void test_bad(void)
{
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct route r = {.upstream = 77};
        struct err e;

        CHECK_NOTE(parse(bad[i].role, bad[i].target, &r, &e) == -1, bad[i].target);
        CHECK_STR(err_name(e.code), err_name(bad[i].code));
        CHECK_INT(r.upstream, 77);
    }
}

static void test_texts(void)
{
    struct route r = {0};
    struct err e;

    CHECK(parse(ROLE_ALL, "/v2/evil.example/app/manifests/3", &r, &e) == -1);
    CHECK(strstr(e.text, "evil.example") != NULL);
    CHECK(parse(ROLE_ALL, "/v2/app/manifests/3?ns=evil.example", &r, &e) == -1);
    CHECK(strstr(e.text, "evil.example") != NULL);
}

/* What Location and Link are made of. */
static void test_echo(void)
{
    struct route r = {0};
    struct err e;

    CHECK(parse(ROLE_ALL, "/GHCR.io/v2/o/app/tags/list?ns=Ghcr.io", &r, &e) == 0);
    CHECK(slice_is(r.prefix, "/GHCR.io"));
    CHECK_STR(r.ns, "Ghcr.io");
    CHECK_STR(r.requested, "o/app");
    CHECK_INT(r.upstream, 1);
    CHECK(parse(ROLE_ALL, "/v2/hub/alpine/tags/list", &r, &e) == 0);
    CHECK_INT(r.prefix.len, 0);
    CHECK_STR(r.ns, "");
    CHECK_STR(r.requested, "hub/alpine");
    CHECK_STR(r.name, "library/alpine");
    CHECK(parse(ROLE_ALL, "/v2/stage/a/tags/list?ns=CACHE.local:5000", &r, &e) == 0);
    CHECK_STR(r.ns, "");
    CHECK_INT(r.hosted, 0);
    CHECK_INT(r.upstream, -1);
    CHECK(parse(ROLE_ALL, "/v2/stage/a/blobs/uploads/u-1", &r, &e) == 0);
    CHECK_STR(r.session, "u-1");
    CHECK(parse(ROLE_ALL, "/ghcr.io/v2/", &r, &e) == 0);
    CHECK_INT(r.upstream, 1);
    CHECK(parse(ROLE_ALL, "/v2/", &r, &e) == 0);
    CHECK_INT(r.upstream, -1);
    CHECK(parse(ROLE_ALL, "/v2/a/blobs/" D256, &r, &e) == 0);
    CHECK(r.by_digest && r.digest.alg == DIGEST_SHA256 && r.digest.bytes[1] == 0x23);
}

/* n times 'a', and an end. */
static void fill(char *at, size_t n, const char *end)
{
    memset(at, 'a', n);
    memcpy(at + n, end, strlen(end) + 1);
}

static void test_long(void)
{
    struct route r = {0};
    struct err e;
    char target[ROUTE_PATH_MAX + 32];
    int n = snprintf(target, sizeof(target), "/v2/ghcr.io/");

    fill(target + n, 255, "/tags/list");
    CHECK(parse(ROLE_ALL, target, &r, &e) == 0 && strlen(r.name) == 255);
    fill(target + n, 256, "/tags/list");
    CHECK(parse(ROLE_ALL, target, &r, &e) == -1 && e.code == ERR_NAME_INVALID);
    n = snprintf(target, sizeof(target), "/v2/");
    fill(target + n, 250, "/tags/list");
    CHECK(parse(ROLE_ALL, target, &r, &e) == -1 && e.code == ERR_NAME_INVALID);
    fill(target + n, ROUTE_PATH_MAX - 4, "");
    CHECK(parse(ROLE_ALL, target, &r, &e) == -1 && e.code == ERR_NOT_FOUND);
    fill(target + n, ROUTE_PATH_MAX - 3, "");
    CHECK(parse(ROLE_ALL, target, &r, &e) == -1 && e.code == ERR_URI_TOO_LONG);
    memset(target, 'x', sizeof(target));
    memcpy(target, "/v2/a/tags/list?ns=", 19);
    target[19 + ROUTE_NS_MAX] = '\0';
    CHECK(parse(ROLE_ALL, target, &r, &e) == -1 && e.code == ERR_NAME_UNKNOWN);
}

static void test_no_default(void)
{
    struct route r = {0};
    struct err e = {0};

    CHECK(route_parse(&closed, ROLE_ALL, SLICE_NULL, slice_str("/v2/a/tags/list"), SLICE_NULL, &r,
                      &e) == -1);
    CHECK_INT(e.code, ERR_NAME_UNKNOWN);
    CHECK(route_parse(&closed, ROLE_ALL, SLICE_NULL, slice_str("/v2/ghcr.io/a/tags/list"),
                      SLICE_NULL, &r, &e) == 0);
    CHECK_STR(r.name, "a");
}

static void test_name(void)
{
    static const struct {
        const char *name;
        const char *repo;
    } cases[] = {{"docker.io/stage/x", "docker.io/stage/x"},
                 {"docker.io/alpine", "docker.io/library/alpine"},
                 {"alpine", "docker.io/library/alpine"},
                 {"stage/x", "stage/x"},
                 {"ghcr.io/a/b", "ghcr.io/a/b"},
                 {"127.0.0.1:5000/stage/x", "stage/x"},
                 {"127.0.0.1:5000/alpine", "docker.io/library/alpine"},
                 {"127.0.0.1:5000/ghcr.io/a/b", "ghcr.io/a/b"},
                 {"[::1]:5001/a", "[::1]:5001/a"}};
    struct route r = {0};
    struct err e;

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char repo[ROUTE_REPO_MAX] = "";

        CHECK(route_parse_name(&table, ROLE_ALL, slice_str(cases[i].name), &r, &e) == 0);
        CHECK_STR(route_repo_text(&table, &r, repo), cases[i].repo);
    }
    CHECK(route_parse_name(&table, ROLE_ALL, slice_str("quay.io/x"), &r, &e) == -1);
    CHECK_INT(e.code, ERR_NAME_UNKNOWN);
    CHECK(route_parse_name(&table, ROLE_ALL, slice_str("A/x"), &r, &e) == -1);
    CHECK_INT(e.code, ERR_NAME_INVALID);
    CHECK(route_parse_name(&table, ROLE_ALL, slice_str(""), &r, &e) == -1);
    CHECK_INT(e.code, ERR_NAME_INVALID);
}

/* Larder's own host, as those write it who reach it. An upstream of that name goes first. */
static void test_own_host(void)
{
    static const char *const own[] = {
        "127.0.0.1:5000", "localhost:5000", "LOCALHOST:5000", "0.0.0.0:5002",  "127.0.0.1:5002",
        "127.1.2.3:5002", "localhost:5002", "[::]:5003",      "[::1]:5003",    "localhost:5003",
        "10.0.0.1:5004",  "localhost:5001", "localhost:5006", "127.0.0.1:5006"};
    static const char *const other[] = {
        "127.0.0.2:5000", "[::1]:5000",     "127.0.0.1:5001",  "127.0.0.1",
        "localhost",      "10.0.0.1:5002",  "[::1]:5002",      "127.0.0.1:5003",
        "localhost:5004", "localhost:5005", "unix:/run/x",     "[::1]:5001",
        ":5000",          "127.0.0.1:",     "127.0.0.1:05000", "cache.local:5000"};
    char name[64];
    struct route r = {0};
    struct err e;

    for (size_t i = 0; i < ARRAY_LEN(own); i++) {
        snprintf(name, sizeof(name), "%s/stage/x", own[i]);
        CHECK_NOTE(slice_is(route_without_own(&table, slice_str(name)), "stage/x"), name);
        CHECK(slice_is(route_without_own(&table, slice_str(own[i])), own[i]));
    }
    for (size_t i = 0; i < ARRAY_LEN(other); i++) {
        snprintf(name, sizeof(name), "%s/stage/x", other[i]);
        CHECK_NOTE(slice_is(route_without_own(&table, slice_str(name)), name), name);
    }
    CHECK(parse(ROLE_ALL, "/v2/127.0.0.1:5000/stage/x/manifests/dev", &r, &e) == -1);
    CHECK_INT(e.code, ERR_NAME_UNKNOWN);
    CHECK(parse(ROLE_CONTROL, "/v2/127.0.0.1:5000/stage/x/manifests/dev", &r, &e) == 0);
    CHECK_STR(r.name, "stage/x");
    CHECK_INT(r.hosted, 0);
}

/* On the control socket "-" is the store itself, for blobs and uploads. */
static void test_own(void)
{
    static const struct {
        enum route_role role;
        const char *target;
        bool own;
    } cases[] = {
        {ROLE_CONTROL, "/v2/-/blobs/" D256, true},
        {ROLE_CONTROL, "/v2/-/blobs/uploads/", true},
        {ROLE_CONTROL, "/v2/-/blobs/uploads/abc", true},
        {ROLE_CONTROL, "/v2/-/manifests/x", false},
        {ROLE_CONTROL, "/v2/-/tags/list", false},
        {ROLE_CONTROL, "/v2/-/referrers/" D256, false},
        {ROLE_CONTROL, "/v2/ghcr.io/-/blobs/" D256, false},
        {ROLE_CONTROL, "/ghcr.io/v2/-/blobs/" D256, false},
        {ROLE_ALL, "/v2/-/blobs/" D256, false},
        {ROLE_ADMIN, "/v2/-/blobs/" D256, false},
        {ROLE_REGISTRY, "/v2/-/blobs/uploads/", false},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct route r = {0};
        struct err e;
        int result = route_parse(&table, cases[i].role, SLICE_NULL, slice_str(cases[i].target),
                                 SLICE_NULL, &r, &e);

        CHECK_NOTE((result == 0) == cases[i].own, cases[i].target);
        CHECK_NOTE(result < 0 || (r.own && r.hosted < 0 && r.upstream < 0), cases[i].target);
    }
}

int main(void)
{
    test_own_host();
    test_own();
    test_good();
    test_bad();
    test_texts();
    test_echo();
    test_long();
    test_no_default();
    test_name();
    return tap_done();
}
