/*
 * cli/warm.h - `larder warm`: has images fetched before anybody asks for them.
 */
#ifndef CLI_WARM_H
#define CLI_WARM_H

#include "cli/flags.h"

/* Returns the exit status. */
int warm_run(const struct flags *flags);

#endif
