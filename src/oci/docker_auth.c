/* oci/docker_auth.c - the two forms, by jansson. */
#include "oci/docker_auth.h"

#include <jansson.h>
#include <stdlib.h>
#include <strings.h>

#define HUB_SERVER "https://index.docker.io/v1/"
#define HELPER_NAME_MAX 64

static void wipe(char *s)
{
    if (s != NULL) {
        explicit_bzero(s, strlen(s));
    }
    free(s);
}

void docker_auth_free(struct docker_auth *a)
{
    wipe(a->basic);
    wipe(a->identity_token);
    wipe(a->password);
    free(a->helper);
    free(a->server);
    free(a->user);
    *a = (struct docker_auth){0};
}

const char *docker_server(const char *name)
{
    return strcmp(name, "docker.io") == 0 ? HUB_SERVER : name;
}

bool docker_helper_valid(struct slice name)
{
    for (size_t i = 0; i < name.len; i++) {
        char c = name.p[i];

        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              (i > 0 && (c == '-' || c == '_' || c == '.')))) {
            return false;
        }
    }
    return name.len > 0 && name.len <= HELPER_NAME_MAX;
}

/* "https://Host:443/v1/" is the host, and all names of the hub are one. */
static struct slice host_of(const char *server)
{
    struct slice s = slice_str(server);

    if (slice_starts(s, "https://")) {
        s = slice_from(s, 8);
    } else if (slice_starts(s, "http://")) {
        s = slice_from(s, 7);
    }
    s = slice_sub(s, 0, slice_find(s, '/'));
    if (slice_is_nocase(s, "index.docker.io") || slice_is_nocase(s, "registry-1.docker.io")) {
        return slice_str("docker.io");
    }
    return s;
}

static bool same_server(const char *a, const char *b)
{
    struct slice x = host_of(a);
    struct slice y = host_of(b);

    return x.len == y.len && strncasecmp(x.p, y.p, x.len) == 0;
}

/* The member of an object for this server: as it is written, else by its host. */
static json_t *find(json_t *object, const char *server, const char **ret_key)
{
    const char *key;
    json_t *value;

    *ret_key = server;
    value = json_object_get(object, server);
    if (value != NULL) {
        return value;
    }
    json_object_foreach(object, key, value)
    {
        if (same_server(key, server)) {
            *ret_key = key;
            return value;
        }
    }
    return NULL;
}

static const char *text_of(const json_t *j)
{
    return json_is_string(j) && json_string_length(j) > 0 ? json_string_value(j) : NULL;
}

static bool take_helper(const json_t *name, const char *server, struct docker_auth *a)
{
    const char *text = text_of(name);

    if (text == NULL || !docker_helper_valid(slice_str(text))) {
        return false;
    }
    a->helper = xstrdup(text);
    a->server = xstrdup(server);
    return true;
}

static bool take_entry(const json_t *entry, struct docker_auth *a)
{
    const char *token = text_of(json_object_get(entry, "identitytoken"));
    const char *basic = text_of(json_object_get(entry, "auth"));

    if (token != NULL) {
        a->identity_token = xstrdup(token);
    } else if (basic != NULL) {
        a->basic = xstrdup(basic);
    }
    return token != NULL || basic != NULL;
}

static bool take_config(const json_t *root, const char *server, struct docker_auth *a)
{
    const char *key;
    json_t *value = find(json_object_get(root, "credHelpers"), server, &key);

    if (value != NULL) {
        return take_helper(value, key, a);
    }
    value = find(json_object_get(root, "auths"), server, &key);
    return (value != NULL && take_entry(value, a)) ||
           take_helper(json_object_get(root, "credsStore"), key, a);
}

int docker_config_parse(struct slice text, const char *server, struct docker_auth *ret,
                        struct err *err)
{
    json_t *root = text.len > DOCKER_CONFIG_MAX ? NULL : json_loadb(text.p, text.len, 0, NULL);
    struct docker_auth a = {0};
    bool found;

    if (!json_is_object(root)) {
        json_decref(root);
        return err_set(err, ERR_CONFIG, "it is not a JSON object");
    }
    found = take_config(root, server, &a);
    json_decref(root);
    if (!found) {
        return err_set(err, ERR_CONFIG,
                       "it has no credential for %.200s; \"docker login\" adds one", server);
    }
    *ret = a;
    return 0;
}

int docker_answer_parse(struct slice text, struct docker_auth *ret, struct err *err)
{
    json_t *root = text.len > DOCKER_ANSWER_MAX ? NULL : json_loadb(text.p, text.len, 0, NULL);
    const char *user = text_of(json_object_get(root, "Username"));
    const char *secret = text_of(json_object_get(root, "Secret"));
    bool good = secret != NULL && user != NULL && strchr(user, ':') == NULL;

    if (good && strcmp(user, "<token>") == 0) {
        *ret = (struct docker_auth){.identity_token = xstrdup(secret)};
    } else if (good) {
        *ret = (struct docker_auth){.user = xstrdup(user), .password = xstrdup(secret)};
    }
    json_decref(root);
    return good ? 0 : err_set(err, ERR_CONFIG, "its answer is not JSON with Username and Secret");
}
