/* base/file.c - whole reads and writes. */
#include "base/file.h"

#include "base/fault.h"

#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int file_pwrite_all(int fd, const void *p, size_t n, uint64_t offset)
{
    const char *bytes = p;

    while (n > 0) {
        size_t part = fault_at("file.short") ? (n + 1) / 2 : n;
        ssize_t done = fault_errno("file.write", EIO) ? -1 : pwrite(fd, bytes, part, (off_t)offset);

        if (done < 0 && errno == EINTR) {
            continue;
        }
        if (done == 0) {
            errno = EIO; /* a file that takes nothing: trying on would never end */
        }
        if (done <= 0) {
            return -1;
        }
        bytes += done;
        offset += (uint64_t)done;
        n -= (size_t)done;
    }
    return 0;
}

ssize_t file_pread_all(int fd, void *p, size_t n, uint64_t offset)
{
    char *bytes = p;
    size_t got = 0;

    while (got < n) {
        ssize_t done = fault_errno("file.read", EIO)
                           ? -1
                           : pread(fd, bytes + got, n - got, (off_t)(offset + got));

        if (done < 0 && errno == EINTR) {
            continue;
        }
        if (done < 0) {
            return -1;
        }
        if (done == 0) {
            break;
        }
        got += (size_t)done;
    }
    return (ssize_t)got;
}

int file_read(const char *path, size_t max, char **ret, size_t *ret_len, struct err *err)
{
    _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    struct stat st;
    char *text;
    ssize_t got;

    if (fd < 0 || fstat(fd, &st) < 0) {
        return err_set(err, ERR_CONFIG, "%s: %s", path, strerror(errno));
    }
    if (!S_ISREG(st.st_mode)) {
        return err_set(err, ERR_CONFIG, "%s: not a regular file", path);
    }
    if ((uint64_t)st.st_size > max) {
        return err_set(err, ERR_CONFIG, "%s: larger than %zu bytes", path, max);
    }
    text = xcalloc((size_t)st.st_size + 1, 1);
    got = file_pread_all(fd, text, (size_t)st.st_size, 0);
    if (got < 0) {
        err_set(err, ERR_CONFIG, "%s: %s", path, strerror(errno));
        free(text);
        return -1;
    }
    *ret = text;
    *ret_len = (size_t)got;
    return 0;
}

/* That the folder itself outlives a crash is up to the one above it. */
static int make_one(const char *path)
{
    _cleanup_free_ char *above = NULL;
    _cleanup_close_ int fd = -1;

    if (mkdir(path, 0755) < 0) {
        return errno == EEXIST ? 0 : -1;
    }
    above = xasprintf("%s/..", path);
    fd = open(above, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0 && fsync(fd) < 0) {
        return errno == EINVAL ? 0 : -1; /* some file systems know no sync of folders */
    }
    return 0;
}

int file_mkdirs(const char *path)
{
    _cleanup_free_ char *copy = xstrdup(path);

    if (path[0] == '\0') {
        errno = ENOENT;
        return -1;
    }
    for (char *slash = strchr(copy + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (make_one(copy) < 0) {
            return -1;
        }
        *slash = '/';
    }
    return make_one(copy);
}

bool file_of_another(const char *path, char ret[FILE_OWNER_MAX])
{
    struct passwd *found = NULL;
    struct passwd entry;
    char room[4096];
    struct stat st;

    if (stat(path, &st) < 0 || st.st_uid == geteuid()) {
        return false;
    }
    ignore_result(getpwuid_r(st.st_uid, &entry, room, sizeof(room), &found) != 0);
    if (found != NULL && strlen(found->pw_name) < FILE_OWNER_MAX) {
        snprintf(ret, FILE_OWNER_MAX, "%s", found->pw_name);
    } else {
        snprintf(ret, FILE_OWNER_MAX, "uid %u", (unsigned)st.st_uid);
    }
    return true;
}
