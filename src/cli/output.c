/* cli/output.c - a file that appears when it is whole. */
#include "cli/output.h"

#include "base/file.h"
#include "base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* Small writes are gathered; a call copies so much; and so often the disk is told to begin. */
#define HELD_MAX (64u * 1024)
#define COPY_MAX (1u << 20)
#define FLUSH_EVERY (32u << 20)

/* Owner: output_open()'s caller. */
struct output {
    const char *path;
    int fd;        /* of the part at hand; -1: none yet */
    bool is_pipe;  /* standard output, a device: written as it is, and nothing is renamed */
    bool by_hand;  /* the kernel does not copy between these files */
    bool finished; /* nothing to remove */
    uint64_t part; /* bytes of a part; 0: there are none */
    unsigned n_parts;
    uint64_t size;
    uint64_t in_part; /* bytes of the part at hand, the held ones not among them */
    uint64_t flushed; /* likewise, that the disk was told of */
    size_t n_held;
    char *held;  /* HELD_MAX */
    char *piece; /* COPY_MAX, where it is copied by hand; else NULL */
};

/* --- names --------------------------------------------------------------------------------- */

static char *part_name(const struct output *o, unsigned i, const char *suffix)
{
    return o->part == 0 ? xasprintf("%s%s", o->path, suffix)
                        : xasprintf("%s.%03u%s", o->path, i, suffix);
}

static int failed(const struct output *o, struct err *err)
{
    int error = errno;

    return err_set(err, error == ENOSPC || error == EDQUOT ? ERR_NO_SPACE : ERR_STORE, "%.150s: %s",
                   strcmp(o->path, "-") == 0 ? "standard output" : o->path, strerror(error));
}

static int part_open(struct output *o, struct err *err)
{
    _cleanup_free_ char *name = part_name(o, o->n_parts, ".part");

    if (o->n_parts == OUTPUT_PARTS_MAX) {
        return err_set(err, ERR_TOO_LARGE, "%.100s: it would be more than %d parts: --split larger",
                       o->path, OUTPUT_PARTS_MAX);
    }
    o->fd = open(name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOCTTY, 0666);
    if (o->fd < 0) {
        return failed(o, err);
    }
    o->n_parts++;
    o->in_part = 0;
    o->flushed = 0;
    return 0;
}

static int part_close(struct output *o, struct err *err)
{
    int result = fdatasync(o->fd);

    result = close(o->fd) < 0 ? -1 : result;
    o->fd = -1;
    return result < 0 ? failed(o, err) : 0;
}

/* Nothing may take the name of a device or a named pipe. */
static bool is_special(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode);
}

static int first_open(struct output *o, uint64_t part, struct err *err)
{
    o->is_pipe = strcmp(o->path, "-") == 0 || is_special(o->path);
    if (!o->is_pipe) {
        o->part = part;
        return part_open(o, err);
    }
    o->fd = strcmp(o->path, "-") == 0 ? fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3)
                                      : open(o->path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
    return o->fd < 0 ? failed(o, err) : 0;
}

struct output *output_open(const char *path, uint64_t part, struct err *err)
{
    struct output *o = xnew(struct output);

    o->path = path;
    o->fd = -1;
    o->held = xcalloc(HELD_MAX, 1);
    if (first_open(o, part, err) < 0) {
        output_free(o);
        return NULL;
    }
    return o;
}

void output_free(struct output *o)
{
    if (o == NULL) {
        return;
    }
    if (o->fd >= 0) {
        close(o->fd);
    }
    for (unsigned i = 0; i < o->n_parts && !o->finished; i++) {
        _cleanup_free_ char *name = part_name(o, i, ".part");

        ignore_result(unlink(name) < 0);
    }
    free(o->held);
    free(o->piece);
    free(o);
}

/* --- writing ------------------------------------------------------------------------------- */

/* Makes sure of room in a part, and says how much of n bytes fits. */
static int part_room(struct output *o, uint64_t n, uint64_t *ret, struct err *err)
{
    if (o->part > 0 && o->in_part == o->part) {
        if (part_close(o, err) < 0 || part_open(o, err) < 0) {
            return -1;
        }
    }
    *ret = o->part > 0 && n > o->part - o->in_part ? o->part - o->in_part : n;
    return 0;
}

/* So that the sync in the end has little left to do. */
static void part_grown(struct output *o, uint64_t n)
{
    o->in_part += n;
    if (!o->is_pipe && o->in_part - o->flushed >= FLUSH_EVERY) {
        ignore_result(sync_file_range(o->fd, (off_t)o->flushed, (off_t)(o->in_part - o->flushed),
                                      SYNC_FILE_RANGE_WRITE) < 0);
        o->flushed = o->in_part;
    }
}

static int write_through(struct output *o, const char *p, size_t n, struct err *err)
{
    while (n > 0) {
        uint64_t room;
        ssize_t done;

        if (part_room(o, n, &room, err) < 0) {
            return -1;
        }
        done = write(o->fd, p, (size_t)room);
        if (done < 0 && errno == EINTR) {
            continue;
        }
        if (done <= 0) {
            errno = done == 0 ? EIO : errno;
            return failed(o, err);
        }
        part_grown(o, (uint64_t)done);
        p += done;
        n -= (size_t)done;
    }
    return 0;
}

static int flush(struct output *o, struct err *err)
{
    size_t n = o->n_held;

    o->n_held = 0;
    return write_through(o, o->held, n, err);
}

int output_write(struct output *o, const void *p, size_t n, struct err *err)
{
    o->size += n;
    if (n > HELD_MAX - o->n_held && flush(o, err) < 0) {
        return -1;
    }
    if (n > HELD_MAX) {
        return write_through(o, p, n, err);
    }
    memcpy(o->held + o->n_held, p, n);
    o->n_held += n;
    return 0;
}

/* Some bytes: how many, 0 at the end of the file. */
static int copy_by_hand(struct output *o, int fd, size_t n, size_t *ret, struct err *err)
{
    ssize_t got;

    if (o->piece == NULL) {
        o->piece = xcalloc(COPY_MAX, 1);
    }
    do {
        got = read(fd, o->piece, n < COPY_MAX ? n : COPY_MAX);
    } while (got < 0 && errno == EINTR);
    if (got < 0) {
        return err_set(err, ERR_STORE, "it cannot be read: %s", strerror(errno));
    }
    *ret = (size_t)got;
    return write_through(o, o->piece, (size_t)got, err);
}

/* What copy_file_range() says where it is only not made for these two files. */
static bool is_not_made_for(int error)
{
    return error == EXDEV || error == EINVAL || error == ENOSYS || error == EOPNOTSUPP ||
           error == EBADF || error == EPERM || error == ETXTBSY;
}

static int copy_some(struct output *o, int fd, uint64_t size, size_t *ret, struct err *err)
{
    uint64_t room;
    ssize_t done;

    if (o->by_hand || o->is_pipe) {
        return copy_by_hand(o, fd, size < COPY_MAX ? (size_t)size : COPY_MAX, ret, err);
    }
    if (part_room(o, size < COPY_MAX ? size : COPY_MAX, &room, err) < 0) {
        return -1;
    }
    do {
        done = copy_file_range(fd, NULL, o->fd, NULL, (size_t)room, 0);
    } while (done < 0 && errno == EINTR);
    if (done < 0 && is_not_made_for(errno)) {
        o->by_hand = true;
        return copy_by_hand(o, fd, (size_t)room, ret, err);
    }
    if (done < 0) {
        return failed(o, err);
    }
    part_grown(o, (uint64_t)done);
    *ret = (size_t)done;
    return 0;
}

int output_copy(struct output *o, int fd, uint64_t size, struct err *err)
{
    if (flush(o, err) < 0) {
        return -1;
    }
    o->size += size;
    while (size > 0) {
        size_t n = 0;

        if (copy_some(o, fd, size, &n, err) < 0) {
            return -1;
        }
        if (n == 0) {
            return err_set(err, ERR_STORE, "it ends too early");
        }
        size -= n;
    }
    return 0;
}

uint64_t output_size(const struct output *o)
{
    return o->size;
}

/* --- the end ------------------------------------------------------------------------------- */

/* The entries of the folder; some file systems know no sync of them. */
static int folder_sync(const struct output *o, struct err *err)
{
    _cleanup_free_ char *folder = xstrdup(o->path);
    char *slash = strrchr(folder, '/');
    _cleanup_close_ int fd = -1;

    if (slash != NULL) {
        slash[slash == folder ? 1 : 0] = '\0';
    }
    fd = open(slash == NULL ? "." : folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0 && fsync(fd) < 0 && errno != EINVAL) {
        return failed(o, err);
    }
    return 0;
}

/* Of a larger archive that had the name before. */
static void remove_behind(const struct output *o)
{
    for (unsigned i = o->n_parts; o->part > 0 && i < OUTPUT_PARTS_MAX; i++) {
        _cleanup_free_ char *name = part_name(o, i, "");

        if (unlink(name) < 0) {
            break;
        }
    }
}

static int rename_all(struct output *o, bool lasting, struct err *err)
{
    for (unsigned i = o->n_parts; i-- > 0;) {
        _cleanup_free_ char *from = part_name(o, i, ".part");
        _cleanup_free_ char *to = part_name(o, i, "");

        if (rename(from, to) < 0) {
            return failed(o, err);
        }
    }
    o->finished = true;
    remove_behind(o);
    return lasting ? folder_sync(o, err) : 0;
}

static int finish(struct output *o, bool lasting, struct err *err)
{
    if (flush(o, err) < 0) {
        return -1;
    }
    if (o->is_pipe) { /* standard output may be a file */
        return fsync(o->fd) < 0 && errno != EINVAL && errno != EROFS ? failed(o, err) : 0;
    }
    return part_close(o, err) < 0 ? -1 : rename_all(o, lasting, err);
}

int output_finish(struct output *o, struct err *err)
{
    return finish(o, true, err);
}

int output_finish_soon(struct output *o, struct err *err)
{
    return finish(o, false, err);
}
