/*
 * upstream/fetch.c - one question: endpoint after endpoint, and for a while two at once.
 *
 *   secret -> endpoint -> race --2xx of either--> ready
 *     ^                   |  '--the first says nothing: another beside it
 *     '--none can: next---'  none left -> failed
 *
 * What is hedged is every wait for a head, a token included, as a host that stalls often gives its
 * tokens itself. A body is not: where it stalls, the caller asks for the rest, elsewhere.
 */
#include "upstream/fetch.h"

#include "base/counter.h"
#include "base/limits.h"
#include "upstream/attempt.h"
#include "upstream/upstream_impl.h"

#include <stdlib.h>

#define RACERS 2
/* Where hedges are used up, it is looked again after so many parts of limits.hedge. */
#define AGAIN_PARTS 4

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
    struct attempt *racing[RACERS]; /* the one asked first and the one beside it; NULL: none */
    struct attempt *winner;
    struct timer timer; /* until a second one is due */
    bool hedged;        /* there was one, or there will be none */
};

STEP(secret);
STEP(endpoint);
STEP(race);
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

static void on_timer(struct timer *t)
{
    op_wake(&container_of(t, struct fetch, timer)->op);
}

static void fetch_ended(struct op *op)
{
    struct fetch *f = fetch_of(op);

    timer_fini(&f->timer);
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
    f->question.repo = f->repo;
    f->question.reference = f->reference;
    waiter_init(&f->waiter, on_secret);
    timer_init(&f->timer, l, on_timer);
    f->hedged = f->upstream->n_endpoints < 2 || limits.hedge == 0;
    if (!f->hedged) {
        hedge_budget_earn(&f->upstream->hedges);
    }
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
    timer_fini(&f->timer);
    for (size_t i = 0; i < RACERS; i++) {
        attempt_free(f->racing[i]);
    }
    attempt_free(f->winner);
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
    return attempt_answer(f->winner);
}

ssize_t fetch_read(struct fetch *f, void *p, size_t n, struct err *err)
{
    ssize_t got;

    if (f->question.head) {
        return 0;
    }
    got = attempt_read(f->winner, p, n, err);
    if (got == STREAM_FAILED && f->upstream->n_endpoints > 1) {
        endpoint_lagged(attempt_endpoint(f->winner), loop_now(f->op.loop),
                        "left a body unfinished");
    }
    return got;
}

bool fetch_is_slow(struct fetch *f, bool *ret_other)
{
    bool slow = attempt_is_slow(f->winner);

    *ret_other =
        slow && upstream_put_behind(f->upstream, attempt_endpoint(f->winner), loop_now(f->op.loop));
    return slow;
}

void fetch_rest(struct fetch *f)
{
    attempt_rest(f->winner);
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
    f->racing[0] = ask(f, e);
    return &S_race;
}

/* --- two at once ---------------------------------------------------------------------------- */

/* The next endpoint that is well, taken out of the order; NULL: none is. */
static struct endpoint *next_healthy(struct fetch *f)
{
    uint64_t now = loop_now(f->op.loop);
    uint64_t wait;

    for (size_t i = f->at; i < f->n_order; i++) {
        struct endpoint *e = f->order[i];

        if (endpoint_is_healthy(e, now) && endpoint_admits(e, now, &wait)) {
            memmove(&f->order[f->at + 1], &f->order[f->at], (i - f->at) * sizeof(f->order[0]));
            f->order[f->at++] = e;
            return e;
        }
    }
    return NULL;
}

/* What counts against a rate limit of which little is left is not asked for twice. */
static bool is_rationed(const struct fetch *f)
{
    return f->question.kind == FETCH_MANIFEST && !f->question.head &&
           upstream_is_short(f->upstream, loop_now(f->op.loop));
}

/* Asks another endpoint as well. */
static void hedge(struct fetch *f)
{
    struct endpoint *e;

    if (!hedge_budget_take(&f->upstream->hedges)) {
        timer_set(&f->timer, limits.hedge / AGAIN_PARTS);
        return;
    }
    f->hedged = true;
    e = next_healthy(f);
    if (e == NULL) {
        hedge_budget_return(&f->upstream->hedges);
        return;
    }
    count(upstream_hedges);
    f->racing[1] = ask(f, e);
}

/* Sees to it that the first does not keep everybody waiting. It may have got further meanwhile, to
 * its token or to where it redirects: then its time begins anew. */
static void hedge_when_due(struct fetch *f)
{
    uint64_t now = loop_now(f->op.loop);
    uint64_t due;

    if (f->hedged) {
        return;
    }
    due = attempt_since(f->racing[0]) + endpoint_patience(attempt_endpoint(f->racing[0]));
    if (now < due) {
        timer_set(&f->timer, due - now);
    } else if (is_rationed(f)) {
        f->hedged = true;
    } else {
        hedge(f);
    }
}

/* The one that is left of the two is cut off. */
static const struct step *won(struct fetch *f, size_t i)
{
    struct attempt *other = f->racing[RACERS - 1 - i];

    f->winner = f->racing[i];
    if (i > 0) {
        count(upstream_hedges_won);
        hedge_budget_return(&f->upstream->hedges);
    }
    if (i > 0 && other != NULL) {
        endpoint_lagged(attempt_endpoint(other), loop_now(f->op.loop),
                        "said nothing while another answered");
    }
    attempt_free(other);
    f->racing[0] = NULL;
    f->racing[1] = NULL;
    attempt_wake(f->winner, f->user);
    f->state = FETCH_READY;
    return STEP_END;
}

/* What one cannot the other still may: only where neither is left the next endpoint is asked. */
static const struct step *step_race(struct op *op)
{
    struct fetch *f = fetch_of(op);
    bool waits = false;

    for (size_t i = 0; i < RACERS; i++) {
        struct err err = {0};

        if (f->racing[i] == NULL) {
            continue;
        }
        switch (attempt_poll(f->racing[i], &err)) {
        case FETCH_READY:
            return won(f, i);
        case FETCH_NOT_YET:
            waits = true;
            break;
        case FETCH_FAILED:
            note_error(f, &err);
            attempt_free(f->racing[i]);
            f->racing[i] = NULL;
            break;
        }
    }
    if (!waits) {
        return &S_secret;
    }
    hedge_when_due(f);
    return STEP_WAIT;
}

/* --- no answer ------------------------------------------------------------------------------ */

static const struct step *step_failed(struct op *op)
{
    struct fetch *f = fetch_of(op);

    if (op->err.code != ERR_NONE) {
        f->err = op->err;
    }
    f->state = FETCH_FAILED;
    return STEP_END;
}
