/*
 * cli/lock.h - `larder lock`: prints what was pulled as a lock file.
 */
#ifndef CLI_LOCK_H
#define CLI_LOCK_H

#include "cli/flags.h"

/* Returns the exit status. */
int lock_run(const struct flags *flags);

#endif
