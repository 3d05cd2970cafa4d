/*
 * http/server.h - HTTP/1.1 towards clients: one request after another, one exchange each.
 *
 * An exchange is a parsed request and the response to it. The handler gets it once the head is
 * whole and must end it: with http_reply(), http_finish() or http_abort(). Until then the exchange
 * defers `owner` (where set) when a send or read that returned STREAM_AGAIN may go on, and when the
 * client is gone (`gone`): then sends and reads fail, and whatever ends the exchange is an abort.
 * A client that only ended its sending side still gets its response; because TCP does not tell that
 * from one that left, it counts as gone once it took no byte for 5 s.
 * RFC 9110, 9112; what is refused: reference performance.md 1.3.
 */
#ifndef HTTP_SERVER_H
#define HTTP_SERVER_H

#include "base/limits.h"
#include "base/str.h"
#include "http/head.h"
#include "net/stream.h"

struct http_server;
struct tls_keys; /* net/tls.h */
struct http_exchange;

/* What was bound: handed to handlers so that a role can be told from the connection. */
struct http_listener {
    const char *text; /* as configured: "127.0.0.1:5000", "unix:/path" */
    int role;         /* the caller's own value */
    bool push;
    struct tls_keys *tls; /* NULL: plain */
};

/* Owner: the connection. Thread: its loop's. Slices live until the exchange ends. */
struct http_exchange {
    struct http_head head; /* method, path, query, version, headers (http/head.h) */
    const struct http_listener *listener;
    struct loop *loop;
    const char *client;      /* "127.0.0.1", "::1", "unix" */
    const char *certificate; /* the common name in the client's certificate; NULL: it has none */
    void *context;           /* the server's context */
    struct task *owner; /* set by the handler before its first STREAM_AGAIN; reset by its end */
    void *user;         /* the handler's own */
    bool gone;
    /* what the log says of it */
    int status;
    uint64_t bytes_sent; /* of the body */
    uint64_t started_us; /* head read whole (clock_mono_us) */
    uint64_t first_us;   /* first byte of the response handed to the kernel; 0: none yet */
};

struct http_server_options {
    void (*handle)(struct http_exchange *x); /* loop thread; may end x before it returns */
    /* called once an exchange ended, however it did, with its figures; before x is reused */
    void (*ended)(struct http_exchange *x);
    void *context;
    unsigned connections; /* at most, in all; 0: any number */
    unsigned per_address; /* from one address; 0: any number */
};

/* One a process; loops get their connections by http_server_accept(). */
struct http_server *http_server_new(const struct http_server_options *options);
void http_server_free(struct http_server *s);

/* Takes an accepted socket; one too many is told so (503, where it is not TLS) and closed. Called
 * on loop `l`. */
void http_server_accept(struct http_server *s, struct loop *l, int fd,
                        const struct http_listener *listener, const char *client);

/* Closes idle connections of loop `l` now and the others after their exchange; `patient`: not those
 * that are new, or that have sent something, whose number it gives. May be repeated. On that loop.
 */
unsigned http_server_drain(struct http_server *s, struct loop *l, bool patient);
/* Takes that back: connections are kept again. On that loop. */
void http_server_undrain(struct http_server *s, struct loop *l);
/* Closes all connections of loop `l` at once (their exchanges see `gone`). On that loop. */
void http_server_stop(struct http_server *s, struct loop *l);
/* Connections open on all loops. Any thread. */
unsigned http_server_connections(const struct http_server *s);
/* Connections of loop `l`, for the acceptor's choice. Any thread. */
unsigned http_server_load(const struct http_server *s, const struct loop *l);

/* Sends a whole response and ends the exchange. `headers`: complete lines with CRLF (may be empty),
 * without Content-Length, Date and Connection, which are added. For HEAD the body is not sent but
 * its length is told; a 204 has neither, a 304 only a length that is not 0. Head and body leave in
 * one call where the socket takes them; the rest is copied. */
void http_reply(struct http_exchange *x, int status, struct slice headers, struct slice body);

/* The same without a body of our own, but with its length told: HEAD of what is large. */
void http_reply_length(struct http_exchange *x, int status, struct slice headers, uint64_t length);

/* Begins a streamed response; `length` HTTP_LENGTH_UNKNOWN means chunked (to an HTTP/1.0 client:
 * until close). Nothing is sent before the first http_send…() or http_send_head(). */
void http_start(struct http_exchange *x, int status, struct slice headers, uint64_t length);
/* Sends the head now: no byte of the body is there yet. 0, STREAM_AGAIN or STREAM_FAILED. */
ssize_t http_send_head(struct http_exchange *x) MUST_CHECK;
/* Bytes taken (may be fewer), STREAM_AGAIN, or STREAM_FAILED. Never more than `length` in all. */
ssize_t http_send(struct http_exchange *x, const void *p, size_t n) MUST_CHECK;
/* The same from a file, SENDFILE_PIECE at most a call; 0: the file ends before. Chunked, what a
 * call offered and did not take must be sent before http_finish(). */
ssize_t http_send_file(struct http_exchange *x, int fd, uint64_t offset, size_t n) MUST_CHECK;
/* Ends the exchange; all of `length` was sent (else it is http_abort()). */
void http_finish(struct http_exchange *x);
/* Ends the exchange and takes its connection out of the server's hands: the socket, which is the
 * caller's from here and speaks whatever both sides know. -1: it is TLS, or gone; http_abort(). */
int http_detach(struct http_exchange *x) MUST_CHECK;
/* Ends the exchange and the connection, short of the length, so that the client sees it. */
void http_abort(struct http_exchange *x);

/* Reads the request's body, decoded: count > 0, 0 at its end, STREAM_AGAIN, STREAM_FAILED (bad
 * framing, client gone). Sends "100 Continue" first where that was asked. What is not read when the
 * exchange ends is skipped up to 256 KiB, beyond which the connection is closed; where it comes in
 * chunks, an http_reply() goes out behind them, and 400 in its place where they are none. */
ssize_t http_read_body(struct http_exchange *x, void *p, size_t n) MUST_CHECK;

#endif
