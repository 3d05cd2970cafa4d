/*
 * cli/ls.h - `larder ls`: the repositories and their tags.
 */
#ifndef CLI_LS_H
#define CLI_LS_H

#include "cli/flags.h"

/* Returns the exit status. */
int ls_run(const struct flags *flags);

#endif
