/*
 * http/client.h - HTTP/1.1 towards upstreams: one call is one request and its response.
 *
 * Connections are kept per loop and reused by the same origin and trust. No redirect is followed,
 * no credential added: upstream/fetch does that.
 */
#ifndef HTTP_CLIENT_H
#define HTTP_CLIENT_H

#include "base/str.h"
#include "http/head.h"
#include "http/url.h"
#include "loop/op.h"
#include "net/stream.h"

struct http_client;
struct tls_trust; /* net/tls.h: whom a TLS client believes */
struct resolver;  /* net/resolve.h */

/* How it is reached. */
struct http_route {
    const struct tls_trust *trust; /* NULL: the system's CAs */
    const char *proxy;             /* "http://[user:pass@]host:port", or NULL: direct */
    bool public_only;              /* refuse addresses that are private, loopback, link-local … */
};

struct http_client *http_client_new(struct resolver *r);
/* Once no call is under way. Closes the connections of the loops, which do not run any more. */
void http_client_free(struct http_client *c);

enum http_call_state { HTTP_CALL_NOT_YET, HTTP_CALL_HEAD, HTTP_CALL_FAILED };

struct http_call;

/*
 * Starts a call: `head` is the request line and header lines without Host, Connection and the blank
 * line (they are added); `body` may be empty (else Content-Length is added) and is copied. `waker`
 * is deferred whenever polling or reading may get further. Retried once, silently, where a kept
 * connection turns out to have been closed before a byte of the response.
 * Waits: limits.connect (per address; IPv6 and IPv4 addresses are both tried, the next one starting
 * 250 ms after the last), limits.tls, limits.upstream_headers, limits.upstream_stall.
 */
struct http_call *http_call_new(struct http_client *c, struct loop *l,
                                const struct http_origin *origin, const struct http_route *route,
                                struct task *waker);
void http_call_send(struct http_call *call, enum http_method method, struct slice head,
                    struct slice body);

/* What there is. HTTP_CALL_FAILED: *err says why (ERR_UPSTREAM_DOWN, ERR_UPSTREAM_TLS, ERR_TIMEOUT,
 * ERR_UPSTREAM_PROTOCOL). */
enum http_call_state http_call_poll(struct http_call *call, struct err *err);
/* The response's head, valid from HTTP_CALL_HEAD until http_call_free(). */
const struct http_head *http_call_head(const struct http_call *call);
/* Whether the peer's address is the public internet's, as far as can be known: through a proxy only
 * an address in place of the host's name tells. From HTTP_CALL_HEAD on. */
bool http_call_is_public(const struct http_call *call);
/* Bytes of the body, decoded: > 0, 0 at its proven end (framing complete), STREAM_AGAIN,
 * STREAM_FAILED with *err: the body broke off, stalled, or broke its framing. */
ssize_t http_call_read(struct http_call *call, void *p, size_t n, struct err *err) MUST_CHECK;
/* Whether the body comes at less than LEAST_RATE, and did so for so long that limits.upstream_stall
 * is used up. It may be read on all the same. */
bool http_call_is_slow(const struct http_call *call);
/* The body is not read just now: until it is, no time is the peer's. Harmless when repeated. */
void http_call_rest(struct http_call *call);
/* Ends the call at any time: a connection whose response was read whole (or whose rest is small and
 * there) is kept, any other closed. NULL is allowed. */
void http_call_free(struct http_call *call);

#endif
