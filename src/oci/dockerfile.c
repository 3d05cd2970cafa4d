/*
 * oci/dockerfile.c - lines into instructions, instructions into words, words into images.
 */
#include "oci/dockerfile.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#define ARGS_MAX 256
#define STAGES_MAX 1000
#define HEREDOCS_MAX 8
#define NAME_MAX_BYTES 128

struct arg {
    char name[NAME_MAX_BYTES];
    char value[DOCKERFILE_WORD_MAX];
};

/* One reading. */
struct parse {
    struct slice rest; /* lines that were not read */
    unsigned line;     /* of the instruction at hand, from 1 */
    unsigned next;     /* lines that were read */
    char escape;
    struct arg *args; /* those before the first FROM, the platform's among them */
    size_t n_args;
    bool in_stage;
    char (*stages)[NAME_MAX_BYTES]; /* "" where it has no name */
    size_t n_stages;
    struct buf text; /* the instruction, its lines joined */
    struct dockerfile *out;
    struct err *err;
};

static int bad(const struct parse *p, const char *what)
{
    return err_set(p->err, ERR_CONFIG, "line %u: %s", p->line, what);
}

/* --- lines --------------------------------------------------------------------------------- */

static bool next_line(struct parse *p, struct slice *ret)
{
    if (p->rest.p == NULL || !slice_split(&p->rest, '\n', ret)) {
        return false;
    }
    p->next++;
    if (slice_ends(*ret, "\r")) {
        *ret = slice_sub(*ret, 0, ret->len - 1);
    }
    return true;
}

static bool is_comment(struct slice line)
{
    return slice_starts(slice_trim(line), "#");
}

/* Takes the escape off the end of a line that goes on; blanks may follow it. */
static bool goes_on(const struct parse *p, struct slice *line)
{
    struct slice text = *line;

    while (text.len > 0 && (text.p[text.len - 1] == ' ' || text.p[text.len - 1] == '\t')) {
        text.len--;
    }
    if (text.len == 0 || text.p[text.len - 1] != p->escape) {
        return false;
    }
    *line = slice_sub(text, 0, text.len - 1);
    return true;
}

/* Joins the lines of the next instruction into p->text; false at the end of the file. Comments and
 * empty lines in between do not end it. */
static bool next_instruction(struct parse *p)
{
    struct slice line;
    bool more = false;

    buf_free(&p->text);
    buf_init(&p->text, DOCKERFILE_MAX + 1);
    while (next_line(p, &line)) {
        if (is_comment(line) || slice_trim(line).len == 0) {
            continue;
        }
        if (!more) {
            p->line = p->next;
        }
        more = goes_on(p, &line);
        buf_slice(&p->text, line);
        if (!more) {
            return true;
        }
    }
    return p->text.len > 0;
}

/* --- words --------------------------------------------------------------------------------- */

/* Takes the next word off *rest, quotes and all; blanks within quotes belong to it. */
static bool next_word(struct slice *rest, struct slice *ret)
{
    struct slice s = slice_trim(*rest);
    char quote = 0;
    size_t i = 0;

    for (; i < s.len && (quote != 0 || (s.p[i] != ' ' && s.p[i] != '\t')); i++) {
        if (quote == 0 && (s.p[i] == '"' || s.p[i] == '\'')) {
            quote = s.p[i];
        } else if (s.p[i] == quote) {
            quote = 0;
        }
    }
    *ret = slice_sub(s, 0, i);
    *rest = slice_from(s, i);
    return ret->len > 0;
}

static const char *arg_value(const struct parse *p, struct slice name)
{
    for (size_t i = p->n_args; i-- > 0;) {
        if (slice_is(name, p->args[i].name)) {
            return p->args[i].value;
        }
    }
    return NULL;
}

static bool is_name_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

static int expand(const struct parse *p, struct slice word, unsigned depth, struct buf *out);

/* What stands between "${" and "}": NAME, NAME:-WORD, NAME-WORD, NAME:+WORD, NAME+WORD. */
static int expand_braces(const struct parse *p, struct slice inner, unsigned depth, struct buf *out)
{
    size_t n = 0;
    struct slice other;
    const char *value;
    bool colon;
    bool set;

    while (n < inner.len && is_name_char(inner.p[n])) {
        n++;
    }
    value = arg_value(p, slice_sub(inner, 0, n));
    if (n == 0) {
        return bad(p, "a ${} without a name");
    }
    if (n == inner.len) {
        buf_str(out, value == NULL ? "" : value);
        return 0;
    }
    colon = inner.p[n] == ':';
    other = slice_from(inner, n + (colon ? 1 : 0));
    set = value != NULL && (!colon || value[0] != '\0');
    if (slice_starts(other, "-")) {
        if (set) {
            buf_str(out, value);
            return 0;
        }
        return expand(p, slice_from(other, 1), depth + 1, out);
    }
    if (slice_starts(other, "+")) {
        return set ? expand(p, slice_from(other, 1), depth + 1, out) : 0;
    }
    return bad(p, "a ${} of a kind that is not known here");
}

/* The part of `word` behind "${" up to its "}"; false where there is none. */
static bool find_brace(struct slice word, size_t from, size_t *ret_end)
{
    unsigned depth = 1;

    for (size_t i = from; i < word.len; i++) {
        if (word.p[i] == '{' && i > 0 && word.p[i - 1] == '$') {
            depth++;
        } else if (word.p[i] == '}' && --depth == 0) {
            *ret_end = i;
            return true;
        }
    }
    return false;
}

/* A variable at word.p[*i], which is '$'; *i is then behind it. */
static int expand_variable(const struct parse *p, struct slice word, size_t *i, unsigned depth,
                           struct buf *out)
{
    size_t from = *i + 1;
    size_t end;
    const char *value;

    if (from < word.len && word.p[from] == '{') {
        if (!find_brace(word, from + 1, &end)) {
            return bad(p, "a ${ without its }");
        }
        *i = end + 1;
        return expand_braces(p, slice_sub(word, from + 1, end), depth, out);
    }
    for (end = from; end < word.len && is_name_char(word.p[end]); end++) {
    }
    value = arg_value(p, slice_sub(word, from, end));
    buf_str(out, end == from ? "$" : value == NULL ? "" : value);
    *i = end;
    return 0;
}

/* Replaces variables and takes quotes and escapes away, as a shell would. */
static int expand(const struct parse *p, struct slice word, unsigned depth, struct buf *out)
{
    char quote = 0;

    if (depth > 8) {
        return bad(p, "variables within variables, too deep");
    }
    for (size_t i = 0; i < word.len;) {
        char c = word.p[i];

        if (c == '$' && quote != '\'') {
            if (expand_variable(p, word, &i, depth, out) < 0) {
                return -1;
            }
            continue;
        }
        i++;
        if (c == p->escape && quote != '\'' && i < word.len) {
            buf_append(out, &word.p[i++], 1);
        } else if (quote == 0 && (c == '"' || c == '\'')) {
            quote = c;
        } else if (c == quote) {
            quote = 0;
        } else {
            buf_append(out, &c, 1);
        }
    }
    if (quote != 0) {
        return bad(p, "a quote that does not end");
    }
    return out->failed ? bad(p, "a word that is too long") : 0;
}

static int expand_word(const struct parse *p, struct slice word, char *out, size_t size)
{
    struct buf text;
    int result;

    buf_init(&text, size - 1);
    result = expand(p, word, 0, &text);
    if (result == 0 && !slice_copy(buf_view(&text), out, size)) {
        result = bad(p, "a word that is too long");
    }
    buf_free(&text);
    return result;
}

/* --- instructions -------------------------------------------------------------------------- */

static int add_arg(struct parse *p, struct slice name, const char *value)
{
    struct arg *a;

    if (p->n_args == ARGS_MAX) {
        return bad(p, "more ARGs than are looked at");
    }
    a = &p->args[p->n_args];
    if (!slice_copy(name, a->name, sizeof(a->name))) {
        return bad(p, "the name of an ARG is too long");
    }
    snprintf(a->value, sizeof(a->value), "%s", value);
    p->n_args++;
    return 0;
}

/* ARG NAME[=VALUE]...: those of a stage mean nothing to FROM. */
static int read_arg(struct parse *p, struct slice rest)
{
    struct slice word;

    while (!p->in_stage && next_word(&rest, &word)) {
        size_t eq = slice_find(word, '=');
        char value[DOCKERFILE_WORD_MAX];

        if (eq == word.len) {
            continue; /* without a default it is what it was */
        }
        if (expand_word(p, slice_from(word, eq + 1), value, sizeof(value)) < 0 ||
            add_arg(p, slice_sub(word, 0, eq), value) < 0) {
            return -1;
        }
    }
    return 0;
}

static bool is_stage(const struct parse *p, const char *name)
{
    uint64_t number;

    if (slice_u64(slice_str(name), &number)) {
        return number < p->n_stages;
    }
    for (size_t i = 0; i < p->n_stages; i++) {
        if (strcasecmp(p->stages[i], name) == 0) {
            return true;
        }
    }
    return false;
}

static int add_image(struct parse *p, const char *name, const char *platform)
{
    struct dockerfile *d = p->out;

    for (size_t i = 0; i < d->n; i++) {
        if (strcmp(d->images[i].name, name) == 0 && strcmp(d->images[i].platform, platform) == 0) {
            return 0;
        }
    }
    if (d->n == DOCKERFILE_IMAGES_MAX) {
        return bad(p, "more images than are looked at");
    }
    if (d->n % 16 == 0) {
        d->images = xrealloc(d->images, (d->n + 16) * sizeof(*d->images));
    }
    d->images[d->n] = (struct dockerfile_image){.line = p->line};
    snprintf(d->images[d->n].name, sizeof(d->images[0].name), "%s", name);
    snprintf(d->images[d->n].platform, sizeof(d->images[0].platform), "%s", platform);
    d->n++;
    return 0;
}

/* The value of a flag "--NAME=VALUE"; false where the word is another. */
static bool flag_value(struct slice word, const char *flag, struct slice *ret)
{
    if (!slice_starts(word, flag)) {
        return false;
    }
    *ret = slice_from(word, strlen(flag));
    return true;
}

/* FROM [--platform=PLATFORM] IMAGE [AS NAME] */
static int read_from(struct parse *p, struct slice rest)
{
    char name[DOCKERFILE_WORD_MAX] = "";
    char platform[sizeof(p->out->images[0].platform)] = "";
    struct slice word;
    struct slice value;
    struct slice as = SLICE_NULL;

    while (next_word(&rest, &word) && slice_starts(word, "--")) {
        if (flag_value(word, "--platform=", &value) &&
            expand_word(p, value, platform, sizeof(platform)) < 0) {
            return -1;
        }
    }
    if (word.len == 0) {
        return bad(p, "FROM without an image");
    }
    if (expand_word(p, word, name, sizeof(name)) < 0) {
        return -1;
    }
    if (name[0] == '\0') {
        return bad(p, "FROM an image that a build argument without a default would name");
    }
    if (next_word(&rest, &word) && slice_is_nocase(word, "as")) {
        ignore_result(next_word(&rest, &as));
    }
    if (strcmp(name, "scratch") != 0 && !is_stage(p, name) && add_image(p, name, platform) < 0) {
        return -1;
    }
    if (p->n_stages == STAGES_MAX) {
        return bad(p, "more stages than are looked at");
    }
    if (!slice_copy(as, p->stages[p->n_stages], sizeof(p->stages[0]))) {
        return bad(p, "the name of a stage is too long");
    }
    p->n_stages++;
    p->in_stage = true;
    return 0;
}

/* A stage or an image that files are taken out of; variables are not replaced there. */
static int add_source(struct parse *p, struct slice text)
{
    char name[DOCKERFILE_WORD_MAX];

    if (text.len == 0 || slice_find(text, '$') < text.len) {
        return 0;
    }
    if (!slice_copy(text, name, sizeof(name))) {
        return bad(p, "the name of an image is too long");
    }
    return is_stage(p, name) || strcmp(name, "scratch") == 0 || strcmp(name, "context") == 0
               ? 0
               : add_image(p, name, "");
}

/* --mount=type=bind,from=IMAGE,… */
static int read_mount(struct parse *p, struct slice options)
{
    struct slice option;

    while (slice_split(&options, ',', &option)) {
        struct slice value;

        if (flag_value(slice_trim(option), "from=", &value) && add_source(p, value) < 0) {
            return -1;
        }
    }
    return 0;
}

/* The flags of COPY, ADD and RUN, which stand before anything else. */
static int read_flags(struct parse *p, struct slice rest)
{
    struct slice word;
    struct slice value;

    while (next_word(&rest, &word) && slice_starts(word, "--")) {
        if (flag_value(word, "--from=", &value) && add_source(p, value) < 0) {
            return -1;
        }
        if (flag_value(word, "--mount=", &value) && read_mount(p, value) < 0) {
            return -1;
        }
    }
    return 0;
}

/* --- here-documents ------------------------------------------------------------------------ */

/* "<<EOF", "<<-EOF", "<<\"EOF\"" at the start of a word; its delimiter. */
static bool heredoc_of(struct slice word, struct slice *ret, bool *ret_tabs)
{
    size_t digits = 0;

    while (digits < word.len && word.p[digits] >= '0' && word.p[digits] <= '9') {
        digits++;
    }
    word = slice_from(word, digits);
    if (!slice_starts(word, "<<") || slice_starts(word, "<<<")) {
        return false;
    }
    word = slice_from(word, 2);
    *ret_tabs = slice_starts(word, "-");
    word = slice_from(word, *ret_tabs ? 1 : 0);
    if (word.len >= 2 && (word.p[0] == '"' || word.p[0] == '\'')) {
        word = slice_sub(word, 1, word.len - 1);
    }
    *ret = word;
    return word.len > 0;
}

/* Passes over the lines of the here-documents that an instruction begins. */
static int skip_heredocs(struct parse *p, struct slice rest)
{
    struct slice word;
    unsigned n = 0;

    while (next_word(&rest, &word)) {
        struct slice end;
        struct slice line;
        bool tabs;
        bool found = false;

        if (!heredoc_of(word, &end, &tabs)) {
            continue;
        }
        if (++n > HEREDOCS_MAX) {
            return bad(p, "more here-documents than are looked at");
        }
        while (!found && next_line(p, &line)) {
            while (tabs && slice_starts(line, "\t")) {
                line = slice_from(line, 1);
            }
            found = slice_eq(line, end);
        }
        if (!found) {
            return bad(p, "a here-document that does not end");
        }
    }
    return 0;
}

/* --- the file ------------------------------------------------------------------------------ */

static int read_instruction(struct parse *p)
{
    struct slice rest = buf_view(&p->text);
    struct slice word;

    if (!next_word(&rest, &word)) {
        return 0;
    }
    if (slice_is_nocase(word, "ONBUILD") && !next_word(&rest, &word)) {
        return 0;
    }
    if (slice_is_nocase(word, "FROM")) {
        return read_from(p, rest);
    }
    if (slice_is_nocase(word, "ARG")) {
        return read_arg(p, rest);
    }
    if (slice_is_nocase(word, "COPY") || slice_is_nocase(word, "ADD") ||
        slice_is_nocase(word, "RUN")) {
        return read_flags(p, rest) < 0 ? -1 : skip_heredocs(p, rest);
    }
    return 0;
}

/* "# KEY=VALUE" */
static bool directive(struct slice line, struct slice *ret_key, struct slice *ret_value)
{
    struct slice text = slice_trim(slice_from(slice_trim(line), 1));
    size_t eq = slice_find(text, '=');

    *ret_key = slice_trim(slice_sub(text, 0, eq));
    *ret_value = slice_trim(slice_from(text, eq + 1));
    return eq < text.len && ret_key->len > 0 && slice_find(*ret_key, ' ') == ret_key->len;
}

/* Directives stand before everything else, comments that are none included. */
static int read_directives(struct parse *p)
{
    struct slice before = p->rest;
    struct slice line;
    struct slice key;
    struct slice value;
    unsigned n = p->next;

    while (next_line(p, &line) && is_comment(line) && directive(line, &key, &value)) {
        char name[DOCKERFILE_WORD_MAX];

        p->line = p->next;
        if (slice_is_nocase(key, "escape")) {
            if (!slice_is(value, "\\") && !slice_is(value, "`")) {
                return bad(p, "escape must be \\ or `");
            }
            p->escape = value.p[0];
        } else if (slice_is_nocase(key, "syntax")) {
            if (!slice_copy(slice_sub(value, 0, slice_find(value, ' ')), name, sizeof(name))) {
                return bad(p, "the name of the syntax is too long");
            }
            if (name[0] != '\0' && add_image(p, name, "") < 0) {
                return -1;
            }
        }
        before = p->rest;
        n = p->next;
    }
    p->rest = before;
    p->next = n;
    return 0;
}

/* BUILDPLATFORM, BUILDOS, … and the same of TARGET. */
static void add_platform_args(struct parse *p, const char *platform)
{
    static const char *const WHOSE[] = {"BUILD", "TARGET"};
    static const char *const PARTS[] = {"OS", "ARCH", "VARIANT"};
    char name[NAME_MAX_BYTES];

    for (size_t i = 0; i < ARRAY_LEN(WHOSE); i++) {
        struct slice rest = slice_str(platform);
        struct slice part;

        snprintf(name, sizeof(name), "%sPLATFORM", WHOSE[i]);
        ignore_result(add_arg(p, slice_str(name), platform));
        for (size_t k = 0; k < ARRAY_LEN(PARTS); k++) {
            char value[64] = "";

            if (rest.p != NULL && slice_split(&rest, '/', &part)) {
                ignore_result(slice_copy(part, value, sizeof(value)));
            }
            snprintf(name, sizeof(name), "%s%s", WHOSE[i], PARTS[k]);
            ignore_result(add_arg(p, slice_str(name), value));
        }
    }
}

static int parse_all(struct parse *p)
{
    if (slice_starts(p->rest, "\xef\xbb\xbf")) {
        p->rest = slice_from(p->rest, 3);
    }
    if (read_directives(p) < 0) {
        return -1;
    }
    while (next_instruction(p)) {
        if (read_instruction(p) < 0) {
            return -1;
        }
    }
    return 0;
}

int dockerfile_parse(struct slice text, const char *platform, struct dockerfile *ret,
                     struct err *err)
{
    struct dockerfile out = {0};
    struct parse p = {.rest = text, .escape = '\\', .out = &out, .err = err};
    int result;

    if (text.len > DOCKERFILE_MAX) {
        return err_set(err, ERR_CONFIG, "a Dockerfile of more than %u bytes", DOCKERFILE_MAX);
    }
    p.args = xcalloc(ARGS_MAX, sizeof(*p.args));
    p.stages = xcalloc(STAGES_MAX, sizeof(*p.stages));
    buf_init(&p.text, 1);
    add_platform_args(&p, platform);
    result = parse_all(&p);
    buf_free(&p.text);
    free(p.args);
    free(p.stages);
    if (result < 0) {
        dockerfile_free(&out);
        return -1;
    }
    *ret = out;
    return 0;
}

void dockerfile_free(struct dockerfile *d)
{
    free(d->images);
    *d = (struct dockerfile){0};
}
