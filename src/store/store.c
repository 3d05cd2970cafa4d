/* store/store.c - the parts of a store, put together and taken apart. */
#include "store/store.h"

#include "base/log.h"
#include "store/adopt.h"
#include "store/boot.h"
#include "store/gate.h"
#include "store/lock.h"
#include "store/parts.h"
#include "store/recover.h"
#include "store/retain.h"
#include "store/sweep.h"
#include "store/uploads.h"
#include "store/writer.h"

#include <stdlib.h>
#include <sys/statvfs.h>
#include <unistd.h>

static void store_free(struct store *s)
{
    parts_free(s); /* open sessions give back what they have of the budget */
    db_close(s->db);
    tree_close(&s->tree);
    budget_free(s->budget);
    if (s->lock_fd >= 0) {
        close(s->lock_fd);
    }
    if (s->dir_fd >= 0) {
        close(s->dir_fd);
    }
    pthread_cond_destroy(&s->settled_now);
    pthread_mutex_destroy(&s->settled_lock);
    pthread_cond_destroy(&s->jobs_none);
    pthread_mutex_destroy(&s->jobs_lock);
    free(s->dir);
    free(s);
}

static struct store *store_new(const struct store_options *options)
{
    struct store *s = xnew(struct store);

    s->dir = xstrdup(options->dir);
    s->disk = options->disk;
    s->idle = options->idle == NULL ? options->disk : options->idle;
    s->boot = boot_id();
    s->session = (uint32_t)boot_random();
    s->dir_fd = -1;
    s->lock_fd = -1;
    s->tree = (struct tree){.blobs = -1, .ingest = -1, .quarantine = -1};
    pthread_mutex_init(&s->jobs_lock, NULL);
    pthread_cond_init(&s->jobs_none, NULL);
    pthread_mutex_init(&s->settled_lock, NULL);
    pthread_cond_init(&s->settled_now, NULL);
    s->settled = true;
    atomic_init(&s->before, options->inherited != NULL);
    parts_make(s, options);
    return s;
}

/* What there is on the disk, up to where it can serve. */
static int store_load(struct store *s, const struct store_options *options, struct err *err)
{
    if (lock_take(s, err) < 0) {
        return -1;
    }
    s->budget = budget_new(options, s->dir_fd);
    if (recover_index(s, err) < 0 || tree_open(&s->tree, s->dir_fd, s->dir, err) < 0) {
        return -1;
    }
    if (s->recover.replaced) {
        if (adopt_all(s, err) < 0) {
            return -1;
        }
    } else if (s->recover.unclean) {
        adopt_start(s->adopt);
    }
    budget_recorded(s->budget, &s->totals, NULL, 0);
    return sweep_count(s, err) < 0 ? -1 : uploads_load(s, err);
}

struct store *store_open(const struct store_options *options, struct err *err)
{
    struct store *s = store_new(options);

    if (store_load(s, options, err) < 0) {
        store_free(s);
        return NULL;
    }
    if (options->inherited != NULL) {
        store_inherit(s, options->inherited);
    }
    writer_start(s);
    return s;
}

bool store_renew(struct store *s, const struct store_options *options)
{
    budget_renew(s->budget, options);
    return retain_renew(s->retain, options->retain);
}

void store_quiesce(struct store *s)
{
    if (s != NULL) {
        atomic_store(&s->closing, true);
        gate_end(s->gate);
        store_jobs_end(s);
    }
}

void store_close(struct store *s)
{
    struct err err;

    if (s == NULL) {
        return;
    }
    store_quiesce(s);
    writer_stop(s);
    if (store_successor(s) != NULL) {
        store_free(s); /* what there is to finish is another's */
        return;
    }
    parts_finish(s);
    if (recover_finish(s, &err) < 0) {
        log_event(LOG_WARN, "store.stop", "the stop does not count as clean: %s", err.text);
    }
    store_free(s);
}

struct pool *store_disk(const struct store *s)
{
    return s->disk;
}

struct pool *store_idle(const struct store *s)
{
    return s->idle;
}

const char *store_dir(const struct store *s)
{
    return s->dir;
}

/* --- figures ------------------------------------------------------------------------------- */

struct store_numbers store_numbers(const struct store *s)
{
    struct record_totals totals = budget_totals(s->budget);
    struct store_numbers n = {
        .held = store_bytes(s),
        .budget = store_budget(s),
        .index = db_size(s->db),
        .index_max = db_size_max(s->db),
    };
    struct statvfs disk;

    for (size_t i = 0; i < STORE_CLASSES; i++) {
        n.blobs[i] = totals.count[i];
        n.blob_bytes[i] = totals.bytes[i];
    }
    if (fstatvfs(s->dir_fd, &disk) == 0) {
        n.free = (uint64_t)disk.f_bavail * disk.f_frsize;
    }
    return n;
}

const char *store_class_name(size_t class)
{
    static const char *const NAMES[STORE_CLASSES] = {
        [BLOB_LAYER] = "layer",
        [BLOB_MANIFEST] = "manifest",
        [BLOB_CONFIG] = "config",
        [BLOB_OTHER] = "other",
    };

    return NAMES[class];
}
