/* tests/unit/test_http_server.c - the server on a real loop, through sockets. */
#include "http_answer.h"

#include <sys/mman.h>

/* The bytes of every large body: the byte at an offset is that of PATTERN at its remainder. */
#define PATTERN_SIZE 65521u
static char pattern[2 * PATTERN_SIZE];

enum work { WORK_HOLD, WORK_COUNT, WORK_STREAM, WORK_FILE, WORK_HEAD_FIRST };

/* A request whose handler is not done at once. Thread: the loop's. */
struct job {
    struct task task;
    struct http_exchange *x;
    enum work work;
    uint64_t done;
    uint64_t total;
    bool wrong; /* a byte that is not the pattern's */
    bool begun;
};

/* What the loop tells the test. */
static atomic_uint ended_count;
static atomic_uint gone_count;
static atomic_int ended_status;
static atomic_ullong ended_bytes;
static atomic_bool ended_timed; /* first byte not before the head was read */
static sem_t held_sem;          /* a request arrived at /hold */
static sem_t ended_sem;
static struct job *held;
static int file_fd;

static bool is_pattern(const char *p, uint64_t offset, size_t n)
{
    while (n > 0) {
        size_t at = (size_t)(offset % PATTERN_SIZE);
        size_t here = n < PATTERN_SIZE ? n : PATTERN_SIZE;

        if (memcmp(p, pattern + at, here) != 0) {
            return false;
        }
        p += here;
        offset += here;
        n -= here;
    }
    return true;
}

/* --- handlers ------------------------------------------------------------------------------ */

static void reply_text(struct http_exchange *x, int status, const char *text)
{
    http_reply(x, status, slice_str("Content-Type: text/plain\r\n"), slice_str(text));
}

/* Reads the body to its end, then says how long it was. */
static void job_count(struct job *j)
{
    static char bytes[64 * 1024];
    char text[64];
    ssize_t n;

    while ((n = http_read_body(j->x, bytes, sizeof(bytes))) > 0) {
        j->wrong = j->wrong || !is_pattern(bytes, j->done, (size_t)n);
        j->done += (uint64_t)n;
    }
    if (n == STREAM_AGAIN) {
        return;
    }
    snprintf(text, sizeof(text), "%llu %s%s", (unsigned long long)j->done,
             n == STREAM_FAILED ? "failed" : "whole", j->wrong ? " wrong" : "");
    reply_text(j->x, n == STREAM_FAILED ? 400 : 200, text);
}

static ssize_t job_send(struct job *j)
{
    size_t want = j->total - j->done < 30000 ? (size_t)(j->total - j->done) : 30000;

    if (j->work == WORK_FILE) {
        return http_send_file(j->x, file_fd, j->done, want);
    }
    return http_send(j->x, pattern + j->done % PATTERN_SIZE, want);
}

static void job_stream(struct job *j)
{
    while (j->done < j->total) {
        ssize_t n = job_send(j);

        if (n == STREAM_AGAIN) {
            return;
        }
        if (n <= 0) {
            http_abort(j->x);
            return;
        }
        j->done += (uint64_t)n;
    }
    http_finish(j->x);
}

static void job_run(struct task *t)
{
    struct job *j = container_of(t, struct job, task);

    if (j->x->gone) {
        atomic_fetch_add(&gone_count, 1);
        http_abort(j->x);
        return;
    }
    if (j->work == WORK_COUNT) {
        job_count(j);
    } else if (j->work == WORK_STREAM || j->work == WORK_FILE) {
        job_stream(j);
    } else if (j->work == WORK_HEAD_FIRST && !j->begun) {
        j->begun = http_send_head(j->x) == 0;
    }
}

static struct job *job_new(struct http_exchange *x, enum work work)
{
    struct job *j = xnew(struct job);

    j->x = x;
    j->work = work;
    task_init(&j->task, job_run);
    x->owner = &j->task;
    x->user = j;
    return j;
}

/* "/stream?1000" has a length, "/chunked?1000" none. */
static void begin_stream(struct http_exchange *x, enum work work, bool sized)
{
    struct job *j = job_new(x, work);

    if (!slice_u64(x->head.query, &j->total)) {
        j->total = 0;
    }
    http_start(x, 200, slice_str("X-A: b\r\n"), sized ? j->total : HTTP_LENGTH_UNKNOWN);
    job_stream(j);
}

static void begin_abort(struct http_exchange *x, bool sized)
{
    http_start(x, 200, SLICE_NULL, sized ? 1000 : HTTP_LENGTH_UNKNOWN);
    if (http_send(x, pattern, 500) != 500) {
        abort();
    }
    http_abort(x);
}

static void reply_large(struct http_exchange *x)
{
    static char large[1 << 20];

    for (size_t i = 0; i < sizeof(large); i++) {
        large[i] = pattern[i % PATTERN_SIZE];
    }
    http_reply(x, 200, SLICE_NULL, slice_of(large, sizeof(large)));
}

static void hold(struct http_exchange *x, enum work work)
{
    held = job_new(x, work);
    if (work == WORK_HEAD_FIRST) {
        http_start(x, 200, SLICE_NULL, 10);
        job_run(&held->task);
    }
    sem_post(&held_sem);
}

static void reply_about(struct http_exchange *x)
{
    char text[256];

    snprintf(text, sizeof(text), SLICE_FMT " " SLICE_FMT " " SLICE_FMT " %zu %d %s",
             SLICE_ARG(x->head.method_text), SLICE_ARG(x->head.path), SLICE_ARG(x->head.query),
             x->head.n_fields, x->listener->role, x->client);
    reply_text(x, 200, text);
}

static void handle(struct http_exchange *x)
{
    struct slice path = x->head.path;

    if (slice_is(path, "/count")) {
        job_count(job_new(x, WORK_COUNT));
    } else if (slice_is(path, "/stream") || slice_is(path, "/chunked")) {
        begin_stream(x, WORK_STREAM, slice_is(path, "/stream"));
    } else if (slice_is(path, "/file") || slice_is(path, "/file-chunked")) {
        begin_stream(x, WORK_FILE, slice_is(path, "/file"));
    } else if (slice_is(path, "/abort") || slice_is(path, "/abort-chunked")) {
        begin_abort(x, slice_is(path, "/abort"));
    } else if (slice_is(path, "/large")) {
        reply_large(x);
    } else if (slice_is(path, "/hold") || slice_is(path, "/head-first")) {
        hold(x, slice_is(path, "/hold") ? WORK_HOLD : WORK_HEAD_FIRST);
    } else if (slice_is(path, "/length")) {
        http_reply_length(x, 200, SLICE_NULL, 12345);
    } else if (slice_is(path, "/304")) {
        http_reply(x, 304, slice_str("ETag: \"a\"\r\n"), SLICE_NULL);
    } else if (slice_is(path, "/204")) {
        http_reply(x, 204, SLICE_NULL, SLICE_NULL);
    } else {
        reply_about(x);
    }
}

static void on_ended(struct http_exchange *x)
{
    struct job *j = x->user;

    atomic_store(&ended_status, x->status);
    atomic_store(&ended_bytes, x->bytes_sent);
    atomic_store(&ended_timed, x->first_us >= x->started_us);
    atomic_fetch_add(&ended_count, 1);
    if (j != NULL) {
        task_cancel(&j->task);
        free(j);
    }
    sem_post(&ended_sem);
}

static void abort_held(void *arg)
{
    (void)arg;
    http_abort(held->x);
}

static void await(sem_t *sem)
{
    while (sem_wait(sem) < 0) {
    }
}

/* Exchanges that ended since the last call count no longer. */
static void forget_ended(void)
{
    while (sem_trywait(&ended_sem) == 0) {
    }
}

/* --- whole replies ------------------------------------------------------------------------- */

static bool body_is(const char *text)
{
    return slice_is(buf_view(&answer.body), text);
}

static void test_get(void)
{
    int fd = client_open();
    struct slice date;

    CHECK(say(fd, "GET /a?b HTTP/1.1\r\nHost: x\r\n\r\n") && hear_status(fd, 200));
    CHECK(body_is("GET /a b 1 7 client"));
    CHECK(answer.head.keep_alive);
    say(fd, "GET /a HTTP/1.1\r\nHost: x\r\n\r\n");
    answer.used = answer.len = 0;
    answer_fill(fd);
    CHECK(slice_starts(slice_of(answer.bytes, answer.len), "HTTP/1.1 200 OK\r\nContent-Type: "));
    CHECK(hear_status(fd, 200));
    say(fd, "HEAD /a HTTP/1.1\r\nHost: x\r\n\r\n");
    CHECK(hear(fd, HTTP_HEAD) && answer.head.length == 19 && answer.body.len == 0);
    date = http_field(&answer.head, "Date");
    CHECK(date.len == 29 && slice_ends(date, " GMT"));
    CHECK(http_field(&answer.head, "Connection").p == NULL);
    say(fd, "HEAD /length HTTP/1.1\r\nHost: x\r\n\r\n");
    CHECK(hear(fd, HTTP_HEAD) && answer.head.length == 12345);
    say(fd, "GET /304 HTTP/1.1\r\nHost: x\r\n\r\n");
    CHECK(hear_status(fd, 304) && http_field(&answer.head, "Content-Length").p == NULL);
    say(fd, "GET /204 HTTP/1.1\r\nHost: x\r\n\r\n");
    CHECK(hear_status(fd, 204) && http_field(&answer.head, "Content-Length").p == NULL);
    say(fd, "HEAD /stream?70000 HTTP/1.1\r\nHost: x\r\n\r\n");
    CHECK(hear(fd, HTTP_HEAD) && answer.head.length == 70000);
    say(fd, "GET /a HTTP/1.1\r\nHost: x\r\n\r\n");
    CHECK(hear_status(fd, 200));
    client_close(fd);
}

static void test_versions(void)
{
    int fd = client_open();

    say(fd, "GET /a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    CHECK(hear_status(fd, 200) && !answer.head.keep_alive && hear_end(fd));
    client_close(fd);
    fd = client_open();
    say(fd, "GET /a HTTP/1.0\r\n\r\n");
    CHECK(hear_status(fd, 200) && !answer.head.keep_alive && hear_end(fd));
    client_close(fd);
    fd = client_open();
    say(fd, "GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    CHECK(hear_status(fd, 200) && slice_is(http_field(&answer.head, "connection"), "keep-alive"));
    say(fd, "GET /chunked?100000 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    CHECK(hear_status(fd, 200) && answer.head.framing == HTTP_BODY_UNTIL_CLOSE);
    CHECK(answer.body.len == 100000 && is_pattern(answer.body.p, 0, 100000));
    client_close(fd);
}

static void test_pipelining(void)
{
    static const char requests[] = "GET /1 HTTP/1.1\r\nHost: x\r\n\r\n"
                                   "HEAD /22 HTTP/1.1\r\nHost: x\r\n\r\n"
                                   "PUT /count HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n"
                                   "\x01\x02\x03\x04\x05"
                                   "PUT /count HTTP/1.1\r\nHost: x\r\n"
                                   "Transfer-Encoding: chunked\r\n\r\n"
                                   "2;x=y\r\n\x01\x02\r\n1\r\n\x03\r\n0\r\nA: b\r\n\r\n"
                                   "\r\nGET /stream?5 HTTP/1.1\r\nHost: x\r\n\r\n"
                                   "GET /333 HTTP/1.1\r\nHost: x\r\n\r\n";
    int fd;

    for (size_t piece = 1; piece <= sizeof(requests); piece = piece * 3 + 1) {
        fd = client_open();
        for (size_t at = 0; at < sizeof(requests) - 1; at += piece) {
            size_t left = sizeof(requests) - 1 - at;

            say_bytes(fd, requests + at, left < piece ? left : piece);
        }
        CHECK(hear_status(fd, 200) && body_is("GET /1  1 7 client"));
        CHECK(hear(fd, HTTP_HEAD) && answer.head.length == 20);
        CHECK(hear_status(fd, 200) && body_is("5 whole"));
        CHECK(hear_status(fd, 200) && body_is("3 whole"));
        CHECK(hear_status(fd, 200) && answer.body.len == 5);
        CHECK(hear_status(fd, 200) && body_is("GET /333  1 7 client"));
        client_close(fd);
    }
}

/* Far more requests than any buffer holds, sent before the first answer is read. */
static void test_deep_pipelining(void)
{
    struct buf requests;
    unsigned wrong = 0;
    int fd = client_open();

    buf_init(&requests, 1 << 20);
    for (unsigned i = 0; i < 500; i++) {
        buf_printf(&requests, "GET /r%u?%0*u HTTP/1.1\r\nHost: x\r\n\r\n", i, (int)(i % 200) + 1,
                   7u);
    }
    CHECK(say_bytes(fd, requests.p, requests.len));
    for (unsigned i = 0; i < 500; i++) {
        char path[32];

        snprintf(path, sizeof(path), "GET /r%u ", i);
        wrong += !hear_status(fd, 200) || !slice_starts(buf_view(&answer.body), path);
    }
    CHECK_INT(wrong, 0);
    buf_free(&requests);
    client_close(fd);
}

static void test_large_reply(void)
{
    int fd = client_open();

    forget_ended();
    say(fd, "GET /large HTTP/1.1\r\nHost: x\r\n\r\nGET /a HTTP/1.1\r\nHost: x\r\n\r\n");
    CHECK(hear_status(fd, 200) && answer.body.len == 1 << 20);
    CHECK(is_pattern(answer.body.p, 0, answer.body.len));
    await(&ended_sem);
    CHECK(hear_status(fd, 200));
    say(fd, "GET /large HTTP/1.1\r\nHost: x\r\n\r\n");
    await(&ended_sem); /* of /a */
    CHECK(hear_status(fd, 200));
    await(&ended_sem);
    CHECK_INT(atomic_load(&ended_bytes), 1 << 20);
    CHECK(atomic_load(&ended_status) == 200 && atomic_load(&ended_timed));
    client_close(fd);
}

/* --- streamed replies ---------------------------------------------------------------------- */

static void test_streams(void)
{
    static const char *paths[] = {"stream", "chunked", "file", "file-chunked"};
    static const unsigned sizes[] = {0, 1, 29999, 30000, 30001, 3000000};
    char request[128];
    int fd = client_open();

    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        for (size_t k = 0; k < ARRAY_LEN(sizes); k++) {
            snprintf(request, sizeof(request), "GET /%s?%u HTTP/1.1\r\nHost: x\r\n\r\n", paths[i],
                     sizes[k]);
            forget_ended();
            CHECK(say(fd, request) && hear_status(fd, 200) && answer.body.len == sizes[k] &&
                  is_pattern(answer.body.p, 0, answer.body.len));
            await(&ended_sem);
            CHECK_INT(atomic_load(&ended_bytes), sizes[k]);
        }
    }
    client_close(fd);
}

static void test_head_first(void)
{
    int fd = client_open();

    say(fd, "GET /head-first HTTP/1.1\r\nHost: x\r\n\r\n");
    await(&held_sem);
    answer.used = answer.len = 0;
    CHECK(answer_fill(fd) && slice_ends(slice_of(answer.bytes, answer.len), "\r\n\r\n"));
    on_loop(abort_held, NULL);
    CHECK(!answer_fill(fd) && answer.closed);
    client_close(fd);
}

static void test_aborts(void)
{
    int fd = client_open();

    say(fd, "GET /abort HTTP/1.1\r\nHost: x\r\n\r\n");
    CHECK(hear(fd, HTTP_GET) && !answer.whole && answer.closed && answer.body.len == 500);
    client_close(fd);
    fd = client_open_tcp();
    say(fd, "GET /abort HTTP/1.1\r\nHost: x\r\n\r\n");
    CHECK(hear(fd, HTTP_GET) && !answer.whole && answer.closed && answer.body.len == 500);
    client_close(fd);
    fd = client_open_tcp();
    say(fd, "GET /abort-chunked HTTP/1.1\r\nHost: x\r\n\r\n");
    CHECK((!hear(fd, HTTP_GET) || !answer.whole) && answer.reset);
    client_close(fd);
    fd = client_open_tcp();
    say(fd, "GET /abort-chunked HTTP/1.0\r\n\r\n");
    CHECK((!hear(fd, HTTP_GET) || !answer.whole) && answer.reset);
    client_close(fd);
}

/* --- requests with bodies ------------------------------------------------------------------ */

static void say_pattern(int fd, uint64_t offset, size_t n)
{
    say_bytes(fd, pattern + offset % PATTERN_SIZE, n);
}

/* 100 MB in chunks of all sizes, none larger than what a loop keeps in memory. */
static void test_large_chunked(void)
{
    const uint64_t total = 100 * 1000 * 1000;
    uint64_t sent = 0;
    unsigned size = 1;
    int fd = client_open();
    char line[32];

    say(fd, "PUT /count HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
    while (sent < total) {
        size_t n = size < total - sent ? size : (size_t)(total - sent);

        snprintf(line, sizeof(line), "%zx\r\n", n);
        say(fd, line);
        say_pattern(fd, sent, n);
        say(fd, "\r\n");
        sent += n;
        size = size * 5 % 65537 % PATTERN_SIZE + 1;
    }
    say(fd, "0\r\n\r\nGET /a HTTP/1.1\r\nHost: x\r\n\r\n");
    CHECK(hear_status(fd, 200) && body_is("100000000 whole"));
    CHECK(hear_status(fd, 200));
    client_close(fd);
}

static void test_large_length(void)
{
    int fd = client_open();

    say(fd, "PUT /count HTTP/1.1\r\nHost: x\r\nContent-Length: 6552100\r\n\r\n");
    for (unsigned i = 0; i < 100; i++) {
        say_pattern(fd, 0, PATTERN_SIZE);
    }
    say(fd, "GET /a HTTP/1.1\r\nHost: x\r\n\r\n");
    CHECK(hear_status(fd, 200) && body_is("6552100 whole"));
    CHECK(hear_status(fd, 200));
    client_close(fd);
}

static void test_bad_bodies(void)
{
    int fd = client_open();

    say(fd, "PUT /count HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
            "3\r\n\x01\x02\x03\r\n0x3\r\n\x04\x05\x06\r\n0\r\n\r\n"
            "GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n");
    CHECK(hear_status(fd, 400) && body_is("3 failed") && !answer.head.keep_alive);
    CHECK(hear_end(fd));
    client_close(fd);
    fd = client_open();
    say(fd, "PUT /count HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n\x01\x02\x03");
    shutdown(fd, SHUT_WR);
    CHECK(hear_status(fd, 400) && body_is("3 failed") && hear_end(fd));
    client_close(fd);
}

/* A handler that reads nothing answers what is no request all the same, and is not heard. */
static void test_bad_chunks_that_nobody_reads(void)
{
    static const char *const CHUNKS[] = {"0x5\r\nhello\r\n0\r\n\r\n", "5 junk\r\n", "-0\r\n\r\n",
                                         "5\r\nhello0\r\n\r\n", "3\nabc\n0\n\n"};

    for (size_t i = 0; i < ARRAY_LEN(CHUNKS); i++) {
        int fd = client_open();

        say(fd, "PUT /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
        say(fd, CHUNKS[i]);
        say(fd, "GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n");
        CHECK(hear_status(fd, 400) && !answer.head.keep_alive && hear_end(fd));
        client_close(fd);
    }
}

static void test_chunks_that_nobody_reads(void)
{
    int fd = client_open();

    say(fd, "PUT /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
    say(fd, "3;a=b\r\nabc\r\n");
    say(fd, "0\r\nTrailer: x\r\n\r\nGET /next HTTP/1.1\r\nHost: x\r\n\r\n");
    CHECK(hear_status(fd, 200) && body_is("PUT /a  2 7 client") && answer.head.keep_alive);
    CHECK(hear_status(fd, 200) && body_is("GET /next  1 7 client"));
    /* whoever stops in between hears the answer after a while */
    say(fd, "PUT /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhe");
    CHECK(hear_status(fd, 200) && body_is("PUT /a  2 7 client"));
    say(fd, "llo\r\n0\r\n\r\nGET /next HTTP/1.1\r\nHost: x\r\n\r\n");
    CHECK(hear_status(fd, 200) && body_is("GET /next  1 7 client"));
    /* and whoever ends in between is told what that was */
    say(fd, "PUT /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhe");
    shutdown(fd, SHUT_WR);
    CHECK(hear_status(fd, 400) && hear_end(fd));
    client_close(fd);
    fd = client_open();
    say(fd, "PUT /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhe");
    client_reset(fd);
}

static void test_continue(void)
{
    int fd = client_open();

    say(fd, "PUT /count HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n");
    CHECK(hear(fd, HTTP_PUT) && answer.head.status == 100);
    say(fd, "\x01\x02\x03");
    CHECK(hear_status(fd, 200) && body_is("3 whole") && answer.head.keep_alive);
    say(fd, "PUT /count HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n"
            "\x01\x02\x03");
    CHECK(hear_status(fd, 200) && body_is("3 whole") && answer.head.keep_alive);
    /* a handler that does not want the body: nobody knows whether it comes, so the end */
    say(fd, "PUT /a HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n");
    CHECK(hear_status(fd, 200) && !answer.head.keep_alive && hear_end(fd));
    client_close(fd);
}

/* A body that the handler does not read: `total` bytes of it, then a request. */
static bool skips(const char *head, size_t total, bool chunked)
{
    int fd = client_open_tcp();
    bool went_on;

    say(fd, head);
    for (size_t sent = 0; sent < total;) {
        size_t n = total - sent < 1000 ? total - sent : 1000;
        char line[16];

        snprintf(line, sizeof(line), "%zx\r\n", n);
        say(fd, chunked ? line : "");
        say_pattern(fd, 0, n);
        say(fd, chunked ? "\r\n" : "");
        sent += n;
    }
    say(fd, chunked ? "0\r\n\r\n" : "");
    say(fd, "GET /next HTTP/1.1\r\nHost: x\r\n\r\n");
    CHECK(hear_status(fd, 200) && body_is("PUT /a  2 7 client"));
    went_on = hear_status(fd, 200) && body_is("GET /next  1 7 client");
    CHECK(went_on || (answer.closed && !answer.reset));
    client_close(fd);
    return went_on;
}

static void test_skips(void)
{
    CHECK(skips("PUT /a HTTP/1.1\r\nHost: x\r\nContent-Length: 200000\r\n\r\n", 200000, false));
    CHECK(skips("PUT /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", 200000, true));
    CHECK(!skips("PUT /a HTTP/1.1\r\nHost: x\r\nContent-Length: 300000\r\n\r\n", 300000, false));
    CHECK(!skips("PUT /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", 300000, true));
}

static void prepare(void)
{
    struct http_server_options options = {.handle = handle, .ended = on_ended};

    sem_init(&held_sem, 0, 0);
    sem_init(&ended_sem, 0, 0);
    for (size_t i = 0; i < sizeof(pattern); i++) {
        pattern[i] = (char)(i % PATTERN_SIZE * 7919 >> 8);
    }
    for (unsigned i = 0; i < 16; i++) {
        pattern[i] = pattern[i + PATTERN_SIZE] = (char)(i + 1);
    }
    file_fd = memfd_create("file", MFD_CLOEXEC);
    for (unsigned i = 0; i < 60; i++) {
        if (write(file_fd, pattern, PATTERN_SIZE) != PATTERN_SIZE) {
            abort();
        }
    }
    fixture_start(&options);
}

int main(void)
{
    prepare();
    test_get();
    test_versions();
    test_pipelining();
    test_deep_pipelining();
    test_large_reply();
    test_streams();
    test_head_first();
    test_aborts();
    test_large_chunked();
    test_large_length();
    test_bad_bodies();
    test_bad_chunks_that_nobody_reads();
    test_chunks_that_nobody_reads();
    test_continue();
    test_skips();
    fixture_stop();
    fixture_end();
    CHECK_INT(counter_sum(COUNTER_connections_open), 0);
    buf_free(&answer.body);
    close(file_fd);
    return tap_done();
}
