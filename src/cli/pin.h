/*
 * cli/pin.h - `larder pin` and `larder unpin`: images that stay when room is needed.
 */
#ifndef CLI_PIN_H
#define CLI_PIN_H

#include "cli/flags.h"

/* Return the exit status. */
int pin_run(const struct flags *flags);
int unpin_run(const struct flags *flags);

#endif
