/* cli/config_sections.c - the sections of the file, each a table of its keys. */
#include "cli/config_parts.h"

#include "oci/pattern.h"
#include "store/keep.h"

#include <stdlib.h>

#define WORKERS_MAX 64
#define LISTENERS_MAX 31 /* one more is the control socket */

/* --- fields of plain types ----------------------------------------------------------------- */

static int read_string(const struct config_node *n, void *at)
{
    return config_read_string(n, at);
}

static int read_bool(const struct config_node *n, void *at)
{
    return config_read_bool(n, at);
}

static int read_ms(const struct config_node *n, void *at)
{
    return config_read_ms(n, at);
}

static int read_seconds(const struct config_node *n, void *at)
{
    return config_read_seconds(n, at);
}

int config_read_workers(const struct config_node *n, void *at)
{
    json_int_t value = json_integer_value(n->json);

    if (!json_is_integer(n->json) || value < 0 || value > WORKERS_MAX) {
        return config_fail(n, "must be a number from 0 to %d; 0 is one for each CPU", WORKERS_MAX);
    }
    *(unsigned *)at = (unsigned)value;
    return 0;
}

/* --- listen -------------------------------------------------------------------------------- */

static int read_address(const struct config_node *n, void *at)
{
    return config_read_address(n, at);
}

static int read_role(const struct config_node *n, void *at)
{
    static const char *const ROLES[] = {
        [ROLE_ALL] = "all",
        [ROLE_MIRROR] = "mirror",
        [ROLE_REGISTRY] = "registry",
        [ROLE_ADMIN] = "admin",
    };
    unsigned role;

    if (config_read_word(n, ROLES, ARRAY_LEN(ROLES), &role) < 0) {
        return -1;
    }
    *(enum route_role *)at = (enum route_role)role;
    return 0;
}

static const struct config_field TLS_FIELDS[] = {
    {"certificate", read_string, offsetof(struct config_listener, certificate)},
    {"key", read_string, offsetof(struct config_listener, key)},
    {"client_ca", read_string, offsetof(struct config_listener, client_ca)},
};

static int read_tls(const struct config_node *n, void *at)
{
    static const struct config_fields fields = {TLS_FIELDS, ARRAY_LEN(TLS_FIELDS), NULL};
    struct config_listener *l = at;

    if (config_read_object(n, &fields, l) < 0) {
        return -1;
    }
    if (l->certificate == NULL || l->key == NULL) {
        return config_fail(n, "must have a \"certificate\" and its \"key\", files in PEM");
    }
    return 0;
}

static const struct config_field LISTENER_FIELDS[] = {
    {"address", read_address, offsetof(struct config_listener, address)},
    {"role", read_role, offsetof(struct config_listener, role)},
    {"push", read_bool, offsetof(struct config_listener, push)},
    {"tls", read_tls, 0},
};

int config_read_listener(const struct config_node *n, void *config)
{
    static const struct config_fields fields = {LISTENER_FIELDS, ARRAY_LEN(LISTENER_FIELDS), NULL};
    struct config *c = config;
    struct config_listener *l;

    if (c->n_listeners == LISTENERS_MAX) {
        return config_fail(n, "is one too many; %d addresses are the most", LISTENERS_MAX);
    }
    c->listeners = xrealloc(c->listeners, (c->n_listeners + 1) * sizeof(*l));
    l = &c->listeners[c->n_listeners++];
    *l = (struct config_listener){.role = ROLE_ALL};
    if (!json_is_object(n->json)) {
        return config_read_address(n, &l->address);
    }
    if (config_read_object(n, &fields, l) < 0) {
        return -1;
    }
    if (l->address == NULL) {
        return config_fail(n, "must have an \"address\", such as \"127.0.0.1:5000\"");
    }
    return 0;
}

static int read_listen(const struct config_node *n, void *at)
{
    struct config *c = at;

    config_clear_listeners(c);
    if (config_read_array(n, config_read_listener, c) < 0) {
        return -1;
    }
    if (c->n_listeners == 0) {
        return config_fail(n, "must hold at least one address, such as \"127.0.0.1:5000\"");
    }
    return 0;
}

/* --- hosted -------------------------------------------------------------------------------- */

/* Seconds after which a manifest without tag goes from a cache that says nothing else. */
#define CACHE_UNTAGGED_S (7 * 24 * 3600)
#define KEEP_TAGS_MAX 1000000

static int read_class(const struct config_node *n, void *at)
{
    static const char *const CLASSES[] = {"stage", "cache"};
    unsigned class;

    if (config_read_word(n, CLASSES, ARRAY_LEN(CLASSES), &class) < 0) {
        return -1;
    }
    *(bool *)at = class == 1;
    return 0;
}

static int read_keep(const struct config_node *n, void *at)
{
    json_int_t value = json_integer_value(n->json);

    if (!json_is_integer(n->json) || value < 0 || value > KEEP_TAGS_MAX) {
        return config_fail(n, "must be a number from 0 to %d; 0 keeps all", KEEP_TAGS_MAX);
    }
    *(uint64_t *)at = (uint64_t)value;
    return 0;
}

static int read_protected(const struct config_node *n, void *at)
{
    struct config_hosted *h = at;
    char shown[CONFIG_SHOWN_MAX];
    char *pattern = NULL;

    if (config_read_string(n, &pattern) < 0) {
        return -1;
    }
    if (!keep_pattern_valid(pattern)) {
        config_fail(n, "\"%s\" is no pattern of tags; right are \"release-*\" and plain tags",
                    config_shown(pattern, shown));
        free(pattern);
        return -1;
    }
    config_list_add(&h->protect, &h->n_protect, pattern);
    return 0;
}

static int read_protect(const struct config_node *n, void *hosted)
{
    return config_read_array(n, read_protected, hosted);
}

void config_fini_hosted(struct config_hosted *h)
{
    free(h->pattern);
    config_list_free(&h->protect, &h->n_protect);
    *h = (struct config_hosted){0};
}

int config_add_hosted(const struct config_node *n, struct config *c, const char *pattern,
                      struct config_hosted *h)
{
    char shown[CONFIG_SHOWN_MAX];
    struct slice s = slice_str(pattern);
    struct slice first = slice_sub(s, 0, slice_find(s, '/'));

    if (!pattern_valid(s)) {
        return config_fail(n,
                           "\"%s\" is no pattern of names; right are \"stage/**\" (all below), "
                           "\"ci-*/app\" and plain names in lower case",
                           config_shown(pattern, shown));
    }
    if (slice_find(first, '.') < first.len || slice_is(first, "localhost")) {
        return config_fail(n,
                           "\"%s\" would never be asked: a name whose first part is a host's means "
                           "an upstream; begin it with a plain word",
                           config_shown(pattern, shown));
    }
    if (h->untagged_after_s < 0) {
        h->untagged_after_s = h->is_cache ? CACHE_UNTAGGED_S : 0;
    }
    free(h->pattern);
    h->pattern = xstrdup(pattern);
    c->hosted = xrealloc(c->hosted, (c->n_hosted + 1) * sizeof(*c->hosted));
    c->hosted[c->n_hosted++] = *h;
    *h = (struct config_hosted){0};
    return 0;
}

static const struct config_field HOSTED_FIELDS[] = {
    {"class", read_class, offsetof(struct config_hosted, is_cache)},
    {"keep_tags", read_keep, offsetof(struct config_hosted, keep_tags)},
    {"expire_after", read_seconds, offsetof(struct config_hosted, expire_after_s)},
    {"untagged_after", read_seconds, offsetof(struct config_hosted, untagged_after_s)},
    {"protect", read_protect, 0},
};

static int read_pattern(const struct config_node *n, void *config)
{
    static const struct config_fields fields = {HOSTED_FIELDS, ARRAY_LEN(HOSTED_FIELDS), NULL};
    struct config_hosted h = {.untagged_after_s = -1};
    int rc = config_read_object(n, &fields, &h);

    rc = rc < 0 ? rc : config_add_hosted(n, config, n->key, &h);
    config_fini_hosted(&h);
    return rc;
}

static int read_hosted(const struct config_node *n, void *at)
{
    struct config *c = at;

    config_clear_hosted(c);
    return config_read_members(n, read_pattern, c);
}

/* --- tags, cache, log ---------------------------------------------------------------------- */

static const struct config_field TAGS_FIELDS[] = {
    {"ttl", read_seconds, offsetof(struct cache_options, tag_ttl_s)},
    {"patience", read_ms, offsetof(struct cache_options, tag_patience_ms)},
    {"stale_if_error", read_seconds, offsetof(struct cache_options, tag_stale_if_error_s)},
    {"stale_while_revalidate", read_seconds, offsetof(struct cache_options, tag_stale_while_s)},
};

static int read_tags(const struct config_node *n, void *at)
{
    static const struct config_fields fields = {TAGS_FIELDS, ARRAY_LEN(TAGS_FIELDS), NULL};
    struct config *c = at;

    return config_read_object(n, &fields, &c->cache);
}

static int read_max_size(const struct config_node *n, void *at)
{
    struct config *c = at;
    uint64_t bytes;
    unsigned percent;

    if (config_read_size(n, &bytes, &percent) < 0) {
        return -1;
    }
    if (bytes == 0 && percent == 0) {
        return config_fail(n, "must be more than 0; \"100%%\" is all that is free");
    }
    c->max_size = percent > 0 ? UINT64_MAX : bytes;
    c->max_percent = percent;
    return 0;
}

static int read_min_free(const struct config_node *n, void *at)
{
    struct config *c = at;

    return config_read_size(n, &c->min_free, &c->min_free_percent);
}

static int read_prefetch(const struct config_node *n, void *at)
{
    struct config *c = at;

    return config_read_bool(n, &c->cache.prefetch);
}

static const struct config_field CACHE_FIELDS[] = {
    {"max_size", read_max_size, 0},
    {"min_free", read_min_free, 0},
    {"prefetch", read_prefetch, 0},
};

static int read_cache(const struct config_node *n, void *at)
{
    static const struct config_fields fields = {CACHE_FIELDS, ARRAY_LEN(CACHE_FIELDS), NULL};

    return config_read_object(n, &fields, at);
}

int config_read_level(const struct config_node *n, void *at)
{
    static const char *const LEVELS[] = {
        [LOG_ERROR] = "error",
        [LOG_WARN] = "warn",
        [LOG_INFO] = "info",
        [LOG_DEBUG] = "debug",
    };
    unsigned level;

    if (config_read_word(n, LEVELS, ARRAY_LEN(LEVELS), &level) < 0) {
        return -1;
    }
    *(enum log_level *)at = (enum log_level)level;
    return 0;
}

int config_read_format(const struct config_node *n, void *at)
{
    static const char *const FORMATS[] = {"text", "json"};
    unsigned format;

    if (config_read_word(n, FORMATS, ARRAY_LEN(FORMATS), &format) < 0) {
        return -1;
    }
    *(bool *)at = format == 1;
    return 0;
}

static const struct config_field LOG_FIELDS[] = {
    {"level", config_read_level, offsetof(struct config, log_level)},
    {"format", config_read_format, offsetof(struct config, log_json)},
};

static int read_log(const struct config_node *n, void *at)
{
    static const struct config_fields fields = {LOG_FIELDS, ARRAY_LEN(LOG_FIELDS), NULL};

    return config_read_object(n, &fields, at);
}

/* --- limits -------------------------------------------------------------------------------- */

/* A wait that must be: without one, nothing would ever come, or be tried without end. */
static int read_wait(const struct config_node *n, void *at)
{
    uint64_t ms;

    if (config_read_ms(n, &ms) < 0) {
        return -1;
    }
    if (ms == 0) {
        return config_fail(n, "must be more than 0, such as \"5s\"");
    }
    *(uint64_t *)at = ms;
    return 0;
}

/* Those that 0 turns off. */
static bool may_be_zero(const char *limit)
{
    static const char *const NAMES[] = {"early_headers", "retry_for",   "bad_digest",  "negative",
                                        "drain",         "names_fresh", "names_stale", "hedge"};

    for (size_t i = 0; i < ARRAY_LEN(NAMES); i++) {
        if (strcmp(limit, NAMES[i]) == 0) {
            return true;
        }
    }
    return false;
}

static int read_limit(const struct config_node *n, void *at)
{
    return may_be_zero(n->key) ? config_read_ms(n, at) : read_wait(n, at);
}

static const struct config_field LIMIT_FIELDS[] = {
#define X(name, ms, help) {#name, read_limit, offsetof(struct limits, name)},
    LIMIT_LIST(X)
#undef X
};

static int read_limits(const struct config_node *n, void *at)
{
    static const struct config_fields fields = {LIMIT_FIELDS, ARRAY_LEN(LIMIT_FIELDS), NULL};
    struct limits *l = at;

    if (config_read_object(n, &fields, l) < 0) {
        return -1;
    }
    if (l->retry_min > l->retry_max) {
        return config_fail(n, "retry_min must not be more than retry_max");
    }
    return 0;
}

/* --- clients ------------------------------------------------------------------------------- */

static int read_number(const struct config_node *n, void *at)
{
    json_int_t value = json_integer_value(n->json);

    if (!json_is_integer(n->json) || value < 1 || value > CONNECTIONS_MAX) {
        return config_fail(n, "must be a number from 1 to %d", CONNECTIONS_MAX);
    }
    *(unsigned *)at = (unsigned)value;
    return 0;
}

static const struct config_field CLIENTS_FIELDS[] = {
    {"connections", read_number, offsetof(struct config, connections)},
    {"per_address", read_number, offsetof(struct config, per_address)},
};

static int read_clients(const struct config_node *n, void *at)
{
    static const struct config_fields fields = {CLIENTS_FIELDS, ARRAY_LEN(CLIENTS_FIELDS), NULL};

    return config_read_object(n, &fields, at);
}

/* --- auth ---------------------------------------------------------------------------------- */

static const struct config_field AUTH_FIELDS[] = {
    {"htpasswd", read_string, offsetof(struct config, htpasswd)},
};

static int read_auth(const struct config_node *n, void *at)
{
    static const struct config_fields fields = {AUTH_FIELDS, ARRAY_LEN(AUTH_FIELDS), NULL};

    return config_read_object(n, &fields, at);
}

/* --- the file ------------------------------------------------------------------------------ */

static int read_offline(const struct config_node *n, void *at)
{
    struct config *c = at;

    return config_read_bool(n, &c->cache.offline);
}

static const struct config_field FILE_FIELDS[] = {
    {"listen", read_listen, 0},
    {"data", read_string, offsetof(struct config, data)},
    {"workers", config_read_workers, offsetof(struct config, workers)},
    {"upstreams", config_read_upstreams, 0},
    {"tags", read_tags, 0},
    {"hosted", read_hosted, 0},
    {"cache", read_cache, 0},
    {"log", read_log, 0},
    {"offline", read_offline, 0},
    {"clients", read_clients, 0},
    {"auth", read_auth, 0},
    {"access", config_read_access, 0},
    {"limits", read_limits, offsetof(struct config, limits)},
};

int config_read_file(const struct config_node *n, struct config *c)
{
    static const struct config_fields fields = {FILE_FIELDS, ARRAY_LEN(FILE_FIELDS), NULL};

    return config_read_object(n, &fields, c);
}
