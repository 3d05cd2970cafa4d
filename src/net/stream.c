/*
 * net/stream.c - non-blocking bytes in and out.
 *
 * A readiness flag is cleared by EAGAIN and set by the watch, so that no call is made that is known
 * to fail, and no event is lost between the two.
 */
#include "net/stream.h"

#include "base/fault.h"
#include "net/tls.h"

#include <errno.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>

static void on_ready(struct watch *w, unsigned what)
{
    struct stream *s = container_of(w, struct stream, watch);

    s->readable = s->readable || (what & WATCH_READ) != 0;
    s->writable = s->writable || (what & WATCH_WRITE) != 0;
    if (s->owner != NULL) {
        loop_defer(s->loop, s->owner);
    }
}

void stream_open(struct stream *s, struct loop *l, int fd, struct task *owner)
{
    int one = 1;

    *s = (struct stream){.loop = l, .fd = fd, .owner = owner};
    /* Small answers must not wait for an ACK; Unix sockets have no such option. */
    ignore_result(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) < 0);
    watch_open(&s->watch, l, fd, on_ready);
}

void stream_close(struct stream *s)
{
    if (s->fd < 0) {
        return;
    }
    tls_close_notify(s->tls);
    tls_session_free(s->tls);
    s->tls = NULL;
    watch_close(&s->watch);
    close(s->fd);
    s->fd = -1;
}

void stream_shutdown(struct stream *s)
{
    if (s->fd >= 0) {
        tls_close_notify(s->tls);
        ignore_result(shutdown(s->fd, SHUT_WR) < 0);
    }
}

void stream_reset(struct stream *s)
{
    struct linger now = {1, 0};

    if (s->fd >= 0) {
        ignore_result(setsockopt(s->fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now)) < 0);
        tls_session_free(s->tls); /* no close_notify: the end must not look orderly */
        s->tls = NULL;
    }
    stream_close(s);
}

uint64_t stream_unsent(const struct stream *s)
{
    int n = 0;

    return s->fd < 0 || ioctl(s->fd, SIOCOUTQ, &n) < 0 || n < 0 ? 0
                                                                : (uint64_t)n + tls_unsent(s->tls);
}

static ssize_t stream_fail(struct stream *s, const char *what)
{
    err_set(&s->err, ERR_UPSTREAM_DOWN, "%s: %s", what, strerror(errno));
    return STREAM_FAILED;
}

/* What a call that reads has given. */
static ssize_t read_result(struct stream *s, ssize_t got)
{
    if (got >= 0) {
        return got;
    }
    if (errno == EAGAIN || errno == EWOULDBLOCK) {
        s->readable = false;
        return STREAM_AGAIN;
    }
    return stream_fail(s, "cannot read");
}

ssize_t stream_read(struct stream *s, void *p, size_t n)
{
    ssize_t got;

    if (s->tls != NULL) {
        return tls_read(s, p, n);
    }
    if (!s->readable) {
        return STREAM_AGAIN;
    }
    do {
        got = fault_errno("stream.read", ECONNRESET) ? -1 : recv(s->fd, p, n, 0);
    } while (got < 0 && errno == EINTR);
    return read_result(s, got);
}

ssize_t stream_readv(struct stream *s, const struct iovec *iov, int n)
{
    struct msghdr msg = {0};
    ssize_t got;

    if (n == 1 || s->tls != NULL) {
        return stream_read(s, iov[0].iov_base, iov[0].iov_len);
    }
    if (!s->readable) {
        return STREAM_AGAIN;
    }
    memcpy(&msg.msg_iov, &iov, sizeof(iov)); /* recvmsg does not write through it */
    msg.msg_iovlen = (size_t)n;
    do {
        got = fault_errno("stream.read", ECONNRESET) ? -1 : recvmsg(s->fd, &msg, 0);
    } while (got < 0 && errno == EINTR);
    return read_result(s, got);
}

ssize_t stream_writev(struct stream *s, const struct iovec *iov, int n, bool more)
{
    struct msghdr msg = {0};
    ssize_t sent;

    if (s->tls != NULL) {
        return tls_writev(s, iov, n);
    }
    if (!s->writable) {
        return STREAM_AGAIN;
    }
    memcpy(&msg.msg_iov, &iov, sizeof(iov)); /* sendmsg does not write through it */
    msg.msg_iovlen = (size_t)n;
    do {
        sent = fault_errno("stream.write", EPIPE)
                   ? -1
                   : sendmsg(s->fd, &msg, MSG_NOSIGNAL | (more ? MSG_MORE : 0));
    } while (sent < 0 && errno == EINTR);
    if (sent >= 0) {
        return sent;
    }
    if (errno == EAGAIN || errno == EWOULDBLOCK) {
        s->writable = false;
        return STREAM_AGAIN;
    }
    return stream_fail(s, "cannot write");
}

ssize_t stream_sendfile(struct stream *s, int fd, uint64_t offset, size_t n)
{
    off_t at = (off_t)offset;
    ssize_t sent;

    if (s->tls != NULL) {
        return tls_sendfile(s, fd, offset, n);
    }
    if (!s->writable) {
        return STREAM_AGAIN;
    }
    do {
        sent = fault_errno("stream.file", EIO) || fault_errno("stream.send", EPIPE)
                   ? -1
                   : sendfile(s->fd, fd, &at, n);
    } while (sent < 0 && errno == EINTR);
    if (sent >= 0) {
        return sent;
    }
    if (errno == EAGAIN || errno == EWOULDBLOCK) {
        s->writable = false;
        return STREAM_AGAIN;
    }
    if (errno == EIO) {
        return 0; /* no socket says that: it is the file's */
    }
    return stream_fail(s, "cannot send a file");
}
