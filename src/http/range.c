/* http/range.c - byte ranges. */
#include "http/range.h"

#include <inttypes.h>
#include <stdio.h>

/* Decimal digits; what does not fit is UINT64_MAX, because it lies behind any end. */
static bool range_number(struct slice s, uint64_t *ret)
{
    for (size_t i = 0; i < s.len; i++) {
        if (s.p[i] < '0' || s.p[i] > '9') {
            return false;
        }
    }
    if (s.len > 0 && !slice_u64(s, ret)) {
        *ret = UINT64_MAX;
    }
    return s.len > 0;
}

/* "-n": the last n bytes. */
static enum http_range_kind range_suffix(struct slice digits, uint64_t size, struct http_range *ret)
{
    uint64_t n;

    if (!range_number(digits, &n) || size == HTTP_LENGTH_UNKNOWN) {
        return HTTP_RANGE_NONE;
    }
    if (n == 0) {
        return HTTP_RANGE_UNSATISFIABLE;
    }
    *ret = (struct http_range){n < size ? size - n : 0, size - 1};
    return HTTP_RANGE_ONE;
}

enum http_range_kind http_range_parse(struct slice field, uint64_t size, struct http_range *ret)
{
    size_t equals = slice_find(field, '=');
    struct slice spec = slice_trim(slice_from(field, equals + 1));
    size_t dash = slice_find(spec, '-');
    struct slice last = slice_from(spec, dash + 1);
    uint64_t to = UINT64_MAX;
    uint64_t from;

    if (!slice_is_nocase(slice_sub(field, 0, equals), "bytes") || dash == spec.len || size == 0) {
        return HTTP_RANGE_NONE;
    }
    if (dash == 0) {
        return range_suffix(last, size, ret);
    }
    if (!range_number(slice_sub(spec, 0, dash), &from) ||
        (last.len > 0 && !range_number(last, &to))) {
        return HTTP_RANGE_NONE;
    }
    if (from > to || from >= size) {
        return HTTP_RANGE_UNSATISFIABLE;
    }
    if (size != HTTP_LENGTH_UNKNOWN && to >= size) {
        to = size - 1;
    }
    *ret = (struct http_range){from, to};
    return HTTP_RANGE_ONE;
}

enum http_range_kind http_range_of(const struct http_head *h, struct slice etag, uint64_t size,
                                   struct http_range *ret)
{
    struct slice field = SLICE_NULL;
    struct slice again;
    struct slice when;
    size_t at = 0;

    if (h->method != HTTP_GET || !http_field_next(h, "Range", &at, &field) ||
        http_field_next(h, "Range", &at, &again)) {
        return HTTP_RANGE_NONE;
    }
    when = http_field(h, "If-Range");
    /* A date and a weak tag never compare equal. */
    if (when.p != NULL && (!slice_eq(when, etag) || !slice_starts(when, "\""))) {
        return HTTP_RANGE_NONE;
    }
    return http_range_parse(field, size, ret);
}

void http_range_text(const struct http_range *range, uint64_t size, char out[HTTP_RANGE_TEXT_SIZE])
{
    int n = snprintf(out, HTTP_RANGE_TEXT_SIZE, "bytes %" PRIu64 "-%" PRIu64 "/", range->from,
                     range->to);

    if (size == HTTP_LENGTH_UNKNOWN) {
        snprintf(out + n, HTTP_RANGE_TEXT_SIZE - (size_t)n, "*");
    } else {
        snprintf(out + n, HTTP_RANGE_TEXT_SIZE - (size_t)n, "%" PRIu64, size);
    }
}

void http_range_text_unsatisfied(uint64_t size, char out[HTTP_RANGE_TEXT_SIZE])
{
    snprintf(out, HTTP_RANGE_TEXT_SIZE, "bytes */%" PRIu64, size);
}

bool http_content_range_parse(struct slice field, struct http_range *ret, uint64_t *ret_size)
{
    size_t space = slice_find(field, ' ');
    struct slice rest = slice_trim(slice_from(field, space));
    size_t dash = slice_find(rest, '-');
    size_t slash = slice_find(rest, '/');
    struct slice total = slice_from(rest, slash + 1);
    uint64_t size = HTTP_LENGTH_UNKNOWN;
    struct http_range range;

    if (!slice_is_nocase(slice_sub(field, 0, space), "bytes") || slash == rest.len ||
        dash > slash || !slice_u64(slice_sub(rest, 0, dash), &range.from) ||
        !slice_u64(slice_sub(rest, dash + 1, slash), &range.to)) {
        return false;
    }
    if (!slice_is(total, "*") && !slice_u64(total, &size)) {
        return false;
    }
    if (range.from > range.to || range.to > INT64_MAX ||
        (size != HTTP_LENGTH_UNKNOWN && (range.to >= size || size > INT64_MAX))) {
        return false;
    }
    *ret = range;
    *ret_size = size;
    return true;
}
