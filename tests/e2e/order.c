/*
 * tests/e2e/order.c - tells in which order a program makes things durable and says so.
 *
 * Loaded before a server (LD_PRELOAD), it appends a line to the file ORDER_LOG for each of these
 * calls that concerns a file below the folder ORDER_DIR:
 *
 *     written INODE PATH          write, pwrite, writev, pwritev, ftruncate; after the call
 *     written-through INODE PATH  the same where the file was opened with O_DSYNC
 *     syncing INODE PATH          fsync, fdatasync; before the call
 *     synced INODE PATH           after it, if it succeeded
 *     renamed INODE PATH          rename, renameat; after the call, with the new name
 *     made INODE PATH             mkdir, mkdirat; after the call
 *
 * and, before the call, for each send, sendmsg, write or writev whose bytes begin with the head of
 * a 201:
 *
 *     answer HEAD                 line ends are shown as "|"
 *
 * What is done is thus told after it was done, and what is promised before, so that an order that
 * the file shows is one that was kept. ORDER_LOG is appended to by single writes.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define LINE_MAX_BYTES 8192
#define HEAD_MAX_BYTES 1024

static int log_fd = -1;
static const char *dir = "";
static ssize_t (*real_write)(int fd, const void *p, size_t n);

/* A line of the log. errno is the caller's. */
static void note(const char *what, unsigned long long inode, const char *text)
{
    char line[LINE_MAX_BYTES];
    int error = errno;
    int n = snprintf(line, sizeof(line), "%s %llu %s\n", what, inode, text);

    if (n > 0 && (size_t)n < sizeof(line) && real_write(log_fd, line, (size_t)n) != n) {
        abort();
    }
    errno = error;
}

static bool path_of(int fd, char path[PATH_MAX])
{
    char name[64];
    ssize_t n;

    snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
    n = readlink(name, path, PATH_MAX - 1);
    if (n < 0) {
        return false;
    }
    path[n] = '\0';
    return strncmp(path, dir, strlen(dir)) == 0;
}

static void note_fd(const char *what, int fd)
{
    char path[PATH_MAX];
    int error = errno;
    struct stat st;

    if (log_fd >= 0 && path_of(fd, path) && fstat(fd, &st) == 0) {
        note(what, st.st_ino, path);
    }
    errno = error;
}

static void note_path(const char *what, int at, const char *name)
{
    char path[2 * PATH_MAX] = "";
    char folder[PATH_MAX];
    int error = errno;
    struct stat st;

    if (log_fd < 0) {
        return;
    }
    if (name[0] == '/') {
        snprintf(path, sizeof(path), "%s", name);
    } else if (at != AT_FDCWD && path_of(at, folder)) {
        snprintf(path, sizeof(path), "%s/%s", folder, name);
    }
    if (strncmp(path, dir, strlen(dir)) == 0 && fstatat(at, name, &st, AT_SYMLINK_NOFOLLOW) == 0) {
        note(what, st.st_ino, path);
    }
    errno = error;
}

static void note_written(int fd)
{
    int flags = fcntl(fd, F_GETFL);

    note_fd(flags >= 0 && (flags & O_DSYNC) != 0 ? "written-through" : "written", fd);
}

/* Bytes on their way to a client. */
static void note_answer(const struct iovec *iov, size_t n)
{
    static const char begin[] = "HTTP/1.1 201";
    char head[HEAD_MAX_BYTES];
    size_t len = 0;

    for (size_t i = 0; i < n && len < sizeof(head) - 1; i++) {
        size_t room = sizeof(head) - 1 - len;
        size_t part = iov[i].iov_len < room ? iov[i].iov_len : room;

        memcpy(head + len, iov[i].iov_base, part);
        len += part;
    }
    head[len] = '\0';
    if (log_fd < 0 || strncmp(head, begin, sizeof(begin) - 1) != 0) {
        return;
    }
    for (char *p = head; *p != '\0'; p++) {
        *p = *p == '\r' || *p == '\n' ? '|' : *p;
    }
    note("answer", 0, head);
}

static void note_answer_of(const void *p, size_t n)
{
    struct iovec iov = {.iov_len = n};

    memcpy(&iov.iov_base, &p, sizeof(p)); /* it is not written through */
    note_answer(&iov, 1);
}

__attribute__((constructor)) static void begin(void)
{
    const char *path = getenv("ORDER_LOG");
    const char *below = getenv("ORDER_DIR");
    void *symbol = dlsym(RTLD_NEXT, "write");

    memcpy(&real_write, &symbol, sizeof(symbol));
    if (path != NULL && below != NULL) {
        dir = below;
        log_fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    }
}

/* --- the calls ----------------------------------------------------------------------------- */

/* The function that would have been called. POSIX lets a pointer to it be one to an object. */
#define REAL(name)                                                                                 \
    static __typeof__(&(name)) real;                                                               \
                                                                                                   \
    if (real == NULL) {                                                                            \
        void *symbol = dlsym(RTLD_NEXT, #name);                                                    \
                                                                                                   \
        memcpy(&real, &symbol, sizeof(symbol));                                                    \
    }

#define SYNCS(name)                                                                                \
    int name(int fd)                                                                               \
    {                                                                                              \
        int rc;                                                                                    \
                                                                                                   \
        REAL(name);                                                                                \
        note_fd("syncing", fd);                                                                    \
        rc = real(fd);                                                                             \
        if (rc == 0) {                                                                             \
            note_fd("synced", fd);                                                                 \
        }                                                                                          \
        return rc;                                                                                 \
    }

#define WRITES(type, name, first, parameters, arguments)                                           \
    type name parameters                                                                           \
    {                                                                                              \
        type rc;                                                                                   \
                                                                                                   \
        REAL(name);                                                                                \
        first;                                                                                     \
        rc = real arguments;                                                                       \
        if (rc >= 0) {                                                                             \
            note_written(fd);                                                                      \
        }                                                                                          \
        return rc;                                                                                 \
    }

SYNCS(fsync)
SYNCS(fdatasync)
WRITES(ssize_t, write, note_answer_of(p, n), (int fd, const void *p, size_t n), (fd, p, n))
WRITES(ssize_t, writev, note_answer(iov, (size_t)n), (int fd, const struct iovec *iov, int n),
       (fd, iov, n))
WRITES(ssize_t, pwrite, (void)0, (int fd, const void *p, size_t n, off_t at), (fd, p, n, at))
WRITES(ssize_t, pwrite64, (void)0, (int fd, const void *p, size_t n, off64_t at), (fd, p, n, at))
WRITES(ssize_t, pwritev, (void)0, (int fd, const struct iovec *iov, int n, off_t at),
       (fd, iov, n, at))
WRITES(int, ftruncate, (void)0, (int fd, off_t n), (fd, n))

ssize_t send(int fd, const void *p, size_t n, int flags)
{
    REAL(send);
    note_answer_of(p, n);
    return real(fd, p, n, flags);
}

ssize_t sendmsg(int fd, const struct msghdr *msg, int flags)
{
    REAL(sendmsg);
    note_answer(msg->msg_iov, msg->msg_iovlen);
    return real(fd, msg, flags);
}

int rename(const char *from, const char *to)
{
    int rc;

    REAL(rename);
    rc = real(from, to);
    if (rc == 0) {
        note_path("renamed", AT_FDCWD, to);
    }
    return rc;
}

int renameat(int from_at, const char *from, int to_at, const char *to)
{
    int rc;

    REAL(renameat);
    rc = real(from_at, from, to_at, to);
    if (rc == 0) {
        note_path("renamed", to_at, to);
    }
    return rc;
}

int mkdir(const char *path, mode_t mode)
{
    int rc;

    REAL(mkdir);
    rc = real(path, mode);
    if (rc == 0) {
        note_path("made", AT_FDCWD, path);
    }
    return rc;
}

int mkdirat(int at, const char *path, mode_t mode)
{
    int rc;

    REAL(mkdirat);
    rc = real(at, path, mode);
    if (rc == 0) {
        note_path("made", at, path);
    }
    return rc;
}
