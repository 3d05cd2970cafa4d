/* cli/export_wanted.c - which images: each is found before the next one is looked for. */
#include "base/file.h"
#include "cli/export_parts.h"
#include "oci/lockfile.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* Longest line of --file. */
#define LINE_MAX_LEN 1024

/* --- arguments, and a file of them --------------------------------------------------------- */

static int find_reference(struct export *x, struct slice text, struct err *err)
{
    struct export_wanted w = {
        .platforms = x->platforms, .n_platforms = x->n_platforms, .whole = x->whole};
    struct reference r;

    if (reference_parse(text, &r, err) < 0) {
        return -1;
    }
    w.repository = r.name;
    w.tag = r.by_digest ? "" : r.tag;
    w.by_digest = r.by_digest;
    w.digest = r.digest;
    return export_image(x, &w, err);
}

static int find_arguments(struct export *x, struct err *err)
{
    for (size_t i = 0; i < x->flags->n_args; i++) {
        if (find_reference(x, slice_str(x->flags->args[i]), err) < 0) {
            return -1;
        }
    }
    return 0;
}

/* A reference a line; blank lines and those that begin with '#' say nothing. */
static int find_lines(struct export *x, FILE *f, const char *path, struct err *err)
{
    char text[LINE_MAX_LEN];
    unsigned long number = 0;

    while (fgets(text, sizeof(text), f) != NULL) {
        struct slice line = slice_str(text);
        bool whole = slice_ends(line, "\n") || feof(f);

        number++;
        if (!whole) {
            return err_set(err, ERR_CONFIG, "%.100s: line %lu is too long", path, number);
        }
        line = slice_sub(line, 0, strcspn(text, "\r\n"));
        line = slice_trim(line);
        if (line.len > 0 && line.p[0] != '#' && find_reference(x, line, err) < 0) {
            return err_wrap(err, "%.60s: line %lu", path, number);
        }
    }
    return ferror(f) ? err_set(err, ERR_CONFIG, "%.100s: %s", path, strerror(errno)) : 0;
}

static int find_file(struct export *x, const char *path, struct err *err)
{
    FILE *f = strcmp(path, "-") == 0 ? stdin : fopen(path, "re");
    int result;

    if (f == NULL) {
        return err_set(err, ERR_CONFIG, "%.100s: %s", path, strerror(errno));
    }
    result = find_lines(x, f, f == stdin ? "standard input" : path, err);
    if (f != stdin) {
        fclose(f);
    }
    return result;
}

/* --- a lock file --------------------------------------------------------------------------- */

static int find_locked(struct export *x, const struct lock_image *i, struct err *err)
{
    struct export_wanted w = {
        .repository = i->name,
        .tag = i->tag,
        .by_digest = true,
        .digest = i->digest,
        .platforms = x->platforms,
        .n_platforms = x->n_platforms,
        .whole = x->whole,
    };
    struct platform *own = xcalloc(i->n_platforms + 1, sizeof(*own));
    int result;

    if (!x->whole && i->n_platforms > 0) { /* then those that were pulled */
        for (size_t k = 0; k < i->n_platforms; k++) {
            if (platform_parse(slice_str(i->platforms[k]), &own[w.n_platforms])) {
                w.n_platforms++;
            }
        }
        w.platforms = own;
        w.whole = true;
    }
    result = export_image(x, &w, err);
    free(own);
    return result;
}

static int find_lock(struct export *x, const char *path, struct err *err)
{
    struct route_table *routes = config_routes(host_config(x->host));
    struct lockfile *l = NULL;
    char *text = NULL;
    size_t n = 0;
    int result = file_read(path, LOCKFILE_MAX, &text, &n, err);

    if (result == 0 && lockfile_parse(slice_of(text, n), routes, &l, err) < 0) {
        result = err_wrap(err, "%.100s", path);
    }
    for (size_t i = 0; result == 0 && i < l->n; i++) {
        result = find_locked(x, &l->images[i], err);
    }
    lockfile_free(l);
    free(text);
    free(routes);
    return result;
}

/* --- all that is here ---------------------------------------------------------------------- */

/* One that has no tag, and is not whole, is likely what a tag meant before. */
static int find_one_of_all(struct export *x, const struct export_wanted *w, struct err *err)
{
    char *note;

    if (export_image(x, w, err) == 0) {
        return 0;
    }
    if (err->code == ERR_STORE || err->code == ERR_INTERNAL || err->code == ERR_UNAVAILABLE) {
        return -1;
    }
    if (w->tag[0] != '\0') {
        x->left_out++;
        note = xasprintf("left out: %s", err->text);
        export_note(x, note);
        free(note);
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
    const struct flags *f = x->flags;

    if (find_arguments(x, err) < 0 || (f->file != NULL && find_file(x, f->file, err) < 0) ||
        (f->config.lock != NULL && find_lock(x, f->config.lock, err) < 0) ||
        (f->all && find_all(x, err) < 0)) {
        return -1;
    }
    if (x->images.n == 0) {
        return err_set(err, ERR_BAD_REQUEST, "there is no image to export");
    }
    return 0;
}
