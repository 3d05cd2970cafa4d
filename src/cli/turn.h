/*
 * cli/turn.h - a command waits while another process has the data directory: a server that cannot
 * be asked yet, or not any more, or another command.
 */
#ifndef CLI_TURN_H
#define CLI_TURN_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

/* Begins as {0}. Owner: whoever waits. */
struct turn {
    uint64_t end; /* clock_mono_ms; 0: nobody was waited for yet */
};

/* Whether to look again for the server, and else to open the store: `err` says that another process
 * has it (ERR_IN_USE), and the first to say so said it less than 5 s ago. Waits 50 ms then. */
bool turn_wait(struct turn *t, const struct err *err) MUST_CHECK;

#endif
