/* test_hedge.c - how many second requests there may be, and after what wait. */
#include "upstream/hedge.h"

#include "tap.h"

#include "base/limits.h"
#include "upstream/endpoint.h"

static unsigned take_all(struct hedge_budget *b)
{
    unsigned n = 0;

    while (hedge_budget_take(b)) {
        n++;
    }
    return n;
}

static void test_budget(void)
{
    struct hedge_budget b;

    hedge_budget_init(&b);
    hedge_budget_earn(&b); /* it is full */
    CHECK_INT(take_all(&b), HEDGES_MAX);
    for (int i = 0; i < HEDGE_FETCHES - 1; i++) {
        hedge_budget_earn(&b);
        CHECK(!hedge_budget_take(&b));
    }
    hedge_budget_earn(&b);
    CHECK_INT(take_all(&b), 1);
    hedge_budget_return(&b);
    hedge_budget_return(&b);
    CHECK_INT(take_all(&b), 2);
    for (int i = 0; i < 2 * HEDGES_MAX; i++) {
        hedge_budget_return(&b);
    }
    CHECK_INT(take_all(&b), HEDGES_MAX);
}

static void test_patience(void)
{
    struct endpoint e;
    struct err err;

    CHECK(endpoint_init(&e, "https://reg.example", false, &err) == 0);
    limits.hedge = 500;
    CHECK_INT(endpoint_patience(&e), 500);
    endpoint_took(&e, 20);
    CHECK_INT(endpoint_patience(&e), 500);
    /* It has become slow: soon that is what it usually takes. */
    for (int i = 0; i < 10; i++) {
        endpoint_took(&e, 900);
    }
    CHECK(endpoint_patience(&e) > 900);
    for (int i = 0; i < 100; i++) {
        endpoint_took(&e, 900);
    }
    CHECK(endpoint_patience(&e) > 850 && endpoint_patience(&e) < 950);
    /* One stall does not make the next one usual. */
    endpoint_took(&e, 15000);
    CHECK_INT(endpoint_patience(&e), 4000);
    for (int i = 0; i < 100; i++) {
        endpoint_took(&e, 20);
    }
    CHECK_INT(endpoint_patience(&e), 500);
    endpoint_fini(&e);
}

static void test_lag(void)
{
    struct endpoint e;
    struct err err;
    uint64_t now = 100000;
    uint64_t wait;

    CHECK(endpoint_init(&e, "https://reg.example", false, &err) == 0);
    for (int i = 0; i < 20; i++) {
        endpoint_lagged(&e, now, "is slow");
        CHECK(!endpoint_is_healthy(&e, now));
        now += limits.breaker + 300000;
        CHECK(endpoint_is_healthy(&e, now));
        CHECK_NOTE(endpoint_admits(&e, now, &wait), "it has not failed");
    }
    endpoint_lagged(&e, now, "is slow");
    endpoint_worked(&e);
    CHECK(endpoint_is_healthy(&e, now));
    endpoint_fini(&e);
}

int main(void)
{
    test_budget();
    test_patience();
    test_lag();
    return tap_done();
}
