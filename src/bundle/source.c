/* bundle/source.c - one stream of bytes out of parts, and what it says as a tar archive. */
#include "bundle/source.h"

#include "bundle/folder.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define PART_DIGITS 3

struct source {
    const char *const *paths;
    size_t n_paths;
    size_t i_path;         /* of the one that is open */
    int fd;                /* -1: none */
    struct folder *folder; /* NULL: it is a tar archive */
    struct tar_read tar;
    struct slice in; /* what was read and not told */
    char *room;
    size_t n_room;
    bool skipping; /* the data of the entry at hand */
    bool cut;      /* it ended where more belonged */
    uint64_t done;
    uint64_t size;
};

/* --- parts --------------------------------------------------------------------------------- */

/* Whether the path ends in ".NUMBER" of three digits or more; sets its stem too. */
static bool part_number(const char *path, struct slice *ret_stem, uint64_t *ret)
{
    struct slice s = slice_str(path);
    size_t dot = slice_rfind(s, '.');

    if (dot == s.len || s.len - dot - 1 < PART_DIGITS || !slice_u64(slice_from(s, dot + 1), ret)) {
        return false;
    }
    *ret_stem = slice_sub(s, 0, dot);
    return true;
}

size_t source_group(const char *const *paths, size_t n)
{
    struct slice stem;
    struct slice next_stem;
    uint64_t number;
    uint64_t next;
    size_t i = 1;

    if (!part_number(paths[0], &stem, &number) || number != 0) {
        return 1;
    }
    while (i < n && part_number(paths[i], &next_stem, &next) && next == i &&
           slice_eq(stem, next_stem)) {
        i++;
    }
    return i;
}

static int cannot(const char *path, enum err_code code, struct err *e)
{
    return err_set(e, code, "%.150s: %s", path, strerror(errno));
}

static int part_open(struct source *s, struct err *e)
{
    const char *path = s->paths[s->i_path];

    s->fd = strcmp(path, "-") == 0 ? dup(STDIN_FILENO) : open(path, O_RDONLY | O_CLOEXEC);
    if (s->fd < 0) {
        return cannot(path, ERR_CONFIG, e);
    }
    ignore_result(posix_fadvise(s->fd, 0, 0, POSIX_FADV_SEQUENTIAL));
    return 0;
}

static void part_close(struct source *s)
{
    if (s->fd >= 0) {
        close(s->fd);
    }
    s->fd = -1;
}

/* All parts as far as they are files. */
static uint64_t sum_sizes(const struct source *s)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < s->n_paths; i++) {
        struct stat st;
        int result =
            strcmp(s->paths[i], "-") == 0 ? fstat(STDIN_FILENO, &st) : stat(s->paths[i], &st);

        if (result < 0 || !S_ISREG(st.st_mode)) {
            return 0;
        }
        sum += (uint64_t)st.st_size;
    }
    return sum;
}

/* So that nobody waits for a part that is not there. `st` is of the first. */
static int look_at_all(const struct source *s, struct stat *st, struct err *e)
{
    for (size_t i = s->n_paths; i-- > 0;) {
        if (strcmp(s->paths[i], "-") != 0 && stat(s->paths[i], st) < 0) {
            return cannot(s->paths[i], ERR_CONFIG, e);
        }
    }
    return 0;
}

struct source *source_open(const char *const *paths, size_t n, struct err *e)
{
    struct source *s = xnew(struct source);
    struct stat st = {0};
    int result;

    s->paths = paths;
    s->n_paths = n;
    s->fd = -1;
    tar_read_init(&s->tar);
    result = look_at_all(s, &st, e);
    if (result == 0 && S_ISDIR(st.st_mode)) {
        s->folder = folder_open(paths[0], e);
        result = s->folder == NULL ? -1 : 0;
    } else if (result == 0) {
        s->size = sum_sizes(s);
        result = part_open(s, e);
    }
    if (result < 0) {
        source_free(s);
        return NULL;
    }
    return s;
}

void source_free(struct source *s)
{
    if (s != NULL) {
        part_close(s);
        folder_free(s->folder);
        tar_read_fini(&s->tar);
        free(s);
    }
}

/* --- bytes --------------------------------------------------------------------------------- */

/* By its file's offset, where it has one. What was read already goes on to be told. */
static void tar_skip(struct source *s)
{
    uint64_t left = tar_read_left(&s->tar);
    struct stat st;
    off_t at;

    if (s->fd < 0 || left <= s->in.len || fstat(s->fd, &st) < 0 || !S_ISREG(st.st_mode)) {
        return;
    }
    left -= s->in.len;
    at = lseek(s->fd, 0, SEEK_CUR);
    if (at < 0 || at >= st.st_size) {
        return;
    }
    if (left > (uint64_t)(st.st_size - at)) {
        left = (uint64_t)(st.st_size - at); /* the rest is in the next part, where that is */
    }
    if (lseek(s->fd, (off_t)left, SEEK_CUR) >= 0) {
        tar_read_skip(&s->tar, left);
        s->done += left;
    }
}

/* Reads into the room; 0 at the end of the last part. */
static ssize_t source_read(struct source *s, struct err *e)
{
    for (;;) {
        ssize_t n = s->fd < 0 ? 0 : read(s->fd, s->room, s->n_room);

        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return cannot(s->paths[s->i_path], ERR_BAD_REQUEST, e);
        }
        if (n > 0 || s->fd < 0 || s->i_path + 1 == s->n_paths) {
            s->in = slice_of(s->room, (size_t)n);
            s->room += n;
            s->n_room -= (size_t)n;
            s->done += (uint64_t)n;
            return n;
        }
        part_close(s);
        s->i_path++;
        if (part_open(s, e) < 0) {
            return -1;
        }
        if (s->skipping) {
            tar_skip(s);
        }
    }
}

/* Whoever writes a pipe is not to find it closed before all is written. */
static void source_drain(struct source *s)
{
    struct stat st;
    struct err e;

    if (s->n_room > 0 && s->fd >= 0 && fstat(s->fd, &st) == 0 && !S_ISREG(st.st_mode)) {
        char *room = s->room;
        size_t n_room = s->n_room;

        while (source_read(s, &e) > 0) {
            s->room = room;
            s->n_room = n_room;
        }
    }
}

static const char *compression_of(struct slice begin)
{
    static const struct {
        struct slice magic;
        const char *tool;
    } KNOWN[] = {
        {{"\x1f\x8b", 2}, "gzip"},
        {{"\x28\xb5\x2f\xfd", 4}, "zstd"},
        {{"\xfd"
          "7zXZ",
          5},
         "xz"},
        {{"BZh", 3}, "bzip2"},
    };

    for (size_t i = 0; i < ARRAY_LEN(KNOWN); i++) {
        if (begin.len >= KNOWN[i].magic.len &&
            memcmp(begin.p, KNOWN[i].magic.p, KNOWN[i].magic.len) == 0) {
            return KNOWN[i].tool;
        }
    }
    return NULL;
}

static enum source_event at_end(struct source *s, struct err *e)
{
    if (s->done == 0) {
        ignore_result(err_set(e, ERR_BAD_REQUEST, "the archive is empty"));
        return SOURCE_BAD;
    }
    s->cut = tar_read_finish(&s->tar, e) < 0;
    return s->cut ? SOURCE_BAD : SOURCE_END;
}

static enum source_event tar_next(struct source *s, struct err *e)
{
    for (;;) {
        enum tar_event event = tar_read_feed(&s->tar, &s->in, e);
        ssize_t n;

        switch (event) {
        case TAR_ENTRY:
            return SOURCE_ENTRY;
        case TAR_DATA:
            return SOURCE_DATA;
        case TAR_ENTRY_END:
            s->skipping = false;
            return SOURCE_ENTRY_END;
        case TAR_END:
            source_drain(s);
            return SOURCE_END;
        case TAR_BAD:
            return SOURCE_BAD;
        case TAR_MORE:
            break;
        }
        if (s->n_room == 0) {
            return SOURCE_ROOM;
        }
        n = source_read(s, e);
        if (n <= 0) {
            return n < 0 ? SOURCE_BAD : at_end(s, e);
        }
        if (s->done == (uint64_t)n && compression_of(s->in) != NULL) {
            ignore_result(err_set(e, ERR_BAD_REQUEST,
                                  "the archive is compressed; unpack it first: %s -dc FILE | "
                                  "larder import -",
                                  compression_of(s->in)));
            return SOURCE_BAD;
        }
    }
}

enum source_event source_next(struct source *s, struct err *e)
{
    enum source_event event;

    if (s->folder == NULL) {
        return tar_next(s, e);
    }
    event = folder_next(s->folder, &s->room, &s->n_room, e);
    s->done += event == SOURCE_DATA ? folder_data(s->folder).len : 0;
    return event;
}

void source_skip(struct source *s)
{
    if (s->folder == NULL) {
        s->skipping = true;
        tar_skip(s);
    } else {
        folder_skip(s->folder);
    }
}

void source_room(struct source *s, void *p, size_t n)
{
    s->room = p;
    s->n_room = n;
}

const struct tar_entry *source_entry(const struct source *s)
{
    return s->folder == NULL ? &s->tar.entry : folder_entry(s->folder);
}

struct slice source_data(const struct source *s)
{
    return s->folder == NULL ? s->tar.data : folder_data(s->folder);
}

/* The parts before the last are all of one size; the first that is not, or 0. */
static size_t odd_part(const struct source *s, uint64_t *ret_size, uint64_t *ret_first)
{
    struct stat first;
    struct stat st;

    for (size_t i = 1; i + 1 < s->n_paths; i++) {
        if (stat(s->paths[0], &first) == 0 && stat(s->paths[i], &st) == 0 &&
            st.st_size != first.st_size) {
            *ret_size = (uint64_t)st.st_size;
            *ret_first = (uint64_t)first.st_size;
            return i;
        }
    }
    return 0;
}

/* Parts of one archive, of which the first was given first. */
static void advise_on_parts(const struct source *s, struct slice stem, size_t n, struct buf *out)
{
    int next = (int)s->n_paths;
    uint64_t number;
    struct slice other;
    uint64_t first = 0;
    uint64_t size = 0;
    size_t odd = odd_part(s, &size, &first);

    if (odd > 0) {
        buf_printf(out, "; %s has %llu bytes, where the first part has %llu: it may be cut short",
                   s->paths[odd], (unsigned long long)size, (unsigned long long)first);
    } else if (s->n_paths < n && part_number(s->paths[s->n_paths], &other, &number) &&
               slice_eq(stem, other)) {
        buf_printf(out, "; parts are given in order, and " SLICE_FMT ".%03d comes before %s",
                   SLICE_ARG(stem), next, s->paths[s->n_paths]);
    } else if (s->cut) {
        buf_printf(out, "; where it has more parts, " SLICE_FMT ".%03d comes next", SLICE_ARG(stem),
                   next);
    }
}

void source_advise(const struct source *s, size_t n, struct buf *out)
{
    struct slice stem;
    uint64_t number;

    if (s->folder != NULL || !part_number(s->paths[0], &stem, &number)) {
        return;
    }
    if (number == 0) {
        advise_on_parts(s, stem, n, out);
    } else if (s->tar.state == TAR_IS_BAD && s->tar.header == 0) {
        buf_printf(out,
                   "; where it is a part of one, parts are given in order, " SLICE_FMT ".000 first",
                   SLICE_ARG(stem));
    }
}

uint64_t source_done(const struct source *s)
{
    return s->done;
}

uint64_t source_size(const struct source *s)
{
    return s->size;
}
