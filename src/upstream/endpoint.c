/* upstream/endpoint.c - endpoints and how they fare. */
#include "upstream/endpoint.h"

#include <stdlib.h>

#define UNHEALTHY_MIN_MS 10000
#define UNHEALTHY_MAX_MS 300000

/* A path that holds /v2 is used as it stands, any other has it added. */
static char *api_path(struct slice path)
{
    bool has = false;

    while (path.len > 0 && path.p[path.len - 1] == '/') {
        path.len--;
    }
    for (size_t i = 0; i + 3 <= path.len; i++) {
        has = has ||
              (memcmp(path.p + i, "/v2", 3) == 0 && (i + 3 == path.len || path.p[i + 3] == '/'));
    }
    return xasprintf(SLICE_FMT "%s", SLICE_ARG(path), has ? "" : "/v2");
}

int endpoint_init(struct endpoint *e, const char *url, bool ns, struct err *err)
{
    struct http_url parsed;
    const char *why;

    *e = (struct endpoint){.ns = ns};
    if (!http_url_parse(slice_str(url), &parsed, &why)) {
        return err_set(err, ERR_CONFIG, "%s: %s", url, why);
    }
    e->origin = parsed.origin;
    e->path = api_path(parsed.path);
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

void endpoint_failed(struct endpoint *e, uint64_t now_ms)
{
    uint64_t pause;

    pthread_mutex_lock(&e->lock);
    pause = (uint64_t)UNHEALTHY_MIN_MS << (e->fails < 8 ? e->fails : 8);
    e->fails++;
    e->unhealthy_until = now_ms + (pause < UNHEALTHY_MAX_MS ? pause : UNHEALTHY_MAX_MS);
    pthread_mutex_unlock(&e->lock);
}

void endpoint_worked(struct endpoint *e)
{
    pthread_mutex_lock(&e->lock);
    e->fails = 0;
    e->unhealthy_until = 0;
    pthread_mutex_unlock(&e->lock);
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
