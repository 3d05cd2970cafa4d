/* oci/jscan.c - a JSON tokeniser that holds its state in a few words. */
#include "oci/jscan.h"

#include <assert.h>

void jscan_init(struct jscan *s, struct slice text, unsigned depth_max, size_t values_max)
{
    assert(depth_max <= JSCAN_DEPTH_MAX);
    *s = (struct jscan){.text = text, .depth_max = depth_max, .values_max = values_max};
}

static enum jscan_token bad(struct jscan *s)
{
    s->bad = true;
    s->token = SLICE_NULL;
    return JSCAN_BAD;
}

/* The byte at hand, or -1 at the end. */
static int peek(const struct jscan *s)
{
    return s->at < s->text.len ? (unsigned char)s->text.p[s->at] : -1;
}

static void skip_blanks(struct jscan *s)
{
    int c;

    while ((c = peek(s)) == ' ' || c == '\t' || c == '\n' || c == '\r') {
        s->at++;
    }
}

static bool in_object(const struct jscan *s)
{
    return s->depth > 0 && (s->objects >> (s->depth - 1) & 1) != 0;
}

/* --- scalars --- */

/* Behind the backslash. */
static bool escape_skip(struct jscan *s)
{
    uint64_t value;
    int c = peek(s);

    if (c == 'u') {
        if (s->text.len - s->at < 5 ||
            !slice_hex64(slice_sub(s->text, s->at + 1, s->at + 5), &value)) {
            return false;
        }
        s->at += 5;
        return true;
    }
    s->at++;
    return c > 0 && strchr("\"\\/bfnrt", c) != NULL;
}

static bool string_take(struct jscan *s)
{
    size_t from = ++s->at;

    for (;;) {
        int c = peek(s);

        if (c < 0x20) {
            return false; /* the end, or a control character */
        }
        if (c == '"') {
            s->token = slice_sub(s->text, from, s->at++);
            return true;
        }
        s->at++;
        if (c == '\\' && !escape_skip(s)) {
            return false;
        }
    }
}

static size_t digits_skip(struct jscan *s)
{
    size_t from = s->at;
    int c;

    while ((c = peek(s)) >= '0' && c <= '9') {
        s->at++;
    }
    return s->at - from;
}

static bool number_take(struct jscan *s)
{
    size_t from = s->at;
    bool zero;

    if (peek(s) == '-') {
        s->at++;
    }
    zero = peek(s) == '0';
    if (zero) {
        s->at++;
    } else if (digits_skip(s) == 0) {
        return false;
    }
    if (peek(s) == '.') {
        s->at++;
        if (digits_skip(s) == 0) {
            return false;
        }
    }
    if (peek(s) == 'e' || peek(s) == 'E') {
        s->at++;
        if (peek(s) == '+' || peek(s) == '-') {
            s->at++;
        }
        if (digits_skip(s) == 0) {
            return false;
        }
    }
    s->token = slice_sub(s->text, from, s->at);
    return true;
}

static bool word_take(struct jscan *s)
{
    static const char *const words[] = {"true", "false", "null"};
    struct slice rest = slice_from(s->text, s->at);

    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        if (slice_starts(rest, words[i])) {
            s->token = slice_sub(rest, 0, strlen(words[i]));
            s->at += s->token.len;
            return true;
        }
    }
    return false;
}

/* --- structure --- */

static enum jscan_token container_open(struct jscan *s, bool object)
{
    uint64_t bit;

    if (s->depth == s->depth_max) {
        return bad(s);
    }
    bit = (uint64_t)1 << s->depth++;
    s->objects = object ? s->objects | bit : s->objects & ~bit;
    s->at++;
    s->wants = JSCAN_WANTS_FIRST;
    return object ? JSCAN_OBJECT : JSCAN_ARRAY;
}

static enum jscan_token container_close(struct jscan *s)
{
    bool object = in_object(s);

    s->at++;
    s->depth--;
    s->wants = JSCAN_WANTS_COMMA;
    return object ? JSCAN_OBJECT_END : JSCAN_ARRAY_END;
}

static enum jscan_token key_take(struct jscan *s)
{
    struct slice key;

    if (peek(s) != '"' || !string_take(s)) {
        return bad(s);
    }
    key = s->token;
    skip_blanks(s);
    if (peek(s) != ':') {
        return bad(s);
    }
    s->at++;
    s->wants = JSCAN_WANTS_VALUE;
    s->token = key;
    return JSCAN_KEY;
}

static enum jscan_token value_take(struct jscan *s)
{
    int c = peek(s);

    s->wants = JSCAN_WANTS_COMMA;
    if (c == '{' || c == '[') {
        return container_open(s, c == '{');
    }
    if (c == '"') {
        return string_take(s) ? JSCAN_STRING : bad(s);
    }
    if (c == '-' || (c >= '0' && c <= '9')) {
        return number_take(s) ? JSCAN_NUMBER : bad(s);
    }
    return word_take(s) ? JSCAN_WORD : bad(s);
}

enum jscan_token jscan_next(struct jscan *s)
{
    char closing = in_object(s) ? '}' : ']';

    s->token = SLICE_NULL;
    skip_blanks(s);
    if (s->bad) {
        return JSCAN_BAD;
    }
    if (s->depth == 0 && s->wants == JSCAN_WANTS_COMMA) {
        return s->at == s->text.len ? JSCAN_END : bad(s);
    }
    if (s->wants == JSCAN_WANTS_FIRST || s->wants == JSCAN_WANTS_COMMA) {
        if (peek(s) == closing) {
            return container_close(s);
        }
        if (s->wants == JSCAN_WANTS_COMMA) {
            if (peek(s) != ',') {
                return bad(s);
            }
            s->at++;
            skip_blanks(s);
        }
        s->wants = in_object(s) ? JSCAN_WANTS_KEY : JSCAN_WANTS_VALUE;
    }
    if (++s->values > s->values_max) {
        return bad(s);
    }
    return s->wants == JSCAN_WANTS_KEY ? key_take(s) : value_take(s);
}

bool jscan_skip(struct jscan *s, enum jscan_token t)
{
    unsigned until = s->depth - 1;

    if (t != JSCAN_OBJECT && t != JSCAN_ARRAY) {
        return t != JSCAN_BAD;
    }
    while (s->depth > until) {
        if (jscan_next(s) == JSCAN_BAD) {
            return false;
        }
    }
    return true;
}

/* --- text --- */

/* The character of the escape at p (behind the backslash); 0 where it is not ASCII. */
static char escape_ascii(struct slice s, size_t *used)
{
    static const char from[] = "\"\\/bfnrt";
    static const char to[] = "\"\\/\b\f\n\r\t";
    uint64_t value = 0;

    if (s.p[0] == 'u') {
        *used = 5;
        return slice_hex64(slice_sub(s, 1, 5), &value) && value < 0x80 ? (char)value : '\0';
    }
    *used = 1;
    return to[strchr(from, s.p[0]) - from];
}

bool jscan_ascii(struct slice token, char *buf, size_t size)
{
    size_t n = 0;

    for (size_t i = 0; i < token.len; i++) {
        char c = token.p[i];

        if (c == '\\') {
            size_t used;

            c = escape_ascii(slice_from(token, i + 1), &used);
            i += used;
        }
        if (c <= 0 || n + 1 >= size) {
            return false;
        }
        buf[n++] = c;
    }
    buf[n] = '\0';
    return size > 0;
}
