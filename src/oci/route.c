/*
 * oci/route.c - routing: the path from the right gives the endpoint, from the left the upstream.
 */
#include "oci/route.h"

#include "oci/pattern.h"
#include "oci/query.h"

#include <stdio.h>
#include <strings.h>

/* One routing under way: what is known, and whom ns and prefix name. */
struct routing {
    const struct route_table *table;
    enum route_role role;
    int by_ns;     /* upstream that ns names, or -1 */
    int by_prefix; /* that the prefix names, or -1 */
};

/* --- names of upstreams --- */

static bool upstream_is(const struct route_upstream *u, struct slice host)
{
    if (slice_is_nocase(host, u->name)) {
        return true;
    }
    for (size_t i = 0; i < u->n_aliases; i++) {
        if (slice_is_nocase(host, u->aliases[i])) {
            return true;
        }
    }
    return false;
}

int route_find_upstream(const struct route_table *t, struct slice host)
{
    for (size_t i = 0; i < t->n_upstreams && host.len > 0; i++) {
        if (upstream_is(&t->upstreams[i], host)) {
            return (int)i;
        }
    }
    return -1;
}

static int find_default(const struct route_table *t)
{
    for (size_t i = 0; i < t->n_upstreams; i++) {
        if (t->upstreams[i].is_default) {
            return (int)i;
        }
    }
    return -1;
}

static int find_hosted(const struct route_table *t, struct slice name)
{
    for (size_t i = 0; i < t->n_hosted; i++) {
        if (pattern_match(slice_str(t->hosted[i]), name)) {
            return (int)i;
        }
    }
    return -1;
}

/* What clients take for a registry rather than a part of a name. */
static bool looks_like_host(struct slice first)
{
    return slice_find(first, '.') < first.len || slice_find(first, ':') < first.len ||
           slice_is(first, "localhost");
}

/* Whether such a component could be a host or a part of a name at all; "a..b" is neither. */
static bool is_host_or_name(struct slice first)
{
    for (size_t i = 0; i < first.len; i++) {
        char c = first.p[i];
        bool good = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                    c == '-' || c == ':' || c == '[' || c == ']' ||
                    (c == '.' && i > 0 && first.p[i - 1] != '.');

        if (!good) {
            return name_valid(first);
        }
    }
    return true;
}

static int unknown_upstream(struct slice host, struct err *e)
{
    size_t n = host.len < 100 ? host.len : 100;

    return err_set(e, ERR_NAME_UNKNOWN, "%.*s is not an upstream of this cache", (int)n, host.p);
}

/* --- Larder's own host --- */

/* Whether a host means the address that is listened on; both without their ports. */
static bool host_reaches(struct slice address, struct slice host)
{
    bool any = slice_is(address, "0.0.0.0");
    bool any6 = slice_is(address, "[::]");
    bool local = slice_is(address, "localhost");

    if (slice_is_nocase(host, "localhost")) {
        return any || any6 || local || slice_starts(address, "127.") || slice_is(address, "[::1]");
    }
    return slice_eq(address, host) || (any && slice_starts(host, "127.")) ||
           (any6 && slice_is(host, "[::1]")) || (local && slice_is(host, "127.0.0.1"));
}

static bool is_own_host(const struct route_table *t, struct slice host)
{
    size_t colon = slice_rfind(host, ':');

    for (size_t i = 0; i < t->n_listeners; i++) {
        struct slice address = slice_str(t->listeners[i]);
        size_t port = slice_rfind(address, ':');

        if (colon < host.len && slice_eq(slice_from(address, port), slice_from(host, colon)) &&
            host_reaches(slice_sub(address, 0, port), slice_sub(host, 0, colon))) {
            return true;
        }
    }
    return false;
}

struct slice route_without_own(const struct route_table *t, struct slice name)
{
    size_t slash = slice_find(name, '/');
    struct slice first = slice_sub(name, 0, slash);

    if (slash == name.len || route_find_upstream(t, first) >= 0 || !is_own_host(t, first)) {
        return name;
    }
    return slice_from(name, slash + 1);
}

/* --- the path --- */

/* Decodes once; what could be taken for another path after decoding is refused, not guessed at. */
static int path_decode(struct slice raw, char *out, struct slice *ret, struct err *e)
{
    size_t n = 0;

    for (size_t i = 0; i < raw.len; i++) {
        char c = raw.p[i];
        uint64_t value;

        if (c == '%') {
            if (i + 2 >= raw.len || !slice_hex64(slice_sub(raw, i + 1, i + 3), &value)) {
                return err_set(e, ERR_NAME_INVALID, "a percent sign in the path begins no escape");
            }
            c = (char)value;
            i += 2;
            if (c == '/' || c == '.' || c == '\\') {
                return err_set(e, ERR_NAME_INVALID, "an encoded '%c' in the path", c);
            }
        }
        if ((unsigned char)c < 0x20 || c == 0x7f) {
            return err_set(e, ERR_NAME_INVALID, "a control character in the path");
        }
        out[n++] = c;
    }
    *ret = slice_of(out, n);
    return 0;
}

/* Splits PREFIX/v2/REST, or PREFIX/v2 (where REST is ""), at the first /v2. */
static bool path_split(struct slice path, struct slice *ret_prefix, struct slice *ret_rest)
{
    for (size_t i = 0; i + 3 <= path.len; i++) {
        if (memcmp(path.p + i, "/v2", 3) == 0 && (i + 3 == path.len || path.p[i + 3] == '/')) {
            *ret_prefix = slice_sub(path, 0, i);
            *ret_rest = slice_from(path, i + 4);
            return true;
        }
    }
    return false;
}

/* Takes the last component and its slash off *path. */
static struct slice pop_component(struct slice *path)
{
    size_t slash = slice_rfind(*path, '/');
    struct slice last = slash == path->len ? *path : slice_from(*path, slash + 1);

    *path = slash == path->len ? SLICE_NULL : slice_sub(*path, 0, slash);
    return last;
}

/* Recognises the endpoint by the end of `rest`. What is left is the name; `reference` is what the
 * kind has behind it. */
static bool endpoint_parse(struct slice rest, enum route_kind *ret_kind, struct slice *ret_name,
                           struct slice *ret_reference)
{
    static const struct {
        const char *verb;
        enum route_kind kind;
    } verbs[] = {
        {"manifests", ROUTE_MANIFEST}, {"blobs", ROUTE_BLOB}, {"referrers", ROUTE_REFERRERS}};
    struct slice last = pop_component(&rest);
    struct slice verb = rest.p == NULL ? SLICE_NULL : pop_component(&rest);
    struct slice before = rest;
    struct slice third = rest.p == NULL ? SLICE_NULL : pop_component(&before);

    *ret_reference = last;
    *ret_name = rest;
    if (slice_is(verb, "tags") && slice_is(last, "list")) {
        *ret_kind = ROUTE_TAGS;
        return rest.p != NULL;
    }
    if (slice_is(verb, "blobs") && slice_is(last, "uploads")) {
        *ret_kind = ROUTE_UPLOADS;
        return rest.p != NULL;
    }
    if (slice_is(verb, "uploads") && slice_is(third, "blobs")) {
        *ret_kind = last.len == 0 ? ROUTE_UPLOADS : ROUTE_UPLOAD;
        *ret_name = before;
        return before.p != NULL;
    }
    for (size_t i = 0; i < ARRAY_LEN(verbs); i++) {
        if (slice_is(verb, verbs[i].verb)) {
            *ret_kind = verbs[i].kind;
            return rest.p != NULL;
        }
    }
    return false;
}

/* --- whose name it is --- */

static int ns_parse(struct routing *g, struct slice host_header, struct slice query,
                    struct route *r, struct err *e)
{
    struct buf ns;
    struct slice host;
    int result = 0;

    buf_init(&ns, ROUTE_NS_MAX - 1);
    if (!query_get(query, "ns", &ns)) {
        return 0;
    }
    host = buf_view(&ns);
    g->by_ns = route_find_upstream(g->table, host);
    if (ns.failed || (g->by_ns >= 0 && !slice_copy(host, r->ns, sizeof(r->ns)))) {
        result = err_set(e, ERR_NAME_UNKNOWN, "ns is longer than a host name");
    } else if (g->by_ns < 0 && host.len > 0 &&
               !(host.len == host_header.len &&
                 strncasecmp(host.p, host_header.p, host.len) == 0)) {
        result = unknown_upstream(host, e);
    }
    buf_free(&ns);
    return result;
}

static int prefix_parse(struct routing *g, struct slice prefix, struct err *e)
{
    char text[ROUTE_PATH_MAX];
    struct slice host = SLICE_NULL;

    if (prefix.len == 0) {
        return 0;
    }
    if (prefix.len == 1) {
        return err_set(e, ERR_NOT_FOUND, "no such path");
    }
    if (path_decode(slice_from(prefix, 1), text, &host, e) < 0) {
        return -1;
    }
    g->by_prefix = route_find_upstream(g->table, host);
    return g->by_prefix < 0 ? unknown_upstream(host, e) : 0;
}

static int name_invalid(struct slice name, struct err *e)
{
    return err_set(e, ERR_NAME_INVALID, "not the name of a repository: %.*s",
                   (int)(name.len < 100 ? name.len : 100), name.len > 0 ? name.p : "");
}

/* Sets r->upstream or r->hosted, and gives the name without what named the upstream. */
static int name_route(const struct routing *g, struct slice name, struct route *r,
                      struct slice *ret_name, struct err *e)
{
    struct slice first = slice_sub(name, 0, slice_find(name, '/'));
    int by_first = route_find_upstream(g->table, first);

    *ret_name = name;
    if (g->by_ns >= 0) {
        r->upstream = g->by_ns;
        if (by_first == g->by_ns && first.len < name.len) {
            *ret_name = slice_from(name, first.len + 1);
        }
        return 0;
    }
    if (g->by_prefix >= 0) {
        r->upstream = g->by_prefix;
        return 0;
    }
    if (by_first >= 0) {
        r->upstream = by_first;
        *ret_name = slice_from(name, first.len + 1);
        return 0;
    }
    if (looks_like_host(first)) {
        return is_host_or_name(first) ? unknown_upstream(first, e) : name_invalid(name, e);
    }
    if (!name_valid(name)) {
        return name_invalid(name, e);
    }
    r->hosted = g->role == ROLE_MIRROR ? -1 : find_hosted(g->table, name);
    r->upstream = r->hosted >= 0 ? -1 : find_default(g->table);
    if (r->hosted < 0 && r->upstream < 0) {
        return err_set(e, ERR_NAME_UNKNOWN, "the name has no upstream, and there is no default");
    }
    return 0;
}

/* Copies the name, in the upstream's own form. */
static int name_set(const struct route_table *t, struct slice name, struct route *r, struct err *e)
{
    bool hub = r->upstream >= 0 && strcmp(t->upstreams[r->upstream].name, "docker.io") == 0;

    if (!name_valid(name)) {
        return name_invalid(name, e);
    }
    if (hub ? !name_normal_hub(name, r->name) : !slice_copy(name, r->name, sizeof(r->name))) {
        return err_set(e, ERR_NAME_INVALID, "the name is longer than %d bytes", NAME_MAX_LEN);
    }
    return 0;
}

static bool is_own(const struct routing *g, struct slice name, enum route_kind kind)
{
    return g->role == ROLE_CONTROL && g->by_ns < 0 && g->by_prefix < 0 &&
           slice_is(name, ROUTE_OWN) &&
           (kind == ROUTE_BLOB || kind == ROUTE_UPLOADS || kind == ROUTE_UPLOAD);
}

static int repository_parse(const struct routing *g, struct slice name, struct route *r,
                            struct err *e)
{
    struct slice own = name;

    if (name_route(g, name, r, &own, e) < 0 || name_set(g->table, own, r, e) < 0) {
        return -1;
    }
    if (!slice_copy(name, r->requested, sizeof(r->requested))) {
        return err_set(e, ERR_NAME_INVALID, "the name is too long");
    }
    return 0;
}

/* --- what of it --- */

static int reference_parse(struct slice text, struct route *r, struct err *e)
{
    int shown = (int)(text.len < 150 ? text.len : 150);

    if (digest_parse(text, &r->digest)) {
        r->by_digest = true;
        digest_text(&r->digest, r->reference);
        return 0;
    }
    if (r->kind != ROUTE_MANIFEST || digest_has_form(text)) {
        return err_set(e, ERR_DIGEST_INVALID, "not a sha256 or sha512 digest: %.*s", shown, text.p);
    }
    if (!tag_valid(text) || !slice_copy(text, r->reference, sizeof(r->reference))) {
        return err_set(e, ERR_MANIFEST_UNKNOWN, "not a tag: %.*s", shown, text.p);
    }
    return 0;
}

static int session_parse(struct slice text, struct route *r, struct err *e)
{
    bool good = text.len > 0 && text.p[0] != '.';

    for (size_t i = 0; i < text.len && good; i++) {
        char c = text.p[i];

        good = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               c == '_' || c == '.' || c == '=' || c == '-';
    }
    if (!good || !slice_copy(text, r->session, sizeof(r->session))) {
        return err_set(e, ERR_NOT_FOUND, "no such upload");
    }
    return 0;
}

static int target_parse(struct slice reference, struct route *r, struct err *e)
{
    switch (r->kind) {
    case ROUTE_MANIFEST:
    case ROUTE_BLOB:
    case ROUTE_REFERRERS:
        return reference_parse(reference, r, e);
    case ROUTE_UPLOAD:
        return session_parse(reference, r, e);
    case ROUTE_PING:
    case ROUTE_TAGS:
    case ROUTE_CATALOG:
    case ROUTE_UPLOADS:
        break;
    }
    return 0;
}

/* A path without repository: what remains is who was asked. */
static int route_whole(const struct routing *g, enum route_kind kind, struct route *r)
{
    r->kind = kind;
    r->upstream = g->by_ns >= 0 ? g->by_ns : g->by_prefix;
    return 0;
}

static int rest_parse(const struct routing *g, struct slice raw, struct route *r, struct err *e)
{
    char text[ROUTE_PATH_MAX];
    struct slice rest = SLICE_NULL;
    struct slice name;
    struct slice reference;

    if (path_decode(raw, text, &rest, e) < 0) {
        return -1;
    }
    if (rest.len == 0) {
        return route_whole(g, ROUTE_PING, r);
    }
    if (slice_is(rest, "_catalog")) {
        return route_whole(g, ROUTE_CATALOG, r);
    }
    if (!endpoint_parse(rest, &r->kind, &name, &reference)) {
        return err_set(e, ERR_NOT_FOUND, "no such endpoint");
    }
    if (g->role == ROLE_CONTROL) {
        name = route_without_own(g->table, name);
    }
    if (is_own(g, name, r->kind)) {
        r->own = true;
        memcpy(r->name, ROUTE_OWN, sizeof(ROUTE_OWN));
        memcpy(r->requested, ROUTE_OWN, sizeof(ROUTE_OWN));
    } else if (repository_parse(g, name, r, e) < 0) {
        return -1;
    }
    return target_parse(reference, r, e);
}

int route_parse(const struct route_table *t, enum route_role role, struct slice host_header,
                struct slice path, struct slice query, struct route *ret, struct err *e)
{
    struct route r = {.upstream = -1, .hosted = -1};
    struct routing g = {.table = t, .role = role, .by_ns = -1, .by_prefix = -1};
    struct slice rest;

    if (path.len > ROUTE_PATH_MAX) {
        return err_set(e, ERR_URI_TOO_LONG, "the path is longer than %d bytes", ROUTE_PATH_MAX);
    }
    if (role == ROLE_ADMIN || !path_split(path, &r.prefix, &rest)) {
        return err_set(e, ERR_NOT_FOUND, "no such path");
    }
    if (ns_parse(&g, host_header, query, &r, e) < 0 || prefix_parse(&g, r.prefix, e) < 0 ||
        rest_parse(&g, rest, &r, e) < 0) {
        return -1;
    }
    *ret = r;
    return 0;
}

int route_parse_name(const struct route_table *t, enum route_role role, struct slice name,
                     struct route *ret, struct err *e)
{
    struct route r = {.kind = ROUTE_TAGS, .upstream = -1, .hosted = -1};
    struct routing g = {.table = t, .role = role, .by_ns = -1, .by_prefix = -1};

    if (repository_parse(&g, route_without_own(t, name), &r, e) < 0) {
        return -1;
    }
    *ret = r;
    return 0;
}

const char *route_repo_text(const struct route_table *t, const struct route *r,
                            char buf[ROUTE_REPO_MAX])
{
    if (r->upstream >= 0 && r->name[0] != '\0') {
        snprintf(buf, ROUTE_REPO_MAX, "%s/%s", t->upstreams[r->upstream].name, r->name);
    } else {
        snprintf(buf, ROUTE_REPO_MAX, "%s", r->name);
    }
    return buf;
}
