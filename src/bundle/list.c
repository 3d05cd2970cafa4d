/* bundle/list.c - lines of words, each kind sorted. */
#include "bundle/list.h"

#include "oci/reference.h"

#include <assert.h>
#include <stdlib.h>

#define HEAD "larder-bundle 1"
#define HEAD_ANY "larder-bundle "
#define NO_TAG "-"
/* Most words of a line. */
#define WORDS_MAX 6

static const struct {
    const char *word;
    size_t n_words; /* that one included */
} KINDS[] = {
    [LIST_HEAD] = {"larder-bundle", 2}, [LIST_STANDS_ON] = {"stands-on", 2},
    [LIST_IMAGE] = {"image", 6},        [LIST_NEEDS] = {"needs", 3},
    [LIST_BLOB] = {"blob", 3},
};

int list_order(const struct list_line *a, const struct list_line *b)
{
    int order = (int)a->kind - (int)b->kind;

    if (order == 0 && a->kind == LIST_IMAGE) {
        order = strcmp(a->name, b->name);
        order = order != 0 ? order : strcmp(a->tag, b->tag);
        if (order != 0 || a->tag[0] != '\0') {
            return order;
        }
    }
    return order != 0 ? order : memcmp(&a->digest, &b->digest, sizeof(a->digest));
}

/* --- writing ------------------------------------------------------------------------------- */

void list_write_head(struct list_write *w, struct buf *out)
{
    assert(w->last.kind == LIST_HEAD);
    buf_str(out, HEAD "\n");
}

void list_write_line(struct list_write *w, const struct list_line *line, struct buf *out)
{
    unsigned long long size = line->size;
    char digest[DIGEST_TEXT_MAX];

    assert(list_order(&w->last, line) < 0 && line->size <= INT64_MAX);
    w->last = *line;
    digest_text(&line->digest, digest);
    if (line->kind == LIST_STANDS_ON) {
        buf_printf(out, "stands-on %s\n", digest);
    } else if (line->kind == LIST_IMAGE) {
        buf_printf(out, "image %s %s %s %llu %s\n", line->name,
                   line->tag[0] == '\0' ? NO_TAG : line->tag, digest, size, line->media_type);
    } else {
        buf_printf(out, "%s %s %llu\n", KINDS[line->kind].word, digest, size);
    }
}

/* --- a line -------------------------------------------------------------------------------- */

/* Visible ASCII, as media types are written. */
static bool is_media_type(struct slice word)
{
    for (size_t i = 0; i < word.len; i++) {
        if (word.p[i] <= ' ' || word.p[i] > '~') {
            return false;
        }
    }
    return word.len > 0;
}

/* A name and nothing else: no tag, no digest. */
static bool is_name(struct slice word)
{
    struct reference r;
    struct err e;

    return reference_parse(word, &r, &e) == 0 && !r.tag_written && !r.by_digest &&
           slice_is(word, r.name);
}

static bool image_read(const struct slice *words, struct list_line *line)
{
    bool tagged = !slice_is(words[2], NO_TAG);

    line->tag[0] = '\0';
    return is_name(words[1]) && slice_copy(words[1], line->name, sizeof(line->name)) &&
           (!tagged ||
            (tag_valid(words[2]) && slice_copy(words[2], line->tag, sizeof(line->tag)))) &&
           is_media_type(words[5]) &&
           slice_copy(words[5], line->media_type, sizeof(line->media_type));
}

/* Digits without zeros in front: one way to write a number. */
static bool size_read(struct slice word, uint64_t *ret)
{
    return slice_u64(word, ret) && *ret <= INT64_MAX && (word.p[0] != '0' || word.len == 1);
}

static bool line_read(struct slice text, struct list_line *line)
{
    struct slice words[WORDS_MAX];
    size_t kind = LIST_STANDS_ON;
    size_t n = 0;

    while (n < WORDS_MAX && slice_split(&text, ' ', &words[n])) {
        n++;
    }
    while (kind < ARRAY_LEN(KINDS) && !slice_is(words[0], KINDS[kind].word)) {
        kind++;
    }
    if (text.p != NULL || kind == ARRAY_LEN(KINDS) || n != KINDS[kind].n_words) {
        return false;
    }
    line->kind = (enum list_kind)kind;
    line->size = 0;
    if (line->kind == LIST_IMAGE) {
        return image_read(words, line) && digest_parse(words[3], &line->digest) &&
               size_read(words[4], &line->size);
    }
    return digest_parse(words[1], &line->digest) &&
           (line->kind == LIST_STANDS_ON || size_read(words[2], &line->size));
}

/* --- reading ------------------------------------------------------------------------------- */

void list_read_init(struct list_read *r)
{
    *r = (struct list_read){0};
}

static enum list_event bad(struct list_read *r, const char *why)
{
    r->is_bad = true;
    err_set(&r->err, ERR_BAD_REQUEST, "larder/list at byte %llu: %s",
            (unsigned long long)(r->at - r->n_text), why);
    return LIST_BAD;
}

static enum list_event head_read(struct list_read *r, struct slice text)
{
    if (!slice_starts(text, HEAD_ANY)) {
        return bad(r, "this is no list of a bundle");
    }
    if (!slice_is(text, HEAD)) {
        return bad(r, "it is of another version, and this program reads 1");
    }
    r->n[LIST_HEAD] = 1;
    return LIST_MORE;
}

/* A whole line, without its end. */
static enum list_event text_read(struct list_read *r, struct slice text)
{
    struct list_line last = r->line;
    int order;

    if (r->n[LIST_HEAD] == 0) {
        return head_read(r, text);
    }
    if (!line_read(text, &r->line)) {
        return bad(r, "this is no line of a list");
    }
    order = list_order(&last, &r->line);
    if (order == 0 || (last.kind == LIST_STANDS_ON && r->line.kind == LIST_STANDS_ON)) {
        return bad(r, "it says this twice");
    }
    if (order > 0) {
        return bad(r, "its lines are out of order");
    }
    r->n[r->line.kind]++;
    return LIST_LINE;
}

/* Takes up to a line's end; true where it came, or where the line is too long. */
static bool text_take(struct list_read *r, struct slice *in)
{
    size_t end = slice_find(*in, '\n');
    size_t n = end < in->len ? end + 1 : end;

    n = n < LIST_LINE_MAX - r->n_text ? n : LIST_LINE_MAX - r->n_text;
    memcpy(r->text + r->n_text, in->p, n);
    r->n_text += n;
    r->at += n;
    *in = slice_from(*in, n);
    return r->n_text == LIST_LINE_MAX || r->text[r->n_text - 1] == '\n';
}

static enum list_event feed(struct list_read *r, struct slice *in)
{
    enum list_event event = LIST_MORE;

    while (event == LIST_MORE && in->len > 0) {
        if (r->is_bad) {
            return LIST_BAD;
        }
        if (!text_take(r, in)) {
            return LIST_MORE;
        }
        if (r->text[r->n_text - 1] != '\n') {
            return bad(r, "a line of it is too long");
        }
        if (r->at > LIST_MAX) {
            return bad(r, "it is too long");
        }
        event = text_read(r, slice_of(r->text, r->n_text - 1));
        r->n_text = 0;
    }
    return event;
}

enum list_event list_read_feed(struct list_read *r, struct slice *in, struct err *e)
{
    enum list_event event = feed(r, in);

    if (event == LIST_BAD) {
        *e = r->err;
    }
    return event;
}

int list_read_finish(const struct list_read *r, struct err *e)
{
    if (r->is_bad) {
        *e = r->err;
        return -1;
    }
    if (r->n_text > 0 || r->n[LIST_HEAD] == 0) {
        return err_set(e, ERR_BAD_REQUEST, "larder/list breaks off at byte %llu",
                       (unsigned long long)r->at);
    }
    return 0;
}

/* --- searching ----------------------------------------------------------------------------- */

/* The lines of each kind; where one begins is known when the next one does. */
static void lines_note(struct list_whole *l, const struct list_read *r, struct slice whole,
                       size_t from)
{
    struct slice *lines[] = {
        [LIST_IMAGE] = &l->images, [LIST_NEEDS] = &l->needs, [LIST_BLOB] = &l->blobs};

    if (r->line.kind == LIST_STANDS_ON) {
        l->has_stands_on = true;
        l->stands_on = r->line.digest;
        return;
    }
    if (r->n[r->line.kind] == 1) {
        *lines[r->line.kind] = slice_of(whole.p + from, 0);
    }
    lines[r->line.kind]->len += (size_t)r->at - from;
    l->blob_bytes += r->line.kind == LIST_BLOB ? r->line.size : 0;
}

/* What only all of it tells. */
static int list_check(const struct list_whole *l, struct err *e)
{
    struct slice images = l->images;
    struct slice needs = l->needs;
    char text[DIGEST_TEXT_MAX];
    struct list_line line;
    uint64_t size;

    while (list_next(&images, &line)) {
        if ((!list_has_blob(l, &line.digest, &size) && !list_needs_blob(l, &line.digest, &size)) ||
            size != line.size) {
            return err_set(e, ERR_BAD_REQUEST,
                           "larder/list: it has the image %.100s, and %s is no blob of that size",
                           line.name, digest_text(&line.digest, text));
        }
    }
    while (list_next(&needs, &line)) {
        if (list_has_blob(l, &line.digest, &size)) {
            return err_set(e, ERR_BAD_REQUEST, "larder/list: %s is both in it and left out",
                           digest_text(&line.digest, text));
        }
    }
    return 0;
}

int list_open(struct slice whole, struct list_whole *ret, struct err *e)
{
    struct slice rest = whole;
    struct list_whole l = {0};
    struct list_read r;
    enum list_event event;
    size_t from = 0;

    list_read_init(&r);
    while ((event = list_read_feed(&r, &rest, e)) == LIST_LINE) {
        from = from == 0 ? slice_find(whole, '\n') + 1 : from;
        lines_note(&l, &r, whole, from);
        from = (size_t)r.at;
    }
    if (event == LIST_BAD || list_read_finish(&r, e) < 0) {
        return -1;
    }
    l.n_images = r.n[LIST_IMAGE];
    l.n_needs = r.n[LIST_NEEDS];
    l.n_blobs = r.n[LIST_BLOB];
    if (list_check(&l, e) < 0) {
        return -1;
    }
    *ret = l;
    return 0;
}

bool list_next(struct slice *lines, struct list_line *ret)
{
    size_t end;

    if (lines->len == 0) {
        return false;
    }
    end = slice_find(*lines, '\n');
    if (!line_read(slice_sub(*lines, 0, end), ret)) {
        return false;
    }
    *lines = slice_from(*lines, end + 1);
    return true;
}

/* Among sorted lines "WORD DIGEST SIZE". */
static bool search(struct slice lines, const struct digest *d, uint64_t *ret_size)
{
    size_t low = 0; /* both at a line's begin */
    size_t high = lines.len;
    struct list_line line;

    while (low < high) {
        struct slice before = slice_sub(lines, low, low + (high - low) / 2);
        size_t found = slice_rfind(before, '\n');
        size_t at = found == before.len ? low : low + found + 1;
        size_t next = at + slice_find(slice_from(lines, at), '\n') + 1;
        int order = line_read(slice_sub(lines, at, next - 1), &line)
                        ? memcmp(&line.digest, d, sizeof(*d))
                        : 0;

        if (order == 0) {
            *ret_size = line.size;
            return true;
        }
        if (order < 0) {
            low = next;
        } else {
            high = at;
        }
    }
    return false;
}

bool list_has_blob(const struct list_whole *l, const struct digest *d, uint64_t *ret_size)
{
    return search(l->blobs, d, ret_size);
}

bool list_needs_blob(const struct list_whole *l, const struct digest *d, uint64_t *ret_size)
{
    return search(l->needs, d, ret_size);
}
