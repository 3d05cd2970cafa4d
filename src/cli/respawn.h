/*
 * cli/respawn.h - starts the program anew, as it was started, to take over from this process: what
 * lies at its path by now, which may be a newer one.
 */
#ifndef CLI_RESPAWN_H
#define CLI_RESPAWN_H

#include "base/err.h"

#include <sys/types.h>

/* `words`: the command line, NULL behind the last one. The new process has this one's environment
 * and descriptors 0 to 2, and `--take-over`. Main thread. */
int respawn(char *const *words, pid_t *ret, struct err *err) MUST_CHECK;

#endif
