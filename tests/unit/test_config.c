/* test_config.c - the configuration: defaults, every key, every error, flags over the file. */
#include "cli/config.h"

#include "base/file.h"
#include "tap.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static struct err err;

static struct config *parse(const char *text, const struct config_flags *flags)
{
    err = (struct err){0};
    return config_parse("t.json", slice_str(text), flags, &err);
}

static const struct config_upstream *upstream(const struct config *c, const char *name)
{
    for (size_t i = 0; i < c->n_upstreams; i++) {
        if (strcmp(c->upstreams[i].name, name) == 0) {
            return &c->upstreams[i];
        }
    }
    return NULL;
}

/* Whether the config is there; says why where it is not. */
static bool good(const struct config *c, const char *what)
{
    if (!CHECK_NOTE(c != NULL, what)) {
        printf("# %s\n", err.text);
    }
    return c != NULL;
}

/* --- right --------------------------------------------------------------------------------- */

static void check_defaults(const struct config *c)
{
    const struct limits limits_default = LIMITS_DEFAULT;

    CHECK_INT(c->n_listeners, 1);
    CHECK_STR(c->listeners[0].address, "127.0.0.1:5000");
    CHECK(c->listeners[0].role == ROLE_ALL && !c->listeners[0].push);
    CHECK_INT(c->workers, 0);
    CHECK_INT(c->n_upstreams, 8);
    CHECK_STR(c->upstreams[0].name, "docker.io");
    CHECK(c->upstreams[0].is_default && c->upstreams[0].n_aliases == 3);
    CHECK_STR(c->upstreams[0].aliases[0], "index.docker.io");
    CHECK_STR(c->upstreams[0].aliases[1], "registry-1.docker.io");
    CHECK_STR(c->upstreams[0].aliases[2], "registry.hub.docker.com");
    CHECK_INT(c->upstreams[0].n_endpoints, 1);
    CHECK_STR(c->upstreams[0].endpoints[0], "https://registry-1.docker.io");
    CHECK(!c->upstreams[0].endpoint_ns[0]);
    CHECK(upstream(c, "ghcr.io")->n_endpoints == 0 && !upstream(c, "ghcr.io")->is_default);
    CHECK(upstream(c, "registry.gitlab.com") != NULL);
    CHECK_INT(c->n_hosted, 2);
    CHECK_STR(c->hosted[0].pattern, "stage/**");
    CHECK(!c->hosted[0].is_cache && c->hosted[1].is_cache);
    CHECK(c->hosted[0].untagged_after_s == 0 && c->hosted[1].untagged_after_s == 7 * 24 * 3600);
    CHECK_STR(c->hosted[1].pattern, "cache/**");
    CHECK_INT(c->cache.tag_ttl_s, 300);
    CHECK_INT(c->cache.tag_patience_ms, 1000);
    CHECK_INT(c->cache.tag_stale_if_error_s, 30 * 24 * 3600);
    CHECK_INT(c->cache.tag_stale_while_s, 0);
    CHECK(c->cache.prefetch && !c->cache.offline);
    CHECK(c->max_size == UINT64_MAX && c->max_percent == 50 && c->min_free_percent == 5);
    CHECK(c->log_level == LOG_INFO && !c->log_json);
    CHECK(memcmp(&c->limits, &limits_default, sizeof(limits_default)) == 0);
}

static void test_defaults(void)
{
    struct config_flags flags = {.data = "/d"};
    struct config *c = config_read(&flags, &err);

    if (good(c, "no file")) {
        check_defaults(c);
        CHECK_STR(c->data, "/d");
    }
    config_free(c);
    c = parse("{}", &flags);
    if (good(c, "an empty object")) {
        check_defaults(c);
    }
    config_free(c);
    config_free(NULL);
}

/* The file that is installed says the defaults. */
static void test_installed(void)
{
    struct config_flags flags = {.config = "config/larder.json"};
    struct config *c = config_read(&flags, &err);

    if (good(c, "config/larder.json")) {
        check_defaults(c);
        CHECK_STR(c->data, "/var/lib/larder");
    }
    config_free(c);
}

static void test_sections(void)
{
    static const char text[] =
        "{\"listen\": [\"0.0.0.0:5000\", \"unix:/run/l.sock\", \"localhost:0\", \"localhost:0\","
        "  {\"address\": \"[::]:80\", \"role\": \"mirror\"}, {\"role\": \"admin\", \"push\": false,"
        "  \"tls\": {\"certificate\": \"/c\", \"key\": \"/k\", \"client_ca\": \"/a\"},"
        "  \"address\": \"127.0.0.1:1\"}, {\"address\": \"127.0.0.1:2\", \"role\": \"registry\","
        "  \"push\": true}],"
        " \"data\": \"/srv/l\", \"workers\": 64, \"offline\": true,"
        " \"tags\": {\"ttl\": \"0\", \"patience\": \"250ms\", \"stale_if_error\": \"2h\","
        "  \"stale_while_revalidate\": \"30s\"},"
        " \"hosted\": {\"a/*\": {\"class\": \"cache\", \"untagged_after\": \"0\"},"
        " \"b\": {\"class\": \"stage\", \"keep_tags\": 3, \"expire_after\": \"2h\","
        " \"untagged_after\": \"1h\", \"protect\": [\"V-*\", \"latest\"]}},"
        " \"cache\": {\"max_size\": \"50GB\", \"min_free\": \"512MiB\", \"prefetch\": false},"
        " \"log\": {\"level\": \"debug\", \"format\": \"json\"},"
        " \"limits\": {\"first_byte\": \"5s\", \"drain\": \"0s\", \"hedge\": \"0s\", "
        "\"names_stale\": \"2m\"}}";
    struct config *c = parse(text, NULL);

    if (!good(c, "every section")) {
        return;
    }
    CHECK_INT(c->n_listeners, 7);
    CHECK_STR(c->listeners[1].address, "unix:/run/l.sock");
    CHECK_STR(c->listeners[4].address, "[::]:80");
    CHECK(c->listeners[4].role == ROLE_MIRROR && !c->listeners[4].push);
    CHECK(c->listeners[5].role == ROLE_ADMIN && !c->listeners[5].push);
    CHECK(c->listeners[6].role == ROLE_REGISTRY && c->listeners[6].push);
    CHECK_STR(c->listeners[5].certificate, "/c");
    CHECK_STR(c->listeners[5].key, "/k");
    CHECK_STR(c->listeners[5].client_ca, "/a");
    CHECK(c->listeners[4].certificate == NULL && c->listeners[6].client_ca == NULL);
    CHECK_STR(c->data, "/srv/l");
    CHECK(c->workers == 64 && c->cache.offline && !c->cache.prefetch);
    CHECK(c->cache.tag_ttl_s == 0 && c->cache.tag_patience_ms == 250);
    CHECK(c->cache.tag_stale_if_error_s == 7200 && c->cache.tag_stale_while_s == 30);
    CHECK_INT(c->n_hosted, 2);
    CHECK_STR(c->hosted[0].pattern, "a/*");
    CHECK(c->hosted[0].is_cache && !c->hosted[1].is_cache);
    CHECK(c->hosted[0].keep_tags == 0 && c->hosted[0].untagged_after_s == 0);
    CHECK(c->hosted[1].keep_tags == 3 && c->hosted[1].expire_after_s == 7200);
    CHECK(c->hosted[1].untagged_after_s == 3600 && c->hosted[1].n_protect == 2);
    CHECK_STR(c->hosted[1].protect[0], "V-*");
    CHECK(c->max_size == 50000000000ull && c->max_percent == 0);
    CHECK(c->min_free == 512ull << 20 && c->min_free_percent == 0);
    CHECK(c->log_level == LOG_DEBUG && c->log_json);
    CHECK(c->limits.first_byte == 5000 && c->limits.drain == 0);
    CHECK(c->limits.hedge == 0);
    CHECK(c->limits.names_stale == 120000 && c->limits.connect == 5000);
    config_free(c);
}

static void test_upstreams(void)
{
    static const char text[] =
        "{\"upstreams\": {\"docker.io\": {\"endpoints\": [\"http://127.0.0.1:1/v2/hub\","
        "   {\"url\": \"https://larder:5000\", \"ns\": true}],"
        "   \"credentials\": {\"user\": \"u\", \"password\": \"p:q\"}},"
        "  \"quay.io\": null,"
        "  \"localhost:5000\": {\"aliases\": [\"r.example\", \"[::1]:5000\"], \"default\": true,"
        "   \"credentials\": {\"identity_token\": \"tok\"}, \"ca_file\": \"/ca.pem\","
        "   \"insecure\": true, \"trusted_realms\": [\"auth.example\"],"
        "   \"redirect_hosts\": [\"10.0.0.1\", \"::1\", \"s3\"]}}}";
    struct config *c = parse(text, NULL);
    const struct config_upstream *u;

    if (!good(c, "upstreams over the built-in ones")) {
        return;
    }
    CHECK_INT(c->n_upstreams, 8);
    CHECK(upstream(c, "quay.io") == NULL);
    u = &c->upstreams[0];
    CHECK_STR(u->name, "docker.io");
    CHECK_INT(u->n_endpoints, 2);
    CHECK_STR(u->endpoints[0], "http://127.0.0.1:1/v2/hub");
    CHECK_STR(u->endpoints[1], "https://larder:5000");
    CHECK(!u->endpoint_ns[0] && u->endpoint_ns[1]);
    CHECK(u->n_aliases == 3 && !u->is_default);
    CHECK_INT(u->n_credentials, 1);
    CHECK_STR(u->credentials[0].user, "u");
    CHECK_STR(u->credentials[0].password, "p:q");
    u = &c->upstreams[7];
    CHECK_STR(u->name, "localhost:5000");
    CHECK(u->is_default && u->insecure && u->credentials[0].user == NULL && u->n_endpoints == 0);
    CHECK_STR(u->credentials[0].identity_token, "tok");
    CHECK_STR(u->ca_file, "/ca.pem");
    CHECK(u->n_aliases == 2 && u->n_trusted_realms == 1 && u->n_redirect_hosts == 3);
    CHECK_STR(u->aliases[1], "[::1]:5000");
    CHECK_STR(u->trusted_realms[0], "auth.example");
    CHECK_STR(u->redirect_hosts[1], "::1");
    config_free(c);
}

static void test_routes(void)
{
    struct config *c = parse("{\"upstreams\": {\"x.io\": {\"aliases\": [\"y.io\"]}}}", NULL);
    struct route_table *t;
    struct route r;

    if (!good(c, "one more upstream")) {
        return;
    }
    t = config_routes(c);
    CHECK(t->n_upstreams == 9 && t->n_hosted == 2);
    for (size_t i = 0; i < c->n_upstreams; i++) {
        CHECK_INT(route_find_upstream(t, slice_str(c->upstreams[i].name)), i);
        CHECK(t->upstreams[i].is_default == (i == 0));
    }
    CHECK_INT(route_find_upstream(t, slice_str("registry.hub.docker.com")), 0);
    CHECK_INT(route_find_upstream(t, slice_str("y.io")), 8);
    CHECK(route_parse_name(t, ROLE_ALL, slice_str("cache/a"), &r, &err) == 0 && r.hosted == 1);
    CHECK(route_parse_name(t, ROLE_ALL, slice_str("alpine"), &r, &err) == 0 && r.upstream == 0);
    CHECK(t->n_listeners == 1 && strcmp(t->listeners[0], "127.0.0.1:5000") == 0);
    free(t);
    config_free(c);
    c = parse("{\"listen\": [{\"address\": \"127.0.0.1:9\", \"role\": \"admin\"}, \"[::]:5000\"]}",
              NULL);
    t = config_routes(c);
    CHECK(t->n_listeners == 1 && strcmp(t->listeners[0], "[::]:5000") == 0);
    free(t);
    config_free(c);
}

static void test_sizes(void)
{
    static const struct {
        const char *json;
        uint64_t bytes;
        unsigned percent;
    } cases[] = {
        {"1", 1, 0},
        {"50000000000", 50000000000ull, 0},
        {"\"7B\"", 7, 0},
        {"\"7kB\"", 7000, 0},
        {"\"7KB\"", 7000, 0},
        {"\"7MB\"", 7000000, 0},
        {"\"7TB\"", 7000000000000ull, 0},
        {"\"7KiB\"", 7168, 0},
        {"\"7GiB\"", 7ull << 30, 0},
        {"\"7TiB\"", 7ull << 40, 0},
        {"\"1%\"", UINT64_MAX, 1},
        {"\"100%\"", UINT64_MAX, 100},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char text[100];
        struct config *c;

        snprintf(text, sizeof(text), "{\"cache\": {\"max_size\": %s}}", cases[i].json);
        c = parse(text, NULL);
        CHECK_NOTE(c != NULL && c->max_size == cases[i].bytes && c->max_percent == cases[i].percent,
                   cases[i].json);
        config_free(c);
    }
}

/* --- wrong --------------------------------------------------------------------------------- */

/* What stands in the error: the path, and what would be right. */
struct wrong {
    const char *text;
    const char *path;
    const char *remedy;
};

static void check_wrong(const struct wrong *w)
{
    struct config *c = parse(w->text, NULL);
    size_t len = strlen(w->path);

    if (!CHECK_NOTE(c == NULL && err.code == ERR_CONFIG && strncmp(err.text, "t.json: ", 8) == 0 &&
                        strncmp(err.text + 8, w->path, len) == 0 && err.text[8 + len] == ':' &&
                        strstr(err.text, w->remedy) != NULL,
                    w->text)) {
        tap_text("# ", err.text);
    }
    config_free(c);
}

#define UP(body) "{\"upstreams\": {" body "}}"
#define CREDS(body) UP("\"ghcr.io\": {\"credentials\": [" body "]}")
#define CRED(body) UP("\"ghcr.io\": {\"credentials\": {" body "}}")

static const struct wrong wrong_sections[] = {
    {"{\n \"data\": \"/d\"\n \"workers\": 1}", "line 3", "not JSON"},
    {"", "line 1", "not JSON"},
    {"{\"data\": \"/a\\u0000b\"}", "line 1", "not JSON"},
    {"{\n\n\"data\": \"/a\", \"data\": \"/b\"}", "line 3", "each key may stand once"},
    {"{\"upstreams\": {\"a\": {}, \"a\": {}}}", "line 1", "each key may stand once"},
    {"{\"datta\": \"/d\"}", "datta", "did you mean \"data\"?"},
    {"{\"elephant\": 1}", "elephant", "known are listen, data, workers, upstreams, tags, hosted"},
    {"{\"listen\": \"127.0.0.1:5000\"}", "listen", "list in brackets"},
    {"{\"listen\": []}", "listen", "at least one address"},
    {"{\"listen\": [5000]}", "listen[0]", "\"127.0.0.1:5000\""},
    {"{\"listen\": [\":5000\"]}", "listen[0]", "\"127.0.0.1:5000\""},
    {"{\"listen\": [\"127.0.0.1\"]}", "listen[0]", "\"127.0.0.1:5000\""},
    {"{\"listen\": [\"127.0.0.1:65536\"]}", "listen[0]", "\"127.0.0.1:5000\""},
    {"{\"listen\": [\"::1:5000\"]}", "listen[0]", "\"[::]:5000\""},
    {"{\"listen\": [\"[127.0.0.1]:5000\"]}", "listen[0]", "\"[::]:5000\""},
    {"{\"listen\": [\"example.com:5000\"]}", "listen[0]", "not looked up"},
    {"{\"listen\": [\"unix:run\"]}", "listen[0]", "unix:/run/larder.sock"},
    {"{\"listen\": [\"1.1.1.1:1\", {\"role\": \"all\"}]}", "listen[1]", "\"address\""},
    {"{\"listen\": [{\"address\": 1}]}", "listen[0].address", "\"127.0.0.1:5000\""},
    {"{\"listen\": [{\"address\": \"1.1.1.1:1\", \"role\": \"x\"}]}", "listen[0].role",
     "\"all\", \"mirror\", \"registry\" or \"admin\""},
    {"{\"listen\": [{\"address\": \"1.1.1.1:1\", \"push\": 1}]}", "listen[0].push",
     "true or false"},
    {"{\"listen\": [\"1.1.1.1:1\", {\"address\": \"1.1.1.1:2\", \"role\": \"mirror\", \"push\": "
     "true}]}",
     "listen[1].push", "\"all\" or \"registry\""},
    {"{\"listen\": [{\"address\": \"1.1.1.1:2\", \"role\": \"admin\", \"push\": true}]}",
     "listen[0].push", "leave it out"},
    {"{\"listen\": [{\"address\": \"1.1.1.1:1\", \"tls\": {}}]}", "listen[0].tls",
     "must have a \"certificate\" and its \"key\""},
    {"{\"listen\": [{\"address\": \"1.1.1.1:1\", \"tls\": {\"certificate\": \"c\"}}]}",
     "listen[0].tls", "\"key\""},
    {"{\"listen\": [{\"address\": \"1.1.1.1:1\", \"tls\": true}]}", "listen[0].tls",
     "must be an object"},
    {"{\"listen\": [{\"address\": \"1.1.1.1:1\", \"tls\": {\"ca\": \"c\"}}]}", "listen[0].tls.ca",
     "client_ca"},
    {"{\"listen\": [{\"address\": \"1.1.1.1:1\", \"rol\": \"all\"}]}", "listen[0].rol", "\"role\""},
    {"{\"listen\": [\"localhost:1\", \"127.0.0.1:1\"]}", "listen[1]", "given once"},
    {"{\"listen\": [\"[::1]:1\", \"[0::1]:1\"]}", "listen[1]", "given once"},
    {"{\"listen\": [\"unix:/a\", \"unix:/a\"]}", "listen[1]", "given once"},
    {"{\"data\": \"\"}", "data", "not empty"},
    {"{\"data\": 1}", "data", "string in quotes"},
    {"{\"workers\": 65}", "workers", "0 to 64"},
    {"{\"workers\": -1}", "workers", "0 to 64"},
    {"{\"workers\": \"1\"}", "workers", "0 to 64"},
    {"{\"workers\": 1.5}", "workers", "0 to 64"},
    {"{\"offline\": \"yes\"}", "offline", "true or false"},
    {"{\"tags\": []}", "tags", "object"},
    {"{\"tags\": {\"ttl\": 300}}", "tags.ttl", "\"5s\""},
    {"{\"tags\": {\"ttl\": \"5 m\"}}", "tags.ttl", "\"2m\""},
    {"{\"tags\": {\"ttl\": \"500ms\"}}", "tags.ttl", "whole seconds"},
    {"{\"tags\": {\"patience\": \"9999d\"}}", "tags.patience", "\"3650d\""},
    {"{\"tags\": {\"stale_if_error\": null}}", "tags.stale_if_error", "duration"},
    {"{\"tags\": {\"stale_while_revalidate\": \"x\"}}", "tags.stale_while_revalidate", "\"30d\""},
    {"{\"hosted\": [\"a\"]}", "hosted", "object in braces"},
    {"{\"hosted\": {\"a\": true}}", "hosted.a", "{ \"class\": ... }"},
    {"{\"hosted\": {\"a\": {\"class\": \"x\"}}}", "hosted.a.class", "\"stage\" or \"cache\""},
    {"{\"hosted\": {\"a\": {\"kind\": \"x\"}}}", "hosted.a.kind", "class"},
    {"{\"hosted\": {\"a\": {\"keep_tags\": -1}}}", "hosted.a.keep_tags", "0 keeps all"},
    {"{\"hosted\": {\"a\": {\"keep_tags\": \"3\"}}}", "hosted.a.keep_tags", "a number"},
    {"{\"hosted\": {\"a\": {\"expire_after\": 7}}}", "hosted.a.expire_after", "duration"},
    {"{\"hosted\": {\"a\": {\"protect\": \"x\"}}}", "hosted.a.protect", "list"},
    {"{\"hosted\": {\"a\": {\"protect\": [\"a/b\"]}}}", "hosted.a.protect[0]", "release-*"},
    {"{\"hosted\": {\"A/**\": {}}}", "hosted.A/**", "\"stage/**\""},
    {"{\"hosted\": {\"a//b\": {}}}", "hosted.a//b", "\"stage/**\""},
    {"{\"hosted\": {\"**\": {}}}", "hosted.**", "a word of its own"},
    {"{\"hosted\": {\"gh*/x\": {}}}", "hosted.gh*/x", "ghcr.io"},
    {"{\"hosted\": {\"ghcr.io/x\": {}}}", "hosted.ghcr.io/x", "plain word"},
    {"{\"hosted\": {\"localhost/x\": {}}}", "hosted.localhost/x", "plain word"},
    {"{\"cache\": {\"max_size\": 0}}", "cache.max_size", "more than 0"},
    {"{\"cache\": {\"max_size\": -5}}", "cache.max_size", "\"50GB\""},
    {"{\"cache\": {\"max_size\": 1e9}}", "cache.max_size", "whole number of bytes"},
    {"{\"cache\": {\"max_size\": \"0%\"}}", "cache.max_size", "\"1%\" to \"100%\""},
    {"{\"cache\": {\"max_size\": \"101%\"}}", "cache.max_size", "\"1%\" to \"100%\""},
    {"{\"cache\": {\"max_size\": \"50gb\"}}", "cache.max_size", "\"50GB\""},
    {"{\"cache\": {\"max_size\": \"99999999999TB\"}}", "cache.max_size", "\"50GB\""},
    {"{\"cache\": {\"min_free\": true}}", "cache.min_free", "\"50%\""},
    {"{\"cache\": {\"prefetch\": 1}}", "cache.prefetch", "true or false"},
    {"{\"cache\": {\"size\": 1}}", "cache.size", "max_size, min_free, prefetch"},
    {"{\"log\": {\"level\": \"verbose\"}}", "log.level", "\"info\" or \"debug\""},
    {"{\"log\": {\"format\": 1}}", "log.format", "\"text\" or \"json\""},
    {"{\"log\": {\"file\": \"x\"}}", "log.file", "level, format"},
    {"{\"limits\": {\"first_bytes\": \"5s\"}}", "limits.first_bytes", "\"first_byte\""},
    {"{\"limits\": {\"elephant\": \"5s\"}}", "limits.elephant", "upstream_headers and others"},
    {"{\"limits\": {\"connect\": \"0s\"}}", "limits.connect", "more than 0"},
    {"{\"limits\": {\"retry_max\": \"100ms\"}}", "limits", "retry_max"},
    {"{\"limits\": {\"drain\": 5}}", "limits.drain", "\"5s\""},
};

static const struct wrong wrong_upstreams[] = {
    {"{\"upstreams\": []}", "upstreams", "object in braces"},
    {UP("\"ghcr.io\": \"https://ghcr.io\""), "upstreams.ghcr.io", "\"endpoints\""},
    {UP("\"GHCR.io\": {}"), "upstreams.GHCR.io", "lower case"},
    {UP("\"a/b\": {}"), "upstreams.a/b", "host in lower case"},
    {UP("\"https://a\": {}"), "upstreams.https://a", "host in lower case"},
    {UP("\"a:0\": {}"), "upstreams.a:0", "localhost:5000"},
    {UP("\"a:\": {}"), "upstreams.a:", "localhost:5000"},
    {UP("\"a.io\": null"), "upstreams.a.io", "use {}"},
    {UP("\"docker.io\": null"), "upstreams", "\"default\": true"},
    {UP("\"docker.io\": {\"default\": false}"), "upstreams", "\"default\": true"},
    {UP("\"a.io\": {\"default\": true}, \"b.io\": {\"default\": true}"), "upstreams.b.io.default",
     "a.io is the default already"},
    {UP("\"a.io\": {\"default\": 1}"), "upstreams.a.io.default", "true or false"},
    {UP("\"ghcr.io\": {\"endpoints\": \"https://a\"}"), "upstreams.ghcr.io.endpoints", "brackets"},
    {UP("\"ghcr.io\": {\"endpoints\": []}"), "upstreams.ghcr.io.endpoints", "https://ghcr.io"},
    {UP("\"ghcr.io\": {\"endpoints\": [\"ftp://a\"]}"), "upstreams.ghcr.io.endpoints[0]",
     "neither http:// nor https://"},
    {UP("\"ghcr.io\": {\"endpoints\": [\"https://a\", \"https://\"]}"),
     "upstreams.ghcr.io.endpoints[1]", "neither a name nor an address"},
    {UP("\"ghcr.io\": {\"endpoints\": [\"https://u:p@a\"]}"), "upstreams.ghcr.io.endpoints[0]",
     "\"credentials\""},
    {UP("\"ghcr.io\": {\"endpoints\": [\"https://a/?x\"]}"), "upstreams.ghcr.io.endpoints[0]",
     "must end before"},
    {UP("\"ghcr.io\": {\"endpoints\": [\"https://a/#x\"]}"), "upstreams.ghcr.io.endpoints[0]",
     "must end before"},
    {UP("\"ghcr.io\": {\"endpoints\": [1]}"), "upstreams.ghcr.io.endpoints[0]", "URL in quotes"},
    {UP("\"ghcr.io\": {\"endpoints\": [{\"ns\": true}]}"), "upstreams.ghcr.io.endpoints[0]",
     "\"url\""},
    {UP("\"ghcr.io\": {\"endpoints\": [{\"url\": \"https://a\", \"ns\": 1}]}"),
     "upstreams.ghcr.io.endpoints[0].ns", "true or false"},
    {UP("\"a.io\": {\"aliases\": [\"B\"]}"), "upstreams.a.io.aliases[0]", "lower case"},
    {UP("\"a.io\": {\"aliases\": [\"b\", \"b\"]}"), "upstreams.a.io.aliases[1]", "given once"},
    {UP("\"a.io\": {\"aliases\": [\"a.io\"]}"), "upstreams.a.io", "given once"},
    {UP("\"a.io\": {\"aliases\": [\"ghcr.io\"]}"), "upstreams.ghcr.io", "alias of a.io"},
    {UP("\"a.io\": {\"aliases\": [\"index.docker.io\"]}"), "upstreams.a.io.aliases[0]",
     "alias of docker.io"},
    {UP("\"stage\": {}"), "hosted.stage/**", "a word of its own"},
    {UP("\"a.io\": {\"aliases\": [\"cache\"]}"), "hosted.cache/**", "upstream cache"},
    {UP("\"a.io\": {\"ca_file\": \"\"}"), "upstreams.a.io.ca_file", "not empty"},
    {UP("\"a.io\": {\"insecure\": \"no\"}"), "upstreams.a.io.insecure", "true or false"},
    {UP("\"a.io\": {\"trusted_realms\": [\"https://a\"]}"), "upstreams.a.io.trusted_realms[0]",
     "no scheme"},
    {UP("\"a.io\": {\"trusted_realms\": \"a\"}"), "upstreams.a.io.trusted_realms", "brackets"},
    {UP("\"a.io\": {\"redirect_hosts\": [\"a:443\"]}"), "upstreams.a.io.redirect_hosts[0]",
     "no port"},
    {UP("\"a.io\": {\"redirect_hosts\": [null]}"), "upstreams.a.io.redirect_hosts[0]", "host name"},
    {UP("\"a.io\": {\"endpoint\": []}"), "upstreams.a.io.endpoint", "\"endpoints\""},
    {UP("\"a.io\": {\"elephant\": []}"), "upstreams.a.io.elephant", "endpoints, aliases, default"},
    {CRED(""), "upstreams.ghcr.io.credentials", "\"identity_token\" alone"},
    {CRED("\"user\": \"u\""), "upstreams.ghcr.io.credentials", "\"user\" with \"password\""},
    {CRED("\"password\": \"p\""), "upstreams.ghcr.io.credentials", "\"user\" with \"password\""},
    {CRED("\"user\": \"u\", \"password\": \"p\", \"password_file\": \"/f\""),
     "upstreams.ghcr.io.credentials", "\"password\" or \"password_file\""},
    {CRED("\"user\": \"u\", \"identity_token\": \"p\""), "upstreams.ghcr.io.credentials",
     "\"identity_token\" alone"},
    {CRED("\"user\": \"u:v\", \"password\": \"p\""), "upstreams.ghcr.io.credentials.user",
     "no colon"},
    {CRED("\"user\": 1, \"password\": \"p\""), "upstreams.ghcr.io.credentials.user", "in quotes"},
    {CRED("\"helper\": \"../x\""), "upstreams.ghcr.io.credentials.helper", "ecr-login"},
    {CRED("\"helper\": \"x\", \"user\": \"u\""), "upstreams.ghcr.io.credentials", "\"helper\""},
    {CRED("\"identity_token\": \"t\", \"server\": \"s\""), "upstreams.ghcr.io.credentials",
     "\"server\""},
    {CRED("\"user\": \"u\", \"password_file\": \"/nonexistent/f\""),
     "upstreams.ghcr.io.credentials.password_file", "No such file"},
    {CRED("\"user\": \"u\", \"password_file\": \"/\""),
     "upstreams.ghcr.io.credentials.password_file", "must name a file"},
    {CREDS(""), "upstreams.ghcr.io.credentials", "at least one"},
    {CREDS("{\"identity_token\": \"t\"}, {\"identity_token\": \"u\"}"),
     "upstreams.ghcr.io.credentials[1]", "is never used"},
    {CREDS("{\"identity_token\": \"t\", \"repositories\": []}"),
     "upstreams.ghcr.io.credentials[0].repositories", "leave the key out"},
    {CREDS("{\"identity_token\": \"t\", \"repositories\": [\"a/\"]}"),
     "upstreams.ghcr.io.credentials[0].repositories[0]", "pattern of repositories"},
    {CREDS("{\"identity_token\": \"t\", \"repositories\": [\"a/**\"]}, {\"user\": \"u\"}"),
     "upstreams.ghcr.io.credentials[1]", "\"user\" with"},
    {UP("\"a.io\": {\"credentials\": {\"identity_token\": \"t\"}, \"endpoints\": [\"https://a\", "
        "\"http://10.0.0.1\"]}"),
     "upstreams.a.io.endpoints[1]", "must be https"},
};

static void test_wrong(void)
{
    for (size_t i = 0; i < ARRAY_LEN(wrong_sections); i++) {
        check_wrong(&wrong_sections[i]);
    }
    for (size_t i = 0; i < ARRAY_LEN(wrong_upstreams); i++) {
        check_wrong(&wrong_upstreams[i]);
    }
    CHECK(parse("[]", NULL) == NULL);
    CHECK_STR(err.text, "t.json: must be an object, as in { \"listen\": ... }");
}

/* However long names and paths are, the line stays one and keeps what would be right. */
static void test_long(void)
{
    char text[3000];
    char name[1000];
    int n = snprintf(text, sizeof(text), "{\"\\n");

    memset(text + n, 'k', 500);
    snprintf(text + n + 500, sizeof(text) - (size_t)n - 500, "\": 1}");
    memset(name, 'd', sizeof(name));
    snprintf(name + 980, sizeof(name) - 980, "/last.json");
    CHECK(config_parse(name, slice_str(text), NULL, &err) == NULL);
    CHECK(strstr(err.text, "/last.json: ") != NULL);
    CHECK(strstr(err.text, "kkk: unknown key; known are listen, data, workers") != NULL);
    CHECK(strchr(err.text, '\n') == NULL);
    CHECK(parse("{\"a\\nb\": 1}", NULL) == NULL);
    CHECK(strncmp(err.text, "t.json: a?b: unknown key", 24) == 0);
    snprintf(text, sizeof(text), "{\"listen\": [\"%.400s\"]}", name);
    CHECK(parse(text, NULL) == NULL && strstr(err.text, "shorter than") != NULL);
}

/* --- files --------------------------------------------------------------------------------- */

static void write_file(const char *path, const char *text, size_t len, mode_t mode)
{
    _cleanup_close_ int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

    CHECK(fd >= 0 && file_pwrite_all(fd, text, len, 0) == 0 && fchmod(fd, mode) == 0);
}

static struct config *parse_password(const char *path)
{
    char text[400];

    snprintf(text, sizeof(text), CRED("\"user\": \"u\", \"password_file\": \"%s\""), path);
    return parse(text, NULL);
}

static void test_credential_list(void)
{
    struct config *c = parse(CREDS("{\"repositories\": [\"a/**\", \"b\"], \"identity_token\": "
                                   "\"t\"}, {\"user\": \"u\", \"password\": \"p\"}"),
                             NULL);
    const struct config_upstream *u;

    if (good(c, "two credentials")) {
        u = upstream(c, "ghcr.io");
        CHECK_INT(u->n_credentials, 2);
        CHECK_INT(u->credentials[0].n_repositories, 2);
        CHECK_STR(u->credentials[0].repositories[1], "b");
        CHECK_STR(u->credentials[1].user, "u");
        CHECK_INT(u->credentials[1].n_repositories, 0);
    }
    config_free(c);
}

static void test_password_file(void)
{
    static const char key[] = "t.json: upstreams.ghcr.io.credentials.password_file: ";
    char path[] = "/tmp/larder-test-XXXXXX";
    int fd = mkstemp(path);
    struct config *c;

    CHECK(fd >= 0);
    close(fd);
    write_file(path, "secret \r\n", 9, 0440);
    c = parse_password(path);
    if (good(c, "a password file")) {
        CHECK_STR(upstream(c, "ghcr.io")->credentials[0].user, "u");
        CHECK_STR(upstream(c, "ghcr.io")->credentials[0].password, "secret ");
    }
    config_free(c);
    write_file(path, "secret", 6, 0644);
    CHECK(parse_password(path) == NULL && strncmp(err.text, key, strlen(key)) == 0);
    CHECK(strstr(err.text, "mode 0644") != NULL && strstr(err.text, "chmod o=") != NULL);
    write_file(path, "\n", 1, 0600);
    CHECK(parse_password(path) == NULL && strstr(err.text, "in one line") != NULL);
    write_file(path, "a\nb", 3, 0600);
    CHECK(parse_password(path) == NULL && strstr(err.text, "in one line") != NULL);
    write_file(path, "a\0b", 3, 0600);
    CHECK(parse_password(path) == NULL && strstr(err.text, "in one line") != NULL);
    unlink(path);
}

static void test_read(void)
{
    char path[] = "/tmp/larder-test-XXXXXX";
    struct config_flags flags = {.config = path};
    int fd = mkstemp(path);
    struct config *c;

    CHECK(fd >= 0);
    close(fd);
    write_file(path, "{\"data\": \"/x\"}", 14, 0600);
    c = config_read(&flags, &err);
    if (good(c, "a file")) {
        CHECK_STR(c->data, "/x");
    }
    config_free(c);
    write_file(path, "{\"data\": 1234}", 14, 0600);
    CHECK(config_read(&flags, &err) == NULL && strstr(err.text, path) == err.text);
    CHECK(strstr(err.text, ": data: must be a string") != NULL);
    unlink(path);
    CHECK(config_read(&flags, &err) == NULL && err.code == ERR_CONFIG);
    CHECK(strstr(err.text, path) == err.text && strstr(err.text, "must be a JSON file") != NULL);
    flags.config = "/tmp";
    CHECK(config_read(&flags, &err) == NULL && strstr(err.text, "not a regular file") != NULL);
}

/* --- flags --------------------------------------------------------------------------------- */

static void test_flags(void)
{
    static const char *const listen[] = {"127.0.0.1:0", "unix:/s"};
    static const char *const up[] = {"docker.io=http://127.0.0.1:1", "new:80=http://b",
                                     "docker.io=https://c/v2/x?"};
    static const char *const hosted[] = {"a", "cache/**"};
    struct config_flags flags = {
        .data = "/flag",
        .listen = listen,
        .n_listen = 2,
        .upstream = up,
        .n_upstream = 2,
        .hosted = hosted,
        .n_hosted = 2,
        .tag_ttl = "7s",
        .workers = "3",
        .log_level = "warn",
        .log_format = "json",
        .offline = true,
    };
    struct config *c = parse("{\"data\": \"/file\", \"listen\": [\"0.0.0.0:1\"], \"workers\": 9,"
                             "\"upstreams\": {\"docker.io\": {\"endpoints\": [\"https://x\"],"
                             "\"credentials\": {\"identity_token\": \"t\"}}}}",
                             &flags);

    if (good(c, "flags over the file")) {
        CHECK_STR(c->data, "/flag");
        CHECK_INT(c->n_listeners, 2);
        CHECK_STR(c->listeners[0].address, "127.0.0.1:0");
        CHECK_STR(c->listeners[1].address, "unix:/s");
        CHECK_INT(c->upstreams[0].n_endpoints, 1);
        CHECK_STR(c->upstreams[0].endpoints[0], "http://127.0.0.1:1");
        CHECK_STR(c->upstreams[0].credentials[0].identity_token, "t");
        CHECK(c->upstreams[0].is_default && c->upstreams[0].n_aliases == 3);
        CHECK(c->n_upstreams == 9 && upstream(c, "new:80")->n_endpoints == 1);
        CHECK_INT(c->n_hosted, 2);
        CHECK(!c->hosted[0].is_cache && c->hosted[1].is_cache);
        CHECK(c->cache.tag_ttl_s == 7 && c->workers == 3 && c->cache.offline);
        CHECK(c->log_level == LOG_WARN && c->log_json);
    }
    config_free(c);
    flags.n_upstream = 3;
    CHECK(parse("{}", &flags) == NULL && strncmp(err.text, "--upstream: ", 12) == 0);
    flags = (struct config_flags){.workers = "12"};
    c = parse("{\"offline\": true, \"listen\": [\"[::1]:1\"]}", &flags);
    if (good(c, "what no flag names stays")) {
        CHECK(c->cache.offline && c->workers == 12 && c->n_listeners == 1);
        CHECK_STR(c->listeners[0].address, "[::1]:1");
    }
    config_free(c);
}

static void test_flag_lists(void)
{
    static const char *const up[] = {"docker.io=https://a", "docker.io=https://b/x=y"};
    struct config_flags flags = {.upstream = up, .n_upstream = 2, .data = "/d"};
    struct config *c = config_read(&flags, &err);

    if (good(c, "one upstream twice")) {
        CHECK_INT(c->upstreams[0].n_endpoints, 2);
        CHECK_STR(c->upstreams[0].endpoints[0], "https://a");
        CHECK_STR(c->upstreams[0].endpoints[1], "https://b/x=y");
        CHECK(!c->upstreams[0].endpoint_ns[1]);
    }
    config_free(c);
}

static void check_flag(struct config_flags flags, const char *begin, const char *remedy)
{
    struct config *c = parse("{\"upstreams\": {\"a.io\": {\"credentials\":"
                             "{\"identity_token\": \"t\"}}}}",
                             &flags);

    if (!CHECK_NOTE(c == NULL && strncmp(err.text, begin, strlen(begin)) == 0 &&
                        strstr(err.text, remedy) != NULL,
                    begin)) {
        tap_text("# ", err.text);
    }
    config_free(c);
}

static void check_upstream_flag(const char *value, const char *begin, const char *remedy)
{
    check_flag((struct config_flags){.upstream = &value, .n_upstream = 1}, begin, remedy);
}

static void test_wrong_flags(void)
{
    static const char *const twice[] = {"127.0.0.1:1", "localhost:1"};
    static const char *const bad[] = {"x:y"};
    static const char *const pattern[] = {"A"};
    static const char *const star[] = {"*/a"};
    static const char *const same[] = {"a", "a"};

    check_flag((struct config_flags){.data = ""}, "--data: ", "not empty");
    check_flag((struct config_flags){.data = "\xff"}, "--data: ", "UTF-8");
    check_flag((struct config_flags){.workers = "65"}, "--workers: ", "0 to 64");
    check_flag((struct config_flags){.workers = "x"}, "--workers: ", "0 to 64");
    check_flag((struct config_flags){.workers = "4294967296"}, "--workers: ", "0 to 64");
    check_flag((struct config_flags){.tag_ttl = "5"}, "--tag-ttl: ", "\"5s\"");
    check_flag((struct config_flags){.log_level = "x"}, "--log-level: ", "\"debug\"");
    check_flag((struct config_flags){.log_format = "x"}, "--log-format: ", "\"json\"");
    check_flag((struct config_flags){.listen = bad, .n_listen = 1}, "--listen: ", "[::]:5000");
    check_flag((struct config_flags){.listen = twice, .n_listen = 2},
               "command line: listen[1]: ", "given once");
    check_flag((struct config_flags){.hosted = pattern, .n_hosted = 1}, "--hosted: ", "stage/**");
    check_flag((struct config_flags){.hosted = star, .n_hosted = 1},
               "command line: hosted.*/a: ", "a word of its own");
    check_flag((struct config_flags){.hosted = same, .n_hosted = 2},
               "command line: hosted.a: ", "stand once");
    check_upstream_flag("docker.io", "--upstream: ", "NAME=URL");
    check_upstream_flag("=https://a", "--upstream: ", "host in lower case");
    check_upstream_flag("b.io=", "--upstream: ", "neither http:// nor https://");
    check_upstream_flag("b.io=\xff", "--upstream: ", "URL in quotes");
    check_upstream_flag("index.docker.io=https://a", "--upstream: ", "docker.io=URL");
    check_upstream_flag("stage=https://a", "command line: hosted.stage/**: ", "stage");
    check_upstream_flag("a.io=http://a",
                        "command line: upstreams.a.io.endpoints[0]: ", "must be https");
}

static void test_data(void)
{
    struct config_flags flags = {0};
    struct config *c;
    uid_t me = geteuid();

    setenv("HOME", "/h", 1);
    setenv("XDG_DATA_HOME", "relative", 1);
    c = config_read(&flags, &err);
    if (good(c, "data by default")) {
        CHECK_STR(c->data, me == 0 ? "/var/lib/larder" : "/h/.local/share/larder");
    }
    config_free(c);
    if (me == 0 && seteuid(65534) != 0) {
        return; /* a root that may not change: the rest is another user's */
    }
    setenv("XDG_DATA_HOME", "/xdg", 1);
    c = config_read(&flags, &err);
    if (good(c, "data of a user")) {
        CHECK_STR(c->data, "/xdg/larder");
    }
    config_free(c);
    unsetenv("XDG_DATA_HOME");
    c = config_read(&flags, &err);
    if (good(c, "data below HOME")) {
        CHECK_STR(c->data, "/h/.local/share/larder");
    }
    config_free(c);
    unsetenv("HOME");
    CHECK(config_read(&flags, &err) == NULL && strstr(err.text, "--data DIR") != NULL);
    CHECK(seteuid(me) == 0);
}

int main(void)
{
    test_defaults();
    test_installed();
    test_sections();
    test_upstreams();
    test_routes();
    test_sizes();
    test_wrong();
    test_long();
    test_credential_list();
    test_password_file();
    test_read();
    test_flags();
    test_flag_lists();
    test_wrong_flags();
    test_data();
    return tap_done();
}
