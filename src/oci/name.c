/* oci/name.c - the grammar of names and tags, as small automata. */
#include "oci/name.h"

static bool is_alnum(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

/* Length of the separator at the start of `s`: one '.', one or two '_', or a run of '-'; else 0. */
static size_t separator_len(struct slice s)
{
    size_t n = 0;

    if (s.len == 0) {
        return 0;
    }
    if (s.p[0] == '.') {
        return 1;
    }
    if (s.p[0] == '_') {
        return s.len > 1 && s.p[1] == '_' ? 2 : 1;
    }
    while (n < s.len && s.p[n] == '-') {
        n++;
    }
    return n;
}

/* [a-z0-9]+ ( separator [a-z0-9]+ )* */
static bool component_valid(struct slice s)
{
    size_t sep;

    do {
        size_t n = 0;

        while (n < s.len && is_alnum(s.p[n])) {
            n++;
        }
        if (n == 0) {
            return false;
        }
        s = slice_from(s, n);
        sep = separator_len(s);
        s = slice_from(s, sep);
    } while (sep > 0);
    return s.len == 0;
}

bool name_valid(struct slice name)
{
    struct slice part;

    if (name.len == 0 || name.len > NAME_MAX_LEN) {
        return false;
    }
    while (slice_split(&name, '/', &part)) {
        if (!component_valid(part)) {
            return false;
        }
    }
    return true;
}

bool tag_valid(struct slice tag)
{
    if (tag.len == 0 || tag.len > TAG_MAX_LEN || tag.p[0] == '.' || tag.p[0] == '-') {
        return false;
    }
    for (size_t i = 0; i < tag.len; i++) {
        char c = tag.p[i];

        if (!is_alnum(c) && !(c >= 'A' && c <= 'Z') && c != '_' && c != '.' && c != '-') {
            return false;
        }
    }
    return true;
}

bool name_normal_hub(struct slice name, char ret[NAME_MAX_LEN + 1])
{
    static const char library[] = "library/";
    size_t n = sizeof(library) - 1;

    if (slice_find(name, '/') < name.len) {
        return slice_copy(name, ret, NAME_MAX_LEN + 1);
    }
    if (n + name.len > NAME_MAX_LEN || !slice_copy(name, ret + n, NAME_MAX_LEN + 1 - n)) {
        return false;
    }
    memcpy(ret, library, n);
    return true;
}
