/*
 * cli/rm.h - `larder rm`: removes what was pushed.
 */
#ifndef CLI_RM_H
#define CLI_RM_H

#include "cli/flags.h"

/* Returns the exit status. */
int rm_run(const struct flags *flags);

#endif
