/*
 * cli/verify.h - `larder verify`: all blobs read again, page by page, and those that are bad
 * fetched again where they can be.
 */
#ifndef CLI_VERIFY_H
#define CLI_VERIFY_H

#include "cli/flags.h"

/* Returns the exit status. */
int verify_run(const struct flags *flags);

#endif
