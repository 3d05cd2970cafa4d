/*
 * cli/patience.h - waits for a descriptor, and says so on a terminal where it takes long.
 */
#ifndef CLI_PATIENCE_H
#define CLI_PATIENCE_H

#include <stdbool.h>
#include <stdint.h>

/* Owner: the caller. */
struct patience {
    uint64_t began; /* clock_mono_ms() */
    bool terminal;  /* standard error is one */
    bool shown;
};

void patience_begin(struct patience *p);
/* Returns once something can be read. */
void patience_wait(struct patience *p, int fd);
/* Takes away what was shown. */
void patience_end(struct patience *p);

#endif
