/* store/blob.c - whole blobs: opened, believed, forgotten. */
#include "base/clock.h"
#include "base/counter.h"
#include "base/log.h"
#include "store/claim.h"
#include "store/gate.h"
#include "store/writer.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* --- forgetting ---------------------------------------------------------------------------- */

struct forgotten {
    struct digest digest;
    bool known; /* there was a record */
    struct index_write write;
};

static void forget_apply(struct index_write *w, struct index_txn *t)
{
    struct forgotten *f = container_of(w, struct forgotten, write);
    struct blob_record b;

    f->known = index_txn_get_blob(t, &f->digest, &b) == INDEX_FOUND;
    index_del_blob(t, &f->digest);
}

/* Whether the blob is still the file that is open there, or still cannot be opened: a push or a
 * flight may have put another in its place. */
static bool is_file_of(struct store *s, const struct digest *d, int fd)
{
    char path[TREE_PATH_MAX];
    struct stat now;
    struct stat st;

    if (fd < 0) {
        _cleanup_close_ int again = tree_open_blob(&s->tree, d);

        return again < 0;
    }
    return fstat(fd, &st) == 0 &&
           fstatat(s->tree.blobs, tree_path(d, path), &now, AT_SYMLINK_NOFOLLOW) == 0 &&
           now.st_ino == st.st_ino && now.st_dev == st.st_dev;
}

/* Within the gate. Whether there was anything to forget. */
static bool forget(struct store *s, const struct digest *d, bool quarantine)
{
    struct forgotten f = {.digest = *d, .write = {.apply = forget_apply}};
    char text[DIGEST_TEXT_MAX];
    struct err err;
    int rc;

    /* The index first. Where it refuses, the file goes all the same: it must not be served, and
     * whoever opens it will try this again. */
    if (writer_wait(s, &f.write, &err) < 0) {
        log_event(LOG_ERROR, "index.refused", "%s: cannot be forgotten: %s", digest_text(d, text),
                  err.text);
    }
    rc = quarantine ? tree_quarantine(&s->tree, d) : tree_remove(&s->tree, d);
    if (rc < 0 && errno != ENOENT) {
        count(store_errors);
        log_event(LOG_ERROR, "store.refused", "%s: %s cannot be %s: %s", s->dir,
                  digest_text(d, text), quarantine ? "moved to quarantine" : "removed",
                  strerror(errno));
    }
    return f.known || rc == 0;
}

bool store_forget(struct store *s, const struct digest *d, int fd, bool quarantine)
{
    bool was_there = false;

    if (!gate_close(s->gate, d)) {
        return false; /* the store closes, and somebody was at it */
    }
    if (is_file_of(s, d, fd)) {
        was_there = forget(s, d, quarantine);
    }
    gate_open(s->gate, d);
    return was_there;
}

void store_quarantine(struct store *s, const struct digest *d, int fd)
{
    ignore_result(!store_forget(s, d, fd, true));
}

struct pushed {
    struct index_read *read;
    bool found;
};

static bool is_hosted(void *arg, uint64_t repo, const struct member_record *m)
{
    struct pushed *p = arg;
    enum repo_kind kind;
    char name[512];

    (void)m;
    p->found =
        index_get_repo_name(p->read, repo, &kind, name) == INDEX_FOUND && kind == REPO_HOSTED;
    return !p->found;
}

bool store_is_pushed(struct store *s, const struct digest *d)
{
    struct pushed p = {index_read_begin(s), true};

    if (p.read == NULL) {
        return true; /* it cannot be told */
    }
    p.found = false;
    index_each_holder(p.read, d, is_hosted, &p);
    index_read_end(p.read);
    return p.found;
}

/* --- opening ------------------------------------------------------------------------------- */

/* A blob whose file is not what the index says, on its way to being forgotten. Owner: itself. */
struct misfit {
    struct job job;
    struct store *store;
    struct claim *claim;
    struct digest digest;
    uint64_t size; /* as the index had it */
    struct index_write write;
};

/* Nobody puts the blob there meanwhile: the gate is shut. */
static void misfit_apply(struct index_write *w, struct index_txn *t)
{
    index_del_blob(t, &container_of(w, struct misfit, write)->digest);
}

/* Whether the errno of an open speaks against the file, and not against this process. */
static bool is_of_file(int error)
{
    return error != EMFILE && error != ENFILE && error != ENOMEM && error != EINTR;
}

/* It can be opened and has its size: it was fetched again meanwhile, or what was wrong has passed;
 * or that may be, and nobody else has it. *ret_size is -1 where there is no file. */
static bool fits_now(struct misfit *m, int64_t *ret_size)
{
    _cleanup_close_ int fd = tree_open_blob(&m->store->tree, &m->digest);
    bool open = fd >= 0 || !is_of_file(errno);

    *ret_size = tree_size(&m->store->tree, &m->digest);
    return *ret_size == (int64_t)m->size && (open || store_is_pushed(m->store, &m->digest));
}

/* Within the gate. */
static void misfit_forget(struct misfit *m)
{
    char text[DIGEST_TEXT_MAX];
    struct err err;
    int64_t size;

    if (fits_now(m, &size)) {
        return;
    }
    log_event(LOG_ERROR, "store.bad",
              "%s: %s cannot be opened, or has %" PRId64 " bytes instead of %" PRIu64
              " (-1: no file); it is forgotten",
              m->store->dir, digest_text(&m->digest, text), size, m->size);
    /* The file first, for once: after a commit it might be another one, that is right. */
    if (size >= 0 && tree_quarantine(&m->store->tree, &m->digest) < 0 && errno != ENOENT) {
        count(store_errors);
        log_event(LOG_ERROR, "store.refused", "%s: %s cannot be moved to quarantine: %s",
                  m->store->dir, digest_text(&m->digest, text), strerror(errno));
    }
    m->write.apply = misfit_apply;
    if (writer_wait(m->store, &m->write, &err) < 0) {
        log_event(LOG_ERROR, "index.refused", "%s: cannot be forgotten: %s",
                  digest_text(&m->digest, text), err.text);
    }
}

/* Blocks. */
static void misfit_judge(struct misfit *m)
{
    if (gate_close(m->store->gate, &m->digest)) {
        misfit_forget(m);
        gate_open(m->store->gate, &m->digest);
    }
}

static void misfit_run(struct job *job)
{
    misfit_judge(container_of(job, struct misfit, job));
}

static void misfit_done(struct job *job)
{
    struct misfit *m = container_of(job, struct misfit, job);

    claim_drop(m->store->claims, m->claim);
    store_job_leave(m->store);
    free(m);
}

/* Nothing to do where somebody is at it, or is writing the blob anew. */
static void forget_misfit(struct store *s, const struct digest *d, uint64_t size)
{
    struct claim *claim = claim_take(s->claims, d);
    struct misfit *m;

    if (claim == NULL || !store_job_enter(s)) {
        claim_drop(s->claims, claim);
        return;
    }
    m = xnew(struct misfit);
    m->store = s;
    m->claim = claim;
    m->digest = *d;
    m->size = size;
    pool_submit(s->disk, NULL, &m->job, misfit_run, misfit_done);
}

int store_open_blob(struct store *s, const struct digest *d, uint64_t size, struct err *err)
{
    int fd = tree_open_blob(&s->tree, d);
    char text[DIGEST_TEXT_MAX];
    struct stat st;

    if (fd < 0) {
        int error = errno;

        count(store_errors);
        if (is_of_file(error)) {
            forget_misfit(s, d, size);
        }
        return err_set(err, ERR_STORE, "%s: %s: %s", s->dir, digest_text(d, text), strerror(error));
    }
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && (uint64_t)st.st_size == size) {
        return fd;
    }
    close(fd);
    count(store_errors);
    forget_misfit(s, d, size);
    return err_set(err, ERR_STORE, "%s: %s has not the %" PRIu64 " bytes that the index says",
                   s->dir, digest_text(d, text), size);
}

void store_judge_blob(struct store *s, const struct digest *d, uint64_t size)
{
    struct misfit m = {.store = s, .digest = *d, .size = size};

    misfit_judge(&m);
}

/* --- believing ----------------------------------------------------------------------------- */

bool store_blob_trusted(const struct store *s, const struct blob_record *b)
{
    return b->synced || b->boot == s->boot;
}

/* Owner: itself. */
struct verified {
    struct digest digest;
    struct index_write write;
};

/* From now on it is as if it had just been pulled: synced behind, then believed for good. */
static void verified_apply(struct index_write *w, struct index_txn *t)
{
    struct verified *v = container_of(w, struct verified, write);
    struct blob_record b;

    if (index_txn_get_blob(t, &v->digest, &b) == INDEX_FOUND && !store_blob_trusted(t->store, &b)) {
        index_put_blob(t, &v->digest, &b);
    }
}

static void verified_done(struct index_write *w)
{
    free(container_of(w, struct verified, write));
}

void store_mark_verified(struct store *s, const struct digest *d)
{
    struct verified *v = xnew(struct verified);

    v->digest = *d;
    v->write = (struct index_write){.apply = verified_apply, .done = verified_done};
    index_write_submit(s, NULL, &v->write);
}
