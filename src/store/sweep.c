/* store/sweep.c - what is left in ingest/ and in the table of partial files. */
#include "store/sweep.h"

#include "base/clock.h"
#include "base/counter.h"
#include "base/log.h"
#include "store/claim.h"
#include "store/ingest.h"
#include "store/uploads.h"
#include "store/writer.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define SWEEP_MS (3600 * 1000)
/* Records looked at in one transaction. */
#define SWEEP_MAX 256

/* Owner: the store. Thread: the writer's. */
struct sweep {
    struct store *store;
    uint64_t due_ms; /* 0: at once */
    struct store_job job;
};

/* --- one digest ---------------------------------------------------------------------------- */

static bool partial_get(struct store *s, const struct digest *d, struct partial_record *ret)
{
    struct index_read *r = index_read_begin(s);
    bool found;

    if (r == NULL) {
        return false;
    }
    found = index_get_partial(r, d, ret) == INDEX_FOUND;
    index_read_end(r);
    return found;
}

/* Whether a later download can take it up. */
static bool is_useful(struct store *s, const char *name, const struct partial_record *p)
{
    struct stat st;

    return clock_wall_s() - p->touched < PARTIAL_S &&
           fstatat(s->tree.ingest, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) &&
           (uint64_t)st.st_size >= p->stored;
}

struct dropped {
    struct digest digest;
    struct index_write write;
};

static void drop_apply(struct index_write *w, struct index_txn *t)
{
    index_del_partial(t, &container_of(w, struct dropped, write)->digest);
}

static void drop_record(struct store *s, const struct digest *d)
{
    struct dropped dropped = {.digest = *d, .write = {.apply = drop_apply}};
    struct err err;

    if (writer_wait(s, &dropped.write, &err) < 0) {
        log_event(LOG_WARN, "store.sweep", "a partial file cannot be forgotten: %s", err.text);
    }
}

/* Whether this one is to go; what its record says, where there is one. */
static bool is_useless(struct store *s, const struct digest *d, const char *name, bool *ret_known,
                       struct partial_record *ret)
{
    *ret_known = partial_get(s, d, ret);
    return !*ret_known || !is_useful(s, name, ret);
}

/* What nobody writes and nobody will take up goes: the record first, then the file. It is claimed
 * only then, and looked at again: a download that comes for a useful part must find it free. */
static void sweep_digest(struct store *s, const struct digest *d)
{
    char name[INGEST_NAME_MAX];
    struct partial_record p;
    struct claim *claim;
    bool known;

    ingest_file_name(d, name);
    if (!is_useless(s, d, name, &known, &p) || (claim = claim_take(s->claims, d)) == NULL) {
        return;
    }
    if (is_useless(s, d, name, &known, &p) && !ingest_is_anothers(s, name)) {
        if (known) {
            drop_record(s, d);
        }
        if (unlinkat(s->tree.ingest, name, 0) < 0 && errno != ENOENT) {
            count(store_errors);
            log_event(LOG_WARN, "store.sweep", "%s/ingest/%s: %s", s->dir, name, strerror(errno));
        } else {
            ignore_result(budget_unpark(s->budget, d) > 0);
        }
    }
    claim_drop(s->claims, claim);
}

/* --- the folder ---------------------------------------------------------------------------- */

/* The digest that a file is named by. */
static bool digest_of_name(const char *name, struct digest *ret)
{
    char text[INGEST_NAME_MAX];
    char *dash;

    if (!slice_copy(slice_str(name), text, sizeof(text)) || (dash = strchr(text, '-')) == NULL) {
        return false;
    }
    *dash = ':';
    return digest_parse(slice_str(text), ret);
}

/* A file of a name of its own, of this process: somebody writes it, unless the store closes. */
static bool is_written(const struct store *s, const char *name)
{
    const char *dot = strchr(name, '.');
    char mark[16];

    snprintf(mark, sizeof(mark), ".%08" PRIx32 "-", s->session);
    return !atomic_load(&s->closing) && dot != NULL && strncmp(dot, mark, strlen(mark)) == 0;
}

static void sweep_name(struct store *s, const char *name)
{
    struct digest d;

    if (digest_of_name(name, &d)) {
        sweep_digest(s, &d);
    } else if (name[0] != '.' && !is_written(s, name) && !uploads_own(s, name) &&
               !ingest_is_anothers(s, name)) {
        unlinkat(s->tree.ingest, name, 0); /* a folder stays: it is not ours */
    }
}

static void sweep_folder(struct store *s)
{
    int fd = openat(s->tree.ingest, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *folder = fd < 0 ? NULL : fdopendir(fd);
    struct dirent *entry;

    if (folder == NULL) {
        if (fd >= 0) {
            close(fd);
        }
        return;
    }
    while ((entry = readdir(folder)) != NULL) {
        sweep_name(s, entry->d_name);
    }
    closedir(folder);
}

/* --- the table ----------------------------------------------------------------------------- */

struct batch {
    struct record_key from; /* the next record to look at */
    size_t n;
    struct digest found[SWEEP_MAX];
};

static bool gather(void *arg, struct slice key, struct slice value)
{
    struct batch *b = arg;

    (void)value;
    memcpy(b->from.bytes, key.p, key.len);
    b->from.len = key.len;
    if (b->n == SWEEP_MAX) {
        return false;
    }
    if (record_digest_of_key(key, &b->found[b->n])) {
        b->n++;
    }
    b->from.bytes[b->from.len++] = 0;
    return true;
}

static void sweep_table(struct store *s)
{
    struct batch *b = xnew(struct batch);
    struct err err;

    do {
        struct db_txn *t = db_read_begin(s->db, &err);

        b->n = 0;
        if (t == NULL) {
            break;
        }
        db_each(t, DB_PARTIALS, SLICE_NULL, record_key_view(&b->from), gather, b);
        db_read_end(t);
        for (size_t i = 0; i < b->n; i++) {
            sweep_digest(s, &b->found[i]);
        }
    } while (b->n == SWEEP_MAX);
    free(b);
}

void sweep_run(struct store *s)
{
    sweep_folder(s);
    sweep_table(s);
}

/* --- the clock ----------------------------------------------------------------------------- */

struct sweep *sweep_new(struct store *s)
{
    struct sweep *w = xnew(struct sweep);

    w->store = s;
    w->job.store = s;
    w->job.run = sweep_run;
    return w;
}

void sweep_free(struct sweep *w)
{
    free(w);
}

static bool add_partial(void *arg, struct slice key, struct slice value)
{
    struct partial_record p;
    struct store *s = arg;
    struct digest d;

    if (record_digest_of_key(key, &d) && record_get_partial(value, &p)) {
        budget_park(s->budget, &d, p.stored);
    }
    return true;
}

int sweep_count(struct store *s, struct err *err)
{
    struct db_txn *t = db_read_begin(s->db, err);

    if (t == NULL) {
        return -1;
    }
    db_each(t, DB_PARTIALS, SLICE_NULL, SLICE_NULL, add_partial, s);
    db_read_end(t);
    return 0;
}

uint64_t sweep_tick(struct sweep *w, uint64_t now)
{
    if (now >= w->due_ms) {
        ignore_result(store_job_start(w->store, &w->job));
        w->due_ms = now + SWEEP_MS;
    }
    return w->due_ms;
}
