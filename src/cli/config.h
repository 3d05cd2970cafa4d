/*
 * cli/config.h - the configuration: one JSON file, flags on top, checked whole at start.
 *
 * Design section 9. Every error names the file (or flag), the key path and what would be right.
 */
#ifndef CLI_CONFIG_H
#define CLI_CONFIG_H

#include "base/limits.h"
#include "base/log.h"
#include "cache/cache.h"
#include "oci/lockfile.h"

struct config_listener {
    char *address; /* "127.0.0.1:5000", "[::1]:5000", "unix:/path" */
    enum route_role role;
    bool push;
    char *certificate; /* of "tls"; NULL: plain */
    char *key;
    char *client_ca; /* NULL: clients need no certificate */
};

struct config_credential {
    char **repositories; /* patterns; none: every repository */
    size_t n_repositories;
    char *user;
    char *password;
    char *password_file; /* `password` is what it held */
    char *identity_token;
    char *docker_config;
    char *helper;
    char *server;
};

struct config_upstream {
    char *name;
    char **endpoints; /* URLs; none: the built-in one */
    bool *endpoint_ns;
    size_t n_endpoints;
    char **aliases;
    size_t n_aliases;
    bool is_default;
    struct config_credential *credentials; /* the first that holds a repository counts */
    size_t n_credentials;
    char *ca_file;
    bool insecure;
    char **trusted_realms;
    size_t n_trusted_realms;
    char **redirect_hosts;
    size_t n_redirect_hosts;
};

struct config_hosted {
    char *pattern;
    bool is_cache; /* class "cache"; else "stage" */
    /* retention (store/retain.h) */
    uint64_t keep_tags;
    int64_t expire_after_s;
    int64_t untagged_after_s; /* -1: what the class says, until it was checked */
    char **protect;
    size_t n_protect;
};

/* One rule of `access` (registry/grant.h). */
struct config_access {
    bool everybody; /* "anonymous": those too who have not signed in */
    char **users;
    size_t n_users;
    char **certificates;
    size_t n_certificates;
    char **repositories;
    size_t n_repositories;
    unsigned actions; /* enum grant_action */
};

/* Owner: the caller, by config_free(). Never changes once it was read. */
struct config {
    struct config_listener *listeners;
    size_t n_listeners;
    char *data;
    unsigned workers;     /* 0: as many as CPUs */
    unsigned connections; /* clients.connections; 0: half of the descriptors there may be */
    unsigned per_address; /* clients.per_address; 0: half of those */
    struct config_upstream *upstreams;
    size_t n_upstreams;
    struct config_hosted *hosted;
    size_t n_hosted;
    struct cache_options cache; /* tags.*, cache.prefetch, offline */
    uint64_t max_size;          /* cache.max_size: bytes, UINT64_MAX where a percentage counts */
    unsigned max_percent;
    uint64_t min_free;
    unsigned min_free_percent;
    enum log_level log_level;
    bool log_json;
    struct limits limits;
    struct lockfile *lock; /* NULL: tags mean what upstreams say */
    char *lock_path;
    char *htpasswd; /* NULL: nobody signs in */
    struct config_access *access;
    size_t n_access;
    bool has_access; /* there are rules, if none that allows anything */
};

/* What flags say; NULL and 0 mean "not given". Strings are borrowed. */
struct config_flags {
    const char *config;
    const char *data;
    const char *const *listen;
    size_t n_listen;
    const char *const *upstream; /* "NAME=URL" */
    size_t n_upstream;
    const char *const *hosted;
    size_t n_hosted;
    const char *tag_ttl;
    const char *workers;
    const char *log_level;
    const char *log_format;
    const char *lock; /* a lock file (oci/lockfile.h) */
    bool offline;
};

/* Defaults, then the file where one was named, then the flags; checked as a whole. NULL with
 * ERR_CONFIG. Without a file and --data the data lies in /var/lib/larder (root), else in
 * $XDG_DATA_HOME/larder or ~/.local/share/larder. */
struct config *config_read(const struct config_flags *flags, struct err *err) MUST_CHECK;
/* The same for whoever is to serve by it: the files that it names are opened and read as well, as
 * a server does (certificates, keys, CAs, users). `logins`: also Docker's config.json, without
 * which a server still has everything else to give. Blocks. */
struct config *config_read_whole(const struct config_flags *flags, bool logins,
                                 struct err *err) MUST_CHECK;
/* The same from JSON text; `name` stands for the file in errors. For tests and fuzzing too. */
struct config *config_parse(const char *name, struct slice text, const struct config_flags *flags,
                            struct err *err) MUST_CHECK;
void config_free(struct config *c);
/* The keys that differ and that a program which runs cannot take over, as text: "listen, workers",
 * or "". The caller frees it. */
char *config_fixed(const struct config *now, const struct config *fresh);
/* Gives it those of `now`, which has no listeners after that. */
void config_keep_fixed(struct config *fresh, struct config *now);
/* Whether both are listened on alike: addresses, roles, what is allowed there. */
bool config_same_listeners(const struct config *a, const struct config *b);

/* "50GB", with *ret_percent 0, or "50%". */
bool config_parse_size(struct slice text, uint64_t *ret_bytes, unsigned *ret_percent) MUST_CHECK;

/* The routing table that the configuration describes; borrows its strings. Freed with free(). */
struct route_table *config_routes(const struct config *c) MUST_CHECK;

#endif
