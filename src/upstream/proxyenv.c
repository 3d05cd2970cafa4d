/* upstream/proxyenv.c - which origin goes through which proxy. */
#include "upstream/proxyenv.h"

#include "net/address.h"

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

static int check_url(const char *name, const char *url, struct err *err)
{
    struct http_url parsed;
    const char *why;

    if (url == NULL) {
        return 0;
    }
    if (!http_url_parse(slice_str(url), &parsed, &why)) {
        return err_set(err, ERR_CONFIG, "%s must be http://[USER:PASSWORD@]HOST:PORT: %s", name,
                       why);
    }
    if (parsed.origin.tls) {
        return err_set(err, ERR_CONFIG, "%s: proxies are spoken to by http:// only", name);
    }
    return 0;
}

int proxyenv_read(struct proxyenv *p, struct err *err)
{
    p->https = env_url("HTTPS_PROXY", "https_proxy");
    p->http = env_url("HTTP_PROXY", "http_proxy");
    p->no_proxy = env_either("NO_PROXY", "no_proxy");
    if (check_url("HTTPS_PROXY", p->https, err) < 0) {
        return -1;
    }
    return check_url("HTTP_PROXY", p->http, err);
}

void proxyenv_free(struct proxyenv *p)
{
    free(p->https);
    free(p->http);
    free(p->no_proxy);
    *p = (struct proxyenv){0};
}

static bool parse_address(struct slice host, struct address *ret)
{
    char text[ADDRESS_TEXT_MAX];

    if (host.len > 2 && host.p[0] == '[' && host.p[host.len - 1] == ']') {
        host = slice_sub(host, 1, host.len - 1);
    }
    return slice_copy(host, text, sizeof(text)) && address_parse(text, ret);
}

static bool is_loopback(const char *host)
{
    struct address a;

    return strcasecmp(host, "localhost") == 0 ||
           (address_parse(host, &a) && address_is_loopback(&a));
}

/* "10.0.0.0/8" */
static bool in_network(struct slice entry, const char *host)
{
    size_t slash = slice_find(entry, '/');
    struct address net;
    struct address a;
    uint64_t bits;

    return parse_address(slice_sub(entry, 0, slash), &net) && address_parse(host, &a) &&
           slice_u64(slice_from(entry, slash + 1), &bits) && bits <= net.size * 8u &&
           address_in(&a, &net, (unsigned)bits);
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
    struct address a;
    struct address b;
    uint64_t port;

    if (slice_is(entry, "*")) {
        return true;
    }
    if (slice_find(entry, '/') < entry.len) {
        return in_network(entry, o->host);
    }
    if (colon < entry.len && (slice_find(entry, ':') == colon || entry.p[colon - 1] == ']') &&
        slice_u64(slice_from(entry, colon + 1), &port)) {
        if (port != o->port) {
            return false;
        }
        entry = slice_sub(entry, 0, colon);
    }
    if (parse_address(entry, &a)) {
        return address_parse(o->host, &b) && address_in(&a, &b, b.size * 8u);
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
