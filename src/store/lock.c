/* store/lock.c - who may use the data directory. */
#include "store/lock.h"

#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <unistd.h>

static int denied(const struct store *s, const char *slash, const char *what, struct err *err)
{
    char owner[FILE_OWNER_MAX];

    if (file_of_another(s->dir, owner)) {
        return err_set(err, ERR_STORE,
                       "%s%s%s: uid %u may not write there: run it as %s, whose directory it is, "
                       "or choose another",
                       s->dir, slash, what, (unsigned)geteuid(), owner);
    }
    return err_set(err, ERR_STORE,
                   "%s%s%s: uid %u may not write there: give it to that user, or choose "
                   "another data directory",
                   s->dir, slash, what, (unsigned)geteuid());
}

int lock_dir_error(const struct store *s, const char *what, int error, struct err *err)
{
    const char *slash = what[0] == '\0' ? "" : "/";

    switch (error) {
    case EACCES:
    case EPERM:
        return denied(s, slash, what, err);
    case EROFS:
        return err_set(err, ERR_STORE,
                       "%s%s%s: the file system is read-only: choose another data directory",
                       s->dir, slash, what);
    case ENOTDIR:
        return err_set(err, ERR_STORE, "%s%s%s: not a directory: choose another data directory",
                       s->dir, slash, what);
    case ENOSPC:
    case EDQUOT:
        return err_set(err, ERR_NO_SPACE, "%s%s%s: the disk is full: make room on it", s->dir,
                       slash, what);
    default:
        return err_set(err, ERR_STORE, "%s%s%s: %s", s->dir, slash, what, strerror(error));
    }
}

/* "process 123 (larder)", as the lock file and /proc say. */
static void lock_holder(int lock_fd, char *out, size_t size)
{
    char pid[32] = "";
    char path[64];
    char name[64] = "";
    _cleanup_close_ int fd = -1;
    ssize_t n = pread(lock_fd, pid, sizeof(pid) - 1, 0);

    pid[n > 0 ? strcspn(pid, "\n") : 0] = '\0';
    snprintf(out, size, "another process");
    if (pid[0] == '\0' || strspn(pid, "0123456789") != strlen(pid)) {
        return;
    }
    snprintf(path, sizeof(path), "/proc/%.16s/comm", pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    n = fd < 0 ? 0 : read(fd, name, sizeof(name) - 1);
    name[n > 0 ? strcspn(name, "\n") : 0] = '\0';
    snprintf(out, size, "process %s%s%s%s", pid, name[0] == '\0' ? "" : " (", name,
             name[0] == '\0' ? "" : ")");
}

/* The lock, and whose it is for those who find it taken. */
int lock_retake(struct store *s, struct err *err)
{
    char text[128];
    int n;

    if (flock(s->lock_fd, LOCK_EX | LOCK_NB) < 0) {
        if (errno != EWOULDBLOCK) {
            return lock_dir_error(s, "lock", errno, err);
        }
        lock_holder(s->lock_fd, text, sizeof(text));
        return err_set(err, ERR_IN_USE, "%s: in use by %s: one server a data directory", s->dir,
                       text);
    }
    n = snprintf(text, sizeof(text), "%ld\n", (long)getpid());
    if (ftruncate(s->lock_fd, 0) < 0 || pwrite(s->lock_fd, text, (size_t)n, 0) != n) {
        return lock_dir_error(s, "lock", errno, err);
    }
    return 0;
}

void lock_release(struct store *s)
{
    ignore_result(flock(s->lock_fd, LOCK_UN) < 0);
}

int lock_take(struct store *s, struct err *err)
{
    if (file_mkdirs(s->dir) < 0) {
        return lock_dir_error(s, "", errno, err);
    }
    s->dir_fd = open(s->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (s->dir_fd < 0) {
        return lock_dir_error(s, "", errno, err);
    }
    s->lock_fd = openat(s->dir_fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (s->lock_fd < 0) {
        return lock_dir_error(s, "lock", errno, err);
    }
    return lock_retake(s, err);
}
