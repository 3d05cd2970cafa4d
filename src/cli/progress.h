/*
 * cli/progress.h - how far a long command is: bars on a terminal, a line a thing elsewhere.
 *
 * Lines go to standard output, bars to standard error where that is a terminal. Any thread, but for
 * progress_draw(), which one thread calls until the end.
 */
#ifndef CLI_PROGRESS_H
#define CLI_PROGRESS_H

#include "base/err.h"

#include <stdint.h>

struct progress;

/* With room for `n` things at once, numbered from 0. */
struct progress *progress_new(unsigned n);
/* Takes the bars away. NULL is accepted. */
void progress_free(struct progress *p);

/* Thing number i begins; `label` is cut short; a size of UINT64_MAX is not known. */
void progress_begin(struct progress *p, unsigned i, const char *label, uint64_t size);
void progress_moved(struct progress *p, unsigned i, uint64_t done);
void progress_end(struct progress *p, unsigned i);

/* A line that stays. */
void progress_line(struct progress *p, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Waits a fifth of a second, and draws the bars anew. */
void progress_draw(struct progress *p);

#endif
