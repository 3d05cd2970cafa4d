/*
 * cli/gc.h - `larder gc`: removes what retention lets go.
 */
#ifndef CLI_GC_H
#define CLI_GC_H

#include "cli/flags.h"

/* Returns the exit status. */
int gc_run(const struct flags *flags);

#endif
