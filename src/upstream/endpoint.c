/* upstream/endpoint.c - endpoints and how they fare. */
#include "upstream/endpoint.h"

#include "base/limits.h"
#include "base/log.h"
#include "upstream/rules.h"

#include <stdlib.h>

#define UNHEALTHY_MIN_MS 10000
#define UNHEALTHY_MAX_MS 300000
/* So many failures and no answer, before an endpoint is shut. */
#define SHUT_FAILS 5
#define SHUT_MAX_MS 60000
/* However slow it has become, a stall is told by then: so many times limits.hedge. */
#define PATIENCE_MAX 8

/* A path that holds /v2 is used as it stands, any other has it added. */
static void take_path(struct endpoint *e, struct slice path)
{
    size_t at = 0;

    while (path.len > 0 && path.p[path.len - 1] == '/') {
        path.len--;
    }
    while (at < path.len && !(slice_starts(slice_from(path, at), "/v2") &&
                              (at + 3 == path.len || path.p[at + 3] == '/'))) {
        at++;
    }
    e->path = xasprintf(SLICE_FMT "%s", SLICE_ARG(path), at < path.len ? "" : "/v2");
    e->below = e->path + at + 3;
    e->below += e->below[0] == '/';
}

int endpoint_init(struct endpoint *e, const char *url, bool ns, struct err *err)
{
    struct http_url parsed;
    const char *why;

    *e = (struct endpoint){.ns = ns};
    if (!http_url_parse(slice_str(url), &parsed, &why)) {
        return err_set(err, ERR_CONFIG, "%s: %s", url, why);
    }
    if (parsed.user.p != NULL) {
        return err_set(err, ERR_CONFIG,
                       "an endpoint's URL names a user; that belongs under "
                       "credentials");
    }
    if (parsed.query.p != NULL) {
        return err_set(err, ERR_CONFIG, "%s: an endpoint has no query", url);
    }
    e->origin = parsed.origin;
    take_path(e, parsed.path);
    atomic_init(&e->is_private, rules_host_is_private(e->origin.host));
    e->url = xstrdup(url);
    pthread_mutex_init(&e->lock, NULL);
    return 0;
}

void endpoint_fini(struct endpoint *e)
{
    if (e->url == NULL) {
        return;
    }
    free(e->path);
    free(e->url);
    pthread_mutex_destroy(&e->lock);
    e->url = NULL;
}

/* Under the lock, as the next. Whether it was not behind already. */
static bool put_behind(struct endpoint *e, uint64_t now_ms)
{
    uint64_t pause = (uint64_t)UNHEALTHY_MIN_MS << (e->fails < 8 ? e->fails : 8);

    if (e->unhealthy_until > now_ms) {
        return false;
    }
    e->fails++;
    e->unhealthy_until = now_ms + (pause < UNHEALTHY_MAX_MS ? pause : UNHEALTHY_MAX_MS);
    return true;
}

/* What fails while it is shut was under way before, or was the one question of a pause, which set
 * the next pause as it went. */
static bool shut_if_hopeless(struct endpoint *e, uint64_t now_ms)
{
    if (e->in_a_row++ == 0) {
        e->failing_since = now_ms;
    }
    if (e->shut_until != 0 || e->in_a_row < SHUT_FAILS ||
        now_ms < e->failing_since + limits.breaker) {
        return false;
    }
    e->pause = limits.breaker_pause;
    e->shut_until = now_ms + e->pause;
    return true;
}

void endpoint_failed(struct endpoint *e, uint64_t now_ms)
{
    unsigned fails;
    bool shut;

    pthread_mutex_lock(&e->lock);
    ignore_result(put_behind(e, now_ms));
    shut = shut_if_hopeless(e, now_ms);
    fails = e->in_a_row;
    pthread_mutex_unlock(&e->lock);
    if (shut) {
        log_event(LOG_WARN, "upstream.shut",
                  "%s failed %u times in a row: it is only asked now and then until it answers",
                  e->url, fails);
    }
}

void endpoint_worked(struct endpoint *e)
{
    bool was_shut;

    pthread_mutex_lock(&e->lock);
    was_shut = e->shut_until != 0;
    e->fails = 0;
    e->unhealthy_until = 0;
    e->in_a_row = 0;
    e->shut_until = 0;
    pthread_mutex_unlock(&e->lock);
    if (was_shut) {
        log_event(LOG_INFO, "upstream.open", "%s answers again", e->url);
    }
}

void endpoint_lagged(struct endpoint *e, uint64_t now_ms, const char *why)
{
    uint64_t until;
    bool is_new;

    pthread_mutex_lock(&e->lock);
    is_new = put_behind(e, now_ms);
    until = e->unhealthy_until;
    pthread_mutex_unlock(&e->lock);
    if (is_new) {
        log_event(LOG_INFO, "upstream.slow", "%s %s: others are asked before it for %llu s", e->url,
                  why, (unsigned long long)(until - now_ms) / 1000);
    }
}

/* As TCP finds out when to send again (RFC 6298 2): a mean, and how far from it answers are. */
void endpoint_took(struct endpoint *e, uint64_t ms)
{
    int64_t took = (int64_t)ms;

    pthread_mutex_lock(&e->lock);
    if (e->usual_ms == 0) {
        e->usual_ms = took;
        e->spread_ms = took / 2;
    } else {
        int64_t off = took > e->usual_ms ? took - e->usual_ms : e->usual_ms - took;

        e->spread_ms += (off - e->spread_ms) / 4;
        e->usual_ms += (took - e->usual_ms) / 8;
    }
    pthread_mutex_unlock(&e->lock);
}

uint64_t endpoint_patience(struct endpoint *e)
{
    uint64_t usual;

    pthread_mutex_lock(&e->lock);
    usual = (uint64_t)(e->usual_ms + 4 * e->spread_ms);
    pthread_mutex_unlock(&e->lock);
    if (usual > PATIENCE_MAX * limits.hedge) {
        return PATIENCE_MAX * limits.hedge;
    }
    return usual > limits.hedge ? usual : limits.hedge;
}

bool endpoint_admits(struct endpoint *e, uint64_t now_ms, uint64_t *ret_wait)
{
    bool admits;

    pthread_mutex_lock(&e->lock);
    admits = e->shut_until <= now_ms;
    if (admits && e->shut_until != 0) {
        e->pause = 2 * e->pause < SHUT_MAX_MS ? 2 * e->pause : SHUT_MAX_MS;
        e->shut_until = now_ms + e->pause;
    } else if (!admits) {
        *ret_wait = e->shut_until - now_ms;
    }
    pthread_mutex_unlock(&e->lock);
    return admits;
}

bool endpoint_is_shut(struct endpoint *e, uint64_t now_ms)
{
    bool shut;

    pthread_mutex_lock(&e->lock);
    shut = e->shut_until > now_ms;
    pthread_mutex_unlock(&e->lock);
    return shut;
}

bool endpoint_is_healthy(struct endpoint *e, uint64_t now_ms)
{
    bool healthy;

    pthread_mutex_lock(&e->lock);
    healthy = e->unhealthy_until <= now_ms;
    pthread_mutex_unlock(&e->lock);
    return healthy;
}

void endpoint_learn(struct endpoint *e, const struct challenge *c)
{
    pthread_mutex_lock(&e->lock);
    e->challenge = *c;
    pthread_mutex_unlock(&e->lock);
}

void endpoint_challenge(struct endpoint *e, struct challenge *ret)
{
    pthread_mutex_lock(&e->lock);
    *ret = e->challenge;
    pthread_mutex_unlock(&e->lock);
}
