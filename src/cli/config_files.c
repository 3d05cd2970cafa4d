/* cli/config_files.c - whether the files that a configuration names can be used. */
#include "cli/config_parts.h"

#include "base/file.h"
#include "net/tls.h"
#include "oci/docker_auth.h"
#include "registry/users.h"

#include <stdlib.h>

#define RIGHT_CAS "right are certificates of CAs, in PEM"

/* --- listeners ----------------------------------------------------------------------------- */

static int check_keys(const struct config_node *listener, const struct config_listener *l)
{
    static const struct {
        const char *key;
        const char *right;
    } FILES[] = {
        [TLS_CERTIFICATE] = {"certificate", "right is a certificate in PEM"},
        [TLS_KEY] = {"key", "right is its key in PEM, without a password"},
        [TLS_CLIENT_CA] = {"client_ca", RIGHT_CAS},
    };
    struct config_node tls = config_member(listener, "tls", NULL);
    struct err why = {0};
    enum tls_file bad;
    struct tls_keys *keys = tls_keys_new(l->certificate, l->key, l->client_ca, &bad, &why);
    struct config_node at;

    if (keys != NULL) {
        tls_keys_free(keys);
        return 0;
    }
    at = config_member(&tls, FILES[bad].key, NULL);
    return config_fail(&at, "%s; %s", why.text, FILES[bad].right);
}

static int check_listeners(const struct config *c, const struct config_node *root)
{
    struct config_node listen = config_member(root, "listen", NULL);

    for (size_t i = 0; i < c->n_listeners; i++) {
        struct config_node at = config_element(&listen, i, NULL);

        if (c->listeners[i].certificate != NULL && check_keys(&at, &c->listeners[i]) < 0) {
            return -1;
        }
    }
    return 0;
}

static int check_users(const struct config *c, const struct config_node *root)
{
    struct config_node auth = config_member(root, "auth", NULL);
    struct config_node at = config_member(&auth, "htpasswd", NULL);
    struct users *users = NULL;
    struct err why = {0};

    if (c->htpasswd != NULL) {
        users = users_new(c->htpasswd, &why);
    }
    users_free(users);
    return why.code == ERR_NONE ? 0 : config_fail(&at, "%s", why.text);
}

/* --- upstreams ----------------------------------------------------------------------------- */

static int check_ca(const struct config_node *upstream, const struct config_upstream *u)
{
    struct config_node at = config_member(upstream, "ca_file", NULL);
    struct tls_trust *trust = NULL;
    struct err why = {0};

    if (u->ca_file != NULL) {
        trust = tls_trust_new(u->ca_file, u->insecure, &why);
    }
    tls_trust_free(trust);
    return why.code == ERR_NONE ? 0 : config_fail(&at, "%s; " RIGHT_CAS, why.text);
}

/* A helper that it names is not run: it may ask somebody, or take long. */
static int check_docker(const struct config_node *at, const struct config_credential *k,
                        const char *server)
{
    struct docker_auth auth = {0};
    struct err why = {0};
    int result = 0;
    char *text;
    size_t len;

    if (file_read(k->docker_config, DOCKER_CONFIG_MAX, &text, &len, &why) < 0) {
        return config_fail(at, "%s; right is the path of Docker's config.json", why.text);
    }
    if (docker_config_parse(slice_of(text, len), server, &auth, &why) < 0) {
        result = config_fail(at, "%.100s: %s", k->docker_config, why.text);
    }
    docker_auth_free(&auth);
    explicit_bzero(text, len);
    free(text);
    return result;
}

static int check_credentials(const struct config_node *upstream, const struct config_upstream *u)
{
    struct config_node all = config_member(upstream, "credentials", NULL);

    for (size_t i = 0; i < u->n_credentials; i++) {
        const struct config_credential *k = &u->credentials[i];
        const char *server = k->server != NULL ? k->server : docker_server(u->name);
        struct config_node one = config_element(&all, i, NULL);
        struct config_node at =
            config_member(u->n_credentials > 1 ? &one : &all, "docker_config", NULL);

        if (k->docker_config != NULL && check_docker(&at, k, server) < 0) {
            return -1;
        }
    }
    return 0;
}

static int check_upstreams(const struct config *c, const struct config_node *root, bool logins)
{
    struct config_node upstreams = config_member(root, "upstreams", NULL);

    for (size_t i = 0; i < c->n_upstreams; i++) {
        struct config_node at = config_member(&upstreams, c->upstreams[i].name, NULL);

        if (check_ca(&at, &c->upstreams[i]) < 0 ||
            (logins && check_credentials(&at, &c->upstreams[i]) < 0)) {
            return -1;
        }
    }
    return 0;
}

/* --- all of them --------------------------------------------------------------------------- */

/* Password files and the lock file are read together with the rest. */
struct config *config_read_whole(const struct config_flags *flags, bool logins, struct err *err)
{
    const char *name = flags->config != NULL ? flags->config : "command line";
    struct config_node root = config_root(name, NULL, err);
    struct config *c = config_read(flags, err);

    if (c != NULL && (check_listeners(c, &root) < 0 || check_users(c, &root) < 0 ||
                      check_upstreams(c, &root, logins) < 0)) {
        config_free(c);
        return NULL;
    }
    return c;
}
