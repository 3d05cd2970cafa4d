/*
 * tests/unit/test_http_server_ends.c - how connections end: refused, too slow, gone, half closed,
 * drained, stopped; and what they hold while they are idle.
 */
#include "http_answer.h"

static atomic_uint gone_count;
static atomic_uint ended_count;
static sem_t held_sem;
static sem_t gone_sem;
static sem_t ended_sem;
static struct http_exchange *held;
static struct task held_task;
static const char *held_work; /* "/hold", "/send", "/read" */

/* --- handlers ------------------------------------------------------------------------------ */

/* Sends without end, or reads, until the client is gone. */
static void held_run(struct task *t)
{
    static char bytes[65536];

    (void)t;
    if (held->gone) {
        atomic_fetch_add(&gone_count, 1);
        sem_post(&gone_sem);
        http_abort(held);
        return;
    }
    if (strcmp(held_work, "/send") == 0) {
        while (http_send(held, bytes, sizeof(bytes)) > 0) {
        }
    } else if (strcmp(held_work, "/read") == 0) {
        while (http_read_body(held, bytes, sizeof(bytes)) > 0) {
        }
    }
}

static void handle(struct http_exchange *x)
{
    static const char *works[] = {"/hold", "/send", "/read"};
    const char *work = NULL;

    for (size_t i = 0; i < ARRAY_LEN(works); i++) {
        work = slice_is(x->head.path, works[i]) ? works[i] : work;
    }
    if (work == NULL) {
        http_reply(x, 200, SLICE_NULL, x->head.path);
        return;
    }
    held = x;
    held_work = work;
    task_init(&held_task, held_run);
    x->owner = &held_task;
    if (strcmp(work, "/send") == 0) {
        http_start(x, 200, SLICE_NULL, UINT64_C(1) << 40);
    }
    held_run(&held_task);
    sem_post(&held_sem);
}

static void on_ended(struct http_exchange *x)
{
    (void)x;
    atomic_fetch_add(&ended_count, 1);
    sem_post(&ended_sem);
}

static void reply_held(void *arg)
{
    (void)arg;
    CHECK(!held->gone);
    http_reply(held, 200, SLICE_NULL, slice_str("held"));
}

static void await(sem_t *sem)
{
    while (sem_wait(sem) < 0) {
    }
}

/* Short limits, of those that are not 0; the others as they are. */
static void set_limits(void *arg)
{
    limits = *(const struct limits *)arg;
}

static void with_limits(uint64_t headers, uint64_t idle, uint64_t progress)
{
    struct limits l = LIMITS_DEFAULT;

    l.client_headers = headers > 0 ? headers : l.client_headers;
    l.client_idle = idle > 0 ? idle : l.client_idle;
    l.client_progress = progress > 0 ? progress : l.client_progress;
    on_loop(set_limits, &l);
}

static bool body_is(const char *text)
{
    return slice_is(buf_view(&answer.body), text);
}

/* --- refused ------------------------------------------------------------------------------- */

/* Says `text`, then a megabyte that nobody wants: the client must see the answer, not a reset. */
static bool is_refused(const char *text, int status)
{
    static const char more[10000];
    int fd = client_open_tcp();
    bool refused;

    say(fd, text);
    for (unsigned i = 0; i < 100; i++) {
        say_bytes(fd, more, sizeof(more));
    }
    refused = hear_status(fd, status) && !answer.head.keep_alive && answer.body.len > 0 &&
              slice_starts(buf_view(&answer.body), "{\"errors\":[{\"code\":\"UNSUPPORTED\",") &&
              slice_ends(buf_view(&answer.body), "\"}]}\n");
    shutdown(fd, SHUT_WR);
    refused = hear_end(fd) && refused;
    client_close(fd);
    return refused;
}

static void test_refusals(void)
{
    int64_t bad = counter_sum(COUNTER_requests_bad);
    struct buf b;

    CHECK(is_refused("GET / HTTP/1.1\r\n\r\n", 400));
    CHECK(is_refused("GET / HTTP/1.1\nHost: a\n\n", 400));
    CHECK(is_refused("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
                     400));
    CHECK(is_refused("\x16\x03\x01", 400));
    buf_init(&b, 1 << 20);
    buf_str(&b, "GET /");
    while (b.len <= CLIENT_LINE_MAX) {
        buf_str(&b, "aaaaaaaaaa");
    }
    CHECK(is_refused(b.p, 414));
    b.len = 0;
    buf_str(&b, "GET / HTTP/1.1\r\nHost: a\r\n");
    while (b.len <= CLIENT_HEAD_MAX) {
        buf_printf(&b, "A: %0*u\r\n", 10000, 1u);
    }
    CHECK(is_refused(b.p, 431));
    buf_free(&b);
    CHECK_INT(counter_sum(COUNTER_requests_bad) - bad, 6);
}

/* Heads that need the large buffer, again and again on one connection, whole and in pieces. */
static void test_large_heads(void)
{
    int fd = client_open();
    struct buf b;

    buf_init(&b, 1 << 20);
    for (unsigned size = 3000; size < 15000; size += 1777) {
        b.len = 0;
        buf_printf(&b, "GET /x HTTP/1.1\r\nHost: a\r\nA: %0*u\r\nB: %0*u\r\nC: %0*u\r\n\r\n",
                   (int)size, 1u, (int)size, 2u, (int)size, 3u);
        buf_str(&b, "GET /y HTTP/1.1\r\nHost: a\r\n\r\n");
        for (size_t at = 0; at < b.len; at += 5000) {
            say_bytes(fd, b.p + at, b.len - at < 5000 ? b.len - at : 5000);
        }
        CHECK(hear_status(fd, 200) && body_is("/x"));
        CHECK(hear_status(fd, 200) && body_is("/y"));
    }
    buf_free(&b);
    client_close(fd);
}

/* --- too slow ------------------------------------------------------------------------------ */

static void test_slow_heads(void)
{
    int fd;

    with_limits(30, 0, 0);
    fd = client_open();
    CHECK(hear_end(fd)); /* said nothing at all */
    client_close(fd);
    fd = client_open();
    say(fd, "GET / HTTP/1.1\r\nHost");
    CHECK(hear_status(fd, 408) && hear_end(fd));
    client_close(fd);
    with_limits(30, 0, 0);
    fd = client_open();
    say(fd, "GET / HTTP/1.1\r\nHost: a\r\n\r\nGET");
    CHECK(hear_status(fd, 200));
    CHECK(hear_status(fd, 408) && hear_end(fd));
    client_close(fd);
    with_limits(0, 30, 0);
    fd = client_open();
    say(fd, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    CHECK(hear_status(fd, 200) && hear_end(fd));
    client_close(fd);
    with_limits(0, 0, 0);
}

static void test_no_progress(void)
{
    unsigned gone = atomic_load(&gone_count);
    int fd = client_open();

    with_limits(0, 0, 30);
    say(fd, "GET /send HTTP/1.1\r\nHost: a\r\n\r\n");
    await(&held_sem);
    await(&gone_sem); /* never read a byte */
    client_close(fd);
    fd = client_open();
    say(fd, "PUT /read HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n12345");
    await(&held_sem);
    await(&gone_sem); /* never sent the rest */
    CHECK(hear_end(fd));
    client_close(fd);
    CHECK_INT(atomic_load(&gone_count) - gone, 2);
    /* a reply that the client does not take, and a body that nobody reads and does not come */
    fd = client_open();
    say(fd, "PUT /a HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n12345");
    CHECK(hear_status(fd, 200) && hear_end(fd));
    client_close(fd);
    with_limits(0, 0, 0);
}

/* --- gone ---------------------------------------------------------------------------------- */

static void test_gone(void)
{
    static const char *works[] = {"hold", "send", "read"};
    unsigned gone = atomic_load(&gone_count);

    for (size_t i = 0; i < ARRAY_LEN(works); i++) {
        char request[100];
        int fd = client_open_tcp();

        snprintf(request, sizeof(request), "PUT /%s HTTP/1.1\r\nHost: a\r\n%s\r\n", works[i],
                 i == 2 ? "Content-Length: 10\r\n" : "");
        say(fd, request);
        await(&held_sem);
        client_reset(fd);
        await(&gone_sem);
    }
    CHECK_INT(atomic_load(&gone_count) - gone, 3);
}

/* A client that closes in order while a response is on its way: the reset that answers its bytes
 * tells. */
static void test_closed_while_sending(void)
{
    int fd = client_open_tcp();

    say(fd, "GET /send HTTP/1.1\r\nHost: a\r\n\r\n");
    await(&held_sem);
    client_close(fd);
    await(&gone_sem);
    CHECK(true);
}

static void test_half_closed(void)
{
    int fd = client_open_tcp();

    say(fd, "GET /hold HTTP/1.1\r\nHost: a\r\n\r\n"
            "GET /b HTTP/1.1\r\nHost: a\r\n\r\n"
            "GET /c");
    shutdown(fd, SHUT_WR);
    await(&held_sem);
    on_loop(reply_held, NULL);
    CHECK(hear_status(fd, 200) && body_is("held"));
    CHECK(hear_status(fd, 200) && body_is("/b"));
    CHECK(hear_end(fd));
    client_close(fd);
    /* with nothing behind it, the response says that it is the last one */
    fd = client_open_tcp();
    say(fd, "GET /hold HTTP/1.1\r\nHost: a\r\n\r\n");
    shutdown(fd, SHUT_WR);
    await(&held_sem);
    on_loop(reply_held, NULL);
    CHECK(hear_status(fd, 200) && body_is("held") && hear_end(fd));
    client_close(fd);
}

/* One that ended its side and takes no byte is gone in the end. */
static void test_half_closed_gone(void)
{
    int fd = client_open_tcp();

    with_limits(0, 30, 0);
    say(fd, "GET /hold HTTP/1.1\r\nHost: a\r\n\r\n");
    shutdown(fd, SHUT_WR);
    await(&held_sem);
    await(&gone_sem);
    CHECK(hear_end(fd));
    client_close(fd);
    with_limits(0, 0, 0);
}

/* --- idle ---------------------------------------------------------------------------------- */

struct idle_look {
    unsigned connections;
    unsigned buffers;
    unsigned exchanges;
    unsigned outs;
};

static void look_idle(void *arg)
{
    struct idle_look *look = arg;

    list_each(it, &server->homes[loop_index(loop)]->conns) {
        const struct http_conn *c = container_of(it, struct http_conn, node);

        look->connections++;
        look->buffers += c->in != NULL;
        look->exchanges += c->exchange != NULL;
        look->outs += c->out.p != NULL;
    }
}

static void test_idle_memory(void)
{
    struct idle_look look = {0, 0, 0, 0};
    int fds[50];

    for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
        fds[i] = client_open();
        say(fds[i], "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        CHECK(hear_status(fds[i], 200));
    }
    on_loop(look_idle, &look);
    CHECK_INT(look.connections, ARRAY_LEN(fds));
    CHECK_INT(look.exchanges, 0);
    CHECK_INT(look.outs, 0);
    /* the last one may still be about to find that nothing follows */
    CHECK(look.buffers <= 1);
    CHECK(sizeof(struct http_conn) < 1024);
    CHECK_INT(http_server_load(server, loop), ARRAY_LEN(fds));
    for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
        client_close(fds[i]);
    }
}

/* --- drain and stop ------------------------------------------------------------------------ */

static void drain(void *arg)
{
    (void)arg;
    http_server_drain(server, loop, false);
}

static void test_drain(void)
{
    int idle = client_open();
    int busy = client_open();
    int late;

    say(idle, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    CHECK(hear_status(idle, 200));
    say(busy, "GET /hold HTTP/1.1\r\nHost: a\r\n\r\n");
    await(&held_sem);
    on_loop(drain, NULL);
    CHECK(hear_end(idle));
    client_close(idle);
    late = client_open();
    CHECK(hear_end(late));
    client_close(late);
    on_loop(reply_held, NULL);
    CHECK(hear_status(busy, 200) && body_is("held") && !answer.head.keep_alive);
    CHECK(hear_end(busy));
    client_close(busy);
}

static void test_stop(const struct http_server_options *options)
{
    unsigned gone = atomic_load(&gone_count);
    unsigned ended = atomic_load(&ended_count);
    int fds[3];

    fixture_start(options);
    for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
        fds[i] = client_open();
    }
    say(fds[1], "GET /hold HTTP/1.1\r\nHost: a\r\n\r\n");
    await(&held_sem);
    say(fds[2], "GET /");
    fixture_stop();
    for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
        CHECK(!answer_fill(fds[i]));
        client_close(fds[i]);
    }
    CHECK_INT(atomic_load(&gone_count) - gone, 1);
    CHECK_INT(atomic_load(&ended_count) - ended, 1);
}

int main(void)
{
    struct http_server_options options = {.handle = handle, .ended = on_ended};

    sem_init(&held_sem, 0, 0);
    sem_init(&gone_sem, 0, 0);
    sem_init(&ended_sem, 0, 0);
    fixture_start(&options);
    test_refusals();
    test_large_heads();
    test_slow_heads();
    test_no_progress();
    test_gone();
    test_closed_while_sending();
    test_half_closed();
    test_half_closed_gone();
    fixture_stop();
    fixture_start(&options);
    test_idle_memory();
    test_drain();
    fixture_stop();
    test_stop(&options);
    fixture_end();
    CHECK_INT(counter_sum(COUNTER_connections_open), 0);
    buf_free(&answer.body);
    return tap_done();
}
