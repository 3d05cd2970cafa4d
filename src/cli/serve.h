/*
 * cli/serve.h - `larder serve`: everything wired together, from start to drain.
 */
#ifndef CLI_SERVE_H
#define CLI_SERVE_H

#include "cli/flags.h"

/* Runs until SIGTERM or SIGINT. Exit status: 0 after a drain, 1 where something could not be
 * opened or bound, 2 for a bad configuration. Main thread, once. */
int serve_run(const struct flags *flags);

#endif
