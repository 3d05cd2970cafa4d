/* http/url.c - absolute URLs and references. */
#include "http/url.h"

#include <arpa/inet.h>

/* The five parts of RFC 3986 3, as they stand; p is NULL of a part that is not there. The fragment
 * is cut off. */
struct parts {
    struct slice scheme;
    struct slice authority;
    struct slice path; /* never NULL, may be empty */
    struct slice query;
};

static bool url_fail(const char **ret_why, const char *why)
{
    *ret_why = why;
    return false;
}

/* Printable ASCII, which is all that may stand in a request line. */
static bool is_clean(struct slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        if (s.p[i] <= ' ' || s.p[i] > '~') {
            return false;
        }
    }
    return true;
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

static bool is_alnum(char c)
{
    return (lower(c) >= 'a' && lower(c) <= 'z') || (c >= '0' && c <= '9');
}

/* The length of a scheme at the start of `s`, without its colon; 0 where there is none. */
static size_t scheme_length(struct slice s)
{
    size_t n = 0;

    if (s.len == 0 || lower(s.p[0]) < 'a' || lower(s.p[0]) > 'z') {
        return 0;
    }
    while (n < s.len && (is_alnum(s.p[n]) || s.p[n] == '+' || s.p[n] == '-' || s.p[n] == '.')) {
        n++;
    }
    return n < s.len && s.p[n] == ':' ? n : 0;
}

static void url_split(struct slice s, struct parts *ret)
{
    size_t n;

    *ret = (struct parts){.path = SLICE_NULL};
    s = slice_sub(s, 0, slice_find(s, '#'));
    n = scheme_length(s);
    if (n > 0) {
        ret->scheme = slice_sub(s, 0, n);
        s = slice_from(s, n + 1);
    }
    n = slice_find(s, '?');
    if (n < s.len) {
        ret->query = slice_from(s, n + 1);
        s = slice_sub(s, 0, n);
    }
    if (slice_starts(s, "//")) {
        s = slice_from(s, 2);
        n = slice_find(s, '/');
        ret->authority = slice_sub(s, 0, n);
        s = slice_from(s, n);
    }
    ret->path = s;
}

static bool read_scheme(struct slice scheme, struct http_origin *o)
{
    o->tls = slice_is_nocase(scheme, "https");
    o->port = o->tls ? 443 : 80;
    return o->tls || slice_is_nocase(scheme, "http");
}

/* "1.2.3.4", "name.example" or "[::1]", whose brackets go. */
static bool read_host(struct slice s, struct http_origin *o)
{
    struct in6_addr address;
    bool literal = slice_starts(s, "[");

    if (literal) {
        s = slice_sub(s, 1, s.len - 1);
    }
    if (s.len == 0 || !slice_copy(s, o->host, sizeof(o->host))) {
        return false;
    }
    for (char *c = o->host; *c != '\0'; c++) {
        *c = lower(*c);
        if (!literal && !is_alnum(*c) && *c != '-' && *c != '.' && *c != '_') {
            return false;
        }
    }
    if (!literal) {
        return true;
    }
    /* One address has many spellings; origins are compared as text. */
    return inet_pton(AF_INET6, o->host, &address) == 1 &&
           inet_ntop(AF_INET6, &address, o->host, sizeof(o->host)) != NULL;
}

/* ":5000", ":" or nothing. */
static bool read_port(struct slice s, struct http_origin *o)
{
    uint64_t port;

    if (s.len <= 1) {
        return s.len == 0 || s.p[0] == ':';
    }
    if (s.p[0] != ':' || s.len > 6 || !slice_u64(slice_from(s, 1), &port) || port == 0 ||
        port > UINT16_MAX) {
        return false;
    }
    o->port = (uint16_t)port;
    return true;
}

static void read_userinfo(struct slice s, struct http_url *ret)
{
    size_t colon = slice_find(s, ':');

    ret->user = slice_sub(s, 0, colon);
    if (colon < s.len) {
        ret->password = slice_from(s, colon + 1);
    }
}

static bool read_authority(struct slice s, struct http_url *ret, const char **ret_why)
{
    size_t at = slice_rfind(s, '@');
    size_t host;

    if (at < s.len) {
        read_userinfo(slice_sub(s, 0, at), ret);
        s = slice_from(s, at + 1);
    }
    host = slice_starts(s, "[") ? slice_find(s, ']') + 1 : slice_find(s, ':');
    if (host > s.len || !read_host(slice_sub(s, 0, host), &ret->origin)) {
        return url_fail(ret_why, "its host is neither a name nor an address");
    }
    if (!read_port(slice_from(s, host), &ret->origin)) {
        return url_fail(ret_why, "its port is not one of 1 to 65535");
    }
    return true;
}

bool http_url_parse(struct slice text, struct http_url *ret, const char **ret_why)
{
    struct http_url url = {.path = SLICE_NULL};
    struct parts parts;

    if (text.len > HTTP_URL_MAX) {
        return url_fail(ret_why, "it is longer than 8192 bytes");
    }
    if (!is_clean(text)) {
        return url_fail(ret_why, "it holds a space or a character that is not ASCII");
    }
    url_split(text, &parts);
    if (parts.scheme.p == NULL || !read_scheme(parts.scheme, &url.origin)) {
        return url_fail(ret_why, "it begins with neither http:// nor https://");
    }
    if (parts.authority.p == NULL) {
        return url_fail(ret_why, "it names no host");
    }
    if (!read_authority(parts.authority, &url, ret_why)) {
        return false;
    }
    url.path = parts.path.len > 0 ? parts.path : slice_str("/");
    url.query = parts.query;
    *ret = url;
    return true;
}

/* --- references ------------------------------------------------------------------------------- */

/* Drops the last segment of what was appended to `out` behind `floor`, with its slash. */
static void drop_segment(struct buf *out, size_t floor)
{
    while (out->len > floor && out->p[--out->len] != '/') {
    }
}

/* Appends an absolute path without "." and ".." segments (RFC 3986 5.2.4). */
static void append_path(struct buf *out, struct slice path)
{
    size_t floor = out->len;
    struct slice segment;

    path = slice_from(path, 1); /* its first slash */
    while (slice_split(&path, '/', &segment)) {
        bool last = path.p == NULL;

        if (slice_is(segment, "..")) {
            drop_segment(out, floor);
        }
        if (slice_is(segment, ".") || slice_is(segment, "..")) {
            buf_str(out, last ? "/" : "");
            continue;
        }
        buf_str(out, "/");
        buf_slice(out, segment);
    }
}

/* A relative path goes where the base's last segment is (RFC 3986 5.2.3). */
static void append_merged(struct buf *out, struct slice base, struct slice path)
{
    struct buf whole;
    size_t keep = slice_rfind(base, '/') + 1;

    buf_init(&whole, 2 * HTTP_URL_MAX);
    buf_slice(&whole, slice_sub(base, 0, keep));
    buf_slice(&whole, path);
    append_path(out, buf_view(&whole));
    buf_free(&whole);
}

static void append_query(struct buf *out, struct slice query)
{
    if (query.p != NULL) {
        buf_str(out, "?");
        buf_slice(out, query);
    }
}

/* Appends authority, path and query of the target, whose scheme is written (RFC 3986 5.2.2). */
static void append_target(struct buf *out, const struct http_url *base, const struct parts *ref)
{
    if (ref->authority.p != NULL) {
        buf_slice(out, ref->authority);
    } else {
        http_origin_host(&base->origin, out);
    }
    if (ref->authority.p != NULL && ref->path.len == 0) {
        append_path(out, slice_str("/"));
    } else if (ref->path.len == 0) {
        append_path(out, base->path);
    } else if (ref->path.p[0] == '/') {
        append_path(out, ref->path);
    } else {
        append_merged(out, base->path, ref->path);
    }
    if (ref->authority.p == NULL && ref->path.len == 0 && ref->query.p == NULL) {
        append_query(out, base->query);
    } else {
        append_query(out, ref->query);
    }
}

bool http_url_resolve(const struct http_url *base, struct slice reference, struct buf *ret,
                      const char **ret_why)
{
    struct http_url checked;
    struct parts parts;

    if (reference.len > HTTP_URL_MAX) {
        return url_fail(ret_why, "it is longer than 8192 bytes");
    }
    url_split(reference, &parts);
    if (parts.scheme.p != NULL && parts.authority.p == NULL) {
        return url_fail(ret_why, "it names no host");
    }
    if (parts.scheme.p != NULL) {
        buf_slice(ret, parts.scheme);
    } else {
        buf_str(ret, base->origin.tls ? "https" : "http");
    }
    buf_str(ret, "://");
    append_target(ret, base, &parts);
    if (ret->failed) {
        return url_fail(ret_why, "it is longer than 8192 bytes");
    }
    return http_url_parse(buf_view(ret), &checked, ret_why);
}

/* --- writing ---------------------------------------------------------------------------------- */

void http_url_target(const struct http_url *u, struct buf *out)
{
    buf_slice(out, u->path);
    append_query(out, u->query);
}

void http_origin_host(const struct http_origin *o, struct buf *out)
{
    bool literal = strchr(o->host, ':') != NULL;

    buf_printf(out, literal ? "[%s]" : "%s", o->host);
    if (o->port != (o->tls ? 443 : 80)) {
        buf_printf(out, ":%u", (unsigned)o->port);
    }
}

void http_origin_text(const struct http_origin *o, struct buf *out)
{
    buf_str(out, o->tls ? "https://" : "http://");
    http_origin_host(o, out);
}

bool http_origin_equal(const struct http_origin *a, const struct http_origin *b)
{
    return a->tls == b->tls && a->port == b->port && strcmp(a->host, b->host) == 0;
}

bool http_url_decode(struct slice s, struct buf *out)
{
    for (size_t i = 0; i < s.len; i++) {
        uint64_t value;
        char c = s.p[i];

        if (c == '%') {
            if (i + 3 > s.len || !slice_hex64(slice_sub(s, i + 1, i + 3), &value)) {
                return false;
            }
            c = (char)value;
            i += 2;
        }
        buf_append(out, &c, 1);
    }
    return true;
}
