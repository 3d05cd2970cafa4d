/*
 * cli/engine.c - the server, wired together.
 *
 * Made from the bottom up, taken down in the opposite order: first no more connections, then no
 * more requests, then the loops, the pools, the store.
 */
#include "cli/engine.h"

#include "cache/flight.h"
#include "cache/flow.h"
#include "cli/cpus.h"
#include "cli/doors.h"
#include "cli/hand_over.h"
#include "cli/snapshot.h"
#include "net/resolve.h"
#include "registry/access.h"
#include "registry/record.h"

#include <assert.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#define DISK_THREADS 8
#define IDLE_THREADS 2
#define NAMES_THREADS 2
#define LAST_LOOK_MS 5
#define LAST_LOOKS 400
#define ASK_MS 1000
#define ASK_LOOK_MS 5

/* One a loop. */
struct worker {
    struct engine *engine;
    struct loop *loop;
    pthread_t thread;
    _Atomic(struct snapshot *) snapshot; /* what new requests are answered with; its thread's */
    _Atomic(struct snapshot *) next;
    struct post renew;
    struct post drain;
    struct post pause;
    struct post resume;
    struct post stop;
    atomic_bool paused; /* on_pause() ran, and told `expected` */
    unsigned expected;  /* connections whose request is still to come */
};

/* Owner: whoever made it. Thread: that one's; its parts say what runs where. */
struct engine {
    struct snapshot *current;
    struct list retired;   /* snapshots that requests may still use, oldest first */
    bool store_is_renewed; /* it has the rules of the current one */
    bool alone;            /* only the control socket is listened on */
    struct pool *disk;
    struct pool *idle;
    struct store *store;
    struct worker *workers;
    unsigned n_workers;
    struct resolver *resolver;
    struct http_client *client;
    struct cache *cache;
    struct http_server *server;
    struct listeners *listeners;
    struct doors doors;
    struct hand_over *hand_over;
    struct bearer_key key; /* of tokens that clients sign in with; constant once requests come */
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
    const struct engine *s = x->context;
    struct snapshot *now = atomic_load(&s->workers[loop_index(x->loop)].snapshot);

    if (x->listener->role == ROLE_CONTROL && !s->alone && slice_is(x->head.path, TAKE_OVER_PATH)) {
        hand_over_ask(s->hand_over, x);
    } else if (is_for_control(x)) {
        control_handle(now->control, x);
    } else {
        registry_handle(now->registry, x);
    }
}

static void on_exchange_ended(struct http_exchange *x)
{
    if (x->user != NULL || !is_for_control(x)) {
        registry_ended(x);
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

static void on_renew(struct post *p)
{
    struct worker *w = container_of(p, struct worker, renew);

    atomic_store(&w->snapshot, atomic_load(&w->next));
}

static void on_drain(struct post *p)
{
    struct worker *w = container_of(p, struct worker, drain);

    ignore_result(http_server_drain(w->engine->server, w->loop, false) > 0);
}

static void on_pause(struct post *p)
{
    struct worker *w = container_of(p, struct worker, pause);

    w->expected = http_server_drain(w->engine->server, w->loop, true);
    atomic_store(&w->paused, true);
}

static void on_resume(struct post *p)
{
    struct worker *w = container_of(p, struct worker, resume);

    http_server_undrain(w->engine->server, w->loop);
}

static void on_stop(struct post *p)
{
    struct worker *w = container_of(p, struct worker, stop);

    http_server_stop(w->engine->server, w->loop);
}

static void workers_make(struct engine *s)
{
    s->n_workers = s->current->config->workers;
    if (s->n_workers == 0) {
        s->n_workers = cpus_allowed();
    }
    if (s->n_workers > LOOPS_MAX) {
        s->n_workers = LOOPS_MAX;
    }
    s->workers = xcalloc(s->n_workers, sizeof(*s->workers));
    for (unsigned i = 0; i < s->n_workers; i++) {
        s->workers[i].engine = s;
        s->workers[i].loop = loop_new();
        atomic_init(&s->workers[i].snapshot, s->current);
        atomic_init(&s->workers[i].next, s->current);
        post_init(&s->workers[i].renew, on_renew);
        post_init(&s->workers[i].drain, on_drain);
        post_init(&s->workers[i].pause, on_pause);
        post_init(&s->workers[i].resume, on_resume);
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
    unsigned live = snapshot_live(s->current) + flight_settling(s->cache);

    list_each(it, &s->retired) {
        live += snapshot_live(container_of(it, struct snapshot, node));
    }
    return live > 0;
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

static int make_store(struct engine *s, struct inheritance *from, struct err *err)
{
    struct store_options options;

    s->disk = pool_new("disk", DISK_THREADS);
    s->idle = pool_new_idle("idle", IDLE_THREADS);
    options = open_options(s->current->config, &s->current->rules, s->disk);
    options.idle = s->idle;
    if (from != NULL && from->line >= 0) {
        options.inherited = &from->state.store;
    }
    s->store = store_open(&options, err);
    s->store_is_renewed = true;
    return s->store == NULL ? -1 : 0;
}

static void make_cache(struct engine *s)
{
    const struct config *config = s->current->config;

    /* Whatever asks upstream all the same gets no further than this. */
    s->resolver = config->cache.offline ? NULL : resolver_new(NAMES_THREADS);
    s->client = http_client_new(s->resolver);
    s->cache = cache_new(&config->cache, s->store);
}

/* The tokens that clients have go on to count where another process takes over. */
static void make_key(struct engine *s, const struct inheritance *from)
{
    if (from != NULL && from->line >= 0 && from->state.has_key) {
        memcpy(s->key.bytes, from->state.key, sizeof(s->key.bytes));
    } else {
        bearer_key_make(&s->key);
    }
}

static struct snapshot_ground ground(const struct engine *s)
{
    return (struct snapshot_ground){s->store, s->cache, s->client, &s->key, s->alone};
}

/* Each connection may need a file as well, and uploads and downloads more. */
static unsigned most_connections(const struct config *c)
{
    struct rlimit r = {1024, 1024};

    if (c->connections != 0) {
        return c->connections;
    }
    ignore_result(getrlimit(RLIMIT_NOFILE, &r) < 0);
    return r.rlim_cur / 2 < CONNECTIONS_MAX ? (unsigned)(r.rlim_cur / 2) : CONNECTIONS_MAX;
}

static void tell_listeners(const struct engine *s, struct snapshot *snapshot)
{
    if (!s->alone) { /* else it is those of the configuration, where a server would listen */
        snapshot_set_listeners(snapshot, s->doors.images, s->doors.n_images);
    }
}

static int make_listeners(struct engine *s, struct inheritance *from, struct err *err)
{
    const struct config *config = s->current->config;
    unsigned most = most_connections(config);
    struct http_server_options server = {
        .handle = on_exchange,
        .ended = on_exchange_ended,
        .context = s,
        .connections = most,
        .per_address = config->per_address != 0 ? config->per_address : most / 2,
    };
    struct listen_sink sink = {on_accepted, on_load, s};

    s->server = http_server_new(&server);
    s->listeners = listeners_new(&sink);
    if (doors_init(&s->doors, s->current->config, s->alone, from, s->listeners, err) < 0) {
        return -1;
    }
    tell_listeners(s, s->current);
    return 0;
}

static int engine_make(struct engine *s, struct inheritance *from, struct err *err)
{
    struct snapshot_ground g;

    /* First, as it may be another's, and there is only one set of loops in a process. */
    if (make_store(s, from, err) < 0) {
        return -1;
    }
    workers_make(s);
    make_cache(s);
    make_key(s, from);
    g = ground(s);
    return snapshot_fill(s->current, &g, err) < 0 ? -1 : make_listeners(s, from, err);
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

struct engine *engine_new(struct config *config, bool alone, struct inheritance *from,
                          struct err *err)
{
    struct engine *s = xnew(struct engine);

    list_init(&s->retired);
    s->alone = alone;
    data_absolute(config);
    s->hand_over = hand_over_new(config->data);
    s->current = snapshot_new(config);
    limits = config->limits;
    raise_descriptors();
    if (engine_make(s, from, err) < 0) {
        s->current->config = NULL; /* it stays the caller's */
        engine_free(s);
        return NULL;
    }
    return s;
}

static void snapshots_free(struct engine *s)
{
    struct list *node;

    while ((node = list_pop(&s->retired)) != NULL) {
        snapshot_free(container_of(node, struct snapshot, node));
    }
    snapshot_free(s->current);
}

void engine_free(struct engine *s)
{
    if (s == NULL) {
        return;
    }
    listeners_free(s->listeners);
    http_server_free(s->server);
    store_quiesce(s->store); /* its writer would go on submitting to a pool that is gone */
    pool_free(s->idle);
    pool_free(s->disk);
    store_close(s->store);
    cache_free(s->cache);
    snapshots_free(s);
    http_client_free(s->client);
    resolver_free(s->resolver);
    for (unsigned i = 0; i < s->n_workers; i++) {
        flow_fini(i);
        loop_free(s->workers[i].loop);
    }
    free(s->workers);
    doors_fini(&s->doors);
    hand_over_free(s->hand_over);
    explicit_bzero(&s->key, sizeof(s->key));
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
    control_drain(s->current->control);
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

/* --- another process ----------------------------------------------------------------------- */

int engine_asked_fd(const struct engine *s)
{
    return hand_over_fd(s->hand_over);
}

bool engine_hand_over(struct engine *s)
{
    return hand_over_run(s->hand_over, s);
}

unsigned engine_downloads(const struct engine *s)
{
    return flight_count(s->cache);
}

void engine_inherit_end(struct engine *s)
{
    store_inherit_end(s->store);
}

/* Keeps idle connections from asking; how many are about to. */
static unsigned pause_workers(struct engine *s)
{
    unsigned expected = 0;

    for (unsigned i = 0; i < s->n_workers; i++) {
        atomic_store(&s->workers[i].paused, false);
        loop_post(s->workers[i].loop, &s->workers[i].pause);
    }
    for (unsigned i = 0; i < s->n_workers; i++) {
        while (!atomic_load(&s->workers[i].paused)) {
            ignore_result(poll(NULL, 0, 1) < 0);
        }
        expected += s->workers[i].expected;
    }
    return expected;
}

/* Who was accepted may still ask for anything: what it asks later is only answered where it changes
 * nothing. Others wait meanwhile, so that one who says nothing is not waited for long. */
void engine_pause(struct engine *s)
{
    listeners_pause(s->listeners);
    while (!listeners_are_idle(s->listeners)) {
        ignore_result(poll(NULL, 0, 1) < 0);
    }
    for (unsigned waited = 0; pause_workers(s) > 0 && waited < ASK_MS; waited += ASK_LOOK_MS) {
        ignore_result(poll(NULL, 0, ASK_LOOK_MS) < 0);
    }
}

void engine_resume(struct engine *s)
{
    for (unsigned i = 0; i < s->n_workers; i++) {
        loop_post(s->workers[i].loop, &s->workers[i].resume);
    }
    listeners_start(s->listeners, s->n_workers);
}

void engine_hand(const struct engine *s, struct handed_state *ret, int *ret_fds)
{
    const struct config *config = s->current->config;

    memcpy(ret->key, s->key.bytes, sizeof(ret->key));
    ret->has_key = true;
    for (unsigned i = 0; i < s->doors.n; i++) {
        const char *bound = listeners_text(s->listeners, i);
        const char *address = i < config->n_listeners ? config->listeners[i].address : bound;

        ret->listeners[ret->n_listeners++] =
            (struct handed_listener){xstrdup(address), xstrdup(bound)};
        ret_fds[i] = listeners_fd(s->listeners, i);
    }
}

void engine_give_up(struct engine *s)
{
    listeners_give_up(s->listeners);
}

/* --- another configuration ----------------------------------------------------------------- */

/* What is made once keeps its values, and the operator learns that they wait for the next start.
 * The new configuration says what is so, not what was asked for: the next is compared with it. */
static void keep_fixed(struct config *now, struct config *fresh)
{
    _cleanup_free_ char *names = config_fixed(now, fresh);

    if (names[0] != '\0') {
        log_event(LOG_WARN, "config.restart", "changed, and waits for the next start: %s", names);
    }
    config_keep_fixed(fresh, now);
}

/* From their next request on all loops answer by the current snapshot. */
static void tell_workers(struct engine *s)
{
    for (unsigned i = 0; i < s->n_workers; i++) {
        atomic_store(&s->workers[i].next, s->current);
        loop_post(s->workers[i].loop, &s->workers[i].renew);
    }
}

int engine_renew(struct engine *s, struct config *config, struct err *err)
{
    struct snapshot_ground g = ground(s);
    struct snapshot *fresh = snapshot_new(config);

    data_absolute(config);
    tell_listeners(s, fresh);
    if (config->has_access && !config_same_listeners(s->current->config, config)) {
        /* Rules that come together with the listeners that ask who it is would leave the old ones
         * open. */
        snapshot_free(fresh);
        return err_set(err, ERR_CONFIG,
                       "\"listen\" changed, and with \"access\" it can only do so "
                       "at the next start");
    }
    if (snapshot_fill(fresh, &g, err) < 0) {
        snapshot_free(fresh);
        return -1;
    }
    keep_fixed(s->current->config, config);
    list_append(&s->retired, &s->current->node);
    s->current = fresh;
    s->store_is_renewed = false;
    cache_renew(s->cache, &config->cache);
    tell_workers(s);
    engine_tidy(s);
    return 0;
}

static bool workers_use(const struct engine *s, const struct snapshot *old)
{
    for (unsigned i = 0; i < s->n_workers; i++) {
        if (atomic_load(&s->workers[i].snapshot) == old) {
            return true;
        }
    }
    return false;
}

void engine_tidy(struct engine *s)
{
    if (!s->store_is_renewed) {
        struct store_options options =
            open_options(s->current->config, &s->current->rules, s->disk);

        s->store_is_renewed = store_renew(s->store, &options);
    }
    list_each_safe(it, &s->retired) {
        struct snapshot *old = container_of(it, struct snapshot, node);

        if (!s->store_is_renewed || workers_use(s, old) || snapshot_is_busy(old)) {
            return; /* a younger one may not go before it either: the store may use its rules */
        }
        list_remove(&old->node);
        snapshot_free(old);
    }
}

/* --- looking in ---------------------------------------------------------------------------- */

const struct config *engine_config(const struct engine *s)
{
    return s->current->config;
}

struct store *engine_store(const struct engine *s)
{
    return s->store;
}

const struct http_listener *engine_listeners(const struct engine *s, unsigned *ret_n)
{
    *ret_n = s->doors.n;
    return s->doors.all;
}
