/* store/tree.c - paths from digests, and what is done with them. */
#include "store/tree.h"

#include "base/clock.h"
#include "base/fault.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#define QUARANTINE_BYTES ((int64_t)1 << 30)
#define QUARANTINE_S (7 * 24 * 3600)

/* --- opening ------------------------------------------------------------------------------- */

static int open_folder(int at, const char *name)
{
    if (mkdirat(at, name, 0755) < 0 && errno != EEXIST) {
        return -1;
    }
    return openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

int tree_open(struct tree *t, int dir_fd, const char *dir, struct err *err)
{
    static const char *const names[] = {"blobs", "ingest", "quarantine"};
    int *const fds[] = {&t->blobs, &t->ingest, &t->quarantine};
    struct statfs fs;

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        *fds[i] = open_folder(dir_fd, names[i]);
        if (*fds[i] < 0) {
            return err_set(err, errno == ENOSPC ? ERR_NO_SPACE : ERR_STORE, "%s/%s: %s", dir,
                           names[i], strerror(errno));
        }
    }
    if (fsync(dir_fd) < 0) {
        return err_set(err, ERR_STORE, "%s: %s", dir, strerror(errno));
    }
    t->in_memory = fstatfs(t->ingest, &fs) == 0 && fs.f_type == TMPFS_MAGIC;
    atomic_store(&t->made, 1); /* whoever made folders before may not have come to sync them */
    return 0;
}

void tree_close(struct tree *t)
{
    int *const fds[] = {&t->blobs, &t->ingest, &t->quarantine};

    for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
        if (*fds[i] >= 0) {
            close(*fds[i]);
        }
        *fds[i] = -1;
    }
}

/* --- blobs --------------------------------------------------------------------------------- */

const char *tree_path(const struct digest *d, char buf[TREE_PATH_MAX])
{
    char hex[2 * sizeof(d->bytes) + 1];

    hex_encode(d->bytes, digest_size(d), hex);
    snprintf(buf, TREE_PATH_MAX, "%s/%.2s/%s", digest_alg_name(d), hex, hex + 2);
    return buf;
}

static const char *folder_path(const struct digest *d, char buf[TREE_PATH_MAX])
{
    snprintf(buf, TREE_PATH_MAX, "%s/%02x", digest_alg_name(d), d->bytes[0]);
    return buf;
}

int tree_open_blob(const struct tree *t, const struct digest *d)
{
    char path[TREE_PATH_MAX];

    if (fault_errno("blob.open", EIO)) {
        return -1;
    }
    return openat(t->blobs, tree_path(d, path), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
}

int64_t tree_size(const struct tree *t, const struct digest *d)
{
    char path[TREE_PATH_MAX];
    struct stat st;

    if (fstatat(t->blobs, tree_path(d, path), &st, AT_SYMLINK_NOFOLLOW) < 0) {
        return -1;
    }
    if (!S_ISREG(st.st_mode)) {
        errno = EINVAL;
        return -1;
    }
    return st.st_size;
}

/* The folder of a blob, and that of its algorithm. Another thread may use a folder before this one
 * has counted it, so it is told before. */
static int make_folder(struct tree *t, const struct digest *d)
{
    char path[TREE_PATH_MAX];
    bool good;

    atomic_fetch_add(&t->making, 1);
    good = !fault_errno("dir.make", ENOSPC) &&
           (mkdirat(t->blobs, digest_alg_name(d), 0755) == 0 || errno == EEXIST) &&
           (mkdirat(t->blobs, folder_path(d, path), 0755) == 0 || errno == EEXIST);
    atomic_fetch_add(&t->made, 1);
    atomic_fetch_sub(&t->making, 1);
    return good ? 0 : -1;
}

int tree_take(struct tree *t, const char *name, const struct digest *d)
{
    char path[TREE_PATH_MAX];

    if (fault_errno("ingest.rename", EIO)) {
        return -1;
    }
    tree_path(d, path);
    if (renameat(t->ingest, name, t->blobs, path) == 0) {
        ignore_result(fault_at("ingest.renamed")); /* of interest where it kills */
        return 0;
    }
    if (errno != ENOENT || make_folder(t, d) < 0) {
        return -1;
    }
    return renameat(t->ingest, name, t->blobs, path);
}

static int sync_path(int at, const char *path)
{
    _cleanup_close_ int fd = openat(at, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0) {
        return -1;
    }
    if (fault_errno("dir.fsync", EIO)) {
        return -1;
    }
    return fsync(fd);
}

/* The names of the folders themselves: a second one who comes here does not rely on the first. */
static int sync_above(struct tree *t)
{
    static const char *const above[] = {"sha256", "sha512", "."};
    bool making = atomic_load(&t->making) > 0;
    uint64_t made = atomic_load(&t->made);

    if (!making && atomic_load(&t->synced) >= made) {
        return 0;
    }
    for (size_t i = 0; i < ARRAY_LEN(above); i++) {
        if (sync_path(t->blobs, above[i]) < 0 && errno != ENOENT) {
            return -1;
        }
    }
    atomic_store(&t->synced, made);
    return 0;
}

int tree_sync_folder(struct tree *t, const struct digest *d)
{
    char path[TREE_PATH_MAX];

    return sync_path(t->blobs, folder_path(d, path)) < 0 ? -1 : sync_above(t);
}

int tree_remove(const struct tree *t, const struct digest *d)
{
    char path[TREE_PATH_MAX];

    return fault_errno("blob.remove", EIO) ? -1 : unlinkat(t->blobs, tree_path(d, path), 0);
}

int tree_each(const struct tree *t, unsigned n,
              bool (*f)(void *arg, const struct digest *d, const char *path), void *arg)
{
    const char *alg = n < 256 ? "sha256" : "sha512";
    char path[512];
    char text[512];
    struct dirent *entry;
    DIR *folder;
    int fd;

    snprintf(path, sizeof(path), "%s/%02x", alg, n % 256);
    fd = openat(t->blobs, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return errno == ENOENT ? 0 : -1;
    }
    folder = fdopendir(fd);
    if (folder == NULL) {
        close(fd);
        return -1;
    }
    while ((entry = readdir(folder)) != NULL) {
        struct digest d;

        snprintf(text, sizeof(text), "%s:%02x%s", alg, n % 256, entry->d_name);
        if (!digest_parse(slice_str(text), &d)) {
            continue;
        }
        snprintf(path, sizeof(path), "%s/%02x/%s", alg, n % 256, entry->d_name);
        if (!f(arg, &d, path)) {
            break;
        }
    }
    closedir(folder);
    return 0;
}

/* --- quarantine ---------------------------------------------------------------------------- */

struct bad_file {
    char name[256];
    int64_t moved;
    int64_t size;
};

static int newest_first(const void *a, const void *b)
{
    const struct bad_file *x = a;
    const struct bad_file *y = b;

    return x->moved < y->moved ? 1 : x->moved > y->moved ? -1 : strcmp(x->name, y->name);
}

/* The folder, to be read; NULL: it cannot be. */
static DIR *open_bad(int quarantine)
{
    int fd = openat(quarantine, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *folder = fd < 0 ? NULL : fdopendir(fd);

    if (folder == NULL && fd >= 0) {
        close(fd);
    }
    return folder;
}

/* The files in quarantine, as many as there may be; more are removed right away. */
static size_t list_bad(int quarantine, struct bad_file *files)
{
    DIR *folder = open_bad(quarantine);
    struct dirent *entry;
    size_t n = 0;

    while (folder != NULL && (entry = readdir(folder)) != NULL) {
        struct stat st;

        if (fstatat(quarantine, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
            !S_ISREG(st.st_mode)) {
            continue;
        }
        if (n == TREE_QUARANTINE_MAX) {
            unlinkat(quarantine, entry->d_name, 0);
            continue;
        }
        snprintf(files[n].name, sizeof(files[n].name), "%s", entry->d_name);
        files[n].moved = st.st_ctime; /* a rename sets it */
        files[n++].size = st.st_size;
    }
    if (folder != NULL) {
        closedir(folder);
    }
    return n;
}

static void prune(int quarantine)
{
    struct bad_file *files = xcalloc(TREE_QUARANTINE_MAX, sizeof(*files));
    size_t n = list_bad(quarantine, files);
    int64_t now = clock_wall_s();
    int64_t held = 0;

    qsort(files, n, sizeof(*files), newest_first);
    for (size_t i = 0; i < n; i++) {
        held += files[i].size;
        if (held > QUARANTINE_BYTES || now - files[i].moved > QUARANTINE_S) {
            unlinkat(quarantine, files[i].name, 0);
        }
    }
    free(files);
}

int tree_quarantine(const struct tree *t, const struct digest *d)
{
    char path[TREE_PATH_MAX];
    char name[TREE_PATH_MAX + 32];
    char hex[2 * sizeof(d->bytes) + 1];

    hex_encode(d->bytes, digest_size(d), hex);
    snprintf(name, sizeof(name), "%s-%s.%" PRId64, digest_alg_name(d), hex, clock_wall_s());
    if (fault_errno("quarantine.rename", EIO) ||
        renameat(t->blobs, tree_path(d, path), t->quarantine, name) < 0) {
        return -1;
    }
    prune(t->quarantine);
    return 0;
}

/* "sha256-HEX.TIME", as above. */
static bool digest_of_bad(const char *name, struct digest *ret)
{
    struct slice s = slice_str(name);
    size_t dash = slice_find(s, '-');
    size_t dot = slice_find(s, '.');
    char text[DIGEST_TEXT_MAX];

    if (dash >= dot || dot >= sizeof(text)) {
        return false;
    }
    snprintf(text, sizeof(text), "%.*s", (int)dot, name);
    text[dash] = ':';
    return digest_parse(slice_str(text), ret);
}

size_t tree_quarantined(const struct tree *t, struct digest *ret)
{
    DIR *folder = open_bad(t->quarantine);
    struct dirent *entry;
    size_t n = 0;

    while (folder != NULL && n < TREE_QUARANTINE_MAX && (entry = readdir(folder)) != NULL) {
        n += digest_of_bad(entry->d_name, &ret[n]) ? 1 : 0;
    }
    if (folder != NULL) {
        closedir(folder);
    }
    return n;
}
