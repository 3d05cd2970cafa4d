/* store/adopt.c - from files to records. */
#include "store/adopt.h"

#include "base/clock.h"
#include "base/counter.h"
#include "base/log.h"
#include "store/gate.h"
#include "store/writer.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define ADOPT_MAX 1000
/* A million blobs are looked through in half a minute, at a small part of what one disk thread can
 * do. */
#define SCAN_FILES 2000
#define SCAN_PAUSE_MS 50

/* Owner: the store. Thread: the writer's; `adopted` is the job's. */
struct adopt {
    struct store *store;
    bool wanted;
    atomic_uint folder; /* the next to look into; TREE_FOLDERS: none is left */
    uint64_t due_ms;
    uint64_t adopted;
    struct store_job job;
};

/* --- a folder ------------------------------------------------------------------------------ */

/* Files found in a folder. Owner: folder_adopt(). */
struct orphans {
    struct store *store;
    struct index_read *read;
    struct index_write write;
    bool all;  /* the index was lost */
    bool more; /* there were more than fit */
    uint64_t seen;
    size_t n;
    uint64_t adopted;
    struct orphan {
        struct digest digest;
        uint64_t size;
        int64_t created;
        bool parent; /* of others, as the index knows: a manifest */
    } found[ADOPT_MAX];
};

static bool is_parent(void *arg, const struct digest *child, uint8_t kind, uint64_t size)
{
    (void)child;
    (void)kind;
    (void)size;
    *(bool *)arg = true;
    return false;
}

static bool find_orphan(void *arg, const struct digest *d, const char *path)
{
    struct orphans *o = arg;
    struct blob_record b;
    struct stat st;

    o->seen++;
    if (index_get_blob(o->read, d, &b) != INDEX_ABSENT) {
        return true;
    }
    if (o->n == ADOPT_MAX) {
        o->more = true;
        return false;
    }
    if (!gate_shut(o->store->gate, d)) {
        return true; /* somebody puts it there, or removes it */
    }
    if (fstatat(o->store->tree.blobs, path, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode)) {
        gate_open(o->store->gate, d);
        return true;
    }
    o->found[o->n] = (struct orphan){*d, (uint64_t)st.st_size, st.st_mtime, false};
    index_each_ref(o->read, d, is_parent, &o->found[o->n++].parent);
    return true;
}

static void open_gates(struct orphans *o)
{
    for (size_t i = 0; i < o->n; i++) {
        gate_open(o->store->gate, &o->found[i].digest);
    }
}

/* Nobody knows whether they are whole: they are hashed before they are first served. What a killed
 * push or pull left goes again after the grace time where no repository comes to hold it; where the
 * index was lost, it is what held them that nobody knows. */
static void adopt_apply(struct index_write *w, struct index_txn *t)
{
    struct orphans *o = container_of(w, struct orphans, write);
    int64_t now = clock_wall_s();
    struct blob_record b;

    o->adopted = 0;
    for (size_t i = 0; i < o->n; i++) {
        const struct orphan *one = &o->found[i];

        if (index_txn_get_blob(t, &one->digest, &b) != INDEX_ABSENT) {
            continue;
        }
        b = (struct blob_record){
            .size = one->size,
            .created = one->created,
            .used = now,
            .class = one->parent ? BLOB_MANIFEST
                     : o->all    ? BLOB_OTHER
                                 : BLOB_LAYER,
        };
        index_txn_put_blob(t, &one->digest, &b);
        o->adopted++;
    }
}

/* Adopts what one folder holds; how many there were, or -1 (told). *seen grows by its files. */
static int64_t folder_adopt(struct store *s, unsigned folder, bool all, uint64_t *seen)
{
    struct orphans *o = xnew(struct orphans);
    struct err err = {0};
    int64_t adopted = 0;
    int rc;

    do {
        o->store = s;
        o->all = all;
        o->n = 0;
        o->more = false;
        o->write.apply = adopt_apply;
        o->read = index_read_begin(s);
        rc = o->read == NULL ? -1 : tree_each(&s->tree, folder, find_orphan, o);
        if (rc < 0) {
            err_set(&err, ERR_STORE, "%s", strerror(errno));
        }
        if (o->read != NULL) {
            index_read_end(o->read);
        }
        if (rc == 0 && o->n > 0) {
            rc = writer_wait(s, &o->write, &err);
            adopted += rc == 0 ? (int64_t)o->adopted : 0;
        }
        open_gates(o);
    } while (rc == 0 && o->more);
    *seen += o->seen;
    free(o);
    if (rc < 0) {
        count(store_errors);
        log_event(LOG_ERROR, "store.recover", "%s: folder %u of blobs: %s", s->dir, folder,
                  err.text);
        return -1;
    }
    return adopted;
}

/* --- records without files ----------------------------------------------------------------- */

/* Blobs that were pulled and not synced before this boot, and whose file is not there any more or
 * has another size. Owner: forget_gone(). */
struct gone {
    struct store *store;
    struct digest from; /* the last record that was looked at */
    size_t n;
    struct digest found[ADOPT_MAX];
    uint64_t sizes[ADOPT_MAX];
};

static bool find_gone(void *arg, const struct digest *d, const struct blob_record *b)
{
    struct gone *g = arg;

    if (g->n == ADOPT_MAX) {
        return false;
    }
    g->from = *d;
    if (!store_blob_trusted(g->store, b) && tree_size(&g->store->tree, d) != (int64_t)b->size) {
        g->found[g->n] = *d;
        g->sizes[g->n++] = b->size;
    }
    return true;
}

/* Whoever asked for one would have it fetched again; until then its bytes would be counted. */
static uint64_t forget_gone(struct store *s)
{
    struct gone *g = xnew(struct gone);
    uint64_t forgotten = 0;

    g->store = s;
    do {
        struct index_read *r = index_read_begin(s);

        g->n = 0;
        if (r == NULL) {
            break;
        }
        index_each_blob(r, &g->from, find_gone, g);
        index_read_end(r);
        for (size_t i = 0; i < g->n; i++) {
            store_judge_blob(s, &g->found[i], g->sizes[i]);
        }
        forgotten += g->n;
    } while (g->n == ADOPT_MAX);
    free(g);
    return forgotten;
}

/* --- behind the first answer --------------------------------------------------------------- */

/* So many files a run, or one folder where it holds more. */
static void scan_run(struct store *s)
{
    struct adopt *a = s->adopt;
    unsigned folder = atomic_load(&a->folder);
    uint64_t seen = 0;

    while (folder < TREE_FOLDERS && seen < SCAN_FILES) {
        int64_t adopted = folder_adopt(s, folder, false, &seen);

        a->adopted += adopted > 0 ? (uint64_t)adopted : 0;
        folder++;
    }
    if (folder == TREE_FOLDERS) {
        uint64_t gone = forget_gone(s);

        log_event(LOG_INFO, "store.recover",
                  "%s: looked through: %" PRIu64 " blobs that the index did not know were taken "
                  "up, %" PRIu64 " are gone",
                  s->dir, a->adopted, gone);
    }
    atomic_store(&a->folder, folder);
}

/* --- an index that was replaced ------------------------------------------------------------ */

/* Records of blobs whose file is not there, in batches. Owner: drop_lost(). */
struct lost {
    struct store *store;
    struct index_write write;
    struct record_key from; /* the next record to look at */
    size_t n;
    struct digest found[ADOPT_MAX];
};

static bool find_lost(void *arg, struct slice key, struct slice value)
{
    struct lost *l = arg;
    struct blob_record b;
    struct digest d;

    memcpy(l->from.bytes, key.p, key.len);
    l->from.len = key.len;
    if (l->n == ADOPT_MAX) {
        return false;
    }
    l->from.bytes[l->from.len++] = 0;
    if (record_digest_of_key(key, &d) && record_get_blob(value, &b) &&
        tree_size(&l->store->tree, &d) != (int64_t)b.size) {
        l->found[l->n++] = d;
    }
    return true;
}

static void lost_apply(struct index_write *w, struct index_txn *t)
{
    struct lost *l = container_of(w, struct lost, write);

    for (size_t i = 0; i < l->n; i++) {
        index_del_blob(t, &l->found[i]);
    }
}

/* Forgets the blobs that an older index names and that are gone; their number is added. */
static int drop_lost(struct store *s, uint64_t *count_lost, struct err *err)
{
    struct lost *l = xnew(struct lost);
    int rc = 0;

    l->store = s;
    l->write.apply = lost_apply;
    do {
        struct db_txn *t = db_read_begin(s->db, err);

        l->n = 0;
        if (t == NULL) {
            rc = -1;
            break;
        }
        rc = db_each(t, DB_BLOBS, SLICE_NULL, record_key_view(&l->from), find_lost, l) == DB_FAILED
                 ? -1
                 : 0;
        if (rc < 0) {
            db_has_failed(t, err);
        }
        db_read_end(t);
        if (rc == 0 && l->n > 0) {
            rc = writer_wait(s, &l->write, err);
            *count_lost += l->n;
        }
    } while (rc == 0 && l->n == ADOPT_MAX);
    free(l);
    return rc;
}

int adopt_all(struct store *s, struct err *err)
{
    uint64_t lost = 0;
    uint64_t adopted = 0;
    uint64_t seen = 0;

    if (s->recover.copied && drop_lost(s, &lost, err) < 0) {
        return -1;
    }
    for (unsigned i = 0; i < TREE_FOLDERS; i++) {
        int64_t n = folder_adopt(s, i, true, &seen);

        if (n < 0) {
            return err_set(err, ERR_STORE, "%s: the index cannot be made anew", s->dir);
        }
        adopted += (uint64_t)n;
        if (i % 64 == 63 && adopted > 100000) {
            log_event(LOG_INFO, "index.replaced", "%" PRIu64 " blobs were taken up so far",
                      adopted);
        }
    }
    log_event(LOG_WARN, "index.replaced",
              "%s: %" PRIu64 " blobs were taken up, to be hashed before they are served; %" PRIu64
              " are gone; tags that were set since must be set or asked for again",
              s->dir, adopted, lost);
    return 0;
}

/* --- the clock ----------------------------------------------------------------------------- */

struct adopt *adopt_new(struct store *s)
{
    struct adopt *a = xnew(struct adopt);

    a->store = s;
    a->job.store = s;
    a->job.run = scan_run;
    return a;
}

void adopt_free(struct adopt *a)
{
    free(a);
}

void adopt_start(struct adopt *a)
{
    a->wanted = true;
    atomic_store(&a->folder, 0);
}

bool adopt_is_running(const struct adopt *a)
{
    return a->wanted && atomic_load(&a->folder) < TREE_FOLDERS;
}

uint64_t adopt_tick(struct adopt *a, uint64_t now)
{
    if (!adopt_is_running(a) || atomic_load(&a->job.busy)) {
        return UINT64_MAX; /* the end of the job ticks */
    }
    if (now < a->due_ms) {
        return a->due_ms;
    }
    ignore_result(store_job_start(a->store, &a->job));
    a->due_ms = now + SCAN_PAUSE_MS;
    return UINT64_MAX;
}
