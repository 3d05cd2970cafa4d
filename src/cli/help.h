/*
 * cli/help.h - the commands there are, and what `--help` says of each.
 */
#ifndef CLI_HELP_H
#define CLI_HELP_H

#include <stddef.h>

/* Name and how many arguments it takes. */
#define COMMAND_LIST(X)                                                                            \
    X(SERVE, "serve", 0)                                                                           \
    X(CHECK, "check", 1)                                                                           \
    X(STAGES, "stages", 1)                                                                         \
    X(LS, "ls", 1)                                                                                 \
    X(RM, "rm", 1000)                                                                              \
    X(GC, "gc", 0)                                                                                 \
    X(LOCK, "lock", 0)                                                                             \
    X(IMPORT, "import", 100000)                                                                    \
    X(STATS, "stats", 0)                                                                           \
    X(VERIFY, "verify", 0)                                                                         \
    X(EXPORT, "export", 100000)                                                                    \
    X(INVENTORY, "inventory", 0)                                                                   \
    X(WARM, "warm", 200000)                                                                        \
    X(PIN, "pin", 1)                                                                               \
    X(UNPIN, "unpin", 1)                                                                           \
    X(PASSWD, "passwd", 2)                                                                         \
    X(VERSION, "version", 0)                                                                       \
    X(HELP, "help", 1)

enum command_id {
#define X(id, name, args_max) COMMAND_##id,
    COMMAND_LIST(X)
#undef X
        COMMAND_COUNT
};

/* The help of the program, and of a command; each ends with a newline. Static storage. */
const char *help_general(void);
const char *help_of(enum command_id command);

#endif
