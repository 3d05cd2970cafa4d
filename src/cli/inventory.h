/* cli/inventory.h - `larder inventory`: which blobs are here, for `larder export --have`. */
#ifndef CLI_INVENTORY_H
#define CLI_INVENTORY_H

#include "cli/flags.h"

/* Exit status. */
int inventory_run(const struct flags *flags);

#endif
