/*
 * upstream/fetch.c - one question: endpoint after endpoint, with token, across redirects.
 *
 *   endpoint -> auth -> (token ->) send -> head --2xx--> ready
 *      ^          ^                 ^        |--redirect--> send, without our credential
 *      |          '--401: challenge learnt---|  (a 401 that names none: asked of /v2/ first)
 *      '--this endpoint cannot: the next-----'            none left -> failed
 */
#include "upstream/fetch.h"

#include "base/clock.h"
#include "base/counter.h"
#include "http/range.h"
#include "oci/manifest.h"
#include "upstream/upstream_impl.h"

#include <stdio.h>
#include <stdlib.h>

#define HEAD_MAX (32u * 1024)

struct fetch {
    struct op op;
    struct task wake; /* the call's waker: for the op until READY, for the user after */
    struct task *user;
    struct upstream *upstream;
    struct credential *credential; /* for this repository; NULL: none */
    struct secret *secret;         /* what it is */
    bool renewed;                  /* it was refused once, and looked for again: */
    struct err denied;             /* what to say where there is no other */
    struct fetch_question question;
    char *repo;
    char *reference;
    enum fetch_state state;
    struct err err; /* of the endpoints so far, the one that says most */

    struct endpoint *order[ENDPOINTS_MAX];
    size_t n_order;
    size_t at;
    struct endpoint *endpoint;
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

STEP(secret);
STEP(endpoint);
STEP(auth);
STEP(token);
STEP(send);
STEP(head);
STEP(next);
STEP(failed);

static struct fetch *fetch_of(struct op *op)
{
    return container_of(op, struct fetch, op);
}

/* --- life ---------------------------------------------------------------------------------- */

static void on_call(struct task *task)
{
    struct fetch *f = container_of(task, struct fetch, wake);

    if (f->state == FETCH_NOT_YET) {
        op_wake(&f->op);
    } else {
        loop_defer(f->op.loop, f->user);
    }
}

static void on_token(struct waiter *w)
{
    op_wake(&container_of(w, struct fetch, waiter)->op);
}

static void fetch_ended(struct op *op)
{
    struct fetch *f = fetch_of(op);

    loop_defer(op->loop, f->user);
}

/* Healthy endpoints first, each group as configured. */
static void order_endpoints(struct fetch *f, uint64_t now)
{
    for (int healthy = 1; healthy >= 0; healthy--) {
        for (size_t i = 0; i < f->upstream->n_endpoints; i++) {
            struct endpoint *e = &f->upstream->endpoints[i];
            bool taken = false;

            for (size_t k = 0; k < f->n_order; k++) {
                taken = taken || f->order[k] == e;
            }
            if (!taken && (healthy == 0 || endpoint_is_healthy(e, now))) {
                f->order[f->n_order++] = e;
            }
        }
    }
}

struct fetch *fetch_new(const struct fetch_question *q, struct loop *l, struct task *waker)
{
    struct fetch *f = xnew(struct fetch);

    f->user = waker;
    f->upstream = q->upstream;
    f->credential = upstream_credential_for(q->upstream, q->repo);
    f->question = *q;
    f->repo = xstrdup(q->repo);
    f->reference = xstrdup(q->reference);
    task_init(&f->wake, on_call);
    waiter_init(&f->waiter, on_token);
    buf_init(&f->url, HTTP_URL_MAX);
    order_endpoints(f, loop_now(l));
    op_start(&f->op, l, f->credential == NULL ? &S_endpoint : &S_secret, &S_failed, fetch_ended);
    return f;
}

void fetch_free(struct fetch *f)
{
    if (f == NULL) {
        return;
    }
    op_cancel(&f->op);
    task_cancel(&f->wake);
    bell_leave(&f->waiter);
    token_unref(f->token);
    secret_unref(f->secret);
    http_call_free(f->call);
    buf_free(&f->url);
    free(f->repo);
    free(f->reference);
    free(f);
}

enum fetch_state fetch_poll(struct fetch *f, struct err *err)
{
    if (f->state == FETCH_FAILED) {
        *err = f->err;
    }
    return f->state;
}

const struct fetch_answer *fetch_answer(const struct fetch *f)
{
    return &f->answer;
}

ssize_t fetch_read(struct fetch *f, void *p, size_t n, struct err *err)
{
    ssize_t got;

    if (f->question.head) {
        return 0;
    }
    got = http_call_read(f->call, p, n, err);
    if (got == STREAM_FAILED) {
        count(upstream_errors);
    }
    return got;
}

/* --- endpoint, URL, credential ------------------------------------------------------------- */

/* The registry's own URL for the question, at the endpoint. */
static void make_url(struct fetch *f)
{
    static const char *const FORMS[] = {
        [FETCH_MANIFEST] = "/manifests/",
        [FETCH_BLOB] = "/blobs/",
        [FETCH_TAGS] = "/tags/list",
        [FETCH_REFERRERS] = "/referrers/",
    };
    const struct endpoint *e = f->endpoint;
    bool query = f->question.kind == FETCH_TAGS && f->reference[0] != '\0';

    buf_free(&f->url);
    http_origin_text(&e->origin, &f->url);
    buf_printf(&f->url, "%s/%s%s%s%s", e->path, f->repo, FORMS[f->question.kind], query ? "?" : "",
               f->reference);
    if (e->ns) {
        buf_printf(&f->url, "%sns=", strchr(f->reference, '?') != NULL || query ? "&" : "?");
        buf_percent(&f->url, slice_str(f->upstream->name));
    }
    f->origin = e->origin;
    f->redirects = 0;
    f->public_only = false;
}

/* Where every registry challenges, for one that does not say elsewhere what it wants. */
static void make_probe_url(struct fetch *f)
{
    const struct endpoint *e = f->endpoint;

    buf_free(&f->url);
    http_origin_text(&e->origin, &f->url);
    buf_slice(&f->url, slice_of(e->path, (size_t)(e->below - e->path)));
    buf_str(&f->url, e->below[0] == '\0' && e->below[-1] != '/' ? "/" : "");
    f->origin = e->origin;
    f->probing = true;
}

/* Whether the request under way is to the registry itself, not to where it redirected. */
static bool at_home(const struct fetch *f)
{
    return http_origin_equal(&f->origin, &f->endpoint->origin);
}

static void note_error(struct fetch *f, const struct err *err)
{
    if (rules_weight(err->code) >= rules_weight(f->err.code)) {
        f->err = *err;
    }
}

/* The next endpoint that may be asked, or NULL. */
static struct endpoint *next_endpoint(struct fetch *f)
{
    while (f->at < f->n_order) {
        struct endpoint *e = f->order[f->at++];
        struct err err = {0};
        uint64_t wait;

        if (endpoint_admits(e, loop_now(f->op.loop), &wait)) {
            return e;
        }
        count(upstream_shut);
        err_set(&err, ERR_UPSTREAM_SHUT, "%s: %.120s keeps failing, and is asked again in %llu s",
                f->upstream->name, e->url, (unsigned long long)(wait / 1000 + 1));
        err.retry_after = (unsigned)(wait / 1000 + 1);
        note_error(f, &err);
    }
    return NULL;
}

/* What we are signed in with, before anything is asked; and again where it was refused. */
static const struct step *step_secret(struct op *op)
{
    struct fetch *f = fetch_of(op);
    struct secret *secret = NULL;

    switch (credential_poll(f->credential, op->loop, &f->waiter, &secret, &op->err)) {
    case CREDENTIAL_NOT_YET:
        return STEP_WAIT;
    case CREDENTIAL_FAILED:
        return &S_failed;
    case CREDENTIAL_READY:
        break;
    }
    if (f->renewed && secret == f->secret) {
        secret_unref(secret);
        op->err = f->denied;
        return &S_next;
    }
    secret_unref(f->secret);
    f->secret = secret;
    return f->renewed ? &S_auth : &S_endpoint;
}

/* The registry did not take what it was sent, as op.err says: a newer one is looked for, once. */
static const struct step *denied(struct fetch *f)
{
    if (f->secret == NULL || f->renewed ||
        !credential_refused(f->credential, f->secret, clock_mono_ms())) {
        return &S_next;
    }
    f->renewed = true;
    f->denied = f->op.err;
    f->op.err = (struct err){0};
    f->probing = false;
    make_url(f);
    return &S_secret;
}

static const struct step *step_endpoint(struct op *op)
{
    struct fetch *f = fetch_of(op);

    f->endpoint = next_endpoint(f);
    if (f->endpoint == NULL) {
        return &S_failed;
    }
    f->challenged = false;
    f->restarted = false;
    f->probing = false;
    token_unref(f->token);
    f->token = NULL;
    make_url(f);
    if (f->url.failed) {
        return op_fail(op, ERR_UPSTREAM_PROTOCOL, "%s: the URL would be too long", f->repo);
    }
    return &S_auth;
}

/* What an endpoint's path has behind /v2/ is a part of the name there. */
static void write_scope(const struct fetch *f, struct buf *out)
{
    const char *below = f->endpoint->below;
    _cleanup_free_ char *name = xasprintf("%s%s%s", below, below[0] != '\0' ? "/" : "", f->repo);

    rules_scope(f->challenge.scope, name, f->challenged, out);
}

/* Asks for a token where the endpoint wants one. */
static const struct step *want_token(struct fetch *f)
{
    struct rules rules = upstream_rules(f->upstream, f->endpoint);
    struct token_question q = {.upstream = f->upstream,
                               .endpoint = f->endpoint,
                               .credential = f->credential,
                               .secret = f->secret};
    const char *why = NULL;
    struct http_url base;
    struct http_url realm;
    struct err err = {0};
    struct buf scope;
    struct buf url;

    buf_init(&url, HTTP_URL_MAX);
    buf_init(&scope, sizeof(f->challenge.scope) + HTTP_URL_MAX);
    if (!http_url_parse(slice_str(f->endpoint->url), &base, &why) ||
        !http_url_resolve(&base, slice_str(f->challenge.realm), &url, &why) ||
        !http_url_parse(buf_view(&url), &realm, &why)) {
        err_set(&err, ERR_UPSTREAM_PROTOCOL, "%s: its realm is no URL: %s", f->upstream->name, why);
    } else if (rules_realm(&rules, &realm.origin, &q.public_only, &err) == 0) {
        write_scope(f, &scope);
        q.realm = url.p;
        q.service = f->challenge.service;
        q.scope = scope.p;
        token_unref(f->token);
        f->token = token_get(&q, f->op.loop);
    }
    buf_free(&url);
    buf_free(&scope);
    if (err.code != ERR_NONE) {
        f->op.err = err;
        return &S_next;
    }
    return &S_token;
}

static const struct step *step_auth(struct op *op)
{
    struct fetch *f = fetch_of(op);

    if (!f->challenged) {
        endpoint_challenge(f->endpoint, &f->challenge);
    }
    return f->challenge.scheme == CHALLENGE_BEARER ? want_token(f) : &S_send;
}

static const struct step *step_token(struct op *op)
{
    struct fetch *f = fetch_of(op);

    switch (token_poll(f->token, op->loop, &f->waiter)) {
    case TOKEN_NOT_YET:
        return STEP_WAIT;
    case TOKEN_READY:
        return &S_send;
    case TOKEN_FAILED:
        break;
    }
    op->err = *token_error(f->token);
    return op->err.code == ERR_UPSTREAM_REFUSED ? denied(f) : &S_next;
}

/* --- the request --------------------------------------------------------------------------- */

static void count_request(const struct fetch *f)
{
    bool head = f->question.head;

    count(upstream_requests);
    if (f->redirects > 0 || f->probing) {
        return;
    }
    if (f->question.kind == FETCH_MANIFEST) {
        counter_add(head ? COUNTER_upstream_manifest_heads : COUNTER_upstream_manifest_gets, 1);
    } else if (f->question.kind == FETCH_BLOB) {
        counter_add(head ? COUNTER_upstream_blob_heads : COUNTER_upstream_blob_gets, 1);
    }
}

static bool has_password(const struct fetch *f)
{
    return f->secret != NULL && f->secret->password != NULL;
}

/* Our credential goes to the endpoint's own origin and to nobody else. */
static void add_authorization(const struct fetch *f, struct buf *head)
{
    if (!at_home(f) || f->probing) {
        return;
    }
    if (f->challenge.scheme == CHALLENGE_BEARER && f->token != NULL) {
        buf_printf(head, "Authorization: Bearer ");
        buf_str(head, token_text(f->token));
        buf_str(head, "\r\n");
    } else if (f->challenge.scheme == CHALLENGE_BASIC && has_password(f)) {
        buf_str(head, "Authorization: ");
        secret_basic(f->secret, head);
        buf_str(head, "\r\n");
    }
}

static void add_range(const struct fetch *f, struct buf *head)
{
    const struct fetch_question *q = &f->question;

    if (q->head || f->probing || (q->from == 0 && q->to == UINT64_MAX)) {
        return;
    }
    buf_printf(head, "Range: bytes=%llu-", (unsigned long long)q->from);
    if (q->to != UINT64_MAX) {
        buf_printf(head, "%llu", (unsigned long long)q->to);
    }
    buf_str(head, "\r\n");
}

static void write_head(const struct fetch *f, bool head_only, const struct http_url *url,
                       struct buf *out)
{
    buf_str(out, head_only ? "HEAD " : "GET ");
    http_url_target(url, out);
    buf_str(out,
            " HTTP/1.1\r\nUser-Agent: larder/" LARDER_VERSION "\r\nAccept-Encoding: identity\r\n");
    buf_printf(out, "Accept: %s\r\n", f->question.kind == FETCH_MANIFEST ? MANIFEST_ACCEPT : "*/*");
    add_range(f, out);
    add_authorization(f, out);
}

static const struct step *step_send(struct op *op)
{
    struct fetch *f = fetch_of(op);
    struct http_route route = {.trust = f->upstream->trust, .public_only = f->public_only};
    bool head_only = f->question.head && !f->probing;
    struct http_url url;
    const char *why;
    struct buf head;

    if (!http_url_parse(buf_view(&f->url), &url, &why)) {
        op->err.code = ERR_NONE;
        err_set(&op->err, ERR_UPSTREAM_PROTOCOL, "%s: %s", f->upstream->name, why);
        return &S_next;
    }
    buf_init(&head, HEAD_MAX);
    write_head(f, head_only, &url, &head);
    if (head.failed) { /* what there is of it ends within a line: never to be sent */
        explicit_bzero(head.p, head.len);
        buf_free(&head);
        err_set(&op->err, ERR_UPSTREAM_PROTOCOL, "%s: its token makes requests of over %u bytes",
                f->upstream->name, HEAD_MAX);
        return &S_next;
    }
    route.proxy = f->redirects == 0 ? f->endpoint->proxy
                                    : proxyenv_for(&f->upstream->all->proxyenv, &url.origin);
    http_call_free(f->call);
    f->call = http_call_new(f->upstream->all->client, op->loop, &url.origin, &route, &f->wake);
    http_call_send(f->call, head_only ? HTTP_HEAD : HTTP_GET, buf_view(&head), SLICE_NULL);
    explicit_bzero(head.p, head.len);
    buf_free(&head);
    count_request(f);
    return &S_head;
}

/* --- the answer ---------------------------------------------------------------------------- */

/* Only Docker Hub is known to send them; whoever does is believed. */
static void note_rate_limit(const struct fetch *f, const struct http_head *h)
{
    bool is_hub = strcmp(f->upstream->name, "docker.io") == 0;
    uint64_t limit = 0;
    uint64_t left;
    uint64_t window;

    if (rules_rate(http_field(h, "ratelimit-limit"), &limit, &window) && is_hub) {
        counter_set(COUNTER_hub_ratelimit_limit, (int64_t)limit);
    }
    if (rules_rate(http_field(h, "ratelimit-remaining"), &left, &window)) {
        upstream_rate(f->upstream, limit, left, window, loop_now(f->op.loop));
        if (is_hub) {
            counter_set(COUNTER_hub_ratelimit_remaining, (int64_t)left);
        }
    }
}

static int take_length(struct fetch *f, const struct http_head *h, struct err *err)
{
    struct fetch_answer *a = &f->answer;
    struct http_range range;

    a->length = h->framing == HTTP_BODY_LENGTH ? h->length : UINT64_MAX;
    if (f->question.head) {
        struct slice told = http_field(h, "Content-Length");

        a->length = UINT64_MAX;
        if (told.p != NULL) {
            ignore_result(!slice_u64(told, &a->length));
        }
    } else if (h->framing == HTTP_BODY_NONE) {
        a->length = 0;
    }
    a->total = a->length;
    if (h->status != 206) {
        return 0;
    }
    if (!http_content_range_parse(http_field(h, "Content-Range"), &range, &a->total)) {
        return err_set(err, ERR_RANGE, "%s: a range without its Content-Range", f->upstream->name);
    }
    if (range.from != f->question.from || range.to > f->question.to ||
        (a->length != UINT64_MAX && a->length != range.to - range.from + 1)) {
        return err_set(err, ERR_RANGE, "%s: not the range that was asked for", f->upstream->name);
    }
    a->from = range.from;
    return 0;
}

static int take_answer(struct fetch *f, const struct http_head *h, struct err *err)
{
    struct fetch_answer *a = &f->answer;
    struct slice encoding = http_field(h, "Content-Encoding");
    struct slice link = http_field(h, "Link");

    *a = (struct fetch_answer){.status = h->status};
    if (encoding.p != NULL && !slice_is_nocase(encoding, "identity") && encoding.len > 0) {
        return err_set(err, ERR_UPSTREAM_PROTOCOL, "%s: an encoded body, which was not asked for",
                       f->upstream->name);
    }
    if (take_length(f, h, err) < 0) {
        return -1;
    }
    a->has_digest = digest_parse(http_field(h, "Docker-Content-Digest"), &a->digest);
    ignore_result(!slice_copy(media_type_bare(http_field(h, "Content-Type")), a->media_type,
                              sizeof(a->media_type)));
    if (link.p != NULL) {
        ignore_result(!slice_copy(rules_link_next(link), a->link_next, sizeof(a->link_next)));
    }
    return 0;
}

static const struct step *ready(struct fetch *f, const struct http_head *h)
{
    struct err err = {0};

    if (take_answer(f, h, &err) < 0) {
        f->op.err = err;
        return &S_next;
    }
    endpoint_worked(f->endpoint);
    upstream_answered(f->upstream);
    f->state = FETCH_READY;
    return STEP_END;
}

static const struct step *redirected(struct fetch *f, const struct http_head *h)
{
    struct rules rules = upstream_rules(f->upstream, f->endpoint);
    struct slice location = http_field(h, "Location");
    const char *why = "no Location";
    struct http_url base;
    struct http_url to;
    struct buf next;
    int allowed = 0;

    count(upstream_redirects);
    if (++f->redirects > REDIRECTS_MAX) {
        err_set(&f->op.err, ERR_UPSTREAM_PROTOCOL, "%s: more than %d redirects", f->upstream->name,
                REDIRECTS_MAX);
        return &S_next;
    }
    buf_init(&next, HTTP_URL_MAX);
    if (location.p == NULL || !http_url_parse(buf_view(&f->url), &base, &why) ||
        !http_url_resolve(&base, location, &next, &why) ||
        !http_url_parse(buf_view(&next), &to, &why)) {
        allowed = err_set(&f->op.err, ERR_UPSTREAM_PROTOCOL,
                          "%s: a redirect that leads nowhere: %s", f->upstream->name, why);
    } else {
        allowed = rules_redirect(&rules, &f->origin, &to.origin, &f->public_only, &f->op.err);
    }
    if (allowed < 0) {
        buf_free(&next);
        return &S_next;
    }
    f->origin = to.origin;
    buf_free(&f->url);
    f->url = next;
    return &S_send;
}

static const struct step *not_authorized(struct fetch *f)
{
    err_set(&f->op.err, ERR_UPSTREAM_REFUSED, "%s refuses %s (401)%s", f->upstream->name, f->repo,
            f->credential != NULL ? ""
                                  : ": it wants a credential, and none is configured for that");
    return denied(f);
}

/* 401 from the registry itself: its challenge is learnt, and the question asked once more. The
 * second time what was sent is fresh, so that another one would be refused as well. */
static const struct step *challenged(struct fetch *f, const struct http_head *h)
{
    struct challenge c = {0};
    struct slice value;
    size_t at = 0;

    while (http_field_next(h, "WWW-Authenticate", &at, &value)) {
        challenge_add(&c, value);
    }
    if (f->token != NULL) {
        token_drop(f->token);
    }
    if (c.scheme == CHALLENGE_NONE && f->challenge.scheme == CHALLENGE_NONE && !f->probing) {
        make_probe_url(f);
        return &S_send;
    }
    if (f->challenged || c.scheme == CHALLENGE_NONE ||
        (c.scheme == CHALLENGE_BASIC &&
         (!has_password(f) || f->challenge.scheme == CHALLENGE_BASIC))) {
        return not_authorized(f);
    }
    endpoint_learn(f->endpoint, &c);
    f->challenge = c;
    /* A scope that the ping names is not meant for this repository. */
    f->challenged = !f->probing;
    f->probing = false;
    make_url(f);
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
static enum err_code code_of(const struct fetch *f, int status)
{
    switch (status) {
    case 400: /* a name or digest of a form that it does not know */
        return f->question.head ? ERR_UNSUPPORTED : unknown_code(f->question.kind);
    case 404:
    case 410:
        return unknown_code(f->question.kind);
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

static void refused(struct fetch *f, const struct http_head *h)
{
    const char *name = f->upstream->name;
    enum err_code code = code_of(f, h->status);

    if (at_home(f)) {
        err_set(&f->op.err, code, "%s %s %s %s (%d)", name, rules_words(code), f->repo,
                f->reference, h->status);
    } else {
        /* Storage that does not take what the registry signed. */
        code = h->status == 400 ? ERR_UPSTREAM_REFUSED : code;
        err_set(&f->op.err, code, "%s, where %s redirects for %s, answers %d", f->origin.host, name,
                f->repo, h->status);
    }
    if (h->status == 429 || h->status == 503) {
        f->op.err.retry_after = rules_retry_after(http_field(h, "Retry-After"), clock_wall_s());
    }
    if (h->status == 429 && at_home(f)) {
        upstream_rate_exceeded(f->upstream, f->op.err.retry_after, loop_now(f->op.loop));
    }
}

static bool is_redirect(int status)
{
    return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

/* Whether a redirect led to storage whose signature has expired: the registry signs another. */
static bool has_expired(const struct fetch *f, int status)
{
    return !at_home(f) && !f->restarted && (status == 400 || status == 401 || status == 403);
}

static const struct step *judge(struct fetch *f, const struct http_head *h)
{
    bool ranged = f->question.from > 0 || f->question.to != UINT64_MAX;

    if (f->probing) {
        return h->status == 401 ? challenged(f, h) : not_authorized(f);
    }
    if (h->status == 200 || (h->status == 206 && ranged)) {
        return ready(f, h);
    }
    if (is_redirect(h->status)) {
        return redirected(f, h);
    }
    if (has_expired(f, h->status)) {
        f->restarted = true;
        make_url(f);
        return &S_send;
    }
    if (h->status == 401 && at_home(f)) {
        return challenged(f, h);
    }
    refused(f, h);
    /* Some say 403 of a password that expired. */
    return h->status == 403 && at_home(f) ? denied(f) : &S_next;
}

static const struct step *step_head(struct op *op)
{
    struct fetch *f = fetch_of(op);
    const struct http_head *h;
    struct err err = {0};

    switch (http_call_poll(f->call, &err)) {
    case HTTP_CALL_NOT_YET:
        return STEP_WAIT;
    case HTTP_CALL_FAILED:
        op->err = err;
        err_wrap(&op->err, "%s", f->upstream->name);
        return &S_next;
    case HTTP_CALL_HEAD:
        break;
    }
    h = http_call_head(f->call);
    note_rate_limit(f, h);
    if (at_home(f)) {
        atomic_store(&f->endpoint->is_private, !http_call_is_public(f->call));
    }
    return judge(f, h);
}

/* --- from one endpoint to the next ---------------------------------------------------------- */

/* This endpoint cannot answer: op.err says why. */
static const struct step *step_next(struct op *op)
{
    struct fetch *f = fetch_of(op);
    struct err err = op->err;

    op->err = (struct err){0};
    http_call_free(f->call);
    f->call = NULL;
    if (rules_weight(err.code) == 3) {
        count(upstream_errors);
        if (err.code != ERR_TOO_MANY && at_home(f)) {
            endpoint_failed(f->endpoint, loop_now(op->loop));
        }
    }
    note_error(f, &err);
    return &S_endpoint;
}

static const struct step *step_failed(struct op *op)
{
    struct fetch *f = fetch_of(op);

    if (op->err.code != ERR_NONE) {
        f->err = op->err;
    }
    f->state = FETCH_FAILED;
    return STEP_END;
}
