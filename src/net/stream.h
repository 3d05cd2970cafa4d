/*
 * net/stream.h - one byte stream over a socket, plain or TLS.
 *
 * Non-blocking. A call that cannot go on returns STREAM_AGAIN; the stream then defers its owner's
 * task when the socket is ready again. The owner reads and writes until STREAM_AGAIN or comes back
 * by itself (readiness is told once, edge-triggered).
 */
#ifndef NET_STREAM_H
#define NET_STREAM_H

#include "base/err.h"
#include "loop/loop.h"

#include <sys/types.h>
#include <sys/uio.h>

#define STREAM_AGAIN ((ssize_t)-1)
#define STREAM_FAILED ((ssize_t)-2) /* stream->err says why */

struct tls_session; /* net/tls.h */

/* Owner: whoever embeds it. Thread: its loop's. */
struct stream {
    struct watch watch;
    struct loop *loop;
    struct task *owner; /* deferred when what stopped with STREAM_AGAIN may go on */
    struct tls_session *tls;
    int fd; /* -1: closed */
    bool readable;
    bool writable;
    struct err err;
};

/* Takes over a connected (or connecting), non-blocking socket. */
void stream_open(struct stream *s, struct loop *l, int fd, struct task *owner);
/* Closes at once; what the kernel has not sent yet it goes on sending. Harmless when closed. */
void stream_close(struct stream *s);
/* Ends our sending side, after what was written; reading goes on. A server closes this way when the
 * client may still be sending: a plain close would answer those bytes with a reset, which can
 * destroy the response on its way. */
void stream_shutdown(struct stream *s);
/* Closes with a reset, so that the peer cannot take a short body for a whole one. */
void stream_reset(struct stream *s);
static inline bool stream_is_open(const struct stream *s)
{
    return s->fd >= 0;
}

/* Bytes that were written and that the peer's side has not taken yet. */
uint64_t stream_unsent(const struct stream *s);

/* Up to n bytes (n > 0): their count; 0 at the peer's orderly end (TLS: its close_notify; a TCP end
 * without one is STREAM_FAILED); STREAM_AGAIN; STREAM_FAILED. */
ssize_t stream_read(struct stream *s, void *p, size_t n) MUST_CHECK;

/* The same into several places, the first of which alone is filled where the stream is TLS. */
ssize_t stream_readv(struct stream *s, const struct iovec *iov, int n) MUST_CHECK;

/* As writev; `more`: bytes follow at once, so that a packet may wait for them. */
ssize_t stream_writev(struct stream *s, const struct iovec *iov, int n, bool more) MUST_CHECK;

/* Up to n bytes of a file from `offset`, by sendfile where the stream is plain. 0: the file ended
 * before. Or it cannot be read. Reads of a cold file block: callers probe and warm it first. */
ssize_t stream_sendfile(struct stream *s, int fd, uint64_t offset, size_t n) MUST_CHECK;

#endif
