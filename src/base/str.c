/* base/str.c - slices, numbers and the bounded buffer. */
#include "base/str.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

bool slice_eq(struct slice a, struct slice b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.p, b.p, a.len) == 0);
}

bool slice_is(struct slice a, const char *s)
{
    return slice_eq(a, slice_str(s));
}

bool slice_is_nocase(struct slice a, const char *s)
{
    return a.len == strlen(s) && (a.len == 0 || strncasecmp(a.p, s, a.len) == 0);
}

bool slice_starts(struct slice a, const char *prefix)
{
    size_t n = strlen(prefix);

    return a.len >= n && (n == 0 || memcmp(a.p, prefix, n) == 0);
}

bool slice_ends(struct slice a, const char *suffix)
{
    size_t n = strlen(suffix);

    return a.len >= n && (n == 0 || memcmp(a.p + a.len - n, suffix, n) == 0);
}

size_t slice_find(struct slice a, char c)
{
    const char *hit = a.len == 0 ? NULL : memchr(a.p, c, a.len);

    return hit == NULL ? a.len : (size_t)(hit - a.p);
}

size_t slice_rfind(struct slice a, char c)
{
    const char *hit = a.len == 0 ? NULL : memrchr(a.p, c, a.len);

    return hit == NULL ? a.len : (size_t)(hit - a.p);
}

struct slice slice_from(struct slice a, size_t from)
{
    if (from > a.len) {
        from = a.len;
    }
    return slice_of(a.p + from, a.len - from);
}

struct slice slice_sub(struct slice a, size_t from, size_t to)
{
    if (to > a.len) {
        to = a.len;
    }
    if (from > to) {
        from = to;
    }
    return slice_of(a.p + from, to - from);
}

struct slice slice_trim(struct slice a)
{
    while (a.len > 0 && (a.p[0] == ' ' || a.p[0] == '\t')) {
        a = slice_from(a, 1);
    }
    while (a.len > 0 && (a.p[a.len - 1] == ' ' || a.p[a.len - 1] == '\t')) {
        a.len--;
    }
    return a;
}

bool slice_split(struct slice *rest, char sep, struct slice *ret_part)
{
    size_t at;

    if (rest->p == NULL) {
        return false;
    }
    at = slice_find(*rest, sep);
    *ret_part = slice_sub(*rest, 0, at);
    *rest = at == rest->len ? SLICE_NULL : slice_from(*rest, at + 1);
    return true;
}

bool slice_copy(struct slice a, char *buf, size_t size)
{
    if (a.len >= size || slice_find(a, '\0') != a.len) {
        return false;
    }
    if (a.len > 0) {
        memcpy(buf, a.p, a.len);
    }
    buf[a.len] = '\0';
    return true;
}

bool slice_u64(struct slice a, uint64_t *ret)
{
    uint64_t value = 0;

    if (a.len == 0) {
        return false;
    }
    for (size_t i = 0; i < a.len; i++) {
        unsigned digit = (unsigned)(unsigned char)a.p[i] - '0';

        if (digit > 9 || value > (UINT64_MAX - digit) / 10) {
            return false;
        }
        value = value * 10 + digit;
    }
    *ret = value;
    return true;
}

/* The value of a hex digit in either case, or 16. */
static unsigned hex_value(char c)
{
    if (c >= '0' && c <= '9') {
        return (unsigned)(c - '0');
    }
    if (c >= 'a' && c <= 'f') {
        return (unsigned)(c - 'a') + 10;
    }
    if (c >= 'A' && c <= 'F') {
        return (unsigned)(c - 'A') + 10;
    }
    return 16;
}

bool slice_hex64(struct slice a, uint64_t *ret)
{
    uint64_t value = 0;

    if (a.len == 0 || a.len > 16) {
        return false;
    }
    for (size_t i = 0; i < a.len; i++) {
        unsigned digit = hex_value(a.p[i]);

        if (digit > 15) {
            return false;
        }
        value = value << 4 | digit;
    }
    *ret = value;
    return true;
}

void hex_encode(const void *bytes, size_t n, char *out)
{
    static const char DIGITS[] = "0123456789abcdef";
    const unsigned char *b = bytes;

    for (size_t i = 0; i < n; i++) {
        out[2 * i] = DIGITS[b[i] >> 4];
        out[2 * i + 1] = DIGITS[b[i] & 15];
    }
    out[2 * n] = '\0';
}

bool hex_decode(struct slice a, void *out)
{
    unsigned char *o = out;

    if (a.len % 2 != 0) {
        return false;
    }
    for (size_t i = 0; i < a.len; i++) {
        if (hex_value(a.p[i]) > 15 || (a.p[i] >= 'A' && a.p[i] <= 'F')) {
            return false;
        }
    }
    for (size_t i = 0; i < a.len / 2; i++) {
        o[i] = (unsigned char)(hex_value(a.p[2 * i]) << 4 | hex_value(a.p[2 * i + 1]));
    }
    return true;
}

bool duration_parse(struct slice a, uint64_t *ret_ms)
{
    static const struct {
        const char *unit;
        uint64_t ms;
    } UNITS[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}};
    size_t digits = 0;
    uint64_t n;

    while (digits < a.len && a.p[digits] >= '0' && a.p[digits] <= '9') {
        digits++;
    }
    if (!slice_u64(slice_sub(a, 0, digits), &n) || n > UINT32_MAX) {
        return false;
    }
    if (digits == a.len && n == 0) {
        *ret_ms = 0;
        return true;
    }
    for (size_t i = 0; i < ARRAY_LEN(UNITS); i++) {
        if (slice_is(slice_from(a, digits), UNITS[i].unit)) {
            *ret_ms = n * UNITS[i].ms;
            return true;
        }
    }
    return false;
}

bool bytes_parse(struct slice a, uint64_t *ret)
{
    static const struct {
        const char *unit;
        uint64_t bytes;
    } UNITS[] = {
        {"B", 1},
        {"kB", 1000},
        {"KB", 1000},
        {"MB", 1000000},
        {"GB", 1000000000},
        {"TB", 1000000000000},
        {"KiB", 1ull << 10},
        {"MiB", 1ull << 20},
        {"GiB", 1ull << 30},
        {"TiB", 1ull << 40},
    };
    size_t digits = 0;
    uint64_t number;

    while (digits < a.len && a.p[digits] >= '0' && a.p[digits] <= '9') {
        digits++;
    }
    if (!slice_u64(slice_sub(a, 0, digits), &number)) {
        return false;
    }
    for (size_t i = 0; i < ARRAY_LEN(UNITS); i++) {
        if (slice_is(slice_from(a, digits), UNITS[i].unit) &&
            number <= INT64_MAX / UNITS[i].bytes) {
            *ret = number * UNITS[i].bytes;
            return true;
        }
    }
    return false;
}

void buf_init(struct buf *b, size_t max)
{
    *b = (struct buf){.max = max};
}

void buf_free(struct buf *b)
{
    if (b != NULL) {
        free(b->p);
        *b = (struct buf){.max = b->max};
    }
}

void buf_append(struct buf *b, const void *p, size_t n)
{
    if (b->failed || n > b->max || b->len > b->max - n) {
        b->failed = true;
        return;
    }
    if (b->len + n + 1 > b->cap) {
        size_t cap = b->cap == 0 ? 256 : b->cap;

        while (cap < b->len + n + 1) {
            cap *= 2;
        }
        b->p = xrealloc(b->p, cap);
        b->cap = cap;
    }
    if (n > 0) {
        memcpy(b->p + b->len, p, n);
    }
    b->len += n;
    b->p[b->len] = '\0';
}

void buf_str(struct buf *b, const char *s)
{
    buf_append(b, s, strlen(s));
}

void buf_slice(struct buf *b, struct slice s)
{
    buf_append(b, s.p, s.len);
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
    char small[512];
    va_list args;
    int n;

    va_start(args, fmt);
    n = vsnprintf(small, sizeof(small), fmt, args);
    va_end(args);
    if (n < 0) {
        b->failed = true;
    } else if ((size_t)n < sizeof(small)) {
        buf_append(b, small, (size_t)n);
    } else {
        char *big = xcalloc((size_t)n + 1, 1);

        va_start(args, fmt);
        vsnprintf(big, (size_t)n + 1, fmt, args);
        va_end(args);
        buf_append(b, big, (size_t)n);
        free(big);
    }
}

static bool is_unreserved(unsigned char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_' || c == '~';
}

void buf_percent(struct buf *b, struct slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.p[i];

        if (is_unreserved(c)) {
            buf_append(b, &s.p[i], 1);
        } else {
            buf_printf(b, "%%%02X", c);
        }
    }
}

/* Length of the well-formed UTF-8 sequence at p (RFC 3629), or 0. */
static size_t utf8_len(const unsigned char *p, size_t left)
{
    size_t n = p[0] < 0x80                    ? 1
               : p[0] >= 0xc2 && p[0] <= 0xdf ? 2
               : (p[0] & 0xf0) == 0xe0        ? 3
               : p[0] >= 0xf0 && p[0] <= 0xf4 ? 4
                                              : 0;

    if (n == 0 || n > left) {
        return 0;
    }
    for (size_t i = 1; i < n; i++) {
        if ((p[i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) ||
        (p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f)) {
        return 0;
    }
    return n;
}

static void buf_json_char(struct buf *b, char c)
{
    switch (c) {
    case '"':
        buf_str(b, "\\\"");
        break;
    case '\\':
        buf_str(b, "\\\\");
        break;
    case '\n':
        buf_str(b, "\\n");
        break;
    case '\r':
        buf_str(b, "\\r");
        break;
    case '\t':
        buf_str(b, "\\t");
        break;
    default:
        if ((unsigned char)c < 0x20 || c == 0x7f) {
            buf_printf(b, "\\u%04x", (unsigned)(unsigned char)c);
        } else {
            buf_append(b, &c, 1);
        }
    }
}

void buf_json(struct buf *b, struct slice s)
{
    size_t i = 0;

    buf_str(b, "\"");
    while (i < s.len) {
        size_t n = utf8_len((const unsigned char *)s.p + i, s.len - i);

        if (n == 1) {
            buf_json_char(b, s.p[i]);
        } else if (n == 0) {
            buf_str(b, "\xef\xbf\xbd");
            n = 1;
        } else {
            buf_append(b, s.p + i, n);
        }
        i += n;
    }
    buf_str(b, "\"");
}

char *buf_take(struct buf *b)
{
    char *text = b->p == NULL ? xstrdup("") : b->p;

    *b = (struct buf){.max = b->max};
    return text;
}
