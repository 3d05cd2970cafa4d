/*
 * cli/spool.h - bytes that are kept in a file without a name while a command runs, so that memory
 * does not grow with them.
 *
 * Blocks; one owner, any thread.
 */
#ifndef CLI_SPOOL_H
#define CLI_SPOOL_H

#include "base/err.h"
#include "base/str.h"

/* Owner: the caller, by spool_init() and spool_fini(). */
struct spool {
    int fd; /* -1: nothing was added yet */
    const char *folder;
    uint64_t size;
    uint64_t max;
    struct slice mapped;
};

/* The file is made in `folder`, which is borrowed. */
void spool_init(struct spool *s, const char *folder, uint64_t max);
void spool_fini(struct spool *s);

/* -1: ERR_TOO_LARGE beyond the maximum, ERR_NO_SPACE, ERR_STORE. Not after spool_map(). */
int spool_add(struct spool *s, struct slice bytes, struct err *e) MUST_CHECK;

/* Up to n bytes at `offset`, less at the end alone. */
int spool_read(const struct spool *s, uint64_t offset, void *p, size_t n, size_t *ret,
               struct err *e) MUST_CHECK;

/* All of it, until spool_fini(). */
int spool_map(struct spool *s, struct slice *ret, struct err *e) MUST_CHECK;

#endif
