/* test_access.c - who may ask for what on which listener, before anything is looked up. */
#include "registry/access.h"

#include "tap.h"

#define HUB 0
#define CORP 7 /* a credential of ours */

bool upstream_has_credentials(const struct upstream *u)
{
    return 0 != *(const uint64_t *)(const void *)u;
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

static struct err err;

static struct request request;

/* A request to a listener that is told by its address, with or without "push". */
static struct request *asked(const char *listener, enum http_method method)
{
    static const char *const HOSTED[] = {"stage/**", "cache/*"};
    static const struct route_table table = {.hosted = HOSTED, .n_hosted = 2};
    static struct registry registry = {.routes = &table};
    static struct http_listener l;
    static struct http_exchange x;

    l = (struct http_listener){.text = listener};
    x = (struct http_exchange){.listener = &l, .head.method = method};
    request = (struct request){.x = &x, .registry = &registry, .route.kind = ROUTE_MANIFEST};
    err = (struct err){0};
    return &request;
}

/* Of a mirrored name, or of a hosted one where there is no credential to tell. */
static enum err_code check(const char *listener, enum http_method method,
                           const uint64_t *credential, bool origin)
{
    struct request *q = asked(listener, method);

    if (origin) {
        q->x->head.fields[0].name = slice_str("Origin");
        q->x->head.fields[0].value = slice_str("http://evil.example");
        q->x->head.n_fields = 1;
    }
    q->route.hosted = credential == NULL ? 0 : -1;
    q->hosted = credential == NULL;
    q->mirrored = credential != NULL;
    if (q->mirrored) {
        memcpy(&q->repo.upstream, &credential, sizeof(credential));
        snprintf(q->repo.text, sizeof(q->repo.text), "docker.io/a/b");
    }
    return access_check(q, &err) == 0 ? ERR_NONE : err.code;
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
    CHECK_INT(check(HERE, HTTP_PUT, NULL, false), ERR_NONE);
    CHECK_INT(check(HERE, HTTP_POST, NULL, false), ERR_UNSUPPORTED); /* of a manifest */
    CHECK_INT(check(HERE, HTTP_GET, NULL, false), ERR_NONE);
    CHECK_INT(check(THERE, HTTP_GET, NULL, false), ERR_NONE);
    CHECK_INT(check(THERE, HTTP_PUT, NULL, false), ERR_DENIED);
    CHECK_INT(check(HERE, HTTP_POST, &hub, false), ERR_DENIED);
    CHECK(strstr(err.text, "stage/**, cache/*") != NULL);
}

/* Each kind of path takes its own methods, on a listener that takes pushes. */
static enum err_code check_path(enum route_kind kind, enum http_method method, bool push)
{
    struct request *q = asked("192.168.1.1:5000", method);
    struct http_listener l = *q->x->listener;
    enum err_code code;

    l.push = push;
    q->x->listener = &l;
    q->route.kind = kind;
    q->hosted = true;
    code = access_check(q, &err) == 0 ? ERR_NONE : err.code;
    return code;
}

static void test_pushes(void)
{
    static const struct {
        enum route_kind kind;
        enum http_method method;
        bool good;
    } CASES[] = {
        {ROUTE_UPLOADS, HTTP_POST, true},    {ROUTE_UPLOADS, HTTP_PUT, false},
        {ROUTE_UPLOAD, HTTP_PATCH, true},    {ROUTE_UPLOAD, HTTP_PUT, true},
        {ROUTE_UPLOAD, HTTP_DELETE, true},   {ROUTE_UPLOAD, HTTP_POST, false},
        {ROUTE_MANIFEST, HTTP_PUT, true},    {ROUTE_MANIFEST, HTTP_DELETE, true},
        {ROUTE_MANIFEST, HTTP_PATCH, false}, {ROUTE_BLOB, HTTP_DELETE, true},
        {ROUTE_BLOB, HTTP_PUT, false},       {ROUTE_TAGS, HTTP_DELETE, false},
        {ROUTE_REFERRERS, HTTP_PUT, false},  {ROUTE_CATALOG, HTTP_POST, false},
    };

    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        CHECK_INT(check_path(CASES[i].kind, CASES[i].method, true),
                  CASES[i].good ? ERR_NONE : ERR_UNSUPPORTED);
        CHECK_INT(check_path(CASES[i].kind, CASES[i].method, false),
                  CASES[i].good ? ERR_DENIED : ERR_UNSUPPORTED);
    }
    CHECK_INT(check_path(ROUTE_UPLOAD, HTTP_GET, true), ERR_NONE);
    CHECK_INT(check_path(ROUTE_UPLOAD, HTTP_GET, false), ERR_DENIED);
    CHECK_INT(check_path(ROUTE_BLOB, HTTP_GET, false), ERR_NONE);
}

int main(void)
{
    test_local();
    test_check();
    test_pushes();
    return tap_done();
}
