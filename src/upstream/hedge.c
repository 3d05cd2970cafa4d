/* upstream/hedge.c - hedges, counted in tenths. */
#include "upstream/hedge.h"

#define BUDGET_MAX (HEDGES_MAX * HEDGE_FETCHES)

static void add(struct hedge_budget *b, unsigned n)
{
    unsigned now = atomic_load(&b->tenths);

    while (now < BUDGET_MAX && !atomic_compare_exchange_weak(
                                   &b->tenths, &now, now + n < BUDGET_MAX ? now + n : BUDGET_MAX)) {
    }
}

void hedge_budget_init(struct hedge_budget *b)
{
    atomic_init(&b->tenths, BUDGET_MAX);
}

void hedge_budget_earn(struct hedge_budget *b)
{
    add(b, 1);
}

bool hedge_budget_take(struct hedge_budget *b)
{
    unsigned now = atomic_load(&b->tenths);

    while (now >= HEDGE_FETCHES) {
        if (atomic_compare_exchange_weak(&b->tenths, &now, now - HEDGE_FETCHES)) {
            return true;
        }
    }
    return false;
}

void hedge_budget_return(struct hedge_budget *b)
{
    add(b, HEDGE_FETCHES);
}
