/*
 * cli/engine.c - the server, wired together.
 *
 * Made from the bottom up, taken down in the opposite order: first no more connections, then no
 * more requests, then the loops, the pools, the store.
 */
#include "cli/engine.h"

#include "admin/control.h"
#include "cache/flight.h"
#include "cache/flow.h"
#include "cli/cpus.h"
#include "cli/doors.h"
#include "cli/open.h"
#include "net/resolve.h"
#include "registry/access.h"
#include "registry/record.h"
#include "registry/registry.h"

#include <assert.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#define DISK_THREADS 8
#define NAMES_THREADS 2
#define LAST_LOOK_MS 5
#define LAST_LOOKS 400

/* One a loop. */
struct worker {
    struct engine *engine;
    struct loop *loop;
    pthread_t thread;
    struct post drain;
    struct post stop;
};

/* Owner: whoever made it. Thread: that one's; its parts say what runs where. */
struct engine {
    struct config *config;
    bool alone; /* only the control socket is listened on */
    struct route_table *routes;
    struct pool *disk;
    struct open_rules rules;
    struct store *store;
    struct worker *workers;
    unsigned n_workers;
    struct resolver *resolver;
    struct http_client *client;
    struct upstreams *upstreams;
    struct upstream **upstream_list;
    struct cache *cache;
    struct users *users;
    struct registry *registry;
    struct control *control;
    struct http_server *server;
    struct listeners *listeners;
    struct doors doors;
};

/* --- requests and connections -------------------------------------------------------------- */

/* Without access rules this machine may see everything. */
static bool is_operators(const struct http_listener *l)
{
    return l->role == ROLE_ALL && access_is_local(l->text);
}

/* The control socket is the registry's too, for commands that read or write whole images. */
static bool is_for_control(const struct http_exchange *x)
{
    const struct http_listener *l = x->listener;

    if (l->role == ROLE_CONTROL) {
        return slice_starts(x->head.path, CONTROL_PREFIX) || control_takes(x, true);
    }
    return l->role == ROLE_ADMIN || control_takes(x, is_operators(l));
}

static void on_exchange(struct http_exchange *x)
{
    struct engine *s = x->context;

    if (is_for_control(x)) {
        control_handle(s->control, x);
    } else {
        registry_handle(s->registry, x);
    }
}

static void on_exchange_ended(struct http_exchange *x)
{
    struct engine *s = x->context;

    if (x->user != NULL || !is_for_control(x)) {
        registry_ended(s->registry, x);
    }
}

static void on_accepted(void *context, struct loop *l, unsigned i, int fd, const char *peer)
{
    struct engine *s = context;

    http_server_accept(s->server, l, fd, &s->doors.all[i], peer);
}

static unsigned on_load(void *context, const struct loop *l)
{
    struct engine *s = context;

    return http_server_load(s->server, l);
}

/* --- workers ------------------------------------------------------------------------------- */

static void *worker_thread(void *arg)
{
    struct worker *w = arg;

    loop_run(w->loop);
    record_flush_fini();
    return NULL;
}

static void on_drain(struct post *p)
{
    struct worker *w = container_of(p, struct worker, drain);

    http_server_drain(w->engine->server, w->loop);
}

static void on_stop(struct post *p)
{
    struct worker *w = container_of(p, struct worker, stop);

    http_server_stop(w->engine->server, w->loop);
}

static void workers_make(struct engine *s)
{
    s->n_workers = s->config->workers != 0 ? s->config->workers : cpus_allowed();
    if (s->n_workers > LOOPS_MAX) {
        s->n_workers = LOOPS_MAX;
    }
    s->workers = xcalloc(s->n_workers, sizeof(*s->workers));
    for (unsigned i = 0; i < s->n_workers; i++) {
        s->workers[i].engine = s;
        s->workers[i].loop = loop_new();
        post_init(&s->workers[i].drain, on_drain);
        post_init(&s->workers[i].stop, on_stop);
    }
}

static void workers_start(struct engine *s)
{
    for (unsigned i = 0; i < s->n_workers; i++) {
        int failed = pthread_create(&s->workers[i].thread, NULL, worker_thread, &s->workers[i]);
        char name[24];

        assert(failed == 0);
        snprintf(name, sizeof(name), "worker%u", i);
        pthread_setname_np(s->workers[i].thread, name);
    }
}

/* Requests whose connections were cut still give back what they hold, and blobs that were answered
 * are still recorded. */
static bool still_busy(const struct engine *s)
{
    return registry_live(s->registry) > 0 || flight_settling(s->cache) > 0 ||
           control_live(s->control) > 0;
}

static void workers_stop(struct engine *s)
{
    for (unsigned i = 0; i < s->n_workers; i++) {
        loop_post(s->workers[i].loop, &s->workers[i].stop);
    }
    for (unsigned look = 0; look < LAST_LOOKS && still_busy(s); look++) {
        ignore_result(poll(NULL, 0, LAST_LOOK_MS) < 0);
    }
    for (unsigned i = 0; i < s->n_workers; i++) {
        loop_stop(s->workers[i].loop);
    }
    for (unsigned i = 0; i < s->n_workers; i++) {
        pthread_join(s->workers[i].thread, NULL);
    }
}

/* --- making -------------------------------------------------------------------------------- */

static int make_store(struct engine *s, struct err *err)
{
    s->disk = pool_new("disk", DISK_THREADS);
    s->store = open_store(s->config, s->disk, &s->rules, err);
    return s->store == NULL ? -1 : 0;
}

static int make_upstreams(struct engine *s, struct err *err)
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
            .user = u->user,
            .password = u->password,
            .identity_token = u->identity_token,
            .ca_file = u->ca_file,
            .insecure = u->insecure,
            .trusted_realms = (const char *const *)u->trusted_realms,
            .n_trusted_realms = u->n_trusted_realms,
            .redirect_hosts = (const char *const *)u->redirect_hosts,
            .n_redirect_hosts = u->n_redirect_hosts,
        };
    }
    s->upstreams = upstreams_new(options, n, s->client, err);
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

static int make_users(struct engine *s, struct err *err)
{
    struct err why = {0};

    if (s->config->htpasswd == NULL || s->alone) {
        return 0;
    }
    s->users = users_new(s->config->htpasswd, &why);
    return s->users != NULL ? 0 : err_set(err, why.code, "auth.htpasswd: %s", why.text);
}

static void make_registry(struct engine *s)
{
    struct registry_options options;
    struct http_server_options server = {on_exchange, on_exchange_ended, s};

    s->cache = cache_new(&s->config->cache, s->store);
    options = (struct registry_options){
        .cache = s->cache,
        .routes = s->routes,
        .upstreams = s->upstream_list,
        .lock = s->config->lock,
        .lock_path = s->config->lock_path,
        .users = s->users,
    };
    s->registry = registry_new(&options);
    s->control = control_new(&(struct admin){s->store, s->routes, NULL});
    s->server = http_server_new(&server);
}

static int make_listeners(struct engine *s, struct err *err)
{
    struct listen_sink sink = {on_accepted, on_load, s};

    s->listeners = listeners_new(&sink);
    return doors_init(&s->doors, s->config, s->alone, s->listeners, err);
}

static int engine_make(struct engine *s, struct err *err)
{
    s->routes = config_routes(s->config);
    workers_make(s);
    if (make_store(s, err) < 0) {
        return -1;
    }
    /* Whatever asks upstream all the same gets no further than this. */
    s->resolver = s->config->cache.offline ? NULL : resolver_new(NAMES_THREADS);
    s->client = http_client_new(s->resolver);
    if (make_upstreams(s, err) < 0) {
        return -1;
    }
    if (make_users(s, err) < 0) {
        return -1;
    }
    make_registry(s);
    return make_listeners(s, err);
}

static void raise_descriptors(void)
{
    struct rlimit r;

    if (getrlimit(RLIMIT_NOFILE, &r) == 0 && r.rlim_cur < r.rlim_max) {
        r.rlim_cur = r.rlim_max;
        ignore_result(setrlimit(RLIMIT_NOFILE, &r) < 0);
    }
}

/* The control socket's address is absolute, so the data directory's must be. */
static void data_absolute(struct config *c)
{
    _cleanup_free_ char *cwd = getcwd(NULL, 0);
    char *whole;

    if (c->data[0] != '/' && cwd != NULL) {
        whole = xasprintf("%s/%s", cwd, c->data);
        free(c->data);
        c->data = whole;
    }
}

struct engine *engine_new(struct config *config, bool alone, struct err *err)
{
    struct engine *s = xnew(struct engine);

    s->config = config;
    s->alone = alone;
    data_absolute(config);
    limits = config->limits;
    raise_descriptors();
    if (engine_make(s, err) < 0) {
        engine_free(s);
        return NULL;
    }
    return s;
}

void engine_free(struct engine *s)
{
    if (s == NULL) {
        return;
    }
    listeners_free(s->listeners);
    http_server_free(s->server);
    store_quiesce(s->store); /* its writer would go on submitting to a pool that is gone */
    pool_free(s->disk);
    store_close(s->store);
    open_rules_free(&s->rules);
    registry_free(s->registry);
    users_free(s->users);
    control_free(s->control);
    cache_free(s->cache);
    upstreams_free(s->upstreams);
    http_client_free(s->client);
    resolver_free(s->resolver);
    for (unsigned i = 0; i < s->n_workers; i++) {
        flow_fini(i);
        loop_free(s->workers[i].loop);
    }
    free(s->workers);
    free(s->upstream_list);
    doors_fini(&s->doors);
    free(s->routes);
    config_free(s->config);
    free(s);
}

/* --- running ------------------------------------------------------------------------------- */

void engine_start(struct engine *s)
{
    workers_start(s);
    listeners_start(s->listeners, s->n_workers);
}

void engine_drain(struct engine *s)
{
    control_drain(s->control);
    listeners_stop(s->listeners);
    log_event(LOG_INFO, "serve.drain", "stopping: waiting for %u connections",
              http_server_connections(s->server));
    for (unsigned i = 0; i < s->n_workers; i++) {
        loop_post(s->workers[i].loop, &s->workers[i].drain);
    }
}

unsigned engine_connections(const struct engine *s)
{
    return http_server_connections(s->server);
}

void engine_stop(struct engine *s)
{
    workers_stop(s);
}

void engine_renew_keys(struct engine *s, bool force)
{
    doors_renew_keys(&s->doors, force);
}

const struct config *engine_config(const struct engine *s)
{
    return s->config;
}

const struct store *engine_store(const struct engine *s)
{
    return s->store;
}

const struct http_listener *engine_listeners(const struct engine *s, unsigned *ret_n)
{
    *ret_n = s->doors.n;
    return s->doors.all;
}
