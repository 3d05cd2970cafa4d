/* cli/export.c - the command: its flags, one step after the other, and what it says. */
#include "cli/export.h"

#include "base/clock.h"
#include "bundle/signature.h"
#include "cli/export_parts.h"
#include "cli/output.h"
#include "cli/render.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define PROGRESS_MS 200

/* --- what is said -------------------------------------------------------------------------- */

static void progress_end(struct export *x)
{
    if (x->terminal && x->told != 0) {
        fputs("\r\033[K", stderr);
        x->told = 0;
    }
}

void export_progress(struct export *x, uint64_t more)
{
    uint64_t now = clock_mono_ms();
    char done[RENDER_SIZE_MAX];
    char all[RENDER_SIZE_MAX];

    x->written += more;
    if (!x->terminal || now - x->told < PROGRESS_MS) {
        return;
    }
    x->told = now;
    fprintf(stderr, "\r\033[K%s of %s", render_size(x->written, done),
            render_size(blobset_bytes(&x->blobs), all));
}

void export_note(struct export *x, const char *text)
{
    progress_end(x);
    fprintf(stderr, "larder: %s\n", text);
}

static int say(struct export *x, const struct err *err)
{
    progress_end(x);
    fprintf(stderr, "larder: %s\n", err->text);
    return flags_status(err);
}

static void count_blobs(struct buf *out, const struct blobset *b)
{
    char size[RENDER_SIZE_MAX];

    render_count(out, blobset_count(b), "blob");
    buf_printf(out, " (%s)", render_size(blobset_bytes(b), size));
}

static void summary(struct export *x)
{
    struct buf out;

    buf_init(&out, 4096);
    render_count(&out, x->images.n, "image");
    buf_str(&out, ", ");
    count_blobs(&out, &x->blobs);
    if (x->kept > 0) {
        buf_printf(&out, ", %llu of them there already", (unsigned long long)x->kept);
    }
    if (x->base.stands_on.alg != 0) {
        buf_str(&out, ", without what the other side has");
    }
    if (x->left_out > 0) {
        buf_str(&out, "; left out: ");
        render_count(&out, x->left_out, "image");
    }
    export_note(x, out.p);
    buf_free(&out);
}

/* --- flags --------------------------------------------------------------------------------- */

static int wrong(const char *text)
{
    fprintf(stderr, "larder: %s; see `larder export --help`\n", text);
    return 2;
}

static bool is_folder(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static int flags_check(const struct flags *f, uint64_t *ret_part)
{
    *ret_part = 0;
    if (f->output == NULL) {
        return wrong("export needs -o and a file, a folder, or - for standard output");
    }
    if (f->n_args == 0 && f->file == NULL && f->config.lock == NULL && !f->all) {
        return wrong("export needs images: by name, --file, --lock, or --all");
    }
    if (f->have != NULL && f->since != NULL) {
        return wrong("--have and --since: a bundle stands on one of them");
    }
    if (f->split != NULL && (!(slice_u64(slice_str(f->split), ret_part) ||
                               bytes_parse(slice_str(f->split), ret_part)) ||
                             *ret_part < OUTPUT_PART_MIN)) {
        return wrong("--split takes a size such as 4GB or 650MiB, 64KiB at least");
    }
    if (f->split != NULL && (strcmp(f->output, "-") == 0 || is_folder(f->output))) {
        return wrong("--split is for a file");
    }
    if (strcmp(f->output, "-") == 0 && isatty(STDOUT_FILENO) == 1) {
        return wrong("an archive is not for a terminal: -o FILE, or a pipe");
    }
    return 0;
}

/* --- the command --------------------------------------------------------------------------- */

/* Where temporary files go: beside the data, as there is most room. */
static const char *scratch(const struct config *config)
{
    const char *folder = getenv("TMPDIR");

    if (access(config->data, W_OK) == 0) {
        return config->data;
    }
    return folder == NULL || folder[0] == '\0' ? "/tmp" : folder;
}

/* All that the flags name. */
static int wanted_read(struct export *x, const struct config *config, struct err *err)
{
    struct route_table *routes = config_routes(config);
    int result = images_read(x->flags, routes, &x->wanted, err);

    free(routes);
    x->whole = x->flags->platform != NULL;
    if (result == 0 && x->whole) {
        x->platforms = x->wanted.platforms;
        x->n_platforms = x->wanted.n_platforms;
    }
    return result;
}

static int export_open(struct export *x, struct err *err)
{
    struct config_flags flags = x->flags->config;
    struct config *config;
    const char *folder;

    flags.lock = NULL; /* it says what to export, and binds nobody */
    config = config_read(&flags, err);
    if (config == NULL) {
        return -1;
    }
    log_setup(LOG_ERROR, false);
    limits = config->limits;
    if (x->flags->sign != NULL) {
        x->key = ed25519_read_private(x->flags->sign, err);
        if (x->key == NULL) {
            err_wrap(err, "--sign");
        }
    }
    if ((x->flags->sign != NULL && x->key == NULL) || wanted_read(x, config, err) < 0) {
        config_free(config);
        return -1;
    }
    x->host = host_open(config, err);
    if (x->host == NULL) {
        return -1;
    }
    folder = scratch(host_config(x->host));
    spool_init(&x->list, folder, LIST_MAX);
    spool_init(&x->index, folder, EXPORT_TEXT_MAX);
    spool_init(&x->docker, folder, EXPORT_TEXT_MAX);
    spool_init(&x->base.spool, folder, LIST_MAX);
    x->data = open(host_config(x->host)->data, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    x->line = line_new(x->host);
    return 0;
}

static void export_close(struct export *x)
{
    export_base_fini(&x->base);
    spool_fini(&x->list);
    spool_fini(&x->index);
    spool_fini(&x->docker);
    blobset_fini(&x->blobs);
    blobset_fini(&x->needs);
    blobset_fini(&x->implied);
    imageset_fini(&x->images);
    buf_free(&x->signature);
    if (x->data >= 0) {
        close(x->data);
    }
    line_free(x->line);
    host_free(x->host);
    ed25519_free(x->key);
    images_free(&x->wanted);
}

static int export_all(struct export *x, uint64_t part, struct err *err)
{
    const char *path = x->flags->output;

    x->leased = clock_mono_ms(); /* from the first that is found on */
    if (export_base_open(x, err) < 0 || export_find(x, err) < 0 ||
        imageset_sort(&x->images, err) < 0) {
        return -1;
    }
    export_base_apply(x);
    if (export_texts(x, err) < 0) {
        return -1;
    }
    return strcmp(path, "-") != 0 && is_folder(path) ? export_folder(x, path, err)
                                                     : export_archive(x, path, part, err);
}

int export_run(const struct flags *flags)
{
    struct export x = {.flags = flags, .data = -1, .terminal = isatty(STDERR_FILENO) == 1};
    struct err err = {0};
    uint64_t part;
    int status = flags_check(flags, &part);

    spool_init(&x.list, NULL, 0);
    spool_init(&x.index, NULL, 0);
    spool_init(&x.docker, NULL, 0);
    spool_init(&x.base.spool, NULL, 0);
    buf_init(&x.signature, SIGNATURE_TEXT_MAX);
    if (status != 0) {
        return status;
    }
    if (export_open(&x, &err) < 0 || export_all(&x, part, &err) < 0) {
        status = say(&x, &err);
    } else {
        summary(&x);
    }
    export_close(&x);
    return status;
}
