/*
 * oci/taglist.c - lists of tags, sorted.
 *
 * A page may hold a million tags, so it is read without a tree; some registries put much more
 * beside them, which is passed over.
 */
#include "oci/taglist.h"

#include "oci/jscan.h"
#include "oci/name.h"

#include <stdlib.h>

#define TAGLIST_DEPTH_MAX 16

/* Tags as they are read: in the order of the page, repetitions too. */
struct reader {
    struct jscan scan;
    const char **tags;
    size_t n;
    size_t cap;
    char *text; /* takes len bytes of page: a tag and its NUL are shorter than with its quotes */
    size_t used;
};

static int compare(const void *a, const void *b)
{
    const char *const *x = a;
    const char *const *y = b;

    return strcmp(*x, *y);
}

/* A list of its own from sorted tags, repetitions left out. */
static struct taglist *list_new(const char *const *sorted, size_t n)
{
    struct taglist *l = xnew(struct taglist);
    size_t bytes = 0;

    for (size_t i = 0; i < n; i++) {
        bytes += strlen(sorted[i]) + 1;
    }
    l->text = xcalloc(bytes + 1, 1);
    l->tags = xcalloc(n + 1, sizeof(*l->tags));
    for (size_t i = 0; i < n; i++) {
        if (i == 0 || strcmp(sorted[i], sorted[i - 1]) != 0) {
            size_t len = strlen(sorted[i]) + 1;

            memcpy(l->text + l->text_len, sorted[i], len);
            l->tags[l->n++] = l->text + l->text_len;
            l->text_len += len;
        }
    }
    return l;
}

/* False where there are too many. */
static bool tag_add(struct reader *r, struct slice token)
{
    char tag[TAG_MAX_LEN + 1];
    size_t len;

    if (!jscan_ascii(token, tag, sizeof(tag)) || !tag_valid(slice_str(tag))) {
        return true;
    }
    if (r->n == TAGLIST_TAGS_MAX) {
        return false;
    }
    if (r->n == r->cap) {
        r->cap = r->cap == 0 ? 64 : r->cap * 2;
        r->tags = xrealloc(r->tags, r->cap * sizeof(*r->tags));
    }
    len = strlen(tag) + 1;
    memcpy(r->text + r->used, tag, len);
    r->tags[r->n++] = r->text + r->used;
    r->used += len;
    return true;
}

/* The value of "tags": an array of strings, or null. */
static bool tags_read(struct reader *r)
{
    enum jscan_token t = jscan_next(&r->scan);

    if (t != JSCAN_ARRAY) {
        return t == JSCAN_WORD && slice_is(r->scan.token, "null");
    }
    while ((t = jscan_next(&r->scan)) != JSCAN_ARRAY_END) {
        if (t == JSCAN_STRING ? !tag_add(r, r->scan.token) : !jscan_skip(&r->scan, t)) {
            return false;
        }
    }
    return true;
}

/* The page: an object with a member "tags". */
static bool page_read(struct reader *r)
{
    enum jscan_token t;
    bool found = false;

    if (jscan_next(&r->scan) != JSCAN_OBJECT) {
        return false;
    }
    while ((t = jscan_next(&r->scan)) == JSCAN_KEY) {
        bool tags = slice_is(r->scan.token, "tags");

        found = found || tags;
        if (tags ? !tags_read(r) : !jscan_skip(&r->scan, jscan_next(&r->scan))) {
            return false;
        }
    }
    return found && t == JSCAN_OBJECT_END && jscan_next(&r->scan) == JSCAN_END;
}

int taglist_parse(struct slice body, struct taglist **ret, struct err *e)
{
    struct reader r = {0};
    bool good;

    if (body.len > TAGLIST_BODY_MAX) {
        return err_set(e, ERR_UPSTREAM_PROTOCOL, "the list of tags is larger than %u bytes",
                       TAGLIST_BODY_MAX);
    }
    jscan_init(&r.scan, body, TAGLIST_DEPTH_MAX, SIZE_MAX);
    r.text = xcalloc(body.len + 1, 1);
    good = page_read(&r);
    if (good) {
        if (r.n > 0) {
            qsort(r.tags, r.n, sizeof(*r.tags), compare);
        }
        *ret = list_new(r.tags, r.n);
    }
    free(r.tags);
    free(r.text);
    return good ? 0 : err_set(e, ERR_UPSTREAM_PROTOCOL, "the answer is no list of tags");
}

/* Both in order; a tag that is in both comes twice. Gives the number. */
static size_t merge_sorted(const struct taglist *a, const struct taglist *b, const char **out)
{
    size_t i = 0;
    size_t j = 0;

    while (i < a->n || j < b->n) {
        bool from_a = j == b->n || (i < a->n && strcmp(a->tags[i], b->tags[j]) <= 0);

        out[i + j] = from_a ? a->tags[i] : b->tags[j];
        i += from_a ? 1 : 0;
        j += from_a ? 0 : 1;
    }
    return i + j;
}

int taglist_merge(struct taglist *into, const struct taglist *page, struct err *e)
{
    const char **all = xcalloc(into->n + page->n + 1, sizeof(*all));
    size_t n = merge_sorted(into, page, all);
    struct taglist *merged = list_new(all, n);
    bool fits = merged->n <= TAGLIST_TAGS_MAX;

    free(all);
    if (fits) {
        struct taglist old = *into;

        *into = *merged;
        *merged = old;
    }
    taglist_free(merged);
    return fits ? 0
                : err_set(e, ERR_UPSTREAM_PROTOCOL, "the list has more than %d tags",
                          TAGLIST_TAGS_MAX);
}

void taglist_free(struct taglist *l)
{
    if (l != NULL) {
        free(l->tags);
        free(l->text);
        free(l);
    }
}

/* Whether a tag comes after `last` in byte order. */
static bool is_after(const char *tag, struct slice last)
{
    size_t len = strlen(tag);
    int order = memcmp(tag, last.p, len < last.len ? len : last.len);

    return order > 0 || (order == 0 && len > last.len);
}

/* Index of the first tag after `last`. */
static size_t find_after(const struct taglist *l, struct slice last)
{
    size_t low = 0;
    size_t high = last.len == 0 ? 0 : l->n;

    while (low < high) {
        size_t mid = low + (high - low) / 2;

        if (is_after(l->tags[mid], last)) {
            high = mid;
        } else {
            low = mid + 1;
        }
    }
    return low;
}

struct taglist_page taglist_write(const struct taglist *l, struct slice name, struct slice last,
                                  uint64_t n, struct buf *out)
{
    size_t from = find_after(l, last);
    size_t left = l->n - from;
    size_t count = n < left ? (size_t)n : left;
    struct taglist_page page = {.more = false, .last = ""};

    buf_str(out, "{\"name\":");
    buf_json(out, name);
    buf_str(out, ",\"tags\":[");
    for (size_t i = from; i < from + count; i++) {
        buf_str(out, i == from ? "\"" : ",\"");
        buf_str(out, l->tags[i]); /* legal tags need no escapes */
        buf_str(out, "\"");
    }
    buf_str(out, "]}");
    page.more = n > 0 && left > count;
    if (count > 0) {
        page.last = l->tags[from + count - 1];
    }
    return page;
}
