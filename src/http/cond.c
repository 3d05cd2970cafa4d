/* http/cond.c - If-Match and If-None-Match. */
#include "http/cond.h"

/* One member of a list of entity tags. */
struct entity_tag {
    struct slice text; /* without quotes; "*" where it is not quoted means anything */
    bool weak;
    bool quoted;
};

/* Takes the next member off *rest; false at its end. A tag may hold commas between its quotes. */
static bool tag_next(struct slice *rest, struct entity_tag *ret)
{
    size_t n;

    while (rest->len > 0 && (rest->p[0] == ',' || rest->p[0] == ' ' || rest->p[0] == '\t')) {
        *rest = slice_from(*rest, 1);
    }
    if (rest->len == 0) {
        return false;
    }
    ret->weak = slice_starts(*rest, "W/\"");
    *rest = slice_from(*rest, ret->weak ? 2 : 0);
    ret->quoted = rest->p[0] == '"';
    if (ret->quoted) {
        *rest = slice_from(*rest, 1);
        n = slice_find(*rest, '"');
    } else {
        n = slice_find(*rest, ',');
    }
    ret->text = slice_sub(*rest, 0, n);
    if (!ret->quoted) {
        ret->text = slice_trim(ret->text);
    }
    *rest = slice_from(*rest, n + 1);
    return true;
}

/* Whether one of the fields of that name names `tag`; *ret_present: whether there is one. */
static bool field_matches(const struct http_head *h, const char *name, struct slice tag,
                          bool weak_counts, bool *ret_present)
{
    struct entity_tag member;
    struct slice list;
    size_t at = 0;

    *ret_present = false;
    while (http_field_next(h, name, &at, &list)) {
        *ret_present = true;
        while (tag_next(&list, &member)) {
            if (!member.quoted && slice_is(member.text, "*")) {
                return true;
            }
            if ((weak_counts || !member.weak) && slice_eq(member.text, tag)) {
                return true;
            }
        }
    }
    return false;
}

enum http_cond http_cond_check(const struct http_head *h, struct slice tag)
{
    bool present;

    if (!field_matches(h, "If-Match", tag, false, &present) && present) {
        return HTTP_COND_FAILED;
    }
    if (!field_matches(h, "If-None-Match", tag, true, &present)) {
        return HTTP_COND_GO_ON;
    }
    return h->method == HTTP_GET || h->method == HTTP_HEAD ? HTTP_COND_NOT_MODIFIED
                                                           : HTTP_COND_FAILED;
}
