/*
 * net/tls.h - TLS under a stream: whom we believe, who we are, the handshake, and bytes.
 *
 * The only place with OpenSSL's protocol code. TLS 1.2 and 1.3. A stream becomes TLS by
 * tls_session_start() or tls_session_accept(), and tls_handshake(); from then on it is read and
 * written as any other.
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
/* Not that of another that was made before or will be; 0 for NULL. */
uint64_t tls_trust_id(const struct tls_trust *t);

/*
 * What a server gave us to make the next handshake short. Zeroed before its first use; one per
 * server and trust. Owner: the caller; it outlives the sessions. Thread: its loop's.
 */
struct tls_ticket {
    void *session;
};

void tls_ticket_fini(struct tls_ticket *t);

/*
 * Who a server is: its certificate with key, and whose certificates its clients must have. Owner:
 * whoever made it. Any thread; sessions go on with what they began with.
 */
struct tls_keys;

enum tls_file { TLS_CERTIFICATE, TLS_KEY, TLS_CLIENT_CA };

/* Files in PEM: the certificate first, then those that lead to its CA; its key, without a password;
 * the CAs of clients, or NULL where they need no certificate. Paths are copied. NULL with
 * ERR_CONFIG that names the file, which *ret_bad says too. SIGPIPE is ignored from here on. */
struct tls_keys *tls_keys_new(const char *certificate, const char *key, const char *client_ca,
                              enum tls_file *ret_bad, struct err *err) MUST_CHECK;
void tls_keys_free(struct tls_keys *k);

/* Reads the files again where one of them is not the one that was read last, or where `force`.
 * Blocks. 1: new handshakes use what is there now; 0: nothing is new; -1 with *err: they are no
 * good and those before stay in use, which is said once for each state of the files. One thread. */
int tls_keys_renew(struct tls_keys *k, bool force, struct err *err) MUST_CHECK;

/* Makes an accepted stream the server's side of TLS, with session tickets and HTTP/1.1 by ALPN. */
void tls_session_accept(struct stream *s, struct tls_keys *keys);

/* Makes a connected stream the client's side of TLS towards `host`, a name (sent as SNI and looked
 * for in the certificate) or an IP address (looked for there). Says "http/1.1" by ALPN. */
void tls_session_start(struct stream *s, const struct tls_trust *trust, const char *host,
                       struct tls_ticket *ticket);
/* Goes on with the handshake: 0 once it is done; STREAM_AGAIN; STREAM_FAILED, where s->err
 * (ERR_UPSTREAM_TLS) says in words what is wrong with the certificate or the peer. */
ssize_t tls_handshake(struct stream *s) MUST_CHECK;
/* Whether the peer has not sent a byte of it. */
bool tls_is_silent(const struct stream *s);

/* The common name in the peer's certificate, once the handshake is done; the caller frees it. NULL:
 * it has shown none, or none that is a name. */
char *tls_peer_name(const struct stream *s) MUST_CHECK;

/* For stream.c: tells the peer that nothing follows, as far as the socket takes it at once. */
void tls_close_notify(struct tls_session *t);
void tls_session_free(struct tls_session *t);
/* Bytes, encrypted, that the socket has not taken yet. */
size_t tls_unsent(const struct tls_session *t);

/* What stream_read(), stream_writev() and stream_sendfile() do where the stream has a session.
 * After STREAM_AGAIN a write must be repeated with the same bytes, or more of them. */
ssize_t tls_read(struct stream *s, void *p, size_t n) MUST_CHECK;
ssize_t tls_writev(struct stream *s, const struct iovec *iov, int n) MUST_CHECK;
ssize_t tls_sendfile(struct stream *s, int fd, uint64_t offset, size_t n) MUST_CHECK;

#endif
