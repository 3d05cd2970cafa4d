/*
 * test_fetch.c - fetches against registries of our own, which are threads with blocking sockets:
 * tokens, redirects, ranges, kept connections, several endpoints.
 */
#include "loop/loop.c"

#include "base/counter.h"
#include "base/limits.h"
#include "net/resolve.h"
#include "upstream/fetch.h"

#include "tap.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#define LOG_MAX 64
#define REQUEST_MAX 4096

struct registry;

/* Writes the response to `request` (which is the n-th of its connection, from 0); false closes the
 * connection instead. */
typedef bool respond_fn(struct registry *r, const char *request, int nth, char *out, size_t size);

/* Owner: the test. Threads: one that accepts, one a connection; `lock` guards the log. */
struct registry {
    int fd;
    uint16_t port;
    respond_fn *respond;
    pthread_mutex_t lock;
    int n;
    char log[LOG_MAX][REQUEST_MAX];
    int tokens;
    struct registry *other;
};

struct connection {
    struct registry *registry;
    int fd;
};

static struct loop *loop;
static struct resolver *resolver;
static struct http_client *client;

/* --- a registry ---------------------------------------------------------------------------- */

static bool read_request(int fd, char *text)
{
    size_t len = 0;

    while (len < REQUEST_MAX - 1) {
        if (read(fd, text + len, 1) != 1) {
            return false;
        }
        text[++len] = '\0';
        if (len >= 4 && strcmp(text + len - 4, "\r\n\r\n") == 0) {
            return true;
        }
    }
    return false;
}

static void *serve_connection(void *arg)
{
    struct connection *c = arg;
    struct registry *r = c->registry;
    char request[REQUEST_MAX];
    static _Thread_local char response[64 * 1024];

    for (int nth = 0; read_request(c->fd, request); nth++) {
        bool go_on;

        pthread_mutex_lock(&r->lock);
        snprintf(r->log[r->n++ % LOG_MAX], REQUEST_MAX, "%s", request);
        go_on = r->respond(r, request, nth, response, sizeof(response));
        pthread_mutex_unlock(&r->lock);
        if (!go_on || write(c->fd, response, strlen(response)) < 0 ||
            strstr(response, "Connection: close") != NULL) {
            break;
        }
    }
    close(c->fd);
    free(c);
    return NULL;
}

static void *serve(void *arg)
{
    struct registry *r = arg;
    int fd;

    while ((fd = accept(r->fd, NULL, NULL)) >= 0) {
        struct connection *c = xnew(struct connection);
        pthread_t thread;

        *c = (struct connection){r, fd};
        pthread_create(&thread, NULL, serve_connection, c);
        pthread_detach(thread);
    }
    return NULL;
}

/* Lives until the program ends: its threads may. */
static struct registry *registry_new(respond_fn *respond)
{
    struct registry *r = xnew(struct registry);
    struct sockaddr_in a = {.sin_family = AF_INET};
    socklen_t len = sizeof(a);
    pthread_t thread;

    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    r->respond = respond;
    pthread_mutex_init(&r->lock, NULL);
    r->fd = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(bind(r->fd, (struct sockaddr *)&a, sizeof(a)) == 0 && listen(r->fd, 16) == 0);
    getsockname(r->fd, (struct sockaddr *)&a, &len);
    r->port = ntohs(a.sin_port);
    pthread_create(&thread, NULL, serve, r);
    pthread_detach(thread);
    return r;
}

static bool asked(struct registry *r, int i, const char *text)
{
    bool has;

    pthread_mutex_lock(&r->lock);
    has = i < r->n && strstr(r->log[i], text) != NULL;
    pthread_mutex_unlock(&r->lock);
    return has;
}

static int requests(struct registry *r)
{
    int n;

    pthread_mutex_lock(&r->lock);
    n = r->n;
    pthread_mutex_unlock(&r->lock);
    return n;
}

static bool answer(char *out, size_t size, const char *status, const char *headers,
                   const char *body)
{
    snprintf(out, size, "HTTP/1.1 %s\r\nContent-Length: %zu\r\n%s\r\n%s", status, strlen(body),
             headers, body);
    return true;
}

/* --- a fetch ------------------------------------------------------------------------------- */

/* One fetch, driven to its end. */
struct run {
    struct task task;
    struct fetch *fetch;
    enum fetch_state state;
    struct fetch_answer answer;
    struct err err;
    char body[256];
    size_t len;
    ssize_t end;
};

static void run_on(struct task *t)
{
    struct run *r = container_of(t, struct run, task);
    ssize_t n = 1;

    r->state = fetch_poll(r->fetch, &r->err);
    if (r->state == FETCH_NOT_YET) {
        return;
    }
    if (r->state == FETCH_READY) {
        r->answer = *fetch_answer(r->fetch);
        while (n > 0 && r->len < sizeof(r->body) - 1) {
            n = fetch_read(r->fetch, r->body + r->len, sizeof(r->body) - 1 - r->len, &r->err);
            r->len += n > 0 ? (size_t)n : 0;
        }
        if (n == STREAM_AGAIN) {
            return;
        }
        r->end = n;
    }
    fetch_free(r->fetch);
    r->fetch = NULL;
    loop_stop(loop);
}

static struct run *run_fetch(struct upstream *u, enum fetch_kind kind, const char *reference,
                             uint64_t from)
{
    static struct run r;
    struct fetch_question q = {
        .upstream = u,
        .repo = "library/alpine",
        .reference = reference,
        .kind = kind,
        .from = from,
        .to = UINT64_MAX,
    };

    r = (struct run){0};
    task_init(&r.task, run_on);
    r.fetch = fetch_new(&q, loop, &r.task);
    atomic_store(&loop->stopping, false);
    loop_run(loop);
    return &r;
}

static struct upstreams *upstreams_at_ports(const struct upstream_options *o, const uint16_t *ports,
                                            size_t n)
{
    char text[4][64];
    const char *urls[4];
    struct upstream_options options = *o;
    struct err err = {0};
    struct upstreams *us;

    for (size_t i = 0; i < n; i++) {
        snprintf(text[i], sizeof(text[i]), "http://127.0.0.1:%u", ports[i]);
        urls[i] = text[i];
    }
    options.endpoints = urls;
    options.n_endpoints = n;
    us = upstreams_new(&options, 1, client, &err);
    CHECK_STR(err.text, "");
    return us;
}

static struct upstreams *upstreams_of(struct registry *r, const char *user, const char *password)
{
    struct credential_options k = {.user = user, .password = password};
    struct upstream_options o = {
        .name = "reg.example", .credentials = &k, .n_credentials = user != NULL};

    return upstreams_at_ports(&o, &r->port, 1);
}

/* --- plain --------------------------------------------------------------------------------- */

#define DIGEST_E "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

static bool respond_plain(struct registry *r, const char *request, int nth, char *out, size_t size)
{
    (void)r;
    (void)nth;
    if (strstr(request, "Range: bytes=3-\r\n") != NULL) {
        return answer(out, size, "206 Partial Content", "Content-Range: bytes 3-4/5\r\n", "lo");
    }
    if (strstr(request, "Range: bytes=4-\r\n") != NULL) {
        return answer(out, size, "206 Partial Content", "Content-Range: bytes 3-4/5\r\n", "lo");
    }
    if (strstr(request, "/blobs/chunked ") != NULL) {
        snprintf(out, size,
                 "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                 "3;x=y\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n");
        return true;
    }
    if (strstr(request, "/blobs/gone ") != NULL) {
        return answer(out, size, "404 Not Found", "", "no");
    }
    if (strstr(request, "/blobs/busy ") != NULL) {
        return answer(out, size, "429 Too Many", "Retry-After: 17\r\n", "no");
    }
    if (strstr(request, "/blobs/short ") != NULL) {
        snprintf(out, size, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\nConnection: close\r\n\r\nhe");
        return true;
    }
    if (strstr(request, "/blobs/gzip ") != NULL) {
        return answer(out, size, "200 OK", "Content-Encoding: gzip\r\n", "hello");
    }
    return answer(out, size, "200 OK",
                  "Content-Type: text/x; charset=utf-8\r\nDocker-Content-Digest: " DIGEST_E "\r\n"
                  "Link: </v2/x?last=a>; rel=\"prev\", </v2/x?last=b>; rel=\"next\"\r\n",
                  "hello");
}

static void test_plain(void)
{
    struct registry *r = registry_new(respond_plain);
    struct upstreams *us = upstreams_of(r, NULL, NULL);
    struct upstream *u = upstreams_at(us, 0);
    int64_t connections = counter_sum(COUNTER_upstream_connections);
    struct run *run = run_fetch(u, FETCH_BLOB, "x", 0);

    CHECK_INT(run->state, FETCH_READY);
    CHECK_INT(run->answer.status, 200);
    CHECK_STR(run->body, "hello");
    CHECK_INT(run->end, 0);
    CHECK_INT(run->answer.length, 5);
    CHECK_INT(run->answer.total, 5);
    CHECK_STR(run->answer.media_type, "text/x");
    CHECK_STR(run->answer.link_next, "/v2/x?last=b");
    CHECK(run->answer.has_digest);
    CHECK(asked(r, 0, "GET /v2/library/alpine/blobs/x HTTP/1.1\r\nHost: 127.0.0.1:"));
    CHECK(asked(r, 0, "Accept-Encoding: identity\r\n"));
    CHECK(!asked(r, 0, "Authorization:"));

    run = run_fetch(u, FETCH_BLOB, "x", 3);
    CHECK_INT(run->answer.status, 206);
    CHECK_INT(run->answer.from, 3);
    CHECK_INT(run->answer.total, 5);
    CHECK_STR(run->body, "lo");
    run = run_fetch(u, FETCH_BLOB, "x", 4);
    CHECK_INT(run->err.code, ERR_RANGE);
    run = run_fetch(u, FETCH_BLOB, "chunked", 0);
    CHECK_STR(run->body, "hello");
    CHECK_INT(run->end, 0);
    CHECK(run->answer.length == UINT64_MAX);
    run = run_fetch(u, FETCH_BLOB, "gone", 0);
    CHECK_INT(run->err.code, ERR_BLOB_UNKNOWN);
    run = run_fetch(u, FETCH_TAGS, "n=2", 0);
    CHECK(asked(r, requests(r) - 1, "GET /v2/library/alpine/tags/list?n=2 "));
    run = run_fetch(u, FETCH_BLOB, "busy", 0);
    CHECK_INT(run->err.code, ERR_TOO_MANY);
    CHECK_INT(run->err.retry_after, 17);
    run = run_fetch(u, FETCH_BLOB, "gzip", 0);
    CHECK_INT(run->err.code, ERR_UPSTREAM_PROTOCOL);
    CHECK_INT(counter_sum(COUNTER_upstream_connections) - connections, 1);
    run = run_fetch(u, FETCH_BLOB, "short", 0);
    CHECK_INT(run->state, FETCH_READY);
    CHECK_STR(run->body, "he");
    CHECK_INT(run->end, STREAM_FAILED);
    CHECK_INT(run->err.code, ERR_UPSTREAM_DOWN);
    upstreams_free(us);
}

/* --- a kept connection that died ----------------------------------------------------------- */

static bool respond_once(struct registry *r, const char *request, int nth, char *out, size_t size)
{
    (void)request;
    if (nth > 0) {
        return false;
    }
    return answer(out, size, "200 OK", "", r->n == 1 ? "first" : "second");
}

static void test_kept_died(void)
{
    struct registry *r = registry_new(respond_once);
    struct upstreams *us = upstreams_of(r, NULL, NULL);
    struct run *run = run_fetch(upstreams_at(us, 0), FETCH_BLOB, "x", 0);

    CHECK_STR(run->body, "first");
    run = run_fetch(upstreams_at(us, 0), FETCH_BLOB, "x", 0);
    CHECK_STR(run->body, "second");
    CHECK_INT(requests(r), 3);
    upstreams_free(us);
}

/* --- tokens -------------------------------------------------------------------------------- */

/* Each token is good for two requests. */
static bool respond_token(struct registry *r, const char *request, int nth, char *out, size_t size)
{
    char text[256];

    (void)nth;
    if (strncmp(request, "GET /token?", 11) == 0) {
        r->tokens++;
        snprintf(text, sizeof(text), "{\"token\":\"t%d\",\"expires_in\":300}", r->tokens);
        return answer(out, size, "200 OK", "", text);
    }
    snprintf(text, sizeof(text), "Authorization: Bearer t%d\r\n", r->tokens);
    if (r->tokens == 0 || strstr(request, text) == NULL ||
        strstr(request, "/blobs/never") != NULL) {
        snprintf(text, sizeof(text),
                 "WWW-Authenticate: Bearer realm=\"http://127.0.0.1:%u/token\",service=\"s v\","
                 "scope=\"repository:library/alpine:pull\"\r\n",
                 r->port);
        return answer(out, size, "401 Unauthorized", text, "");
    }
    if (strstr(request, "/blobs/expire") != NULL) {
        r->tokens++; /* what was good is so no more */
    }
    return answer(out, size, "200 OK", "", "bytes");
}

static void test_token(void)
{
    struct registry *r = registry_new(respond_token);
    struct upstreams *us = upstreams_of(r, "me", "pass");
    struct upstream *u = upstreams_at(us, 0);
    struct run *run = run_fetch(u, FETCH_BLOB, "a", 0);

    CHECK(upstream_credential(u, "library/alpine") != 0);
    CHECK_STR(run->body, "bytes");
    CHECK_INT(requests(r), 3);
    CHECK(asked(r, 1,
                "GET /token?service=s%20v&scope=repository%3Alibrary%2Falpine%3Apull&account=me "));
    CHECK(asked(r, 1, "Authorization: Basic bWU6cGFzcw==\r\n"));
    CHECK(asked(r, 2, "Authorization: Bearer t1\r\n"));
    /* The challenge and the token are remembered. */
    run = run_fetch(u, FETCH_BLOB, "expire", 0);
    CHECK_STR(run->body, "bytes");
    CHECK_INT(requests(r), 4);
    /* A token that is refused is replaced. */
    run = run_fetch(u, FETCH_BLOB, "a", 0);
    CHECK_STR(run->body, "bytes");
    CHECK_INT(requests(r), 7);
    /* Refused for good: one more token, one more try. */
    run = run_fetch(u, FETCH_BLOB, "never", 0);
    CHECK_INT(run->err.code, ERR_UPSTREAM_REFUSED);
    CHECK_INT(requests(r), 10);
    CHECK(strstr(run->err.text, "pass") == NULL && strstr(run->err.text, "Bearer") == NULL);
    upstreams_free(us);
}

/* --- what has no end ----------------------------------------------------------------------- */

/* A flood, whose writer goes on until the other side closes: no EAGAIN ends the reading of it. */
static void *flood(void *arg)
{
    struct registry *r = arg;
    char request[REQUEST_MAX];
    char piece[64 * 1024];
    size_t n = 0;
    int fd = accept(r->fd, NULL, NULL);

    for (; n + 40 < sizeof(piece); n += strlen(piece + n)) {
        snprintf(piece + n, sizeof(piece) - n, "%s",
                 r->tokens > 0 ? "20\r\n                                \r\n"
                               : "HTTP/1.1 100 Continue\r\n\r\n");
    }
    if (read_request(fd, request)) {
        const char *head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";

        ignore_result(r->tokens > 0 && write(fd, head, strlen(head)) < 0);
        while (send(fd, piece, n, MSG_NOSIGNAL) > 0) {
        }
    }
    close(fd);
    return NULL;
}

static struct registry *flood_new(pthread_t *ret_thread, bool body)
{
    struct registry *r = xnew(struct registry);
    struct sockaddr_in a = {.sin_family = AF_INET};
    socklen_t len = sizeof(a);

    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    r->tokens = body;
    pthread_mutex_init(&r->lock, NULL);
    r->fd = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(bind(r->fd, (struct sockaddr *)&a, sizeof(a)) == 0 && listen(r->fd, 16) == 0);
    getsockname(r->fd, (struct sockaddr *)&a, &len);
    r->port = ntohs(a.sin_port);
    pthread_create(ret_thread, NULL, flood, r);
    return r;
}

static void flood_free(struct registry *r, pthread_t thread)
{
    pthread_join(thread, NULL);
    close(r->fd);
    free(r);
}

static bool respond_realm(struct registry *r, const char *request, int nth, char *out, size_t size)
{
    char text[128];

    (void)request;
    (void)nth;
    snprintf(text, sizeof(text),
             "WWW-Authenticate: Bearer realm=\"http://127.0.0.1:%u/token\",service=\"s\"\r\n",
             r->other->port);
    return answer(out, size, "401 Unauthorized", text, "");
}

static void test_floods(void)
{
    struct registry *r = registry_new(respond_realm);
    pthread_t thread;
    struct registry *interims = flood_new(&thread, false);
    struct upstreams *us = upstreams_of(interims, NULL, NULL);
    struct run *run = run_fetch(upstreams_at(us, 0), FETCH_BLOB, "x", 0);

    CHECK_INT(run->err.code, ERR_UPSTREAM_PROTOCOL);
    CHECK(strstr(run->err.text, "interim") != NULL);
    upstreams_free(us);
    flood_free(interims, thread);

    r->other = flood_new(&thread, true);
    us = upstreams_of(r, NULL, NULL);
    run = run_fetch(upstreams_at(us, 0), FETCH_BLOB, "x", 0);
    CHECK_INT(run->err.code, ERR_UPSTREAM_PROTOCOL);
    CHECK(strstr(run->err.text, "token server: answer over") != NULL);
    upstreams_free(us);
    flood_free(r->other, thread);
}

/* A token that no request has room for: none is sent without its end. */
static bool respond_long_token(struct registry *r, const char *request, int nth, char *out,
                               size_t size)
{
    static char body[48 * 1024];

    if (strstr(request, "GET /token?") == NULL) {
        r->other = r;
        return respond_realm(r, request, nth, out, size);
    }
    memset(body, 'x', sizeof(body));
    memcpy(body, "{\"token\":\"", 10);
    memcpy(body + sizeof(body) - 3, "\"}", 3);
    return answer(out, size, "200 OK", "", body);
}

static void test_long_token(void)
{
    struct registry *r = registry_new(respond_long_token);
    struct upstreams *us = upstreams_of(r, NULL, NULL);
    struct run *run = run_fetch(upstreams_at(us, 0), FETCH_BLOB, "x", 0);

    CHECK_INT(run->err.code, ERR_UPSTREAM_PROTOCOL);
    CHECK_INT(requests(r), 2);
    upstreams_free(us);
}

/* --- redirects ----------------------------------------------------------------------------- */

static bool respond_storage(struct registry *r, const char *request, int nth, char *out,
                            size_t size)
{
    (void)nth;
    if (strstr(request, "Authorization:") != NULL) {
        return answer(out, size, "400 Bad Request", "", "two kinds of authorization");
    }
    if (strstr(request, "GET /expired") != NULL && r->n == 1) {
        return answer(out, size, "403 Forbidden", "", "expired");
    }
    if (strstr(request, "GET /refused") != NULL) {
        return answer(out, size, "401 Unauthorized",
                      "WWW-Authenticate: Basic realm=\"give me\"\r\n", "");
    }
    return answer(out, size, "200 OK", "", "stored");
}

static bool respond_redirect(struct registry *r, const char *request, int nth, char *out,
                             size_t size)
{
    char text[160];
    const char *path = strstr(request, "/blobs/") + strlen("/blobs/");

    (void)nth;
    if (strstr(request, "Authorization: Basic bWU6cGFzcw==\r\n") == NULL) {
        return answer(out, size, "401 Unauthorized", "WWW-Authenticate: basic realm=\"x\"\r\n", "");
    }
    if (strncmp(path, "loop", 4) == 0) {
        return answer(out, size, "307 Temporary Redirect", "Location: loop\r\n", "");
    }
    snprintf(text, sizeof(text), "Location: http://127.0.0.1:%u/%.*s?sig=secret\r\n",
             r->other->port, (int)strcspn(path, " "), path);
    return answer(out, size, "307 Temporary Redirect", text, "");
}

static void test_redirect(void)
{
    struct registry *storage = registry_new(respond_storage);
    struct registry *r = registry_new(respond_redirect);
    struct upstreams *us = upstreams_of(r, "me", "pass");
    struct upstream *u = upstreams_at(us, 0);
    struct run *run;

    r->other = storage;
    run = run_fetch(u, FETCH_BLOB, "expired", 0);
    CHECK_STR(run->body, "stored");
    CHECK_INT(requests(r), 3); /* 401, redirect, redirect with a new signature */
    CHECK_INT(requests(storage), 2);
    CHECK(asked(storage, 0, "GET /expired?sig=secret HTTP/1.1"));
    CHECK(!asked(storage, 1, "Authorization"));
    run = run_fetch(u, FETCH_BLOB, "loop", 0);
    CHECK_INT(run->err.code, ERR_UPSTREAM_PROTOCOL);
    CHECK(strstr(run->err.text, "more than 10 redirects") != NULL);
    CHECK_INT(requests(r), 14);
    run = run_fetch(u, FETCH_BLOB, "refused", 0);
    CHECK_INT(run->err.code, ERR_UPSTREAM_REFUSED);
    CHECK(strstr(run->err.text, "secret") == NULL);
    upstreams_free(us);
}

/* --- several endpoints --------------------------------------------------------------------- */

static bool respond_broken(struct registry *r, const char *request, int nth, char *out, size_t size)
{
    (void)r;
    (void)nth;
    if (strstr(request, "/blobs/missing") != NULL) {
        return answer(out, size, "404 Not Found", "", "");
    }
    return answer(out, size, "503 Unavailable", "Retry-After: 3\r\n", "");
}

static bool respond_missing(struct registry *r, const char *request, int nth, char *out,
                            size_t size)
{
    (void)r;
    (void)nth;
    if (strstr(request, "/blobs/there") != NULL) {
        return answer(out, size, "200 OK", "", "found");
    }
    return answer(out, size, "404 Not Found", "", "");
}

static void test_endpoints(void)
{
    struct registry *bad = registry_new(respond_broken);
    struct registry *good = registry_new(respond_missing);
    struct upstream_options o = {.name = "reg.example"};
    uint16_t ports[2] = {bad->port, good->port};
    struct upstreams *us = upstreams_at_ports(&o, ports, 2);
    struct upstream *u = upstreams_at(us, 0);
    struct run *run = run_fetch(u, FETCH_BLOB, "missing", 0);

    CHECK_INT(run->err.code, ERR_BLOB_UNKNOWN); /* all of them say so */
    CHECK_INT(requests(bad), 1);
    run = run_fetch(u, FETCH_BLOB, "there", 0);
    CHECK_STR(run->body, "found");
    CHECK_INT(requests(bad), 2);
    /* The one that failed stands behind now. */
    run = run_fetch(u, FETCH_BLOB, "there", 0);
    CHECK_STR(run->body, "found");
    CHECK_INT(requests(bad), 2);
    /* One does not know it, the other might. */
    run = run_fetch(u, FETCH_BLOB, "elsewhere", 0);
    CHECK_INT(run->err.code, ERR_UPSTREAM_DOWN);
    CHECK_INT(run->err.retry_after, 3);
    upstreams_free(us);
}

/* --- nobody there -------------------------------------------------------------------------- */

static void test_nobody(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET};
    struct upstream_options o = {.name = "reg.example"};
    socklen_t len = sizeof(a);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct upstreams *us;
    struct run *run;
    uint16_t port;

    /* Bound but not listening: nobody else can take the port meanwhile. */
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    CHECK(bind(fd, (struct sockaddr *)&a, sizeof(a)) == 0);
    getsockname(fd, (struct sockaddr *)&a, &len);
    port = ntohs(a.sin_port);
    us = upstreams_at_ports(&o, &port, 1);
    run = run_fetch(upstreams_at(us, 0), FETCH_BLOB, "x", 0);
    CHECK_INT(run->err.code, ERR_UPSTREAM_DOWN);
    CHECK(strstr(run->err.text, "127.0.0.1") != NULL &&
          strstr(run->err.text, "Connection refused") != NULL);
    upstreams_free(us);
    close(fd);
}

int main(void)
{
    limits.hedge = 0; /* who is asked is not to depend on how fast that is */
    loop = loop_new();
    resolver = resolver_new(1);
    client = http_client_new(resolver);
    test_plain();
    test_kept_died();
    test_token();
    test_redirect();
    test_floods();
    test_long_token();
    test_endpoints();
    test_nobody();
    http_client_free(client);
    resolver_free(resolver);
    loop_free(loop);
    return tap_done();
}
