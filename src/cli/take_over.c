/* cli/take_over.c - the asking side of a hand-over. */
#include "cli/take_over.h"

#include "base/fault.h"
#include "base/log.h"
#include "cli/connect.h"
#include "oci/errbody.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define REQUEST                                                                                    \
    "POST /-/take-over HTTP/1.1\r\nHost: larder\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
#define SWITCHED "HTTP/1.1 101 "
#define PIECE (64u * 1024)

/* --- receiving ----------------------------------------------------------------------------- */

/* Descriptors that came beside some bytes; what does not fit is closed. */
static void take_descriptors(struct inheritance *i, size_t *n, struct msghdr *m)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c != NULL; c = CMSG_NXTHDR(m, c)) {
        size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) {
            continue;
        }
        for (size_t k = 0; k < count; k++) {
            int fd;

            memcpy(&fd, CMSG_DATA(c) + k * sizeof(fd), sizeof(fd));
            if (*n < HANDED_LISTENERS_MAX) {
                i->fds[(*n)++] = fd;
            } else {
                close(fd);
            }
        }
    }
}

/* Some bytes more, and what came with them: > 0, or 0 at the end; -1 with errno. */
static ssize_t receive(struct inheritance *i, size_t *n, struct buf *out)
{
    union {
        struct cmsghdr align;
        char room[CMSG_SPACE(sizeof(int) * HANDED_LISTENERS_MAX)];
    } control;
    _cleanup_free_ char *piece = xcalloc(1, PIECE);
    struct iovec iov = {piece, PIECE};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
    ssize_t got;

    m.msg_control = control.room;
    m.msg_controllen = sizeof(control.room);
    do {
        got = recvmsg(i->line, &m, MSG_CMSG_CLOEXEC);
    } while (got < 0 && errno == EINTR);
    if (got > 0) {
        take_descriptors(i, n, &m);
        buf_append(out, piece, (size_t)got);
    }
    return got;
}

/* How much of it there is: the head of the answer, and then a line with the length of the rest.
 * False: more must come first. */
static bool find_text(struct slice all, struct slice *ret_text, uint64_t *ret_length)
{
    struct slice rest = all;
    struct slice line;

    while (slice_find(rest, '\n') < rest.len) {
        ignore_result(!slice_split(&rest, '\n', &line));
        if (line.len <= 1) { /* behind the head */
            bool found = slice_find(rest, '\n') < rest.len && slice_split(&rest, '\n', &line) &&
                         slice_u64(line, ret_length);

            *ret_text = rest;
            return found;
        }
    }
    return false;
}

/* What the server says instead. */
static int refused(struct slice all, struct err *err)
{
    size_t at = 0;
    char text[sizeof(err->text) - 64];

    while (at + 4 <= all.len && memcmp(all.p + at, "\r\n\r\n", 4) != 0) {
        at++;
    }
    errbody_message(slice_from(all, at + 4 <= all.len ? at + 4 : all.len), text, sizeof(text));
    return err_set(err, ERR_STORE, "the server that runs does not make way: %s", text);
}

static int receive_state(struct inheritance *i, struct err *err)
{
    struct slice text = SLICE_NULL;
    uint64_t length = 0;
    size_t n = 0;
    struct buf all;
    ssize_t got;
    int result;

    buf_init(&all, HANDED_STATE_MAX + PIECE);
    do {
        got = receive(i, &n, &all);
    } while (got > 0 && !all.failed &&
             !(find_text(buf_view(&all), &text, &length) && text.len >= length));
    if (fault_at("handover.receive")) {
        result = err_set(err, ERR_STORE, "what the server that runs tells was lost");
    } else if (got > 0 && !all.failed && slice_starts(buf_view(&all), SWITCHED)) {
        result = handed_state_read(slice_sub(text, 0, length), &i->state, err);
        if (result == 0 && i->state.n_listeners != n) {
            result = err_set(err, ERR_STORE, "the server that runs sent %zu sockets for %zu", n,
                             i->state.n_listeners);
        }
    } else if (all.len > 0) {
        result = refused(buf_view(&all), err);
    } else {
        result = err_set(err, ERR_STORE, "the server that runs broke off: %s",
                         got < 0 ? strerror(errno) : "it ended");
    }
    buf_free(&all);
    return result;
}

/* --- the whole ----------------------------------------------------------------------------- */

int take_over(const char *data, struct inheritance *ret, struct err *err)
{
    *ret = (struct inheritance){.line = -1};
    for (size_t i = 0; i < HANDED_LISTENERS_MAX; i++) {
        ret->fds[i] = -1;
    }
    switch (connect_control(data, &ret->line, err)) {
    case CONNECT_DONE:
        break;
    case CONNECT_NOBODY:
        log_event(LOG_INFO, "serve.take_over", "%s: no server runs there to take over from", data);
        return 0;
    case CONNECT_FAILED:
        return -1;
    }
    if (connect_send(ret->line, slice_str(REQUEST), err) < 0 || receive_state(ret, err) < 0) {
        inheritance_free(ret);
        return -1;
    }
    return 0;
}

int inheritance_take(struct inheritance *i, const char *address, const char **ret_bound)
{
    for (size_t k = 0; k < i->state.n_listeners; k++) {
        const struct handed_listener *l = &i->state.listeners[k];

        bool is = strcmp(l->address, address) == 0 || strcmp(l->bound, address) == 0;

        if (i->fds[k] >= 0 && is) {
            int fd = i->fds[k];

            i->fds[k] = -1;
            *ret_bound = l->bound;
            return fd;
        }
    }
    return -1;
}

/* Addresses that the configuration has no more. */
static void close_rest(struct inheritance *i)
{
    for (size_t k = 0; k < HANDED_LISTENERS_MAX; k++) {
        if (i->fds[k] >= 0) {
            close(i->fds[k]);
            i->fds[k] = -1;
        }
    }
}

int inheritance_ready(struct inheritance *i, struct err *err)
{
    if (i->line < 0) {
        return 0;
    }
    close_rest(i);
    ignore_result(fault_at("handover.ready"));
    return connect_send(i->line, slice_str("READY\n"), err);
}

void inheritance_free(struct inheritance *i)
{
    close_rest(i);
    if (i->line >= 0) {
        close(i->line);
    }
    i->line = -1;
    handed_state_free(&i->state);
}
