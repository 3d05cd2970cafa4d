/*
 * upstream/attempt.h - one question asked of one endpoint. For upstream/fetch alone.
 *
 * It ends in a 200 or 206 whose body can be read, or in an error of those that fetch.h lists; what
 * the endpoint's health and challenge are is noted on the way.
 */
#ifndef UPSTREAM_ATTEMPT_H
#define UPSTREAM_ATTEMPT_H

#include "upstream/fetch.h"
#include "upstream/upstream_impl.h"

struct attempt;

/* Borrowed until attempt_free(), but for the secret, which it counts itself at. */
struct attempt_target {
    const struct fetch_question *question;
    struct endpoint *endpoint;
    struct credential *credential; /* for the question's repository; NULL: none */
    struct secret *secret;         /* what it is */
};

/* Starts; `waker` is deferred whenever polling or reading may get further. Loop thread. */
struct attempt *attempt_new(const struct attempt_target *t, struct loop *l, struct task *waker);
/* Another waker from now on. */
void attempt_wake(struct attempt *a, struct task *waker);
enum fetch_state attempt_poll(struct attempt *a, struct err *err);
/* Since when it has waited for what it waits for: a connection and a response's head, or a token.
 * Monotonic ms. */
uint64_t attempt_since(const struct attempt *a);
struct endpoint *attempt_endpoint(const struct attempt *a);
/* Valid from FETCH_READY until attempt_free(). */
const struct fetch_answer *attempt_answer(const struct attempt *a);
/* As fetch_read(), for a GET. */
ssize_t attempt_read(struct attempt *a, void *p, size_t n, struct err *err) MUST_CHECK;
/* Whether its body comes so slowly that another source would be better. */
bool attempt_is_slow(const struct attempt *a);
/* As fetch_rest(). */
void attempt_rest(struct attempt *a);
/* Ends it at any time. NULL is allowed. */
void attempt_free(struct attempt *a);

#endif
