/*
 * store/pulls.h - what clients were answered: which manifest, by which tag, for which platform.
 *
 * Gathered in memory, and written with what else changes the index, or after some seconds; so a
 * crash may lose the last of them. 30 days are kept, and 1,000,000 lines (design section 4).
 */
#ifndef STORE_PULLS_H
#define STORE_PULLS_H

#include "store/index.h"

/* An answer; borrows. */
struct pull_note {
    enum repo_kind kind;
    const char *repo; /* as index_get_repo() takes it */
    const char *tag;  /* "" where it was asked for by its digest */
    const struct digest *digest;
    const char *client; /* its address */
};

/* Notes it, unless the same was noted in the same second: times are no finer. Any thread; cheap. */
void pulls_note(struct store *s, const struct pull_note *n);

/* Returns once what was noted before is in the index. Blocks; not on a loop. -1: ERR_STORE and
 * what else a commit says. */
int pulls_flush(struct store *s, struct err *err) MUST_CHECK;

/* A line of the table; borrows. */
struct pull {
    int64_t time; /* of the answer, wall seconds */
    uint64_t repo;
    const struct digest *digest;
    /* A tag; the digest of the index of which this manifest, asked for by its digest, is an entry
     * (of several such indexes a line each); or "". */
    const char *reference;
    const char *platform; /* "linux/arm64/v8"; "" where that is not known, or there are several */
    const char *client;
};

/* Calls f for each line not older than `since`, the oldest first, until it is false. */
void pulls_each(struct index_read *r, int64_t since, bool (*f)(void *arg, const struct pull *p),
                void *arg);

/* For the store: made with it, and freed when its writer does not run any more. */
struct pulls *pulls_new(struct store *s);
void pulls_free(struct pulls *p);

#endif
