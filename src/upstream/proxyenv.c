/* upstream/proxyenv.c - which origin goes through which proxy. */
#include "upstream/proxyenv.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

static char *env_either(const char *upper, const char *lower)
{
    const char *value = getenv(upper);

    if (value == NULL || value[0] == '\0') {
        value = getenv(lower);
    }
    return value == NULL || value[0] == '\0' ? NULL : xstrdup(value);
}

static char *env_url(const char *upper, const char *lower)
{
    char *value = env_either(upper, lower);
    char *url;

    if (value == NULL || strstr(value, "://") != NULL) {
        return value;
    }
    url = xasprintf("http://%s", value);
    free(value);
    return url;
}

void proxyenv_read(struct proxyenv *p)
{
    p->https = env_url("HTTPS_PROXY", "https_proxy");
    p->http = env_url("HTTP_PROXY", "http_proxy");
    p->no_proxy = env_either("NO_PROXY", "no_proxy");
}

void proxyenv_free(struct proxyenv *p)
{
    free(p->https);
    free(p->http);
    free(p->no_proxy);
    *p = (struct proxyenv){0};
}

/* An address as bytes: 4 or 16 of them, 0 where `host` is none. */
static size_t address_bytes(struct slice host, unsigned char out[16])
{
    char text[64];

    if (!slice_copy(host, text, sizeof(text))) {
        return 0;
    }
    if (inet_pton(AF_INET, text, out) == 1) {
        return 4;
    }
    return inet_pton(AF_INET6, text, out) == 1 ? 16 : 0;
}

static bool is_loopback(const char *host)
{
    unsigned char a[16];
    size_t n = address_bytes(slice_str(host), a);
    static const unsigned char V6_LOOPBACK[16] = {[15] = 1};

    return strcasecmp(host, "localhost") == 0 || (n == 4 && a[0] == 127) ||
           (n == 16 && memcmp(a, V6_LOOPBACK, 16) == 0);
}

/* "10.0.0.0/8" */
static bool in_network(struct slice entry, const char *host)
{
    size_t slash = slice_find(entry, '/');
    unsigned char net[16];
    unsigned char a[16];
    uint64_t bits;
    size_t n = address_bytes(slice_sub(entry, 0, slash), net);

    if (n == 0 || address_bytes(slice_str(host), a) != n ||
        !slice_u64(slice_from(entry, slash + 1), &bits) || bits > 8 * n) {
        return false;
    }
    for (size_t i = 0; i < bits; i++) {
        if (((net[i / 8] ^ a[i / 8]) >> (7 - i % 8) & 1) != 0) {
            return false;
        }
    }
    return true;
}

/* "example.com" is the name and what lies below it, ".example.com" only what lies below. */
static bool name_matches(struct slice entry, struct slice host)
{
    if (entry.len > 0 && entry.p[0] == '*') {
        entry = slice_from(entry, 1);
    }
    if (entry.len > 0 && entry.p[0] == '.') {
        return host.len > entry.len &&
               strncasecmp(host.p + host.len - entry.len, entry.p, entry.len) == 0;
    }
    return (host.len == entry.len && strncasecmp(host.p, entry.p, entry.len) == 0) ||
           (host.len > entry.len + 1 && host.p[host.len - entry.len - 1] == '.' &&
            strncasecmp(host.p + host.len - entry.len, entry.p, entry.len) == 0);
}

static bool entry_matches(struct slice entry, const struct http_origin *o)
{
    size_t colon = slice_rfind(entry, ':');
    uint64_t port;

    if (slice_is(entry, "*")) {
        return true;
    }
    if (slice_find(entry, '/') < entry.len) {
        return in_network(entry, o->host);
    }
    if (colon < entry.len && slice_find(entry, ':') == colon &&
        slice_u64(slice_from(entry, colon + 1), &port)) {
        if (port != o->port) {
            return false;
        }
        entry = slice_sub(entry, 0, colon);
    }
    return name_matches(entry, slice_str(o->host));
}

const char *proxyenv_for(const struct proxyenv *p, const struct http_origin *o)
{
    const char *proxy = o->tls ? p->https : p->http;
    struct slice rest = p->no_proxy == NULL ? SLICE_NULL : slice_str(p->no_proxy);
    struct slice entry;

    if (proxy == NULL || is_loopback(o->host)) {
        return NULL;
    }
    while (slice_split(&rest, ',', &entry)) {
        entry = slice_trim(entry);
        if (entry.len > 0 && entry_matches(entry, o)) {
            return NULL;
        }
    }
    return proxy;
}
