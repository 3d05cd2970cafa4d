/*
 * store/retain.c - runs of retention: what may go is found in a snapshot, a batch at a time, and
 * judged again in the change that removes it.
 *
 * In each repository tags go first, then manifests until none of them does (an index that goes
 * gives its children free), then blobs; bytes that nobody holds follow. A dry run goes the same
 * way, with a set of what would be gone instead of changes.
 */
#include "store/retain.h"

#include "base/clock.h"
#include "base/counter.h"
#include "base/limits.h"
#include "base/log.h"
#include "oci/pattern.h"
#include "store/drop.h"
#include "store/hosted.h"
#include "store/judge.h"
#include "store/keep.h"
#include "store/roots.h"
#include "store/writer.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* Members looked at in one snapshot, and removed in one change. */
#define BATCH DROP_MAX

/* Owner: the store. Thread: runs under `lock`; `due_ms` is the writer's. */
struct retain {
    struct store *store;
    _Atomic(const struct retain_rules *) rules; /* changes under the lock, which a run holds */
    pthread_mutex_t lock;
    uint64_t due_ms;
    struct store_job job;
};

/* One run. Owner, thread: whoever runs it. */
struct run {
    struct store *store;
    const struct retain_rules *rules;
    struct gone *gone; /* NULL: this is no dry run */
    void (*f)(void *arg, const struct retain_gone *gone);
    void *arg;
    int64_t now;
    struct retain_sum sum;
    struct err *err;
};

/* One repository of a run. */
struct place {
    struct run *run;
    uint64_t repo;
    const char *name;
    const struct retain_rule *rule; /* NULL: none is for it */
};

static void tell(const struct place *p, enum retain_what what, const char *tag,
                 const struct digest *d, uint64_t size, const char *why)
{
    struct retain_gone gone = {what, p->name, tag, d, size, why};
    char text[DIGEST_TEXT_MAX];

    log_event(LOG_DEBUG, "retain.gone", "%s %s%s%s: %s", p->name, tag, tag[0] == '\0' ? "" : " ",
              digest_text(d, text), why);
    if (p->run->f != NULL) {
        p->run->f(p->run->arg, &gone);
    }
}

/* --- a batch of members -------------------------------------------------------------------- */

struct candidate {
    struct digest digest;
    uint64_t size;
    bool gone;
};

/* Members of one kind that are old enough and that nothing seems to hold. */
struct batch {
    struct place *place;
    struct index_write write;
    struct roots *roots; /* of the snapshot */
    bool manifests;      /* or blobs */
    int64_t before;      /* last asked for */
    struct record_key next;
    bool full;
    struct candidate all[BATCH];
    size_t n;
};

/* Manifests have gone before blobs: of these, being referred to by one says enough. */
static bool may_go(const struct batch *b, struct roots *roots, const struct digest *d,
                   const struct member_record *m)
{
    if ((m->kind == CHILD_MANIFEST) != b->manifests || m->proved > b->before ||
        gone_has(roots->judge->gone, roots->repo, d)) {
        return false;
    }
    return b->manifests
               ? !roots_hold(roots, d)
               : !judge_is_referred(roots->judge, roots->repo, d) && !lease_held(roots->leases, d);
}

static void roots_of(const struct batch *b, const struct judge *judge, struct roots *ret)
{
    roots_init(ret, judge, b->place->run->store->leases);
    ret->repo = b->place->repo;
    ret->before = b->before;
}

static bool gather(void *arg, struct slice key, struct slice value)
{
    struct batch *b = arg;
    struct member_record m;
    struct digest d;

    b->next.len = key.len;
    memcpy(b->next.bytes, key.p, key.len);
    b->full = b->n == BATCH;
    if (b->full) {
        return false;
    }
    b->roots->visited = 0;
    if (digest_from_key(slice_from(key, 8), &d) && record_get_member(value, &m) &&
        may_go(b, b->roots, &d, &m)) {
        b->all[b->n++] = (struct candidate){.digest = d, .size = m.size};
    }
    return true;
}

/* Within the change: pushes may have come since the snapshot. */
static void batch_apply(struct index_write *w, struct index_txn *t)
{
    struct batch *b = container_of(w, struct batch, write);
    struct judge judge = {t->db, NULL};
    struct roots roots;

    roots_of(b, &judge, &roots);
    for (size_t i = 0; i < b->n; i++) {
        struct candidate *c = &b->all[i];
        struct member_record m;

        c->gone = index_txn_get_member(t, b->place->repo, &c->digest, &m) == INDEX_FOUND &&
                  may_go(b, &roots, &c->digest, &m);
        if (c->gone) {
            index_del_member(t, b->place->repo, &c->digest);
        }
    }
    roots_fini(&roots);
}

/* --- bytes --------------------------------------------------------------------------------- */

static void bytes_gone(void *arg, const struct digest *d, uint64_t size)
{
    struct run *run = arg;
    struct place nobody = {.run = run, .name = ""};

    run->sum.bytes += size;
    tell(&nobody, RETAIN_BLOB, "", d, size, "unreferenced");
}

/* What a dry run says of it. */
static void bytes_would_go(struct run *run, struct db_txn *db, const struct digest *d)
{
    struct judge judge = {db, run->gone};
    struct blob_record blob;
    struct record_key key;
    struct slice value;

    record_key_digest(&key, d);
    if (!judge_is_held(&judge, d) &&
        db_get(db, DB_BLOBS, record_key_view(&key), &value) == DB_FOUND &&
        record_get_blob(value, &blob) && !blob.pinned && !lease_held(run->store->leases, d) &&
        !gone_has(run->gone, 0, d)) {
        gone_add(run->gone, 0, d);
        bytes_gone(run, d, blob.size);
    }
}

/* The bytes of these, where nobody holds them. */
static int drop_all(struct run *run, const struct digest *d, size_t n)
{
    struct db_txn *db;

    if (run->gone == NULL) {
        return n == 0 ? 0 : drop_bytes(run->store, d, n, bytes_gone, run, run->err);
    }
    db = db_read_begin(run->store->db, run->err);
    if (db == NULL) {
        return -1;
    }
    for (size_t i = 0; i < n; i++) {
        bytes_would_go(run, db, &d[i]);
    }
    db_read_end(db);
    return 0;
}

/* --- members ------------------------------------------------------------------------------- */

static int batch_find(struct batch *b)
{
    struct run *run = b->place->run;
    struct record_key prefix;
    struct db_txn *db = db_read_begin(run->store->db, run->err);
    struct judge judge = {db, run->gone};
    struct roots roots;

    if (db == NULL) {
        return -1;
    }
    roots_of(b, &judge, &roots);
    b->roots = &roots;
    b->n = 0;
    b->full = false;
    record_key_members(&prefix, b->place->repo);
    db_each(db, DB_MEMBERS, record_key_view(&prefix), record_key_view(&b->next), gather, b);
    b->roots = NULL;
    roots_fini(&roots);
    db_read_end(db);
    return 0;
}

static int batch_remove(struct batch *b)
{
    struct run *run = b->place->run;
    struct digest gone[BATCH];
    size_t n = 0;

    if (run->gone == NULL && b->n > 0 && writer_wait(run->store, &b->write, run->err) < 0) {
        return -1;
    }
    for (size_t i = 0; i < b->n; i++) {
        struct candidate *c = &b->all[i];

        if (run->gone != NULL) {
            gone_add(run->gone, b->place->repo, &c->digest);
        } else if (!c->gone) {
            continue;
        }
        tell(b->place, b->manifests ? RETAIN_MANIFEST : RETAIN_BLOB, "", &c->digest, c->size,
             b->manifests ? "untagged_after" : "unreferenced");
        gone[n++] = c->digest;
    }
    *(b->manifests ? &run->sum.manifests : &run->sum.blobs) += n;
    return drop_all(run, gone, n) < 0 ? -1 : (int)n;
}

/* One pass over the repository; how many went, or -1. */
static int pass(struct place *p, bool manifests, int64_t before)
{
    struct batch *b = xnew(struct batch);
    int all = 0;
    int n = 0;

    b->place = p;
    b->write.apply = batch_apply;
    b->manifests = manifests;
    b->before = before;
    record_key_members(&b->next, p->repo);
    do {
        n = batch_find(b) < 0 ? -1 : batch_remove(b);
        all += n;
    } while (n >= 0 && b->full);
    free(b);
    return n < 0 ? -1 : all;
}

/* --- tags ---------------------------------------------------------------------------------- */

struct tags_write {
    struct index_write write;
    struct place *place;
    struct keep_tag *tags;
    size_t n;
};

/* A tag that was pushed or pulled since the snapshot stays. */
static void tags_apply(struct index_write *w, struct index_txn *t)
{
    struct tags_write *tags = container_of(w, struct tags_write, write);

    for (size_t i = 0; i < tags->n; i++) {
        struct keep_tag *one = &tags->tags[i];
        struct tag_record now;

        one->gone =
            index_txn_get_tag(t, tags->place->repo, TAG_TAG, one->name, &now) == INDEX_FOUND &&
            now.checked == one->used && digest_equal(&now.digest, &one->digest) &&
            hosted_del_tag(t, tags->place->repo, one->name);
    }
}

static int del_tags(struct place *p, struct keep_tag *tags, size_t n)
{
    struct tags_write w = {{.apply = tags_apply}, p, tags, n};
    struct run *run = p->run;

    if (run->gone == NULL && writer_wait(run->store, &w.write, run->err) < 0) {
        return -1;
    }
    for (size_t i = 0; i < n; i++) {
        if (run->gone != NULL || tags[i].gone) {
            run->sum.tags++;
            tell(p, RETAIN_TAG, tags[i].name, &tags[i].digest, 0, tags[i].why);
        }
    }
    return 0;
}

static int run_tags(struct place *p)
{
    struct keep_tag *tags = NULL;
    size_t n = 0;
    int rc = 0;

    if (p->rule == NULL || (p->rule->keep_tags == 0 && p->rule->expire_after_s == 0)) {
        return 0;
    }
    if (keep_find(p->run->store, p->repo, p->rule, p->run->now, &tags, &n) < 0) {
        return err_set(p->run->err, ERR_STORE, "the index cannot be read");
    }
    for (size_t i = 0; i < n && rc == 0; i += BATCH) {
        rc = del_tags(p, tags + i, n - i < BATCH ? n - i : BATCH);
    }
    free(tags);
    return rc;
}

/* --- a run --------------------------------------------------------------------------------- */

static const struct retain_rule *rule_of(const struct retain_rules *rules, const char *name)
{
    for (size_t i = 0; i < rules->n_rules; i++) {
        if (pattern_match(slice_str(rules->rules[i].pattern), slice_str(name))) {
            return &rules->rules[i];
        }
    }
    return NULL;
}

static int run_repo(struct run *run, uint64_t repo, const char *name)
{
    struct place p = {run, repo, name, rule_of(run->rules, name)};
    int went;

    if (run_tags(&p) < 0) {
        return -1;
    }
    if (p.rule != NULL && p.rule->untagged_after_s > 0) {
        do {
            went = pass(&p, true, run->now - p.rule->untagged_after_s);
        } while (went > 0);
        if (went < 0) {
            return -1;
        }
    }
    return pass(&p, false, run->now - (int64_t)(limits.retain_grace / 1000)) < 0 ? -1 : 0;
}

struct next_repo {
    uint64_t id;
    char name[REPO_NAME_MAX + 1];
    bool found;
};

static bool take_repo(void *arg, uint64_t repo, const char *name)
{
    struct next_repo *next = arg;

    next->id = repo;
    next->found = true;
    snprintf(next->name, sizeof(next->name), "%s", name);
    return false;
}

static int run_repos(struct run *run)
{
    struct next_repo next = {0};

    for (;;) {
        struct index_read *r = index_read_begin(run->store);

        if (r == NULL) {
            return err_set(run->err, ERR_STORE, "the index cannot be read");
        }
        next.found = false;
        index_each_repo(r, REPO_HOSTED, next.name, take_repo, &next);
        index_read_end(r);
        if (!next.found) {
            return 0;
        }
        if (run_repo(run, next.id, next.name) < 0) {
            return -1;
        }
    }
}

/* --- leftovers ----------------------------------------------------------------------------- */

/* Bytes that lost their last holder when nobody could remove them, or never had one: a crash, a
 * push beside it. What was adopted after a loss of the index has none either, and stays. */
struct leftovers {
    struct judge judge;
    int64_t before;
    struct record_key next;
    struct digest all[BATCH];
    size_t n;
    unsigned looked;
    bool more;
};

#define LEFTOVERS_LOOK 4096

static bool gather_leftover(void *arg, struct slice key, struct slice value)
{
    struct leftovers *l = arg;
    struct blob_record blob;
    struct digest d;

    l->next.len = key.len;
    memcpy(l->next.bytes, key.p, key.len);
    l->more = l->n == BATCH || l->looked++ == LEFTOVERS_LOOK;
    if (l->more) {
        return false;
    }
    if (digest_from_key(key, &d) && record_get_blob(value, &blob) && blob.class != BLOB_OTHER &&
        blob.created <= l->before && !judge_is_held(&l->judge, &d)) {
        l->all[l->n++] = d;
    }
    return true;
}

static int run_leftovers(struct run *run)
{
    struct leftovers *l = xnew(struct leftovers);
    int rc = 0;

    l->before = run->now - (int64_t)(limits.retain_grace / 1000);
    do {
        struct db_txn *db = db_read_begin(run->store->db, run->err);

        if (db == NULL) {
            rc = -1;
            break;
        }
        l->judge = (struct judge){db, run->gone};
        l->n = 0;
        l->looked = 0;
        l->more = false;
        db_each(db, DB_BLOBS, SLICE_NULL, record_key_view(&l->next), gather_leftover, l);
        db_read_end(db);
        rc = drop_all(run, l->all, l->n);
    } while (rc == 0 && l->more);
    free(l);
    return rc;
}

/* --- runs ---------------------------------------------------------------------------------- */

/* --- giving way ---------------------------------------------------------------------------- */

/* The tag that goes next. */
struct oldest {
    const struct retain_rule *rule; /* of the repository that is looked at */
    struct judge judge;             /* within its transaction */
    uint64_t at;                    /* its id */
    bool found;
    uint64_t repo;
    int64_t used;
    struct digest digest;
    char tag[TAG_MAX_LEN + 1];
};

/* Whether the tag frees nothing, as its image is pinned, or belongs to one that is. */
static bool stays(const struct judge *j, const struct digest *d)
{
    return judge_is_pinned(j, d) || judge_is_needed_by_pinned(j, d);
}

static bool older_tag(void *arg, const char *reference, const struct tag_record *t)
{
    struct oldest *o = arg;

    if ((!o->found || t->checked < o->used) && !keep_protected(o->rule, reference) &&
        !stays(&o->judge, &t->digest)) {
        o->found = true;
        o->repo = o->at;
        o->used = t->checked;
        o->digest = t->digest;
        snprintf(o->tag, sizeof(o->tag), "%s", reference);
    }
    return true;
}

/* What nothing holds in a repository that gives way; what came a moment ago may be named yet. */
static int sweep_place(struct run *run, uint64_t repo, const char *name,
                       const struct retain_rule *rule)
{
    struct place p = {run, repo, name, rule};
    int64_t before = run->now - (int64_t)(limits.evict_young / 1000);
    int went;

    do {
        went = pass(&p, true, before);
    } while (went > 0);
    return went < 0 || pass(&p, false, before) < 0 ? -1 : 0;
}

/* Goes through the repositories that give way: sweeps each, and finds the oldest tag of all. */
static int sweep_places(struct run *run, struct oldest *oldest)
{
    struct next_repo next = {0};

    for (;;) {
        struct index_read *r = index_read_begin(run->store);
        const struct retain_rule *rule;

        if (r == NULL) {
            return err_set(run->err, ERR_STORE, "the index cannot be read");
        }
        next.found = false;
        index_each_repo(r, REPO_HOSTED, next.name, take_repo, &next);
        rule = next.found ? rule_of(run->rules, next.name) : NULL;
        if (rule != NULL && rule->gives_way) {
            oldest->rule = rule;
            oldest->judge = (struct judge){index_read_db(r), NULL};
            oldest->at = next.id;
            index_each_tag(r, next.id, TAG_TAG, "", older_tag, oldest);
        }
        index_read_end(r);
        if (!next.found) {
            return 0;
        }
        if (rule != NULL && rule->gives_way && sweep_place(run, next.id, next.name, rule) < 0) {
            return -1;
        }
    }
}

/* Takes the tag away, unless somebody came for it, or pinned it, meanwhile. */
struct oldest_write {
    struct index_write write;
    const struct oldest *oldest;
    bool gone;
};

static void oldest_apply(struct index_write *w, struct index_txn *t)
{
    struct oldest_write *o = container_of(w, struct oldest_write, write);
    const struct oldest *tag = o->oldest;
    struct judge judge = {t->db, NULL};
    struct tag_record now;
    struct member_record m;

    o->gone = index_txn_get_tag(t, tag->repo, TAG_TAG, tag->tag, &now) == INDEX_FOUND &&
              now.checked == tag->used && digest_equal(&now.digest, &tag->digest) &&
              !stays(&judge, &tag->digest) && hosted_del_tag(t, tag->repo, tag->tag);
    /* It does not count as new because it lost its tag just now. */
    if (o->gone && index_txn_get_member(t, tag->repo, &tag->digest, &m) == INDEX_FOUND) {
        m.proved = 0;
        index_put_member(t, tag->repo, &tag->digest, &m);
    }
}

static int drop_oldest(struct run *run, const struct oldest *oldest)
{
    struct oldest_write w = {.write = {.apply = oldest_apply}, .oldest = oldest};

    if (writer_wait(run->store, &w.write, run->err) < 0) {
        return -1;
    }
    run->sum.tags += w.gone ? 1 : 0;
    return 0;
}

static int give_way(struct run *run)
{
    struct oldest oldest = {0};

    if (sweep_places(run, &oldest) < 0) {
        return -1;
    }
    if (run->sum.bytes > 0 || !oldest.found) {
        return 0;
    }
    return drop_oldest(run, &oldest) < 0 || sweep_places(run, &oldest) < 0 ? -1 : 0;
}

static void count_run(const struct run *run)
{
    count_add(retain_tags, (int64_t)run->sum.tags);
    count_add(retain_manifests, (int64_t)run->sum.manifests);
    count_add(retain_blobs, (int64_t)run->sum.blobs);
    count_add(retain_bytes, (int64_t)run->sum.bytes);
}

static const struct retain_rules NO_RULES;

/* One at a time; the rules stay as they are until its end. */
static void run_begin(struct run *run)
{
    struct retain *r = run->store->retain;

    pthread_mutex_lock(&r->lock);
    run->rules = r->rules == NULL ? &NO_RULES : r->rules;
}

int retain_run(struct store *s, bool dry, void (*f)(void *arg, const struct retain_gone *gone),
               void *arg, struct retain_sum *ret, struct err *err)
{
    struct run run = {
        .store = s,
        .gone = dry ? gone_new() : NULL,
        .f = f,
        .arg = arg,
        .now = clock_wall_s(),
        .err = err,
    };
    int rc;

    run_begin(&run);
    rc = run_repos(&run) < 0 ? -1 : run_leftovers(&run);
    pthread_mutex_unlock(&s->retain->lock);
    gone_free(run.gone);
    *ret = run.sum;
    if (!dry) {
        count_run(&run);
    }
    return rc;
}

int retain_give_way(struct store *s, uint64_t *ret_bytes, struct err *err)
{
    struct run run = {
        .store = s,
        .now = clock_wall_s(),
        .err = err,
    };
    int rc;

    /* Several tags may hold the same bytes: go on until something is freed, or no tag is left. */
    run_begin(&run);
    for (uint64_t tags = UINT64_MAX; (rc = give_way(&run)) == 0 && run.sum.bytes == 0;) {
        if (tags == run.sum.tags) {
            break;
        }
        tags = run.sum.tags;
    }
    pthread_mutex_unlock(&s->retain->lock);
    count_run(&run);
    *ret_bytes = run.sum.bytes;
    return rc;
}

static void background_run(struct store *s)
{
    struct retain_sum sum;
    struct err err;

    if (retain_run(s, false, NULL, NULL, &sum, &err) < 0) {
        log_event(LOG_ERROR, "retain.failed", "%s: %s", s->dir, err.text);
    }
    if (sum.tags + sum.manifests + sum.blobs + sum.bytes > 0) {
        log_event(LOG_INFO, "retain.done",
                  "tags=%" PRIu64 " manifests=%" PRIu64 " blobs=%" PRIu64 " bytes=%" PRIu64,
                  sum.tags, sum.manifests, sum.blobs, sum.bytes);
    }
}

struct retain *retain_new(struct store *s, const struct retain_rules *rules)
{
    struct retain *r = xnew(struct retain);

    r->store = s;
    r->rules = rules;
    r->job.store = s;
    r->job.run = background_run;
    pthread_mutex_init(&r->lock, NULL);
    return r;
}

void retain_free(struct retain *r)
{
    if (r != NULL) {
        pthread_mutex_destroy(&r->lock);
        free(r);
    }
}

bool retain_renew(struct retain *r, const struct retain_rules *rules)
{
    if (pthread_mutex_trylock(&r->lock) != 0) {
        return false;
    }
    r->rules = rules;
    pthread_mutex_unlock(&r->lock);
    return true;
}

/* The first run comes a while after the start: clients that were told something before may come. */
uint64_t retain_tick(struct retain *r, uint64_t now)
{
    uint64_t every = limits.retain_every;

    if (r->rules == NULL) {
        return UINT64_MAX;
    }
    if (r->due_ms == 0) {
        r->due_ms = now + every;
    } else if (now >= r->due_ms) {
        ignore_result(store_job_start(r->store, &r->job));
        r->due_ms = now + every;
    }
    return r->due_ms;
}

/* --- after a delete ------------------------------------------------------------------------ */

/* Owner: itself. */
struct dropping {
    struct job job;
    struct store *store;
    size_t n;
    struct digest digests[];
};

static void dropping_run(struct job *job)
{
    struct dropping *d = container_of(job, struct dropping, job);
    struct err err;

    for (size_t i = 0; i < d->n; i += DROP_MAX) {
        size_t n = d->n - i < DROP_MAX ? d->n - i : DROP_MAX;

        if (drop_bytes(d->store, d->digests + i, n, NULL, NULL, &err) < 0) {
            log_event(LOG_ERROR, "retain.failed", "%s: %s", d->store->dir, err.text);
        }
    }
}

static void dropping_done(struct job *job)
{
    struct dropping *d = container_of(job, struct dropping, job);

    store_job_leave(d->store);
    free(d);
}

void retain_drop(struct store *s, const struct digest *d, size_t n)
{
    struct dropping *dropping;

    if (n == 0 || !store_job_enter(s)) {
        return; /* leftovers, for a later run */
    }
    dropping = xcalloc(1, sizeof(*dropping) + n * sizeof(*d));
    dropping->store = s;
    dropping->n = n;
    memcpy(dropping->digests, d, n * sizeof(*d));
    pool_submit(s->disk, NULL, &dropping->job, dropping_run, dropping_done);
}
