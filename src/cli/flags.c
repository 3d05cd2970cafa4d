/* cli/flags.c - one table of flags, read by getopt_long(). */
#include "cli/flags.h"

#include "cli/help.h"

#include <getopt.h>
#include <stdlib.h>

static const struct {
    const char *name;
    size_t args_max;
} COMMANDS[COMMAND_COUNT] = {
#define X(id, name, args_max) {name, args_max},
    COMMAND_LIST(X)
#undef X
};

/* Which commands take a flag. */
#define ON(id) (1u << COMMAND_##id)
#define ON_STORE (ON(PIN) | ON(UNPIN) | ON(STAGES) | ON(LS) | ON(RM) | ON(GC) | ON(LOCK))
#define ON_ALL (~0u)

enum kind { KIND_TEXT, KIND_LIST, KIND_YES };

/* Where a flag's value goes in struct flags; of a list also where its count is. */
static const struct flag {
    const char *name;
    char letter; /* -o as well; 0: none */
    enum kind kind;
    unsigned commands;
    size_t offset;
    size_t offset_n;
} FLAGS[] = {
#define CONFIG_AT(field) offsetof(struct flags, config.field)
    {"config", 0, KIND_TEXT, ON_ALL, CONFIG_AT(config), 0},
    {"data", 0, KIND_TEXT, ON_ALL, CONFIG_AT(data), 0},
    {"listen", 0, KIND_LIST, ON(SERVE), CONFIG_AT(listen), CONFIG_AT(n_listen)},
    {"upstream", 0, KIND_LIST, ON(SERVE), CONFIG_AT(upstream), CONFIG_AT(n_upstream)},
    {"hosted", 0, KIND_LIST, ON(SERVE), CONFIG_AT(hosted), CONFIG_AT(n_hosted)},
    {"tag-ttl", 0, KIND_TEXT, ON(SERVE), CONFIG_AT(tag_ttl), 0},
    {"workers", 0, KIND_TEXT, ON(SERVE), CONFIG_AT(workers), 0},
    {"log-level", 0, KIND_TEXT, ON(SERVE), CONFIG_AT(log_level), 0},
    {"log-format", 0, KIND_TEXT, ON(SERVE), CONFIG_AT(log_format), 0},
    {"lock", 0, KIND_TEXT, ON(SERVE) | ON(CHECK) | ON(WARM) | ON(EXPORT), CONFIG_AT(lock), 0},
    {"offline", 0, KIND_YES, ON(SERVE), CONFIG_AT(offline), 0},
    {"take-over", 0, KIND_YES, ON(SERVE), offsetof(struct flags, take_over), 0},
    {"json", 0, KIND_YES, ON_STORE | ON(STATS), offsetof(struct flags, json), 0},
    {"all", 0, KIND_YES, ON(LS) | ON(EXPORT), offsetof(struct flags, all), 0},
    {"since", 0, KIND_TEXT, ON(LOCK) | ON(EXPORT), offsetof(struct flags, since), 0},
    {"client", 0, KIND_TEXT, ON(LOCK), offsetof(struct flags, client), 0},
    {"name", 0, KIND_TEXT, ON(IMPORT), offsetof(struct flags, name), 0},
    {"trust", 0, KIND_LIST, ON(IMPORT), offsetof(struct flags, trust),
     offsetof(struct flags, n_trust)},
    {"replace", 0, KIND_YES, ON(IMPORT), offsetof(struct flags, replace), 0},
    {"dry-run", 0, KIND_YES, ON(GC), offsetof(struct flags, dry_run), 0},
    {"repair", 0, KIND_YES, ON(VERIFY), offsetof(struct flags, repair), 0},
    {"rate", 0, KIND_TEXT, ON(VERIFY), offsetof(struct flags, rate), 0},
    {"output", 'o', KIND_TEXT, ON(INVENTORY) | ON(EXPORT), offsetof(struct flags, output), 0},
    {"file", 0, KIND_TEXT, ON(WARM) | ON(EXPORT), offsetof(struct flags, file), 0},
    {"dockerfile", 0, KIND_TEXT, ON(WARM), offsetof(struct flags, dockerfile), 0},
    {"platform", 0, KIND_TEXT, ON(WARM) | ON(EXPORT), offsetof(struct flags, platform), 0},
    {"referrers", 0, KIND_YES, ON(WARM) | ON(EXPORT), offsetof(struct flags, referrers), 0},
    {"pin", 0, KIND_YES, ON(WARM), offsetof(struct flags, pin), 0},
    {"have", 0, KIND_TEXT, ON(EXPORT), offsetof(struct flags, have), 0},
    {"split", 0, KIND_TEXT, ON(EXPORT), offsetof(struct flags, split), 0},
    {"sign", 0, KIND_TEXT, ON(EXPORT), offsetof(struct flags, sign), 0},
    {"help", 0, KIND_YES, ON_ALL, offsetof(struct flags, help), 0},
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
        return help_general();
    }
    return i < 0 ? NULL : help_of((enum command_id)i);
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

/* ":hx:y", as getopt() wants it. */
static void letters_fill(char *out)
{
    *out++ = ':';
    *out++ = 'h';
    for (size_t i = 0; i < N_FLAGS; i++) {
        if (FLAGS[i].letter != 0) {
            *out++ = FLAGS[i].letter;
            *out = ':';
            out += FLAGS[i].kind == KIND_YES ? 0 : 1;
        }
    }
    *out = '\0';
}

/* What getopt_long() gives for a flag, by its name or its letter, as the former; 0: it is none. */
static int flag_of(int got)
{
    for (size_t i = 0; i < N_FLAGS && got < FLAG_FIRST; i++) {
        if (FLAGS[i].letter != 0 && FLAGS[i].letter == got) {
            return FLAG_FIRST + (int)i;
        }
    }
    return got < FLAG_FIRST ? 0 : got;
}

/* Takes the flags out of f->words. Sets a bit of *ret_given for each of FLAGS. */
static int read_options(int argc, struct flags *f, uint64_t *ret_given, struct err *err)
{
    struct option options[N_FLAGS + 2];
    char letters[2 * N_FLAGS + 3];
    uint64_t given = 0;
    int got;

    options_fill(options);
    letters_fill(letters);
    opterr = 0;
    optind = 0; /* glibc: from the start, in case this is not the first time */
    while ((got = getopt_long(argc, f->words, letters, options, NULL)) != -1) {
        if (got == FLAG_VERSION) {
            f->command = "version";
        } else if (got == 'h') {
            f->help = true;
        } else if (flag_of(got) == 0) {
            return refuse(got, f->words[optind - 1], err);
        } else if (optarg != NULL && optarg[0] == '\0') {
            return err_set(err, ERR_CONFIG, "--%s needs a value; see `larder --help`",
                           FLAGS[flag_of(got) - FLAG_FIRST].name);
        } else {
            flag_store(&FLAGS[flag_of(got) - FLAG_FIRST], optarg, f);
            given |= UINT64_C(1) << (flag_of(got) - FLAG_FIRST);
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
static int check_command(const struct flags *f, uint64_t given, struct err *err)
{
    int command = command_find(f->command);

    if (command < 0) {
        return 0;
    }
    for (size_t i = 0; i < N_FLAGS; i++) {
        if ((given >> i & 1) != 0 && (FLAGS[i].commands >> command & 1) == 0) {
            return err_set(err, ERR_CONFIG, "%s takes no flag --%s; see `larder %s --help`",
                           f->command, FLAGS[i].name, f->command);
        }
    }
    if (f->n_args > COMMANDS[command].args_max && !f->help) {
        return err_set(err, ERR_CONFIG,
                       "%s does not take the argument %.60s; "
                       "see `larder %s --help`",
                       f->command, f->args[COMMANDS[command].args_max], f->command);
    }
    return 0;
}

int flags_parse(int argc, char **argv, struct flags *ret, struct err *err)
{
    struct flags f = {.words = xcalloc((size_t)argc + 1, sizeof(*f.words))};
    uint64_t given = 0;

    memcpy(f.words, argv, (size_t)argc * sizeof(*argv));
    if (read_options(argc, &f, &given, err) < 0 || read_command(&f, err) < 0 ||
        check_command(&f, given, err) < 0) {
        flags_free(&f);
        return -1;
    }
    *ret = f;
    return 0;
}

int flags_status(const struct err *err)
{
    return err->code == ERR_CONFIG ? 2 : 1;
}

void flags_free(struct flags *f)
{
    if (f == NULL) {
        return;
    }
    free((void *)(uintptr_t)f->config.listen);
    free((void *)(uintptr_t)f->config.upstream);
    free((void *)(uintptr_t)f->config.hosted);
    free((void *)(uintptr_t)f->trust);
    free(f->words);
    *f = (struct flags){0};
}
