/* test_line.c - a command's connection, towards a server that says what a script holds. */
#include "../../src/cli/line.c"

#include "tap.h"

#include <pthread.h>
#include <sys/un.h>

/* --- a server ------------------------------------------------------------------------------ */

/* What it says on each connection: answers that NULL ends, and each connection's list as well. */
static const char *const *const *script;
static int listener;
static char asked[8][512]; /* heads, as they came */
static size_t n_asked;

static bool read_request(int fd)
{
    char *text = asked[n_asked];
    size_t len = 0;

    while (strstr(text, "\r\n\r\n") == NULL) {
        if (len + 1 == sizeof(asked[0]) || recv(fd, text + len, 1, 0) != 1) {
            return false;
        }
        text[++len] = '\0';
    }
    n_asked++;
    return true;
}

static void *serve(void *arg)
{
    (void)arg;
    for (size_t i = 0; script[i] != NULL; i++) {
        int fd = accept(listener, NULL, NULL);

        for (size_t k = 0; script[i][k] != NULL && read_request(fd); k++) {
            struct err ignored;

            if (connect_send(fd, slice_str(script[i][k]), &ignored) < 0) {
                break;
            }
        }
        close(fd);
    }
    return NULL;
}

static char data[] = "/tmp/larder-line-XXXXXX";
static struct config config = {.data = data};

/* In place of cli/host.c. */
struct host {
    char nothing;
};

static struct host the_host;

const struct config *host_config(const struct host *h)
{
    (void)h;
    return &config;
}

static pthread_t server;

static struct line *begin(const char *const *const *answers)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};

    script = answers;
    n_asked = 0;
    memset(asked, 0, sizeof(asked));
    snprintf(a.sun_path, sizeof(a.sun_path), "%s/control.sock", data);
    listener = socket(AF_UNIX, SOCK_STREAM, 0);
    CHECK(bind(listener, (struct sockaddr *)&a, sizeof(a)) == 0 && listen(listener, 8) == 0);
    pthread_create(&server, NULL, serve, NULL);
    return line_new(&the_host);
}

static void end(struct line *l)
{
    char path[100];

    line_free(l);
    pthread_join(server, NULL);
    close(listener);
    snprintf(path, sizeof(path), "%s/control.sock", data);
    unlink(path);
}

/* --- tests --------------------------------------------------------------------------------- */

static const struct line_request GET = {.method = HTTP_GET, .target = "/v2/x?y=1"};

static int ask(struct line *l, struct buf *out, struct err *err)
{
    buf_init(out, 1000);
    return line_ask(l, &GET, SLICE_NULL, out, NULL, err);
}

static void test_answers(void)
{
    static const char *const FIRST[] = {
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        "3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n",
        "HTTP/1.1 204 No Content\r\n\r\n",
        "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nto the end",
        NULL,
    };
    static const char *const *const ALL[] = {FIRST, NULL};
    static const char *const BODIES[] = {"hello", "abcde", "", "to the end"};
    struct line *l = begin(ALL);

    for (size_t i = 0; i < ARRAY_LEN(BODIES); i++) {
        struct err err = {0};
        struct buf out;

        CHECK(ask(l, &out, &err) == 0);
        CHECK_STR(out.p == NULL ? "" : out.p, BODIES[i]);
        buf_free(&out);
    }
    end(l);
    CHECK_INT((int)n_asked, 4);
    CHECK_STR(asked[0], "GET /v2/x?y=1 HTTP/1.1\r\nHost: larder\r\n\r\n");
}

static void test_errors(void)
{
    static const char *const FIRST[] = {
        "HTTP/1.1 404 Not Found\r\nContent-Length: 66\r\n\r\n"
        "{\"errors\":[{\"code\":\"MANIFEST_UNKNOWN\",\"message\":\"no such image\"}]}",
        "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 3\r\n\r\nhm?",
        "HTTP/1.1 418 Teapot\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort",
        NULL,
    };
    static const char *const SECOND[] = {"HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n"
                                         "only the length matters",
                                         NULL};
    static const char *const THIRD[] = {"SSH-2.0-no\r\n\r\n", NULL};
    static const char *const *const ALL[] = {FIRST, SECOND, THIRD, NULL};
    static const struct {
        enum err_code code;
        const char *text;
    } WANT[] = {
        {ERR_MANIFEST_UNKNOWN, "no such image"},
        {ERR_MANIFEST_INVALID, "an error that is not explained"}, /* the first of 502 */
        {ERR_INTERNAL, "an error that is not explained"},
        {ERR_STORE, "the server's answer breaks off: the connection was closed"},
        {ERR_STORE, "the server's answer breaks off: the connection was closed"},
    };
    struct line *l = begin(ALL);
    struct err err = {0};
    struct buf out;

    for (size_t i = 0; i < ARRAY_LEN(WANT); i++) {
        CHECK(ask(l, &out, &err) == -1);
        CHECK_INT(err.code, WANT[i].code);
        CHECK_STR(err.text, WANT[i].text);
        buf_free(&out);
    }
    CHECK(ask(l, &out, &err) == -1);
    CHECK_INT(err.code, ERR_STORE);
    buf_free(&out);
    end(l);
}

/* An answer that is dropped costs a connection, and so does one that the server closed. */
static void test_again(void)
{
    static const char *const HELLO[] = {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", NULL};
    static const char *const *const ALL[] = {HELLO, HELLO, HELLO, NULL};
    struct line *l = begin(ALL);
    struct http_head *head = xnew(struct http_head);
    struct err err = {0};
    struct buf out;
    char byte;

    CHECK(line_begin(l, &GET, &err) == 0 && line_answer(l, head, &err) == 0);
    CHECK_INT(head->status, 200);
    CHECK(line_read(l, &byte, 1, &err) == 1 && byte == 'h');
    line_drop(l);
    for (int i = 0; i < 2; i++) {
        CHECK(ask(l, &out, &err) == 0);
        CHECK_STR(out.p, "hello");
        buf_free(&out);
    }
    free(head);
    end(l);
}

/* The server ends an idle connection while the next question is on its way. */
static void test_crossed(void)
{
    static const char *const FIRST[] = {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "",
                                        NULL};
    static const char *const SECOND[] = {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nagain", "",
                                         NULL};
    static const char *const THIRD[] = {"", NULL};
    static const char *const *const ALL[] = {FIRST, SECOND, THIRD, NULL};
    struct line_request post = {.method = HTTP_POST, .target = "/-/place"};
    struct line *l = begin(ALL);
    struct err err = {0};
    struct buf out;

    CHECK(ask(l, &out, &err) == 0);
    CHECK_STR(out.p, "hello");
    buf_free(&out);
    CHECK(ask(l, &out, &err) == 0);
    CHECK_STR(out.p, "again");
    buf_free(&out);
    /* What may have been done is not asked for twice, nor what fails on a connection of its own. */
    CHECK(line_ask(l, &post, SLICE_NULL, &out, NULL, &err) == -1);
    CHECK(ask(l, &out, &err) == -1);
    buf_free(&out);
    end(l);
    CHECK_INT((int)n_asked, 5);
}

/* A command is asked again where others are under way, or another process takes over. */
static void test_busy(void)
{
#define BUSY(fields)                                                                               \
    "HTTP/1.1 503 Service Unavailable\r\n" fields "Content-Length: 57\r\n\r\n"                     \
    "{\"errors\":[{\"code\":\"UNAVAILABLE\",\"message\":\"ask again\"}]}"
    static const char *const FIRST[] = {BUSY(""), BUSY("Connection: close\r\n"), NULL};
    static const char *const SECOND[] = {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
                                         BUSY(""), NULL};
    static const char *const *const ALL[] = {FIRST, SECOND, NULL};
    struct line_request post = {.method = HTTP_POST, .target = "/-/place"};
    struct line *l = begin(ALL);
    struct err err = {0};
    struct buf out;

    buf_init(&out, 1000);
    CHECK(line_ask(l, &post, SLICE_NULL, &out, NULL, &err) == 0);
    CHECK_STR(out.p, "hello");
    buf_free(&out);
    CHECK(ask(l, &out, &err) == -1); /* this is none */
    CHECK_INT(err.code, ERR_UNAVAILABLE);
    buf_free(&out);
    end(l);
    CHECK_INT((int)n_asked, 4);
}

/* The server does not want the body, says why and leaves. */
static void test_refused_body(void)
{
    static const char *const FULL[] = {
        "HTTP/1.1 507 Insufficient Storage\r\nConnection: close\r\nContent-Length: 60\r\n\r\n"
        "{\"errors\":[{\"code\":\"UNKNOWN\",\"message\":\"the disk is full\"}]} ",
        NULL,
    };
    static const char *const *const ALL[] = {FULL, NULL};
    static char piece[64 * 1024];
    struct line_request post = {HTTP_POST, "/v2/-/blobs/uploads/", "X: y\r\n", true, 1u << 30};
    struct line *l = begin(ALL);
    struct err err = {0};
    int result = line_begin(l, &post, &err);

    for (uint64_t sent = 0; result == 0 && sent < post.length; sent += sizeof(piece)) {
        result = line_write(l, piece, sizeof(piece), &err);
    }
    CHECK_INT(result, -1);
    CHECK_INT(err.code, ERR_NO_SPACE);
    CHECK_STR(err.text, "the disk is full");
    end(l);
    CHECK_STR(asked[0], "POST /v2/-/blobs/uploads/ HTTP/1.1\r\nHost: larder\r\nX: y\r\n"
                        "Content-Length: 1073741824\r\n\r\n");
}

static void test_nobody(void)
{
    struct line *l = line_new(&the_host);
    struct err err = {0};
    char text[200];
    struct buf out;

    CHECK(ask(l, &out, &err) == -1);
    snprintf(text, sizeof(text), "the server on %s has stopped", data);
    CHECK_STR(err.text, text);
    buf_free(&out);
    line_free(l);
}

int main(void)
{
    CHECK(mkdtemp(data) != NULL);
    test_answers();
    test_errors();
    test_again();
    test_crossed();
    test_busy();
    test_refused_body();
    test_nobody();
    rmdir(data);
    return tap_done();
}
