/* bundle/folder.c - walks over a folder with as many descriptors as it is deep. */
#include "bundle/folder.h"

#include "bundle/archive.h"
#include "bundle/layout.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const FIRST[] = {ARCHIVE_LIST_NAME, ARCHIVE_SIGNATURE_NAME, LAYOUT_VERSION_NAME,
                                    LAYOUT_INDEX_NAME, LAYOUT_DOCKER_NAME};

/* Owner: folder_open()'s caller. Invariant: levels[0, depth) are open, and the name of entry begins
 * with those of levels[1, depth). */
struct folder {
    struct tar_entry entry;
    struct slice data;
    size_t i_first; /* the next of FIRST */
    size_t depth;
    struct {
        DIR *dir;
        size_t len; /* of its name */
    } levels[FOLDER_DEPTH_MAX];
    bool told; /* an entry is at hand */
    int fd;    /* its own, where it is a file; else -1 */
    uint64_t left;
};

static int folder_cannot(struct folder *f, struct err *e)
{
    ignore_result(err_set(e, ERR_BAD_REQUEST, "%s", strerror(errno)));
    return archive_blame(f->entry.name, f->entry.offset, e);
}

struct folder *folder_open(const char *path, struct err *e)
{
    struct folder *f = xnew(struct folder);

    f->fd = -1;
    f->entry.offset = ARCHIVE_NO_OFFSET;
    f->levels[0].dir = opendir(path);
    if (f->levels[0].dir == NULL) {
        ignore_result(err_set(e, ERR_CONFIG, "%.150s: %s", path, strerror(errno)));
        folder_free(f);
        return NULL;
    }
    f->depth = 1;
    return f;
}

void folder_free(struct folder *f)
{
    if (f == NULL) {
        return;
    }
    while (f->depth > 0) {
        ignore_result(closedir(f->levels[--f->depth].dir));
    }
    if (f->fd >= 0) {
        close(f->fd);
    }
    free(f);
}

/* --- entries ------------------------------------------------------------------------------- */

static int link_read(struct folder *f, int at, const char *name, struct err *e)
{
    ssize_t n = readlinkat(at, name, f->entry.link, TAR_NAME_MAX);

    if (n < 0) {
        return folder_cannot(f, e);
    }
    f->entry.link[n] = '\0';
    f->entry.type = TAR_SYMLINK;
    return 0;
}

static int file_open(struct folder *f, int at, const char *name, struct err *e)
{
    struct stat st;

    f->fd = openat(at, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (f->fd < 0 || fstat(f->fd, &st) < 0) {
        return folder_cannot(f, e);
    }
    f->entry.type = TAR_FILE;
    f->entry.size = (uint64_t)st.st_size;
    f->left = f->entry.size;
    return 0;
}

static int level_open(struct folder *f, int at, const char *name, struct err *e)
{
    int fd;

    f->entry.type = TAR_DIR;
    if (f->depth == FOLDER_DEPTH_MAX) {
        return 0;
    }
    fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    f->levels[f->depth].dir = fd < 0 ? NULL : fdopendir(fd);
    if (f->levels[f->depth].dir == NULL) {
        int result = folder_cannot(f, e);

        if (fd >= 0) {
            close(fd);
        }
        return result;
    }
    f->levels[f->depth++].len = strlen(f->entry.name);
    return 0;
}

/* Fills the entry for what `name` is below `at`; entry.name is set. */
static int entry_fill(struct folder *f, int at, const char *name, struct err *e)
{
    struct stat st;

    f->entry.size = 0;
    f->entry.link[0] = '\0';
    f->left = 0;
    if (fstatat(at, name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
        return folder_cannot(f, e);
    }
    switch (st.st_mode & S_IFMT) {
    case S_IFREG:
        return file_open(f, at, name, e);
    case S_IFDIR:
        return level_open(f, at, name, e);
    case S_IFLNK:
        return link_read(f, at, name, e);
    default:
        f->entry.type = TAR_OTHER;
        return 0;
    }
}

/* One of FIRST; 0 where it is not there. */
static int first_fill(struct folder *f, const char *name, struct err *e)
{
    int at = dirfd(f->levels[0].dir);
    struct stat st;

    if (fstatat(at, name, &st, AT_SYMLINK_NOFOLLOW) < 0 && (errno == ENOENT || errno == ENOTDIR)) {
        return 0;
    }
    memcpy(f->entry.name, name, strlen(name) + 1);
    return entry_fill(f, at, name, e) < 0 ? -1 : 1;
}

static bool came_first(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(FIRST); i++) {
        if (strcmp(FIRST[i], name) == 0) {
            return true;
        }
    }
    return false;
}

/* The path of what was found in the deepest level. */
static bool name_set(struct folder *f, const char *name)
{
    size_t at = f->depth == 1 ? 0 : f->levels[f->depth - 1].len + 1;
    size_t len = strlen(name);

    if (at + len > TAR_NAME_MAX) {
        return false;
    }
    if (at > 0) {
        f->entry.name[at - 1] = '/';
    }
    memcpy(f->entry.name + at, name, len + 1);
    return true;
}

/* 1 with the next entry filled, 0 where there is none. */
static int next_fill(struct folder *f, struct err *e)
{
    while (f->depth > 0) {
        DIR *dir = f->levels[f->depth - 1].dir;
        struct dirent *found;

        errno = 0;
        found = readdir(dir);
        if (found == NULL && errno != 0) {
            return folder_cannot(f, e);
        }
        if (found == NULL) {
            f->depth--;
            ignore_result(closedir(dir));
        } else if (strcmp(found->d_name, ".") != 0 && strcmp(found->d_name, "..") != 0) {
            if (!name_set(f, found->d_name)) {
                errno = ENAMETOOLONG;
                return folder_cannot(f, e);
            }
            if (!came_first(f->entry.name)) {
                return entry_fill(f, dirfd(dir), found->d_name, e) < 0 ? -1 : 1;
            }
        }
    }
    return 0;
}

static int entry_next(struct folder *f, struct err *e)
{
    while (f->i_first < ARRAY_LEN(FIRST)) {
        int result = first_fill(f, FIRST[f->i_first++], e);

        if (result != 0) {
            return result;
        }
    }
    return next_fill(f, e);
}

/* --- bytes --------------------------------------------------------------------------------- */

static enum source_event data_next(struct folder *f, char **room, size_t *n_room, struct err *e)
{
    size_t most = f->left < *n_room ? (size_t)f->left : *n_room;
    ssize_t n;

    do {
        n = read(f->fd, *room, most);
    } while (n < 0 && errno == EINTR);
    if (n <= 0) {
        if (n == 0) {
            ignore_result(err_set(e, ERR_BAD_REQUEST, "it became shorter while it was read"));
            ignore_result(archive_blame(f->entry.name, f->entry.offset, e));
        } else {
            ignore_result(folder_cannot(f, e));
        }
        return SOURCE_BAD;
    }
    f->data = slice_of(*room, (size_t)n);
    f->left -= (uint64_t)n;
    *room += n;
    *n_room -= (size_t)n;
    return SOURCE_DATA;
}

enum source_event folder_next(struct folder *f, char **room, size_t *n_room, struct err *e)
{
    int result;

    if (f->left > 0) {
        return *n_room == 0 ? SOURCE_ROOM : data_next(f, room, n_room, e);
    }
    if (f->told) {
        if (f->fd >= 0) {
            close(f->fd);
        }
        f->fd = -1;
        f->told = false;
        return SOURCE_ENTRY_END;
    }
    result = entry_next(f, e);
    f->told = result > 0;
    return result < 0 ? SOURCE_BAD : result == 0 ? SOURCE_END : SOURCE_ENTRY;
}

void folder_skip(struct folder *f)
{
    f->left = 0;
}

const struct tar_entry *folder_entry(const struct folder *f)
{
    return &f->entry;
}

struct slice folder_data(const struct folder *f)
{
    return f->data;
}
