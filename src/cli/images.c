/* cli/images.c - references from wherever they are written. */
#include "cli/images.h"

#include "base/file.h"
#include "oci/dockerfile.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define READ_PIECE (64u * 1024)

static int add(struct images *i, const struct reference *r, struct wanted **ret, struct err *err)
{
    if (i->n == IMAGES_MAX) {
        return err_set(err, ERR_CONFIG, "more than %d images", IMAGES_MAX);
    }
    if (i->n == i->cap) {
        i->cap = i->cap == 0 ? 16 : 2 * i->cap;
        i->all = xrealloc(i->all, i->cap * sizeof(*i->all));
    }
    i->all[i->n] = (struct wanted){.reference = *r};
    *ret = &i->all[i->n++];
    return 0;
}

static int add_text(struct images *i, struct slice text, struct wanted **ret, struct err *err)
{
    struct reference r;

    if (reference_parse(text, &r, err) < 0) {
        err->code = ERR_CONFIG;
        return -1;
    }
    return add(i, &r, ret, err);
}

static void add_platform(struct wanted *w, const struct platform *p)
{
    w->platforms = xrealloc(w->platforms, (w->n_platforms + 1) * sizeof(*w->platforms));
    w->platforms[w->n_platforms++] = *p;
}

/* --- lists --------------------------------------------------------------------------------- */

static int read_input(struct buf *out, struct err *err)
{
    char *piece = xcalloc(READ_PIECE, 1);
    ssize_t n;

    do {
        n = read(STDIN_FILENO, piece, READ_PIECE);
        buf_append(out, piece, n > 0 ? (size_t)n : 0);
    } while ((n > 0 && !out->failed) || (n < 0 && errno == EINTR));
    free(piece);
    if (n < 0) {
        return err_set(err, ERR_CONFIG, "standard input: %s", strerror(errno));
    }
    return out->failed
               ? err_set(err, ERR_CONFIG, "standard input: more than %u MiB", IMAGES_LIST_MAX >> 20)
               : 0;
}

static int read_text(const char *path, struct buf *out, struct err *err)
{
    char *text;
    size_t len;

    buf_init(out, IMAGES_LIST_MAX);
    if (strcmp(path, "-") == 0) {
        return read_input(out, err);
    }
    if (file_read(path, IMAGES_LIST_MAX - 1, &text, &len, err) < 0) {
        return -1;
    }
    buf_append(out, text, len);
    free(text);
    return 0;
}

static int add_list(struct images *i, const char *path, struct err *err)
{
    struct slice rest;
    struct slice line;
    struct buf text;
    int result = read_text(path, &text, err);

    rest = buf_view(&text);
    for (size_t n = 1; result == 0 && slice_split(&rest, '\n', &line); n++) {
        struct wanted *w;

        line = slice_sub(line, 0, slice_find(line, '#'));
        line = slice_trim(slice_sub(line, 0, slice_find(line, '\r')));
        if (line.len == 0) {
            continue;
        }
        if (add_text(i, line, &w, err) < 0) {
            result =
                err_wrap(err, "%s: line %zu", strcmp(path, "-") == 0 ? "standard input" : path, n);
        } else {
            w->by = WANTED_BY_FILE;
        }
    }
    buf_free(&text);
    return result;
}

/* --- lock files ---------------------------------------------------------------------------- */

static int add_locked(struct images *i, const struct lock_image *image, struct err *err)
{
    struct reference r = {.by_digest = true, .digest = image->digest};
    struct wanted *w;

    snprintf(r.name, sizeof(r.name), "%s", image->name);
    snprintf(r.tag, sizeof(r.tag), "%s", image->tag);
    r.tag_written = r.tag[0] != '\0';
    if (add(i, &r, &w, err) < 0) {
        return -1;
    }
    w->by = WANTED_BY_LOCK;
    for (size_t k = 0; k < image->n_platforms; k++) {
        struct platform p;

        if (platform_parse(slice_str(image->platforms[k]), &p)) {
            add_platform(w, &p);
        }
    }
    return 0;
}

static int add_lock(struct images *i, const char *path, const struct route_table *routes,
                    struct err *err)
{
    struct lockfile *lock = NULL;
    struct buf text;
    int result = read_text(path, &text, err);

    if (result == 0) {
        result = lockfile_parse(buf_view(&text), routes, &lock, err);
        result = result < 0 ? err_wrap(err, "%s", path) : 0;
    }
    for (size_t k = 0; result == 0 && k < lock->n; k++) {
        result = add_locked(i, &lock->images[k], err);
    }
    lockfile_free(lock);
    buf_free(&text);
    return result;
}

/* --- Dockerfiles --------------------------------------------------------------------------- */

/* What is meant where nothing else is said: the first platform that is asked for. */
static struct platform target(const struct images *i)
{
    return i->n_platforms > 0 ? i->platforms[0] : platform_here();
}

static int add_from(struct images *i, const struct dockerfile_image *image, struct err *err)
{
    struct platform p;
    struct wanted *w;

    if (add_text(i, slice_str(image->name), &w, err) < 0) {
        return err_wrap(err, "line %u", image->line);
    }
    w->by = WANTED_BY_DOCKERFILE;
    if (image->platform[0] == '\0') {
        return 0;
    }
    if (!platform_parse(slice_str(image->platform), &p)) {
        return err_set(err, ERR_CONFIG, "line %u: %.80s is no platform", image->line,
                       image->platform);
    }
    add_platform(w, &p);
    return 0;
}

static int add_dockerfile(struct images *i, const char *path, struct err *err)
{
    struct platform p = target(i);
    char platform[PLATFORM_TEXT_MAX];
    struct dockerfile d = {0};
    struct buf text;
    int result = read_text(path, &text, err);

    if (result == 0) {
        result = dockerfile_parse(buf_view(&text), platform_text(&p, platform), &d, err);
        for (size_t k = 0; result == 0 && k < d.n; k++) {
            result = add_from(i, &d.images[k], err);
        }
        result = result < 0 ? err_wrap(err, "%s", path) : 0;
    }
    dockerfile_free(&d);
    buf_free(&text);
    return result;
}

/* --- all of them --------------------------------------------------------------------------- */

static int read_platforms(struct images *i, const char *text, struct err *err)
{
    struct slice rest = slice_str(text == NULL ? "" : text);
    struct slice part;

    if (text == NULL) {
        i->platforms[i->n_platforms++] = platform_here();
        return 0;
    }
    if (slice_is(rest, "all")) {
        return 0;
    }
    while (slice_split(&rest, ',', &part)) {
        if (i->n_platforms == IMAGES_PLATFORMS_MAX) {
            return err_set(err, ERR_CONFIG, "--platform: more than %d platforms",
                           IMAGES_PLATFORMS_MAX);
        }
        if (!platform_parse(slice_trim(part), &i->platforms[i->n_platforms++])) {
            return err_set(err, ERR_CONFIG,
                           "--platform: \"%.*s\" must be OS/ARCHITECTURE such as linux/amd64, or "
                           "all",
                           (int)(part.len < 60 ? part.len : 60), part.p);
        }
    }
    return 0;
}

int images_read(const struct flags *flags, const struct route_table *routes, struct images *ret,
                struct err *err)
{
    struct images i = {0};
    struct wanted *w;
    int result = read_platforms(&i, flags->platform, err);

    for (size_t k = 0; result == 0 && k < flags->n_args; k++) {
        result = add_text(&i, slice_str(flags->args[k]), &w, err);
    }
    if (result == 0 && flags->file != NULL) {
        result = add_list(&i, flags->file, err);
    }
    if (result == 0 && flags->config.lock != NULL) {
        result = add_lock(&i, flags->config.lock, routes, err);
    }
    if (result == 0 && flags->dockerfile != NULL) {
        result = add_dockerfile(&i, flags->dockerfile, err);
    }
    if (result < 0) {
        images_free(&i);
        return -1;
    }
    *ret = i;
    return 0;
}

void images_free(struct images *i)
{
    for (size_t k = 0; k < i->n; k++) {
        free(i->all[k].platforms);
    }
    free(i->all);
    *i = (struct images){0};
}

const struct platform *images_platforms_of(const struct images *i, const struct wanted *w,
                                           size_t *ret_n)
{
    *ret_n = w->n_platforms > 0 ? w->n_platforms : i->n_platforms;
    return w->n_platforms > 0 ? w->platforms : i->platforms;
}
