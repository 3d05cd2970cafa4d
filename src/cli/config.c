/* cli/config.c - the defaults, then the file, then the flags; and what routing sees of it. */
#include "cli/config.h"

#include "base/file.h"
#include "cli/config_parts.h"

#include <stdlib.h>
#include <unistd.h>

#define FILE_MAX (1024u * 1024)
#define DAY_S (24 * 3600)

static const char *const HUB_ALIASES[] = {"index.docker.io", "registry-1.docker.io",
                                          "registry.hub.docker.com"};
static const char *const UPSTREAMS[] = {
    "docker.io",       "ghcr.io",           "quay.io",        "gcr.io",
    "registry.k8s.io", "mcr.microsoft.com", "public.ecr.aws", "registry.gitlab.com"};

/* --- defaults ------------------------------------------------------------------------------ */

static void default_upstreams(struct config *c)
{
    struct config_upstream *hub;

    for (size_t i = 0; i < ARRAY_LEN(UPSTREAMS); i++) {
        ignore_result(config_add_upstream(c, UPSTREAMS[i]) == NULL);
    }
    hub = &c->upstreams[0];
    hub->is_default = true;
    config_list_add(&hub->endpoints, &hub->n_endpoints, xstrdup("https://registry-1.docker.io"));
    hub->endpoint_ns = xcalloc(1, sizeof(*hub->endpoint_ns));
    for (size_t i = 0; i < ARRAY_LEN(HUB_ALIASES); i++) {
        config_list_add(&hub->aliases, &hub->n_aliases, xstrdup(HUB_ALIASES[i]));
    }
}

static void default_hosted(struct config *c, const char *pattern, bool is_cache)
{
    struct config_hosted h = {.is_cache = is_cache, .untagged_after_s = -1};
    struct err err;
    struct config_node n = config_root(pattern, NULL, &err);

    ignore_result(config_add_hosted(&n, c, pattern, &h) < 0);
}

static struct config *config_new(void)
{
    struct config *c = xnew(struct config);

    c->listeners = xnew(struct config_listener);
    c->listeners[0].address = xstrdup("127.0.0.1:5000");
    c->n_listeners = 1;
    default_upstreams(c);
    default_hosted(c, "stage/**", false);
    default_hosted(c, "cache/**", true);
    c->cache = (struct cache_options){
        .tag_ttl_s = 300,
        .tag_patience_ms = 1000,
        .tag_stale_if_error_s = 30 * DAY_S,
        .prefetch = true,
    };
    c->max_size = UINT64_MAX;
    c->max_percent = 50;
    c->min_free_percent = 5;
    c->log_level = LOG_INFO;
    c->limits = (struct limits)LIMITS_DEFAULT;
    return c;
}

/* Where the data lies when nobody says it. */
static int default_data(struct config *c, struct err *err)
{
    const char *data = getenv("XDG_DATA_HOME");
    const char *home = getenv("HOME");

    if (c->data != NULL) {
        return 0;
    }
    if (geteuid() == 0) {
        c->data = xstrdup("/var/lib/larder");
    } else if (data != NULL &&
               data[0] == '/') { /* a relative one is to be ignored, says its rule */
        c->data = xasprintf("%s/larder", data);
    } else if (home != NULL && home[0] == '/') {
        c->data = xasprintf("%s/.local/share/larder", home);
    } else {
        return err_set(err, ERR_CONFIG, "no data directory: HOME is not set; use --data DIR");
    }
    return 0;
}

/* --- flags --------------------------------------------------------------------------------- */

/* Reads a flag's value as the file's is read; nothing to do where it was not given. */
static int flag_value(const char *flag, const char *value,
                      int (*read)(const struct config_node *n, void *at), void *at, struct err *err)
{
    json_t *json = value == NULL ? NULL : json_string(value);
    struct config_node n = config_root(flag, json, err);
    int result;

    if (value == NULL) {
        return 0;
    }
    result = json == NULL ? config_fail(&n, "must be UTF-8") : read(&n, at);
    json_decref(json);
    return result;
}

static int read_string(const struct config_node *n, void *at)
{
    return config_read_string(n, at);
}

static int read_seconds(const struct config_node *n, void *at)
{
    return config_read_seconds(n, at);
}

/* Digits, which the file has without quotes. */
static int read_workers(const struct config_node *n, void *at)
{
    uint64_t number = UINT32_MAX; /* what is no number is too large, too */
    struct config_node plain = *n;
    int result;

    ignore_result(!slice_u64(slice_str(json_string_value(n->json)), &number));
    plain.json = json_integer(number > INT32_MAX ? -1 : (json_int_t)number);
    result = config_read_workers(&plain, at);
    json_decref(plain.json);
    return result;
}

static int flag_listen(const struct config_flags *flags, struct config *c, struct err *err)
{
    if (flags->n_listen > 0) {
        config_clear_listeners(c);
    }
    for (size_t i = 0; i < flags->n_listen; i++) {
        if (flag_value("--listen", flags->listen[i], config_read_listener, c, err) < 0) {
            return -1;
        }
    }
    return 0;
}

/* A pattern keeps what the file says of it. */
static int flag_hosted(const struct config_flags *flags, struct config *c, struct err *err)
{
    struct config_node n = config_root("--hosted", NULL, err);
    struct config old = {.hosted = c->hosted, .n_hosted = c->n_hosted};
    int result = 0;

    if (flags->n_hosted == 0) {
        return 0;
    }
    c->hosted = NULL;
    c->n_hosted = 0;
    for (size_t i = 0; i < flags->n_hosted && result == 0; i++) {
        struct config_hosted new = {.untagged_after_s = -1};
        struct config_hosted *h = &new;

        for (size_t j = 0; j < old.n_hosted; j++) {
            if (old.hosted[j].pattern != NULL &&
                strcmp(old.hosted[j].pattern, flags->hosted[i]) == 0) {
                h = &old.hosted[j];
            }
        }
        result = config_add_hosted(&n, c, flags->hosted[i], h);
    }
    config_clear_hosted(&old);
    return result;
}

static int read_flags(const struct config_flags *f, struct config *c, struct err *err)
{
    if (flag_value("--data", f->data, read_string, &c->data, err) < 0 ||
        flag_value("--workers", f->workers, read_workers, &c->workers, err) < 0 ||
        flag_value("--tag-ttl", f->tag_ttl, read_seconds, &c->cache.tag_ttl_s, err) < 0 ||
        flag_value("--log-level", f->log_level, config_read_level, &c->log_level, err) < 0 ||
        flag_value("--log-format", f->log_format, config_read_format, &c->log_json, err) < 0 ||
        flag_listen(f, c, err) < 0 || flag_hosted(f, c, err) < 0 ||
        config_flag_upstreams(f, c, err) < 0) {
        return -1;
    }
    c->cache.offline = c->cache.offline || f->offline;
    return config_check(c, "command line", err);
}

/* Reads the file of --lock; the upstreams that its names mean are known by now. */
static int read_lock(const char *path, struct config *c, struct err *err)
{
    _cleanup_free_ char *text = NULL;
    struct route_table *routes;
    struct err why = {0};
    size_t len;
    int result;

    if (path == NULL) {
        return 0;
    }
    if (file_read(path, LOCKFILE_MAX, &text, &len, &why) < 0) {
        return err_set(err, ERR_CONFIG, "%.180s; --lock takes what `larder lock` printed",
                       why.text);
    }
    routes = config_routes(c);
    result = lockfile_parse(slice_of(text, len), routes, &c->lock, &why);
    free(routes);
    if (result < 0) {
        return err_set(err, ERR_CONFIG, "%.100s: %.130s", path, why.text);
    }
    c->lock_path = xstrdup(path);
    return 0;
}

/* --- all together -------------------------------------------------------------------------- */

static int read_text(const char *name, struct slice text, struct config *c, struct err *err)
{
    json_t *json = config_load(name, text, err);
    struct config_node root = config_root(name, json, err);
    int result;

    if (json == NULL) {
        return -1;
    }
    result = config_read_file(&root, c);
    json_decref(json);
    return result < 0 ? -1 : config_check(c, name, err);
}

static struct config *finish(struct config *c, const struct config_flags *flags, struct err *err)
{
    if ((flags != NULL && (read_flags(flags, c, err) < 0 || read_lock(flags->lock, c, err) < 0)) ||
        default_data(c, err) < 0) {
        config_free(c);
        return NULL;
    }
    return c;
}

struct config *config_parse(const char *name, struct slice text, const struct config_flags *flags,
                            struct err *err)
{
    struct config *c = config_new();

    if (read_text(name, text, c, err) < 0) {
        config_free(c);
        return NULL;
    }
    return finish(c, flags, err);
}

struct config *config_read(const struct config_flags *flags, struct err *err)
{
    _cleanup_free_ char *text = NULL;
    struct err why = {0};
    size_t len;

    if (flags->config == NULL) {
        return finish(config_new(), flags, err);
    }
    if (file_read(flags->config, FILE_MAX, &text, &len, &why) < 0) {
        ignore_result(err_set(err, ERR_CONFIG,
                              "%.180s; the configuration must be a JSON file that "
                              "can be read",
                              why.text) == 0);
        return NULL;
    }
    return config_parse(flags->config, slice_of(text, len), flags, err);
}

void config_clear_listeners(struct config *c)
{
    for (size_t i = 0; i < c->n_listeners; i++) {
        free(c->listeners[i].address);
        free(c->listeners[i].certificate);
        free(c->listeners[i].key);
        free(c->listeners[i].client_ca);
    }
    c->n_listeners = 0;
}

void config_clear_hosted(struct config *c)
{
    for (size_t i = 0; i < c->n_hosted; i++) {
        config_fini_hosted(&c->hosted[i]);
    }
    free(c->hosted);
    c->hosted = NULL;
    c->n_hosted = 0;
}

void config_free(struct config *c)
{
    if (c == NULL) {
        return;
    }
    for (size_t i = 0; i < c->n_upstreams; i++) {
        config_fini_upstream(&c->upstreams[i]);
    }
    free(c->upstreams);
    config_clear_listeners(c);
    free(c->listeners);
    config_clear_hosted(c);
    config_clear_access(c);
    lockfile_free(c->lock);
    free(c->lock_path);
    free(c->htpasswd);
    free(c->data);
    free(c);
}

/* --- another one, while the program runs --------------------------------------------------- */

static bool same_text(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static bool same_listener(const struct config_listener *a, const struct config_listener *b)
{
    return same_text(a->address, b->address) && a->role == b->role && a->push == b->push &&
           same_text(a->certificate, b->certificate) && same_text(a->key, b->key) &&
           same_text(a->client_ca, b->client_ca);
}

bool config_same_listeners(const struct config *a, const struct config *b)
{
    bool same = a->n_listeners == b->n_listeners;

    for (size_t i = 0; same && i < a->n_listeners; i++) {
        same = same_listener(&a->listeners[i], &b->listeners[i]);
    }
    return same;
}

char *config_fixed(const struct config *now, const struct config *fresh)
{
    const struct {
        const char *key;
        bool same;
    } keys[] = {
        {"listen", config_same_listeners(now, fresh)},
        {"data", same_text(now->data, fresh->data)},
        {"workers", now->workers == fresh->workers},
        {"clients",
         now->connections == fresh->connections && now->per_address == fresh->per_address},
        {"limits", memcmp(&now->limits, &fresh->limits, sizeof(now->limits)) == 0},
        {"offline", now->cache.offline == fresh->cache.offline},
    };
    struct buf out;

    buf_init(&out, 200);
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        if (!keys[i].same) {
            buf_printf(&out, "%s%s", out.len > 0 ? ", " : "", keys[i].key);
        }
    }
    return buf_take(&out);
}

void config_keep_fixed(struct config *fresh, struct config *now)
{
    config_clear_listeners(fresh);
    free(fresh->listeners);
    fresh->listeners = now->listeners;
    fresh->n_listeners = now->n_listeners;
    now->listeners = NULL;
    now->n_listeners = 0;
    free(fresh->data);
    fresh->data = xstrdup(now->data);
    fresh->workers = now->workers;
    fresh->connections = now->connections;
    fresh->per_address = now->per_address;
    fresh->limits = now->limits;
    fresh->cache.offline = now->cache.offline;
}

/* --- routes -------------------------------------------------------------------------------- */

/* The table and its arrays in one piece, so that free() frees all. */
struct routes {
    struct route_table table;
    struct route_upstream upstreams[];
};

struct route_table *config_routes(const struct config *c)
{
    size_t size = c->n_upstreams * sizeof(struct route_upstream);
    size_t n_texts = c->n_hosted + c->n_listeners;
    struct routes *r = xcalloc(1, sizeof(*r) + size + n_texts * sizeof(const char *));
    const char **hosted = (const char **)(void *)&r->upstreams[c->n_upstreams];
    const char **listeners = hosted + c->n_hosted;
    size_t n_listeners = 0;

    for (size_t i = 0; i < c->n_upstreams; i++) {
        const struct config_upstream *u = &c->upstreams[i];

        r->upstreams[i] = (struct route_upstream){
            .name = u->name,
            .aliases = (const char *const *)u->aliases,
            .n_aliases = u->n_aliases,
            .is_default = u->is_default,
        };
    }
    for (size_t i = 0; i < c->n_hosted; i++) {
        hosted[i] = c->hosted[i].pattern;
    }
    for (size_t i = 0; i < c->n_listeners; i++) {
        if (c->listeners[i].role != ROLE_ADMIN) {
            listeners[n_listeners++] = c->listeners[i].address;
        }
    }
    r->table = (struct route_table){r->upstreams, c->n_upstreams, hosted,
                                    c->n_hosted,  listeners,      n_listeners};
    return &r->table;
}
