/*
 * store/budget.h - how much the store holds, and whether more may come.
 *
 *     held = blobs in the index + partial files that nobody writes + what is reserved
 *
 * A reservation covers a download from its opening to the commit that records the blob; it then
 * turns into bytes of the index under one lock, so that nothing counts twice or not at all.
 */
#ifndef STORE_BUDGET_H
#define STORE_BUDGET_H

#include "base/list.h"
#include "base/map.h"
#include "store/record.h"

#include <pthread.h>

/* Owner: the store. Thread: any; all under `lock`, statvfs() outside of it. */
struct budget {
    pthread_mutex_t lock;
    struct store_options options;
    int dir_fd;
    bool left;                   /* another process counts what is held, and makes room */
    struct record_totals totals; /* of the index, as committed */
    uint64_t parked;             /* bytes of partial files that nobody writes: of `parts` */
    uint64_t reserved;
    uint64_t backed;   /* bytes of what is reserved that are on the disk already */
    uint64_t since;    /* reserved since the disk was asked */
    uint64_t asked_ms; /* when that was; 0: never */
    uint64_t free;     /* what it then said, less what was reserved and not written */
    struct list all_handed;
    struct map handed; /* reservations of blobs that are being recorded, by digest */
    struct list all_parts;
    struct map parts; /* what is parked, by digest */
};

/* `dir_fd` stays the caller's. */
struct budget *budget_new(const struct store_options *options, int dir_fd);
void budget_free(struct budget *b);
/* The limits of `options` from now on. Any thread. */
void budget_renew(struct budget *b, const struct store_options *options);

/* Whether another process has the store: it counts what is held, and makes room for what is under
 * way here, which then only the disk bounds. Any thread. */
void budget_leave(struct budget *b, bool left);

/* Reserves `size` bytes of which `backed` are on the disk already. */
bool budget_reserve(struct budget *b, uint64_t size, uint64_t backed) MUST_CHECK;
void budget_release(struct budget *b, uint64_t size, uint64_t backed);
/* That many more bytes of a reservation are on the disk. */
void budget_back(struct budget *b, uint64_t bytes);
/* A reservation passes to the commit that will record the blob. */
void budget_hand(struct budget *b, const struct digest *d, uint64_t size, uint64_t backed);
/* Ends it without a commit: nothing was recorded in time, or it begins anew. */
void budget_unhand(struct budget *b, const struct digest *d);
/* A commit: these blobs were recorded, and this is what the index holds now. */
void budget_recorded(struct budget *b, const struct record_totals *totals, const struct digest *d,
                     size_t n);
/* Whether a blob was handed over and never recorded: the index does not know of its file. */
bool budget_is_owed(struct budget *b);
/* Partial files: one that nobody writes any more, or that is written again or gone; how many bytes
 * it counted. By whoever has the digest's claim. A file counts once, whatever became of its record:
 * the sweep, which looks at both, puts right what a change that failed has left. */
void budget_park(struct budget *b, const struct digest *d, uint64_t bytes);
uint64_t budget_unpark(struct budget *b, const struct digest *d);

/* How many bytes must go before `size` more fit, of which `backed` are on the disk already; 0: they
 * do, UINT64_MAX: they never will. */
uint64_t budget_lack(struct budget *b, uint64_t size, uint64_t backed);
/* Bytes above so many percent of budget_max(). */
uint64_t budget_excess(struct budget *b, unsigned percent);

uint64_t budget_held(struct budget *b);
uint64_t budget_max(struct budget *b);
struct record_totals budget_totals(struct budget *b);

#endif
