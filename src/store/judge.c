/* store/judge.c - the ways back: from a digest to its tags, parents and holders. */
#include "store/judge.h"

#include "base/map.h"
#include "oci/manifest.h"
#include "store/inner.h"
#include "store/record.h"

#include <stdio.h>
#include <stdlib.h>

/* --- what is gone -------------------------------------------------------------------------- */

struct gone_one {
    struct map_node node;
    struct list in_all;
    uint64_t repo;
    struct digest digest;
};

struct gone {
    struct map map;
    struct list all;
};

struct gone *gone_new(void)
{
    struct gone *g = xnew(struct gone);

    map_init(&g->map);
    list_init(&g->all);
    return g;
}

void gone_free(struct gone *g)
{
    struct list *node;

    if (g == NULL) {
        return;
    }
    map_fini(&g->map);
    while ((node = list_pop(&g->all)) != NULL) {
        free(container_of(node, struct gone_one, in_all));
    }
    free(g);
}

static bool same(const struct map_node *node, const void *key)
{
    const struct gone_one *one = container_of_const(node, struct gone_one, node);
    const struct gone_one *want = key;

    return one->repo == want->repo && digest_equal(&one->digest, &want->digest);
}

static uint64_t hash_of(const struct gone_one *one)
{
    return digest_hash(&one->digest) ^ one->repo;
}

void gone_add(struct gone *g, uint64_t repo, const struct digest *d)
{
    struct gone_one *one = xnew(struct gone_one);

    one->repo = repo;
    one->digest = *d;
    map_insert(&g->map, hash_of(one), &one->node);
    list_append(&g->all, &one->in_all);
}

bool gone_has(const struct gone *g, uint64_t repo, const struct digest *d)
{
    struct gone_one want = {.repo = repo, .digest = *d};

    return g != NULL && map_find(&g->map, hash_of(&want), same, &want) != NULL;
}

/* --- questions ----------------------------------------------------------------------------- */

struct question {
    const struct judge *judge;
    uint64_t repo;
    const struct digest *digest;
    char prefix[DIGEST_TEXT_MAX + 1];
    bool yes;
};

static bool one_tag(void *arg, struct slice key, struct slice value)
{
    struct question *q = arg;
    char reference[REFERENCE_MAX + 1];
    size_t len = strlen(q->prefix);
    struct record_tag tag;

    if (!record_get_tag(value, &tag) || !record_reference_of_tag(key, &tag, reference)) {
        return true;
    }
    q->yes = strncmp(reference, q->prefix, len) == 0;
    return false;
}

bool judge_is_tagged(const struct judge *j, uint64_t repo, const struct digest *d)
{
    struct question q = {.judge = j, .repo = repo, .digest = d};
    struct record_key from;
    struct record_key all;
    char text[DIGEST_TEXT_MAX];

    snprintf(q.prefix, sizeof(q.prefix), "%s ", digest_text(d, text));
    record_key_tags(&all, repo, TAG_OF_DIGEST);
    if (record_key_tag(&from, repo, TAG_OF_DIGEST, q.prefix)) {
        db_each(j->db, DB_TAGS, record_key_view(&all), record_key_view(&from), one_tag, &q);
    }
    return q.yes;
}

static bool is_manifest_of(const struct question *q, const struct digest *d)
{
    struct member_record m;
    struct record_key key;
    struct slice value;

    record_key_member(&key, q->repo, d);
    return db_get(q->judge->db, DB_MEMBERS, record_key_view(&key), &value) == DB_FOUND &&
           record_get_member(value, &m) && m.kind == CHILD_MANIFEST &&
           !gone_has(q->judge->gone, q->repo, d);
}

static bool one_parent(void *arg, struct slice key, struct slice value)
{
    struct question *q = arg;
    struct digest parent;

    (void)value;
    q->yes = record_second_of_pair(key, &parent) && is_manifest_of(q, &parent);
    return !q->yes;
}

bool judge_is_referred(const struct judge *j, uint64_t repo, const struct digest *d)
{
    struct question q = {.judge = j, .repo = repo, .digest = d};
    struct record_key prefix;

    record_key_digest(&prefix, d);
    db_each(j->db, DB_PARENTS, record_key_view(&prefix), SLICE_NULL, one_parent, &q);
    return q.yes;
}

static bool one_holder(void *arg, struct slice key, struct slice value)
{
    struct question *q = arg;
    uint64_t repo;

    (void)value;
    q->yes = record_repo_of_holder(key, &repo) && !gone_has(q->judge->gone, repo, q->digest);
    return !q->yes;
}

bool judge_is_held(const struct judge *j, const struct digest *d)
{
    struct question q = {.judge = j, .digest = d};
    struct record_key prefix;

    record_key_digest(&prefix, d);
    db_each(j->db, DB_HOLDERS, record_key_view(&prefix), SLICE_NULL, one_holder, &q);
    return q.yes;
}

static bool one_hosted(void *arg, struct slice key, struct slice value)
{
    struct question *q = arg;
    char name[REPO_NAME_MAX + 1];
    struct record_key by_id;
    enum repo_kind kind;
    struct slice record;
    uint64_t repo;
    uint64_t id;

    (void)value;
    if (!record_repo_of_holder(key, &repo)) {
        return true;
    }
    record_key_repo_id(&by_id, repo);
    q->yes = db_get(q->judge->db, DB_REPOS, record_key_view(&by_id), &record) == DB_FOUND &&
             record_get_repo(record, &id, &kind, name) && kind == REPO_HOSTED;
    return !q->yes;
}

bool judge_is_hosted(const struct judge *j, const struct digest *d)
{
    struct question q = {.judge = j, .digest = d};
    struct record_key prefix;

    record_key_digest(&prefix, d);
    db_each(j->db, DB_HOLDERS, record_key_view(&prefix), SLICE_NULL, one_hosted, &q);
    return q.yes;
}

/* --- pins ---------------------------------------------------------------------------------- */

/* A layer of an image of an index of an index. */
#define NEEDED_LEVELS 3

static bool is_child(const struct judge *j, const struct digest *parent, const struct digest *d)
{
    struct record_key pair;
    struct slice ref;
    uint64_t size;
    uint8_t kind;

    record_key_pair(&pair, parent, d);
    return db_get(j->db, DB_REFS, record_key_view(&pair), &ref) == DB_FOUND &&
           record_get_ref(ref, &kind, &size) && kind != CHILD_REFERRER;
}

bool judge_is_pinned(const struct judge *j, const struct digest *d)
{
    struct record_key key;
    struct slice value;
    struct blob_record b;

    record_key_digest(&key, d);
    return db_get(j->db, DB_BLOBS, record_key_view(&key), &value) == DB_FOUND &&
           record_get_blob(value, &b) && b.pinned;
}

struct pinned_question {
    const struct judge *judge;
    const struct digest *digest;
    int levels;
    bool yes;
};

static bool needed(const struct judge *j, const struct digest *d, int levels);

static bool one_needing(void *arg, struct slice key, struct slice value)
{
    struct pinned_question *q = arg;
    struct digest parent;

    (void)value;
    q->yes = record_second_of_pair(key, &parent) && is_child(q->judge, &parent, q->digest) &&
             (judge_is_pinned(q->judge, &parent) || needed(q->judge, &parent, q->levels - 1));
    return !q->yes;
}

static bool needed(const struct judge *j, const struct digest *d, int levels)
{
    struct pinned_question q = {.judge = j, .digest = d, .levels = levels};
    struct record_key prefix;

    if (levels > 0) {
        record_key_digest(&prefix, d);
        db_each(j->db, DB_PARENTS, record_key_view(&prefix), SLICE_NULL, one_needing, &q);
    }
    return q.yes;
}

bool judge_is_needed_by_pinned(const struct judge *j, const struct digest *d)
{
    return needed(j, d, NEEDED_LEVELS);
}

bool index_txn_needed_by_pinned(struct index_txn *t, const struct digest *d)
{
    struct judge judge = {t->db, NULL};

    return judge_is_needed_by_pinned(&judge, d);
}
