/* test_counter.c - counts of several threads, and gauges that several threads set. */
#include "base/counter.h"

#include <pthread.h>
#include <stdlib.h>

#include "tap.h"

#define THREADS 4
#define TIMES 20000

static void *adds(void *arg)
{
    (void)arg;
    for (int i = 0; i < TIMES; i++) {
        count(requests);
        count_add(connections_open, i % 2 == 0 ? 1 : -1);
    }
    return NULL;
}

static void *sets(void *arg)
{
    (void)arg;
    for (int i = 0; i < TIMES / 20; i++) {
        counter_set(COUNTER_hub_ratelimit_remaining, 100);
    }
    return NULL;
}

static void run(void *(*f)(void *))
{
    pthread_t threads[THREADS];

    for (int i = 0; i < THREADS; i++) {
        pthread_create(&threads[i], NULL, f, NULL);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
}

int main(void)
{
    unsigned unnamed = 0;

    run(adds);
    CHECK_INT(counter_sum(COUNTER_requests), THREADS * TIMES); /* of threads that have ended */
    CHECK_INT(counter_sum(COUNTER_connections_open), 0);
    run(sets);
    CHECK_INT(counter_sum(COUNTER_hub_ratelimit_remaining), 100);
    counter_set(COUNTER_hub_ratelimit_remaining, 7);
    CHECK_INT(counter_sum(COUNTER_hub_ratelimit_remaining), 7);
    for (unsigned i = 0; i < COUNTER_COUNT; i++) {
        unnamed +=
            counter_name((enum counter)i)[0] == '\0' || counter_help((enum counter)i)[0] == '\0';
    }
    CHECK_INT(unnamed, 0);
    CHECK_STR(counter_name(COUNTER_flights_landed), "flights_landed");
    return tap_done();
}
