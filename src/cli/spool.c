/* cli/spool.c - a temporary file, written to its end and mapped. */
#include "cli/spool.h"

#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

void spool_init(struct spool *s, const char *folder, uint64_t max)
{
    *s = (struct spool){.fd = -1, .folder = folder, .max = max};
}

void spool_fini(struct spool *s)
{
    if (s->mapped.len > 0) {
        munmap((void *)(uintptr_t)s->mapped.p, s->mapped.len);
    }
    if (s->fd >= 0) {
        close(s->fd);
    }
    spool_init(s, s->folder, s->max);
}

static int spool_cannot(const struct spool *s, struct err *e)
{
    return err_set(e, errno == ENOSPC || errno == EDQUOT ? ERR_NO_SPACE : ERR_STORE,
                   "a temporary file in %.150s: %s", s->folder, strerror(errno));
}

/* Not all file systems can make files that have no name. */
static int spool_open(struct spool *s, struct err *e)
{
    char *path;

    s->fd = open(s->folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (s->fd >= 0) {
        return 0;
    }
    path = xasprintf("%s/.larder-XXXXXX", s->folder);
    s->fd = mkostemp(path, O_CLOEXEC);
    if (s->fd >= 0) {
        unlink(path);
    }
    free(path);
    return s->fd < 0 ? spool_cannot(s, e) : 0;
}

int spool_add(struct spool *s, struct slice bytes, struct err *e)
{
    if (bytes.len > s->max - s->size) {
        return err_set(e, ERR_TOO_LARGE, "more than %llu bytes", (unsigned long long)s->max);
    }
    if (s->fd < 0 && spool_open(s, e) < 0) {
        return -1;
    }
    if (file_pwrite_all(s->fd, bytes.p, bytes.len, s->size) < 0) {
        return spool_cannot(s, e);
    }
    s->size += bytes.len;
    return 0;
}

int spool_read(const struct spool *s, uint64_t offset, void *p, size_t n, size_t *ret,
               struct err *e)
{
    ssize_t got = s->fd < 0 ? 0 : file_pread_all(s->fd, p, n, offset);

    if (got < 0) {
        return spool_cannot(s, e);
    }
    *ret = (size_t)got;
    return 0;
}

int spool_map(struct spool *s, struct slice *ret, struct err *e)
{
    void *p;

    if (s->size > 0 && s->mapped.len == 0) {
        p = mmap(NULL, (size_t)s->size, PROT_READ, MAP_SHARED, s->fd, 0);
        if (p == MAP_FAILED) {
            return spool_cannot(s, e);
        }
        s->mapped = slice_of(p, (size_t)s->size);
    }
    *ret = s->mapped;
    return 0;
}
