/* cli/config_upstreams.c - the section `upstreams`, its credentials, and --upstream. */
#include "cli/config_parts.h"

#include "base/file.h"
#include "oci/docker_auth.h"
#include "oci/pattern.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

#define PASSWORD_FILE_MAX (64u * 1024)

/* --- the list ------------------------------------------------------------------------------ */

struct config_upstream *config_find_upstream(const struct config *c, const char *name)
{
    for (size_t i = 0; i < c->n_upstreams; i++) {
        if (strcmp(c->upstreams[i].name, name) == 0) {
            return &c->upstreams[i];
        }
    }
    return NULL;
}

struct config_upstream *config_add_upstream(struct config *c, const char *name)
{
    struct config_upstream *u;

    c->upstreams = xrealloc(c->upstreams, (c->n_upstreams + 1) * sizeof(*c->upstreams));
    u = &c->upstreams[c->n_upstreams++];
    *u = (struct config_upstream){.name = xstrdup(name)};
    return u;
}

static void clear_endpoints(struct config_upstream *u)
{
    config_list_free(&u->endpoints, &u->n_endpoints);
    free(u->endpoint_ns);
    u->endpoint_ns = NULL;
}

static void fini_credential(struct config_credential *k)
{
    config_list_free(&k->repositories, &k->n_repositories);
    free(k->user);
    free(k->password);
    free(k->identity_token);
    free(k->password_file);
    free(k->docker_config);
    free(k->helper);
    free(k->server);
}

static void clear_credentials(struct config_upstream *u)
{
    for (size_t i = 0; i < u->n_credentials; i++) {
        fini_credential(&u->credentials[i]);
    }
    free(u->credentials);
    u->credentials = NULL;
    u->n_credentials = 0;
}

void config_fini_upstream(struct config_upstream *u)
{
    free(u->name);
    free(u->ca_file);
    clear_endpoints(u);
    clear_credentials(u);
    config_list_free(&u->aliases, &u->n_aliases);
    config_list_free(&u->trusted_realms, &u->n_trusted_realms);
    config_list_free(&u->redirect_hosts, &u->n_redirect_hosts);
}

static void remove_upstream(struct config *c, struct config_upstream *u)
{
    size_t behind = (size_t)(c->upstreams + c->n_upstreams - u) - 1;

    config_fini_upstream(u);
    memmove(u, u + 1, behind * sizeof(*u));
    c->n_upstreams--;
}

/* --- endpoints ----------------------------------------------------------------------------- */

struct endpoint {
    char *url;
    bool ns;
};

static int read_url(const struct config_node *n, void *at)
{
    return config_read_url(n, at);
}

static int read_bool(const struct config_node *n, void *at)
{
    return config_read_bool(n, at);
}

static const struct config_field ENDPOINT_FIELDS[] = {
    {"url", read_url, offsetof(struct endpoint, url)},
    {"ns", read_bool, offsetof(struct endpoint, ns)},
};

static int read_endpoint(const struct config_node *n, void *upstream)
{
    static const struct config_fields fields = {ENDPOINT_FIELDS, ARRAY_LEN(ENDPOINT_FIELDS), NULL};
    struct config_upstream *u = upstream;
    struct endpoint e = {0};

    if ((json_is_object(n->json) ? config_read_object(n, &fields, &e)
                                 : config_read_url(n, &e.url)) < 0) {
        free(e.url);
        return -1;
    }
    if (e.url == NULL) {
        return config_fail(n, "must have a \"url\", such as \"https://ghcr.io\"");
    }
    u->endpoint_ns = xrealloc(u->endpoint_ns, (u->n_endpoints + 1) * sizeof(*u->endpoint_ns));
    u->endpoint_ns[u->n_endpoints] = e.ns;
    config_list_add(&u->endpoints, &u->n_endpoints, e.url);
    return 0;
}

static int read_endpoints(const struct config_node *n, void *at)
{
    struct config_upstream *u = at;

    clear_endpoints(u);
    if (config_read_array(n, read_endpoint, u) < 0) {
        return -1;
    }
    if (u->n_endpoints == 0) {
        return config_fail(n, "must hold at least one URL; leave the key out for https://%s",
                           u->name);
    }
    return 0;
}

/* --- credentials --------------------------------------------------------------------------- */

static int read_repository(const struct config_node *n, void *at)
{
    struct config_credential *k = at;
    char *pattern = NULL;

    if (config_read_string(n, &pattern) < 0) {
        return -1;
    }
    if (!pattern_valid(slice_str(pattern))) {
        free(pattern);
        return config_fail(n, "must be a pattern of repositories without the upstream's name, such "
                              "as \"team/**\" or \"library/debian\"");
    }
    config_list_add(&k->repositories, &k->n_repositories, pattern);
    return 0;
}

static int read_repositories(const struct config_node *n, void *at)
{
    struct config_credential *k = at;

    if (config_read_array(n, read_repository, k) < 0) {
        return -1;
    }
    return k->n_repositories > 0
               ? 0
               : config_fail(n, "must hold a pattern; leave the key out for every repository");
}

static int read_string(const struct config_node *n, void *at)
{
    return config_read_string(n, at);
}

static const struct config_field CREDENTIAL_FIELDS[] = {
    {"repositories", read_repositories, 0},
    {"user", read_string, offsetof(struct config_credential, user)},
    {"password", read_string, offsetof(struct config_credential, password)},
    {"password_file", read_string, offsetof(struct config_credential, password_file)},
    {"identity_token", read_string, offsetof(struct config_credential, identity_token)},
    {"docker_config", read_string, offsetof(struct config_credential, docker_config)},
    {"helper", read_string, offsetof(struct config_credential, helper)},
    {"server", read_string, offsetof(struct config_credential, server)},
};

/* The password of a file: all of it, less the line end behind it. */
static int read_password_file(const struct config_node *up, const char *path, char **ret)
{
    struct config_node n = config_member(up, "password_file", NULL);
    struct err why = {0};
    struct stat st;
    size_t len;

    if (stat(path, &st) < 0) {
        return config_fail(&n, "cannot be read: %s; name a file that holds the password",
                           strerror(errno));
    }
    if (!S_ISREG(st.st_mode)) {
        return config_fail(&n, "must name a file, not a folder or device");
    }
    if ((st.st_mode & S_IRWXO) != 0) {
        return config_fail(&n, "others may read that file (mode %04o); it must be \"chmod o=\"",
                           (unsigned)(st.st_mode & 07777));
    }
    if (file_read(path, PASSWORD_FILE_MAX, ret, &len, &why) < 0) {
        return config_fail(&n, "cannot be read: %s", why.text);
    }
    while (len > 0 && ((*ret)[len - 1] == '\n' || (*ret)[len - 1] == '\r')) {
        (*ret)[--len] = '\0';
    }
    if (len == 0 || strlen(*ret) != len || strpbrk(*ret, "\r\n") != NULL) {
        return config_fail(&n, "that file must hold the password alone, in one line");
    }
    return 0;
}

/* What goes together: user with one of password and password_file, or one of the others alone. */
static int check_credential(const struct config_node *n, struct config_credential *k)
{
    int passwords = (k->password != NULL) + (k->password_file != NULL);
    int others = (k->identity_token != NULL) + (k->docker_config != NULL) + (k->helper != NULL);
    bool asks = k->docker_config != NULL || k->helper != NULL;

    if (passwords + others != 1 || (k->user != NULL) != (passwords == 1) ||
        (k->server != NULL && !asks)) {
        return config_fail(n, "must have \"user\" with \"password\" or \"password_file\", or "
                              "\"identity_token\" alone, or \"docker_config\" or \"helper\", "
                              "these with or without \"server\"");
    }
    if (k->user != NULL && strchr(k->user, ':') != NULL) {
        struct config_node user = config_member(n, "user", NULL);

        return config_fail(&user, "must have no colon; the password is a key of its own");
    }
    if (k->helper != NULL && !docker_helper_valid(slice_str(k->helper))) {
        struct config_node helper = config_member(n, "helper", NULL);

        return config_fail(&helper, "must be what stands behind \"docker-credential-\", such as "
                                    "\"ecr-login\"");
    }
    return k->password_file == NULL ? 0 : read_password_file(n, k->password_file, &k->password);
}

static int read_credential(const struct config_node *n, void *at)
{
    static const struct config_fields fields = {CREDENTIAL_FIELDS, ARRAY_LEN(CREDENTIAL_FIELDS),
                                                NULL};
    struct config_upstream *u = at;
    struct config_credential c = {0};
    int result;

    if (u->n_credentials > 0 && u->credentials[u->n_credentials - 1].n_repositories == 0) {
        return config_fail(n, "is never used: the one before it has no \"repositories\", and the "
                              "first that holds a repository counts");
    }
    result = config_read_object(n, &fields, &c);
    if (result == 0) {
        result = check_credential(n, &c);
    }
    if (result < 0) {
        fini_credential(&c);
        return -1;
    }
    u->credentials = xrealloc(u->credentials, (u->n_credentials + 1) * sizeof(*u->credentials));
    u->credentials[u->n_credentials++] = c;
    return 0;
}

/* One, or a list of which the first that holds a repository counts. */
static int read_credentials(const struct config_node *n, void *at)
{
    struct config_upstream *u = at;

    clear_credentials(u);
    if (!json_is_array(n->json)) {
        return read_credential(n, u);
    }
    if (config_read_array(n, read_credential, u) < 0) {
        return -1;
    }
    if (u->n_credentials == 0) {
        return config_fail(n, "must hold at least one; leave the key out for none");
    }
    return 0;
}

/* --- one upstream -------------------------------------------------------------------------- */

static int read_alias(const struct config_node *n, void *upstream)
{
    struct config_upstream *u = upstream;
    char *alias = NULL;

    if (config_read_string(n, &alias) < 0) {
        return -1;
    }
    if (config_check_name(n, alias) < 0) {
        free(alias);
        return -1;
    }
    config_list_add(&u->aliases, &u->n_aliases, alias);
    return 0;
}

static int read_aliases(const struct config_node *n, void *at)
{
    struct config_upstream *u = at;

    config_list_free(&u->aliases, &u->n_aliases);
    return config_read_array(n, read_alias, u);
}

static int read_realm(const struct config_node *n, void *upstream)
{
    struct config_upstream *u = upstream;
    char *host = NULL;

    if (config_read_host(n, &host) < 0) {
        return -1;
    }
    config_list_add(&u->trusted_realms, &u->n_trusted_realms, host);
    return 0;
}

static int read_realms(const struct config_node *n, void *at)
{
    return config_read_array(n, read_realm, at);
}

static int read_redirect_host(const struct config_node *n, void *upstream)
{
    struct config_upstream *u = upstream;
    char *host = NULL;

    if (config_read_host(n, &host) < 0) {
        return -1;
    }
    config_list_add(&u->redirect_hosts, &u->n_redirect_hosts, host);
    return 0;
}

static int read_redirect_hosts(const struct config_node *n, void *at)
{
    return config_read_array(n, read_redirect_host, at);
}

static const struct config_field UPSTREAM_FIELDS[] = {
    {"endpoints", read_endpoints, 0},
    {"aliases", read_aliases, 0},
    {"default", read_bool, offsetof(struct config_upstream, is_default)},
    {"credentials", read_credentials, 0},
    {"ca_file", read_string, offsetof(struct config_upstream, ca_file)},
    {"insecure", read_bool, offsetof(struct config_upstream, insecure)},
    {"trusted_realms", read_realms, 0},
    {"redirect_hosts", read_redirect_hosts, 0},
};

static int read_upstream(const struct config_node *n, void *config)
{
    static const struct config_fields fields = {UPSTREAM_FIELDS, ARRAY_LEN(UPSTREAM_FIELDS), NULL};
    struct config *c = config;
    struct config_upstream *u = config_find_upstream(c, n->key);

    if (json_is_null(n->json)) {
        if (u == NULL) {
            return config_fail(n, "null takes a built-in upstream away, and this is none; use {}");
        }
        remove_upstream(c, u);
        return 0;
    }
    if (u == NULL) {
        if (config_check_name(n, n->key) < 0) {
            return -1;
        }
        u = config_add_upstream(c, n->key);
    }
    return config_read_object(n, &fields, u);
}

/* The built-in default gives way to one that the file names. */
static void yield_default(const struct config_node *n, struct config *c)
{
    const char *key;
    json_t *value;

    json_object_foreach(n->json, key, value)
    {
        if (json_is_true(json_object_get(value, "default"))) {
            for (size_t i = 0; i < c->n_upstreams; i++) {
                c->upstreams[i].is_default = false;
            }
            return;
        }
    }
}

int config_read_upstreams(const struct config_node *n, void *config)
{
    if (json_is_object(n->json)) {
        yield_default(n, config);
    }
    return config_read_members(n, read_upstream, config);
}

/* --- flags --------------------------------------------------------------------------------- */

static const struct config_upstream *find_alias(const struct config *c, const char *alias)
{
    for (size_t i = 0; i < c->n_upstreams; i++) {
        for (size_t k = 0; k < c->upstreams[i].n_aliases; k++) {
            if (strcmp(c->upstreams[i].aliases[k], alias) == 0) {
                return &c->upstreams[i];
            }
        }
    }
    return NULL;
}

/* The upstream of "NAME=URL", found or added; NULL with the error. */
static struct config_upstream *flag_upstream(const char *text, struct config *c, struct err *err)
{
    struct config_node n = config_root("--upstream", NULL, err);
    const char *equals = strchr(text, '=');
    _cleanup_free_ char *name = xstrndup(text, equals == NULL ? 0 : (size_t)(equals - text));
    const struct config_upstream *other = find_alias(c, name);
    struct config_upstream *u = config_find_upstream(c, name);
    char shown[CONFIG_SHOWN_MAX];

    if (equals == NULL) {
        config_fail(&n, "\"%s\" must be NAME=URL, such as docker.io=https://mirror.gcr.io",
                    config_shown(text, shown));
        return NULL;
    }
    if (other != NULL) {
        config_fail(&n, "\"%s\" is an alias; it must be %s=URL", name, other->name);
        return NULL;
    }
    if (config_check_name(&n, name) < 0) {
        return NULL;
    }
    return u != NULL ? u : config_add_upstream(c, name);
}

static int flag_endpoint(const char *url, struct config_upstream *u, struct err *err)
{
    json_t *json = json_string(url);
    struct config_node n = config_root("--upstream", json, err);
    int result = read_endpoint(&n, u);

    json_decref(json);
    return result;
}

int config_flag_upstreams(const struct config_flags *flags, struct config *c, struct err *err)
{
    struct config_upstream *u;

    for (size_t i = 0; i < flags->n_upstream; i++) {
        u = flag_upstream(flags->upstream[i], c, err);
        if (u == NULL) {
            return -1;
        }
        clear_endpoints(u);
    }
    for (size_t i = 0; i < flags->n_upstream; i++) {
        u = flag_upstream(flags->upstream[i], c, err);
        if (u == NULL || flag_endpoint(strchr(flags->upstream[i], '=') + 1, u, err) < 0) {
            return -1;
        }
    }
    return 0;
}
