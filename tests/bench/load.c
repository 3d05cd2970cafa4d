/*
 * tests/bench/load.c - a client that asks a registry as fast as it can, and believes nothing.
 *
 *     load --port PORT (--path PATH --length BYTES [--expect FILE] | --list FILE [--prefix PATH])
 *          [--connections N] (--requests K | --seconds S) [--method GET|HEAD] [--random]
 *          [--header LINE] [--timeout S] [--each] [--slow BYTES] [--tls CIPHERSUITE]
 *
 * N connections, one request at a time on each, keep-alive, no pipelining. All are connected before
 * the first request is sent; then all start at once. Lines of a list are "PATH LENGTH [FILE]" and
 * are asked for in their order, or at random. Of every answer it checks the status (200), that
 * Content-Length is LENGTH, and that as many bytes arrive; where a file is named, each byte
 * against the file. Else bodies are dropped by the kernel (MSG_TRUNC), so that the client's own
 * cost hides as little as possible of the server's. An answer that fails is counted by its
 * reason, and its connection is made anew.
 *
 * It prints one line of JSON: requests, bytes, seconds from the first request to the last byte, and
 * how long requests took: to the head, to the first byte of the body, to the end; with --each
 * also those of each request, in the order in which they were sent.
 *
 * --slow: each connection asks once, takes BYTES of the body and then takes no more. When all are
 * there it prints its line, and holds the connections until its standard input ends; then it says
 * how many of them the server still kept.
 *
 * --tls: TLS 1.3 with this cipher suite and no other; what arrives is deciphered, and certificates
 * are not looked at.
 */
#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
    HEAD_MAX = 16 * 1024,
    RECV_MAX = 1024 * 1024,
    RECVS_A_TURN = 4,
    TLS_BUFFER = 256 * 1024,
    EVENTS_MAX = 256,
    SLOW_WINDOW = 16 * 1024, /* receive buffer of a slow reader */
    TIMES_MAX = 4 * 1000 * 1000,
};

enum failure {
    FAIL_CONNECT,
    FAIL_STATUS,
    FAIL_LENGTH,  /* Content-Length is absent or not what was expected */
    FAIL_SHORT,   /* the connection ended before the body did */
    FAIL_CONTENT, /* a byte differs */
    FAIL_HTTP,    /* what came is no HTTP, or too much of it */
    FAIL_UNFINISHED,
    FAILURES
};

static const char *const failure_names[FAILURES] = {
    "connect", "status", "length", "short", "content", "http", "unfinished",
};

struct target {
    const char *path;
    uint32_t path_len;
    uint64_t length;
    const char *expect; /* `length` bytes, or NULL: only lengths are checked */
};

/* Microseconds since the request was sent. */
struct times {
    uint32_t head, first, total;
};

enum conn_state { CONN_IDLE, CONN_HEAD, CONN_BODY, CONN_HELD };

struct conn {
    int fd;
    SSL *tls; /* or NULL */
    bool dry; /* it had nothing more when it was last read */
    enum conn_state state;
    uint64_t length, got, sent_us;
    const char *expect;
    size_t number; /* of the request, in `times` */
    struct times t;
    size_t head_len;
    char head[HEAD_MAX];
};

static struct {
    uint16_t port;
    const char *method, *header, *prefix;
    const char *tls; /* cipher suite, or NULL */
    bool head_only, random, each;
    uint64_t requests, slow;
    double seconds, timeout;
    size_t connections;
    struct target *targets;
    size_t target_count;
} opt = {.method = "GET", .header = "", .prefix = "", .timeout = 120, .connections = 1};

static struct {
    int epoll;
    SSL_CTX *tls;
    struct conn *conns;
    uint64_t started, done, ok, bytes, failures[FAILURES];
    uint64_t start_us, stop_us, end_us, last_us;
    size_t open, busy, held;
    uint64_t random;
    struct times *times;
    char *sink;
    unsigned last_status;
} g;

static void die(const char *what)
{
    fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
    exit(1);
}

static uint64_t now_us(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static void tls_setup(void)
{
    if (opt.tls == NULL) {
        return;
    }
    g.tls = SSL_CTX_new(TLS_client_method());
    if (g.tls == NULL || SSL_CTX_set_min_proto_version(g.tls, TLS1_3_VERSION) != 1 ||
        SSL_CTX_set_ciphersuites(g.tls, opt.tls) != 1) {
        fprintf(stderr, "load: no cipher suite of TLS 1.3: %s\n", opt.tls);
        exit(2);
    }
    /* Many records a recv(), so that the client costs less. */
    SSL_CTX_set_read_ahead(g.tls, 1);
    SSL_CTX_set_default_read_buffer_len(g.tls, TLS_BUFFER);
}

/* On a socket that still blocks. */
static bool tls_connect(struct conn *c)
{
    c->dry = false;
    if (g.tls == NULL) {
        return true;
    }
    c->tls = SSL_new(g.tls);
    if (c->tls == NULL) {
        die("memory");
    }
    SSL_set_fd(c->tls, c->fd);
    return SSL_connect(c->tls) == 1;
}

/* As recv(). */
static ssize_t conn_recv(struct conn *c, void *data, size_t size, int flags)
{
    ssize_t n;

    if (c->tls == NULL) {
        n = recv(c->fd, data, size, flags);
    } else {
        n = SSL_read(c->tls, data, (int)size);
        if (n <= 0) {
            n = SSL_get_error(c->tls, (int)n) == SSL_ERROR_WANT_READ ? -1 : 0;
            errno = EAGAIN;
        }
    }
    c->dry = n <= 0;
    return n;
}

static ssize_t conn_send(struct conn *c, const char *text, size_t size)
{
    return c->tls == NULL ? send(c->fd, text, size, MSG_NOSIGNAL)
                          : SSL_write(c->tls, text, (int)size);
}

/* What TLS has read from the socket already is not announced by epoll. */
static bool conn_has_more(const struct conn *c)
{
    return c->tls != NULL && !c->dry && (c->state == CONN_HEAD || c->state == CONN_BODY) &&
           SSL_has_pending(c->tls) == 1;
}

static bool conn_open(struct conn *c)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(opt.port)};
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = c};
    int one = 1, window = SLOW_WINDOW;

    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    c->state = CONN_IDLE;
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd < 0) {
        die("socket");
    }
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    if (opt.slow > 0) {
        setsockopt(c->fd, SOL_SOCKET, SO_RCVBUF, &window, sizeof(window));
    }
    if (connect(c->fd, (struct sockaddr *)&a, sizeof(a)) < 0 || !tls_connect(c)) {
        SSL_free(c->tls);
        c->tls = NULL;
        close(c->fd);
        c->fd = -1;
        g.failures[FAIL_CONNECT]++;
        return false;
    }
    fcntl(c->fd, F_SETFL, O_NONBLOCK);
    if (epoll_ctl(g.epoll, EPOLL_CTL_ADD, c->fd, &e) < 0) {
        die("epoll_ctl");
    }
    g.open++;
    return true;
}

static void conn_close(struct conn *c)
{
    SSL_free(c->tls);
    c->tls = NULL;
    close(c->fd);
    c->fd = -1;
    g.open--;
}

static const struct target *next_target(void)
{
    if (!opt.random) {
        return &opt.targets[g.started % opt.target_count];
    }
    g.random ^= g.random << 13;
    g.random ^= g.random >> 7;
    g.random ^= g.random << 17;
    return &opt.targets[g.random % opt.target_count];
}

static bool more_to_ask(void)
{
    if (opt.requests > 0) {
        return g.started < opt.requests;
    }
    return now_us() < g.stop_us;
}

static void conn_fail(struct conn *c, enum failure why);

static void conn_ask(struct conn *c)
{
    const struct target *t;
    char text[2048];
    int n;

    if (!more_to_ask()) {
        return;
    }
    t = next_target();
    n = snprintf(text, sizeof(text), "%s %s%.*s HTTP/1.1\r\nHost: 127.0.0.1:%u\r\n%s%s\r\n",
                 opt.method, opt.prefix, (int)t->path_len, t->path, opt.port, opt.header,
                 *opt.header != '\0' ? "\r\n" : "");
    assert(n > 0 && (size_t)n < sizeof(text));
    c->state = CONN_HEAD;
    c->length = t->length;
    c->expect = t->expect;
    c->got = 0;
    c->head_len = 0;
    c->number = g.started++;
    c->t = (struct times){0, 0, 0};
    c->sent_us = now_us();
    g.busy++;
    if (conn_send(c, text, (size_t)n) != n) {
        conn_fail(c, FAIL_SHORT);
    }
}

static void conn_finish(struct conn *c)
{
    uint64_t now = now_us();

    c->t.total = (uint32_t)(now - c->sent_us);
    g.last_us = now;
    if (c->number < TIMES_MAX) {
        g.times[c->number] = c->t;
    }
    g.busy--;
    g.done++;
    c->state = CONN_IDLE;
}

static void conn_fail(struct conn *c, enum failure why)
{
    g.failures[why]++;
    c->t.head = c->t.first = UINT32_MAX;
    conn_finish(c);
    conn_close(c);
    if (opt.slow == 0 && conn_open(c)) {
        conn_ask(c);
    }
}

static void conn_succeed(struct conn *c)
{
    g.ok++;
    conn_finish(c);
    conn_ask(c);
}

/* The value of a field in a head that ends with an empty line, or NULL. */
static const char *head_field(const char *head, const char *name)
{
    size_t len = strlen(name);

    for (const char *line = strstr(head, "\r\n"); line != NULL; line = strstr(line, "\r\n")) {
        line += 2;
        if (strncasecmp(line, name, len) == 0 && line[len] == ':') {
            return line + len + 1;
        }
    }
    return NULL;
}

/* Takes body bytes that came with the head or by recv. Returns false when the answer is over. */
static bool conn_take(struct conn *c, const char *data, uint64_t n)
{
    if (n > 0 && c->got == 0) {
        c->t.first = (uint32_t)(now_us() - c->sent_us);
    }
    if (n > c->length - c->got) {
        conn_fail(c, FAIL_HTTP);
        return false;
    }
    if (c->expect != NULL && memcmp(c->expect + c->got, data, n) != 0) {
        conn_fail(c, FAIL_CONTENT);
        return false;
    }
    c->got += n;
    g.bytes += n;
    if (opt.slow > 0 && c->got >= opt.slow) {
        c->state = CONN_HELD;
        g.held++;
        epoll_ctl(g.epoll, EPOLL_CTL_DEL, c->fd, NULL);
        return false;
    }
    if (c->got == c->length) {
        conn_succeed(c);
        return false;
    }
    return true;
}

/* Looks at a whole head. Returns false when the answer is over. */
static bool conn_check_head(struct conn *c, size_t head_size)
{
    const char *value;
    unsigned status = 0;

    c->t.head = (uint32_t)(now_us() - c->sent_us);
    c->head[head_size - 1] = '\0'; /* over the last LF */
    if (sscanf(c->head, "HTTP/1.1 %3u ", &status) != 1) {
        conn_fail(c, FAIL_HTTP);
        return false;
    }
    if (status != 200) {
        g.last_status = status;
        conn_fail(c, FAIL_STATUS);
        return false;
    }
    value = head_field(c->head, "Content-Length");
    if (value == NULL || strtoull(value, NULL, 10) != c->length) {
        conn_fail(c, FAIL_LENGTH);
        return false;
    }
    c->state = CONN_BODY;
    if (opt.head_only) {
        c->t.first = c->t.head;
        c->got = c->length;
        if (c->head_len > head_size) {
            conn_fail(c, FAIL_HTTP);
        } else {
            conn_succeed(c);
        }
        return false;
    }
    return conn_take(c, c->head + head_size, c->head_len - head_size);
}

static bool conn_read_head(struct conn *c)
{
    ssize_t n = conn_recv(c, c->head + c->head_len, HEAD_MAX - 1 - c->head_len, 0);
    size_t from = c->head_len > 3 ? c->head_len - 3 : 0;
    char *end;

    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        return false;
    }
    if (n <= 0) {
        conn_fail(c, FAIL_SHORT);
        return false;
    }
    c->head_len += (size_t)n;
    end = memmem(c->head + from, c->head_len - from, "\r\n\r\n", 4);
    if (end != NULL) {
        return conn_check_head(c, (size_t)(end - c->head) + 4);
    }
    if (c->head_len == HEAD_MAX - 1) {
        conn_fail(c, FAIL_HTTP);
    }
    return false;
}

static bool conn_read_body(struct conn *c)
{
    uint64_t want = c->length - c->got;
    int flags = c->expect == NULL ? MSG_TRUNC : 0;
    ssize_t n;

    if (opt.slow > 0 && want > opt.slow - c->got) {
        want = opt.slow - c->got;
    }
    n = conn_recv(c, g.sink, want < RECV_MAX ? want : RECV_MAX, flags);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        return false;
    }
    if (n <= 0) {
        conn_fail(c, FAIL_SHORT);
        return false;
    }
    return conn_take(c, g.sink, (uint64_t)n);
}

static void conn_read(struct conn *c)
{
    bool more = true;

    if (c->state == CONN_IDLE) { /* the server closes, or says what it was not asked */
        conn_close(c);
        if (conn_open(c)) {
            conn_ask(c);
        }
        return;
    }
    for (int i = 0; (more && i < RECVS_A_TURN) || conn_has_more(c); i++) {
        more = c->state == CONN_HEAD ? conn_read_head(c) : conn_read_body(c);
    }
}

static bool finished(void)
{
    return g.busy == g.held && (g.held > 0 || g.open == 0 || !more_to_ask());
}

static void run(void)
{
    struct epoll_event events[EVENTS_MAX];

    for (size_t i = 0; i < opt.connections; i++) {
        conn_open(&g.conns[i]);
    }
    g.start_us = g.last_us = now_us();
    g.stop_us = g.start_us + (uint64_t)(opt.seconds * 1e6);
    g.end_us = g.start_us + (uint64_t)(opt.timeout * 1e6);
    for (size_t i = 0; i < opt.connections; i++) {
        if (g.conns[i].fd >= 0) {
            conn_ask(&g.conns[i]);
        }
    }
    while (!finished() && now_us() < g.end_us) {
        int n = epoll_wait(g.epoll, events, EVENTS_MAX, 100);

        for (int i = 0; i < n; i++) {
            conn_read(events[i].data.ptr);
        }
    }
    for (size_t i = 0; i < opt.connections; i++) {
        if (g.conns[i].state == CONN_HEAD || g.conns[i].state == CONN_BODY) {
            g.failures[FAIL_UNFINISHED]++;
            g.conns[i].t.total = UINT32_MAX;
            g.times[g.conns[i].number] = g.conns[i].t;
            g.last_us = now_us();
        }
    }
}

static int compare_times(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return x < y ? -1 : x > y;
}

static void print_quantiles(const char *name, size_t field, size_t count)
{
    uint32_t *v = calloc(count + 1, sizeof(*v));

    if (v == NULL) {
        die("memory");
    }
    for (size_t i = 0; i < count; i++) {
        memcpy(&v[i], (const char *)&g.times[i] + field, sizeof(*v));
    }
    qsort(v, count, sizeof(*v), compare_times);
    if (count > 0) {
        printf(", \"%s\": {\"min\": %.3f, \"p50\": %.3f, \"p99\": %.3f, \"max\": %.3f}", name,
               v[0] / 1e3, v[count / 2] / 1e3, v[count * 99 / 100] / 1e3, v[count - 1] / 1e3);
    }
    free(v);
}

static void print_each(size_t count)
{
    printf(", \"each\": [");
    for (size_t i = 0; i < count; i++) {
        printf("%s[%.3f, %.3f, %.3f]", i == 0 ? "" : ", ", g.times[i].head / 1e3,
               g.times[i].first / 1e3, g.times[i].total / 1e3);
    }
    printf("]");
}

static void report(void)
{
    size_t count = g.started < TIMES_MAX ? g.started : TIMES_MAX;
    uint64_t failed = 0;

    printf("{\"requests\": %" PRIu64 ", \"ok\": %" PRIu64 ", \"held\": %zu, \"bytes\": %" PRIu64
           ", \"seconds\": %.6f",
           g.started, g.ok, g.held, g.bytes, (double)(g.last_us - g.start_us) / 1e6);
    printf(", \"failures\": {");
    for (int i = 0; i < FAILURES; i++) {
        if (g.failures[i] > 0) {
            printf("%s\"%s\": %" PRIu64, failed > 0 ? ", " : "", failure_names[i], g.failures[i]);
            failed += g.failures[i];
        }
    }
    printf("}, \"last_bad_status\": %u", g.last_status);
    print_quantiles("head_ms", offsetof(struct times, head), count);
    print_quantiles("first_ms", offsetof(struct times, first), count);
    print_quantiles("total_ms", offsetof(struct times, total), count);
    if (opt.each) {
        print_each(count);
    }
    printf("}\n");
    fflush(stdout);
}

static const char *map_file(const char *path, size_t *ret_size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    const char *map;

    if (fd < 0 || fstat(fd, &st) < 0) {
        die(path);
    }
    map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED | MAP_POPULATE, fd, 0);
    if (map == MAP_FAILED) {
        die(path);
    }
    close(fd);
    *ret_size = (size_t)st.st_size;
    return map;
}

static const char *map_expected(const char *path, uint64_t length)
{
    size_t size;
    const char *map = map_file(path, &size);

    if (size != length) {
        fprintf(stderr, "load: %s has another length\n", path);
        exit(2);
    }
    return map;
}

static void add_target(struct target t)
{
    if ((opt.target_count & (opt.target_count - 1)) == 0) {
        size_t room = opt.target_count == 0 ? 1 : opt.target_count * 2;

        opt.targets = realloc(opt.targets, room * sizeof(*opt.targets));
        if (opt.targets == NULL) {
            die("memory");
        }
    }
    opt.targets[opt.target_count++] = t;
}

static bool read_line(const char *line, size_t len)
{
    struct target t = {line, 0, 0, NULL};
    const char *space = memchr(line, ' ', len);
    char file[4096], *rest;

    if (space == NULL) {
        return false;
    }
    t.path_len = (uint32_t)(space - line);
    t.length = strtoull(space + 1, &rest, 10);
    if (*rest == ' ') {
        snprintf(file, sizeof(file), "%.*s", (int)(line + len - rest - 1), rest + 1);
        t.expect = map_expected(file, t.length);
    }
    add_target(t);
    return true;
}

static void read_list(const char *file)
{
    size_t size;
    const char *p = map_file(file, &size), *end = p + size;

    while (p < end) {
        const char *line_end = memchr(p, '\n', (size_t)(end - p));

        if (line_end == NULL || !read_line(p, (size_t)(line_end - p))) {
            fprintf(stderr, "load: %s: a line is not PATH LENGTH [FILE]\n", file);
            exit(2);
        }
        p = line_end + 1;
    }
}

static void set_option(int c, struct target *t, const char **expect)
{
    switch (c) {
    case 'p':
        opt.port = (uint16_t)strtoul(optarg, NULL, 10);
        break;
    case 'a':
        t->path = optarg;
        break;
    case 'n':
        t->length = strtoull(optarg, NULL, 10);
        break;
    case 'x':
        *expect = optarg;
        break;
    case 'l':
        read_list(optarg);
        break;
    case 'f':
        opt.prefix = optarg;
        break;
    case 'c':
        opt.connections = strtoul(optarg, NULL, 10);
        break;
    case 'k':
        opt.requests = strtoull(optarg, NULL, 10);
        break;
    case 's':
        opt.seconds = strtod(optarg, NULL);
        break;
    case 'm':
        opt.method = optarg;
        break;
    case 'r':
        opt.random = true;
        break;
    case 'h':
        opt.header = optarg;
        break;
    case 't':
        opt.timeout = strtod(optarg, NULL);
        break;
    case 'e':
        opt.each = true;
        break;
    case 'w':
        opt.slow = strtoull(optarg, NULL, 10);
        break;
    case 'z':
        opt.tls = optarg;
        break;
    default:
        exit(2);
    }
}

static void read_options(int argc, char **argv)
{
    static const struct option options[] = {
        {"port", 1, NULL, 'p'},     {"path", 1, NULL, 'a'},
        {"length", 1, NULL, 'n'},   {"expect", 1, NULL, 'x'},
        {"list", 1, NULL, 'l'},     {"prefix", 1, NULL, 'f'},
        {"requests", 1, NULL, 'k'}, {"connections", 1, NULL, 'c'},
        {"seconds", 1, NULL, 's'},  {"method", 1, NULL, 'm'},
        {"random", 0, NULL, 'r'},   {"header", 1, NULL, 'h'},
        {"timeout", 1, NULL, 't'},  {"each", 0, NULL, 'e'},
        {"slow", 1, NULL, 'w'},     {"tls", 1, NULL, 'z'},
        {NULL, 0, NULL, 0},
    };
    struct target t = {NULL, 0, 0, NULL};
    const char *expect = NULL;
    int c;

    while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
        set_option(c, &t, &expect);
    }
    if (t.path != NULL) {
        t.path_len = (uint32_t)strlen(t.path);
        t.expect = expect == NULL ? NULL : map_expected(expect, t.length);
        add_target(t);
    }
    if (opt.slow > 0) {
        opt.requests = opt.connections;
    }
    if (opt.port == 0 || opt.target_count == 0 || opt.connections == 0 ||
        (opt.requests == 0 && opt.seconds <= 0)) {
        fprintf(stderr, "load: --port, --path or --list, and --requests or --seconds, please\n");
        exit(2);
    }
    opt.head_only = strcmp(opt.method, "HEAD") == 0;
}

/* Waits for the end of standard input, then counts the readers that were not hung up on. */
static void hold(void)
{
    size_t kept = 0;
    char byte;

    while (read(STDIN_FILENO, &byte, 1) > 0) {
    }
    for (size_t i = 0; i < opt.connections; i++) {
        struct pollfd p = {g.conns[i].fd, POLLRDHUP, 0};

        if (g.conns[i].state == CONN_HELD && poll(&p, 1, 0) == 0) {
            kept++;
        }
    }
    printf("{\"kept\": %zu}\n", kept);
}

int main(int argc, char **argv)
{
    read_options(argc, argv);
    tls_setup();
    signal(SIGPIPE, SIG_IGN);
    g.random = 88172645463325252ull;
    g.epoll = epoll_create1(EPOLL_CLOEXEC);
    g.conns = calloc(opt.connections, sizeof(*g.conns));
    g.times = calloc(TIMES_MAX, sizeof(*g.times));
    g.sink = malloc(RECV_MAX);
    if (g.conns == NULL || g.times == NULL || g.sink == NULL) {
        die("memory");
    }
    run();
    report();
    if (opt.slow > 0) {
        hold();
    }
    return 0;
}
