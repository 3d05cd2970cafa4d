/*
 * cli/version.h - `larder version`.
 */
#ifndef CLI_VERSION_H
#define CLI_VERSION_H

#include "cli/flags.h"

/* Prints "larder VERSION" to stdout. Exit status 0. */
int version_run(const struct flags *flags);

#endif
