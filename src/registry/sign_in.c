/* registry/sign_in.c - from the Authorization field to a user. */
#include "registry/sign_in.h"

#include "base/log.h"

#include <stdio.h>
#include <stdlib.h>

/* A password that is being looked at. Owner: itself; holds the request. */
struct attempt {
    struct job job;
    struct request *q;
    struct users *users;
    void (*go)(struct request *q);
    struct user_claim claim;
    char client[64];
    bool good;
};

bool sign_in_wanted(const struct request *q)
{
    return q->registry->users != NULL && q->x->listener->role == ROLE_REGISTRY;
}

void sign_in_challenge(struct request *q, const struct err *err)
{
    if (err->code == ERR_UNAUTHORIZED) {
        buf_str(&q->extra, "WWW-Authenticate: Basic realm=\"larder\", charset=\"UTF-8\"\r\n");
    }
}

static void refuse(struct request *q, enum err_code code, const char *why, unsigned wait)
{
    struct err err = {0};

    err_set(&err, code, "%s", why);
    err.retry_after = wait;
    sign_in_challenge(q, &err);
    reply_error(q, &err);
}

static void attempt_run(struct job *job)
{
    struct attempt *a = container_of(job, struct attempt, job);

    a->good = users_check(a->users, &a->claim);
}

static void attempt_done(struct job *job)
{
    struct attempt *a = container_of(job, struct attempt, job);
    struct request *q = a->q;

    if (a->good) {
        users_tried_well(a->users, a->client);
    } else {
        log_event(LOG_WARN, "auth.wrong", "%s: wrong user or password", a->client);
    }
    if (q->x != NULL && q->x->gone) {
        http_abort(q->x);
    } else if (q->x != NULL && a->good) {
        snprintf(q->user, sizeof(q->user), "%s", a->claim.name);
        a->go(q);
    } else if (q->x != NULL) {
        refuse(q, ERR_UNAUTHORIZED, "the user is unknown or the password is wrong", 0);
    }
    request_unref(q);
    explicit_bzero(a, sizeof(*a));
    free(a);
}

static void attempt_begin(struct request *q, const struct user_claim *claim,
                          void (*go)(struct request *q))
{
    struct attempt *a = xnew(struct attempt);

    request_ref(q);
    a->q = q;
    a->users = q->registry->users;
    a->go = go;
    a->claim = *claim;
    snprintf(a->client, sizeof(a->client), "%s", q->x->client);
    pool_submit(store_disk(q->registry->cache->store), q->loop, &a->job, attempt_run, attempt_done);
}

void sign_in(struct request *q, void (*go)(struct request *q))
{
    struct slice field = http_field(&q->x->head, "Authorization");
    struct user_claim claim;
    unsigned wait = 0;

    if (field.p == NULL && q->registry->grants != NULL && q->x->certificate != NULL) {
        go(q);
    } else if (field.p == NULL) {
        refuse(q, ERR_UNAUTHORIZED, "this registry wants a user and a password", 0);
    } else if (!users_claim(field, &claim)) {
        refuse(q, ERR_UNAUTHORIZED, "this registry takes a user and a password, by Basic", 0);
    } else if (users_remembered(q->registry->users, &claim)) {
        snprintf(q->user, sizeof(q->user), "%s", claim.name);
        go(q);
    } else if (!users_may_try(q->registry->users, q->x->client, &wait)) {
        refuse(q, ERR_TOO_MANY, "too many wrong passwords came from this address", wait);
    } else {
        attempt_begin(q, &claim, go);
    }
    explicit_bzero(&claim, sizeof(claim));
}
