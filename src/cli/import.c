/* cli/import.c - the command: its flags, one archive after the other, and what it says. */
#include "cli/import.h"

#include "base/clock.h"
#include "cli/import_parts.h"
#include "cli/render.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define PROGRESS_MS 200

/* --- what is said -------------------------------------------------------------------------- */

void import_progress(struct taking *t)
{
    struct import *im = t->im;
    uint64_t now = clock_mono_ms();
    char done[RENDER_SIZE_MAX];
    char size[RENDER_SIZE_MAX];
    uint64_t all = source_size(t->source);

    if (!im->terminal || now - im->told < PROGRESS_MS) {
        return;
    }
    im->told = now;
    fprintf(stderr, "\r\033[K%s: %s%s%s, %llu blob%s new, %llu %s here", t->label,
            render_size(source_done(t->source), done), all == 0 ? "" : " of ",
            all == 0 ? "" : render_size(all, size), (unsigned long long)im->sums.taken,
            render_s(im->sums.taken), (unsigned long long)im->sums.here,
            im->sums.here == 1 ? "was" : "were");
}

void import_progress_end(struct import *im)
{
    if (im->terminal && im->told != 0) {
        fputs("\r\033[K", stderr);
        im->told = 0;
    }
}

static void summary(const struct import_sums *s)
{
    char size[RENDER_SIZE_MAX];
    struct buf out;

    buf_init(&out, 4096);
    render_count(&out, s->images, "image");
    if (s->unchanged > 0) {
        buf_printf(&out, " (%llu as before)", (unsigned long long)s->unchanged);
    }
    buf_str(&out, ", ");
    render_count(&out, s->taken, "new blob");
    buf_printf(&out, " (%s), ", render_size(s->taken_bytes, size));
    render_count(&out, s->here, "blob");
    buf_printf(&out, " that %s here (%s)\n", s->here == 1 ? "was" : "were",
               render_size(s->here_bytes, size));
    fputs(out.p, stdout);
    buf_free(&out);
}

static int say(struct import *im, const char *label, const struct err *e, const char *advice)
{
    if (im != NULL) {
        import_progress_end(im);
    }
    ignore_result(fflush(stdout));
    fprintf(stderr, "larder: %s%s%s%s\n", label == NULL ? "" : label, label == NULL ? "" : ": ",
            e->text, advice);
    return flags_status(e);
}

/* --- archives ------------------------------------------------------------------------------ */

static int take(struct taking *t, const char *const *paths, size_t n, struct err *e)
{
    t->source = source_open(paths, n, e);
    t->feed = t->source == NULL ? NULL : feed_new(t->im->host, e);
    if (t->feed == NULL || import_read(t, e) < 0) {
        return -1;
    }
    t->was_read = true;
    return import_images(t, e) < 0 ? -1 : import_place(t, e);
}

/* What cannot be opened is named by the error already. */
static int say_refused(struct taking *t, size_t n_left, const struct err *e)
{
    struct buf advice;
    int status;

    if (t->source == NULL) {
        return say(t->im, NULL, e, "");
    }
    buf_init(&advice, 4096);
    buf_str(&advice, "");
    if (!t->was_read) {
        source_advise(t->source, n_left, &advice);
    }
    status = say(t->im, t->label, e, advice.p);
    buf_free(&advice);
    return status;
}

/* The first n paths; n_left are there from the first on. */
static int import_one(struct import *im, const char *const *paths, size_t n, size_t n_left)
{
    const char *label = strcmp(paths[0], "-") == 0 ? "standard input" : paths[0];
    struct taking t;
    struct err e = {0};
    int status = 0;

    taking_init(&t, im, label);
    if (take(&t, paths, n, &e) < 0) {
        status = say_refused(&t, n_left, &e);
    }
    taking_fini(&t);
    return status;
}

static int import_all(struct import *im, const char *const *paths, size_t n)
{
    int status = 0;

    for (size_t i = 0; i < n && status == 0;) {
        size_t parts = source_group(paths + i, n - i);

        status = import_one(im, paths + i, parts, n - i);
        i += parts;
    }
    import_progress_end(im);
    if (status == 0) {
        summary(&im->sums);
    }
    if (fflush(stdout) != 0) {
        fprintf(stderr, "larder: standard output: %s\n", strerror(errno));
        status = 1;
    }
    return status;
}

/* --- the command --------------------------------------------------------------------------- */

static int wrong(const char *text)
{
    fprintf(stderr, "larder: %s; see `larder import --help`\n", text);
    return 2;
}

static int keys_read(struct import *im, struct err *e)
{
    const struct flags *f = im->flags;

    im->keys = xcalloc(f->n_trust + 1, sizeof(struct ed25519 *));
    while (im->n_keys < f->n_trust) {
        struct ed25519 *key = ed25519_read_public(f->trust[im->n_keys], e);

        if (key == NULL) {
            return err_wrap(e, "--trust");
        }
        im->keys[im->n_keys++] = key;
    }
    return 0;
}

static void keys_free(struct import *im)
{
    for (size_t i = 0; i < im->n_keys; i++) {
        ed25519_free(im->keys[i]);
    }
    free(im->keys);
}

static int flags_check(struct import *im)
{
    const struct flags *f = im->flags;
    struct err e = {0};

    if (f->n_args == 0) {
        return wrong("import needs a file, a folder, or - for standard input");
    }
    if (f->name == NULL) {
        return 0;
    }
    if (source_group(f->args, f->n_args) < f->n_args) {
        return wrong("--name is for one archive");
    }
    if (reference_parse(slice_str(f->name), &im->name, &e) < 0) {
        fprintf(stderr, "larder: --name: %s\n", e.text);
        return 2;
    }
    im->has_name = true;
    return 0;
}

static int import_open(struct import *im, struct err *e)
{
    struct config *config = config_read(&im->flags->config, e);

    if (config == NULL) {
        return -1;
    }
    log_setup(LOG_ERROR, false);
    limits = config->limits;
    if (keys_read(im, e) < 0) {
        config_free(config);
        return -1;
    }
    im->host = host_make(config, e);
    im->line = im->host == NULL ? NULL : line_new(im->host);
    return im->line == NULL ? -1 : 0;
}

int import_run(const struct flags *flags)
{
    struct import im = {.flags = flags, .terminal = isatty(STDERR_FILENO) == 1};
    struct err e = {0};
    int status = flags_check(&im);

    if (status != 0) {
        return status;
    }
    status = import_open(&im, &e) < 0 ? say(NULL, NULL, &e, "")
                                      : import_all(&im, flags->args, flags->n_args);
    line_free(im.line);
    host_free(im.host);
    keys_free(&im);
    return status;
}
