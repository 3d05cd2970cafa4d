/*
 * cli/import.h - the command `larder import`: carries images out of archives into the store.
 */
#ifndef CLI_IMPORT_H
#define CLI_IMPORT_H

#include "cli/flags.h"

/* Reads one archive after the other, and says what became of it. Returns the exit status: 0; 1
 * where an archive was refused, or something failed; 2 where the command line is wrong, or a file
 * of it cannot be opened. */
int import_run(const struct flags *flags);

#endif
