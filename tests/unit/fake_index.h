/*
 * fake_index.h - the index as tables in memory, in place of the store's.
 *
 * Changes wait until fake_write() applies them, so that a test can look in between.
 */
#ifndef FAKE_INDEX_H
#define FAKE_INDEX_H

#include "fake_loop.h"
#include "store/index.h"

#include <stdlib.h>

#define FAKE_ROWS 64

struct index_read {
    int unused;
};
struct index_txn {
    int unused;
};

static struct fake_index {
    struct {
        struct digest digest;
        struct blob_record record;
    } blobs[FAKE_ROWS];
    struct {
        enum repo_kind kind;
        char name[512];
    } repos[FAKE_ROWS];
    struct {
        uint64_t repo;
        struct digest digest;
        struct member_record record;
    } members[FAKE_ROWS];
    struct {
        uint64_t repo;
        enum tag_kind kind;
        char reference[256];
        struct tag_record record;
    } tags[FAKE_ROWS];
    struct {
        struct digest digest;
        struct partial_record record;
    } partials[FAKE_ROWS];
    struct {
        struct digest parent;
        struct digest child;
        uint8_t kind;
        uint64_t size;
    } refs[FAKE_ROWS];
    struct {
        struct digest digest;
        size_t len;
        unsigned char bytes[BODY_MAX];
    } bodies[FAKE_ROWS];
    unsigned n_repos;
    struct list writes;
    unsigned n_writes; /* ever */
    bool held;         /* changes wait for fake_write() */
    bool refuses;      /* each group fails */
    struct index_read read;
    struct index_txn txn;
} fake = {.writes = {&fake.writes, &fake.writes}};

static const struct digest FAKE_NONE;

static inline void fake_index_reset(void)
{
    assert(list_empty(&fake.writes));
    memset(&fake, 0, sizeof(fake));
    list_init(&fake.writes);
}

/* The row for which `same` holds, else an empty one of which `empty` says so, else -1. */
#define FAKE_FIND(table, row, same, empty)                                                         \
    int row = -1;                                                                                  \
    for (int i = FAKE_ROWS - 1; i >= 0; i--) {                                                     \
        if (same) {                                                                                \
            row = i;                                                                               \
            break;                                                                                 \
        }                                                                                          \
        row = (empty) && row < 0 ? i : row;                                                        \
    }
#define FAKE_DIGEST(table, row, key)                                                               \
    FAKE_FIND(table, row, digest_equal(&fake.table[i].digest, key), fake.table[i].digest.alg == 0)

/* Defines get, put and delete of a table by digest alone. */
#define FAKE_TABLE(table, name, type)                                                              \
    static inline enum index_found fake_get_##name(const struct digest *d, struct type *ret)       \
    {                                                                                              \
        FAKE_DIGEST(table, row, d)                                                                 \
        if (row < 0 || fake.table[row].digest.alg == 0) {                                          \
            return INDEX_ABSENT;                                                                   \
        }                                                                                          \
        *ret = fake.table[row].record;                                                             \
        return INDEX_FOUND;                                                                        \
    }                                                                                              \
    enum index_found index_get_##name(struct index_read *r, const struct digest *d,                \
                                      struct type *ret)                                            \
    {                                                                                              \
        (void)r;                                                                                   \
        return fake_get_##name(d, ret);                                                            \
    }                                                                                              \
    void index_put_##name(struct index_txn *t, const struct digest *d, const struct type *v)       \
    {                                                                                              \
        FAKE_DIGEST(table, row, d)                                                                 \
        (void)t;                                                                                   \
        assert(row >= 0);                                                                          \
        fake.table[row].digest = *d;                                                               \
        fake.table[row].record = *v;                                                               \
    }                                                                                              \
    void index_del_##name(struct index_txn *t, const struct digest *d)                             \
    {                                                                                              \
        FAKE_DIGEST(table, row, d)                                                                 \
        (void)t;                                                                                   \
        if (row >= 0) {                                                                            \
            fake.table[row].digest = FAKE_NONE;                                                    \
        }                                                                                          \
    }

FAKE_TABLE(blobs, blob, blob_record)
FAKE_TABLE(partials, partial, partial_record)

struct index_read *index_read_begin(struct store *s)
{
    (void)s;
    return &fake.read;
}

void index_read_end(struct index_read *r)
{
    (void)r;
}

enum index_found index_txn_get_blob(struct index_txn *t, const struct digest *d,
                                    struct blob_record *ret)
{
    (void)t;
    return fake_get_blob(d, ret);
}

/* --- changes ------------------------------------------------------------------------------- */

static inline void fake_write_posted(struct post *p)
{
    struct index_write *w = container_of(p, struct index_write, post);

    w->done(w);
}

void index_write_submit(struct store *s, struct loop *l, struct index_write *w)
{
    (void)s;
    list_init(&w->node);
    post_init(&w->post, fake_write_posted);
    w->loop = l;
    list_append(&fake.writes, &w->node);
}

/* Applies the oldest change; false where there is none. */
static inline bool fake_write(void)
{
    struct list *node = list_pop(&fake.writes);
    struct index_write *w;

    if (node == NULL) {
        return false;
    }
    w = container_of(node, struct index_write, node);
    w->failed = fake.refuses;
    if (!w->failed) {
        fake.n_writes++;
        w->apply(w, &fake.txn);
    }
    loop_post(w->loop, &w->post);
    return true;
}

#include "fake_index_rows.h"

#endif
