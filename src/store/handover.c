/* store/handover.c - from a store with a directory to one that only finishes what it began. */
#include "store/handover.h"

#include "base/fault.h"
#include "base/limits.h"
#include "base/log.h"
#include "store/budget.h"
#include "store/gate.h"
#include "store/lease.h"
#include "store/lock.h"
#include "store/recover.h"
#include "store/sync.h"
#include "store/uploads.h"
#include "store/writer.h"

#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#define LOOK_MS 2

void store_state_free(struct store_state *s)
{
    for (size_t i = 0; i < s->n_uploads; i++) {
        free((void *)(uintptr_t)s->uploads[i].id);
        free((void *)(uintptr_t)s->uploads[i].repo);
        free((void *)(uintptr_t)s->uploads[i].owner);
    }
    free(s->uploads);
    free(s->leases);
    *s = (struct store_state){0};
}

/* --- changes ------------------------------------------------------------------------------- */

bool store_change_begin(struct store *s)
{
    atomic_fetch_add(&s->changing, 1);
    if (atomic_load(&s->leaving)) {
        atomic_fetch_sub(&s->changing, 1);
        return false;
    }
    return true;
}

void store_change_end(struct store *s)
{
    atomic_fetch_sub(&s->changing, 1);
}

unsigned store_begin_hand_over(struct store *s)
{
    atomic_store(&s->leaving, true);
    return atomic_load(&s->changing);
}

void store_cancel_hand_over(struct store *s)
{
    atomic_store(&s->leaving, false);
}

const struct successor *store_successor(const struct store *s)
{
    return atomic_load(&s->successor);
}

void store_flush(struct store *s)
{
    ignore_result(syncfs(s->dir_fd) < 0); /* each file is synced by itself, too */
}

/* --- going, and staying after all ---------------------------------------------------------- */

/* Whoever came through the gate before there was a successor records the blob here. */
static void wait_for_records(struct store *s)
{
    while (!gate_is_empty(s->gate)) {
        ignore_result(poll(NULL, 0, LOOK_MS) < 0);
    }
}

void store_hand_over(struct store *s, const struct successor *to, struct store_state *ret)
{
    struct err err;

    *ret = (struct store_state){0};
    budget_leave(s->budget, true); /* first: what gives way does so by jobs */
    store_jobs_end(s);
    pthread_mutex_lock(&s->settled_lock);
    s->settled = false;
    atomic_store(&s->successor, to);
    pthread_mutex_unlock(&s->settled_lock);
    wait_for_records(s);
    writer_rest(s);
    sync_finish(s->sync);
    ret->n_uploads = uploads_hand(s, &ret->uploads);
    uploads_finish(s, false);
    ret->n_leases = lease_list(s->leases, &ret->leases);
    if (recover_finish(s, &err) < 0) {
        log_event(LOG_INFO, "store.handover", "%s: its successor will look through it: %s", s->dir,
                  err.text);
    }
    lock_release(s);
    ignore_result(fault_at("handover.freed"));
}

static void settle(struct store *s, const struct successor *to)
{
    pthread_mutex_lock(&s->settled_lock);
    atomic_store(&s->successor, to);
    s->settled = true;
    pthread_cond_broadcast(&s->settled_now);
    pthread_mutex_unlock(&s->settled_lock);
}

void store_handed(struct store *s)
{
    settle(s, store_successor(s));
}

/* What holds the lock has just died, or ends. */
static int lock_again(struct store *s, struct err *err)
{
    uint64_t waited = 0;

    while (lock_retake(s, err) < 0) {
        if (waited >= limits.hand_over) {
            return -1;
        }
        ignore_result(poll(NULL, 0, LOOK_MS) < 0);
        waited += LOOK_MS;
    }
    return 0;
}

int store_take_back(struct store *s, struct err *err)
{
    if (lock_again(s, err) < 0 || recover_again(s, err) < 0 || uploads_take_back(s, err) < 0) {
        settle(s, store_successor(s)); /* who asks it learns that nobody is there */
        return -1;
    }
    writer_wake(s);
    store_jobs_begin(s);
    budget_leave(s->budget, false);
    settle(s, NULL);
    atomic_store(&s->leaving, false);
    return 0;
}

const struct successor *store_settled(struct store *s)
{
    const struct successor *to;

    pthread_mutex_lock(&s->settled_lock);
    while (!s->settled) {
        pthread_cond_wait(&s->settled_now, &s->settled_lock);
    }
    to = store_successor(s);
    pthread_mutex_unlock(&s->settled_lock);
    return to;
}
