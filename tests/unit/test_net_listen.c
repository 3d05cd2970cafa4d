/* test_net_listen.c - addresses to listen at, and connections from there to a loop. */
#include "loop/loop.c"

#include "base/str.h"
#include "net/listen.h"
#include "net/stream.h"

#include "tap.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/stat.h>
#include <sys/un.h>

static void test_parse(void)
{
    static const struct {
        const char *text;
        const char *host; /* NULL: refused */
        uint16_t port;
    } cases[] = {
        {"127.0.0.1:5000", "127.0.0.1", 5000},
        {"0.0.0.0:0", "0.0.0.0", 0},
        {"localhost:80", "localhost", 80},
        {"[::1]:5000", "::1", 5000},
        {"10.0.0.1:65535", "10.0.0.1", 65535},
        {"10.0.0.1:65536", NULL, 0},
        {"::1:5000", NULL, 0},
        {"127.0.0.1", NULL, 0},
        {"127.0.0.1:", NULL, 0},
        {"127.0.0.1:+5", NULL, 0},
        {":5000", NULL, 0},
        {"", NULL, 0},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char host[LISTEN_TEXT_MAX] = "";
        uint16_t port = 0;
        bool good = listen_parse(cases[i].text, host, &port);

        CHECK_NOTE(good == (cases[i].host != NULL), cases[i].text);
        if (good) {
            CHECK_STR(host, cases[i].host);
            CHECK_INT(port, cases[i].port);
        }
    }
}

/* What the loop got. */
struct got {
    struct loop *loop;
    struct stream stream;
    struct task task;
    char peer[LISTEN_PEER_MAX];
    char bytes[16];
    size_t len;
    unsigned from;
};

static void on_bytes(struct task *t)
{
    struct got *g = container_of(t, struct got, task);
    ssize_t n = 1;

    while (n > 0) {
        n = stream_read(&g->stream, g->bytes + g->len, sizeof(g->bytes) - g->len);
        g->len += n > 0 ? (size_t)n : 0;
    }
    if (n != STREAM_AGAIN) {
        loop_stop(g->loop);
    }
}

static void accepted(void *context, struct loop *l, unsigned i, int fd, const char *peer)
{
    struct got *g = context;

    g->from = i;
    snprintf(g->peer, sizeof(g->peer), "%s", peer);
    task_init(&g->task, on_bytes);
    stream_open(&g->stream, l, fd, &g->task);
    loop_defer(l, &g->task);
}

static unsigned no_load(void *context, const struct loop *l)
{
    (void)context;
    (void)l;
    return 0;
}

static int connect_to(const char *text)
{
    struct sockaddr_in in = {.sin_family = AF_INET};
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    bool is_unix = strncmp(text, "unix:", 5) == 0;
    struct sockaddr *to = is_unix ? (struct sockaddr *)&un : (struct sockaddr *)&in;
    int fd = socket(is_unix ? AF_UNIX : AF_INET, SOCK_STREAM, 0);
    char host[LISTEN_TEXT_MAX];

    if (is_unix) {
        CHECK(slice_copy(slice_str(text + 5), un.sun_path, sizeof(un.sun_path)));
    } else {
        CHECK(listen_parse(text, host, &in.sin_port));
        in.sin_port = htons(in.sin_port);
        in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    }
    if (connect(fd, to, is_unix ? sizeof(un) : sizeof(in)) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

/* The second of two addresses gets a connection. */
static void exchange(struct loop *l, const char *address, const char *peer)
{
    struct got g = {.loop = l, .from = 99};
    struct listen_sink sink = {.accepted = accepted, .load = no_load, .context = &g};
    struct listeners *ls = listeners_new(&sink);
    struct err err = {0};
    const char *text;
    int fd;

    CHECK(listeners_add(ls, "127.0.0.1:0", &err) == 0);
    CHECK(listeners_add(ls, address, &err) == 0);
    CHECK_STR(err.text, "");
    text = listeners_text(ls, 1);
    listeners_start(ls, 1);
    fd = connect_to(text);
    CHECK(fd >= 0);
    CHECK_INT(write(fd, "hello", 5), 5);
    close(fd);
    atomic_store(&l->stopping, false);
    loop_run(l);
    CHECK_INT(g.from, 1);
    CHECK_STR(g.peer, peer);
    CHECK_STR(g.bytes, "hello");
    stream_close(&g.stream);
    listeners_stop(ls);
    CHECK(connect_to(text) < 0);
    listeners_free(ls);
}

static void test_taken(const char *address)
{
    struct listen_sink sink = {.accepted = accepted, .load = no_load};
    struct listeners *ls = listeners_new(&sink);
    struct err err = {0};

    CHECK(listeners_add(ls, address, &err) == 0);
    CHECK(listeners_add(ls, listeners_text(ls, 0), &err) < 0);
    CHECK_INT(err.code, ERR_CONFIG);
    CHECK(strstr(err.text, listeners_text(ls, 0)) != NULL && strstr(err.text, "in use") != NULL);
    listeners_free(ls);
}

/* A connection that no loop came to take is closed with the listeners. */
static void test_not_delivered(void)
{
    struct got g = {0};
    struct listen_sink sink = {.accepted = accepted, .load = no_load, .context = &g};
    struct listeners *ls = listeners_new(&sink);
    struct err err = {0};
    char byte;
    int fd;

    CHECK(listeners_add(ls, "127.0.0.1:0", &err) == 0);
    listeners_start(ls, 1);
    fd = connect_to(listeners_text(ls, 0));
    listeners_free(ls);
    CHECK(read(fd, &byte, 1) <= 0);
    close(fd);
}

static int bind_stale(const char *path)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    CHECK(slice_copy(slice_str(path), un.sun_path, sizeof(un.sun_path)));
    return bind(fd, (struct sockaddr *)&un, sizeof(un)) == 0 ? fd : -1;
}

static void test_unix(struct loop *l)
{
    char dir[] = "/tmp/larder-test-XXXXXX";
    struct listen_sink sink = {.accepted = accepted, .load = no_load};
    struct listeners *ls = listeners_new(&sink);
    struct err err = {0};
    char text[100];
    struct stat st;

    CHECK(mkdtemp(dir) != NULL);
    snprintf(text, sizeof(text), "unix:%s/s", dir);
    test_taken(text);
    exchange(l, text, "unix");
    CHECK(lstat(text + 5, &st) != 0);

    close(bind_stale(text + 5));
    CHECK(lstat(text + 5, &st) == 0);
    CHECK(listeners_add(ls, text, &err) == 0);
    /* What a successor put there stays. */
    CHECK(unlink(text + 5) == 0);
    close(bind_stale(text + 5));
    listeners_free(ls);
    CHECK(lstat(text + 5, &st) == 0);
    CHECK(unlink(text + 5) == 0);
    CHECK(rmdir(dir) == 0);
}

static void test_long_path(void)
{
    struct listen_sink sink = {.accepted = accepted, .load = no_load};
    struct listeners *ls = listeners_new(&sink);
    char dir[256] = "/tmp/larder-test-XXXXXX";
    char text[300];
    struct err err = {0};
    struct stat st;
    size_t base;

    CHECK(mkdtemp(dir) != NULL);
    base = strlen(dir);
    dir[base] = '/';
    memset(dir + base + 1, 'x', 120);
    dir[base + 121] = '\0';
    CHECK(mkdir(dir, 0700) == 0);
    snprintf(text, sizeof(text), "unix:%s/s", dir);
    CHECK(listeners_add(ls, text, &err) == 0);
    CHECK_STR(err.text, "");
    CHECK(stat(text + 5, &st) == 0 && S_ISSOCK(st.st_mode));
    CHECK(listeners_add(ls, text, &err) < 0);
    listeners_free(ls);
    CHECK(rmdir(dir) == 0);
    dir[base] = '\0';
    CHECK(rmdir(dir) == 0);
}

int main(void)
{
    struct loop *l = loop_new();

    test_parse();
    test_taken("127.0.0.1:0");
    exchange(l, "127.0.0.1:0", "127.0.0.1");
    test_unix(l);
    test_long_path();
    test_not_delivered(); /* after which the loop may not run any more */
    loop_free(l);
    return tap_done();
}
