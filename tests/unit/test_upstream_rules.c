/*
 * test_upstream_rules.c - realms, redirects, scopes, headers, the proxy environment and the health
 * of endpoints.
 */
#include "upstream/endpoint.h"
#include "upstream/proxyenv.h"
#include "upstream/rules.h"

#include "tap.h"

#include "base/limits.h"

#include <stdlib.h>

static struct http_origin origin(const char *url)
{
    struct http_url parsed = {0};
    const char *why;

    CHECK_NOTE(http_url_parse(slice_str(url), &parsed, &why), url);
    return parsed.origin;
}

static const char *const trusted[] = {"login.example"};
static const char *const storage[] = {"minio.example"};

static struct rules rules_for(const char *upstream, const struct http_origin *endpoint,
                              bool is_private)
{
    return (struct rules){
        .upstream = upstream,
        .endpoint = endpoint,
        .trusted_realms = trusted,
        .n_trusted_realms = 1,
        .redirect_hosts = storage,
        .n_redirect_hosts = 1,
        .is_private = is_private,
    };
}

static void test_realms(void)
{
    static const struct {
        const char *upstream;
        const char *endpoint;
        bool is_private;
        const char *realm;
        int result;
        bool public_only;
    } cases[] = {
        {"reg.example", "https://reg.example", false, "https://reg.example/token", 0, false},
        {"reg.example", "https://reg.example", false, "https://REG.example:8443/t", 0, false},
        {"reg.example", "https://mirror.example", false, "https://reg.example/t", 0, false},
        {"reg.example", "https://reg.example", false, "https://login.example/t", 0, false},
        {"reg.example", "https://reg.example", false, "https://evil.example/t", -1, false},
        {"reg.example", "https://reg.example", false, "https://xreg.example/t", -1, false},
        {"reg.example", "https://reg.example", false, "https://a.reg.example/t", -1, false},
        {"reg.example", "https://reg.example", false, "http://reg.example/t", -1, false},
        {"reg.example", "http://reg.example", false, "http://reg.example/t", 0, false},
        {"docker.io", "https://registry-1.docker.io", false, "https://auth.docker.io/t", 0, true},
        {"docker.io", "http://127.0.0.1:5001", true, "https://auth.docker.io/t", 0, false},
        {"ghcr.io", "https://ghcr.io", false, "https://auth.docker.io/token", -1, false},
        {"registry.gitlab.com", "https://registry.gitlab.com", false, "https://gitlab.com/jwt", 0,
         true},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct http_origin endpoint = origin(cases[i].endpoint);
        struct http_origin realm = origin(cases[i].realm);
        struct rules r = rules_for(cases[i].upstream, &endpoint, cases[i].is_private);
        struct err err = {0};
        bool public_only = false;

        CHECK_NOTE(rules_realm(&r, &realm, &public_only, &err) == cases[i].result, cases[i].realm);
        CHECK_NOTE(public_only == cases[i].public_only, cases[i].realm);
        CHECK_INT(err.code, cases[i].result == 0 ? ERR_NONE : ERR_UPSTREAM_REFUSED);
    }
}

static void test_redirects(void)
{
    static const struct {
        const char *from;
        bool is_private;
        const char *to;
        int result;
        bool public_only;
    } cases[] = {
        {"https://reg.example", false, "https://cdn.example/x", 0, true},
        {"https://reg.example", false, "http://cdn.example/x", -1, false},
        {"http://reg.example", false, "https://cdn.example/x", 0, true},
        {"https://reg.example", false, "https://reg.example/x", 0, false},
        {"https://reg.example", false, "https://minio.example/x", 0, false},
        {"http://10.0.0.1", true, "http://10.0.0.2/x", 0, false},
        {"https://reg.example", true, "https://10.0.0.2/x", 0, false},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct http_origin from = origin(cases[i].from);
        struct http_origin to = origin(cases[i].to);
        struct rules r = rules_for("reg.example", &from, cases[i].is_private);
        struct err err = {0};
        bool public_only = false;

        CHECK_NOTE(rules_redirect(&r, &from, &to, &public_only, &err) == cases[i].result,
                   cases[i].to);
        CHECK_NOTE(public_only == cases[i].public_only, cases[i].to);
    }
}

static void check_scope(const char *challenge, const char *repo, bool own, const char *expected)
{
    struct buf b;

    buf_init(&b, 1024);
    rules_scope(challenge, repo, own, &b);
    CHECK_STR(b.p, expected);
    buf_free(&b);
}

static void test_headers(void)
{
    const char *link = "</v2/a?n=1>; rel=\"prev\", <https://x/v2/a?last=b,c&n=1>; rel=\"next\"";

    check_scope("", "a/b", true, "repository:a/b:pull");
    check_scope("repository:a/b:pull", "a/b", true, "repository:a/b:pull");
    check_scope("repository:a/b:pull", "c/d", false, "repository:c/d:pull");
    check_scope("aws", "c/d", false, "aws");

    CHECK_INT(rules_retry_after(slice_str("17"), 0), 17);
    CHECK_INT(rules_retry_after(slice_str(" 86400 "), 0), 3600);
    CHECK_INT(rules_retry_after(slice_str("-1"), 0), 0);
    CHECK_INT(rules_retry_after(slice_str("soon"), 0), 0);
    CHECK_INT(rules_retry_after(SLICE_NULL, 0), 0);
    CHECK_INT(rules_retry_after(slice_str("Thu, 01 Jan 1970 00:02:00 GMT"), 60), 60);
    CHECK_INT(rules_retry_after(slice_str("Thu, 01 Jan 1970 00:02:00 GMT"), 600), 0);

    CHECK(slice_is(rules_link_next(slice_str(link)), "https://x/v2/a?last=b,c&n=1"));
    CHECK(rules_link_next(slice_str("</v2/a>; rel=prev")).p == NULL);
    CHECK(rules_link_next(slice_str("</v2/a; rel=next")).p == NULL);
    CHECK(slice_is(rules_link_next(slice_str("</v2/a>;rel=next")), "/v2/a"));
}

/* --- the proxy environment ----------------------------------------------------------------- */

static void set(const char *name, const char *value)
{
    CHECK(value == NULL ? unsetenv(name) == 0 : setenv(name, value, 1) == 0);
}

static void set_all(const char *https, const char *http, const char *no)
{
    set("HTTPS_PROXY", https);
    set("HTTP_PROXY", http);
    set("NO_PROXY", no);
    set("https_proxy", NULL);
    set("http_proxy", NULL);
    set("no_proxy", NULL);
}

static void test_proxies(void)
{
    static const struct {
        const char *no_proxy;
        const char *url;
        const char *proxy;
    } cases[] = {
        {"", "https://reg.example", "http://sec.example:1"},
        {"", "http://reg.example", "http://user:pw@plain.example:2"},
        {"", "https://localhost:5000", NULL},
        {"", "http://127.0.0.3", NULL},
        {"", "http://[::1]:5000", NULL},
        {"*", "https://reg.example", NULL},
        {"reg.example", "https://reg.example", NULL},
        {"REG.example", "https://a.reg.example", NULL},
        {"reg.example", "https://xreg.example", "http://sec.example:1"},
        {".reg.example", "https://reg.example", "http://sec.example:1"},
        {".reg.example", "https://a.reg.example", NULL},
        {"*.reg.example", "https://a.reg.example", NULL},
        {"x, reg.example:443 ,y", "https://reg.example", NULL},
        {"reg.example:5000", "https://reg.example", "http://sec.example:1"},
        {"10.0.0.0/8", "https://10.1.2.3", NULL},
        {"10.0.0.0/8", "https://11.1.2.3", "http://sec.example:1"},
        {"10.1.2.3", "https://10.1.2.3:444", NULL},
        {"fd00::/8", "https://[fd00::1]", NULL},
        {"fd00::1", "https://[fd00::1]", NULL},
        {"[fd00::1]:443", "https://[fd00::1]", NULL},
        {"[fd00::1]:80", "https://[fd00::1]", "http://sec.example:1"},
    };
    struct proxyenv p;
    struct err err = {0};

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct http_origin o = origin(cases[i].url);

        set_all("sec.example:1", "http://user:pw@plain.example:2", cases[i].no_proxy);
        p = (struct proxyenv){0};
        CHECK(proxyenv_read(&p, &err) == 0);
        CHECK_STR(proxyenv_for(&p, &o), cases[i].proxy);
        proxyenv_free(&p);
    }
    set_all("https://user:geheim@sec.example:1", NULL, NULL);
    CHECK(proxyenv_read(&p, &err) < 0);
    CHECK_INT(err.code, ERR_CONFIG);
    CHECK(strstr(err.text, "HTTPS_PROXY") != NULL && strstr(err.text, "geheim") == NULL);
    proxyenv_free(&p);
    set_all(NULL, "socks5://sec.example:1", NULL);
    CHECK(proxyenv_read(&p, &err) < 0);
    proxyenv_free(&p);
}

/* --- endpoints ----------------------------------------------------------------------------- */

static void test_endpoints(void)
{
    static const struct {
        const char *url;
        const char *path;
        const char *below;
        bool is_private;
    } cases[] = {
        {"https://reg.example", "/v2", "", false},
        {"https://reg.example/", "/v2", "", false},
        {"https://reg.example/v2/", "/v2", "", false},
        {"https://reg.example/cache/", "/cache/v2", "", false},
        {"https://reg.example/v2/hub-proxy", "/v2/hub-proxy", "hub-proxy", false},
        {"https://reg.example/a/v2/b/c/", "/a/v2/b/c", "b/c", false},
        {"https://reg.example/v2x", "/v2x/v2", "", false},
        {"http://localhost:5000", "/v2", "", true},
        {"http://192.168.0.1:5000", "/v2", "", true},
    };
    struct endpoint e;
    struct err err = {0};

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CHECK_NOTE(endpoint_init(&e, cases[i].url, false, &err) == 0, cases[i].url);
        CHECK_STR(e.path, cases[i].path);
        CHECK_STR(e.below, cases[i].below);
        CHECK(atomic_load(&e.is_private) == cases[i].is_private);
        endpoint_fini(&e);
    }
    CHECK(endpoint_init(&e, "https://me:geheim@reg.example", false, &err) < 0);
    CHECK_INT(err.code, ERR_CONFIG);
    CHECK(strstr(err.text, "geheim") == NULL);
    CHECK(endpoint_init(&e, "https://reg.example/?x=y", false, &err) < 0);
    CHECK(endpoint_init(&e, "ftp://reg.example/", false, &err) < 0);
}

static void test_health(void)
{
    struct endpoint e;
    struct err err;
    uint64_t now = 100000;

    CHECK(endpoint_init(&e, "https://reg.example", false, &err) == 0);
    CHECK(endpoint_is_healthy(&e, now));
    endpoint_failed(&e, now);
    endpoint_failed(&e, now + 5); /* was under way at the same time */
    CHECK(!endpoint_is_healthy(&e, now + 9999));
    CHECK(endpoint_is_healthy(&e, now + 10000));
    endpoint_failed(&e, now + 10000);
    CHECK(!endpoint_is_healthy(&e, now + 29999));
    CHECK(endpoint_is_healthy(&e, now + 30000));
    for (int i = 0; i < 20; i++) {
        now += 1000000;
        endpoint_failed(&e, now);
    }
    CHECK(!endpoint_is_healthy(&e, now + 299999));
    CHECK(endpoint_is_healthy(&e, now + 300000));
    endpoint_worked(&e);
    endpoint_failed(&e, now);
    CHECK(endpoint_is_healthy(&e, now + 10000));
    endpoint_fini(&e);
}

static void test_shut(void)
{
    struct endpoint e;
    struct err err;
    uint64_t now = 100000;
    uint64_t wait = 0;

    CHECK(endpoint_init(&e, "https://reg.example", false, &err) == 0);
    for (int i = 0; i < 20; i++) {
        endpoint_failed(&e, now); /* at once is no proof of anything */
    }
    CHECK(endpoint_admits(&e, now, &wait) && endpoint_admits(&e, now, &wait));
    endpoint_failed(&e, now + limits.breaker - 1);
    CHECK(endpoint_admits(&e, now + limits.breaker, &wait));
    endpoint_worked(&e); /* from the start again */
    now += limits.breaker;
    for (int i = 0; i < 4; i++) {
        endpoint_failed(&e, now);
    }
    CHECK(endpoint_admits(&e, now + limits.breaker, &wait));
    now += limits.breaker;
    endpoint_failed(&e, now);
    CHECK(endpoint_is_shut(&e, now) && !endpoint_admits(&e, now, &wait));
    CHECK_INT(wait, limits.breaker_pause);
    /* one question a pause, and the pauses grow */
    now += limits.breaker_pause;
    CHECK(!endpoint_is_shut(&e, now));
    CHECK(endpoint_admits(&e, now, &wait));
    CHECK(endpoint_is_shut(&e, now) && !endpoint_admits(&e, now, &wait));
    CHECK_INT(wait, 2 * limits.breaker_pause);
    endpoint_failed(&e, now + 10);
    CHECK(!endpoint_admits(&e, now + 10, &wait));
    CHECK_INT(wait, 2 * limits.breaker_pause - 10);
    for (int i = 0; i < 10; i++) {
        now += 60000;
        CHECK(endpoint_admits(&e, now, &wait));
        endpoint_failed(&e, now);
    }
    CHECK(!endpoint_admits(&e, now, &wait));
    CHECK_INT(wait, 60000);
    endpoint_worked(&e);
    CHECK(!endpoint_is_shut(&e, now) && endpoint_admits(&e, now, &wait));
    endpoint_fini(&e);
}

int main(void)
{
    test_realms();
    test_redirects();
    test_headers();
    test_proxies();
    test_endpoints();
    test_health();
    test_shut();
    return tap_done();
}
