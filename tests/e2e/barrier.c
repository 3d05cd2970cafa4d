/*
 * tests/e2e/barrier.c - a disk that stalls for as long as a test likes.
 *
 * Loaded before a server (LD_PRELOAD): while there is a FIFO at BARRIER, what is written to a file
 * in a folder `ingest` waits for its end, that is until the test has opened and closed it.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef ssize_t pwrite_fn(int fd, const void *p, size_t n, off_t offset);

static void stall(int fd)
{
    const char *fifo = getenv("BARRIER");
    char path[PATH_MAX];
    char name[64];
    char byte;
    ssize_t n;

    snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
    n = readlink(name, path, sizeof(path) - 1);
    path[n < 0 ? 0 : n] = '\0';
    if (fifo == NULL || strstr(path, "/ingest/") == NULL) {
        return;
    }
    fd = open(fifo, O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        while (read(fd, &byte, 1) > 0) {
        }
        close(fd);
    }
}

static ssize_t write_later(const char *symbol, int fd, const void *p, size_t n, off_t offset)
{
    pwrite_fn *next = (pwrite_fn *)dlsym(RTLD_NEXT, symbol);

    stall(fd);
    return next(fd, p, n, offset);
}

ssize_t pwrite(int fd, const void *p, size_t n, off_t offset)
{
    return write_later("pwrite", fd, p, n, offset);
}

ssize_t pwrite64(int fd, const void *p, size_t n, off_t offset)
{
    return write_later("pwrite64", fd, p, n, offset);
}
