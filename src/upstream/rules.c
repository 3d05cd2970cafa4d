/* upstream/rules.c - the rules, as pure functions. */
#include "upstream/rules.h"

#include "net/address.h"

#include <stdio.h>
#include <strings.h>
#include <time.h>

#define RETRY_AFTER_MAX 3600

/* Token servers that are known to belong to an upstream. */
static const struct {
    const char *upstream;
    const char *realm;
} BUILT_IN[] = {
    {"docker.io", "auth.docker.io"},
    {"registry.gitlab.com", "gitlab.com"},
};

bool rules_host_is_private(const char *host)
{
    struct address a;

    if (strcmp(host, "localhost") == 0 || slice_ends(slice_str(host), ".localhost")) {
        return true;
    }
    return address_parse(host, &a) && !address_is_public(&a);
}

static bool is_listed(const char *const *list, size_t n, const char *host)
{
    for (size_t i = 0; i < n; i++) {
        if (strcasecmp(list[i], host) == 0) {
            return true;
        }
    }
    return false;
}

static bool is_built_in(const char *upstream, const char *host)
{
    for (size_t i = 0; i < ARRAY_LEN(BUILT_IN); i++) {
        if (strcmp(BUILT_IN[i].upstream, upstream) == 0 && strcmp(BUILT_IN[i].realm, host) == 0) {
            return true;
        }
    }
    return false;
}

int rules_realm(const struct rules *r, const struct http_origin *realm, bool *ret_public_only,
                struct err *err)
{
    bool same = strcasecmp(realm->host, r->endpoint->host) == 0 ||
                strcasecmp(realm->host, r->upstream) == 0;
    bool listed = is_listed(r->trusted_realms, r->n_trusted_realms, realm->host);

    if (!same && !listed && !is_built_in(r->upstream, realm->host)) {
        return err_set(err, ERR_UPSTREAM_REFUSED,
                       "%s wants tokens from %s, which is not its own; add it to trusted_realms if "
                       "it may have them",
                       r->upstream, realm->host);
    }
    if (r->endpoint->tls && !realm->tls) {
        return err_set(err, ERR_UPSTREAM_REFUSED, "%s wants tokens from %s without TLS",
                       r->upstream, realm->host);
    }
    *ret_public_only = !same && !listed && !r->is_private;
    return 0;
}

int rules_redirect(const struct rules *r, const struct http_origin *from,
                   const struct http_origin *to, bool *ret_public_only, struct err *err)
{
    bool same = strcasecmp(to->host, r->endpoint->host) == 0;
    bool listed = is_listed(r->redirect_hosts, r->n_redirect_hosts, to->host);

    if (from->tls && !to->tls) {
        return err_set(err, ERR_UPSTREAM_PROTOCOL, "%s redirects from https to http (%s)",
                       r->upstream, to->host);
    }
    *ret_public_only = !same && !listed && !r->is_private;
    return 0;
}

unsigned rules_retry_after(struct slice value, int64_t now)
{
    char text[64];
    struct tm tm = {0};
    uint64_t seconds;
    int64_t at;

    value = slice_trim(value);
    if (slice_u64(value, &seconds)) {
        return seconds > RETRY_AFTER_MAX ? RETRY_AFTER_MAX : (unsigned)seconds;
    }
    if (!slice_copy(value, text, sizeof(text)) ||
        strptime(text, "%a, %d %b %Y %H:%M:%S GMT", &tm) == NULL) {
        return 0;
    }
    at = timegm(&tm) - now;
    return at <= 0 ? 0 : at > RETRY_AFTER_MAX ? RETRY_AFTER_MAX : (unsigned)at;
}

bool rules_rate(struct slice field, uint64_t *ret_n, uint64_t *ret_window)
{
    struct slice n;

    *ret_window = 0;
    if (field.p == NULL || !slice_split(&field, ';', &n) || !slice_u64(slice_trim(n), ret_n)) {
        return false;
    }
    while (slice_split(&field, ';', &n)) {
        n = slice_trim(n);
        if (slice_starts(n, "w=")) {
            ignore_result(!slice_u64(slice_from(n, 2), ret_window));
        }
    }
    return true;
}

struct slice rules_link_next(struct slice value)
{
    struct slice rest = value;
    size_t open;
    size_t close;

    while (rest.len > 0) {
        struct slice params;

        open = slice_find(rest, '<');
        close = slice_find(rest, '>');
        if (open >= close || close == rest.len) {
            return SLICE_NULL;
        }
        params = slice_from(rest, close + 1);
        params = slice_sub(params, 0, slice_find(params, '<'));
        if (memmem(params.p, params.len, "rel=\"next\"", 10) != NULL ||
            memmem(params.p, params.len, "rel=next", 8) != NULL) {
            return slice_sub(rest, open + 1, close);
        }
        rest = slice_from(rest, close + 1 + params.len);
    }
    return SLICE_NULL;
}

void rules_scope(const char *challenge_scope, const char *repo, bool own, struct buf *out)
{
    bool names_one = strstr(challenge_scope, "repository:") != NULL;

    if (challenge_scope[0] != '\0' && (own || !names_one)) {
        buf_str(out, challenge_scope);
    } else {
        buf_printf(out, "repository:%s:pull", repo);
    }
}

int rules_weight(enum err_code code)
{
    switch (code) {
    case ERR_NONE:
        return 0;
    case ERR_MANIFEST_UNKNOWN:
    case ERR_BLOB_UNKNOWN:
    case ERR_NAME_UNKNOWN:
        return 1;
    case ERR_UPSTREAM_REFUSED:
    case ERR_UNSUPPORTED:
    case ERR_RANGE:
        return 2;
    default:
        return 3;
    }
}

const char *rules_words(enum err_code code)
{
    switch (code) {
    case ERR_MANIFEST_UNKNOWN:
    case ERR_BLOB_UNKNOWN:
    case ERR_NAME_UNKNOWN:
        return "has no";
    case ERR_UPSTREAM_REFUSED:
        return "refuses";
    case ERR_TOO_MANY:
        return "allows no more requests now, for";
    case ERR_RANGE:
        return "has no such range of";
    default:
        return "cannot answer for";
    }
}
