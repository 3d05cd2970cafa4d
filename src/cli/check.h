/*
 * cli/check.h - `larder check FILE`: reads a configuration as `larder serve` would, and says what
 * it means.
 */
#ifndef CLI_CHECK_H
#define CLI_CHECK_H

#include "cli/flags.h"

/* Checks the file that is the argument, else that of --config, else the built-in defaults, flags on
 * top. A summary to stdout and exit status 0, or the error to stderr and 2. Opens nothing but the
 * file and the password files that it names. */
int check_run(const struct flags *flags);

#endif
