/* cli/check.c - reads a configuration and says what it means. */
#include "cli/check.h"

#include "cli/render.h"

#include <inttypes.h>
#include <stdio.h>

static void print_listeners(const struct config *c)
{
    static const char *const ROLES[] = {
        [ROLE_ALL] = "",
        [ROLE_MIRROR] = " (mirror)",
        [ROLE_REGISTRY] = " (registry)",
        [ROLE_ADMIN] = " (admin)",
    };

    for (size_t i = 0; i < c->n_listeners; i++) {
        const struct config_listener *l = &c->listeners[i];

        printf("%-10s%s%s%s%s%s\n", i == 0 ? "listens" : "", l->address, ROLES[l->role],
               l->certificate != NULL ? ", TLS" : "",
               l->client_ca != NULL ? ", clients need a certificate" : "",
               l->push ? ", takes pushes" : "");
    }
}

static void print_upstreams(const struct config *c)
{
    for (size_t i = 0; i < c->n_upstreams; i++) {
        const struct config_upstream *u = &c->upstreams[i];

        printf("%-10s%s%s", i == 0 ? "mirrors" : "", u->name, u->is_default ? " (default)" : "");
        for (size_t k = 0; k < u->n_endpoints; k++) {
            printf("%s%s", k == 0 ? " from " : ", ", u->endpoints[k]);
        }
        printf("%s%s\n", u->n_credentials > 0 ? ", signed in" : "",
               u->insecure ? ", TLS not verified" : "");
    }
}

static void print_lock(const struct config *c)
{
    if (c->lock != NULL) {
        printf("%-10s%s: %zu image%s\n", "locked to", c->lock_path, c->lock->n,
               render_s(c->lock->n));
    }
}

static void print_retention(const struct config_hosted *h)
{
    if (h->keep_tags > 0) {
        printf(", keeps %" PRIu64 " tag%s", h->keep_tags, render_s(h->keep_tags));
    }
    if (h->expire_after_s > 0) {
        printf(", tags expire after %" PRId64 " s", h->expire_after_s);
    }
    if (h->untagged_after_s > 0) {
        printf(", manifests without tag go after %" PRId64 " s", h->untagged_after_s);
    }
    for (size_t i = 0; i < h->n_protect; i++) {
        printf("%s%s", i == 0 ? ", protects " : " ", h->protect[i]);
    }
}

static void print_hosted(const struct config *c)
{
    for (size_t i = 0; i < c->n_hosted; i++) {
        printf("%-10s%s (%s", i == 0 ? "hosts" : "", c->hosted[i].pattern,
               c->hosted[i].is_cache ? "cache" : "stage");
        print_retention(&c->hosted[i]);
        printf(")\n");
    }
}

static void print_size(uint64_t bytes, unsigned percent)
{
    if (percent > 0) {
        printf("%u%%", percent);
    } else {
        printf("%" PRIu64 " byte%s", bytes, render_s(bytes));
    }
}

static void print_data(const struct config *c)
{
    printf("%-10s%s, at most ", "keeps in", c->data);
    print_size(c->max_size, c->max_percent);
    fputs(", leaves free ", stdout);
    print_size(c->min_free, c->min_free_percent);
    puts(c->cache.offline ? "; offline" : "");
}

int check_run(const struct flags *flags)
{
    struct config_flags f = flags->config;
    struct err err = {0};
    struct config *c;

    if (flags->n_args > 0) {
        if (f.config != NULL) {
            fprintf(stderr, "larder: give FILE or --config, not both; see `larder check --help`\n");
            return 2;
        }
        f.config = flags->args[0];
    }
    c = config_read_whole(&f, true, &err);
    if (c == NULL) {
        fprintf(stderr, "larder: %s\n", err.text);
        return 2;
    }
    printf("%s: ok\n", f.config != NULL ? f.config : "defaults");
    print_listeners(c);
    print_upstreams(c);
    print_lock(c);
    print_hosted(c);
    print_data(c);
    config_free(c);
    return 0;
}
