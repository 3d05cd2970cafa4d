/*
 * oci/challenge.c - a WWW-Authenticate line, token by token.
 *
 * The grammar needs a look ahead: behind a comma, a word is a parameter where '=' follows it, else
 * the scheme of the next challenge. Whatever cannot be read ends the line; the challenges in front
 * of it count.
 */
#include "oci/challenge.h"

/* A line and the challenge that is being read off it. */
struct parser {
    struct slice rest;
    struct challenge found;
    bool spoiled; /* a parameter of `found` cannot be taken */
};

static bool is_token_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

static void skip(struct slice *s, const char *chars)
{
    while (s->len > 0 && s->p[0] != '\0' && strchr(chars, s->p[0]) != NULL) {
        *s = slice_from(*s, 1);
    }
}

static struct slice take_token(struct slice *s)
{
    size_t n = 0;
    struct slice token;

    while (n < s->len && is_token_char(s->p[n])) {
        n++;
    }
    token = slice_sub(*s, 0, n);
    *s = slice_from(*s, n);
    return token;
}

/* The credentials-like text that some schemes have in place of parameters; skipped, where the
 * whole of it stands before a comma or the end. */
static void skip_token68(struct slice *s)
{
    struct slice at = *s;
    size_t n = 0;

    while (n < at.len && (is_token_char(at.p[n]) || at.p[n] == '/')) {
        n++;
    }
    while (n < at.len && at.p[n] == '=') {
        n++;
    }
    at = slice_from(at, n);
    skip(&at, " \t");
    if (n > 0 && (at.len == 0 || at.p[0] == ',')) {
        *s = at;
    }
}

/* A quoted string, its escapes resolved, or whatever stands before a blank or comma (some servers
 * forget the quotes of a URL). False on a missing end quote. A value that does not fit, or has
 * control characters, is cut and *ret_whole false. */
static bool take_value(struct slice *s, char *buf, size_t size, bool *ret_whole)
{
    bool quoted = s->len > 0 && s->p[0] == '"';
    size_t i = quoted ? 1 : 0;
    size_t n = 0;
    bool whole = true;
    bool closed = !quoted;

    for (; i < s->len; i++) {
        char c = s->p[i];

        if (quoted ? c == '"' : c == ',' || c == ' ' || c == '\t') {
            closed = true;
            break;
        }
        if (quoted && c == '\\' && i + 1 < s->len) {
            c = s->p[++i];
        }
        if ((unsigned char)c < 0x20 || c == 0x7f || n + 1 >= size) {
            whole = false;
        } else {
            buf[n++] = c;
        }
    }
    buf[n] = '\0';
    *s = slice_from(*s, quoted ? i + 1 : i);
    *ret_whole = whole;
    return closed;
}

static bool take_parameter(struct parser *p, struct slice name)
{
    struct {
        const char *name;
        char *buf;
        size_t size;
    } known[] = {
        {"realm", p->found.realm, sizeof(p->found.realm)},
        {"service", p->found.service, sizeof(p->found.service)},
        {"scope", p->found.scope, sizeof(p->found.scope)},
        {"error", p->found.error, sizeof(p->found.error)},
    };
    char unknown[1];
    bool whole;

    skip(&p->rest, " \t");
    for (size_t i = 0; i < ARRAY_LEN(known); i++) {
        if (slice_is_nocase(name, known[i].name)) {
            bool closed = take_value(&p->rest, known[i].buf, known[i].size, &whole);

            p->spoiled = p->spoiled || !whole || !closed;
            return closed;
        }
    }
    return take_value(&p->rest, unknown, sizeof(unknown), &whole);
}

/* The challenge is complete: keep it where it is better than what there is. */
static void settle(struct parser *p, struct challenge *c)
{
    bool usable = !p->spoiled && (p->found.scheme != CHALLENGE_BEARER || p->found.realm[0] != '\0');

    if (usable && p->found.scheme > c->scheme) {
        *c = p->found;
    }
    p->spoiled = false;
    p->found = (struct challenge){.scheme = CHALLENGE_NONE};
}

static enum challenge_scheme scheme_of(struct slice word)
{
    if (slice_is_nocase(word, "bearer")) {
        return CHALLENGE_BEARER;
    }
    return slice_is_nocase(word, "basic") ? CHALLENGE_BASIC : CHALLENGE_NONE;
}

void challenge_add(struct challenge *c, struct slice header_value)
{
    struct parser p = {.rest = header_value};

    for (;;) {
        struct slice word;

        skip(&p.rest, " \t,");
        word = take_token(&p.rest);
        if (word.len == 0) {
            break;
        }
        skip(&p.rest, " \t");
        if (p.rest.len > 0 && p.rest.p[0] == '=') {
            p.rest = slice_from(p.rest, 1);
            if (!take_parameter(&p, word)) {
                break;
            }
            continue;
        }
        settle(&p, c);
        p.found.scheme = scheme_of(word);
        skip_token68(&p.rest);
    }
    settle(&p, c);
}
