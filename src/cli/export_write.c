/* cli/export_write.c - the bundle, entry by entry, in an order that never changes. */
#include "base/file.h"
#include "bundle/archive.h"
#include "bundle/layout.h"
#include "bundle/tar_write.h"
#include "cli/export_parts.h"
#include "cli/output.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* Of a blob, between two looks at the clock; and what is held where it comes over the line. */
#define SLICE_MAX ((uint64_t)16 << 20)
#define PIECE_MAX (256u * 1024)

/* --- blobs --------------------------------------------------------------------------------- */

static int copy_file(struct export *x, struct output *o, int fd, uint64_t size, struct err *err)
{
    while (size > 0) {
        uint64_t n = size < SLICE_MAX ? size : SLICE_MAX;

        if (output_copy(o, fd, n, err) < 0 || export_lease(x, err) < 0) {
            return -1;
        }
        size -= n;
        export_progress(x, n);
    }
    return 0;
}

static int copy_line(struct export *x, struct output *o, struct line *l, struct err *err)
{
    char *piece = xcalloc(PIECE_MAX, 1);
    ssize_t n;

    while ((n = line_read(l, piece, PIECE_MAX, err)) > 0) {
        if (output_write(o, piece, (size_t)n, err) < 0) {
            n = -1;
            break;
        }
        export_progress(x, (uint64_t)n);
    }
    free(piece);
    return n < 0 ? -1 : 0;
}

static int copy_blob(struct export *x, struct output *o, const struct digest *d, uint64_t size,
                     struct err *err)
{
    char text[DIGEST_TEXT_MAX];
    struct line *l;
    int fd = -1;
    int result;

    result = export_lease(x, err);
    if (result == 0) {
        fd = export_open_blob(x, d, size, &l, err);
        result =
            fd >= 0 ? copy_file(x, o, fd, size, err) : (l == NULL ? -1 : copy_line(x, o, l, err));
    }
    if (fd >= 0) {
        close(fd);
    }
    return result < 0 ? err_wrap(err, "%.100s", digest_text(d, text)) : 0;
}

/* --- an archive ---------------------------------------------------------------------------- */

static int header(struct output *o, const char *name, uint64_t size, struct err *err)
{
    unsigned char head[TAR_WRITE_MAX];

    return output_write(o, head, tar_write_header(name, TAR_FILE, size, head), err);
}

static int zeros(struct output *o, size_t n, struct err *err)
{
    static const char ZEROS[TAR_WRITE_END];

    return output_write(o, ZEROS, n, err);
}

static int add_text(struct output *o, const char *name, struct slice text, struct err *err)
{
    return header(o, name, text.len, err) < 0 || output_write(o, text.p, text.len, err) < 0
               ? -1
               : zeros(o, tar_write_padding(text.len), err);
}

static int add_spool(struct output *o, const char *name, const struct spool *s, struct err *err)
{
    if (s->size == 0) {
        return 0;
    }
    return header(o, name, s->size, err) < 0 || lseek(s->fd, 0, SEEK_SET) < 0 ||
                   output_copy(o, s->fd, s->size, err) < 0
               ? -1
               : zeros(o, tar_write_padding(s->size), err);
}

static int add_blobs(struct export *x, struct output *o, struct err *err)
{
    size_t n = blobset_count(&x->blobs);

    for (size_t i = 0; i < n; i++) {
        char path[LAYOUT_PATH_MAX];
        struct digest d;
        uint64_t size;

        blobset_get(&x->blobs, i, &d, &size);
        if (header(o, layout_blob_path(&d, path), size, err) < 0 ||
            copy_blob(x, o, &d, size, err) < 0 || zeros(o, tar_write_padding(size), err) < 0) {
            return -1;
        }
    }
    return 0;
}

static int archive_write(struct export *x, struct output *o, struct err *err)
{
    if (add_spool(o, ARCHIVE_LIST_NAME, &x->list, err) < 0 ||
        (x->key != NULL && add_text(o, ARCHIVE_SIGNATURE_NAME, buf_view(&x->signature), err) < 0) ||
        add_text(o, LAYOUT_VERSION_NAME, slice_str(LAYOUT_VERSION_TEXT), err) < 0 ||
        add_spool(o, LAYOUT_INDEX_NAME, &x->index, err) < 0 ||
        add_spool(o, LAYOUT_DOCKER_NAME, &x->docker, err) < 0 || add_blobs(x, o, err) < 0 ||
        zeros(o, TAR_WRITE_END, err) < 0) {
        return -1;
    }
    return output_finish(o, err);
}

int export_archive(struct export *x, const char *path, uint64_t part, struct err *err)
{
    struct output *o = output_open(path, part, err);
    int result = o == NULL ? -1 : archive_write(x, o, err);

    output_free(o);
    return result;
}

/* --- a folder ------------------------------------------------------------------------------ */

static int cannot(const char *path, struct err *err)
{
    int error = errno;

    return err_set(err, error == ENOSPC || error == EDQUOT ? ERR_NO_SPACE : ERR_STORE, "%.150s: %s",
                   path, strerror(error));
}

static int put_text(const char *folder, const char *name, struct slice text, struct err *err)
{
    _cleanup_free_ char *path = xasprintf("%s/%s", folder, name);
    struct output *o = output_open(path, 0, err);
    int result =
        o == NULL || output_write(o, text.p, text.len, err) < 0 ? -1 : output_finish(o, err);

    output_free(o);
    return result;
}

/* One that is empty is not there. */
static int put_spool(const char *folder, const char *name, const struct spool *s, struct err *err)
{
    _cleanup_free_ char *path = xasprintf("%s/%s", folder, name);
    struct output *o;
    int result;

    if (s->size == 0) {
        return unlink(path) < 0 && errno != ENOENT ? cannot(path, err) : 0;
    }
    o = output_open(path, 0, err);
    result = o == NULL || lseek(s->fd, 0, SEEK_SET) < 0 || output_copy(o, s->fd, s->size, err) < 0
                 ? -1
                 : output_finish(o, err);
    output_free(o);
    return result;
}

/* A file has its name once it is whole and on disk, so its size tells enough. */
static int put_blob(struct export *x, const char *folder, size_t i, struct err *err)
{
    char *path;
    char name[LAYOUT_PATH_MAX];
    struct output *o = NULL;
    struct digest d;
    struct stat st;
    uint64_t size;
    int result = 0;

    blobset_get(&x->blobs, i, &d, &size);
    path = xasprintf("%s/%s", folder, layout_blob_path(&d, name));
    if (lstat(path, &st) == 0 && S_ISREG(st.st_mode) && (uint64_t)st.st_size == size) {
        x->kept++;
        export_progress(x, size);
    } else {
        o = output_open(path, 0, err);
        result = o == NULL || copy_blob(x, o, &d, size, err) < 0 ? -1 : output_finish_soon(o, err);
    }
    output_free(o);
    free(path);
    return result;
}

static int make_folders(const char *folder, struct err *err)
{
    static const char *const NAMES[] = {"blobs/sha256", "blobs/sha512", "larder"};

    for (size_t i = 0; i < ARRAY_LEN(NAMES); i++) {
        _cleanup_free_ char *path = xasprintf("%s/%s", folder, NAMES[i]);

        if (file_mkdirs(path) < 0) {
            return cannot(path, err);
        }
    }
    return 0;
}

/* All blobs are there for certain, by their names. */
static int sync_all(const char *folder, struct err *err)
{
    _cleanup_close_ int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    return fd < 0 || syncfs(fd) < 0 ? cannot(folder, err) : 0;
}

/* The texts come last: before, the folder tells of what it had, which is all still there. The
 * signature belongs to its list, and never stands beside another. */
static int put_texts(struct export *x, const char *folder, struct err *err)
{
    _cleanup_free_ char *old = xasprintf("%s/%s", folder, ARCHIVE_SIGNATURE_NAME);

    if (unlink(old) < 0 && errno != ENOENT) {
        return cannot(old, err);
    }
    if (put_spool(folder, ARCHIVE_LIST_NAME, &x->list, err) < 0 ||
        (x->key != NULL &&
         put_text(folder, ARCHIVE_SIGNATURE_NAME, buf_view(&x->signature), err) < 0) ||
        put_text(folder, LAYOUT_VERSION_NAME, slice_str(LAYOUT_VERSION_TEXT), err) < 0 ||
        put_spool(folder, LAYOUT_DOCKER_NAME, &x->docker, err) < 0) {
        return -1;
    }
    return put_spool(folder, LAYOUT_INDEX_NAME, &x->index, err);
}

int export_folder(struct export *x, const char *path, struct err *err)
{
    if (make_folders(path, err) < 0) {
        return -1;
    }
    for (size_t i = 0; i < blobset_count(&x->blobs); i++) {
        if (put_blob(x, path, i, err) < 0) {
            return -1;
        }
    }
    return sync_all(path, err) < 0 ? -1 : put_texts(x, path, err);
}
