/* store/tree.c - folders by descriptor. */
#include "store/tree.h"

#include "base/fault.h"
#include "base/file.h"
#include "base/str.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define FOLDER_FLAGS (O_RDONLY | O_DIRECTORY | O_CLOEXEC)

static const uint8_t ALGORITHMS[] = {DIGEST_SHA256, DIGEST_SHA512};

static int tree_error(struct err *err, const char *path, const char *what)
{
    switch (errno) {
    case EACCES:
    case EPERM:
        return err_set(err, ERR_CONFIG,
                       "%s: %s: not permitted; give this user the directory, or choose another "
                       "with --data",
                       path, what);
    case EROFS:
        return err_set(err, ERR_CONFIG, "%s: %s: the file system is read-only", path, what);
    case ENOTDIR:
        return err_set(err, ERR_CONFIG, "%s: not a directory; choose another with --data", path);
    case ENOSPC:
    case EDQUOT:
        return err_set(err, ERR_CONFIG, "%s: %s: the disk is full; free some space", path, what);
    default:
        return err_set(err, ERR_CONFIG, "%s: %s: %s", path, what, strerror(errno));
    }
}

/* Opens folder `name` below `at`, making it where it is missing. */
static int folder_open(int at, const char *name)
{
    if (mkdirat(at, name, 0755) < 0 && errno != EEXIST) {
        return -1;
    }
    return openat(at, name, FOLDER_FLAGS);
}

static int open_shards(struct tree *t, uint8_t alg)
{
    char name[3];

    for (unsigned i = 0; i < 256; i++) {
        snprintf(name, sizeof(name), "%02x", i);
        t->shards[alg][i] = folder_open(t->blobs[alg], name);
        if (t->shards[alg][i] < 0) {
            return -1;
        }
    }
    return 0;
}

static int open_folders(struct tree *t)
{
    _cleanup_close_ int blobs = folder_open(t->root, "blobs");

    t->ingest = folder_open(t->root, "ingest");
    t->quarantine = folder_open(t->root, "quarantine");
    if (blobs < 0 || t->ingest < 0 || t->quarantine < 0) {
        return -1;
    }
    for (size_t i = 0; i < ARRAY_LEN(ALGORITHMS); i++) {
        struct digest d = {.alg = ALGORITHMS[i]};

        t->blobs[d.alg] = folder_open(blobs, digest_alg_name(&d));
        if (t->blobs[d.alg] < 0 || open_shards(t, d.alg) < 0) {
            return -1;
        }
    }
    return 0;
}

int tree_open(struct tree *t, const char *path, struct err *err)
{
    memset(t, -1, sizeof(*t)); /* descriptors that are not open */
    t->path = xstrdup(path);
    if (file_mkdirs(path) < 0) {
        return tree_error(err, path, "cannot be made");
    }
    t->root = open(path, FOLDER_FLAGS);
    if (t->root < 0) {
        return tree_error(err, path, "cannot be opened");
    }
    if (faccessat(t->root, ".", W_OK | X_OK, AT_EACCESS) < 0) {
        return tree_error(err, path, "cannot be written to");
    }
    if (open_folders(t) < 0) {
        return tree_error(err, path, "folders cannot be made");
    }
    return 0;
}

static void fd_close(int fd)
{
    if (fd >= 0) {
        close(fd);
    }
}

void tree_close(struct tree *t)
{
    for (size_t i = 0; i < ARRAY_LEN(ALGORITHMS); i++) {
        for (unsigned k = 0; k < 256; k++) {
            fd_close(t->shards[ALGORITHMS[i]][k]);
        }
        fd_close(t->blobs[ALGORITHMS[i]]);
    }
    fd_close(t->ingest);
    fd_close(t->quarantine);
    fd_close(t->root);
    free(t->path);
    memset(t, -1, sizeof(*t));
    t->path = NULL;
}

/* The folder a blob lies in and its name there. */
static int place(const struct tree *t, const struct digest *d, char name[TREE_NAME_MAX])
{
    hex_encode(d->bytes + 1, digest_size(d) - 1, name);
    return t->shards[d->alg][d->bytes[0]];
}

int tree_open_blob(const struct tree *t, const struct digest *d, uint64_t *ret_size)
{
    char name[TREE_NAME_MAX];
    int folder = place(t, d, name);
    int fd = fault_at("blob.open") ? -1 : openat(folder, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    struct stat st;

    if (fd < 0) {
        return -1;
    }
    if (fstat(fd, &st) < 0) {
        close(fd);
        return -1;
    }
    *ret_size = (uint64_t)st.st_size;
    return fd;
}

int tree_sync_folder(const struct tree *t, const struct digest *d)
{
    return fault_at("dir.fsync") ? -1 : fsync(t->shards[d->alg][d->bytes[0]]);
}

int tree_adopt(const struct tree *t, const char *name, const struct digest *d, bool sync)
{
    char blob[TREE_NAME_MAX];
    int folder = place(t, d, blob);

    if (fault_at("ingest.rename")) {
        errno = EIO;
        return -1;
    }
    if (renameat(t->ingest, name, folder, blob) < 0) {
        return -1;
    }
    return sync ? tree_sync_folder(t, d) : 0;
}

int tree_remove_blob(const struct tree *t, const struct digest *d)
{
    char name[TREE_NAME_MAX];
    int folder = place(t, d, name);

    return unlinkat(folder, name, 0) < 0 && errno != ENOENT ? -1 : 0;
}

int tree_quarantine_blob(const struct tree *t, const struct digest *d)
{
    char name[TREE_NAME_MAX];
    char whole[2 * DIGEST_TEXT_MAX];
    char text[DIGEST_TEXT_MAX];
    int folder = place(t, d, name);

    snprintf(whole, sizeof(whole), "%s", digest_text(d, text));
    return renameat(folder, name, t->quarantine, whole) < 0 && errno != ENOENT ? -1 : 0;
}

/* --- walking ------------------------------------------------------------------------------- */

/* The digest whose file lies in shard `first` as `name`; false where it is none. */
static bool read_name(uint8_t alg, unsigned first, const char *name, struct digest *ret)
{
    struct digest d = {.alg = alg};
    size_t digits = 2 * (digest_size(&d) - 1);

    if (strlen(name) != digits || !hex_decode(slice_str(name), d.bytes + 1)) {
        return false;
    }
    d.bytes[0] = (uint8_t)first;
    *ret = d;
    return true;
}

static int each_in_shard(const struct tree *t, uint8_t alg, unsigned first,
                         bool (*f)(void *, const struct digest *, uint64_t), void *arg)
{
    /* A descriptor of its own: the position of the shared one is nobody's. */
    int fd = openat(t->shards[alg][first], ".", FOLDER_FLAGS);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    struct dirent *entry;
    int result = 1;

    if (dir == NULL) {
        fd_close(fd);
        return -1;
    }
    while (result == 1 && (entry = readdir(dir)) != NULL) {
        struct digest d;
        struct stat st;

        if (read_name(alg, first, entry->d_name, &d) &&
            fstatat(fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) &&
            !f(arg, &d, (uint64_t)st.st_size)) {
            result = 0;
        }
    }
    closedir(dir);
    return result;
}

int tree_each_blob(const struct tree *t,
                   bool (*f)(void *arg, const struct digest *d, uint64_t size), void *arg)
{
    for (size_t i = 0; i < ARRAY_LEN(ALGORITHMS); i++) {
        for (unsigned k = 0; k < 256; k++) {
            int result = each_in_shard(t, ALGORITHMS[i], k, f, arg);

            if (result <= 0) {
                return result;
            }
        }
    }
    return 0;
}
