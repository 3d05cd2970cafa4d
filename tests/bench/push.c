/*
 * tests/bench/push.c - a client that pushes blobs to a registry as fast as it can.
 *
 *     push --port PORT --repository NAME --data FILE --digests FILE --size BYTES
 *          [--connections N] [--stream]
 *
 * The n-th line of the digests is that of the n-th SIZE bytes of the data. N connections, each with
 * a thread; each takes the next blob that nobody has taken. A blob is a POST without a body, then
 * one PUT with all of it; with --stream, a POST, a PATCH in chunks of 32 KiB as docker sends it,
 * and a PUT without a body. Every status is checked (202, 201), and that the registry names the
 * digest in its last answer; anything else ends the program with a message and status 1.
 *
 * It prints one line of JSON: how many blobs, and seconds from the first request to the last
 * answer; connecting is not counted.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { HEAD_MAX = 16 * 1024, PATH_MAX_BYTES = 4096, PIECE = 32 * 1024, CONNECTIONS_MAX = 256 };

static struct {
    uint16_t port;
    const char *repository;
    size_t size, connections, count;
    bool stream;
    const char *data, *digests;
    size_t digests_len;
    int data_fd;
} opt = {.connections = 1};

static atomic_size_t next_blob;
static pthread_barrier_t begin;

/* One connection. */
struct conn {
    int fd;
    size_t len; /* bytes of `head` that are filled */
    char head[HEAD_MAX];
    char location[PATH_MAX_BYTES];
};

static void die(const char *what)
{
    fprintf(stderr, "push: %s\n", what);
    exit(1);
}

static void die_errno(const char *what)
{
    fprintf(stderr, "push: %s: %s\n", what, strerror(errno));
    exit(1);
}

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* --- sending ------------------------------------------------------------------------------- */

static void send_all(struct conn *c, const void *p, size_t n, int flags)
{
    const char *bytes = p;

    while (n > 0) {
        ssize_t done = send(c->fd, bytes, n, MSG_NOSIGNAL | flags);

        if (done < 0) {
            die_errno("send");
        }
        bytes += done;
        n -= (size_t)done;
    }
}

/* The head of a request; `fields` end with CRLF each. */
static void ask(struct conn *c, const char *method, const char *path, const char *fields, int flags)
{
    char text[PATH_MAX_BYTES + 512];
    int n = snprintf(text, sizeof(text), "%s %s HTTP/1.1\r\nHost: 127.0.0.1:%u\r\n%s\r\n", method,
                     path, opt.port, fields);

    if (n < 0 || (size_t)n >= sizeof(text)) {
        die("a location is too long");
    }
    send_all(c, text, (size_t)n, flags);
}

static void send_blob(struct conn *c, size_t number)
{
    off_t at = (off_t)(number * opt.size);
    off_t end = at + (off_t)opt.size;

    if (opt.size <= PIECE) {
        send_all(c, opt.data + at, opt.size, 0);
        return;
    }
    while (at < end) {
        if (sendfile(c->fd, opt.data_fd, &at, (size_t)(end - at)) <= 0) {
            die_errno("sendfile");
        }
    }
}

/* By one call: what the client does takes its CPU from the server. */
static void send_chunk(struct conn *c, const char *p, size_t n)
{
    char size[32];
    struct iovec iov[3] = {
        {size, (size_t)snprintf(size, sizeof(size), "%zx\r\n", n)},
        {NULL, n},
        {(char[]){'\r', '\n'}, 2},
    };
    struct msghdr msg = {.msg_iov = iov, .msg_iovlen = 3};
    size_t left = iov[0].iov_len + n + 2;
    ssize_t done;

    memcpy(&iov[1].iov_base, &p, sizeof(p)); /* it is not written through */
    while ((done = sendmsg(c->fd, &msg, MSG_NOSIGNAL)) >= 0 && (size_t)done < left) {
        left -= (size_t)done;
        for (; (size_t)done >= msg.msg_iov->iov_len; msg.msg_iov++, msg.msg_iovlen--) {
            done -= (ssize_t)msg.msg_iov->iov_len;
        }
        msg.msg_iov->iov_base = (char *)msg.msg_iov->iov_base + done;
        msg.msg_iov->iov_len -= (size_t)done;
    }
    if (done < 0) {
        die_errno("sendmsg");
    }
}

static void send_chunks(struct conn *c, size_t number)
{
    const char *p = opt.data + number * opt.size;

    for (size_t at = 0; at < opt.size; at += PIECE) {
        send_chunk(c, p + at, opt.size - at < PIECE ? opt.size - at : PIECE);
    }
    send_chunk(c, p, 0);
}

/* --- receiving ----------------------------------------------------------------------------- */

/* The value of a field of the head, NUL-terminated in place; "" where there is none. */
static const char *field(struct conn *c, const char *name)
{
    size_t len = strlen(name);

    for (char *line = c->head; *line != '\0'; line += strlen(line) + 2) {
        if (strncasecmp(line, name, len) == 0 && line[len] == ':') {
            return line + len + 1 + strspn(line + len + 1, " ");
        }
    }
    return "";
}

/* Reads until the head is whole; its lines become strings, the last one empty. */
static size_t read_head(struct conn *c)
{
    char *end = NULL;

    c->len = 0;
    while (end == NULL) {
        ssize_t n = recv(c->fd, c->head + c->len, HEAD_MAX - 1 - c->len, 0);

        if (n <= 0) {
            die("the server has hung up");
        }
        c->len += (size_t)n;
        c->head[c->len] = '\0';
        end = strstr(c->head, "\r\n\r\n");
    }
    for (char *p = strstr(c->head, "\r\n"); p <= end; p = strstr(p + 2, "\r\n")) {
        *p = '\0';
    }
    end[2] = '\0';
    return (size_t)(end + 4 - c->head);
}

/* Takes an answer of that status, and the location that it gives. */
static void expect(struct conn *c, unsigned status, const char *digest)
{
    size_t head = read_head(c);
    size_t body = strtoul(field(c, "Content-Length"), NULL, 10);
    const char *path = field(c, "Location");
    unsigned got = 0;

    if (sscanf(c->head, "HTTP/1.1 %3u", &got) != 1 || got != status) {
        fprintf(stderr, "push: %u was expected: %s\n", status, c->head);
        exit(1);
    }
    if (digest != NULL && strcmp(field(c, "Docker-Content-Digest"), digest) != 0) {
        die("the answer names another digest");
    }
    if (strncmp(path, "http://", 7) == 0) {
        path = strchr(path + 7, '/');
    }
    if (path == NULL || *path != '/' ||
        (size_t)snprintf(c->location, sizeof(c->location), "%s", path) >= sizeof(c->location)) {
        die("an answer has no usable Location");
    }
    if (c->len - head != body) {
        die("an answer has a body that is not its length");
    }
}

/* --- blobs --------------------------------------------------------------------------------- */

static void push(struct conn *c, size_t number)
{
    char digest[128], path[PATH_MAX_BYTES + 256], length[64];
    size_t line = opt.digests_len / opt.count;

    snprintf(digest, sizeof(digest), "%.*s", (int)line - 1, opt.digests + number * line);
    snprintf(path, sizeof(path), "/v2/%s/blobs/uploads/", opt.repository);
    ask(c, "POST", path, "Content-Length: 0\r\n", 0);
    expect(c, 202, NULL);
    if (opt.stream) {
        ask(c, "PATCH", c->location, "Transfer-Encoding: chunked\r\n", MSG_MORE);
        send_chunks(c, number);
        expect(c, 202, NULL);
    }
    snprintf(path, sizeof(path), "%s%cdigest=%s", c->location,
             strchr(c->location, '?') != NULL ? '&' : '?', digest);
    snprintf(length, sizeof(length), "Content-Length: %zu\r\n", opt.stream ? 0 : opt.size);
    ask(c, "PUT", path, length, opt.stream ? 0 : MSG_MORE);
    if (!opt.stream) {
        send_blob(c, number);
    }
    expect(c, 201, digest);
}

static void conn_open(struct conn *c)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(opt.port)};
    int one = 1;

    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&a, sizeof(a)) < 0) {
        die_errno("connect");
    }
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
}

static void *work(void *arg)
{
    struct conn *c = arg;
    size_t number;

    conn_open(c);
    pthread_barrier_wait(&begin);
    while ((number = atomic_fetch_add(&next_blob, 1)) < opt.count) {
        push(c, number);
    }
    close(c->fd);
    return NULL;
}

/* --- options ------------------------------------------------------------------------------- */

static const char *map_file(const char *path, int *ret_fd, size_t *ret_size)
{
    struct stat st;
    void *map;

    *ret_fd = open(path, O_RDONLY | O_CLOEXEC);
    if (*ret_fd < 0 || fstat(*ret_fd, &st) < 0) {
        die_errno(path);
    }
    map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, *ret_fd, 0);
    if (map == MAP_FAILED) {
        die_errno(path);
    }
    *ret_size = (size_t)st.st_size;
    return map;
}

static void read_options(int argc, char **argv)
{
    static const struct option options[] = {
        {"port", 1, NULL, 'p'},        {"repository", 1, NULL, 'r'},
        {"data", 1, NULL, 'd'},        {"size", 1, NULL, 's'},
        {"connections", 1, NULL, 'c'}, {"digests", 1, NULL, 'g'},
        {"stream", 0, NULL, 't'},      {NULL, 0, NULL, 0},
    };
    const char *data = NULL, *digests = NULL;
    size_t data_size;
    int c, fd;

    while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (c) {
        case 'p':
            opt.port = (uint16_t)strtoul(optarg, NULL, 10);
            break;
        case 'r':
            opt.repository = optarg;
            break;
        case 'd':
            data = optarg;
            break;
        case 'g':
            digests = optarg;
            break;
        case 's':
            opt.size = strtoul(optarg, NULL, 10);
            break;
        case 'c':
            opt.connections = strtoul(optarg, NULL, 10);
            break;
        case 't':
            opt.stream = true;
            break;
        default:
            exit(2);
        }
    }
    if (opt.port == 0 || opt.repository == NULL || data == NULL || digests == NULL ||
        opt.size == 0 || opt.connections == 0 || opt.connections > CONNECTIONS_MAX) {
        die("--port, --repository, --data, --digests and --size, please");
    }
    opt.data = map_file(data, &opt.data_fd, &data_size);
    opt.digests = map_file(digests, &fd, &opt.digests_len);
    opt.count = data_size / opt.size;
    if (opt.count == 0 || opt.digests_len % opt.count != 0) {
        die("the digests are not those of the data");
    }
}

int main(int argc, char **argv)
{
    static struct conn conns[CONNECTIONS_MAX];
    pthread_t threads[CONNECTIONS_MAX];
    double start;

    read_options(argc, argv);
    pthread_barrier_init(&begin, NULL, (unsigned)opt.connections + 1);
    for (size_t i = 0; i < opt.connections; i++) {
        if (pthread_create(&threads[i], NULL, work, &conns[i]) != 0) {
            die("cannot start a thread");
        }
    }
    start = now();
    pthread_barrier_wait(&begin);
    start = now();
    for (size_t i = 0; i < opt.connections; i++) {
        pthread_join(threads[i], NULL);
    }
    printf("{\"blobs\": %zu, \"seconds\": %.6f}\n", opt.count, now() - start);
    return 0;
}
