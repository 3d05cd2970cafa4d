/* cli/export_wanted.c - which images: each is found before the next one is looked for. */
#include "cli/export_parts.h"
#include "cli/images.h"

#include <stdlib.h>

/* Longest line of a page. */
#define LINE_MAX_LEN 1024

/* --- those that are named ------------------------------------------------------------------ */

/* For the platforms of --platform; where it is not given, for those of a lock file, or else those
 * that are here. */
static int find_wanted(struct export *x, const struct wanted *i, struct err *err)
{
    bool own = !x->whole && i->n_platforms > 0;
    struct export_wanted w = {
        .repository = i->reference.name,
        .tag = i->reference.tag,
        .by_digest = i->reference.by_digest,
        .digest = i->reference.digest,
        .platforms = own ? i->platforms : x->platforms,
        .n_platforms = own ? i->n_platforms : x->n_platforms,
        .whole = x->whole || own,
    };

    return export_image(x, &w, err);
}

/* All are looked for, so that one `larder warm` fetches what lacks. */
static int find_named(struct export *x, struct err *err)
{
    struct export_lacking l;
    int result = 0;

    export_lacking_init(&l);
    for (size_t i = 0; i < x->wanted.n && result == 0; i++) {
        x->lack.is_set = false;
        result = find_wanted(x, &x->wanted.all[i], err);
        if (result < 0 && x->lack.is_set) {
            export_lacking_add(x, &l, x->wanted.all[i].by, err);
            result = 0;
        }
    }
    if (result == 0 && l.n > 0) {
        result = export_lacking_refuse(x, &l, err);
    }
    export_lacking_fini(&l);
    return result;
}

/* --- all that is here ---------------------------------------------------------------------- */

static void leave_out(struct export *x, struct err *err)
{
    struct export_lacking l;
    char *note;

    export_lacking_init(&l);
    if (x->lack.is_set) {
        export_lacking_add(x, &l, WANTED_BY_NAME, err);
        ignore_result(export_lacking_refuse(x, &l, err) < 0);
    }
    note = xasprintf("left out: %s", err->text);
    export_note(x, note);
    free(note);
    export_lacking_fini(&l);
}

/* One that has no tag, and is not whole, is likely what a tag meant before. */
static int find_one_of_all(struct export *x, const struct export_wanted *w, struct err *err)
{
    x->lack.is_set = false;
    if (export_image(x, w, err) == 0) {
        return 0;
    }
    if (err->code == ERR_STORE || err->code == ERR_INTERNAL || err->code == ERR_UNAVAILABLE) {
        return -1;
    }
    if (w->tag[0] != '\0') {
        x->left_out++;
        leave_out(x, err);
    }
    return 0;
}

/* "KIND NAME TAG DIGEST" */
static int find_line(struct export *x, struct slice line, struct err *err)
{
    struct export_wanted w = {.is_whole = true,
                              .by_digest = true,
                              .platforms = x->platforms,
                              .n_platforms = x->n_platforms,
                              .whole = x->whole};
    struct slice words[4] = {SLICE_NULL, SLICE_NULL, SLICE_NULL, SLICE_NULL};
    char name[ROUTE_REPO_MAX];
    char tag[TAG_MAX_LEN + 1];
    size_t n = 0;

    while (n < ARRAY_LEN(words) && slice_split(&line, ' ', &words[n])) {
        n++;
    }
    if (line.p != NULL || n < ARRAY_LEN(words) || !slice_copy(words[1], name, sizeof(name)) ||
        !slice_copy(words[2], tag, sizeof(tag)) || !digest_parse(words[3], &w.digest)) {
        return err_set(err, ERR_INTERNAL, "the server's answer is no list of images");
    }
    w.repository = name;
    w.is_hosted = slice_is(words[0], "hosted");
    w.tag = strcmp(tag, "-") == 0 ? "" : tag;
    return find_one_of_all(x, &w, err);
}

static int find_page(struct export *x, struct slice page, char after[LINE_MAX_LEN], struct err *err)
{
    struct slice line;

    while (page.len > 0 && slice_split(&page, '\n', &line)) {
        if (!slice_copy(line, after, LINE_MAX_LEN)) {
            return err_set(err, ERR_INTERNAL, "the server's answer is no list of images");
        }
        if (find_line(x, line, err) < 0) {
            return -1;
        }
    }
    return 0;
}

static int find_all(struct export *x, struct err *err)
{
    char after[LINE_MAX_LEN] = "";
    bool more = true;

    x->forgiving = true;
    while (more) {
        struct buf page;
        int result = export_ask_images(x, after, &page, err);

        more = page.len > 0;
        result = result == 0 ? find_page(x, buf_view(&page), after, err) : -1;
        buf_free(&page);
        if (result < 0) {
            return -1;
        }
    }
    return 0;
}

int export_find(struct export *x, struct err *err)
{
    if (find_named(x, err) < 0 || (x->flags->all && find_all(x, err) < 0)) {
        return -1;
    }
    if (x->images.n == 0) {
        return err_set(err, ERR_BAD_REQUEST, "there is no image to export");
    }
    return 0;
}
