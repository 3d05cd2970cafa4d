/* test_flags.c - the command line. */
#include "../../src/cli/flags.c"

#include "tap.h"

#define WORDS_MAX 20

static struct err err;

/* Parses words that blanks separate; "larder" is put in front. */
static bool parse(const char *line, struct flags *ret)
{
    static char text[500];
    static char program[] = "larder";
    char *argv[WORDS_MAX + 1] = {program};
    char *rest = text;
    int argc = 1;

    snprintf(text, sizeof(text), "%s", line);
    while (rest != NULL && rest[0] != '\0' && argc < WORDS_MAX) {
        argv[argc++] = strsep(&rest, " ");
    }
    err = (struct err){0};
    return flags_parse(argc, argv, ret, &err) == 0;
}

static void test_serve(void)
{
    struct flags f = {0};

    if (CHECK(parse("serve --config c.json --data /d --listen 1.1.1.1:1 --listen=unix:/s "
                    "--upstream a=b --hosted x/** --tag-ttl 5m --offline --workers 2",
                    &f))) {
        CHECK_STR(f.command, "serve");
        CHECK_STR(f.config.config, "c.json");
        CHECK_STR(f.config.data, "/d");
        CHECK_INT(f.config.n_listen, 2);
        CHECK_STR(f.config.listen[0], "1.1.1.1:1");
        CHECK_STR(f.config.listen[1], "unix:/s");
        CHECK(f.config.n_upstream == 1 && f.config.n_hosted == 1 && f.config.offline);
        CHECK_STR(f.config.upstream[0], "a=b");
        CHECK_STR(f.config.hosted[0], "x/**");
        CHECK_STR(f.config.tag_ttl, "5m");
        CHECK_STR(f.config.workers, "2");
        CHECK(f.config.log_level == NULL && f.config.log_format == NULL);
        CHECK(f.n_args == 0 && !f.help);
        flags_free(&f);
    }
    if (CHECK(parse("serve --log-level debug --log-format json --data a --data b", &f))) {
        CHECK_STR(f.config.log_level, "debug");
        CHECK_STR(f.config.log_format, "json");
        CHECK_STR(f.config.data, "b");
        CHECK(!f.config.offline);
        flags_free(&f);
    }
    flags_free(&f); /* harmless when repeated */
    flags_free(NULL);
}

static void test_commands(void)
{
    struct flags f = {0};

    if (CHECK(parse("check /etc/l.json", &f))) {
        CHECK_STR(f.command, "check");
        CHECK_INT(f.n_args, 1);
        CHECK_STR(f.args[0], "/etc/l.json");
        flags_free(&f);
    }
    if (CHECK(parse("--config c.json check", &f))) {
        CHECK_STR(f.command, "check");
        CHECK_STR(f.config.config, "c.json");
        CHECK_INT(f.n_args, 0);
        flags_free(&f);
    }
    if (CHECK(parse("check -- --odd", &f))) {
        CHECK(f.n_args == 1 && !f.help);
        CHECK_STR(f.args[0], "--odd");
        flags_free(&f);
    }
    if (CHECK(parse("check f --data /d", &f))) { /* in any order */
        CHECK_STR(f.args[0], "f");
        CHECK_STR(f.config.data, "/d");
        flags_free(&f);
    }
    if (CHECK(parse("--version", &f))) {
        CHECK_STR(f.command, "version");
        flags_free(&f);
    }
    if (CHECK(parse("help serve", &f))) {
        CHECK_STR(f.command, "help");
        CHECK_STR(f.args[0], "serve");
        flags_free(&f);
    }
    if (CHECK(parse("", &f))) {
        CHECK(f.command == NULL && f.n_args == 0 && !f.help);
        flags_free(&f);
    }
}

static void test_help(void)
{
    static const char *const asks[] = {"serve --help", "--help serve", "serve -h", "serve x -h"};
    struct flags f = {0};

    for (size_t i = 0; i < ARRAY_LEN(asks); i++) {
        if (CHECK_NOTE(parse(asks[i], &f), asks[i])) {
            CHECK(f.help);
            CHECK_STR(f.command, "serve");
            flags_free(&f);
        }
    }
    if (CHECK(parse("--help", &f))) {
        CHECK(f.help && f.command == NULL);
        flags_free(&f);
    }
    CHECK(flags_help("elephant") == NULL);
    for (size_t i = 0; i < ARRAY_LEN(COMMANDS); i++) {
        const char *help = flags_help(COMMANDS[i].name);

        CHECK_NOTE(strstr(flags_help(NULL), COMMANDS[i].name) != NULL, COMMANDS[i].name);
        CHECK_NOTE(help[strlen(help) - 1] == '\n', COMMANDS[i].name);
        for (size_t k = 0; k < N_FLAGS; k++) {
            char flag[40];
            bool takes = (FLAGS[k].commands >> i & 1) != 0;

            snprintf(flag, sizeof(flag), "--%s", FLAGS[k].name);
            CHECK_NOTE((strstr(help, flag) != NULL) == takes, flag);
        }
    }
}

static void test_wrong(void)
{
    static const struct {
        const char *line;
        const char *text;
    } cases[] = {
        {"serve --elephant", "unknown flag --elephant; see `larder --help`"},
        {"serve --elephant=1", "unknown flag --elephant; see `larder --help`"},
        {"serve --l 1", "unknown flag --l; see `larder --help`"},
        {"serve -x", "unknown flag -x; see `larder --help`"},
        {"serve --offline -xh", "unknown flag -x; see `larder --help`"},
        {"serve --data", "--data needs a value; see `larder --help`"},
        {"serve --data=", "--data needs a value; see `larder --help`"},
        {"serve --offline=yes", "--offline takes no value; see `larder --help`"},
        {"serve x", "serve does not take the argument x; see `larder serve --help`"},
        {"check a b", "check does not take the argument b; see `larder check --help`"},
        {"version 1", "version does not take the argument 1; see `larder version --help`"},
        {"check --offline", "check takes no flag --offline; see `larder check --help`"},
        {"--listen a check", "check takes no flag --listen; see `larder check --help`"},
        {"elephant", "unknown command elephant; see `larder --help`"},
    };
    struct flags f = {.n_args = 77};

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        if (CHECK_NOTE(!parse(cases[i].line, &f), cases[i].line)) {
            CHECK_STR(err.text, cases[i].text);
            CHECK(err.code == ERR_CONFIG && f.n_args == 77);
        }
    }
}

/* argv stays in its order, also where flags and arguments are mixed. */
static void test_argv(void)
{
    static char words[][10] = {"larder", "check", "file", "--data", "/d"};
    char *argv[] = {words[0], words[1], words[2], words[3], words[4], NULL};
    struct flags f;

    if (CHECK(flags_parse(5, argv, &f, &err) == 0)) {
        for (size_t i = 0; i < 5; i++) {
            CHECK(argv[i] == words[i]);
        }
        flags_free(&f);
    }
}

int main(void)
{
    test_serve();
    test_commands();
    test_help();
    test_wrong();
    test_argv();
    return tap_done();
}
