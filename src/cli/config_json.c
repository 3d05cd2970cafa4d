/* cli/config_json.c - nodes, their errors, and what reads them. */
#include "cli/config_json.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define NAME_SHOWN 48
#define PATH_SHOWN 64
#define KEY_KNOWN_MAX 32
#define KNOWN_SHOWN 88 /* names of keys; from there on no further one */
#define LONGEST_MS (3650ull * 24 * 3600 * 1000)

struct config_node config_root(const char *name, json_t *json, struct err *err)
{
    return (struct config_node){.key = name, .json = json, .err = err};
}

struct config_node config_member(const struct config_node *up, const char *key, json_t *json)
{
    return (struct config_node){.up = up, .key = key, .json = json, .err = up->err};
}

struct config_node config_element(const struct config_node *up, size_t index, json_t *json)
{
    return (struct config_node){.up = up, .index = index, .json = json, .err = up->err};
}

/* --- errors -------------------------------------------------------------------------------- */

/* Errors are one line on a terminal, whatever the file holds. */
static void without_controls(char *text)
{
    for (char *c = text; *c != '\0'; c++) {
        if ((unsigned char)*c < 0x20 || *c == 0x7f) {
            *c = '?';
        }
    }
}

const char *config_shown(const char *text, char buf[CONFIG_SHOWN_MAX])
{
    size_t len = strlen(text);

    if (len < CONFIG_SHOWN_MAX) {
        snprintf(buf, CONFIG_SHOWN_MAX, "%s", text);
    } else {
        len = CONFIG_SHOWN_MAX - 4;
        while (len > 0 && ((unsigned char)text[len] & 0xc0) == 0x80) {
            len--; /* not in the middle of a character */
        }
        snprintf(buf, CONFIG_SHOWN_MAX, "%.*s...", (int)len, text);
    }
    without_controls(buf);
    return buf;
}

/* Appends the keys below the root: "upstreams.ghcr.io.endpoints[0]". */
static void path_append(const struct config_node *n, struct buf *out)
{
    if (n->up == NULL) {
        return;
    }
    path_append(n->up, out);
    if (n->key == NULL) {
        buf_printf(out, "[%zu]", n->index);
    } else {
        buf_printf(out, "%s%s", n->up->up == NULL ? "" : ".", n->key);
    }
}

static const char *root_name(const struct config_node *n)
{
    while (n->up != NULL) {
        n = n->up;
    }
    return n->key;
}

/* The last `max` bytes, with dots where that is not all. */
static void append_tail(struct buf *out, const char *text, size_t max)
{
    size_t len = strlen(text);

    if (len > max) {
        buf_str(out, "...");
        text += len - (max - 3);
        while (((unsigned char)*text & 0xc0) == 0x80) {
            text++;
        }
    }
    buf_str(out, text);
}

int config_fail(const struct config_node *n, const char *fmt, ...)
{
    const char *name = root_name(n);
    char text[sizeof(n->err->text)];
    struct buf path;
    struct buf where;
    bool is_long;
    va_list args;

    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    buf_init(&path, SIZE_MAX);
    buf_init(&where, SIZE_MAX);
    buf_str(&path, "");
    path_append(n, &path);
    is_long = strlen(name) + path.len + strlen(text) + 5 > sizeof(text);
    append_tail(&where, name, is_long ? NAME_SHOWN : SIZE_MAX);
    if (path.len > 0) {
        buf_str(&where, ": ");
        append_tail(&where, path.p, is_long ? PATH_SHOWN : SIZE_MAX);
    }
    err_set(n->err, ERR_CONFIG, "%s: %s", where.len > 0 ? where.p : "", text);
    without_controls(n->err->text);
    buf_free(&path);
    buf_free(&where);
    return -1;
}

/* --- scalars ------------------------------------------------------------------------------- */

int config_read_string(const struct config_node *n, char **ret)
{
    if (!json_is_string(n->json) || json_string_length(n->json) == 0) {
        return config_fail(n, "must be a string in quotes that is not empty");
    }
    free(*ret);
    *ret = xstrndup(json_string_value(n->json), json_string_length(n->json));
    return 0;
}

int config_read_bool(const struct config_node *n, bool *ret)
{
    if (!json_is_boolean(n->json)) {
        return config_fail(n, "must be true or false, without quotes");
    }
    *ret = json_is_true(n->json);
    return 0;
}

int config_read_ms(const struct config_node *n, uint64_t *ret)
{
    char shown[CONFIG_SHOWN_MAX];
    uint64_t ms;

    if (!json_is_string(n->json)) {
        return config_fail(n, "must be a duration in quotes, such as \"200ms\", \"5s\" or \"2m\"");
    }
    if (!duration_parse(slice_str(json_string_value(n->json)), &ms)) {
        return config_fail(n,
                           "\"%s\" is no duration; right are \"200ms\", \"5s\", \"2m\", \"1h\" "
                           "and \"30d\"",
                           config_shown(json_string_value(n->json), shown));
    }
    if (ms > LONGEST_MS) {
        return config_fail(n, "must be at most \"3650d\"");
    }
    *ret = ms;
    return 0;
}

int config_read_seconds(const struct config_node *n, int64_t *ret)
{
    uint64_t ms = 0;

    if (config_read_ms(n, &ms) < 0) {
        return -1;
    }
    if (ms % 1000 != 0) {
        return config_fail(n, "must be whole seconds, such as \"1s\" or \"5m\"");
    }
    *ret = (int64_t)(ms / 1000);
    return 0;
}

int config_read_word(const struct config_node *n, const char *const *words, size_t n_words,
                     unsigned *ret)
{
    const char *text = json_string_value(n->json);
    struct buf known;

    for (size_t i = 0; text != NULL && i < n_words; i++) {
        if (strcmp(text, words[i]) == 0) {
            *ret = (unsigned)i;
            return 0;
        }
    }
    buf_init(&known, sizeof(n->err->text));
    for (size_t i = 0; i < n_words; i++) {
        buf_printf(&known, "%s\"%s\"", i == 0 ? "" : i + 1 < n_words ? ", " : " or ", words[i]);
    }
    config_fail(n, "must be %s", known.p);
    buf_free(&known);
    return -1;
}

/* --- containers ---------------------------------------------------------------------------- */

/* How many letters must be changed, added or left out to make one of the other (Levenshtein). */
static size_t distance(const char *a, const char *b)
{
    size_t row[KEY_KNOWN_MAX + 1];
    size_t width = strlen(b);

    if (width > KEY_KNOWN_MAX || strlen(a) > KEY_KNOWN_MAX) {
        return SIZE_MAX;
    }
    for (size_t j = 0; j <= width; j++) {
        row[j] = j;
    }
    for (size_t i = 0; a[i] != '\0'; i++) {
        size_t corner = row[0]++;

        for (size_t j = 0; j < width; j++) {
            size_t best = corner + (a[i] != b[j]);

            best = best < row[j] + 1 ? best : row[j] + 1;
            best = best < row[j + 1] + 1 ? best : row[j + 1] + 1;
            corner = row[j + 1];
            row[j + 1] = best;
        }
    }
    return row[width];
}

/* A key that is not known: the one that it was meant to be, or all that there are. */
static int fail_unknown(const struct config_node *n, const struct config_fields *fields)
{
    const char *semicolon = fields->hint == NULL ? "" : "; ";
    const char *hint = fields->hint == NULL ? "" : fields->hint;
    struct buf known;
    size_t best = 3; /* as many slips are no slip */
    const char *near = NULL;

    buf_init(&known, sizeof(n->err->text));
    for (size_t i = 0; i < fields->n; i++) {
        size_t slips = distance(n->key, fields->all[i].key);

        if (slips < best) {
            best = slips;
            near = fields->all[i].key;
        }
        if (known.len < KNOWN_SHOWN) {
            buf_printf(&known, "%s%s", i == 0 ? "" : ", ", fields->all[i].key);
        } else if (i + 1 == fields->n) {
            buf_str(&known, " and others");
        }
    }
    if (near != NULL) {
        config_fail(n, "unknown key; did you mean \"%s\"?", near);
    } else {
        config_fail(n, "unknown key%s%s; known are %s", semicolon, hint, known.p);
    }
    buf_free(&known);
    return -1;
}

int config_read_object(const struct config_node *n, const struct config_fields *fields,
                       void *target)
{
    const char *key;
    json_t *value;

    if (!json_is_object(n->json)) {
        return config_fail(n, "must be an object, as in { \"%s\": ... }", fields->all[0].key);
    }
    json_object_foreach(n->json, key, value)
    {
        struct config_node member = config_member(n, key, value);
        size_t i = 0;

        while (i < fields->n && strcmp(fields->all[i].key, key) != 0) {
            i++;
        }
        if (i == fields->n) {
            return fail_unknown(&member, fields);
        }
        if (fields->all[i].read(&member, (char *)target + fields->all[i].offset) < 0) {
            return -1;
        }
    }
    return 0;
}

int config_read_array(const struct config_node *n,
                      int (*read)(const struct config_node *n, void *context), void *context)
{
    json_t *value;
    size_t i;

    if (!json_is_array(n->json)) {
        return config_fail(n, "must be a list in brackets: [ ... ]");
    }
    json_array_foreach(n->json, i, value)
    {
        struct config_node element = config_element(n, i, value);

        if (read(&element, context) < 0) {
            return -1;
        }
    }
    return 0;
}

int config_read_members(const struct config_node *n,
                        int (*read)(const struct config_node *n, void *context), void *context)
{
    const char *key;
    json_t *value;

    if (!json_is_object(n->json)) {
        return config_fail(n, "must be an object in braces: { \"NAME\": { ... } }");
    }
    json_object_foreach(n->json, key, value)
    {
        struct config_node member = config_member(n, key, value);

        if (read(&member, context) < 0) {
            return -1;
        }
    }
    return 0;
}

json_t *config_load(const char *name, struct slice text, struct err *err)
{
    json_error_t error;
    json_t *json = json_loadb(text.p, text.len, JSON_REJECT_DUPLICATES, &error);
    struct config_node root = config_root(name, NULL, err);
    struct config_node at;
    char line[32];

    if (json != NULL) {
        return json;
    }
    snprintf(line, sizeof(line), "line %d", error.line);
    at = config_member(&root, line, NULL);
    if (json_error_code(&error) == json_error_duplicate_key) {
        config_fail(&at, "%s; each key may stand once", error.text);
    } else {
        config_fail(&at, "not JSON: %s", error.text);
    }
    return NULL;
}
