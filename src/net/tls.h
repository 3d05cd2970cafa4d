/*
 * net/tls.h - TLS under a stream: whom we believe, the handshake, and bytes.
 *
 * The only place with OpenSSL's protocol code. TLS 1.2 and 1.3.
 */
#ifndef NET_TLS_H
#define NET_TLS_H

#include "net/stream.h"

struct tls_session;

void tls_session_free(struct tls_session *t);

/* What stream_read(), stream_writev() and stream_sendfile() do where the stream has a session. */
ssize_t tls_read(struct stream *s, void *p, size_t n) MUST_CHECK;
ssize_t tls_writev(struct stream *s, const struct iovec *iov, int n) MUST_CHECK;
ssize_t tls_sendfile(struct stream *s, int fd, uint64_t offset, size_t n) MUST_CHECK;

#endif
