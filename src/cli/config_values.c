/* cli/config_values.c - the grammar of single values. */
#include "cli/config_parts.h"

#include "http/url.h"
#include "net/listen.h"

#include <arpa/inet.h>
#include <stdlib.h>

/* --- lists --------------------------------------------------------------------------------- */

void config_list_add(char ***list, size_t *n, char *string)
{
    *list = xrealloc(*list, (*n + 1) * sizeof(**list));
    (*list)[(*n)++] = string;
}

void config_list_free(char ***list, size_t *n)
{
    for (size_t i = 0; i < *n; i++) {
        free((*list)[i]);
    }
    free(*list);
    *list = NULL;
    *n = 0;
}

/* --- addresses ----------------------------------------------------------------------------- */

/* An address in the form that the kernel knows it by. */
struct place {
    unsigned char host[sizeof(struct in6_addr)];
    bool is_v6;
    uint16_t port;
};

static bool place_parse(const char *address, struct place *ret)
{
    char host[LISTEN_TEXT_MAX];

    memset(ret, 0, sizeof(*ret));
    if (!listen_parse(address, host, &ret->port)) {
        return false;
    }
    ret->is_v6 = address[0] == '[';
    if (!ret->is_v6 && strcmp(host, "localhost") == 0) {
        return inet_pton(AF_INET, "127.0.0.1", ret->host) == 1;
    }
    return inet_pton(ret->is_v6 ? AF_INET6 : AF_INET, host, ret->host) == 1;
}

bool config_same_address(const char *a, const char *b)
{
    struct place x;
    struct place y;

    if (!place_parse(a, &x) || !place_parse(b, &y)) {
        return strcmp(a, b) == 0;
    }
    return x.port != 0 && x.port == y.port && x.is_v6 == y.is_v6 &&
           memcmp(x.host, y.host, sizeof(x.host)) == 0;
}

int config_read_address(const struct config_node *n, char **ret)
{
    const char *text = json_string_value(n->json);
    char shown[CONFIG_SHOWN_MAX];
    struct place place;

    if (text == NULL || text[0] == '\0') {
        return config_fail(n, "must be an address such as \"127.0.0.1:5000\" or \"unix:/path\"");
    }
    if (strlen(text) >= LISTEN_TEXT_MAX) {
        return config_fail(n, "must be shorter than %d bytes", LISTEN_TEXT_MAX);
    }
    if (strncmp(text, "unix:", 5) == 0) {
        if (text[5] != '/' || text[6] == '\0') {
            return config_fail(n, "\"%s\" must be absolute, as in \"unix:/run/larder.sock\"",
                               config_shown(text, shown));
        }
    } else if (!place_parse(text, &place)) {
        return config_fail(n,
                           "\"%s\" is no address; right are \"127.0.0.1:5000\", \"[::]:5000\" and "
                           "\"unix:/path\" (names other than localhost are not looked up)",
                           config_shown(text, shown));
    }
    return config_read_string(n, ret);
}

/* --- names and URLs ------------------------------------------------------------------------ */

/* Lower case letters, digits and what else stands in host[:port]. */
static bool has_name_bytes(const char *name)
{
    return name[0] != '\0' && name[strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789.-_:[]")] == 0;
}

static bool name_parse(const char *name, struct http_url *ret)
{
    _cleanup_free_ char *url = xasprintf("https://%s", name);
    const char *why;
    bool good = has_name_bytes(name) && name[0] != '.' && name[0] != '-' &&
                strlen(name) < ROUTE_NS_MAX && name[strlen(name) - 1] != ':' &&
                http_url_parse(slice_str(url), ret, &why);

    ret->path = SLICE_NULL; /* it lay in `url` */
    return good;
}

int config_check_name(const struct config_node *n, const char *name)
{
    char shown[CONFIG_SHOWN_MAX];
    struct http_url url;

    if (!name_parse(name, &url)) {
        return config_fail(n,
                           "\"%s\" cannot name an upstream; it must be a host in lower case, with "
                           "a port where it has one, such as ghcr.io or localhost:5000",
                           config_shown(name, shown));
    }
    return 0;
}

int config_read_host(const struct config_node *n, char **ret)
{
    const char *text = json_string_value(n->json);
    char shown[CONFIG_SHOWN_MAX];
    struct in6_addr address;
    struct http_url url;

    if (text == NULL) {
        return config_fail(n, "must be a host name in quotes");
    }
    if (inet_pton(AF_INET6, text, &address) != 1 &&
        (strpbrk(text, ":[]") != NULL || !name_parse(text, &url))) {
        return config_fail(n,
                           "\"%s\" is no host name; right is auth.example.com: lower case, no "
                           "scheme, no port",
                           config_shown(text, shown));
    }
    return config_read_string(n, ret);
}

int config_read_url(const struct config_node *n, char **ret)
{
    const char *text = json_string_value(n->json);
    char shown[CONFIG_SHOWN_MAX];
    struct http_url url;
    const char *why;

    if (text == NULL) {
        return config_fail(n, "must be a URL in quotes, such as \"https://ghcr.io\"");
    }
    if (!http_url_parse(slice_str(text), &url, &why)) {
        return config_fail(n, "\"%s\" is no URL such as https://ghcr.io: %s",
                           config_shown(text, shown), why);
    }
    if (url.user.p != NULL) { /* which is not repeated in an error */
        return config_fail(n, "must be a URL without user and password; they belong into the "
                              "upstream's \"credentials\"");
    }
    if (url.query.p != NULL || strchr(text, '#') != NULL) {
        return config_fail(n, "\"%s\" must end before its ? or #", config_shown(text, shown));
    }
    return config_read_string(n, ret);
}

/* --- sizes --------------------------------------------------------------------------------- */

bool config_parse_size(struct slice text, uint64_t *ret_bytes, unsigned *ret_percent)
{
    uint64_t number;

    if (slice_ends(text, "%") && slice_u64(slice_sub(text, 0, text.len - 1), &number) &&
        number >= 1 && number <= 100) {
        *ret_bytes = 0;
        *ret_percent = (unsigned)number;
        return true;
    }
    if (!bytes_parse(text, ret_bytes)) {
        return false;
    }
    *ret_percent = 0;
    return true;
}

int config_read_size(const struct config_node *n, uint64_t *ret_bytes, unsigned *ret_percent)
{
    char shown[CONFIG_SHOWN_MAX];

    if (json_is_integer(n->json) && json_integer_value(n->json) >= 0) {
        *ret_bytes = (uint64_t)json_integer_value(n->json);
        *ret_percent = 0;
        return 0;
    }
    if (!json_is_string(n->json)) {
        return config_fail(n, "must be \"50GB\", \"512MiB\", \"50%%\" or a whole number of bytes");
    }
    if (!config_parse_size(slice_str(json_string_value(n->json)), ret_bytes, ret_percent)) {
        return config_fail(n,
                           "\"%s\" is no size; right are \"50GB\", \"512MiB\" (units B to TB, KiB "
                           "to TiB), \"1%%\" to \"100%%\" and a number of bytes",
                           config_shown(json_string_value(n->json), shown));
    }
    return 0;
}
