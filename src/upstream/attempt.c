/*
 * upstream/attempt.c - one endpoint is asked one question: with token, across redirects.
 *
 *   begin -> auth -> (token ->) send -> head --2xx--> ready
 *              ^                 ^        |--redirect--> send, without our credential
 *              |--401: challenge learnt---|  (a 401 that names none: asked of /v2/ first)
 *              '--renew: another secret---'--anything else, and what goes wrong--> failed
 */
#include "upstream/attempt.h"

#include "base/clock.h"
#include "base/counter.h"
#include "http/range.h"
#include "oci/manifest.h"
#include "upstream/upstream_impl.h"

#include <stdio.h>
#include <stdlib.h>

#define HEAD_MAX (32u * 1024)

struct attempt {
    struct op op;
    struct task wake; /* the call's waker: for the op until READY, for the user after */
    struct task *user;
    const struct fetch_question *question;
    struct upstream *upstream;
    struct endpoint *endpoint;
    struct credential *credential; /* for this repository; NULL: none */
    struct secret *secret;         /* what it is */
    bool renewed;                  /* it was refused once, and looked for again: */
    struct err denied;             /* what to say where there is no other */
    enum fetch_state state;
    uint64_t since_ms; /* when it began to wait for what it waits for */

    bool probing; /* the request under way is for /v2/, to be challenged */
    struct token *token;
    struct waiter waiter;
    bool challenged; /* by this endpoint, for this question */
    struct challenge challenge;
    struct buf url; /* of the request under way, absolute */
    struct http_origin origin;
    unsigned redirects;
    bool restarted; /* a redirect's target refused once: the registry was asked again */
    bool public_only;
    struct http_call *call;
    struct fetch_answer answer;
};

STEP(begin);
STEP(auth);
STEP(renew);
STEP(token);
STEP(send);
STEP(head);
STEP(failed);

static struct attempt *attempt_of(struct op *op)
{
    return container_of(op, struct attempt, op);
}

/* --- life ---------------------------------------------------------------------------------- */

static void on_call(struct task *task)
{
    struct attempt *a = container_of(task, struct attempt, wake);

    if (a->state == FETCH_NOT_YET) {
        op_wake(&a->op);
    } else {
        loop_defer(a->op.loop, a->user);
    }
}

static void on_token(struct waiter *w)
{
    op_wake(&container_of(w, struct attempt, waiter)->op);
}

static void attempt_ended(struct op *op)
{
    struct attempt *a = attempt_of(op);

    loop_defer(op->loop, a->user);
}

struct attempt *attempt_new(const struct attempt_target *t, struct loop *l, struct task *waker)
{
    struct attempt *a = xnew(struct attempt);

    a->user = waker;
    a->question = t->question;
    a->upstream = t->question->upstream;
    a->endpoint = t->endpoint;
    a->credential = t->credential;
    a->secret = t->secret;
    if (a->secret != NULL) {
        secret_ref(a->secret);
    }
    a->since_ms = loop_now(l);
    task_init(&a->wake, on_call);
    waiter_init(&a->waiter, on_token);
    buf_init(&a->url, HTTP_URL_MAX);
    op_start(&a->op, l, &S_begin, &S_failed, attempt_ended);
    return a;
}

void attempt_free(struct attempt *a)
{
    if (a == NULL) {
        return;
    }
    op_cancel(&a->op);
    task_cancel(&a->wake);
    bell_leave(&a->waiter);
    token_unref(a->token);
    secret_unref(a->secret);
    http_call_free(a->call);
    buf_free(&a->url);
    free(a);
}

void attempt_wake(struct attempt *a, struct task *waker)
{
    a->user = waker;
}

enum fetch_state attempt_poll(struct attempt *a, struct err *err)
{
    if (a->state == FETCH_FAILED) {
        *err = a->op.err;
    }
    return a->state;
}

uint64_t attempt_since(const struct attempt *a)
{
    return a->since_ms;
}

struct endpoint *attempt_endpoint(const struct attempt *a)
{
    return a->endpoint;
}

const struct fetch_answer *attempt_answer(const struct attempt *a)
{
    return &a->answer;
}

ssize_t attempt_read(struct attempt *a, void *p, size_t n, struct err *err)
{
    ssize_t got = http_call_read(a->call, p, n, err);

    if (got == STREAM_FAILED) {
        count(upstream_errors);
    }
    return got;
}

bool attempt_is_slow(const struct attempt *a)
{
    return http_call_is_slow(a->call);
}

void attempt_rest(struct attempt *a)
{
    http_call_rest(a->call);
}

/* --- URL and credential --------------------------------------------------------------------- */

/* The registry's own URL for the question, at the endpoint. */
static void make_url(struct attempt *a)
{
    static const char *const FORMS[] = {
        [FETCH_MANIFEST] = "/manifests/",
        [FETCH_BLOB] = "/blobs/",
        [FETCH_TAGS] = "/tags/list",
        [FETCH_REFERRERS] = "/referrers/",
    };
    const struct endpoint *e = a->endpoint;
    bool query = a->question->kind == FETCH_TAGS && a->question->reference[0] != '\0';

    buf_free(&a->url);
    http_origin_text(&e->origin, &a->url);
    buf_printf(&a->url, "%s/%s%s%s%s", e->path, a->question->repo, FORMS[a->question->kind],
               query ? "?" : "", a->question->reference);
    if (e->ns) {
        buf_printf(&a->url,
                   "%sns=", strchr(a->question->reference, '?') != NULL || query ? "&" : "?");
        buf_percent(&a->url, slice_str(a->upstream->name));
    }
    a->origin = e->origin;
    a->redirects = 0;
    a->public_only = false;
}

/* Where every registry challenges, for one that does not say elsewhere what it wants. */
static void make_probe_url(struct attempt *a)
{
    const struct endpoint *e = a->endpoint;

    buf_free(&a->url);
    http_origin_text(&e->origin, &a->url);
    buf_slice(&a->url, slice_of(e->path, (size_t)(e->below - e->path)));
    buf_str(&a->url, e->below[0] == '\0' && e->below[-1] != '/' ? "/" : "");
    a->origin = e->origin;
    a->probing = true;
}

/* Whether the request under way is to the registry itself, not to where it redirected. */
static bool at_home(const struct attempt *a)
{
    return http_origin_equal(&a->origin, &a->endpoint->origin);
}

/* What was refused is looked for again. */
static const struct step *step_renew(struct op *op)
{
    struct attempt *a = attempt_of(op);
    struct secret *secret = NULL;

    if (credential_poll(a->credential, op->loop, &a->waiter, &secret, &op->err) ==
        CREDENTIAL_NOT_YET) {
        return STEP_WAIT;
    }
    if (secret == NULL || secret == a->secret) {
        secret_unref(secret);
        op->err = a->denied;
        return &S_failed;
    }
    secret_unref(a->secret);
    a->secret = secret;
    return &S_auth;
}

/* The registry did not take what it was sent, as op.err says: a newer one is looked for, once. */
static const struct step *denied(struct attempt *a)
{
    if (a->secret == NULL || a->renewed ||
        !credential_refused(a->credential, a->secret, clock_mono_ms())) {
        return &S_failed;
    }
    a->renewed = true;
    a->denied = a->op.err;
    a->op.err = (struct err){0};
    a->probing = false;
    make_url(a);
    return &S_renew;
}

/* What an endpoint's path has behind /v2/ is a part of the name there. */
static void write_scope(const struct attempt *a, struct buf *out)
{
    const char *below = a->endpoint->below;
    _cleanup_free_ char *name =
        xasprintf("%s%s%s", below, below[0] != '\0' ? "/" : "", a->question->repo);

    rules_scope(a->challenge.scope, name, a->challenged, out);
}

/* Asks for a token where the endpoint wants one. */
static const struct step *want_token(struct attempt *a)
{
    struct rules rules = upstream_rules(a->upstream, a->endpoint);
    struct token_question q = {.upstream = a->upstream,
                               .endpoint = a->endpoint,
                               .credential = a->credential,
                               .secret = a->secret};
    const char *why = NULL;
    struct http_url base;
    struct http_url realm;
    struct err err = {0};
    struct buf scope;
    struct buf url;

    buf_init(&url, HTTP_URL_MAX);
    buf_init(&scope, sizeof(a->challenge.scope) + HTTP_URL_MAX);
    if (!http_url_parse(slice_str(a->endpoint->url), &base, &why) ||
        !http_url_resolve(&base, slice_str(a->challenge.realm), &url, &why) ||
        !http_url_parse(buf_view(&url), &realm, &why)) {
        err_set(&err, ERR_UPSTREAM_PROTOCOL, "%s: its realm is no URL: %s", a->upstream->name, why);
    } else if (rules_realm(&rules, &realm.origin, &q.public_only, &err) == 0) {
        write_scope(a, &scope);
        q.realm = url.p;
        q.service = a->challenge.service;
        q.scope = scope.p;
        token_unref(a->token);
        a->token = token_get(&q, a->op.loop);
        a->since_ms = loop_now(a->op.loop);
    }
    buf_free(&url);
    buf_free(&scope);
    if (err.code != ERR_NONE) {
        a->op.err = err;
        return &S_failed;
    }
    return &S_token;
}

static const struct step *step_begin(struct op *op)
{
    make_url(attempt_of(op));
    return &S_auth;
}

static const struct step *step_auth(struct op *op)
{
    struct attempt *a = attempt_of(op);

    if (a->url.failed) {
        return op_fail(op, ERR_UPSTREAM_PROTOCOL, "%s: the URL would be too long",
                       a->question->repo);
    }
    if (!a->challenged) {
        endpoint_challenge(a->endpoint, &a->challenge);
    }
    return a->challenge.scheme == CHALLENGE_BEARER ? want_token(a) : &S_send;
}

static const struct step *step_token(struct op *op)
{
    struct attempt *a = attempt_of(op);

    switch (token_poll(a->token, op->loop, &a->waiter)) {
    case TOKEN_NOT_YET:
        return STEP_WAIT;
    case TOKEN_READY:
        return &S_send;
    case TOKEN_FAILED:
        break;
    }
    op->err = *token_error(a->token);
    return op->err.code == ERR_UPSTREAM_REFUSED ? denied(a) : &S_failed;
}

/* --- the request --------------------------------------------------------------------------- */

static void count_request(const struct attempt *a)
{
    bool head = a->question->head;

    count(upstream_requests);
    if (a->redirects > 0 || a->probing) {
        return;
    }
    if (a->question->kind == FETCH_MANIFEST) {
        counter_add(head ? COUNTER_upstream_manifest_heads : COUNTER_upstream_manifest_gets, 1);
    } else if (a->question->kind == FETCH_BLOB) {
        counter_add(head ? COUNTER_upstream_blob_heads : COUNTER_upstream_blob_gets, 1);
    }
}

static bool has_password(const struct attempt *a)
{
    return a->secret != NULL && a->secret->password != NULL;
}

/* Our credential goes to the endpoint's own origin and to nobody else. */
static void add_authorization(const struct attempt *a, struct buf *head)
{
    if (!at_home(a) || a->probing) {
        return;
    }
    if (a->challenge.scheme == CHALLENGE_BEARER && a->token != NULL) {
        buf_printf(head, "Authorization: Bearer ");
        buf_str(head, token_text(a->token));
        buf_str(head, "\r\n");
    } else if (a->challenge.scheme == CHALLENGE_BASIC && has_password(a)) {
        buf_str(head, "Authorization: ");
        secret_basic(a->secret, head);
        buf_str(head, "\r\n");
    }
}

static void add_range(const struct attempt *a, struct buf *head)
{
    const struct fetch_question *q = a->question;

    if (q->head || a->probing || (q->from == 0 && q->to == UINT64_MAX)) {
        return;
    }
    buf_printf(head, "Range: bytes=%llu-", (unsigned long long)q->from);
    if (q->to != UINT64_MAX) {
        buf_printf(head, "%llu", (unsigned long long)q->to);
    }
    buf_str(head, "\r\n");
}

static void write_head(const struct attempt *a, bool head_only, const struct http_url *url,
                       struct buf *out)
{
    buf_str(out, head_only ? "HEAD " : "GET ");
    http_url_target(url, out);
    buf_str(out,
            " HTTP/1.1\r\nUser-Agent: larder/" LARDER_VERSION "\r\nAccept-Encoding: identity\r\n");
    buf_printf(out, "Accept: %s\r\n",
               a->question->kind == FETCH_MANIFEST ? MANIFEST_ACCEPT : "*/*");
    add_range(a, out);
    add_authorization(a, out);
}

static const struct step *step_send(struct op *op)
{
    struct attempt *a = attempt_of(op);
    struct http_route route = {.trust = a->upstream->trust, .public_only = a->public_only};
    bool head_only = a->question->head && !a->probing;
    struct http_url url;
    const char *why;
    struct buf head;

    if (!http_url_parse(buf_view(&a->url), &url, &why)) {
        op->err.code = ERR_NONE;
        err_set(&op->err, ERR_UPSTREAM_PROTOCOL, "%s: %s", a->upstream->name, why);
        return &S_failed;
    }
    buf_init(&head, HEAD_MAX);
    write_head(a, head_only, &url, &head);
    if (head.failed) { /* what there is of it ends within a line: never to be sent */
        explicit_bzero(head.p, head.len);
        buf_free(&head);
        err_set(&op->err, ERR_UPSTREAM_PROTOCOL, "%s: its token makes requests of over %u bytes",
                a->upstream->name, HEAD_MAX);
        return &S_failed;
    }
    route.proxy = a->redirects == 0 ? a->endpoint->proxy
                                    : proxyenv_for(&a->upstream->all->proxyenv, &url.origin);
    http_call_free(a->call);
    a->since_ms = loop_now(op->loop);
    a->call = http_call_new(a->upstream->all->client, op->loop, &url.origin, &route, &a->wake);
    http_call_send(a->call, head_only ? HTTP_HEAD : HTTP_GET, buf_view(&head), SLICE_NULL);
    explicit_bzero(head.p, head.len);
    buf_free(&head);
    count_request(a);
    return &S_head;
}

/* --- the answer ---------------------------------------------------------------------------- */

/* Only Docker Hub is known to send them; whoever does is believed. */
static void note_rate_limit(const struct attempt *a, const struct http_head *h)
{
    bool is_hub = strcmp(a->upstream->name, "docker.io") == 0;
    uint64_t limit = 0;
    uint64_t left;
    uint64_t window;

    if (rules_rate(http_field(h, "ratelimit-limit"), &limit, &window) && is_hub) {
        counter_set(COUNTER_hub_ratelimit_limit, (int64_t)limit);
    }
    if (rules_rate(http_field(h, "ratelimit-remaining"), &left, &window)) {
        upstream_rate(a->upstream, limit, left, window, loop_now(a->op.loop));
        if (is_hub) {
            counter_set(COUNTER_hub_ratelimit_remaining, (int64_t)left);
        }
    }
}

static int take_length(struct attempt *a, const struct http_head *h, struct err *err)
{
    struct fetch_answer *answer = &a->answer;
    struct http_range range;

    answer->length = h->framing == HTTP_BODY_LENGTH ? h->length : UINT64_MAX;
    if (a->question->head) {
        struct slice told = http_field(h, "Content-Length");

        answer->length = UINT64_MAX;
        if (told.p != NULL) {
            ignore_result(!slice_u64(told, &answer->length));
        }
    } else if (h->framing == HTTP_BODY_NONE) {
        answer->length = 0;
    }
    answer->total = answer->length;
    if (h->status != 206) {
        return 0;
    }
    if (!http_content_range_parse(http_field(h, "Content-Range"), &range, &answer->total)) {
        return err_set(err, ERR_RANGE, "%s: a range without its Content-Range", a->upstream->name);
    }
    if (range.from != a->question->from || range.to > a->question->to ||
        (answer->length != UINT64_MAX && answer->length != range.to - range.from + 1)) {
        return err_set(err, ERR_RANGE, "%s: not the range that was asked for", a->upstream->name);
    }
    answer->from = range.from;
    return 0;
}

static int take_answer(struct attempt *a, const struct http_head *h, struct err *err)
{
    struct fetch_answer *answer = &a->answer;
    struct slice encoding = http_field(h, "Content-Encoding");
    struct slice link = http_field(h, "Link");

    *answer = (struct fetch_answer){.status = h->status};
    if (encoding.p != NULL && !slice_is_nocase(encoding, "identity") && encoding.len > 0) {
        return err_set(err, ERR_UPSTREAM_PROTOCOL, "%s: an encoded body, which was not asked for",
                       a->upstream->name);
    }
    if (take_length(a, h, err) < 0) {
        return -1;
    }
    answer->has_digest = digest_parse(http_field(h, "Docker-Content-Digest"), &answer->digest);
    ignore_result(!slice_copy(media_type_bare(http_field(h, "Content-Type")), answer->media_type,
                              sizeof(answer->media_type)));
    if (link.p != NULL) {
        ignore_result(
            !slice_copy(rules_link_next(link), answer->link_next, sizeof(answer->link_next)));
    }
    return 0;
}

static const struct step *ready(struct attempt *a, const struct http_head *h)
{
    struct err err = {0};

    if (take_answer(a, h, &err) < 0) {
        a->op.err = err;
        return &S_failed;
    }
    endpoint_worked(a->endpoint);
    upstream_answered(a->upstream);
    a->state = FETCH_READY;
    return STEP_END;
}

static const struct step *redirected(struct attempt *a, const struct http_head *h)
{
    struct rules rules = upstream_rules(a->upstream, a->endpoint);
    struct slice location = http_field(h, "Location");
    const char *why = "no Location";
    struct http_url base;
    struct http_url to;
    struct buf next;
    int allowed = 0;

    count(upstream_redirects);
    if (++a->redirects > REDIRECTS_MAX) {
        err_set(&a->op.err, ERR_UPSTREAM_PROTOCOL, "%s: more than %d redirects", a->upstream->name,
                REDIRECTS_MAX);
        return &S_failed;
    }
    buf_init(&next, HTTP_URL_MAX);
    if (location.p == NULL || !http_url_parse(buf_view(&a->url), &base, &why) ||
        !http_url_resolve(&base, location, &next, &why) ||
        !http_url_parse(buf_view(&next), &to, &why)) {
        allowed = err_set(&a->op.err, ERR_UPSTREAM_PROTOCOL,
                          "%s: a redirect that leads nowhere: %s", a->upstream->name, why);
    } else {
        allowed = rules_redirect(&rules, &a->origin, &to.origin, &a->public_only, &a->op.err);
    }
    if (allowed < 0) {
        buf_free(&next);
        return &S_failed;
    }
    a->origin = to.origin;
    buf_free(&a->url);
    a->url = next;
    return &S_send;
}

static const struct step *not_authorized(struct attempt *a)
{
    err_set(&a->op.err, ERR_UPSTREAM_REFUSED, "%s refuses %s (401)%s", a->upstream->name,
            a->question->repo,
            a->credential != NULL ? ""
                                  : ": it wants a credential, and none is configured for that");
    return denied(a);
}

/* 401 from the registry itself: its challenge is learnt, and the question asked once more. The
 * second time what was sent is fresh, so that another one would be refused as well. */
static const struct step *challenged(struct attempt *a, const struct http_head *h)
{
    struct challenge c = {0};
    struct slice value;
    size_t at = 0;

    while (http_field_next(h, "WWW-Authenticate", &at, &value)) {
        challenge_add(&c, value);
    }
    if (a->token != NULL) {
        token_drop(a->token);
    }
    if (c.scheme == CHALLENGE_NONE && a->challenge.scheme == CHALLENGE_NONE && !a->probing) {
        make_probe_url(a);
        return &S_send;
    }
    if (a->challenged || c.scheme == CHALLENGE_NONE ||
        (c.scheme == CHALLENGE_BASIC &&
         (!has_password(a) || a->challenge.scheme == CHALLENGE_BASIC))) {
        return not_authorized(a);
    }
    endpoint_learn(a->endpoint, &c);
    a->challenge = c;
    /* A scope that the ping names is not meant for this repository. */
    a->challenged = !a->probing;
    a->probing = false;
    make_url(a);
    return &S_auth;
}

static enum err_code unknown_code(enum fetch_kind kind)
{
    switch (kind) {
    case FETCH_BLOB:
        return ERR_BLOB_UNKNOWN;
    case FETCH_TAGS:
        return ERR_NAME_UNKNOWN;
    case FETCH_MANIFEST:
    case FETCH_REFERRERS:
        break;
    }
    return ERR_MANIFEST_UNKNOWN;
}

/* What a status means where the registry itself answered. */
static enum err_code code_of(const struct attempt *a, int status)
{
    switch (status) {
    case 400: /* a name or digest of a form that it does not know */
        return a->question->head ? ERR_UNSUPPORTED : unknown_code(a->question->kind);
    case 404:
    case 410:
        return unknown_code(a->question->kind);
    case 401:
    case 402:
    case 403:
    case 451:
        return ERR_UPSTREAM_REFUSED;
    case 405:
    case 501:
        return ERR_UNSUPPORTED;
    case 416:
        return ERR_RANGE;
    case 429:
        return ERR_TOO_MANY;
    default:
        return status >= 500 || status == 408 ? ERR_UPSTREAM_DOWN : ERR_UPSTREAM_PROTOCOL;
    }
}

static void refused(struct attempt *a, const struct http_head *h)
{
    const char *name = a->upstream->name;
    enum err_code code = code_of(a, h->status);

    if (at_home(a)) {
        err_set(&a->op.err, code, "%s %s %s %s (%d)", name, rules_words(code), a->question->repo,
                a->question->reference, h->status);
    } else {
        /* Storage that does not take what the registry signed. */
        code = h->status == 400 ? ERR_UPSTREAM_REFUSED : code;
        err_set(&a->op.err, code, "%s, where %s redirects for %s, answers %d", a->origin.host, name,
                a->question->repo, h->status);
    }
    if (h->status == 429 || h->status == 503) {
        a->op.err.retry_after = rules_retry_after(http_field(h, "Retry-After"), clock_wall_s());
    }
    if (h->status == 429 && at_home(a)) {
        upstream_rate_exceeded(a->upstream, a->op.err.retry_after, loop_now(a->op.loop));
    }
}

static bool is_redirect(int status)
{
    return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

/* Whether a redirect led to storage whose signature has expired: the registry signs another. */
static bool has_expired(const struct attempt *a, int status)
{
    return !at_home(a) && !a->restarted && (status == 400 || status == 401 || status == 403);
}

static const struct step *judge(struct attempt *a, const struct http_head *h)
{
    bool ranged = a->question->from > 0 || a->question->to != UINT64_MAX;

    if (a->probing) {
        return h->status == 401 ? challenged(a, h) : not_authorized(a);
    }
    if (h->status == 200 || (h->status == 206 && ranged)) {
        return ready(a, h);
    }
    if (is_redirect(h->status)) {
        return redirected(a, h);
    }
    if (has_expired(a, h->status)) {
        a->restarted = true;
        make_url(a);
        return &S_send;
    }
    if (h->status == 401 && at_home(a)) {
        return challenged(a, h);
    }
    refused(a, h);
    /* Some say 403 of a password that expired. */
    return h->status == 403 && at_home(a) ? denied(a) : &S_failed;
}

static const struct step *step_head(struct op *op)
{
    struct attempt *a = attempt_of(op);
    const struct http_head *h;
    struct err err = {0};

    switch (http_call_poll(a->call, &err)) {
    case HTTP_CALL_NOT_YET:
        return STEP_WAIT;
    case HTTP_CALL_FAILED:
        op->err = err;
        err_wrap(&op->err, "%s", a->upstream->name);
        return &S_failed;
    case HTTP_CALL_HEAD:
        break;
    }
    h = http_call_head(a->call);
    endpoint_took(a->endpoint, loop_now(op->loop) - a->since_ms);
    note_rate_limit(a, h);
    if (at_home(a)) {
        atomic_store(&a->endpoint->is_private, !http_call_is_public(a->call));
    }
    return judge(a, h);
}

/* --- the end ------------------------------------------------------------------------------- */

/* This endpoint cannot answer: op.err says why. A URL that did not fit was never asked for. */
static const struct step *step_failed(struct op *op)
{
    struct attempt *a = attempt_of(op);

    http_call_free(a->call);
    a->call = NULL;
    if (rules_weight(op->err.code) == 3 && !a->url.failed) {
        count(upstream_errors);
        if (op->err.code != ERR_TOO_MANY && at_home(a)) {
            endpoint_failed(a->endpoint, loop_now(op->loop));
        }
    }
    a->state = FETCH_FAILED;
    return STEP_END;
}
