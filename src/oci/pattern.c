/*
 * oci/pattern.c - stars inside components, and stars that stand for components.
 *
 * Both are matched the same way: go on until something differs, then let the last star take one
 * more. An earlier star never needs to be taken up again, so the time is a product, not a power.
 */
#include "oci/pattern.h"

#include "oci/name.h"

static bool pattern_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-' ||
           c == '*';
}

static bool component_valid(struct slice part)
{
    if (slice_is(part, "**")) {
        return true;
    }
    if (slice_find(part, '*') == part.len) {
        return name_valid(part);
    }
    for (size_t i = 0; i < part.len; i++) {
        if (!pattern_char(part.p[i]) || (i > 0 && part.p[i] == '*' && part.p[i - 1] == '*')) {
            return false;
        }
    }
    return true;
}

bool pattern_valid(struct slice pattern)
{
    struct slice part;

    if (pattern.len == 0 || pattern.len > NAME_MAX_LEN) {
        return false;
    }
    while (slice_split(&pattern, '/', &part)) {
        if (part.len == 0 || !component_valid(part)) {
            return false;
        }
    }
    return true;
}

bool pattern_star(struct slice pattern, struct slice text)
{
    size_t p = 0;
    size_t t = 0;
    size_t star = pattern.len; /* position of the last star; pattern.len: none yet */
    size_t taken = 0;          /* where the text behind that star's share begins */

    while (t < text.len) {
        if (p < pattern.len && pattern.p[p] == '*') {
            star = p++;
            taken = t;
        } else if (p < pattern.len && pattern.p[p] == text.p[t]) {
            p++;
            t++;
        } else if (star < pattern.len) {
            p = star + 1;
            t = ++taken;
        } else {
            return false;
        }
    }
    while (p < pattern.len && pattern.p[p] == '*') {
        p++;
    }
    return p == pattern.len;
}

bool pattern_match(struct slice pattern, struct slice name)
{
    struct slice star = SLICE_NULL;  /* the pattern behind the last two stars */
    struct slice taken = SLICE_NULL; /* the name behind that star's share */
    bool starred = false;

    while (name.p != NULL) {
        struct slice p = pattern;
        struct slice n = name;
        struct slice want = SLICE_NULL;
        struct slice have = SLICE_NULL;
        bool more = slice_split(&p, '/', &want);

        ignore_result(!slice_split(&n, '/', &have));
        if (more && slice_is(want, "**")) {
            if (p.p == NULL) {
                return true; /* last: the component at hand is the one it needs */
            }
            starred = true;
            star = pattern = p;
            taken = name;
        } else if (more && pattern_star(want, have)) {
            pattern = p;
            name = n;
        } else if (starred && taken.p != NULL) {
            ignore_result(!slice_split(&taken, '/', &have));
            pattern = star;
            name = taken;
        } else {
            return false;
        }
    }
    return pattern.p == NULL;
}

bool pattern_may_match_prefix(struct slice pattern, struct slice upstream_name)
{
    struct slice first = slice_sub(pattern, 0, slice_find(pattern, '/'));

    return slice_is(first, "**") || pattern_star(first, upstream_name);
}
