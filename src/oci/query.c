/* oci/query.c - one parameter out of a query string. */
#include "oci/query.h"

/* The character at *at, which moves behind it or its escape. */
static char decode_next(struct slice raw, bool plus, size_t *at)
{
    size_t i = *at;
    uint64_t value;

    if (raw.p[i] == '%' && i + 2 < raw.len && slice_hex64(slice_sub(raw, i + 1, i + 3), &value)) {
        *at = i + 3;
        return (char)value;
    }
    *at = i + 1;
    return raw.p[i] == '+' && plus ? ' ' : raw.p[i];
}

void query_decode(struct slice raw, bool plus, struct buf *ret)
{
    size_t at = 0;

    while (at < raw.len) {
        char c = decode_next(raw, plus, &at);

        buf_append(ret, &c, 1);
    }
}

/* Whether `raw`, decoded, is `name`. */
static bool key_is(struct slice raw, const char *name)
{
    size_t at = 0;

    while (at < raw.len && *name != '\0') {
        if (decode_next(raw, true, &at) != *name++) {
            return false;
        }
    }
    return at == raw.len && *name == '\0';
}

/* The raw value of the first parameter of that name; *rest is then what is behind it. */
static bool query_find(struct slice *rest, const char *name, struct slice *ret)
{
    struct slice pair;

    while (slice_split(rest, '&', &pair)) {
        size_t eq = slice_find(pair, '=');

        if (key_is(slice_sub(pair, 0, eq), name)) {
            *ret = slice_from(pair, eq + 1);
            return true;
        }
    }
    return false;
}

bool query_next(struct slice *rest, const char *name, struct buf *ret)
{
    struct slice raw;

    if (!query_find(rest, name, &raw)) {
        return false;
    }
    query_decode(raw, true, ret);
    return true;
}

bool query_get(struct slice query, const char *name, struct buf *ret)
{
    return query_next(&query, name, ret);
}

bool query_has(struct slice query, const char *name)
{
    struct slice raw;

    return query_find(&query, name, &raw);
}
