/* cli/flags.c - one table of flags, read by getopt_long(). */
#include "cli/flags.h"

#include <getopt.h>
#include <stdlib.h>

/* Which commands take a flag: a bit each, by position in COMMANDS. */
enum {
    ON_SERVE = 1,
    ON_CHECK = 2,
    ON_STAGES = 16,
    ON_LS = 32,
    ON_RM = 64,
    ON_GC = 128,
    ON_LOCK = 256,
    ON_STORE = ON_STAGES | ON_LS | ON_RM | ON_GC | ON_LOCK,
    ON_ALL = ~0
};

#define STORE_HELP                                                                                 \
    "\n"                                                                                           \
    "Asks the server that runs on the data directory; where none does, works on it directly.\n"    \
    "\n"                                                                                           \
    "  --config FILE            the configuration of the server\n"                                 \
    "  --data DIR               where everything is kept\n"
#define JSON_HELP "  --json                   what was found, as JSON\n"
#define HELP_HELP "  -h, --help               this text\n"

static const struct {
    const char *name;
    size_t args_max;
    const char *help;
} COMMANDS[] = {
    {"serve", 0,
     "usage: larder serve [FLAG]...\n"
     "\n"
     "Runs the cache proxy. A flag replaces the value of the configuration file.\n"
     "\n"
     "  --config FILE            the configuration, JSON; `larder check FILE` checks it\n"
     "  --data DIR               where everything is kept\n"
     "  --listen ADDR:PORT       where clients connect, or unix:/path; may be repeated\n"
     "  --upstream NAME=URL      where registry NAME is reached; may be repeated\n"
     "  --hosted PATTERN         names of Larder's own repositories; may be repeated\n"
     "  --tag-ttl DURATION       how long a tag is answered without asking upstream (5m)\n"
     "  --offline                ask no upstream, serve what is here\n"
     "  --lock FILE              tags of mirrored repositories mean what FILE says, and no others\n"
     "                           are there\n"
     "  --workers N              threads that serve; 0: one for each CPU\n"
     "  --log-level LEVEL        error, warn, info or debug\n"
     "  --log-format FORMAT      text or json\n"
     "  -h, --help               this text\n"},
    {"check", 1,
     "usage: larder check [FLAG]... [FILE]\n"
     "\n"
     "Checks a configuration file and says what it means; without FILE that of --config, without\n"
     "that the defaults. Exit status 2 where it is wrong.\n"
     "\n"
     "  --config FILE            the same as FILE\n"
     "  --data DIR               where everything is kept\n"
     "  -h, --help               this text\n"},
    {"version", 0,
     "usage: larder version\n"
     "\n"
     "Prints the version.\n"
     "\n"
     "  --config FILE, --data DIR  have no meaning here\n"
     "  -h, --help                 this text\n"},
    {"help", 1,
     "usage: larder help [COMMAND]\n"
     "\n"
     "Prints how the program, or one command, is used.\n"
     "\n"
     "  --config FILE, --data DIR  have no meaning here\n"
     "  -h, --help                 this text\n"},
    {"stages", 1,
     "usage: larder stages [FLAG]... [REPOSITORY]\n"
     "\n"
     "Shows which image extends which: those that were pushed and the mirrored ones below them, "
     "or\n"
     "what has to do with REPOSITORY, which may be a mirrored one (docker.io/library/golang). "
     "Sizes\n"
     "are those of the layers as they are stored; + is what an image adds to the one above it.\n"
     "From scratch is what extends no image that is here.\n" STORE_HELP JSON_HELP HELP_HELP},
    {"ls", 1,
     "usage: larder ls [FLAG]... [REPOSITORY]\n"
     "\n"
     "Lists the repositories that were pushed to and their tags, or those of REPOSITORY, which "
     "may\n"
     "be a mirrored one. Sizes are what is here, each blob once.\n" STORE_HELP
     "  --all                    the mirrored repositories too\n" JSON_HELP HELP_HELP},
    {"rm", 1000,
     "usage: larder rm [FLAG]... NAME...\n"
     "\n"
     "Removes what was pushed, and says what it removed. NAME is one of\n"
     "\n"
     "  REPOSITORY:TAG           the tag alone\n"
     "  REPOSITORY@DIGEST        the manifest, with its tags\n"
     "  REPOSITORY               all that is in the repository\n"
     "\n"
     "Bytes that nobody holds any more are freed behind that; layers by `larder gc`.\n" STORE_HELP
         JSON_HELP HELP_HELP},
    {"gc", 0,
     "usage: larder gc [FLAG]...\n"
     "\n"
     "Applies the rules of `hosted` now, and removes blobs that no manifest refers to.\n" STORE_HELP
     "  --dry-run                only say what would go\n" JSON_HELP HELP_HELP},
    {"lock", 0,
     "usage: larder lock [FLAG]...\n"
     "\n"
     "Prints what was pulled in the last 30 days as a lock file: which digest each tag meant when\n"
     "it was last asked for, and for which platforms it was pulled. A server can be held to it\n"
     "(`larder serve --help`).\n" STORE_HELP
     "  --since TIME             what was pulled since then: 24h, 7d, or 2026-01-31T12:00:00Z\n"
     "  --client ADDR            what the client at this address pulled; unix: by a socket\n"
     "  --json                   changes nothing\n" HELP_HELP},
};

static const char GENERAL_HELP[] =
    "usage: larder COMMAND [FLAG]... [ARGUMENT]...\n"
    "\n"
    "A cache proxy for OCI registries: between builders and registries, each layer is fetched "
    "once.\n"
    "\n"
    "  serve     run the proxy\n"
    "  check     check a configuration file\n"
    "  stages    show which image extends which\n"
    "  ls        list repositories and tags\n"
    "  rm        remove tags, manifests, repositories\n"
    "  gc        remove what is not kept any longer\n"
    "  lock      print what was pulled, with digests\n"
    "  version   print the version\n"
    "  help      say how a command is used\n"
    "\n"
    "  --config FILE   the configuration, JSON\n"
    "  --data DIR      where everything is kept\n"
    "  -h, --help      of the program, or behind a command of that one\n"
    "  --version       the same as the command\n";

enum kind { KIND_TEXT, KIND_LIST, KIND_YES };

/* Where a flag's value goes in struct flags; of a list also where its count is. */
static const struct flag {
    const char *name;
    enum kind kind;
    int commands;
    size_t offset;
    size_t offset_n;
} FLAGS[] = {
#define CONFIG_AT(field) offsetof(struct flags, config.field)
    {"config", KIND_TEXT, ON_ALL, CONFIG_AT(config), 0},
    {"data", KIND_TEXT, ON_ALL, CONFIG_AT(data), 0},
    {"listen", KIND_LIST, ON_SERVE, CONFIG_AT(listen), CONFIG_AT(n_listen)},
    {"upstream", KIND_LIST, ON_SERVE, CONFIG_AT(upstream), CONFIG_AT(n_upstream)},
    {"hosted", KIND_LIST, ON_SERVE, CONFIG_AT(hosted), CONFIG_AT(n_hosted)},
    {"tag-ttl", KIND_TEXT, ON_SERVE, CONFIG_AT(tag_ttl), 0},
    {"workers", KIND_TEXT, ON_SERVE, CONFIG_AT(workers), 0},
    {"log-level", KIND_TEXT, ON_SERVE, CONFIG_AT(log_level), 0},
    {"log-format", KIND_TEXT, ON_SERVE, CONFIG_AT(log_format), 0},
    {"lock", KIND_TEXT, ON_SERVE, CONFIG_AT(lock), 0},
    {"offline", KIND_YES, ON_SERVE, CONFIG_AT(offline), 0},
    {"json", KIND_YES, ON_STORE, offsetof(struct flags, json), 0},
    {"all", KIND_YES, ON_LS, offsetof(struct flags, all), 0},
    {"since", KIND_TEXT, ON_LOCK, offsetof(struct flags, since), 0},
    {"client", KIND_TEXT, ON_LOCK, offsetof(struct flags, client), 0},
    {"dry-run", KIND_YES, ON_GC, offsetof(struct flags, dry_run), 0},
    {"help", KIND_YES, ON_ALL, offsetof(struct flags, help), 0},
#undef CONFIG_AT
};

#define N_FLAGS ARRAY_LEN(FLAGS)
/* What getopt_long() gives for the long flags: values that no letter has. */
enum { FLAG_FIRST = 256, FLAG_VERSION = FLAG_FIRST + (int)N_FLAGS };

static int command_find(const char *name)
{
    for (size_t i = 0; name != NULL && i < ARRAY_LEN(COMMANDS); i++) {
        if (strcmp(COMMANDS[i].name, name) == 0) {
            return (int)i;
        }
    }
    return -1;
}

const char *flags_help(const char *command)
{
    int i = command_find(command);

    if (command == NULL) {
        return GENERAL_HELP;
    }
    return i < 0 ? NULL : COMMANDS[i].help;
}

/* Keeps one value of a flag in *f. */
static void flag_store(const struct flag *flag, const char *value, struct flags *f)
{
    void *at = (char *)f + flag->offset;
    size_t *n = (size_t *)(void *)((char *)f + flag->offset_n);
    const char *const **list = at;
    const char **grown;

    switch (flag->kind) {
    case KIND_YES:
        *(bool *)at = true;
        break;
    case KIND_TEXT:
        *(const char **)at = value;
        break;
    case KIND_LIST:
        grown = xrealloc((void *)(uintptr_t)*list, (*n + 1) * sizeof(*grown));
        grown[(*n)++] = value;
        *list = grown;
        break;
    }
}

/* What getopt_long() did not take: `word` as it was written. */
static int refuse(int got, const char *word, struct err *err)
{
    int len = (int)strcspn(word, "=");

    if (got == ':') {
        return err_set(err, ERR_CONFIG, "%.60s needs a value; see `larder --help`", word);
    }
    if (optopt >= FLAG_FIRST) {
        return err_set(err, ERR_CONFIG, "%.*s takes no value; see `larder --help`",
                       len < 60 ? len : 60, word);
    }
    if (optopt != 0) { /* a letter; the word may hold more of them, and not be read to its end */
        return err_set(err, ERR_CONFIG, "unknown flag -%c; see `larder --help`",
                       optopt > 0x20 && optopt < 0x7f ? optopt : '?');
    }
    return err_set(err, ERR_CONFIG, "unknown flag %.*s; see `larder --help`", len < 60 ? len : 60,
                   word);
}

static void options_fill(struct option *all)
{
    for (size_t i = 0; i < N_FLAGS; i++) {
        all[i] = (struct option){
            .name = FLAGS[i].name,
            .has_arg = FLAGS[i].kind == KIND_YES ? no_argument : required_argument,
            .val = FLAG_FIRST + (int)i,
        };
    }
    all[N_FLAGS] = (struct option){.name = "version", .val = FLAG_VERSION};
    all[N_FLAGS + 1] = (struct option){0};
}

/* Takes the flags out of f->words. Sets a bit of *ret_given for each of FLAGS. */
static int read_options(int argc, struct flags *f, unsigned *ret_given, struct err *err)
{
    struct option options[N_FLAGS + 2];
    unsigned given = 0;
    int got;

    options_fill(options);
    opterr = 0;
    optind = 0; /* glibc: from the start, in case this is not the first time */
    while ((got = getopt_long(argc, f->words, ":h", options, NULL)) != -1) {
        if (got == FLAG_VERSION) {
            f->command = "version";
        } else if (got == 'h') {
            f->help = true;
        } else if (got < FLAG_FIRST) {
            return refuse(got, f->words[optind - 1], err);
        } else if (optarg != NULL && optarg[0] == '\0') {
            return err_set(err, ERR_CONFIG, "--%s needs a value; see `larder --help`",
                           FLAGS[got - FLAG_FIRST].name);
        } else {
            flag_store(&FLAGS[got - FLAG_FIRST], optarg, f);
            given |= 1u << (got - FLAG_FIRST);
        }
    }
    f->args = (const char **)(void *)(f->words + optind);
    f->n_args = (size_t)(argc - optind);
    *ret_given = given;
    return 0;
}

/* The first word that is no flag is the command. */
static int read_command(struct flags *f, struct err *err)
{
    int i;

    if (f->command != NULL || f->n_args == 0) {
        return 0;
    }
    i = command_find(f->args[0]);
    if (i < 0) {
        return err_set(err, ERR_CONFIG, "unknown command %.60s; see `larder --help`", f->args[0]);
    }
    f->command = COMMANDS[i].name;
    f->args++;
    f->n_args--;
    return 0;
}

/* Whether the command takes the flags and as many arguments. */
static int check_command(const struct flags *f, unsigned given, struct err *err)
{
    int command = command_find(f->command);

    if (command < 0) {
        return 0;
    }
    for (size_t i = 0; i < N_FLAGS; i++) {
        if ((given >> i & 1) != 0 && (FLAGS[i].commands >> command & 1) == 0) {
            return err_set(err, ERR_CONFIG, "larder %s takes no flag --%s; see `larder %s --help`",
                           f->command, FLAGS[i].name, f->command);
        }
    }
    if (f->n_args > COMMANDS[command].args_max && !f->help) {
        return err_set(err, ERR_CONFIG,
                       "larder %s does not take the argument %.60s; "
                       "see `larder %s --help`",
                       f->command, f->args[COMMANDS[command].args_max], f->command);
    }
    return 0;
}

int flags_parse(int argc, char **argv, struct flags *ret, struct err *err)
{
    struct flags f = {.words = xcalloc((size_t)argc + 1, sizeof(*f.words))};
    unsigned given = 0;

    memcpy(f.words, argv, (size_t)argc * sizeof(*argv));
    if (read_options(argc, &f, &given, err) < 0 || read_command(&f, err) < 0 ||
        check_command(&f, given, err) < 0) {
        flags_free(&f);
        return -1;
    }
    *ret = f;
    return 0;
}

void flags_free(struct flags *f)
{
    if (f == NULL) {
        return;
    }
    free((void *)(uintptr_t)f->config.listen);
    free((void *)(uintptr_t)f->config.upstream);
    free((void *)(uintptr_t)f->config.hosted);
    free(f->words);
    *f = (struct flags){0};
}
