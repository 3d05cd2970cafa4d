/* store/index.c - the questions and changes that index.h offers, as records of tables. */
#include "store/index.h"

#include "base/clock.h"
#include "base/counter.h"
#include "base/log.h"
#include "store/inner.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

/* Owner, thread: the one that began it; there is one a thread. */
struct index_read {
    struct db_txn *db;
};

static _Thread_local struct index_read reading;

/* --- records that are none ----------------------------------------------------------------- */

/* Told once where it is found; then it is as if there were none. */
static enum index_found record_is_bad(enum db_table table)
{
    static const char *const names[] = {
#define X(id, name) name,
        DB_TABLE_LIST(X)
#undef X
    };

    count(store_errors);
    log_event(LOG_ERROR, "index.record", "a record of table %s cannot be read and is passed over",
              names[table]);
    return INDEX_ABSENT;
}

static enum index_found get(struct db_txn *db, enum db_table table, const struct record_key *key,
                            struct slice *ret)
{
    switch (db_get(db, table, record_key_view(key), ret)) {
    case DB_FOUND:
        return INDEX_FOUND;
    case DB_ABSENT:
        return INDEX_ABSENT;
    default:
        return INDEX_FAILED;
    }
}

/* --- reading ------------------------------------------------------------------------------- */

struct index_read *index_read_begin(struct store *s)
{
    struct err err;

    assert(reading.db == NULL);
    reading.db = db_read_begin(s->db, &err);
    if (reading.db == NULL) {
        log_event(LOG_ERROR, "index.read", "%s", err.text);
        return NULL;
    }
    return &reading;
}

void index_read_end(struct index_read *r)
{
    struct err err;

    if (db_has_failed(r->db, &err)) {
        log_event(LOG_ERROR, "index.read", "%s", err.text);
    }
    db_read_end(r->db);
    r->db = NULL;
}

struct db_txn *index_read_db(struct index_read *r)
{
    return r->db;
}

static enum index_found get_blob(struct db_txn *db, const struct digest *d, struct blob_record *ret)
{
    struct record_key key;
    struct slice value;
    enum index_found found;

    record_key_digest(&key, d);
    found = get(db, DB_BLOBS, &key, &value);
    if (found == INDEX_FOUND && !record_get_blob(value, ret)) {
        return record_is_bad(DB_BLOBS);
    }
    return found;
}

static enum index_found get_repo(struct db_txn *db, enum repo_kind kind, const char *name,
                                 uint64_t *ret_id)
{
    char found_name[REPO_NAME_MAX + 1];
    enum repo_kind found_kind;
    struct record_key key;
    struct slice value;
    enum index_found found;
    uint64_t id;

    if (!record_key_repo(&key, kind, name)) {
        return INDEX_ABSENT;
    }
    found = get(db, DB_REPOS, &key, &value);
    if (found != INDEX_FOUND) {
        return found;
    }
    if (!record_get_repo(value, &id, &found_kind, found_name) || found_kind != kind ||
        strcmp(found_name, name) != 0) {
        return record_is_bad(DB_REPOS);
    }
    *ret_id = id;
    return INDEX_FOUND;
}

static enum index_found get_member(struct db_txn *db, uint64_t repo, const struct digest *d,
                                   struct member_record *ret)
{
    struct record_key key;
    struct slice value;
    enum index_found found;

    record_key_member(&key, repo, d);
    found = get(db, DB_MEMBERS, &key, &value);
    if (found == INDEX_FOUND && !record_get_member(value, ret)) {
        return record_is_bad(DB_MEMBERS);
    }
    return found;
}

static enum index_found get_tag(struct db_txn *db, uint64_t repo, enum tag_kind kind,
                                const char *reference, struct tag_record *ret)
{
    struct record_key key;
    struct slice value;
    enum index_found found;

    if (!record_key_tag(&key, repo, kind, reference)) {
        return INDEX_ABSENT;
    }
    found = get(db, DB_TAGS, &key, &value);
    if (found == INDEX_FOUND && !record_get_tag_now(value, ret)) {
        return record_is_bad(DB_TAGS);
    }
    return found;
}

enum index_found index_get_blob(struct index_read *r, const struct digest *d,
                                struct blob_record *ret)
{
    return get_blob(r->db, d, ret);
}

enum index_found index_get_repo(struct index_read *r, enum repo_kind kind, const char *name,
                                uint64_t *ret_id)
{
    return get_repo(r->db, kind, name, ret_id);
}

enum index_found index_get_member(struct index_read *r, uint64_t repo, const struct digest *d,
                                  struct member_record *ret)
{
    return get_member(r->db, repo, d, ret);
}

enum index_found index_get_tag(struct index_read *r, uint64_t repo, enum tag_kind kind,
                               const char *reference, struct tag_record *ret)
{
    return get_tag(r->db, repo, kind, reference, ret);
}

enum index_found index_get_body(struct index_read *r, const struct digest *d,
                                unsigned char out[BODY_MAX], size_t *ret_len)
{
    struct record_key key;
    struct slice value;
    enum index_found found;

    record_key_digest(&key, d);
    found = get(r->db, DB_BODIES, &key, &value);
    if (found != INDEX_FOUND) {
        return found;
    }
    if (value.len > BODY_MAX) {
        return record_is_bad(DB_BODIES);
    }
    if (value.len > 0) {
        memcpy(out, value.p, value.len);
    }
    *ret_len = value.len;
    return INDEX_FOUND;
}

enum index_found index_get_partial(struct index_read *r, const struct digest *d,
                                   struct partial_record *ret)
{
    struct record_key key;
    struct slice value;
    enum index_found found;

    record_key_digest(&key, d);
    found = get(r->db, DB_PARTIALS, &key, &value);
    if (found == INDEX_FOUND && !record_get_partial(value, ret)) {
        return record_is_bad(DB_PARTIALS);
    }
    return found;
}

enum index_found index_get_repo_name(struct index_read *r, uint64_t repo, enum repo_kind *ret_kind,
                                     char ret_name[512])
{
    struct record_key key;
    struct slice value;
    enum index_found found;
    uint64_t id;

    record_key_repo_id(&key, repo);
    found = get(r->db, DB_REPOS, &key, &value);
    if (found == INDEX_FOUND && !record_get_repo(value, &id, ret_kind, ret_name)) {
        return record_is_bad(DB_REPOS);
    }
    return found;
}

/* --- walking ------------------------------------------------------------------------------- */

struct holder_walk {
    struct db_txn *db;
    const struct digest *digest;
    bool (*f)(void *arg, uint64_t repo, const struct member_record *m);
    void *arg;
};

static bool one_holder(void *arg, struct slice key, struct slice value)
{
    struct holder_walk *walk = arg;
    struct member_record m;
    uint64_t repo;

    (void)value;
    if (!record_repo_of_holder(key, &repo)) {
        record_is_bad(DB_HOLDERS);
        return true;
    }
    switch (get_member(walk->db, repo, walk->digest, &m)) {
    case INDEX_FOUND:
        return walk->f(walk->arg, repo, &m);
    case INDEX_ABSENT:
        return true;
    default:
        return false;
    }
}

void index_each_holder(struct index_read *r, const struct digest *d,
                       bool (*f)(void *arg, uint64_t repo, const struct member_record *m),
                       void *arg)
{
    struct holder_walk walk = {r->db, d, f, arg};
    struct record_key prefix;

    record_key_digest(&prefix, d);
    db_each(r->db, DB_HOLDERS, record_key_view(&prefix), SLICE_NULL, one_holder, &walk);
}

struct tag_walk {
    struct slice after;
    bool (*f)(void *arg, const char *reference, const struct tag_record *t);
    void *arg;
};

static bool one_tag(void *arg, struct slice key, struct slice value)
{
    struct tag_walk *walk = arg;
    char reference[REFERENCE_MAX + 1];
    struct record_tag tag;

    if (slice_eq(key, walk->after)) {
        return true;
    }
    if (!record_get_tag(value, &tag) || !record_reference_of_tag(key, &tag, reference)) {
        record_is_bad(DB_TAGS);
        return true;
    }
    return walk->f(walk->arg, reference, &tag.now);
}

void index_each_tag(struct index_read *r, uint64_t repo, enum tag_kind kind, const char *after,
                    bool (*f)(void *arg, const char *reference, const struct tag_record *t),
                    void *arg)
{
    struct tag_walk walk = {.f = f, .arg = arg};
    struct record_key prefix;
    struct record_key from;

    record_key_tags(&prefix, repo, kind);
    if (!record_key_tag(&from, repo, kind, after)) {
        return;
    }
    walk.after = record_key_view(&from);
    db_each(r->db, DB_TAGS, record_key_view(&prefix), walk.after, one_tag, &walk);
}

struct repo_walk {
    struct slice after;
    bool (*f)(void *arg, uint64_t repo, const char *name);
    void *arg;
};

static bool one_repo(void *arg, struct slice key, struct slice value)
{
    struct repo_walk *walk = arg;
    char name[REPO_NAME_MAX + 1];
    enum repo_kind kind;
    uint64_t id;

    if (slice_eq(key, walk->after)) {
        return true;
    }
    if (!record_get_repo(value, &id, &kind, name)) {
        record_is_bad(DB_REPOS);
        return true;
    }
    return walk->f(walk->arg, id, name);
}

void index_each_repo(struct index_read *r, enum repo_kind kind, const char *after,
                     bool (*f)(void *arg, uint64_t repo, const char *name), void *arg)
{
    struct repo_walk walk = {SLICE_NULL, f, arg};
    struct record_key from;

    if (record_key_repo(&from, kind, after[0] == '\0' ? "-" : after)) {
        walk.after = after[0] == '\0' ? SLICE_NULL : record_key_view(&from);
        db_each(r->db, DB_REPOS, slice_sub(record_key_view(&from), 0, 1), walk.after, one_repo,
                &walk);
    }
}

struct member_walk {
    bool (*f)(void *arg, const struct digest *d, const struct member_record *m);
    void *arg;
};

static bool one_member(void *arg, struct slice key, struct slice value)
{
    struct member_walk *walk = arg;
    struct member_record m;
    struct digest d;

    if (key.len < 8 || !digest_from_key(slice_from(key, 8), &d) || !record_get_member(value, &m)) {
        record_is_bad(DB_MEMBERS);
        return true;
    }
    return walk->f(walk->arg, &d, &m);
}

void index_each_member(struct index_read *r, uint64_t repo,
                       bool (*f)(void *arg, const struct digest *d, const struct member_record *m),
                       void *arg)
{
    struct member_walk walk = {f, arg};
    struct record_key prefix;

    record_key_members(&prefix, repo);
    db_each(r->db, DB_MEMBERS, record_key_view(&prefix), SLICE_NULL, one_member, &walk);
}

struct blob_walk {
    struct slice after;
    bool (*f)(void *arg, const struct digest *d, const struct blob_record *b);
    void *arg;
};

static bool one_blob(void *arg, struct slice key, struct slice value)
{
    struct blob_walk *walk = arg;
    struct blob_record b;
    struct digest d;

    if (slice_eq(key, walk->after)) {
        return true;
    }
    if (!digest_from_key(key, &d) || !record_get_blob(value, &b)) {
        record_is_bad(DB_BLOBS);
        return true;
    }
    return walk->f(walk->arg, &d, &b);
}

void index_each_blob(struct index_read *r, const struct digest *after,
                     bool (*f)(void *arg, const struct digest *d, const struct blob_record *b),
                     void *arg)
{
    struct blob_walk walk = {SLICE_NULL, f, arg};
    struct record_key from;

    if (after->alg != 0) {
        record_key_digest(&from, after);
        walk.after = record_key_view(&from);
    }
    db_each(r->db, DB_BLOBS, SLICE_NULL, walk.after, one_blob, &walk);
}

struct held_walk {
    struct digest last; /* alg 0: none yet */
    bool (*f)(void *arg, const struct digest *d);
    void *arg;
};

static bool one_held(void *arg, struct slice key, struct slice value)
{
    struct held_walk *walk = arg;
    struct digest d;

    (void)value;
    if (!record_digest_of_holder(key, &d)) {
        record_is_bad(DB_HOLDERS);
        return true;
    }
    if (digest_equal(&d, &walk->last)) {
        return true;
    }
    walk->last = d;
    return walk->f(walk->arg, &d);
}

bool index_each_held(struct index_read *r, const struct digest *after,
                     bool (*f)(void *arg, const struct digest *d), void *arg)
{
    struct held_walk walk = {*after, f, arg};
    struct record_key from = {0};

    if (after->alg != 0) {
        record_key_holder(&from, after, UINT64_MAX);
    }
    db_each(r->db, DB_HOLDERS, SLICE_NULL, record_key_view(&from), one_held, &walk);
    return !db_has_failed(r->db, NULL);
}

struct parent_walk {
    bool (*f)(void *arg, const struct digest *parent);
    void *arg;
};

static bool one_parent(void *arg, struct slice key, struct slice value)
{
    struct parent_walk *walk = arg;
    struct digest parent;

    (void)value;
    if (!record_second_of_pair(key, &parent)) {
        record_is_bad(DB_PARENTS);
        return true;
    }
    return walk->f(walk->arg, &parent);
}

void index_each_parent(struct index_read *r, const struct digest *child,
                       bool (*f)(void *arg, const struct digest *parent), void *arg)
{
    struct parent_walk walk = {f, arg};
    struct record_key prefix;

    record_key_digest(&prefix, child);
    db_each(r->db, DB_PARENTS, record_key_view(&prefix), SLICE_NULL, one_parent, &walk);
}

struct ref_walk {
    bool (*f)(void *arg, const struct digest *child, uint8_t kind, uint64_t size);
    void *arg;
};

static bool one_ref(void *arg, struct slice key, struct slice value)
{
    struct ref_walk *walk = arg;
    struct digest child;
    uint64_t size;
    uint8_t kind;

    if (!record_second_of_pair(key, &child) || !record_get_ref(value, &kind, &size)) {
        record_is_bad(DB_REFS);
        return true;
    }
    return walk->f(walk->arg, &child, kind, size);
}

void index_each_ref(struct index_read *r, const struct digest *parent,
                    bool (*f)(void *arg, const struct digest *child, uint8_t kind, uint64_t size),
                    void *arg)
{
    struct ref_walk walk = {f, arg};
    struct record_key prefix;

    record_key_digest(&prefix, parent);
    db_each(r->db, DB_REFS, record_key_view(&prefix), SLICE_NULL, one_ref, &walk);
}

/* --- changing ------------------------------------------------------------------------------ */

static void put(struct index_txn *t, enum db_table table, const struct record_key *key,
                const struct record *value)
{
    t->lasting = true;
    t->changes++;
    db_put(t->db, table, record_key_view(key), record_view(value));
}

static void del(struct index_txn *t, enum db_table table, const struct record_key *key)
{
    t->lasting = true;
    t->changes++;
    db_del(t->db, table, record_key_view(key));
}

enum index_found index_txn_get_repo(struct index_txn *t, enum repo_kind kind, const char *name,
                                    uint64_t *ret_id)
{
    return get_repo(t->db, kind, name, ret_id);
}

enum index_found index_txn_get_blob(struct index_txn *t, const struct digest *d,
                                    struct blob_record *ret)
{
    return get_blob(t->db, d, ret);
}

enum index_found index_txn_get_member(struct index_txn *t, uint64_t repo, const struct digest *d,
                                      struct member_record *ret)
{
    return get_member(t->db, repo, d, ret);
}

enum index_found index_txn_get_tag(struct index_txn *t, uint64_t repo, enum tag_kind kind,
                                   const char *reference, struct tag_record *ret)
{
    return get_tag(t->db, repo, kind, reference, ret);
}

static void totals_add(struct index_txn *t, const struct blob_record *b)
{
    t->totals.bytes[b->class] += b->size;
    t->totals.count[b->class]++;
}

/* A record that was read was valid, so its class is one. Less than nothing is not possible unless
 * the disk lied; the totals then stay at zero. */
static void totals_sub(struct index_txn *t, const struct blob_record *b)
{
    uint64_t *bytes = &t->totals.bytes[b->class];
    uint64_t *number = &t->totals.count[b->class];

    *bytes = *bytes > b->size ? *bytes - b->size : 0;
    *number = *number > 0 ? *number - 1 : 0;
}

/* Appends to an array that doubles at powers of two. */
static void digest_append(struct digest **list, size_t *n, const struct digest *d)
{
    if ((*n & (*n - 1)) == 0) {
        *list = xrealloc(*list, (*n == 0 ? 1 : 2 * *n) * sizeof(**list));
    }
    (*list)[(*n)++] = *d;
}

void index_txn_put_blob(struct index_txn *t, const struct digest *d, const struct blob_record *b)
{
    struct record_key key;
    struct record value;
    struct blob_record old;

    assert(b->class < BLOB_CLASSES);
    if (get_blob(t->db, d, &old) == INDEX_FOUND) {
        totals_sub(t, &old);
    }
    totals_add(t, b);
    record_key_digest(&key, d);
    record_put_blob(&value, b);
    db_put(t->db, DB_BLOBS, record_key_view(&key), record_view(&value));
}

void index_put_blob(struct index_txn *t, const struct digest *d, const struct blob_record *b)
{
    struct blob_record new = *b;
    struct blob_record old;

    if (get_blob(t->db, d, &old) == INDEX_FOUND) {
        new.created = old.created;
        new.class = old.class == BLOB_MANIFEST ? BLOB_MANIFEST : new.class;
        new.pinned = new.pinned || old.pinned;
        new.hits = new.hits > old.hits ? new.hits : old.hits;
    }
    if (!new.synced) {
        new.boot = t->store->boot;
        digest_append(&t->unsynced, &t->n_unsynced, d);
    }
    digest_append(&t->put, &t->n_put, d);
    t->lasting = true;
    index_txn_put_blob(t, d, &new);
}

void index_pin_blob(struct index_txn *t, const struct digest *d, bool pinned)
{
    struct blob_record b;

    if (get_blob(t->db, d, &b) == INDEX_FOUND && b.pinned != pinned) {
        b.pinned = pinned;
        t->lasting = true;
        index_txn_put_blob(t, d, &b);
    }
}

void index_del_blob(struct index_txn *t, const struct digest *d)
{
    struct record_key key;
    struct blob_record old;

    if (get_blob(t->db, d, &old) == INDEX_FOUND) {
        totals_sub(t, &old);
    }
    record_key_digest(&key, d);
    del(t, DB_BLOBS, &key);
    del(t, DB_BODIES, &key);
}

void index_put_body(struct index_txn *t, const struct digest *d, const void *p, size_t n)
{
    struct record_key key;

    if (n > BODY_MAX) {
        return; /* only a copy */
    }
    record_key_digest(&key, d);
    db_put(t->db, DB_BODIES, record_key_view(&key), slice_of(p, n));
}

static uint64_t next_repo(struct index_txn *t)
{
    struct record_key key;
    struct record value;
    struct slice old;
    uint64_t id = 0;

    record_key_meta(&key, "repos");
    if (get(t->db, DB_META, &key, &old) == INDEX_FOUND && !record_get_number(old, &id)) {
        db_fail(t->db, ERR_STORE, "the number of repositories cannot be read");
        return 0;
    }
    record_put_number(&value, ++id);
    put(t, DB_META, &key, &value);
    return id;
}

uint64_t index_put_repo(struct index_txn *t, enum repo_kind kind, const char *name)
{
    struct record_key key;
    struct record value;
    uint64_t id;

    if (get_repo(t->db, kind, name, &id) == INDEX_FOUND) {
        return id;
    }
    if (!record_key_repo(&key, kind, name)) {
        db_fail(t->db, ERR_STORE, "a repository's name has no fitting length");
        return 0;
    }
    id = next_repo(t);
    record_put_repo(&value, id, kind, name);
    put(t, DB_REPOS, &key, &value);
    record_key_repo_id(&key, id);
    put(t, DB_REPOS, &key, &value);
    return id;
}

void index_put_member(struct index_txn *t, uint64_t repo, const struct digest *d,
                      const struct member_record *m)
{
    static const struct record nothing;
    struct record_key key;
    struct record value;

    record_key_member(&key, repo, d);
    record_put_member(&value, m);
    put(t, DB_MEMBERS, &key, &value);
    record_key_holder(&key, d, repo);
    put(t, DB_HOLDERS, &key, &nothing);
}

void index_del_member(struct index_txn *t, uint64_t repo, const struct digest *d)
{
    struct record_key key;

    record_key_member(&key, repo, d);
    del(t, DB_MEMBERS, &key);
    record_key_holder(&key, d, repo);
    del(t, DB_HOLDERS, &key);
}

void index_put_tag(struct index_txn *t, uint64_t repo, enum tag_kind kind, const char *reference,
                   const struct tag_record *tag)
{
    struct record_tag record = {0};
    struct record_key key;
    struct record value;
    struct slice old;

    if (!record_key_tag(&key, repo, kind, reference)) {
        db_fail(t->db, ERR_STORE, "a reference is too long");
        return;
    }
    if (get(t->db, DB_TAGS, &key, &old) == INDEX_FOUND && !record_get_tag(old, &record)) {
        record_is_bad(DB_TAGS);
    }
    record_tag_change(&record, tag);
    if (strlen(reference) >= REFERENCE_HASHED) {
        snprintf(record.reference, sizeof(record.reference), "%s", reference);
    }
    record_put_tag(&value, &record);
    put(t, DB_TAGS, &key, &value);
}

void index_del_tag(struct index_txn *t, uint64_t repo, enum tag_kind kind, const char *reference)
{
    struct record_key key;

    if (record_key_tag(&key, repo, kind, reference)) {
        del(t, DB_TAGS, &key);
    }
}

void index_put_ref(struct index_txn *t, const struct digest *parent, const struct digest *child,
                   uint8_t kind, uint64_t size)
{
    static const struct record nothing;
    struct record_key key;
    struct record value;

    record_key_pair(&key, parent, child);
    record_put_ref(&value, kind, size);
    put(t, DB_REFS, &key, &value);
    record_key_pair(&key, child, parent);
    put(t, DB_PARENTS, &key, &nothing);
}

void index_put_partial(struct index_txn *t, const struct digest *d, const struct partial_record *p)
{
    struct record_key key;
    struct record value;

    record_key_digest(&key, d);
    record_put_partial(&value, p);
    db_put(t->db, DB_PARTIALS, record_key_view(&key), record_view(&value));
}

void index_del_partial(struct index_txn *t, const struct digest *d)
{
    struct record_key key;

    record_key_digest(&key, d);
    db_del(t->db, DB_PARTIALS, record_key_view(&key));
}
