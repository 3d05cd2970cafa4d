/*
 * cli/main.c - the program: reads the command line and runs one command.
 *
 * Exit status: 0 done; 1 something could not be done; 2 the command line or the configuration is
 * wrong, or a file that they name cannot be read.
 */
#include "cli/commands.h"
#include "cli/flags.h"

#include <malloc.h>
#include <stdio.h>
#include <string.h>

static int help_run(const struct flags *flags)
{
    const char *about = flags->n_args > 0 ? flags->args[0] : NULL;
    const char *text = flags_help(about);

    if (text == NULL) {
        fprintf(stderr, "larder: there is no command %s; larder --help lists them\n", about);
        return 2;
    }
    fputs(text, stdout);
    return 0;
}

static const struct {
    const char *name;
    int (*run)(const struct flags *flags);
} COMMANDS[] = {
    {"serve", serve_run},   {"check", check_run},
    {"stages", stages_run}, {"ls", ls_run},
    {"rm", rm_run},         {"gc", gc_run},
    {"lock", lock_run},     {"import", import_run},
    {"export", export_run}, {"inventory", inventory_run},
    {"stats", stats_run},   {"warm", warm_run},
    {"pin", pin_run},       {"unpin", unpin_run},
    {"verify", verify_run}, {"version", version_run},
    {"help", help_run},     {"passwd", passwd_run},
};

static int run_command(const struct flags *flags)
{
    if (flags->help) {
        fputs(flags_help(flags->command), stdout);
        return 0;
    }
    if (flags->command == NULL) {
        fputs(flags_help(NULL), stderr);
        return 2;
    }
    for (size_t i = 0; i < ARRAY_LEN(COMMANDS); i++) {
        if (strcmp(COMMANDS[i].name, flags->command) == 0) {
            return COMMANDS[i].run(flags);
        }
    }
    return 2;
}

int main(int argc, char **argv)
{
    struct flags flags;
    struct err err = {0};
    int status;

    /* Few threads allocate much; an arena for each would only hold memory that nobody uses. */
    mallopt(M_ARENA_MAX, 2);
    if (flags_parse(argc, argv, &flags, &err) < 0) {
        fprintf(stderr, "larder: %s\n", err.text);
        return 2;
    }
    status = run_command(&flags);
    flags_free(&flags);
    return status;
}
