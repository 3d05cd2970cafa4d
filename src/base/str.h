/*
 * base/str.h - slices of bytes, a growing buffer with a maximum, and strict number parsing.
 *
 * Pure. A slice borrows; it is valid as long as what it points into.
 */
#ifndef BASE_STR_H
#define BASE_STR_H

#include "base/mem.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

struct slice {
    const char *p;
    size_t len;
};

#define SLICE_NULL ((struct slice){NULL, 0})
#define SLICE_FMT "%.*s"
#define SLICE_ARG(s) (int)(s).len, (s).p

static inline struct slice slice_of(const char *p, size_t len)
{
    return (struct slice){p, len};
}

static inline struct slice slice_str(const char *s)
{
    return (struct slice){s, strlen(s)};
}

bool slice_eq(struct slice a, struct slice b);
bool slice_is(struct slice a, const char *s);
bool slice_is_nocase(struct slice a, const char *s);
bool slice_starts(struct slice a, const char *prefix);
bool slice_ends(struct slice a, const char *suffix);

/* Position of byte c, or a.len where there is none. */
size_t slice_find(struct slice a, char c);
/* Position of the last byte c, or a.len where there is none. */
size_t slice_rfind(struct slice a, char c);

/* The part from `from`, and the part between [from, to). Offsets beyond the end are clipped. */
struct slice slice_from(struct slice a, size_t from);
struct slice slice_sub(struct slice a, size_t from, size_t to);

/* Without spaces and tabs at both ends. */
struct slice slice_trim(struct slice a);

/* Takes the part before the first `sep` off *rest (and the separator); false when *rest is used up
 * (*rest->p becomes NULL after the last part). */
bool slice_split(struct slice *rest, char sep, struct slice *ret_part);

/* Copies into buf as a C string; false (buf untouched) where it does not fit or holds a NUL. */
bool slice_copy(struct slice a, char *buf, size_t size);

/* All of `a` as decimal digits: no sign, no space, no overflow, at least one digit. */
bool slice_u64(struct slice a, uint64_t *ret);
bool slice_hex64(struct slice a, uint64_t *ret);

/* Bytes as lower-case hex; `out` takes 2 * n + 1 bytes. */
void hex_encode(const void *bytes, size_t n, char *out);
/* Lower-case hex only. `out` takes a.len / 2 bytes; false on odd length or another character. */
bool hex_decode(struct slice a, void *out);

/* "200ms", "5s", "2m", "1h", "30d" (a bare 0 too) as milliseconds. False for anything else. */
bool duration_parse(struct slice a, uint64_t *ret_ms);

/* "50GB", "512MiB", "0B" as bytes: a number and a unit, B to TB or KiB to TiB. False for anything
 * else, and beyond INT64_MAX. */
bool bytes_parse(struct slice a, uint64_t *ret);

/*
 * A growing buffer. `max` bounds it; one append beyond makes it `failed` and all further ones
 * no-ops, so that the caller checks once. `p` is NUL-terminated once anything was appended.
 */
struct buf {
    char *p;
    size_t len;
    size_t cap;
    size_t max;
    bool failed;
};

void buf_init(struct buf *b, size_t max);
void buf_free(struct buf *b);
void buf_append(struct buf *b, const void *p, size_t n);
void buf_str(struct buf *b, const char *s);
void buf_slice(struct buf *b, struct slice s);
void buf_printf(struct buf *b, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* Percent-encodes all but unreserved characters (RFC 3986 2.3). */
void buf_percent(struct buf *b, struct slice s);
/* As a JSON string with its quotes (RFC 8259 7); bytes that are not UTF-8 become U+FFFD. */
void buf_json(struct buf *b, struct slice s);
/* The bytes as a C string that the caller frees; the buffer is empty after. */
char *buf_take(struct buf *b) MUST_CHECK;

static inline struct slice buf_view(const struct buf *b)
{
    return (struct slice){b->p, b->len};
}

#endif
