/* cli/line.c - a blocking client of HTTP/1.1, as much of it as our own server needs. */
#include "cli/line.h"

#include "admin/control.h"
#include "cli/connect.h"
#include "http/chunked.h"
#include "oci/errbody.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/* Room for a head, and behind it for pieces of a body. */
#define IN_PIECE (64u * 1024)
#define IN_SIZE ((size_t)UPSTREAM_HEAD_MAX + IN_PIECE)
#define REQUEST_MAX (32u * 1024)
#define ERROR_MAX (1u << 20)
/* The engine does four commands at once: how often, and how far apart, one asks again. */
#define BUSY_TRIES 600
#define BUSY_MS 100

/* Owner: line_new()'s caller. Invariant: in[from, to) is what arrived and was not taken; nothing
 * of an answer is left where `framing` is HTTP_BODY_NONE. */
struct line {
    const struct host *host;
    int fd; /* -1: to be connected anew */
    enum http_method asked;
    bool keep_alive;
    bool used; /* something was asked on this connection */
    bool kept; /* … before the request under way */
    enum http_framing framing;
    uint64_t left; /* of HTTP_BODY_LENGTH */
    struct http_chunked chunked;
    size_t from;
    size_t to;
    char in[IN_SIZE];
};

static void line_close(struct line *l)
{
    if (l->fd >= 0) {
        close(l->fd);
    }
    l->fd = -1;
    l->used = false;
    l->framing = HTTP_BODY_NONE;
}

static int line_broken(struct line *l, struct err *err, const char *why)
{
    line_close(l);
    return err_set(err, ERR_STORE, "the server's answer breaks off: %s", why);
}

static int line_connect(struct line *l, struct err *err)
{
    switch (connect_control(host_config(l->host)->data, &l->fd, err)) {
    case CONNECT_DONE:
        return 0;
    case CONNECT_NOBODY:
        return err_set(err, ERR_STORE, "the server on %.160s has stopped",
                       host_config(l->host)->data);
    case CONNECT_FAILED:
        break;
    }
    return -1;
}

struct line *line_new(const struct host *h)
{
    struct line *l = xnew(struct line);

    l->host = h;
    l->fd = -1;
    return l;
}

void line_free(struct line *l)
{
    if (l != NULL) {
        line_close(l);
        free(l);
    }
}

/* --- asking -------------------------------------------------------------------------------- */

void line_drop(struct line *l)
{
    if (l->framing != HTTP_BODY_NONE) {
        line_close(l); /* reading over what is left may take longer than connecting */
    }
}

/* Whether the server ended an idle connection meanwhile, as it may. */
static bool line_ended(const struct line *l)
{
    char byte;

    return recv(l->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) >= 0 || errno != EAGAIN;
}

static const char *method_text(enum http_method m)
{
    static const char *const TEXTS[] = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"};

    return TEXTS[m];
}

int line_begin(struct line *l, const struct line_request *r, struct err *err)
{
    struct buf head;
    int result;

    line_drop(l);
    if (l->fd >= 0 && (!l->keep_alive || line_ended(l))) {
        line_close(l);
    }
    l->kept = l->fd >= 0 && l->used;
    if (l->fd < 0 && line_connect(l, err) < 0) {
        return -1;
    }
    l->asked = r->method;
    l->used = true;
    l->keep_alive = false; /* until an answer says so */
    l->from = 0;
    l->to = 0;
    buf_init(&head, REQUEST_MAX);
    buf_printf(&head, "%s %s HTTP/1.1\r\nHost: larder\r\n%s", method_text(r->method), r->target,
               r->fields == NULL ? "" : r->fields);
    if (r->has_body) {
        buf_printf(&head, "Content-Length: %llu\r\n", (unsigned long long)r->length);
    }
    buf_str(&head, "\r\n");
    result = head.failed ? err_set(err, ERR_URI_TOO_LONG, "the request is too long")
                         : connect_send(l->fd, buf_view(&head), err);
    buf_free(&head);
    if (result < 0) {
        line_close(l);
    }
    return result;
}

int line_write(struct line *l, const void *p, size_t n, struct err *err)
{
    struct http_head *head;
    struct err early;

    if (connect_send(l->fd, slice_of(p, n), err) == 0) {
        return 0;
    }
    head = xnew(struct http_head); /* why it does not listen may have been said */
    if (line_answer(l, head, &early) == 0 && head->status >= 300) {
        line_refused(l, head, err);
    }
    free(head);
    line_close(l);
    return -1;
}

/* --- the answer ---------------------------------------------------------------------------- */

/* Reads some bytes to the end of what is there. */
static int line_fill(struct line *l, struct err *err)
{
    ssize_t n;

    do {
        n = recv(l->fd, l->in + l->to, sizeof(l->in) - l->to, 0);
    } while (n < 0 && errno == EINTR);
    if (n <= 0) {
        return line_broken(l, err, n == 0 ? "the connection was closed" : strerror(errno));
    }
    l->to += (size_t)n;
    return 0;
}

/* One head; what follows it is left. */
static int read_head(struct line *l, struct http_head *ret, struct err *err)
{
    struct http_parse parse = {0};
    struct err bad = {0};
    size_t used = 0;

    for (;;) {
        struct slice in = slice_of(l->in + l->from, l->to - l->from);

        switch (http_parse_response(&parse, in, l->asked, ret, &used, &bad)) {
        case HTTP_PARSED_HEAD:
            l->from += used;
            return 0;
        case HTTP_PARSED_BAD:
            return line_broken(l, err, bad.text);
        case HTTP_PARSED_MORE:
            break;
        }
        if (line_fill(l, err) < 0) {
            return -1;
        }
    }
}

int line_answer(struct line *l, struct http_head *ret, struct err *err)
{
    if (l->fd < 0) {
        return err_set(err, ERR_STORE, "the connection to the server broke");
    }
    do {
        if (read_head(l, ret, err) < 0) {
            return -1;
        }
    } while (ret->status < 200);
    l->keep_alive = ret->keep_alive;
    l->framing = ret->framing;
    l->left = ret->framing == HTTP_BODY_LENGTH ? ret->length : 0;
    l->chunked = (struct http_chunked){0};
    if (l->framing == HTTP_BODY_LENGTH && l->left == 0) {
        l->framing = HTTP_BODY_NONE;
    }
    return 0;
}

/* From what arrived already, else from the socket, without a copy. */
static ssize_t read_some(struct line *l, void *p, size_t n, struct err *err)
{
    size_t here = l->to - l->from;
    ssize_t got;

    if (here > 0) {
        n = n < here ? n : here;
        memcpy(p, l->in + l->from, n);
        l->from += n;
        return (ssize_t)n;
    }
    do {
        got = recv(l->fd, p, n, 0);
    } while (got < 0 && errno == EINTR);
    if (got < 0) {
        return line_broken(l, err, strerror(errno));
    }
    return got;
}

static ssize_t read_length(struct line *l, void *p, size_t n, struct err *err)
{
    ssize_t got = read_some(l, p, l->left < n ? (size_t)l->left : n, err);

    if (got < 0) {
        return -1;
    }
    if (got == 0) {
        return line_broken(l, err, "the connection was closed");
    }
    l->left -= (uint64_t)got;
    if (l->left == 0) {
        l->framing = HTTP_BODY_NONE;
    }
    return got;
}

static ssize_t read_chunked(struct line *l, char *p, size_t n, struct err *err)
{
    for (;;) {
        struct slice in;
        struct slice data = SLICE_NULL;
        struct err bad = {0};
        enum http_chunk what;

        if (l->from == l->to) {
            l->from = sizeof(l->in) - IN_PIECE; /* the head stays, as its fields are borrowed */
            l->to = l->from;
            if (line_fill(l, err) < 0) {
                return -1;
            }
        }
        in = slice_of(l->in + l->from, l->to - l->from < n ? l->to - l->from : n);
        what = http_chunked_next(&l->chunked, &in, &data, &bad);
        l->from = (size_t)(in.p - l->in);
        if (what == HTTP_CHUNK_DATA) {
            memcpy(p, data.p, data.len);
            return (ssize_t)data.len;
        }
        if (what == HTTP_CHUNK_BAD) {
            return line_broken(l, err, bad.text);
        }
        if (what == HTTP_CHUNK_END) {
            l->framing = HTTP_BODY_NONE;
            return 0;
        }
    }
}

ssize_t line_read(struct line *l, void *p, size_t n, struct err *err)
{
    ssize_t got;

    switch (l->framing) {
    case HTTP_BODY_NONE:
        return 0;
    case HTTP_BODY_LENGTH:
        return read_length(l, p, n, err);
    case HTTP_BODY_CHUNKED:
        return read_chunked(l, p, n, err);
    case HTTP_BODY_UNTIL_CLOSE:
        break;
    }
    got = read_some(l, p, n, err);
    if (got == 0) {
        line_close(l);
    }
    return got;
}

static int read_whole(struct line *l, struct buf *out, struct err *err)
{
    char *piece = xcalloc(IN_PIECE, 1);
    ssize_t n;

    do {
        n = line_read(l, piece, IN_PIECE, err);
        buf_append(out, piece, n > 0 ? (size_t)n : 0);
    } while (n > 0 && !out->failed);
    free(piece);
    if (n < 0) {
        return -1;
    }
    return out->failed ? err_set(err, ERR_TOO_LARGE, "the server's answer is too large") : 0;
}

int line_refused(struct line *l, const struct http_head *head, struct err *err)
{
    char text[sizeof(err->text)];
    char code[64];
    struct err broken;
    struct buf body;
    int status = head->status;

    buf_init(&body, ERROR_MAX);
    if (read_whole(l, &body, &broken) < 0) {
        line_close(l);
    }
    errbody_code(buf_view(&body), code, sizeof(code));
    errbody_message(buf_view(&body), text, sizeof(text));
    buf_free(&body);
    return err_set(err, err_of_answer(status, code), "%s", text);
}

/* Whether a command of the engine's is to be asked again in a moment: others are under way, or
 * another process takes over, which the next connection leads to. */
static bool is_busy(const struct line_request *r, const struct err *err, unsigned *tries)
{
    if (err->code != ERR_UNAVAILABLE || !slice_starts(slice_str(r->target), CONTROL_PREFIX) ||
        ++*tries > BUSY_TRIES) {
        return false;
    }
    ignore_result(poll(NULL, 0, BUSY_MS) < 0);
    return true;
}

static int ask_once(struct line *l, const struct line_request *r, struct slice body,
                    struct http_head *ret, struct err *err)
{
    return line_begin(l, r, err) < 0 ||
                   (body.len > 0 && line_write(l, body.p, body.len, err) < 0) ||
                   line_answer(l, ret, err) < 0
               ? -1
               : 0;
}

/* An idle connection may end just as it is used again; what changes nothing is asked once more. */
static bool may_ask_again(const struct line *l, const struct line_request *r)
{
    return l->kept && l->to == 0 && (r->method == HTTP_GET || r->method == HTTP_HEAD);
}

/* Until the head of a good answer. */
static int ask_good(struct line *l, const struct line_request *r, struct slice body,
                    struct http_head *ret, struct err *err)
{
    if (ask_once(l, r, body, ret, err) < 0 &&
        (!may_ask_again(l, r) || ask_once(l, r, body, ret, err) < 0)) {
        return -1;
    }
    return ret->status < 200 || ret->status > 299 ? line_refused(l, ret, err) : 0;
}

int line_ask(struct line *l, const struct line_request *r, struct slice body, struct buf *out,
             struct http_head *ret_head, struct err *err)
{
    _cleanup_free_ struct http_head *own = ret_head == NULL ? xnew(struct http_head) : NULL;
    struct http_head *head = ret_head == NULL ? own : ret_head;
    unsigned tries = 0;

    while (ask_good(l, r, body, head, err) < 0) {
        if (!is_busy(r, err, &tries)) {
            return -1;
        }
        *err = (struct err){0};
    }
    return read_whole(l, out, err);
}
