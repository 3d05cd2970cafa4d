/*
 * cli/have.h - asks the engine which blobs are here, and keeps those that are from being evicted.
 *
 * Each question leases what is here for an hour. Blocks; the owner of the line calls.
 */
#ifndef CLI_HAVE_H
#define CLI_HAVE_H

#include "cli/line.h"
#include "cli/spool.h"

/* Most digests of one question. */
#define HAVE_MAX 1000

/* Some digests in their order, and which of them are not here. */
struct have_window {
    size_t n;
    struct digest digests[HAVE_MAX];
    bool missing[HAVE_MAX];
};

/* Sets ret_missing[i] for each of n digests, HAVE_MAX at most. */
int have_ask(struct line *l, const struct digest *digests, size_t n, bool *ret_missing,
             struct err *e) MUST_CHECK;

/* Leases anew what a spool of digests, one a line, names and is here. */
int have_renew(struct line *l, const struct spool *digests, struct err *e) MUST_CHECK;

#endif
