/*
 * cli/command.h - what the commands on the store have in common: ask, then tell.
 */
#ifndef CLI_COMMAND_H
#define CLI_COMMAND_H

#include "admin/admin.h"
#include "cli/flags.h"

#include <jansson.h>

/* Reads the configuration, has the command done (cli/remote.h, else cli/local.h) and prints what
 * `tell` makes of its answer, or with --json the answer itself. What goes wrong is said on standard
 * error. Returns the exit status: 0, 1, or 2 where the configuration is wrong. */
int command_run(const struct flags *flags, const char *name, const struct admin_query *q,
                void (*tell)(const json_t *answer, struct buf *out));

/* Members of an answer; "" and 0 where there is none. */
const char *command_text(const json_t *object, const char *name);
uint64_t command_number(const json_t *object, const char *name);

#endif
