/* store/drop.c - a change that forgets blobs, between a gate that is shut and one that opens. */
#include "store/drop.h"

#include "base/counter.h"
#include "base/log.h"
#include "oci/manifest.h"
#include "store/gate.h"
#include "store/judge.h"
#include "store/lease.h"
#include "store/writer.h"

#include <errno.h>
#include <stdlib.h>

struct drop_one {
    struct digest digest;
    bool shut; /* its gate */
    bool gone;
    uint64_t size;
};

struct drop {
    struct index_write write;
    struct store *store;
    bool mirrored; /* drop_mirrored() */
    struct drop_one all[DROP_MAX];
    size_t n;
};

/* --- references ---------------------------------------------------------------------------- */

/* Edges of the graph that the manifest itself makes: to its children, and from its subject. */
struct edges {
    struct db_txn *db;
    const struct digest *digest;
    struct digest *children;
    size_t n_children;
    struct digest *subjects;
    size_t n_subjects;
};

/* Appends to an array that doubles at powers of two. */
static void append(struct digest **list, size_t *n, const struct digest *d)
{
    if ((*n & (*n - 1)) == 0) {
        *list = xrealloc(*list, (*n == 0 ? 1 : 2 * *n) * sizeof(**list));
    }
    (*list)[(*n)++] = *d;
}

static bool one_child(void *arg, struct slice key, struct slice value)
{
    struct edges *e = arg;
    struct digest child;
    uint64_t size;
    uint8_t kind;

    if (record_second_of_pair(key, &child) && record_get_ref(value, &kind, &size) &&
        kind != CHILD_REFERRER) {
        append(&e->children, &e->n_children, &child);
    }
    return true;
}

static bool one_parent(void *arg, struct slice key, struct slice value)
{
    struct edges *e = arg;
    struct record_key pair;
    struct digest parent;
    struct slice ref;
    uint64_t size;
    uint8_t kind;

    (void)value;
    if (!record_second_of_pair(key, &parent)) {
        return true;
    }
    record_key_pair(&pair, &parent, e->digest);
    if (db_get(e->db, DB_REFS, record_key_view(&pair), &ref) == DB_FOUND &&
        record_get_ref(ref, &kind, &size) && kind == CHILD_REFERRER) {
        append(&e->subjects, &e->n_subjects, &parent);
    }
    return true;
}

static void del_edge(struct db_txn *db, const struct digest *parent, const struct digest *child)
{
    struct record_key key;

    record_key_pair(&key, parent, child);
    db_del(db, DB_REFS, record_key_view(&key));
    record_key_pair(&key, child, parent);
    db_del(db, DB_PARENTS, record_key_view(&key));
}

static void del_edges(struct db_txn *db, const struct digest *d)
{
    struct edges e = {.db = db, .digest = d};
    struct record_key prefix;

    record_key_digest(&prefix, d);
    db_each(db, DB_REFS, record_key_view(&prefix), SLICE_NULL, one_child, &e);
    db_each(db, DB_PARENTS, record_key_view(&prefix), SLICE_NULL, one_parent, &e);
    for (size_t i = 0; i < e.n_children; i++) {
        del_edge(db, d, &e.children[i]);
    }
    for (size_t i = 0; i < e.n_subjects; i++) {
        del_edge(db, &e.subjects[i], d);
    }
    free(e.children);
    free(e.subjects);
}

/* --- the change ---------------------------------------------------------------------------- */

static bool is_held(const struct drop *drop, const struct judge *judge, const struct digest *d)
{
    return drop->mirrored ? judge_is_hosted(judge, d) : judge_is_held(judge, d);
}

static void drop_apply(struct index_write *w, struct index_txn *t)
{
    struct drop *drop = container_of(w, struct drop, write);
    struct judge judge = {t->db, NULL};

    for (size_t i = 0; i < drop->n; i++) {
        struct drop_one *one = &drop->all[i];
        struct blob_record b;

        one->gone = one->shut && index_txn_get_blob(t, &one->digest, &b) == INDEX_FOUND &&
                    !b.pinned && !lease_held(drop->store->leases, &one->digest) &&
                    !is_held(drop, &judge, &one->digest);
        if (one->gone) {
            one->size = b.size;
            index_del_blob(t, &one->digest);
            del_edges(t->db, &one->digest);
        }
    }
}

static void unlink_one(struct store *s, const struct drop_one *one)
{
    char text[DIGEST_TEXT_MAX];

    if (tree_remove(&s->tree, &one->digest) < 0 && errno != ENOENT) {
        count(store_errors);
        log_event(LOG_WARN, "store.drop", "%s: %s cannot be removed: %s", s->dir,
                  digest_text(&one->digest, text), strerror(errno));
    }
}

/* Frees `drop`. */
static int drop_run(struct drop *drop, const struct digest *d, size_t n,
                    void (*f)(void *arg, const struct digest *d, uint64_t size), void *arg,
                    struct err *err)
{
    struct store *s = drop->store;
    int rc;

    drop->write.apply = drop_apply;
    drop->n = n;
    for (size_t i = 0; i < n; i++) {
        drop->all[i].digest = d[i];
        drop->all[i].shut = gate_shut(s->gate, &d[i]);
    }
    rc = writer_wait(s, &drop->write, err);
    for (size_t i = 0; i < n; i++) {
        struct drop_one *one = &drop->all[i];

        if (rc == 0 && one->gone) {
            unlink_one(s, one);
            if (f != NULL) {
                f(arg, &one->digest, one->size);
            }
        }
        if (one->shut) {
            gate_open(s->gate, &one->digest);
        }
    }
    free(drop);
    return rc;
}

int drop_bytes(struct store *s, const struct digest *d, size_t n,
               void (*f)(void *arg, const struct digest *d, uint64_t size), void *arg,
               struct err *err)
{
    struct drop *drop = xnew(struct drop);

    drop->store = s;
    return drop_run(drop, d, n, f, arg, err);
}

int drop_mirrored(struct store *s, const struct digest *d, size_t n,
                  void (*f)(void *arg, const struct digest *d, uint64_t size), void *arg,
                  struct err *err)
{
    struct drop *drop = xnew(struct drop);

    drop->store = s;
    drop->mirrored = true;
    return drop_run(drop, d, n, f, arg, err);
}
