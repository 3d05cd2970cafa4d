/* cache/pass.c - ranges that are passed through. */
#include "cache/pass.h"

#include "base/counter.h"
#include "base/limits.h"
#include "cache/flight.h"
#include "upstream/fetch.h"

#include <pthread.h>
#include <stdlib.h>

#define START_SIZE (64ull * 1024 * 1024) /* of a blob any range of which starts a flight */
#define NEAR (8u * 1024 * 1024)          /* ahead of what has landed: wait for the flight */
#define ASKED_TIMES 8
#define ASKED_WITHIN_MS 60000
#define ASKED_SLOTS 1024

struct pass {
    struct fetch *fetch;
    uint64_t from;
    uint64_t to;
    uint64_t left;
};

/* How often ranges of a blob were asked for lately; two that share a slot count together. */
static struct {
    pthread_mutex_t lock;
    struct {
        struct digest digest;
        uint64_t since_ms;
        unsigned times;
    } slots[ASKED_SLOTS];
} asked = {.lock = PTHREAD_MUTEX_INITIALIZER};

static unsigned asked_times(const struct digest *d, uint64_t now)
{
    size_t i = digest_hash(d) % ASKED_SLOTS;
    unsigned times;

    pthread_mutex_lock(&asked.lock);
    if (!digest_equal(&asked.slots[i].digest, d) ||
        now - asked.slots[i].since_ms > ASKED_WITHIN_MS) {
        asked.slots[i].digest = *d;
        asked.slots[i].since_ms = now;
        asked.slots[i].times = 0;
    }
    times = ++asked.slots[i].times;
    pthread_mutex_unlock(&asked.lock);
    return times;
}

bool pass_wanted(struct cache *c, struct loop *l, const struct digest *d, uint64_t size,
                 uint64_t from, uint64_t to)
{
    uint64_t landed = 0;

    if (from == 0 || size == UINT64_MAX || size <= START_SIZE || to >= size - HOLD_BACK) {
        return false;
    }
    if (flight_peek(c, d, &landed)) {
        return from > landed + NEAR;
    }
    return asked_times(d, loop_now(l)) < ASKED_TIMES;
}

struct pass *pass_new(struct loop *l, const struct cache_repo *repo, const struct digest *d,
                      uint64_t from, uint64_t to, struct task *waker)
{
    struct pass *p = xnew(struct pass);
    char text[DIGEST_TEXT_MAX];
    struct fetch_question q = {
        .upstream = repo->upstream,
        .repo = repo->name,
        .reference = digest_text(d, text),
        .kind = FETCH_BLOB,
        .from = from,
        .to = to,
    };

    p->from = from;
    p->to = to;
    p->left = to - from + 1;
    p->fetch = fetch_new(&q, l, waker);
    count(ranges_passed);
    return p;
}

enum pass_state pass_poll(struct pass *p, uint64_t *ret_size, struct err *err)
{
    switch (fetch_poll(p->fetch, err)) {
    case FETCH_NOT_YET:
        return PASS_NOT_YET;
    case FETCH_FAILED:
        return PASS_FAILED;
    case FETCH_READY:
        break;
    }
    /* Upstream may ignore ranges: then the whole would have to be skipped through, which a flight
     * does better. */
    if (fetch_answer(p->fetch)->from != p->from) {
        err_set(err, ERR_UNSUPPORTED, "upstream ignores ranges");
        return PASS_FAILED;
    }
    *ret_size = fetch_answer(p->fetch)->total;
    return PASS_READY;
}

long pass_read(struct pass *p, void *buf, size_t n, struct err *err)
{
    ssize_t got;

    if (p->left == 0) {
        return 0;
    }
    got = fetch_read(p->fetch, buf, n < p->left ? n : (size_t)p->left, err);
    if (got > 0) {
        p->left -= (uint64_t)got;
    }
    if (got == 0) {
        err_set(err, ERR_UPSTREAM_PROTOCOL, "the range ended early");
        return STREAM_FAILED;
    }
    return got;
}

void pass_free(struct pass *p)
{
    if (p != NULL) {
        fetch_free(p->fetch);
        free(p);
    }
}
