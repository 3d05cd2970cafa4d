/* cli/config_check.c - what can only be said of the configuration as a whole. */
#include "cli/config_parts.h"

#include "http/url.h"
#include "oci/pattern.h"

#include <arpa/inet.h>

/* The upstream that has this alias, among the aliases before the k-th of upstream i. */
static const struct config_upstream *alias_owner(const struct config *c, const char *name, size_t i,
                                                 size_t k)
{
    for (size_t j = 0; j <= i && j < c->n_upstreams; j++) {
        const struct config_upstream *u = &c->upstreams[j];

        for (size_t l = 0; l < u->n_aliases && (j < i || l < k); l++) {
            if (strcmp(u->aliases[l], name) == 0) {
                return u;
            }
        }
    }
    return NULL;
}

static int check_names(const struct config *c, const struct config_node *upstreams)
{
    for (size_t i = 0; i < c->n_upstreams; i++) {
        const struct config_upstream *u = &c->upstreams[i];
        const struct config_upstream *owner = alias_owner(c, u->name, c->n_upstreams, 0);
        struct config_node at = config_member(upstreams, u->name, NULL);
        struct config_node aliases = config_member(&at, "aliases", NULL);

        if (owner != NULL) {
            return config_fail(&at, "is an alias of %s too; each name must be given once",
                               owner->name);
        }
        for (size_t k = 0; k < u->n_aliases; k++) {
            struct config_node alias = config_element(&aliases, k, NULL);

            owner = alias_owner(c, u->aliases[k], i, k);
            if (owner != NULL) {
                return config_fail(&alias,
                                   "\"%s\" is an alias of %s already; it must be given once",
                                   u->aliases[k], owner->name);
            }
        }
    }
    return 0;
}

static int check_default(const struct config *c, const struct config_node *upstreams)
{
    const char *first = NULL;

    for (size_t i = 0; i < c->n_upstreams; i++) {
        struct config_node u = config_member(upstreams, c->upstreams[i].name, NULL);
        struct config_node at = config_member(&u, "default", NULL);

        if (!c->upstreams[i].is_default) {
            continue;
        }
        if (first != NULL) {
            return config_fail(&at, "%s is the default already; there must be one", first);
        }
        first = c->upstreams[i].name;
    }
    if (first == NULL) {
        return config_fail(upstreams, "none is the default; one must have \"default\": true");
    }
    return 0;
}

/* --- credentials --------------------------------------------------------------------------- */

static bool is_loopback(const char *host)
{
    struct in6_addr v6;
    struct in_addr v4;

    if (inet_pton(AF_INET, host, &v4) == 1) {
        return ntohl(v4.s_addr) >> 24 == 127;
    }
    if (inet_pton(AF_INET6, host, &v6) == 1) {
        return IN6_IS_ADDR_LOOPBACK(&v6);
    }
    return strcmp(host, "localhost") == 0;
}

static int check_credentials(const struct config *c, const struct config_node *upstreams)
{
    for (size_t i = 0; i < c->n_upstreams; i++) {
        const struct config_upstream *u = &c->upstreams[i];
        struct config_node at = config_member(upstreams, u->name, NULL);
        struct config_node endpoints = config_member(&at, "endpoints", NULL);

        for (size_t k = 0; k < u->n_endpoints; k++) {
            struct config_node endpoint = config_element(&endpoints, k, NULL);
            struct http_url url;
            const char *why;

            if (u->n_credentials == 0 || !http_url_parse(slice_str(u->endpoints[k]), &url, &why)) {
                continue;
            }
            if (!url.origin.tls && !is_loopback(url.origin.host)) {
                return config_fail(&endpoint, "must be https: \"credentials\" would go over the "
                                              "network in the clear");
            }
        }
    }
    return 0;
}

/* --- hosted and listeners ------------------------------------------------------------------ */

/* The name by which that upstream could be meant where the pattern is, or NULL. */
static const char *pattern_meets(struct slice pattern, const struct config_upstream *u)
{
    if (pattern_may_match_prefix(pattern, slice_str(u->name))) {
        return u->name;
    }
    for (size_t k = 0; k < u->n_aliases; k++) {
        if (pattern_may_match_prefix(pattern, slice_str(u->aliases[k]))) {
            return u->aliases[k];
        }
    }
    return NULL;
}

static int check_hosted(const struct config *c, const struct config_node *root)
{
    struct config_node hosted = config_member(root, "hosted", NULL);

    for (size_t i = 0; i < c->n_hosted; i++) {
        struct config_node at = config_member(&hosted, c->hosted[i].pattern, NULL);

        for (size_t j = 0; j < c->n_upstreams; j++) {
            const char *name = pattern_meets(slice_str(c->hosted[i].pattern), &c->upstreams[j]);

            if (name != NULL) {
                return config_fail(&at,
                                   "also matches names of upstream %s; begin it with a word "
                                   "of its own, such as \"stage/**\"",
                                   name);
            }
        }
        for (size_t j = 0; j < i; j++) {
            if (strcmp(c->hosted[i].pattern, c->hosted[j].pattern) == 0) {
                return config_fail(&at, "is given twice; each pattern must stand once");
            }
        }
    }
    return 0;
}

static int check_push(const struct config_node *listener, const struct config_listener *l)
{
    struct config_node at = config_member(listener, "push", NULL);

    if (l->push && (l->role == ROLE_MIRROR || l->role == ROLE_ADMIN)) {
        return config_fail(&at,
                           "means nothing beside role \"%s\", which takes no pushes; leave it "
                           "out, or make the role \"all\" or \"registry\"",
                           l->role == ROLE_MIRROR ? "mirror" : "admin");
    }
    return 0;
}

static int check_listeners(const struct config *c, const struct config_node *root)
{
    struct config_node listen = config_member(root, "listen", NULL);

    for (size_t i = 0; i < c->n_listeners; i++) {
        struct config_node at = config_element(&listen, i, NULL);

        if (check_push(&at, &c->listeners[i]) < 0) {
            return -1;
        }
        for (size_t j = 0; j < i; j++) {
            if (config_same_address(c->listeners[i].address, c->listeners[j].address)) {
                return config_fail(&at, "\"%s\" is listen[%zu] already; each must be given once",
                                   c->listeners[i].address, j);
            }
        }
    }
    return 0;
}

/* A file that nobody is ever asked by would leave open what it seems to close. */
static int check_auth(const struct config *c, const struct config_node *root)
{
    struct config_node auth = config_member(root, "auth", NULL);
    struct config_node at = config_member(&auth, "htpasswd", NULL);

    for (size_t i = 0; i < c->n_listeners; i++) {
        if (c->listeners[i].role == ROLE_REGISTRY) {
            return 0;
        }
    }
    return c->htpasswd == NULL
               ? 0
               : config_fail(&at,
                             "counts on listeners of role \"registry\" only, and there is none");
}

static bool any_registry(const struct config *c, bool with_client_ca)
{
    for (size_t i = 0; i < c->n_listeners; i++) {
        const struct config_listener *l = &c->listeners[i];

        if (l->role == ROLE_REGISTRY && (!with_client_ca || l->client_ca != NULL)) {
            return true;
        }
    }
    return false;
}

/* Rules count where it is known who asks; a listener of role all would stand open beside them. */
static int check_access(const struct config *c, const struct config_node *root)
{
    struct config_node access = config_member(root, "access", NULL);
    struct config_node listen = config_member(root, "listen", NULL);

    for (size_t i = 0; c->has_access && i < c->n_listeners; i++) {
        struct config_node at = config_element(&listen, i, NULL);

        if (c->listeners[i].role == ROLE_ALL) {
            return config_fail(&at, "has role \"all\", where nobody is asked who they are; with "
                                    "\"access\" it must be \"registry\", \"mirror\" or "
                                    "\"admin\"");
        }
    }
    if (c->has_access && !any_registry(c, false)) {
        return config_fail(&access,
                           "counts on listeners of role \"registry\" only, and there is none");
    }
    for (size_t i = 0; i < c->n_access; i++) {
        struct config_node at = config_element(&access, i, NULL);

        if (c->access[i].n_users > 0 && c->htpasswd == NULL) {
            return config_fail(&at, "names users, and nobody can sign in; \"auth\": "
                                    "{\"htpasswd\": FILE} is missing");
        }
        if (c->access[i].n_certificates > 0 && !any_registry(c, true)) {
            return config_fail(&at, "names certificates, and no listener of role \"registry\" "
                                    "asks for one; \"tls\": {\"client_ca\": FILE} is missing");
        }
    }
    return 0;
}

int config_check(const struct config *c, const char *name, struct err *err)
{
    struct config_node root = config_root(name, NULL, err);
    struct config_node upstreams = config_member(&root, "upstreams", NULL);

    if (check_names(c, &upstreams) < 0 || check_default(c, &upstreams) < 0 ||
        check_credentials(c, &upstreams) < 0 || check_hosted(c, &root) < 0 ||
        check_listeners(c, &root) < 0 || check_access(c, &root) < 0 || check_auth(c, &root) < 0) {
        return -1;
    }
    return 0;
}
