/*
 * cli/remote.h - has a command done: by the server that runs on the data directory, else here, on
 * the same store without listeners.
 *
 * Blocks; any thread.
 */
#ifndef CLI_REMOTE_H
#define CLI_REMOTE_H

#include "admin/admin.h"
#include "cli/config.h"

enum remote_answer {
    REMOTE_DONE,
    REMOTE_NOBODY, /* no server runs there */
    REMOTE_FAILED, /* *err says why */
};

/* Asks the server at DATA/control.sock. `out` is initialised here, and the caller's to free. Says
 * on a terminal that it waits, where that takes long. */
enum remote_answer remote_ask(const char *data, const struct admin_command *c,
                              const struct admin_query *q, struct buf *out,
                              struct err *err) MUST_CHECK;

#endif
