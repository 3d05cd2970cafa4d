/* test_access.c - who may ask for what on which listener, before anything is looked up. */
#include "registry/access.h"

#include "tap.h"

#define HUB 0
#define CORP 7 /* a credential of ours */

uint64_t upstream_credential(const struct upstream *u)
{
    return *(const uint64_t *)(const void *)u;
}

const char *upstream_name(const struct upstream *u)
{
    (void)u;
    return "docker.io";
}

static void test_local(void)
{
    static const char *const LOCAL[] = {"127.0.0.1:5000", "127.8.9.1:1", "[::1]:5000",
                                        "unix:/run/larder.sock", "localhost:5000"};
    static const char *const OPEN[] = {"0.0.0.0:5000",   "[::]:5000",     "192.168.1.1:5000",
                                       "128.0.0.1:5000", "[::12]:5000",   "1127.0.0.1:1",
                                       "unix",           "localhosts:80", ""};

    for (size_t i = 0; i < ARRAY_LEN(LOCAL); i++) {
        CHECK_NOTE(access_is_local(LOCAL[i]), LOCAL[i]);
    }
    for (size_t i = 0; i < ARRAY_LEN(OPEN); i++) {
        CHECK_NOTE(!access_is_local(OPEN[i]), OPEN[i]);
    }
}

static enum err_code check(const char *listener, enum http_method method,
                           const uint64_t *credential, bool origin)
{
    struct http_listener l = {.text = listener};
    struct http_exchange x = {.listener = &l};
    struct request q = {.x = &x};
    struct err err = {0};

    x.head.method = method;
    if (origin) {
        x.head.fields[0].name = slice_str("Origin");
        x.head.fields[0].value = slice_str("http://evil.example");
        x.head.n_fields = 1;
    }
    q.route.hosted = credential == NULL ? 0 : -1;
    q.mirrored = credential != NULL;
    if (q.mirrored) {
        memcpy(&q.repo.upstream, &credential, sizeof(credential));
        snprintf(q.repo.text, sizeof(q.repo.text), "docker.io/a/b");
    }
    return access_check(&q, &err) == 0 ? ERR_NONE : err.code;
}

static void test_check(void)
{
    static const uint64_t hub = HUB;
    static const uint64_t corp = CORP;
    static const char HERE[] = "127.0.0.1:5000";
    static const char THERE[] = "0.0.0.0:5000";

    CHECK_INT(check(HERE, HTTP_GET, &hub, false), ERR_NONE);
    CHECK_INT(check(THERE, HTTP_HEAD, &hub, false), ERR_NONE);
    CHECK_INT(check(HERE, HTTP_GET, &corp, false), ERR_NONE);
    CHECK_INT(check(THERE, HTTP_GET, &corp, false), ERR_DENIED);
    CHECK_INT(check(THERE, HTTP_HEAD, &corp, false), ERR_DENIED);
    CHECK_INT(check(HERE, HTTP_GET, &hub, true), ERR_NONE); /* a page may read */
    CHECK_INT(check(HERE, HTTP_PUT, &hub, false), ERR_DENIED);
    CHECK_INT(check(HERE, HTTP_POST, &hub, false), ERR_DENIED);
    CHECK_INT(check(HERE, HTTP_DELETE, &hub, false), ERR_UNSUPPORTED);
    CHECK_INT(check(HERE, HTTP_DELETE, &hub, true), ERR_DENIED);
    CHECK_INT(check(HERE, HTTP_PUT, NULL, true), ERR_DENIED);
    CHECK_INT(check(HERE, HTTP_PUT, NULL, false), ERR_UNSUPPORTED); /* pushes are to come */
    CHECK_INT(check(HERE, HTTP_GET, NULL, false), ERR_NAME_UNKNOWN);
}

int main(void)
{
    test_local();
    test_check();
    return tap_done();
}
