/*
 * upstream/endpoint.h - a URL at which an upstream is reached: path, health, challenge.
 *
 * Constant but for health and challenge, which have one small lock. Any thread.
 *
 * Health has two sides. An endpoint that failed comes behind the others for a while, and is still
 * asked where they fail too. One that has only failed for limits.breaker, several times, is not
 * asked at all, but for one question each pause that may find it well again: whoever waits learns
 * at once that it is of no use.
 *
 * How long it usually takes to answer is kept as well, so that a usual wait is told from a stall.
 */
#ifndef UPSTREAM_ENDPOINT_H
#define UPSTREAM_ENDPOINT_H

#include "base/err.h"
#include "http/url.h"
#include "oci/challenge.h"

#include <pthread.h>
#include <stdatomic.h>

/* Owner: its upstream. */
struct endpoint {
    struct http_origin origin;
    char *path; /* before the repository: "/v2", "/mirror/v2", "/v2/mirror" */
    const char
        *below; /* the part of it behind "/v2/", which belongs to names in scopes: "mirror" */
    char *url;  /* as configured, for messages */
    bool ns;    /* another Larder: ?ns=NAME is added */
    const char *proxy;
    atomic_bool is_private; /* its address is not public, as written or as last connected to */
    pthread_mutex_t lock;
    unsigned fails;
    uint64_t unhealthy_until;   /* monotonic ms */
    unsigned in_a_row;          /* failures since the last answer, each counted */
    uint64_t failing_since;     /* the first of them */
    uint64_t shut_until;        /* the next question may go then; 0: it is not shut */
    uint64_t pause;             /* the last one */
    int64_t usual_ms;           /* how long its answers take, smoothed; 0: it has given none */
    int64_t spread_ms;          /* by how much they differ from that, smoothed */
    struct challenge challenge; /* learnt from a 401; scheme CHALLENGE_NONE: none yet */
};

/* -1 with ERR_CONFIG where the URL is none. */
int endpoint_init(struct endpoint *e, const char *url, bool ns, struct err *err) MUST_CHECK;
void endpoint_fini(struct endpoint *e);

/* It failed (no answer, 5xx): behind the others for a while, longer each time. What fails during
 * that while was under way before, and counts no more. */
void endpoint_failed(struct endpoint *e, uint64_t now_ms);
void endpoint_worked(struct endpoint *e);
/* Another answered before it, or a body of its did not come to its end, as `why` says in the log:
 * behind the others as if it had failed. It has not, so that this does not shut it. */
void endpoint_lagged(struct endpoint *e, uint64_t now_ms, const char *why);
/* An answer's head came after so long. */
void endpoint_took(struct endpoint *e, uint64_t ms);
/* For how long it may say nothing before another is asked as well: limits.hedge, or longer where
 * its answers usually take longer than that. */
uint64_t endpoint_patience(struct endpoint *e);
/* Whether a question may go to it now. Where it is shut, one may each pause: the caller's, once
 * this said so. Else *ret_wait is how many ms until the next. */
bool endpoint_admits(struct endpoint *e, uint64_t now_ms, uint64_t *ret_wait) MUST_CHECK;
/* The same, without taking the question that may go. */
bool endpoint_is_shut(struct endpoint *e, uint64_t now_ms);
bool endpoint_is_healthy(struct endpoint *e, uint64_t now_ms);

void endpoint_learn(struct endpoint *e, const struct challenge *c);
void endpoint_challenge(struct endpoint *e, struct challenge *ret);

#endif
