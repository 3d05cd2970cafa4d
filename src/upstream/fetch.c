/*
 * upstream/fetch.c - one question: endpoint after endpoint.
 *
 *   secret -> endpoint -> wait --2xx--> ready
 *     ^                    |
 *     '--it cannot: next---'  none left -> failed
 */
#include "upstream/fetch.h"

#include "base/counter.h"
#include "upstream/attempt.h"
#include "upstream/upstream_impl.h"

#include <stdlib.h>

struct fetch {
    struct op op;
    struct task *user;
    struct upstream *upstream;
    struct credential *credential; /* for this repository; NULL: none */
    struct secret *secret;         /* what it is, as of the last look */
    struct waiter waiter;
    struct fetch_question question;
    char *repo;
    char *reference;
    enum fetch_state state;
    struct err err; /* of the endpoints so far, the one that says most */

    struct endpoint *order[ENDPOINTS_MAX];
    size_t n_order;
    size_t at;
    struct attempt *attempt;
};

STEP(secret);
STEP(endpoint);
STEP(wait);
STEP(failed);

static struct fetch *fetch_of(struct op *op)
{
    return container_of(op, struct fetch, op);
}

/* --- life ---------------------------------------------------------------------------------- */

static void on_secret(struct waiter *w)
{
    op_wake(&container_of(w, struct fetch, waiter)->op);
}

static void fetch_ended(struct op *op)
{
    loop_defer(op->loop, fetch_of(op)->user);
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
    f->question.repo = f->repo;
    f->question.reference = f->reference;
    waiter_init(&f->waiter, on_secret);
    order_endpoints(f, loop_now(l));
    op_start(&f->op, l, &S_secret, &S_failed, fetch_ended);
    return f;
}

void fetch_free(struct fetch *f)
{
    if (f == NULL) {
        return;
    }
    op_cancel(&f->op);
    bell_leave(&f->waiter);
    attempt_free(f->attempt);
    secret_unref(f->secret);
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
    return attempt_answer(f->attempt);
}

ssize_t fetch_read(struct fetch *f, void *p, size_t n, struct err *err)
{
    return f->question.head ? 0 : attempt_read(f->attempt, p, n, err);
}

/* --- from one endpoint to the next ---------------------------------------------------------- */

static void note_error(struct fetch *f, const struct err *err)
{
    if (rules_weight(err->code) >= rules_weight(f->err.code)) {
        f->err = *err;
    }
}

/* What we are signed in with, before an endpoint is asked: another one may be known than at the
 * last. */
static const struct step *step_secret(struct op *op)
{
    struct fetch *f = fetch_of(op);
    struct secret *secret = NULL;

    if (f->credential == NULL) {
        return &S_endpoint;
    }
    switch (credential_poll(f->credential, op->loop, &f->waiter, &secret, &op->err)) {
    case CREDENTIAL_NOT_YET:
        return STEP_WAIT;
    case CREDENTIAL_FAILED:
        return &S_failed;
    case CREDENTIAL_READY:
        break;
    }
    secret_unref(f->secret);
    f->secret = secret;
    return &S_endpoint;
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

static struct attempt *ask(struct fetch *f, struct endpoint *e)
{
    struct attempt_target t = {
        .question = &f->question,
        .endpoint = e,
        .credential = f->credential,
        .secret = f->secret,
    };

    return attempt_new(&t, f->op.loop, &f->op.task);
}

static const struct step *step_endpoint(struct op *op)
{
    struct fetch *f = fetch_of(op);
    struct endpoint *e = next_endpoint(f);

    if (e == NULL) {
        return &S_failed;
    }
    f->attempt = ask(f, e);
    return &S_wait;
}

static const struct step *step_wait(struct op *op)
{
    struct fetch *f = fetch_of(op);
    struct err err = {0};

    switch (attempt_poll(f->attempt, &err)) {
    case FETCH_NOT_YET:
        return STEP_WAIT;
    case FETCH_READY:
        attempt_wake(f->attempt, f->user);
        f->state = FETCH_READY;
        return STEP_END;
    case FETCH_FAILED:
        break;
    }
    note_error(f, &err);
    attempt_free(f->attempt);
    f->attempt = NULL;
    return &S_secret;
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
