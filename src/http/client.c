/* http/client.c - a request out, a response head in. */
#include "http/client.h"

#include "http/basic.h"
#include "http/call.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define IN_FIRST 8192u
/* Behind a head there is always so much room, for the lines between chunks. */
#define IN_SPARE 1024u
#define IN_MAX (UPSTREAM_HEAD_MAX + 2 * IN_SPARE)
/* Of a body that nobody read, to keep its connection. */
#define SKIP_MAX (64u * 1024)
/* Interim responses: one that sends them without end, and fast, would hold the loop. */
#define INTERIM_MAX 32

STEP(begin);
STEP(head);
STEP(failed);
static const struct step *step_send(struct op *op);
const struct step CALL_STEP_SEND = {"send", step_send};

struct http_client {
    struct resolver *resolver;
    struct tls_trust *trust;
    struct http_depot depots[LOOPS_MAX]; /* each its own loop's; not used yet where loop is NULL */
};

struct http_client *http_client_new(struct resolver *r)
{
    struct http_client *c = xnew(struct http_client);
    struct err err;

    c->resolver = r;
    c->trust = tls_trust_new(NULL, false, &err);
    assert(c->trust != NULL);
    return c;
}

void http_client_free(struct http_client *c)
{
    if (c == NULL) {
        return;
    }
    for (unsigned i = 0; i < LOOPS_MAX; i++) {
        if (c->depots[i].loop != NULL) {
            depot_fini(&c->depots[i]);
        }
    }
    tls_trust_free(c->trust);
    free(c);
}

struct resolver *http_client_resolver(struct http_client *c)
{
    return c->resolver;
}

static struct http_depot *depot_of(struct http_client *c, struct loop *l)
{
    struct http_depot *d = &c->depots[loop_index(l)];

    if (d->loop == NULL) {
        depot_init(d, l);
    }
    return d;
}

static void call_late(struct timer *t)
{
    struct http_call *c = container_of(t, struct http_call, timer);

    if (c->op.step != NULL) {
        op_abort(&c->op, ERR_TIMEOUT, c->late);
        return;
    }
    c->stall = true;
    loop_defer(c->loop, c->waker);
}

void call_set_timer(struct http_call *c, uint64_t ms, const char *late)
{
    c->late = late;
    timer_set(&c->timer, ms);
}

struct http_call *http_call_new(struct http_client *client, struct loop *l,
                                const struct http_origin *origin, const struct http_route *route,
                                struct task *waker)
{
    struct http_call *c = xnew(struct http_call);
    struct http_route r = *route;

    r.trust = r.trust != NULL ? r.trust : client->trust;
    c->client = client;
    c->loop = l;
    c->origin = *origin;
    c->proxy = r.proxy != NULL ? xstrdup(r.proxy) : NULL;
    c->public_only = r.public_only;
    c->trust = r.trust;
    c->waker = waker;
    c->group = group_get(depot_of(client, l), origin, &r);
    timer_init(&c->timer, l, call_late);
    return c;
}

/* --- the request --------------------------------------------------------------------------- */

void http_proxy_authorization(const char *proxy, struct buf *out)
{
    struct http_url url;
    struct buf user;
    struct buf password;
    const char *why;

    if (!http_url_parse(slice_str(proxy), &url, &why) || url.user.p == NULL) {
        return;
    }
    buf_init(&user, HTTP_URL_MAX);
    buf_init(&password, HTTP_URL_MAX);
    if (http_url_decode(url.user, &user) &&
        (url.password.p == NULL || http_url_decode(url.password, &password))) {
        buf_str(out, "Proxy-Authorization: ");
        http_basic(out, buf_view(&user), buf_view(&password));
        buf_str(out, "\r\n");
    }
    buf_free(&user);
    buf_free(&password);
}

/* Our own lines go between the request line and the caller's. To a proxy that has no tunnel the
 * target is the whole URL (RFC 9112 3.2.2). */
static void request_write(const struct http_call *c, struct slice head, struct slice body,
                          struct buf *out)
{
    size_t line = slice_find(head, '\n') + 1;
    size_t target = slice_find(head, ' ') + 1;

    assert(line <= head.len && target < line);
    buf_slice(out, slice_sub(head, 0, target));
    if (c->proxy != NULL && !c->origin.tls) {
        http_origin_text(&c->origin, out);
    }
    buf_slice(out, slice_sub(head, target, line));
    buf_str(out, "Host: ");
    http_origin_host(&c->origin, out);
    buf_str(out, "\r\n");
    if (c->proxy != NULL && !c->origin.tls) {
        http_proxy_authorization(c->proxy, out);
    }
    buf_slice(out, slice_from(head, line));
    if (body.len > 0) {
        buf_printf(out, "Content-Length: %zu\r\n", body.len);
    }
    buf_str(out, "\r\n");
    buf_slice(out, body);
}

static void call_done(struct op *op)
{
    struct http_call *c = container_of(op, struct http_call, op);

    timer_clear(&c->timer);
    loop_defer(c->loop, c->waker);
}

void http_call_send(struct http_call *c, enum http_method method, struct slice head,
                    struct slice body)
{
    struct buf out;

    assert(c->request == NULL);
    buf_init(&out, head.len + body.len + 4 * HTTP_URL_MAX);
    request_write(c, head, body, &out);
    assert(!out.failed);
    c->method = method;
    c->request_len = out.len;
    c->request = buf_take(&out);
    op_start(&c->op, c->loop, &S_begin, &S_failed, call_done);
}

static const struct step *step_begin(struct op *op)
{
    struct http_call *c = container_of(op, struct http_call, op);

    c->link = group_take(c->group, &op->task);
    c->kept = c->link != NULL;
    return c->kept ? &CALL_STEP_SEND : call_connect(c);
}

int call_send_some(struct http_call *c, const char *p, size_t n)
{
    while (c->sent < n) {
        struct iovec iov = {(char *)(uintptr_t)(p + c->sent), n - c->sent};
        ssize_t sent = stream_writev(&c->link->stream, &iov, 1, false);

        if (sent < 0) {
            return sent == STREAM_AGAIN ? 0 : -1;
        }
        c->sent += (size_t)sent;
    }
    return 1;
}

/* The connection broke before a byte of the response: a kept one gets a successor, once. */
static const struct step *call_broken(struct http_call *c, const char *why)
{
    if (c->kept && c->in_len == 0) {
        c->kept = false;
        c->sent = 0;
        timer_clear(&c->timer);
        link_free(c->link);
        c->link = NULL;
        return call_connect(c);
    }
    return op_fail(&c->op, ERR_UPSTREAM_DOWN, "%s", why);
}

static const struct step *step_send(struct op *op)
{
    struct http_call *c = container_of(op, struct http_call, op);

    if (c->sent == 0) {
        call_set_timer(c, limits.upstream_headers, "no response in time");
    }
    switch (call_send_some(c, c->request, c->request_len)) {
    case 0:
        return STEP_WAIT;
    case 1:
        return &S_head;
    default:
        return call_broken(c, c->link->stream.err.text);
    }
}

/* --- the response's head ------------------------------------------------------------------- */

ssize_t call_receive(struct http_call *c)
{
    ssize_t n;

    if (c->in_len + IN_SPARE >= c->in_cap && c->in_cap < IN_MAX) {
        size_t cap = c->in_cap == 0 ? IN_FIRST : c->in_cap * 2;

        c->in_cap = cap < IN_MAX ? cap : IN_MAX;
        c->in = xrealloc(c->in, c->in_cap);
    }
    n = stream_read(&c->link->stream, c->in + c->in_len, c->in_cap - IN_SPARE - c->in_len);
    c->in_len += n > 0 ? (size_t)n : 0;
    return n;
}

static const struct step *head_taken(struct http_call *c, size_t used)
{
    c->in_base = used;
    c->in_pos = used;
    c->left = c->head.framing == HTTP_BODY_LENGTH ? c->head.length : 0;
    c->over =
        c->head.framing == HTTP_BODY_NONE || (c->head.framing == HTTP_BODY_LENGTH && c->left == 0);
    c->link->stream.owner = c->waker;
    return STEP_END;
}

/* Takes the head off what has come; NULL: more is needed. */
static const struct step *head_parse(struct http_call *c)
{
    struct err err = {0};
    size_t used = 0;

    for (;;) {
        switch (http_parse_response(&c->parse, slice_of(c->in, c->in_len), c->method, &c->head,
                                    &used, &err)) {
        case HTTP_PARSED_MORE:
            return NULL;
        case HTTP_PARSED_BAD:
            return op_fail(&c->op, ERR_UPSTREAM_PROTOCOL, "its response: %s", err.text);
        case HTTP_PARSED_HEAD:
            break;
        }
        if (c->head.status == 101) {
            return op_fail(&c->op, ERR_UPSTREAM_PROTOCOL, "it changed the protocol unasked");
        }
        if (c->head.status >= 200) {
            return head_taken(c, used);
        }
        if (++c->interims > INTERIM_MAX) {
            return op_fail(&c->op, ERR_UPSTREAM_PROTOCOL, "over %d interim responses", INTERIM_MAX);
        }
        memmove(c->in, c->in + used, c->in_len - used);
        c->in_len -= used;
        c->parse = (struct http_parse){0};
    }
}

static const struct step *step_head(struct op *op)
{
    struct http_call *c = container_of(op, struct http_call, op);

    for (;;) {
        const struct step *next;
        ssize_t n = call_receive(c);

        if (n == STREAM_AGAIN) {
            return STEP_WAIT;
        }
        if (n <= 0) {
            return call_broken(c, n == 0 ? "closed the connection without a response"
                                         : c->link->stream.err.text);
        }
        next = head_parse(c);
        if (next != NULL) {
            return next;
        }
    }
}

static const struct step *step_failed(struct op *op)
{
    struct http_call *c = container_of(op, struct http_call, op);

    /* What dialling says names the host already. */
    if (c->dial == NULL) {
        err_wrap(&op->err, "%s", c->origin.host);
    }
    dial_free(c->dial);
    c->dial = NULL;
    link_free(c->link);
    c->link = NULL;
    return STEP_END;
}

enum http_call_state http_call_poll(struct http_call *c, struct err *err)
{
    assert(c->request != NULL);
    if (c->op.step != NULL) {
        return HTTP_CALL_NOT_YET;
    }
    if (c->op.err.code != ERR_NONE) {
        *err = c->op.err;
        return HTTP_CALL_FAILED;
    }
    return HTTP_CALL_HEAD;
}

const struct http_head *http_call_head(const struct http_call *c)
{
    return &c->head;
}

bool http_call_is_public(const struct http_call *c)
{
    return c->link->is_public;
}

/* --- the end ------------------------------------------------------------------------------- */

/* Reads on where only little is missing, so that the connection can be kept. */
static void call_skip_rest(struct http_call *c)
{
    struct err err;
    char scrap[8192];
    size_t skipped = 0;

    if (c->head.framing == HTTP_BODY_LENGTH && c->left > SKIP_MAX) {
        return;
    }
    while (!c->over && skipped < SKIP_MAX) {
        ssize_t n = http_call_read(c, scrap, sizeof(scrap), &err);

        if (n <= 0) {
            return;
        }
        skipped += (size_t)n;
    }
}

static bool call_may_keep(struct http_call *c)
{
    if (c->op.step != NULL || c->op.err.code != ERR_NONE || !c->head.keep_alive ||
        c->head.framing == HTTP_BODY_UNTIL_CLOSE) {
        return false;
    }
    call_skip_rest(c);
    return c->over && c->in_pos == c->in_len;
}

void http_call_free(struct http_call *c)
{
    if (c == NULL) {
        return;
    }
    if (c->link != NULL && call_may_keep(c)) {
        link_keep(c->link);
        c->link = NULL;
    }
    op_cancel(&c->op);
    dial_free(c->dial);
    link_free(c->link);
    timer_fini(&c->timer);
    group_unref(c->group);
    buf_free(&c->tunnel);
    if (c->request != NULL) {
        explicit_bzero(c->request, c->request_len); /* it held a token */
    }
    free(c->request);
    free(c->in);
    free(c->proxy);
    free(c);
}
