/*
 * bundle/imageset.c - rows of bytes, one behind the other:
 *
 *     size, 8 bytes   media type, 1   NAME \0 TAG \0   keys of digest, subject and docker, each
 *                                                      behind its length
 */
#include "bundle/imageset.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#define NAME_AT 9
#define ROWS_MAX ((size_t)1 << 40)
/* Different media types of manifests: the program knows six. */
#define MEDIA_TYPES_MAX 255

void imageset_fini(struct imageset *s)
{
    for (size_t i = 0; i < s->n_media_types; i++) {
        free(s->media_types[i]);
    }
    free(s->media_types);
    free(s->at);
    buf_free(&s->rows);
    *s = (struct imageset){0};
}

static uint8_t media_type_of(struct imageset *s, const char *text)
{
    for (size_t i = 0; i < s->n_media_types; i++) {
        if (strcmp(s->media_types[i], text) == 0) {
            return (uint8_t)i;
        }
    }
    assert(s->n_media_types < MEDIA_TYPES_MAX);
    s->media_types = xrealloc(s->media_types, (s->n_media_types + 1) * sizeof(*s->media_types));
    s->media_types[s->n_media_types] = xstrdup(text);
    return (uint8_t)s->n_media_types++;
}

static void add_digest(struct buf *out, const struct digest *d)
{
    unsigned char key[DIGEST_KEY_MAX];
    uint8_t n = d->alg == 0 ? 0 : (uint8_t)digest_key(d, key);

    buf_append(out, &n, 1);
    buf_append(out, key, n);
}

void imageset_add(struct imageset *s, const struct imageset_image *i)
{
    uint8_t media_type = media_type_of(s, i->line.media_type);

    if (s->rows.max == 0) {
        buf_init(&s->rows, ROWS_MAX);
    }
    if (s->n == s->cap) {
        s->cap = s->cap == 0 ? 64 : 2 * s->cap;
        s->at = xrealloc(s->at, s->cap * sizeof(*s->at));
    }
    s->at[s->n++] = s->rows.len;
    buf_append(&s->rows, &i->line.size, sizeof(i->line.size));
    buf_append(&s->rows, &media_type, 1);
    buf_append(&s->rows, i->line.name, strlen(i->line.name) + 1);
    buf_append(&s->rows, i->line.tag, strlen(i->line.tag) + 1);
    add_digest(&s->rows, &i->line.digest);
    add_digest(&s->rows, &i->subject);
    add_digest(&s->rows, &i->docker);
}

static const char *get_digest(const char *p, struct digest *ret)
{
    size_t n = (uint8_t)*p;

    *ret = (struct digest){0};
    if (n > 0) {
        bool good = digest_from_key(slice_of(p + 1, n), ret);

        assert(good);
    }
    return p + 1 + n;
}

static void row_get(const struct imageset *s, size_t at, struct imageset_image *ret)
{
    const char *p = s->rows.p + at;
    size_t n = strlen(p + NAME_AT) + 1;

    ret->line.kind = LIST_IMAGE;
    memcpy(&ret->line.size, p, sizeof(ret->line.size));
    snprintf(ret->line.media_type, sizeof(ret->line.media_type), "%s",
             s->media_types[(uint8_t)p[8]]);
    memcpy(ret->line.name, p + NAME_AT, n);
    p += NAME_AT + n;
    n = strlen(p) + 1;
    memcpy(ret->line.tag, p, n);
    p = get_digest(p + n, &ret->line.digest);
    p = get_digest(p, &ret->subject);
    get_digest(p, &ret->docker);
}

void imageset_get(const struct imageset *s, size_t i, struct imageset_image *ret)
{
    assert(i < s->n);
    row_get(s, s->at[i], ret);
}

/* --- order --------------------------------------------------------------------------------- */

/* By name, tag and digest; the keys of digests order as they do. */
static int order_of_rows(const void *left, const void *right, void *arg)
{
    const struct imageset *s = arg;
    const char *a = s->rows.p + *(const size_t *)left + NAME_AT;
    const char *b = s->rows.p + *(const size_t *)right + NAME_AT;

    for (int word = 0; word < 2; word++) {
        int order = strcmp(a, b);

        if (order != 0) {
            return order;
        }
        a += strlen(a) + 1;
        b += strlen(b) + 1;
    }
    return memcmp(a + 1, b + 1, (uint8_t)*a < (uint8_t)*b ? (uint8_t)*a : (uint8_t)*b);
}

/* Those of one name: the untagged ones come first. Marks those that a tagged one stands for. */
static void drop_untagged(const struct imageset *s, size_t from, size_t to, bool *dropped)
{
    struct imageset_image *one = xnew(struct imageset_image);
    size_t untagged = from;

    while (
        untagged < to &&
        s->rows.p[s->at[untagged] + NAME_AT + strlen(s->rows.p + s->at[untagged] + NAME_AT) + 1] ==
            '\0') {
        untagged++;
    }
    for (size_t i = untagged; i < to && untagged > from; i++) {
        size_t low = from;
        size_t high = untagged;
        struct digest d;

        row_get(s, s->at[i], one);
        d = one->line.digest;
        while (low < high) {
            size_t middle = low + (high - low) / 2;
            int order;

            row_get(s, s->at[middle], one);
            order = memcmp(&one->line.digest, &d, sizeof(d));
            dropped[middle] = dropped[middle] || order == 0;
            low = order <= 0 ? middle + 1 : low;
            high = order > 0 ? middle : high;
        }
    }
    free(one);
}

static bool same_name(const struct imageset *s, size_t i, size_t k)
{
    return strcmp(s->rows.p + s->at[i] + NAME_AT, s->rows.p + s->at[k] + NAME_AT) == 0;
}

/* Each image once. */
static int drop_repeated(struct imageset *s, struct err *e)
{
    struct imageset_image *pair = xcalloc(2, sizeof(*pair));
    size_t kept = 0;
    int result = 0;

    for (size_t i = 0; i < s->n && result == 0; i++) {
        row_get(s, s->at[i], &pair[i % 2]);
        if (i > 0 && list_order(&pair[0].line, &pair[1].line) == 0) {
            if (!digest_equal(&pair[0].line.digest, &pair[1].line.digest)) {
                result = err_set(e, ERR_BAD_REQUEST, "%.160s:%.60s is asked for with two digests",
                                 pair[0].line.name, pair[0].line.tag);
            }
            continue;
        }
        s->at[kept++] = s->at[i];
    }
    s->n = kept;
    free(pair);
    return result;
}

int imageset_sort(struct imageset *s, struct err *e)
{
    bool *dropped;
    size_t kept = 0;

    if (s->n == 0) {
        return 0;
    }
    dropped = xcalloc(s->n, sizeof(*dropped));
    qsort_r(s->at, s->n, sizeof(*s->at), order_of_rows, s);
    for (size_t from = 0, to; from < s->n; from = to) {
        for (to = from + 1; to < s->n && same_name(s, from, to); to++) {
        }
        drop_untagged(s, from, to, dropped);
    }
    for (size_t i = 0; i < s->n; i++) {
        if (!dropped[i]) {
            s->at[kept++] = s->at[i];
        }
    }
    s->n = kept;
    free(dropped);
    return drop_repeated(s, e);
}
