/*
 * cli/config_json.h - typed reading of a JSON tree that knows where it is: every error names the
 * file, the key path and what would be right.
 *
 * A node is a value and the way to it; nodes live on the stack of who descends, so `up` is valid
 * while its caller runs. Flags are read by the same functions: as a node whose root is the flag.
 */
#ifndef CLI_CONFIG_JSON_H
#define CLI_CONFIG_JSON_H

#include "base/err.h"
#include "base/str.h"

#include <jansson.h>

struct config_node {
    const struct config_node *up; /* NULL: the root */
    const char *key;              /* of the root: the file or flag; NULL: `index` counts */
    size_t index;
    json_t *json; /* borrowed; NULL where only the path matters */
    struct err *err;
};

/* The value at the top; `name` is the file, the flag or what else stands for it. */
struct config_node config_root(const char *name, json_t *json, struct err *err);
struct config_node config_member(const struct config_node *up, const char *key, json_t *json);
struct config_node config_element(const struct config_node *up, size_t index, json_t *json);

/* "NAME: key.path[0]: " and the text, as one line; where that is too long, the ends of name and
 * path. Returns -1. */
int config_fail(const struct config_node *n, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Room for a value in an error: cut, and without control characters. */
#define CONFIG_SHOWN_MAX 48
const char *config_shown(const char *text, char buf[CONFIG_SHOWN_MAX]);

/* Readers: 0 and *ret, or -1 with the error. A string is not empty, and the caller's to free; what
 * *ret pointed to before is freed. */
int config_read_string(const struct config_node *n, char **ret) MUST_CHECK;
int config_read_bool(const struct config_node *n, bool *ret) MUST_CHECK;
/* "5m" and the like, up to ten years. */
int config_read_ms(const struct config_node *n, uint64_t *ret) MUST_CHECK;
/* The same in whole seconds. */
int config_read_seconds(const struct config_node *n, int64_t *ret) MUST_CHECK;
/* One of the words; its number. */
int config_read_word(const struct config_node *n, const char *const *words, size_t n_words,
                     unsigned *ret) MUST_CHECK;

/* One key of an object, and what reads it into `target` + offset. */
struct config_field {
    const char *key;
    int (*read)(const struct config_node *n, void *at);
    size_t offset;
};

struct config_fields {
    const struct config_field *all;
    size_t n;
    const char *hint; /* added where a key is unknown; may be NULL */
};

/* An object of which only these keys are known; each is read where it is there. */
int config_read_object(const struct config_node *n, const struct config_fields *fields,
                       void *target) MUST_CHECK;

/* Calls `read` with each element of an array, or member of an object, until one fails. */
int config_read_array(const struct config_node *n,
                      int (*read)(const struct config_node *n, void *context),
                      void *context) MUST_CHECK;
int config_read_members(const struct config_node *n,
                        int (*read)(const struct config_node *n, void *context),
                        void *context) MUST_CHECK;

/* The tree of a text; NULL with an error that names the line. Freed with json_decref(). */
json_t *config_load(const char *name, struct slice text, struct err *err) MUST_CHECK;

#endif
