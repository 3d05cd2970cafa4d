/*
 * oci/jscan.h - walks over JSON text (RFC 8259) without allocating, and counts while it does.
 *
 * It bounds what a peer sends before a parser builds a tree of it, and reads long flat lists of
 * which no tree is wanted. Text of strings is checked no further than their escapes and control
 * characters. Pure; any thread.
 */
#ifndef OCI_JSCAN_H
#define OCI_JSCAN_H

#include "base/str.h"

/* Deepest nesting that can be asked for. */
#define JSCAN_DEPTH_MAX 64

enum jscan_token {
    JSCAN_OBJECT,
    JSCAN_OBJECT_END,
    JSCAN_ARRAY,
    JSCAN_ARRAY_END,
    JSCAN_KEY,
    JSCAN_STRING,
    JSCAN_NUMBER,
    JSCAN_WORD, /* true, false, null */
    JSCAN_END,  /* the whole text was one value */
    JSCAN_BAD,  /* no JSON, or beyond the bounds; stays so */
};

enum jscan_wants { JSCAN_WANTS_VALUE, JSCAN_WANTS_FIRST, JSCAN_WANTS_KEY, JSCAN_WANTS_COMMA };

/* Lives in its caller; borrows the text. */
struct jscan {
    struct slice text;
    size_t at;
    unsigned depth; /* containers that are open */
    unsigned depth_max;
    uint64_t objects; /* bit n: the n-th open container is an object */
    size_t values;    /* keys, scalars and containers so far */
    size_t values_max;
    enum jscan_wants wants;
    bool bad;
    struct slice token; /* of a key, string (without its quotes, escapes as they stand), number or
                           word */
};

/* Begins at the start of text. depth_max is at most JSCAN_DEPTH_MAX. */
void jscan_init(struct jscan *s, struct slice text, unsigned depth_max, size_t values_max);

/* The next token; s->token holds its text. */
enum jscan_token jscan_next(struct jscan *s);

/* Goes on until the container that `t` opened is closed; nothing to do for another token. False
 * where the text is bad. */
bool jscan_skip(struct jscan *s, enum jscan_token t);

/* A string token with its escapes resolved, where all of it is ASCII and not NUL and fits; else
 * false. */
bool jscan_ascii(struct slice token, char *buf, size_t size);

#endif
