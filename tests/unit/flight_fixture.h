/*
 * flight_fixture.h - clients of flights over the fakes: each reads as a response would, and checks
 * of each byte that it may have it.
 */
#ifndef FLIGHT_FIXTURE_H
#define FLIGHT_FIXTURE_H

#include "base/counter.h"
#include "base/log.h"
#include "cache/flight_steps.h"
#include "fake_store.h"
#include "fake_upstream.h"
#include "oci/manifest.h"

#include "tap.h"

#define UNUSED __attribute__((unused)) /* not every test needs all */
#define KIB (1024ull)
#define MIB (1024ull * 1024)
#define BLOB_MAX (20 * MIB)

enum client_state { WAITS, READS, DONE, CUT, REFUSED, UNPROVED };

struct client {
    struct flight_ticket ticket;
    struct task task;
    struct loop *loop;
    enum client_state state;
    uint64_t from;
    uint64_t told;  /* the size that its head said */
    uint64_t n;     /* bytes that it got */
    uint64_t speed; /* bytes it takes a pump; ALL: what is there */
    bool may_rejoin;
    struct err err;
    unsigned wakes;
    unsigned wrong;    /* bytes that are not those of the source */
    unsigned too_soon; /* bytes that should have been held back */
};

static unsigned char blob[BLOB_MAX + 1]; /* what upstreams send; one more for those that lie */
static struct digest blob_digest;
static uint64_t blob_size;
static struct loop *loop_a;
static struct loop *loop_b;
static struct cache *cache;

static struct upstream hub = {"docker.io", 0, NULL};
static struct upstream corp = {"corp.example", 7, NULL};
static struct fake_route UNUSED hub_a = {&hub, "a/x", FETCH_BLOB, .n = 0};
static struct fake_route UNUSED hub_b = {&hub, "b/x", FETCH_BLOB, .n = 0};
static struct fake_route UNUSED corp_c = {&corp, "c/x", FETCH_BLOB, .n = 0};

/* The blob's bytes as upstream sends them from now on are not its digest. */
static inline void spoil_blob(uint64_t at)
{
    blob[at] ^= 1;
}

#include "flight_client.h"

/* Everything that can happen without time going by or the test opening something, happens. */
static inline void settle(void)
{
    unsigned turns = 0;

    do {
        fake_turn();
        assert(++turns < 100000); /* else something goes round in circles */
    } while (fake_loop_busy() || (!fake_pool_held && fake_job()) || (!fake.held && fake_write()));
}

/* Lets `ms` go by, in small steps. */
static inline void pass_ms(uint64_t ms)
{
    uint64_t end = fake_ms + ms;

    settle();
    while (fake_ms < end) {
        fake_ms = end - fake_ms < 10 ? end : fake_ms + 10;
        while (fake_fire()) {
            settle();
        }
    }
    settle();
}

/* A new blob of that size, and nothing kept of earlier ones. */
static inline void make_blob(uint64_t size)
{
    static unsigned made;
    uint32_t x;

    settle();
    disk_reset();
    x = ++made * 2654435761u;

    for (uint64_t i = 0; i < size + 1; i++) {
        x = x * 1664525 + 1013904223;
        blob[i] = (unsigned char)(x >> 24);
    }
    blob_size = size;
    blob_digest = (struct digest){.alg = DIGEST_SHA256};
    sha_of(SHA_256, blob, size, blob_digest.bytes);
}

static inline void flights_begin(void)
{
    static const struct cache_options OPTIONS = {.tag_ttl_s = 300, .prefetch = true};

    setvbuf(stdout, NULL, _IOLBF, 0);
    log_setup(LOG_ERROR, false);
    loop_a = loop_new();
    loop_b = loop_new();
    cache = cache_new(&OPTIONS, NULL);
}

/* Nothing is left of any flight: no fetch, no buffer, no file that is nobody's. */
static inline void flights_end(void)
{
    settle();
    CHECK_INT(net.n_live, 0);
    CHECK_INT(counter_sum(COUNTER_flights_open), 0);
    CHECK_INT(disk.reserved, 0);
    cache_free(cache);
    for (unsigned i = 0; i < loop_count(); i++) {
        flow_fini(i);
        loop_free(loop_at(i));
    }
}

#define SCRIPT(route, ...)                                                                         \
    do {                                                                                           \
        const struct fake_reply replies[] = {__VA_ARGS__};                                         \
        upstream_script(route, replies, ARRAY_LEN(replies));                                       \
    } while (0)
#define GOOD                                                                                       \
    {                                                                                              \
        .body = blob, .size = blob_size                                                            \
    }

#endif
