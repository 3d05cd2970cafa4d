/*
 * cli/stats.h - `larder stats`: what the server does, once a second on a terminal, else once.
 */
#ifndef CLI_STATS_H
#define CLI_STATS_H

#include "cli/flags.h"

/* Returns the exit status. */
int stats_run(const struct flags *flags);

#endif
