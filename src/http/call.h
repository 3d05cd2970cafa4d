/*
 * http/call.h - one request to an upstream, as the files of the client share it. For nobody else.
 *
 *   begin -> [dial -> [tunnel -> tunnel_head] -> [secure]] -> send -> head, then http_call_read()
 *              ^                                               |
 *              '------ a kept connection had been closed ------'
 */
#ifndef HTTP_CALL_H
#define HTTP_CALL_H

#include "http/chunked.h"
#include "http/link.h"
#include "http/pace.h"
#include "net/dial.h"

/* Owner: whoever made it. Thread: its loop's. */
struct http_call {
    struct op op; /* up to the response's head */
    struct http_client *client;
    struct loop *loop;
    struct http_origin origin;
    char *proxy; /* or NULL */
    bool public_only;
    const struct tls_trust *trust;
    struct task *waker;
    struct http_group *group;
    struct http_link *link; /* NULL: not connected */
    struct dial *dial;      /* while connecting */
    bool kept;              /* the link served another call before, and may be dead */
    struct timer timer;
    const char *late; /* what the timer says when it fires before the head is here */

    enum http_method method;
    char *request;
    size_t request_len;
    struct buf tunnel; /* what a proxy is asked; the call's request follows later */
    size_t sent;       /* of either */

    /* What was received: the head, then bytes of the body that came with it. */
    char *in;
    size_t in_cap;
    size_t in_len;
    size_t in_pos;  /* used up */
    size_t in_base; /* behind the head: from here on the room may be used again */
    struct http_parse parse;
    unsigned interims; /* responses of status 1xx so far */
    struct http_head head;

    /* The body. */
    bool over;  /* its end was proven */
    bool stall; /* the timer fired: nothing came */
    struct pace pace;
    uint64_t left;
    uint64_t got;
    struct http_chunked chunked;
    struct slice data; /* a piece of a chunk within `in` that was not taken yet */
};

struct resolver *http_client_resolver(struct http_client *c);

/* The first step of connecting, which goes on at CALL_STEP_SEND. */
const struct step *call_connect(struct http_call *c);
extern const struct step CALL_STEP_SEND;

/* Appends a Proxy-Authorization line, where the proxy's URL has a user. */
void http_proxy_authorization(const char *proxy, struct buf *out);

/* Sends p[c->sent … n): 1 when all is out, 0 to wait, -1 with link->stream.err. */
int call_send_some(struct http_call *c, const char *p, size_t n);
/* Receives more behind in_len: what stream_read() gives. */
ssize_t call_receive(struct http_call *c);
/* Bounds what follows; `late` says what did not come in time. */
void call_set_timer(struct http_call *c, uint64_t ms, const char *late);

#endif
