/*
 * cli/flags.h - the command line of every command: `larder COMMAND [FLAG...] [ARGUMENT...]`.
 *
 * One table says which command takes which flag. Values are only collected here; what they mean is
 * checked where they are used, with the configuration. Main thread, before any other starts.
 */
#ifndef CLI_FLAGS_H
#define CLI_FLAGS_H

#include "cli/config.h"

/* What the command line says. Strings are those of argv. Owner: the caller, by flags_free(). */
struct flags {
    struct config_flags config;
    const char *command; /* its name, static; NULL: none was given */
    const char **args;   /* what follows the command and is no flag */
    size_t n_args;
    bool json;          /* --json: what a command found, as it is */
    bool take_over;     /* serve --take-over */
    bool all;           /* ls --all */
    bool dry_run;       /* gc --dry-run */
    const char *since;  /* lock --since; NULL: it was not given */
    const char *client; /* lock --client; likewise */
    const char *output; /* -o; likewise */
    const char *have;   /* export --have, --split, --sign; likewise */
    const char *split;
    const char *sign;
    const char *name;   /* import --name; likewise */
    bool replace;       /* import --replace */
    const char **trust; /* import --trust, n_trust of them */
    size_t n_trust;
    const char *file; /* warm, export: --file, --dockerfile, --platform; NULL: not given */
    const char *dockerfile;
    const char *platform;
    bool referrers; /* warm, export: --referrers, --pin */
    bool pin;
    bool repair;      /* verify --repair */
    const char *rate; /* verify --rate; NULL: it was not given */
    bool help;        /* --help or -h: print flags_help(command), status 0 */
    char **words;     /* a copy of argv in getopt's order, that args points into */
};

/* Reads argv, which stays as it is. Flags may stand before or behind the command, `--` ends them,
 * the last one of a flag that is no list counts, `--version` is the command `version`. 0, or -1
 * with ERR_CONFIG: one line that names the word and what would be right, hint to --help included
 * (exit status 2 is the caller's). *ret needs flags_free() after success only. */
int flags_parse(int argc, char **argv, struct flags *ret, struct err *err) MUST_CHECK;
void flags_free(struct flags *f);

/* The exit status of a command that failed: 2 where the command line or the configuration is wrong,
 * or a file that they name (ERR_CONFIG), else 1. */
int flags_status(const struct err *err);

/* The help of a command, or of the program where `command` is NULL; NULL for an unknown command.
 * Ends with a newline. Static storage. */
const char *flags_help(const char *command);

#endif
