/* registry/request.c - the life of a request: made, answered, logged, freed. */
#include "registry/request.h"

#include "base/clock.h"
#include "base/counter.h"
#include "base/log.h"
#include "registry/access.h"
#include "registry/issue.h"
#include "registry/record.h"
#include "registry/sign_in.h"
#include "store/handover.h"
#include "store/pulls.h"

#include <stdio.h>
#include <stdlib.h>

static const struct step *step_refuse(struct op *op);

const struct step REQUEST_STEP_REFUSE = {"refuse", step_refuse};

const char *request_from_text(enum request_from from)
{
    static const char *const TEXTS[] = {"none",  "hit",         "miss",  "joined",
                                        "stale", "revalidated", "passed"};

    return TEXTS[from];
}

enum member_verdict request_judge(const struct request *q, struct index_read *r,
                                  const struct digest *d, struct member_record *ret)
{
    enum member_verdict verdict = member_judge(q->registry->cache, r, &q->repo, d, ret);

    return verdict == MEMBER_EXPIRED && request_is_offline(q) ? MEMBER_YES : verdict;
}

const char *request_offline_why(const struct request *q)
{
    return q->registry->cache->offline ? "this cache is offline"
                                       : "only what is cached was asked for";
}

void request_ref(struct request *q)
{
    q->refs++;
}

void request_unref(struct request *q)
{
    if (--q->refs > 0) {
        return;
    }
    upload_push_free(q);
    manifest_push_free(q);
    ask_unref(q->ask);
    document_unref(q->document);
    room_give(&q->room);
    buf_free(&q->body);
    buf_free(&q->extra);
    timer_fini(&q->timer);
    if (q->changing) {
        store_change_end(q->registry->cache->store);
    }
    atomic_fetch_sub(&q->registry->live, 1); /* which may go now */
    free(q);
}

void request_let_go(struct request *q)
{
    bell_leave(&q->waiter);
    document_unref(q->document);
    q->document = NULL;
    ask_unref(q->ask);
    q->ask = NULL;
}

static void on_timer(struct timer *t)
{
    struct request *q = container_of(t, struct request, timer);

    q->timed_out = true;
    op_wake(&q->op);
}

static void on_wake(struct waiter *w)
{
    op_wake(&container_of(w, struct request, waiter)->op);
}

static void request_op_ended(struct op *op)
{
    struct request *q = request_of(op);

    if (q->x != NULL) {
        q->x->owner = NULL; /* a reply may still be on its way out */
    }
    if (q->started) {
        count_add(readers_open, -1);
    }
    bell_leave(&q->waiter);
    flight_leave(&q->ticket);
    reader_fini(q);
    timer_fini(&q->timer);
    request_unref(q);
}

void request_start(struct request *q, const struct step *first)
{
    request_ref(q);
    waiter_init(&q->waiter, on_wake);
    timer_init(&q->timer, q->loop, on_timer);
    q->deadline = loop_now(q->loop) + limits.first_byte;
    flow_wait_init(&q->flow_wait, &q->op.task);
    reader_init(&q->reader);
    q->x->owner = &q->op.task;
    op_start(&q->op, q->loop, first, &REQUEST_STEP_REFUSE, request_op_ended);
}

void request_wait(struct request *q, uint64_t ms)
{
    uint64_t now = loop_now(q->loop);
    uint64_t left = q->deadline > now ? q->deadline - now : 0;

    q->timed_out = false;
    timer_set(&q->timer, ms < left ? ms : left);
}

/* The one way in which a request fails. A response that has begun is cut short, so that the client
 * sees it. */
static const struct step *step_refuse(struct op *op)
{
    struct request *q = request_of(op);

    if (q->x == NULL) {
        return STEP_END;
    }
    q->error = op->err.code;
    if (q->started || q->x->gone) {
        http_abort(q->x);
    } else {
        reply_error(q, &op->err);
    }
    return STEP_END;
}

/* --- in and out ---------------------------------------------------------------------------- */

struct registry *registry_new(const struct registry_options *options)
{
    struct registry *r = xnew(struct registry);

    r->cache = options->cache;
    r->options = *options->options;
    r->routes = options->routes;
    r->upstreams = options->upstreams;
    r->lock = options->lock;
    r->lock_path = options->lock_path;
    r->users = options->users;
    r->grants = options->grants;
    r->key = options->key;
    return r;
}

void registry_free(struct registry *r)
{
    free(r);
}

unsigned registry_live(const struct registry *r)
{
    return atomic_load(&r->live);
}

static struct request *request_new(struct registry *r, struct http_exchange *x)
{
    struct request *q = xnew(struct request);

    q->refs = 1; /* the exchange's */
    atomic_fetch_add(&r->live, 1);
    q->registry = r;
    q->x = x;
    q->loop = x->loop;
    q->size = UINT64_MAX;
    buf_init(&q->body, 4 * (size_t)MANIFEST_LIMIT);
    buf_init(&q->extra, 4096);
    x->user = q;
    return q;
}

static void reply_ping(struct request *q)
{
    snprintf(q->media_type, sizeof(q->media_type), "application/json");
    reply_body(q, slice_str("{}"));
}

static void read_dispatch(struct request *q)
{
    switch (q->route.kind) {
    case ROUTE_PING:
        reply_ping(q);
        return;
    case ROUTE_MANIFEST:
        manifest_get(q);
        return;
    case ROUTE_BLOB:
        blob_get(q);
        return;
    case ROUTE_TAGS:
    case ROUTE_REFERRERS:
    case ROUTE_CATALOG:
        list_get(q);
        return;
    case ROUTE_UPLOADS:
    case ROUTE_UPLOAD:
        upload_handle(q);
        return;
    }
}

/* The method is one that this kind of name takes: access_check() has seen to that. */
static void write_dispatch(struct request *q)
{
    if (q->route.kind == ROUTE_UPLOADS || q->route.kind == ROUTE_UPLOAD) {
        upload_handle(q);
    } else if (q->x->head.method == HTTP_PUT) {
        manifest_put(q);
    } else {
        delete_handle(q);
    }
}

/* What changes the store, or hangs on what only memory knows of it, is for the process that takes
 * over where one does. */
static bool may_change(struct request *q)
{
    struct err err;

    q->changing = store_change_begin(q->registry->cache->store);
    if (q->changing) {
        return true;
    }
    err_set(&err, ERR_UNAVAILABLE, "this server is being replaced: ask again");
    err.retry_after = 1;
    reply_error(q, &err); /* which may be the end of q */
    return false;
}

static void request_dispatch(struct request *q)
{
    enum http_method method = q->x->head.method;
    bool of_upload = q->route.kind == ROUTE_UPLOADS || q->route.kind == ROUTE_UPLOAD;
    bool reads = method == HTTP_GET || method == HTTP_HEAD;

    if ((!reads || of_upload) && !may_change(q)) {
        return;
    }
    if (reads) {
        read_dispatch(q);
    } else {
        write_dispatch(q);
    }
}

/* One directive among others, in any number of fields. */
static bool asks_only_cached(const struct http_head *head)
{
    struct slice field;
    size_t at = 0;

    while (http_field_next(head, "Cache-Control", &at, &field)) {
        struct slice part;

        while (slice_split(&field, ',', &part)) {
            if (slice_is_nocase(slice_trim(part), "only-if-cached")) {
                return true;
            }
        }
    }
    return false;
}

/* Which repository is meant, as far as the name alone tells. */
static void request_name(struct request *q)
{
    const struct registry *r = q->registry;
    char text[ROUTE_REPO_MAX];

    if (q->route.name[0] == '\0') {
        return; /* a ping names an upstream at most, and no repository */
    }
    q->hosted = q->route.hosted >= 0 || q->route.own;
    q->mirrored = !q->hosted && q->route.upstream >= 0;
    if (q->mirrored) {
        cache_repo_set(&q->repo, r->upstreams[q->route.upstream],
                       route_repo_text(r->routes, &q->route, text));
    }
}

static void request_go(struct request *q)
{
    const struct registry *r = q->registry;
    struct http_exchange *x = q->x;
    struct err err;

    if (route_parse(r->routes, (enum route_role)x->listener->role, x->head.host, x->head.path,
                    x->head.query, &q->route, &err) < 0) {
        if (err.code == ERR_MANIFEST_UNKNOWN && x->head.method == HTTP_PUT) {
            err.code = ERR_TAG_INVALID; /* what cannot be there can also not be put there */
        }
        reply_error(q, &err);
        return;
    }
    q->only_cached = asks_only_cached(&x->head);
    request_name(q);
    if (access_check(q, &err) < 0) {
        sign_in_challenge(q, &err);
        reply_error(q, &err);
        return;
    }
    request_dispatch(q);
}

void registry_handle(struct registry *r, struct http_exchange *x)
{
    struct request *q = request_new(r, x);

    if (!sign_in_wanted(q)) {
        request_go(q);
    } else if (issue_is_asked(x)) {
        issue_token(q);
    } else {
        sign_in(q, request_go);
    }
}

/*
 * What a client pulls is what its build depends on: what a tag means, which many ask by HEAD alone
 * (and do not fetch what they have), and the manifests that it gets by digest. HEAD of a digest
 * tells nobody anything new. A command that reads the store is no client.
 */
static void note_pull(const struct request *q, const struct http_exchange *x)
{
    enum http_method method = x->head.method;
    bool answered = x->status == 200 || x->status == 304;
    bool pull = method == HTTP_GET || (method == HTTP_HEAD && !q->route.by_digest);

    if (q->route.kind != ROUTE_MANIFEST || !q->has_digest || !answered || !pull ||
        x->listener->role == ROLE_CONTROL) {
        return;
    }
    pulls_note(q->registry->cache->store, &(struct pull_note){
                                              .kind = q->mirrored ? REPO_MIRRORED : REPO_HOSTED,
                                              .repo = q->mirrored ? q->repo.text : q->route.name,
                                              .tag = q->route.by_digest ? "" : q->route.reference,
                                              .digest = &q->digest,
                                              .client = x->client,
                                          });
}

void registry_ended(struct http_exchange *x)
{
    struct request *q = x->user;

    record_write(q, x);
    if (q != NULL) {
        note_pull(q, x);
        q->x = NULL;
        x->user = NULL;
        x->owner = NULL;
        request_unref(q);
    }
}
