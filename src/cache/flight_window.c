/*
 * cache/flight_window.c - where the disk refuses, a download goes through memory: a memfd of which
 * at most FLIGHT_WINDOW bytes exist, punched out behind the slowest reader, who then paces
 * upstream.
 */
#include "base/fault.h"
#include "base/file.h"
#include "cache/flight_steps.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int flight_window_open(struct flight *f, struct err *err)
{
    int fd = fault_errno("window.open", EMFILE) ? -1 : memfd_create("larder-window", MFD_CLOEXEC);

    if (fd < 0) {
        return err_set(err, ERR_STORE, "no memory window: %s", strerror(errno));
    }
    f->memory_fd = fd;
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
    return landed - keep >= FLIGHT_WINDOW ? 0 : FLIGHT_WINDOW - (landed - keep);
}

int flight_window_write(struct flight *f, const void *p, size_t n, struct err *err)
{
    if (fault_errno("window.write", ENOSPC) ||
        file_pwrite_all(f->memory_fd, p, n, atomic_load(&f->landed)) < 0) {
        return err_set(err, ERR_STORE, "memory window: %s", strerror(errno));
    }
    return 0;
}
