/*
 * upstream/token.c - one question to a token server, and the table of answers.
 *
 *   send -> head -> body -> end        any failure -> failed -> end
 */
#include "upstream/token.h"

#include "base/clock.h"
#include "base/counter.h"
#include "base/map.h"
#include "http/client.h"
#include "loop/op.h"
#include "oci/token.h"
#include "upstream/upstream_impl.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#define TOKENS_MAX 4096
#define TOKEN_ANSWER_MAX (64u * 1024)
#define KEY_MAX 8192
#define FORM_MAX 16384

struct token_table {
    pthread_mutex_t lock;
    struct map map;
    struct list all; /* oldest first */
};

/* Owner: counted; the table, the op and each who waits. Constant once `state` says so. */
struct token {
    struct map_node node;
    struct list in_all;
    bool listed;
    struct token_table *table;
    atomic_uint refs;
    char *key;
    struct bell bell;
    _Atomic(enum token_state) state;
    _Atomic uint64_t expires_ms;

    struct op op;
    struct upstream *upstream;
    struct endpoint *endpoint;
    struct secret *secret; /* NULL: none */
    char *realm;
    bool public_only;
    char *service;
    char *scope;
    struct http_call *call;
    struct timer timer; /* the whole question: a body that drips would hold all who wait */
    struct buf body;

    char *text;
    struct err err;
};

STEP(send);
STEP(head);
STEP(body);
STEP(failed);

static struct token *token_of(struct op *op)
{
    return container_of(op, struct token, op);
}

/* --- life ---------------------------------------------------------------------------------- */

static void token_free(struct token *t)
{
    op_cancel(&t->op);
    http_call_free(t->call);
    timer_fini(&t->timer);
    buf_free(&t->body);
    bell_fini(&t->bell);
    if (t->text != NULL) {
        explicit_bzero(t->text, strlen(t->text));
    }
    free(t->text);
    free(t->key);
    secret_unref(t->secret);
    free(t->realm);
    free(t->service);
    free(t->scope);
    free(t);
}

void token_unref(struct token *t)
{
    if (t != NULL && atomic_fetch_sub(&t->refs, 1) == 1) {
        token_free(t);
    }
}

struct token_table *token_table_new(void)
{
    struct token_table *table = xnew(struct token_table);

    pthread_mutex_init(&table->lock, NULL);
    map_init(&table->map);
    list_init(&table->all);
    return table;
}

void token_table_free(struct token_table *table)
{
    struct list *node;

    if (table == NULL) {
        return;
    }
    while ((node = list_pop(&table->all)) != NULL) {
        token_free(container_of(node, struct token, in_all));
    }
    map_fini(&table->map);
    pthread_mutex_destroy(&table->lock);
    free(table);
}

static bool token_is(const struct map_node *node, const void *key)
{
    return strcmp(container_of_const(node, struct token, node)->key, key) == 0;
}

/* Caller has the lock; the table's reference is dropped. */
static void unlist(struct token *t)
{
    if (t->listed) {
        map_remove(&t->table->map, &t->node);
        list_remove(&t->in_all);
        t->listed = false;
        token_unref(t);
    }
}

void token_drop(struct token *t)
{
    pthread_mutex_lock(&t->table->lock);
    unlist(t);
    pthread_mutex_unlock(&t->table->lock);
}

static char *make_key(const struct token_question *q)
{
    uint64_t id = q->credential == NULL ? 0 : q->credential->id;

    return xasprintf("%s %s %llx.%x %s\n%s", upstream_name(q->upstream), q->realm,
                     (unsigned long long)id, q->secret == NULL ? 0 : q->secret->serial, q->service,
                     q->scope);
}

static void token_ended(struct op *op)
{
    struct token *t = token_of(op);

    http_call_free(t->call);
    t->call = NULL;
    timer_fini(&t->timer);
    buf_free(&t->body);
    upstream_release(t->upstream);
    token_unref(t);
}

static void token_late(struct timer *timer)
{
    struct token *t = container_of(timer, struct token, timer);

    op_abort(&t->op, ERR_TIMEOUT, "the token server did not answer in time");
}

static struct token *token_new(struct token_table *table, const struct token_question *q, char *key)
{
    struct token *t = xnew(struct token);

    atomic_init(&t->refs, 3); /* the table's, the op's, the caller's */
    atomic_init(&t->state, TOKEN_NOT_YET);
    atomic_init(&t->expires_ms, UINT64_MAX);
    bell_init(&t->bell);
    t->table = table;
    t->key = key;
    t->upstream = q->upstream;
    t->endpoint = q->endpoint;
    t->secret = q->secret;
    if (t->secret != NULL) {
        secret_ref(t->secret);
    }
    t->realm = xstrdup(q->realm);
    t->public_only = q->public_only;
    t->service = xstrdup(q->service);
    t->scope = xstrdup(q->scope);
    buf_init(&t->body, TOKEN_ANSWER_MAX);
    return t;
}

/* The oldest go where there are too many: a name that somebody made up costs one entry. */
static void make_room(struct token_table *table)
{
    while (table->map.count >= TOKENS_MAX) {
        unlist(container_of(table->all.next, struct token, in_all));
    }
}

struct token *token_get(const struct token_question *q, struct loop *l)
{
    struct token_table *table = q->upstream->all->tokens;
    char *key = make_key(q);
    uint64_t hash = map_hash(key, strlen(key));
    struct map_node *node;
    struct token *t = NULL;
    bool made;

    pthread_mutex_lock(&table->lock);
    node = map_find(&table->map, hash, token_is, key);
    if (node != NULL) {
        t = container_of(node, struct token, node);
        if (loop_now(l) >= atomic_load(&t->expires_ms)) {
            unlist(t);
            t = NULL;
        }
    }
    made = t == NULL;
    if (made) {
        make_room(table);
        t = token_new(table, q, key);
        map_insert(&table->map, hash, &t->node);
        list_append(&table->all, &t->in_all);
        t->listed = true;
    } else {
        atomic_fetch_add(&t->refs, 1);
    }
    pthread_mutex_unlock(&table->lock);
    if (made) {
        timer_init(&t->timer, l, token_late);
        timer_set(&t->timer, limits.connect + limits.tls + limits.upstream_headers);
        upstream_hold(t->upstream);
        op_start(&t->op, l, &S_send, &S_failed, token_ended);
    } else {
        free(key);
    }
    return t;
}

enum token_state token_poll(struct token *t, struct loop *l, struct waiter *w)
{
    enum token_state state = atomic_load(&t->state);

    if (state != TOKEN_NOT_YET) {
        return state;
    }
    bell_wait(&t->bell, l, w);
    state = atomic_load(&t->state);
    if (state != TOKEN_NOT_YET) {
        bell_leave(w);
    }
    return state;
}

const char *token_text(const struct token *t)
{
    return t->text;
}

const struct err *token_error(const struct token *t)
{
    return &t->err;
}

/* --- the question -------------------------------------------------------------------------- */

/* Sends it, unless it did not fit. */
static bool send_whole(struct token *t, enum http_method method, struct buf *head, struct buf *form)
{
    bool fits = !head->failed && !form->failed;

    if (fits) {
        http_call_send(t->call, method, buf_view(head), buf_view(form));
    }
    if (head->len > 0) {
        explicit_bzero(head->p, head->len);
    }
    if (form->len > 0) {
        explicit_bzero(form->p, form->len);
    }
    buf_free(head);
    buf_free(form);
    return fits;
}

/* GET realm?service=…&scope=…, with Basic where there is a password. */
static bool send_get(struct token *t, const struct http_url *url)
{
    const struct secret *k = t->secret;
    struct slice rest = slice_str(t->scope);
    struct slice scope;
    struct buf head;
    struct buf none;

    buf_init(&head, FORM_MAX);
    buf_init(&none, 0);
    buf_str(&head, "GET ");
    buf_slice(&head, url->path.len > 0 ? url->path : slice_str("/"));
    buf_str(&head, "?");
    if (url->query.p != NULL && url->query.len > 0) {
        buf_slice(&head, url->query);
        buf_str(&head, "&");
    }
    buf_str(&head, "service=");
    buf_percent(&head, slice_str(t->service));
    while (slice_split(&rest, ' ', &scope)) {
        buf_str(&head, "&scope=");
        buf_percent(&head, scope);
    }
    if (k != NULL && k->user != NULL && k->password != NULL) {
        buf_str(&head, "&account=");
        buf_percent(&head, slice_str(k->user));
    }
    buf_str(&head,
            " HTTP/1.1\r\nUser-Agent: larder/" LARDER_VERSION "\r\nAccept: application/json\r\n");
    if (k != NULL && k->password != NULL) {
        buf_str(&head, "Authorization: ");
        secret_basic(k, &head);
        buf_str(&head, "\r\n");
    }
    return send_whole(t, HTTP_GET, &head, &none);
}

/* OAuth2 refresh_token, for identity tokens. */
static bool send_post(struct token *t, const struct http_url *url)
{
    struct buf head;
    struct buf form;

    buf_init(&head, FORM_MAX);
    buf_init(&form, FORM_MAX);
    buf_str(&head, "POST ");
    http_url_target(url, &head);
    buf_str(&head,
            " HTTP/1.1\r\nUser-Agent: larder/" LARDER_VERSION "\r\nAccept: application/json\r\n"
            "Content-Type: application/x-www-form-urlencoded\r\n");
    buf_str(&form, "grant_type=refresh_token&client_id=larder&service=");
    buf_percent(&form, slice_str(t->service));
    buf_str(&form, "&scope=");
    buf_percent(&form, slice_str(t->scope));
    buf_str(&form, "&refresh_token=");
    buf_percent(&form, slice_str(t->secret->identity_token));
    return send_whole(t, HTTP_POST, &head, &form);
}

static const struct step *step_send(struct op *op)
{
    struct token *t = token_of(op);
    struct http_route route = {.trust = t->upstream->trust, .public_only = t->public_only};
    bool is_identity = t->secret != NULL && t->secret->identity_token != NULL;
    struct http_url url;
    const char *why;
    bool sent;

    if (!http_url_parse(slice_str(t->realm), &url, &why)) {
        return op_fail(op, ERR_UPSTREAM_PROTOCOL, "%s: its token server's URL is none: %s",
                       t->upstream->name, why);
    }
    route.proxy = proxyenv_for(&t->upstream->all->proxyenv, &url.origin);
    t->call = http_call_new(t->upstream->all->client, op->loop, &url.origin, &route, &op->task);
    count(upstream_tokens);
    sent = is_identity ? send_post(t, &url) : send_get(t, &url);
    if (!sent) {
        return op_fail(op, ERR_UPSTREAM_PROTOCOL, "%s: token server: a question over %u bytes",
                       t->upstream->name, FORM_MAX);
    }
    return &S_head;
}

static const struct step *token_refused(struct token *t, const struct http_head *h)
{
    const char *name = t->upstream->name;
    struct err err = {0};

    if (h->status == 429 || h->status >= 500) {
        count(upstream_errors);
        err_set(&err, h->status == 429 ? ERR_TOO_MANY : ERR_UPSTREAM_DOWN,
                "%s: token server answers %d", name, h->status);
        err.retry_after = rules_retry_after(http_field(h, "Retry-After"), clock_wall_s());
    } else if (h->status / 100 == 3) {
        err_set(&err, ERR_UPSTREAM_PROTOCOL, "%s: token server redirects, which is not followed",
                name);
    } else {
        err_set(&err, ERR_UPSTREAM_REFUSED, "%s: token server answers %d%s", name, h->status,
                t->secret != NULL ? "; check the credentials configured for it" : "");
    }
    return op_fail_with(&t->op, &err);
}

static const struct step *step_head(struct op *op)
{
    struct token *t = token_of(op);
    struct err err = {0};
    const struct http_head *h;

    switch (http_call_poll(t->call, &err)) {
    case HTTP_CALL_NOT_YET:
        return STEP_WAIT;
    case HTTP_CALL_FAILED:
        count(upstream_errors);
        err_wrap(&err, "%s: token server", t->upstream->name);
        return op_fail_with(op, &err);
    case HTTP_CALL_HEAD:
        break;
    }
    h = http_call_head(t->call);
    return h->status == 200 ? &S_body : token_refused(t, h);
}

static void publish(struct token *t, enum token_state state)
{
    atomic_store(&t->state, state);
    bell_ring(&t->bell);
}

static const struct step *take_body(struct token *t)
{
    struct token_answer answer = {0};
    struct err err = {0};

    if (token_answer_parse(buf_view(&t->body), &answer, &err) < 0) {
        err_wrap(&err, "%s: token server", t->upstream->name);
        return op_fail_with(&t->op, &err);
    }
    t->text = xstrdup(answer.token);
    atomic_store(&t->expires_ms, loop_now(t->op.loop) + answer.expires_s * 900);
    token_answer_free(&answer);
    publish(t, TOKEN_READY);
    return STEP_END;
}

static const struct step *step_body(struct op *op)
{
    struct token *t = token_of(op);
    struct err err = {0};
    char piece[4096];
    ssize_t n = 0;

    /* An answer that never ends, and comes fast, would hold the loop: no timer fires meanwhile. */
    while (!t->body.failed && (n = http_call_read(t->call, piece, sizeof(piece), &err)) > 0) {
        buf_append(&t->body, piece, (size_t)n);
    }
    if (t->body.failed) {
        return op_fail(op, ERR_UPSTREAM_PROTOCOL, "%s: token server: answer over %u bytes",
                       t->upstream->name, TOKEN_ANSWER_MAX);
    }
    if (n == STREAM_AGAIN) {
        return STEP_WAIT;
    }
    if (n < 0) {
        err_wrap(&err, "%s: token server", t->upstream->name);
        return op_fail_with(op, &err);
    }
    return take_body(t);
}

/* Shared by those who wait, not kept. */
static const struct step *step_failed(struct op *op)
{
    struct token *t = token_of(op);

    t->err = op->err;
    token_drop(t);
    publish(t, TOKEN_FAILED);
    return STEP_END;
}
