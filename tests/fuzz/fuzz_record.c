/*
 * fuzz_record.c - any bytes as a record of the index.
 *
 * The first byte says which record the rest is; what is accepted can be written and read again.
 */
#include "store/record.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_blob(struct slice v)
{
    struct blob_record b;
    struct record r;

    if (record_get_blob(v, &b)) {
        record_put_blob(&r, &b);
        assert(slice_eq(record_view(&r), v));
    }
}

static void try_repo(struct slice v)
{
    char name[REPO_NAME_MAX + 1];
    enum repo_kind kind;
    struct record_key key;
    struct record r;
    uint64_t id;

    if (record_get_repo(v, &id, &kind, name)) {
        record_put_repo(&r, id, kind, name);
        assert(slice_eq(record_view(&r), v) && record_key_repo(&key, kind, name));
    }
}

/* A media type that has a number may stand as text, and is then written in another way. */
static void try_member(struct slice v)
{
    struct member_record again;
    struct member_record m;
    struct record r;

    if (record_get_member(v, &m)) {
        record_put_member(&r, &m);
        assert(record_get_member(record_view(&r), &again));
        assert(strcmp(m.media_type, again.media_type) == 0 && m.size == again.size);
    }
}

static void try_tag(struct slice v)
{
    struct tag_record now;
    struct record_tag t;
    struct record r;

    if (!record_get_tag(v, &t)) {
        (void)record_get_tag_now(v, &now);
        return;
    }
    assert(record_get_tag_now(v, &now) && digest_equal(&now.digest, &t.now.digest));
    record_put_tag(&r, &t);
    assert(slice_eq(record_view(&r), v));
    now.digest = t.n_before > 0 ? t.before[0].digest : t.now.digest;
    record_tag_change(&t, &now);
    record_put_tag(&r, &t);
    assert(record_get_tag(record_view(&r), &t));
}

static void try_partial(struct slice v)
{
    struct partial_record p;
    struct record r;

    if (record_get_partial(v, &p)) {
        record_put_partial(&r, &p);
        assert(slice_eq(record_view(&r), v));
    }
}

static void try_pull(struct slice v)
{
    struct record_pull p;
    struct record r;

    if (record_get_pull(v, &p)) {
        record_put_pull(&r, &p);
        assert(slice_eq(record_view(&r), v));
    }
}

static void try_small(struct slice v)
{
    struct record_totals totals;
    struct record r;
    uint64_t n;
    uint8_t kind;

    if (record_get_number(v, &n)) {
        record_put_number(&r, n);
        assert(slice_eq(record_view(&r), v));
    }
    if (record_get_totals(v, &totals)) {
        record_put_totals(&r, &totals);
        assert(slice_eq(record_view(&r), v));
    }
    if (record_get_ref(v, &kind, &n)) {
        record_put_ref(&r, kind, n);
        assert(slice_eq(record_view(&r), v));
    }
}

static void try_keys(struct slice v)
{
    struct record_tag tag = {.reference = "hashed"};
    char reference[REFERENCE_MAX + 1];
    struct record_key key;
    struct digest d;
    uint64_t repo;
    int64_t time;

    if (record_digest_of_key(v, &d)) {
        record_key_digest(&key, &d);
        assert(slice_eq(record_key_view(&key), v));
    }
    if (record_repo_of_holder(v, &repo)) {
        assert(record_digest_of_key(slice_sub(v, 0, v.len - 8), &d));
        record_key_holder(&key, &d, repo);
        assert(slice_eq(record_key_view(&key), v));
    }
    (void)record_second_of_pair(v, &d);
    (void)record_time_of_pull(v, &time);
    (void)record_reference_of_tag(v, &tag, reference);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const tries[])(struct slice) = {
        try_blob, try_repo, try_member, try_tag, try_partial, try_pull, try_small, try_keys,
    };

    if (size > 0) {
        tries[data[0] % ARRAY_LEN(tries)](slice_of((const char *)data + 1, size - 1));
    }
    return 0;
}
