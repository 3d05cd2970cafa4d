/* registry/sign_in.c - from the Authorization field to a user. */
#include "registry/sign_in.h"

#include "base/clock.h"
#include "base/log.h"
#include "registry/bearer.h"
#include "registry/challenge.h"

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
    enum user_verdict verdict;
    unsigned wait; /* USER_TOO_MANY: seconds */
};

bool sign_in_wanted(const struct request *q)
{
    return q->registry->users != NULL && q->x->listener->role == ROLE_REGISTRY;
}

void sign_in_challenge(struct request *q, const struct err *err)
{
    if (err->code == ERR_UNAUTHORIZED) {
        challenge_add_line(q);
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

void sign_in_refuse(struct request *q, const char *why)
{
    refuse(q, ERR_UNAUTHORIZED, why, 0);
}

/* --- passwords ----------------------------------------------------------------------------- */

static void refuse_guess(struct request *q, unsigned wait)
{
    refuse(q, ERR_TOO_MANY, "too many wrong passwords came from this address", wait);
}

static void attempt_run(struct job *job)
{
    struct attempt *a = container_of(job, struct attempt, job);

    a->verdict = users_check(a->users, &a->claim, a->client, &a->wait);
}

static void attempt_done(struct job *job)
{
    struct attempt *a = container_of(job, struct attempt, job);
    struct request *q = a->q;

    if (a->verdict == USER_WRONG) {
        log_event(LOG_WARN, "auth.wrong", "%s: wrong user or password", a->client);
    }
    if (q->x != NULL && q->x->gone) {
        http_abort(q->x);
    } else if (q->x != NULL && a->verdict == USER_GOOD) {
        snprintf(q->user, sizeof(q->user), "%s", a->claim.name);
        a->go(q);
    } else if (q->x != NULL && a->verdict == USER_TOO_MANY) {
        refuse_guess(q, a->wait);
    } else if (q->x != NULL) {
        sign_in_refuse(q, "the user is unknown or the password is wrong");
    }
    request_unref(q);
    explicit_bzero(a, sizeof(*a));
    free(a);
}

/* A password that is remembered costs no try. */
static void attempt_begin(struct request *q, const struct user_claim *claim, bool remembered,
                          void (*go)(struct request *q))
{
    struct attempt *a;
    unsigned wait = 0;

    if (!remembered && !users_may_try(q->registry->users, q->x->client, &wait)) {
        refuse_guess(q, wait);
        return;
    }
    a = xnew(struct attempt);
    request_ref(q);
    a->q = q;
    a->users = q->registry->users;
    a->go = go;
    a->claim = *claim;
    snprintf(a->client, sizeof(a->client), "%s", q->x->client);
    pool_submit(store_disk(q->registry->cache->store), q->loop, &a->job, attempt_run, attempt_done);
}

/* `at_once`: where it is remembered no file is looked at. */
static void by_claim(struct request *q, const struct user_claim *claim, bool at_once,
                     void (*go)(struct request *q))
{
    bool remembered = users_remembered(q->registry->users, claim);

    if (remembered && at_once) {
        snprintf(q->user, sizeof(q->user), "%s", claim->name);
        go(q);
    } else {
        attempt_begin(q, claim, remembered, go);
    }
}

static void by_password(struct request *q, bool at_once, void (*go)(struct request *q))
{
    struct user_claim claim;

    if (!users_claim(http_field(&q->x->head, "Authorization"), &claim)) {
        sign_in_refuse(q, "this registry takes a user and a password, by Basic");
        return;
    }
    by_claim(q, &claim, at_once, go);
    explicit_bzero(&claim, sizeof(claim));
}

void sign_in_by_password(struct request *q, void (*go)(struct request *q))
{
    by_password(q, false, go);
}

void sign_in_by_claim(struct request *q, const struct user_claim *claim,
                      void (*go)(struct request *q))
{
    by_claim(q, claim, false, go);
}

/* --- tokens -------------------------------------------------------------------------------- */

/* Rules may have come that let nobody do anything, or none be left, without which nobody is asked
 * what they may. */
static bool takes_nobody(const struct registry *r)
{
    return r->grants != NULL && grants_anybody(r->grants);
}

static bool is_good(const struct registry *r, const struct bearer *b)
{
    char hash[USER_HASH_MAX] = "";
    bool known = b->user[0] == '\0' ? takes_nobody(r) : users_hash(r->users, b->user, hash);
    bool good = known && b->until_ms > clock_mono_ms() && bearer_is_sealed(b, r->key, hash);

    explicit_bzero(hash, sizeof(hash));
    return good;
}

static void by_token(struct request *q, struct slice field, void (*go)(struct request *q))
{
    struct bearer b;

    if (!bearer_read(field, &b) || !is_good(q->registry, &b)) {
        q->bearer = BEARER_BAD;
        sign_in_refuse(q, "the token is none of this registry, or has ended: ask for another");
        return;
    }
    q->bearer = BEARER_GOOD;
    snprintf(q->user, sizeof(q->user), "%s", b.user);
    go(q);
}

void sign_in(struct request *q, void (*go)(struct request *q))
{
    struct slice field = http_field(&q->x->head, "Authorization");

    if (field.p == NULL && q->registry->grants != NULL && q->x->certificate != NULL) {
        go(q);
    } else if (field.p == NULL) {
        sign_in_refuse(q, "this registry wants a token, or a user and a password");
    } else if (bearer_is_meant(field)) {
        by_token(q, field, go);
    } else {
        by_password(q, true, go);
    }
}
