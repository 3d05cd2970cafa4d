/* cli/remote.c - a client of the control socket: one request, one answer. */
#include "cli/remote.h"

#include "cli/connect.h"
#include "cli/patience.h"
#include "http/head.h"
#include "oci/errbody.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define PIECE (64u * 1024)

/* --- asking -------------------------------------------------------------------------------- */

static void write_request(const struct admin_command *c, const struct admin_query *q,
                          struct buf *out)
{
    buf_init(out, 8192 + c->body_max);
    buf_printf(out, "%s /-/%s?repository=", c->changes ? "POST" : "GET", c->name);
    buf_percent(out, slice_str(q->name));
    buf_printf(out, "&since=%lld&client=", (long long)q->since);
    buf_percent(out, slice_str(q->client == NULL ? "" : q->client));
    buf_printf(out, "%s%s HTTP/1.1\r\nHost: larder\r\nConnection: close\r\n",
               q->all ? "&all=1" : "", q->dry_run ? "&dry_run=1" : "");
    if (c->changes) {
        buf_printf(out, "Content-Length: %zu\r\n", q->body.len);
    }
    buf_str(out, "\r\n");
    buf_slice(out, q->body);
}

/* Everything until the server closes, which is the head and the body. */
static int receive_all(int fd, bool silent, struct buf *out, struct err *err)
{
    struct patience p;
    char *piece = xcalloc(PIECE, 1);
    ssize_t n = -1;

    patience_begin(&p);
    p.terminal = p.terminal && !silent;
    for (;;) {
        patience_wait(&p, fd);
        n = recv(fd, piece, PIECE, 0);
        if (n == 0 || (n < 0 && errno != EINTR) || out->failed) {
            break;
        }
        buf_append(out, piece, n < 0 ? 0 : (size_t)n);
    }
    patience_end(&p);
    free(piece);
    if (n < 0 || out->failed) {
        return err_set(err, ERR_STORE, "the server's answer breaks off: %s",
                       out->failed ? "it is too large" : strerror(errno));
    }
    return 0;
}

/* Takes the answer apart; what went wrong there is wrong here. */
static int read_answer(struct slice all, enum http_method method, struct buf *out, struct err *err)
{
    struct http_parse parse = {0};
    struct http_head *head = xnew(struct http_head);
    struct err bad;
    size_t used = 0;
    int result = 0;

    if (http_parse_response(&parse, all, method, head, &used, &bad) != HTTP_PARSED_HEAD ||
        head->framing != HTTP_BODY_LENGTH || head->length != all.len - used) {
        result = err_set(err, ERR_STORE, "the server's answer is not whole");
    } else if (head->status == 200) {
        buf_slice(out, slice_from(all, used));
    } else {
        char text[sizeof(err->text)];

        errbody_message(slice_from(all, used), text, sizeof(text));
        result = err_set(err, ERR_STORE, "%s", text);
    }
    free(head);
    return result;
}

enum remote_answer remote_ask(const char *data, const struct admin_command *c,
                              const struct admin_query *q, struct buf *out, struct err *err)
{
    _cleanup_close_ int fd = -1;
    struct buf request;
    struct buf all;
    int result;

    buf_init(out, ADMIN_ANSWER_MAX);
    switch (connect_control(data, &fd, err)) {
    case CONNECT_DONE:
        break;
    case CONNECT_NOBODY:
        return REMOTE_NOBODY;
    case CONNECT_FAILED:
        return REMOTE_FAILED;
    }
    write_request(c, q, &request);
    buf_init(&all, 2 * (size_t)ADMIN_ANSWER_MAX);
    result = connect_send(fd, buf_view(&request), err);
    if (result == 0) {
        result = receive_all(fd, c->takes, &all, err);
    }
    if (result == 0) {
        result = read_answer(buf_view(&all), c->changes ? HTTP_POST : HTTP_GET, out, err);
    }
    buf_free(&request);
    buf_free(&all);
    return result < 0 ? REMOTE_FAILED : REMOTE_DONE;
}
