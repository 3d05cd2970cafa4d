/*
 * net/tls.h - TLS under a stream: whom we believe, the handshake, and bytes.
 *
 * The only place with OpenSSL's protocol code. TLS 1.2 and 1.3. A stream becomes TLS by
 * tls_session_start() and tls_handshake(); from then on it is read and written as any other.
 */
#ifndef NET_TLS_H
#define NET_TLS_H

#include "net/stream.h"

struct tls_session;

/* Whom a client believes. Owner: whoever made it; it outlives the sessions. Read-only, any thread.
 */
struct tls_trust;

/* The system's CAs and those of `ca_file` (PEM; may be NULL). `insecure`: nothing is verified.
 * NULL with ERR_CONFIG that names the file. OpenSSL writes without MSG_NOSIGNAL, so from here on
 * SIGPIPE is ignored in this process. */
struct tls_trust *tls_trust_new(const char *ca_file, bool insecure, struct err *err) MUST_CHECK;
void tls_trust_free(struct tls_trust *t);

/*
 * What a server gave us to make the next handshake short. Zeroed before its first use; one per
 * server and trust. Owner: the caller; it outlives the sessions. Thread: its loop's.
 */
struct tls_ticket {
    void *session;
};

void tls_ticket_fini(struct tls_ticket *t);

/* Makes a connected stream the client's side of TLS towards `host`, a name (sent as SNI and looked
 * for in the certificate) or an IP address (looked for there). Says "http/1.1" by ALPN. */
void tls_session_start(struct stream *s, const struct tls_trust *trust, const char *host,
                       struct tls_ticket *ticket);
/* Goes on with the handshake: 0 once it is done; STREAM_AGAIN; STREAM_FAILED, where s->err
 * (ERR_UPSTREAM_TLS) says in words what is wrong with the certificate or the peer. */
ssize_t tls_handshake(struct stream *s) MUST_CHECK;

/* For stream.c: tells the peer that nothing follows, as far as the socket takes it at once. */
void tls_close_notify(struct tls_session *t);
void tls_session_free(struct tls_session *t);

/* What stream_read(), stream_writev() and stream_sendfile() do where the stream has a session.
 * After STREAM_AGAIN a write must be repeated with the same bytes, or more of them. */
ssize_t tls_read(struct stream *s, void *p, size_t n) MUST_CHECK;
ssize_t tls_writev(struct stream *s, const struct iovec *iov, int n) MUST_CHECK;
ssize_t tls_sendfile(struct stream *s, int fd, uint64_t offset, size_t n) MUST_CHECK;

#endif
