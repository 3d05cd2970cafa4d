/* upstream/upstream.c - the list of upstreams. */
#include "upstream/upstream.h"

#include "base/log.h"
#include "net/tls.h"
#include "upstream/upstream_impl.h"

#include <stdio.h>
#include <stdlib.h>

#define SHORT_PERCENT 10
#define SHORT_LEFT 5 /* where nothing is said of the whole */
#define SHORT_LOOK_MS (10 * 60 * 1000)
#define SHORT_MIN_MS 60000
#define SECRET_THREADS 2
#define LATE_MS 10000

static const char **copy_list(const char *const *list, size_t n)
{
    const char **copy = xcalloc(n, sizeof(*copy));

    for (size_t i = 0; i < n; i++) {
        copy[i] = xstrdup(list[i]);
    }
    return copy;
}

static void free_list(const char **list, size_t n)
{
    for (size_t i = 0; list != NULL && i < n; i++) {
        char *text;

        memcpy(&text, &list[i], sizeof(text));
        free(text);
    }
    free(list);
}

static int add_endpoints(struct upstream *u, const struct upstream_options *o, struct err *err)
{
    _cleanup_free_ char *built_in = xasprintf(
        "https://%s", strcmp(o->name, "docker.io") == 0 ? "registry-1.docker.io" : o->name);

    if (o->n_endpoints == 0) {
        u->n_endpoints = 1;
        return endpoint_init(&u->endpoints[0], built_in, false, err);
    }
    for (size_t i = 0; i < o->n_endpoints; i++) {
        if (i == ENDPOINTS_MAX) {
            return err_set(err, ERR_CONFIG, "%s: more than %d endpoints", o->name, ENDPOINTS_MAX);
        }
        if (endpoint_init(&u->endpoints[i], o->endpoints[i],
                          o->endpoint_ns != NULL && o->endpoint_ns[i], err) < 0) {
            return err_wrap(err, "upstream %s", o->name);
        }
        u->n_endpoints = i + 1;
    }
    return 0;
}

static int upstream_init(struct upstream *u, const struct upstream_options *o, struct err *err)
{
    u->name = xstrdup(o->name);
    hedge_budget_init(&u->hedges);
    u->credentials = xcalloc(o->n_credentials, sizeof(*u->credentials));
    u->n_credentials = o->n_credentials;
    for (size_t i = 0; i < o->n_credentials; i++) {
        if (u->all->secrets == NULL && credential_is_read(&o->credentials[i])) {
            u->all->secrets = pool_new("secrets", SECRET_THREADS);
        }
        credential_init(&u->credentials[i], o->name, &o->credentials[i], u->all->secrets);
    }
    u->trusted_realms = copy_list(o->trusted_realms, o->n_trusted_realms);
    u->n_trusted_realms = o->n_trusted_realms;
    u->redirect_hosts = copy_list(o->redirect_hosts, o->n_redirect_hosts);
    u->n_redirect_hosts = o->n_redirect_hosts;
    if (add_endpoints(u, o, err) < 0) {
        return -1;
    }
    if (o->ca_file == NULL && !o->insecure) {
        return 0; /* the client's own trust: the system's CAs are not loaded once an upstream */
    }
    u->trust = tls_trust_new(o->ca_file, o->insecure, err);
    return u->trust == NULL ? err_wrap(err, "upstream %s", o->name) : 0;
}

static void upstream_fini(struct upstream *u)
{
    for (size_t i = 0; i < u->n_endpoints; i++) {
        endpoint_fini(&u->endpoints[i]);
    }
    tls_trust_free(u->trust);
    free_list(u->trusted_realms, u->n_trusted_realms);
    free_list(u->redirect_hosts, u->n_redirect_hosts);
    free(u->name);
    for (size_t i = 0; i < u->n_credentials; i++) {
        credential_fini(&u->credentials[i]);
    }
    free(u->credentials);
}

struct upstreams *upstreams_new(const struct upstream_options *options, size_t n,
                                struct http_client *client, struct err *err)
{
    struct upstreams *all = xnew(struct upstreams);

    all->client = client;
    all->list = xcalloc(n, sizeof(*all->list));
    all->tokens = token_table_new();
    if (proxyenv_read(&all->proxyenv, err) < 0) {
        upstreams_free(all);
        return NULL;
    }
    for (size_t i = 0; i < n; i++) {
        struct upstream *u = &all->list[i];

        u->all = all;
        all->n = i + 1;
        if (upstream_init(u, &options[i], err) < 0) {
            upstreams_free(all);
            return NULL;
        }
        for (size_t k = 0; k < u->n_endpoints; k++) {
            u->endpoints[k].proxy = proxyenv_for(&all->proxyenv, &u->endpoints[k].origin);
        }
    }
    return all;
}

void upstreams_free(struct upstreams *all)
{
    if (all == NULL) {
        return;
    }
    pool_free(all->secrets);
    token_table_free(all->tokens);
    for (size_t i = 0; i < all->n; i++) {
        upstream_fini(&all->list[i]);
    }
    proxyenv_free(&all->proxyenv);
    free(all->list);
    free(all);
}

void upstream_hold(struct upstream *u)
{
    atomic_fetch_add(&u->all->held, 1);
}

void upstream_release(struct upstream *u)
{
    atomic_fetch_sub(&u->all->held, 1);
}

bool upstreams_busy(const struct upstreams *all)
{
    return atomic_load(&all->held) > 0;
}

struct upstream *upstreams_at(struct upstreams *u, size_t i)
{
    return &u->list[i];
}

/* --- how it fares --------------------------------------------------------------------------- */

static void be_short(struct upstream *u, uint64_t ms, uint64_t now_ms, const char *why)
{
    uint64_t until = now_ms + (ms < SHORT_LOOK_MS ? ms : SHORT_LOOK_MS);
    uint64_t before = atomic_exchange(&u->short_until, until);

    if (before <= now_ms) {
        log_event(
            LOG_WARN, "upstream.short",
            "%s: %s: tags that are here are answered without asking it, nothing is prefetched",
            u->name, why);
    }
}

void upstream_rate(struct upstream *u, uint64_t limit, uint64_t left, uint64_t window,
                   uint64_t now_ms)
{
    bool low = limit > 0 ? left <= limit / 100 * SHORT_PERCENT + limit % 100 * SHORT_PERCENT / 100
                         : left <= SHORT_LEFT;

    if (low) {
        be_short(u, window == 0 || window > SHORT_LOOK_MS ? SHORT_LOOK_MS : window * 1000, now_ms,
                 "little of its rate limit is left");
    } else {
        atomic_store(&u->short_until, 0);
    }
}

void upstream_rate_exceeded(struct upstream *u, unsigned seconds, uint64_t now_ms)
{
    be_short(u, seconds > 0 ? (uint64_t)seconds * 1000 : SHORT_MIN_MS, now_ms,
             "it allows no more requests now (429)");
}

bool upstream_is_short(const struct upstream *u, uint64_t now_ms)
{
    return atomic_load(&u->short_until) > now_ms;
}

void upstream_was_late(struct upstream *u, uint64_t now_ms)
{
    atomic_store(&u->late_until, now_ms + LATE_MS);
}

void upstream_answered(struct upstream *u)
{
    atomic_store(&u->late_until, 0);
}

bool upstream_put_behind(struct upstream *u, struct endpoint *e, uint64_t now_ms)
{
    bool other = false;

    for (size_t i = 0; i < u->n_endpoints; i++) {
        other = other || (&u->endpoints[i] != e && endpoint_is_healthy(&u->endpoints[i], now_ms));
    }
    if (other) {
        endpoint_lagged(e, now_ms, "lets a body drip");
    }
    return other;
}

bool upstream_is_troubled(struct upstream *u, uint64_t now_ms)
{
    bool any = false;

    for (size_t i = 0; i < u->n_endpoints; i++) {
        any = any || !endpoint_is_shut(&u->endpoints[i], now_ms);
    }
    return !any || atomic_load(&u->late_until) > now_ms;
}

/* --- what it is ----------------------------------------------------------------------------- */

const char *upstream_name(const struct upstream *u)
{
    return u->name;
}

struct credential *upstream_credential_for(const struct upstream *u, const char *repo)
{
    return credential_choose(u->credentials, u->n_credentials, repo);
}

uint64_t upstream_credential(const struct upstream *u, const char *repo)
{
    const struct credential *c = upstream_credential_for(u, repo);

    return c == NULL ? 0 : c->id;
}

bool upstream_has_credentials(const struct upstream *u)
{
    return u->n_credentials > 0;
}

struct rules upstream_rules(const struct upstream *u, const struct endpoint *e)
{
    return (struct rules){
        .upstream = u->name,
        .endpoint = &e->origin,
        .trusted_realms = u->trusted_realms,
        .n_trusted_realms = u->n_trusted_realms,
        .redirect_hosts = u->redirect_hosts,
        .n_redirect_hosts = u->n_redirect_hosts,
        .is_private = atomic_load(&e->is_private),
    };
}
