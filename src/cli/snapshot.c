/* cli/snapshot.c - from the configuration's words to what requests are answered with. */
#include "cli/snapshot.h"

#include "base/counter.h"

#include <stdlib.h>

struct snapshot *snapshot_new(struct config *config)
{
    struct snapshot *s = xnew(struct snapshot);

    list_init(&s->node);
    s->config = config;
    open_rules_make(config, &s->rules);
    s->routes = config_routes(config);
    count_add(configurations, 1);
    return s;
}

/* The caller frees it. */
static struct credential_options *credential_list(const struct config_upstream *u)
{
    struct credential_options *list = xcalloc(u->n_credentials, sizeof(*list));

    for (size_t i = 0; i < u->n_credentials; i++) {
        const struct config_credential *k = &u->credentials[i];

        list[i] = (struct credential_options){
            .repositories = (const char *const *)k->repositories,
            .n_repositories = k->n_repositories,
            .user = k->user,
            .password = k->password,
            .password_file = k->password_file,
            .identity_token = k->identity_token,
            .docker_config = k->docker_config,
            .helper = k->helper,
            .server = k->server,
        };
    }
    return list;
}

static int make_upstreams(struct snapshot *s, struct http_client *client, struct err *err)
{
    size_t n = s->config->n_upstreams;
    struct upstream_options *options = xcalloc(n, sizeof(*options));

    for (size_t i = 0; i < n; i++) {
        const struct config_upstream *u = &s->config->upstreams[i];

        options[i] = (struct upstream_options){
            .name = u->name,
            .endpoints = (const char *const *)u->endpoints,
            .endpoint_ns = u->endpoint_ns,
            .n_endpoints = u->n_endpoints,
            .credentials = credential_list(u),
            .n_credentials = u->n_credentials,
            .ca_file = u->ca_file,
            .insecure = u->insecure,
            .trusted_realms = (const char *const *)u->trusted_realms,
            .n_trusted_realms = u->n_trusted_realms,
            .redirect_hosts = (const char *const *)u->redirect_hosts,
            .n_redirect_hosts = u->n_redirect_hosts,
        };
    }
    s->upstreams = upstreams_new(options, n, client, err);
    for (size_t i = 0; i < n; i++) {
        struct credential_options *list;

        memcpy(&list, &options[i].credentials, sizeof(list));
        free(list);
    }
    free(options);
    if (s->upstreams == NULL) {
        return -1;
    }
    s->upstream_list = xcalloc(n, sizeof(*s->upstream_list));
    for (size_t i = 0; i < n; i++) {
        s->upstream_list[i] = upstreams_at(s->upstreams, i);
    }
    return 0;
}

static int make_users(struct snapshot *s, bool alone, struct err *err)
{
    struct err why = {0};

    if (s->config->htpasswd == NULL || alone) {
        return 0;
    }
    s->users = users_new(s->config->htpasswd, &why);
    return s->users != NULL ? 0 : err_set(err, why.code, "auth.htpasswd: %s", why.text);
}

static void make_grants(struct snapshot *s)
{
    const struct config *c = s->config;

    s->rules_of_access = xcalloc(c->n_access + 1, sizeof(*s->rules_of_access));
    for (size_t i = 0; i < c->n_access; i++) {
        const struct config_access *a = &c->access[i];

        s->rules_of_access[i] = (struct grant){
            .everybody = a->everybody,
            .users = (const char *const *)a->users,
            .n_users = a->n_users,
            .certificates = (const char *const *)a->certificates,
            .n_certificates = a->n_certificates,
            .repositories = (const char *const *)a->repositories,
            .n_repositories = a->n_repositories,
            .actions = a->actions,
        };
    }
    s->grants = (struct grants){s->rules_of_access, c->n_access};
}

int snapshot_fill(struct snapshot *s, const struct snapshot_ground *ground, struct err *err)
{
    struct registry_options options = {
        .cache = ground->cache,
        .options = &s->config->cache,
        .routes = s->routes,
        .lock = s->config->lock,
        .lock_path = s->config->lock_path,
        .key = ground->key,
    };

    if (make_upstreams(s, ground->client, err) < 0 || make_users(s, ground->alone, err) < 0) {
        return -1;
    }
    options.upstreams = s->upstream_list;
    options.users = s->users;
    make_grants(s);
    options.grants = s->config->has_access ? &s->grants : NULL;
    s->registry = registry_new(&options);
    s->control = control_new(&(struct admin){ground->store, s->routes, NULL});
    return 0;
}

void snapshot_set_listeners(struct snapshot *s, const char *const *addresses, size_t n)
{
    s->routes->listeners = addresses;
    s->routes->n_listeners = n;
}

void snapshot_free(struct snapshot *s)
{
    if (s == NULL) {
        return;
    }
    control_free(s->control);
    registry_free(s->registry);
    users_free(s->users);
    free(s->rules_of_access);
    upstreams_free(s->upstreams);
    free(s->upstream_list);
    free(s->routes);
    open_rules_free(&s->rules);
    config_free(s->config);
    free(s);
    count_add(configurations, -1);
}

unsigned snapshot_live(const struct snapshot *s)
{
    return registry_live(s->registry) + control_live(s->control);
}

bool snapshot_is_busy(const struct snapshot *s)
{
    return snapshot_live(s) > 0 || upstreams_busy(s->upstreams);
}
