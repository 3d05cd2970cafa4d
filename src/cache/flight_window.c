/*
 * cache/flight_window.c - where the disk refuses, a download goes through memory: a memfd of which
 * at most FLIGHT_WINDOW bytes exist, punched out behind the slowest reader, who then paces
 * upstream. Many have less each, so that all together do not take what the disk has not.
 */
#include "base/fault.h"
#include "base/file.h"
#include "cache/flight_steps.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* Of all windows together, unless there are so many that each has but WINDOW_LEAST, which is enough
 * for a blob that is answered after the verdict. */
#define WINDOWS_ALL (512u * 1024 * 1024)
#define WINDOW_LEAST (1024u * 1024)

static atomic_uint windows; /* that are open */

static uint64_t window_size(void)
{
    unsigned n = atomic_load(&windows);
    uint64_t share = WINDOWS_ALL / (n > 0 ? n : 1);

    share = share < FLIGHT_WINDOW ? share : FLIGHT_WINDOW;
    return share > WINDOW_LEAST ? share : WINDOW_LEAST;
}

void flight_window_close(struct flight *f)
{
    if (f->memory_fd >= 0) {
        close(f->memory_fd);
        f->memory_fd = -1;
        atomic_fetch_sub(&windows, 1);
    }
}

int flight_window_open(struct flight *f, struct err *err)
{
    int fd = fault_errno("window.open", EMFILE) ? -1 : memfd_create("larder-window", MFD_CLOEXEC);

    if (fd < 0) {
        return err_set(err, ERR_STORE, "no memory window: %s", strerror(errno));
    }
    f->memory_fd = fd;
    atomic_fetch_add(&windows, 1);
    pthread_mutex_lock(&f->lock);
    f->punched = 0; /* what is in the file stays readable */
    pthread_mutex_unlock(&f->lock);
    atomic_store(&f->switch_at, atomic_load(&f->landed));
    return 0;
}

/* Where the slowest reader is, or will begin; at most `landed`. Caller has the lock. */
static uint64_t slowest(struct flight *f)
{
    uint64_t least = atomic_load(&f->landed);

    list_each(it, &f->readers) {
        struct flight_ticket *t = container_of(it, struct flight_ticket, node);
        uint64_t offset = atomic_load(&t->offset);

        least = offset < least ? offset : least;
    }
    return least;
}

uint64_t flight_window_room(struct flight *f)
{
    uint64_t landed = atomic_load(&f->landed);
    uint64_t from = atomic_load(&f->switch_at);
    uint64_t size = window_size();
    uint64_t keep;

    pthread_mutex_lock(&f->lock);
    /* Where nobody is there, what has come waits for the first one, as far as the window goes. */
    keep = list_empty(&f->readers) ? f->punched : slowest(f);
    if (keep > from && keep > f->punched) {
        uint64_t start = f->punched > from ? f->punched : from;

        /* Whole pages only; the rest goes with the next punch. */
        ignore_result(fallocate(f->memory_fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                                (off_t)start, (off_t)(keep - start)) < 0);
        f->punched = keep;
    }
    pthread_mutex_unlock(&f->lock);
    keep = keep > from ? keep : from;
    return landed - keep >= size ? 0 : size - (landed - keep);
}

int flight_window_write(struct flight *f, const void *p, size_t n, struct err *err)
{
    if (fault_errno("window.write", ENOSPC) ||
        file_pwrite_all(f->memory_fd, p, n, atomic_load(&f->landed)) < 0) {
        return err_set(err, ERR_STORE, "memory window: %s", strerror(errno));
    }
    return 0;
}
