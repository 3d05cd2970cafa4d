/*
 * cli/stages.h - `larder stages`: which image extends which.
 */
#ifndef CLI_STAGES_H
#define CLI_STAGES_H

#include "cli/flags.h"

/* Returns the exit status. */
int stages_run(const struct flags *flags);

#endif
