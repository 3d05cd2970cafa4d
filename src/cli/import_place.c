/* cli/import_place.c - names for what came: first all are checked, then all are placed. */
#include "cli/import_parts.h"

#include "bundle/layout.h"
#include "oci/jscan.h"

#include <stdio.h>

#define TARGET "/-/place"
#define QUESTION_MAX 4096
#define ANSWER_MAX (64u * 1024)

/* A line of the spool. */
struct image {
    char name[ROUTE_REPO_MAX];
    char tag[TAG_MAX_LEN + 1]; /* "" where it has none */
    struct digest digest;
};

static bool image_read(struct slice line, struct image *ret)
{
    struct slice name;
    struct slice tag;

    if (!slice_split(&line, ' ', &name) || !slice_split(&line, ' ', &tag) ||
        !slice_copy(name, ret->name, sizeof(ret->name)) || !digest_parse(line, &ret->digest)) {
        return false;
    }
    return slice_copy(slice_is(tag, "-") ? slice_str("") : tag, ret->tag, sizeof(ret->tag));
}

static void question_write(const struct image *i, bool replace, bool dry_run, struct buf *out)
{
    char text[DIGEST_TEXT_MAX];

    buf_str(out, "{\"name\":");
    buf_json(out, slice_str(i->name));
    buf_printf(out, ",\"digest\":\"%s\",\"tags\":[", digest_text(&i->digest, text));
    if (i->tag[0] != '\0') {
        buf_json(out, slice_str(i->tag));
    }
    buf_printf(out, "],\"replace\":%s,\"dry_run\":%s}", replace ? "true" : "false",
               dry_run ? "true" : "false");
}

/* "changed" of an answer, true where there is none, and the name that the image is served by. */
static void answer_read(struct slice text, struct image *i, bool *ret_changed)
{
    struct jscan s;

    *ret_changed = true;
    jscan_init(&s, text, 4, 64);
    if (jscan_next(&s) != JSCAN_OBJECT) {
        return;
    }
    while (jscan_next(&s) == JSCAN_KEY) {
        bool is_changed = slice_is(s.token, "changed");
        bool is_name = slice_is(s.token, "name");
        enum jscan_token t = jscan_next(&s);

        if (is_changed && t == JSCAN_WORD) {
            *ret_changed = !slice_is(s.token, "false");
        } else if (is_name && t == JSCAN_STRING) {
            ignore_result(!jscan_ascii(s.token, i->name, sizeof(i->name)));
        }
        ignore_result(jscan_skip(&s, t));
    }
}

/* One question, by the name as it stands. */
static int place_ask(struct taking *t, struct image *i, bool dry_run, bool *ret_changed,
                     struct err *e)
{
    struct line_request r = {.method = HTTP_POST, .target = TARGET, .has_body = true};
    struct buf question;
    struct buf answer;
    int result;

    buf_init(&question, QUESTION_MAX);
    buf_init(&answer, ANSWER_MAX);
    question_write(i, t->im->flags->replace, dry_run, &question);
    r.length = question.len;
    result = line_ask(t->im->line, &r, buf_view(&question), &answer, NULL, e);
    if (result == 0) {
        answer_read(buf_view(&answer), i, ret_changed);
    }
    buf_free(&answer);
    buf_free(&question);
    return result;
}

/* Docker's way to write names of the Hub: without the registry. False: it has one. */
static bool is_short(const char *name)
{
    struct slice first = slice_sub(slice_str(name), 0, slice_find(slice_str(name), '/'));

    return slice_find(first, '.') == first.len && slice_find(first, ':') == first.len &&
           !slice_is(first, "localhost");
}

/* A name without a registry is that of a hosted repository, where one can have it, else the Hub's;
 * a list of ours has whole names. */
static int place_name(struct taking *t, struct image *i, bool dry_run, bool *ret_changed,
                      struct err *e)
{
    char whole[NAME_MAX_LEN + 1];
    int result = place_ask(t, i, dry_run, ret_changed, e);

    if (result == 0 || e->code != ERR_NAME_UNKNOWN || t->archive.came[ARCHIVE_LIST] ||
        !is_short(i->name) || !name_normal_hub(slice_str(i->name), whole)) {
        return result;
    }
    snprintf(i->name, sizeof(i->name), "docker.io/%s", whole);
    return place_ask(t, i, dry_run, ret_changed, e);
}

/* --- errors -------------------------------------------------------------------------------- */

/* Where in the archive a blob was; false where it did not come in this one. */
static bool where_find(struct taking *t, const struct digest *d, uint64_t *ret)
{
    char want[DIGEST_TEXT_MAX];
    struct slice rest;
    struct slice line;
    struct err e;

    digest_text(d, want);
    if (spool_map(&t->where, &rest, &e) < 0) {
        return false;
    }
    while (slice_split(&rest, '\n', &line)) {
        size_t blank = slice_find(line, ' ');

        if (slice_is(slice_sub(line, 0, blank), want)) {
            return slice_u64(slice_from(line, blank + 1), ret);
        }
    }
    return false;
}

/* Whether it is the image itself, rather than its name, that will not do. */
static bool is_about_image(enum err_code code)
{
    return code == ERR_MANIFEST_UNKNOWN || code == ERR_BLOB_UNKNOWN ||
           code == ERR_MANIFEST_INVALID || code == ERR_MANIFEST_REFUSED;
}

static int place_blame(struct taking *t, const struct image *i, struct err *e)
{
    char path[LAYOUT_PATH_MAX];
    uint64_t offset;

    if (e->code == ERR_NAME_UNKNOWN && t->is_one) {
        struct err said = *e;

        ignore_result(
            err_set(e, said.code, "%s; or --name gives the image another name", said.text));
    }
    ignore_result(err_wrap(e, "%.100s%s%.60s", i->name, i->tag[0] == '\0' ? "" : ":", i->tag));
    if (is_about_image(e->code) && where_find(t, &i->digest, &offset)) {
        return archive_blame(layout_blob_path(&i->digest, path), offset, e);
    }
    return -1;
}

/* --- all of them --------------------------------------------------------------------------- */

static void image_tell(struct taking *t, const struct image *i, bool changed)
{
    char text[DIGEST_TEXT_MAX];

    t->im->sums.images++;
    t->im->sums.unchanged += !changed;
    import_progress_end(t->im);
    printf("%s%s%s %s%s\n", i->name, i->tag[0] == '\0' ? "" : ":", i->tag,
           digest_text(&i->digest, text), changed ? "" : " (was here)");
}

enum pass { PASS_NAMES, PASS_DRY, PASS_REAL };

static int place_one(struct taking *t, struct image *i, enum pass pass, struct err *e)
{
    bool changed = true;

    if (place_name(t, i, pass != PASS_REAL, &changed, e) < 0) {
        return pass == PASS_NAMES && is_about_image(e->code) ? 0 : place_blame(t, i, e);
    }
    if (pass == PASS_REAL) {
        image_tell(t, i, changed);
    }
    return 0;
}

static int place_all(struct taking *t, enum pass pass, struct err *e)
{
    struct slice lines;
    struct slice line;

    if (spool_map(&t->images, &lines, e) < 0) {
        return -1;
    }
    while (slice_split(&lines, '\n', &line) && line.len > 0) {
        struct image i;

        if (!image_read(line, &i)) {
            return err_set(e, ERR_BAD_REQUEST, "a name that cannot be: %.*s",
                           (int)(line.len < 100 ? line.len : 100), line.p);
        }
        if (place_one(t, &i, pass, e) < 0) {
            return -1;
        }
    }
    return 0;
}

int import_place_names(struct taking *t, struct err *e)
{
    return place_all(t, PASS_NAMES, e);
}

int import_place(struct taking *t, struct err *e)
{
    return place_all(t, PASS_DRY, e) < 0 ? -1 : place_all(t, PASS_REAL, e);
}
