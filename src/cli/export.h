/* cli/export.h - `larder export`: images in a file that can be carried. */
#ifndef CLI_EXPORT_H
#define CLI_EXPORT_H

#include "cli/flags.h"

/* Exit status. */
int export_run(const struct flags *flags);

#endif
