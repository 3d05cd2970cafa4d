/*
 * cli/local.h - a command on the store itself, where no server runs: the same engine without
 * listeners.
 */
#ifndef CLI_LOCAL_H
#define CLI_LOCAL_H

#include "admin/admin.h"
#include "cli/config.h"

/* -1: ERR_STORE, there is no data of Larder's. Commands that need some make no directory for it. */
int local_check(const char *data, struct err *err) MUST_CHECK;

/* Opens the store, which must be there, runs the command and closes it. `out` as with admin_run().
 * -1: what the command said, or ERR_STORE where the store cannot be opened, or ERR_IN_USE: another
 * process has it, such as a server that is starting. Blocks; main thread. */
int local_run(const struct config *config, const struct admin_command *c,
              const struct admin_query *q, struct buf *out, struct err *err) MUST_CHECK;

#endif
