/*
 * upstream/hedge.h - how many hedges an upstream may have. Any thread.
 *
 * A hedge is a second request for the same thing to another endpoint, as the first says nothing.
 * One that wins costs nothing: where an endpoint stalls, all who wait for it are helped. One in
 * vain is paid for by ten fetches, so that an upstream that is slow as a whole gets a tenth more to
 * do, and HEDGES_MAX at once.
 */
#ifndef UPSTREAM_HEDGE_H
#define UPSTREAM_HEDGE_H

#include "base/err.h"

#include <stdatomic.h>
#include <stdbool.h>

#define HEDGES_MAX 8
#define HEDGE_FETCHES 10

/* Owner: its upstream. */
struct hedge_budget {
    atomic_uint tenths; /* of a hedge; HEDGE_FETCHES are one */
};

/* Begins full. */
void hedge_budget_init(struct hedge_budget *b);
/* A fetch began that could be hedged. */
void hedge_budget_earn(struct hedge_budget *b);
/* Takes one; false where none is left now. */
bool hedge_budget_take(struct hedge_budget *b) MUST_CHECK;
/* One that was taken won, or was not sent. */
void hedge_budget_return(struct hedge_budget *b);

#endif
