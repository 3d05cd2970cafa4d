/* http/client_connect.c - a new connection: addresses, the proxy's tunnel, TLS. */
#include "http/call.h"

#include "base/counter.h"
#include "http/basic.h"

#include <stdio.h>
#include <string.h>

STEP(dial);
STEP(tunnel);
STEP(tunnel_head);
STEP(secure);

static struct http_call *call_of(struct op *op)
{
    return container_of(op, struct http_call, op);
}

const struct step *call_connect(struct http_call *c)
{
    (void)c;
    return &S_dial;
}

/* Whether the host is an address that must not be asked for: behind a proxy nobody else looks. */
static bool is_forbidden(const struct http_call *c)
{
    struct address a;

    return c->public_only && address_parse(c->origin.host, &a) && !address_is_public(&a);
}

static bool dial_begin(struct http_call *c, struct err *err)
{
    struct dial_target target = {c->origin.host, c->origin.port, c->public_only};
    const char *why;
    struct http_url url;

    if (c->proxy != NULL) {
        if (!http_url_parse(slice_str(c->proxy), &url, &why)) {
            err_set(err, ERR_UPSTREAM_DOWN, "the proxy's URL: %s", why);
            return false;
        }
        target = (struct dial_target){url.origin.host, url.origin.port, false};
    }
    if (is_forbidden(c)) {
        err_set(err, ERR_UPSTREAM_PROTOCOL, "it is a private address, which is not allowed");
        return false;
    }
    c->dial = dial_new(http_client_resolver(c->client), c->loop, &target, &c->op.task);
    return true;
}

/* Through a proxy only the host as it is written tells. */
static bool peer_is_public(const struct http_call *c, const struct address *to)
{
    struct address a;

    if (c->proxy == NULL) {
        return address_is_public(to);
    }
    return !address_parse(c->origin.host, &a) || address_is_public(&a);
}

static const struct step *step_dial(struct op *op)
{
    struct http_call *c = call_of(op);
    struct address to;
    int fd;

    if (c->dial == NULL && !dial_begin(c, &op->err)) {
        return op->on_error;
    }
    switch (dial_poll(c->dial, &fd, &to, &op->err)) {
    case DIAL_NOT_YET:
        return STEP_WAIT;
    case DIAL_FAILED:
        return op->on_error;
    case DIAL_DONE:
        break;
    }
    op->err = (struct err){0};
    dial_free(c->dial);
    c->dial = NULL;
    c->link = link_new(c->group, fd, &op->task);
    c->link->is_public = peer_is_public(c, &to);
    count(upstream_connections);
    if (c->proxy != NULL && c->origin.tls) {
        return &S_tunnel;
    }
    return c->origin.tls ? &S_secure : &CALL_STEP_SEND;
}

/* The whole text of CONNECT; `:port` always, as RFC 9110 9.3.6 wants it. */
static void tunnel_text(struct http_call *c)
{
    bool v6 = strchr(c->origin.host, ':') != NULL;
    char host[300];

    snprintf(host, sizeof(host), "%s%s%s:%u", v6 ? "[" : "", c->origin.host, v6 ? "]" : "",
             c->origin.port);
    buf_free(&c->tunnel);
    buf_init(&c->tunnel, 8192);
    buf_printf(&c->tunnel, "CONNECT %s HTTP/1.1\r\nHost: %s\r\n", host, host);
    http_proxy_authorization(c->proxy, &c->tunnel);
    buf_str(&c->tunnel, "\r\n");
    c->sent = 0;
    call_set_timer(c, limits.upstream_headers, "the proxy did not answer in time");
}

static const struct step *step_tunnel(struct op *op)
{
    struct http_call *c = call_of(op);
    int done;

    if (c->tunnel.len == 0) {
        tunnel_text(c);
    }
    done = call_send_some(c, c->tunnel.p, c->tunnel.len);
    if (done < 0) {
        return op_fail(op, ERR_UPSTREAM_DOWN, "the proxy: %s", c->link->stream.err.text);
    }
    return done == 0 ? STEP_WAIT : &S_tunnel_head;
}

/* The proxy's answer. Behind a good one nothing may follow: TLS clients speak first. */
static const struct step *tunnel_answer(struct http_call *c, size_t used)
{
    struct op *op = &c->op;

    if (c->head.status == 407) {
        return op_fail(op, ERR_UPSTREAM_DOWN, "the proxy wants a user and password, or others");
    }
    if (c->head.status / 100 != 2) {
        return op_fail(op, ERR_UPSTREAM_DOWN, "the proxy refused to connect: status %d",
                       c->head.status);
    }
    if (used != c->in_len) {
        return op_fail(op, ERR_UPSTREAM_PROTOCOL, "the proxy sent bytes before TLS began");
    }
    c->in_len = 0;
    c->parse = (struct http_parse){0};
    return &S_secure;
}

static const struct step *step_tunnel_head(struct op *op)
{
    struct http_call *c = call_of(op);
    struct err err;

    for (;;) {
        ssize_t n = call_receive(c);
        size_t used = 0;

        if (n == STREAM_AGAIN) {
            return STEP_WAIT;
        }
        if (n <= 0) {
            return op_fail(op, ERR_UPSTREAM_DOWN, "the proxy closed the connection");
        }
        switch (http_parse_response(&c->parse, slice_of(c->in, c->in_len), HTTP_CONNECT, &c->head,
                                    &used, &err)) {
        case HTTP_PARSED_MORE:
            continue;
        case HTTP_PARSED_BAD:
            return op_fail(op, ERR_UPSTREAM_PROTOCOL, "the proxy's answer: %s", err.text);
        case HTTP_PARSED_HEAD:
            return tunnel_answer(c, used);
        }
    }
}

static const struct step *step_secure(struct op *op)
{
    struct http_call *c = call_of(op);
    struct stream *s = &c->link->stream;

    if (s->tls == NULL) {
        tls_session_start(s, c->trust, c->origin.host, &c->group->ticket);
        call_set_timer(c, limits.tls, "the TLS handshake took too long");
    }
    switch (tls_handshake(s)) {
    case STREAM_AGAIN:
        return STEP_WAIT;
    case STREAM_FAILED:
        return op_fail(op, ERR_UPSTREAM_TLS, "%s", s->err.text);
    default:
        c->sent = 0;
        return &CALL_STEP_SEND;
    }
}
