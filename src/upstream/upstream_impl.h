/* upstream/upstream_impl.h - what the files of upstream/ share. Not for other folders. */
#ifndef UPSTREAM_UPSTREAM_IMPL_H
#define UPSTREAM_UPSTREAM_IMPL_H

#include "upstream/endpoint.h"
#include "upstream/hedge.h"
#include "upstream/proxyenv.h"
#include "upstream/rules.h"
#include "upstream/token.h"
#include "upstream/upstream.h"

#define ENDPOINTS_MAX 16

/* Owner: the list. Constant but for what its parts lock. */
struct upstream {
    struct upstreams *all;
    char *name;
    struct endpoint endpoints[ENDPOINTS_MAX];
    size_t n_endpoints;
    struct hedge_budget hedges;
    struct credential *credentials;
    size_t n_credentials;
    _Atomic uint64_t short_until; /* monotonic ms; 0: there is enough left, or nothing is known */
    _Atomic uint64_t late_until;
    struct tls_trust *trust; /* NULL: the client's, which is the system's CAs */
    const char **trusted_realms;
    size_t n_trusted_realms;
    const char **redirect_hosts;
    size_t n_redirect_hosts;
};

struct upstreams {
    struct upstream *list;
    size_t n;
    struct http_client *client;
    struct proxyenv proxyenv;
    struct token_table *tokens;
    struct pool *secrets; /* reads credentials; NULL: all are constant */
    atomic_uint held;
};

/* The rules as they are for this endpoint; borrows. */
struct rules upstream_rules(const struct upstream *u, const struct endpoint *e);

/* What the headers of Docker Hub's rate limit say: `left` of `limit` requests (0: not told) in
 * `window` seconds (0: not told). */
void upstream_rate(struct upstream *u, uint64_t limit, uint64_t left, uint64_t window,
                   uint64_t now_ms);
/* It allowed no more requests: 429, and for how many seconds (0: not told). */
void upstream_rate_exceeded(struct upstream *u, unsigned seconds, uint64_t now_ms);
void upstream_answered(struct upstream *u);
/* Its endpoint `e` is too slow: it comes behind the others where one of them is well; false: it is
 * the best there is. */
bool upstream_put_behind(struct upstream *u, struct endpoint *e, uint64_t now_ms);

/* The credential for a repository; NULL: none. */
struct credential *upstream_credential_for(const struct upstream *u, const char *repo);

#endif
