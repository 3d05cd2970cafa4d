/*
 * cache/pass.h - a range of a cold blob that is fetched directly and not kept.
 *
 * A range far from what a flight would reach soon is not worth a download of the whole, unless it
 * is asked for again and again. Such a range never reaches the last HOLD_BACK bytes: those come
 * from a flight only, after its verdict. Loop thread.
 */
#ifndef CACHE_PASS_H
#define CACHE_PASS_H

#include "cache/cache.h"

struct pass;

/* Whether bytes from..to (inclusive) of a cold blob of that size are to be passed: counts how
 * often within a minute, and the eighth time says no, so that a flight starts. */
bool pass_wanted(struct cache *c, struct loop *l, const struct digest *d, uint64_t size,
                 uint64_t from, uint64_t to);

/* Starts; `waker` is deferred whenever polling or reading may get further. */
struct pass *pass_new(struct loop *l, const struct cache_repo *repo, const struct digest *d,
                      uint64_t from, uint64_t to, struct task *waker);
enum pass_state { PASS_NOT_YET, PASS_READY, PASS_FAILED };
/* PASS_READY: *ret_size is that of the whole blob, as upstream says. PASS_FAILED: *err. */
enum pass_state pass_poll(struct pass *p, uint64_t *ret_size, struct err *err);
/* > 0, 0 at the end, STREAM_AGAIN (-1), STREAM_FAILED (-2) with *err. */
long pass_read(struct pass *p, void *buf, size_t n, struct err *err);
void pass_free(struct pass *p);

#endif
