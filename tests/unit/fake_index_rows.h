/* fake_index_rows.h - the rest of fake_index.h: repositories, members, tags, bodies, references. */
#ifndef FAKE_INDEX_ROWS_H
#define FAKE_INDEX_ROWS_H

/* --- repositories -------------------------------------------------------------------------- */

enum index_found index_get_repo(struct index_read *r, enum repo_kind kind, const char *name,
                                uint64_t *ret_id)
{
    (void)r;
    for (unsigned i = 0; i < fake.n_repos; i++) {
        if (fake.repos[i].kind == kind && strcmp(fake.repos[i].name, name) == 0) {
            *ret_id = i + 1;
            return INDEX_FOUND;
        }
    }
    return INDEX_ABSENT;
}

uint64_t index_put_repo(struct index_txn *t, enum repo_kind kind, const char *name)
{
    uint64_t id;

    (void)t;
    if (index_get_repo(&fake.read, kind, name, &id) == INDEX_FOUND) {
        return id;
    }
    assert(fake.n_repos < FAKE_ROWS);
    fake.repos[fake.n_repos].kind = kind;
    snprintf(fake.repos[fake.n_repos].name, sizeof(fake.repos[0].name), "%s", name);
    return ++fake.n_repos;
}

enum index_found index_get_repo_name(struct index_read *r, uint64_t repo, enum repo_kind *ret_kind,
                                     char ret_name[512])
{
    (void)r;
    if (repo == 0 || repo > fake.n_repos) {
        return INDEX_ABSENT;
    }
    *ret_kind = fake.repos[repo - 1].kind;
    snprintf(ret_name, 512, "%s", fake.repos[repo - 1].name);
    return INDEX_FOUND;
}

/* --- members ------------------------------------------------------------------------------- */

#define FAKE_MEMBER(row, id, d)                                                                    \
    FAKE_FIND(members, row,                                                                        \
              fake.members[i].repo == (id) && digest_equal(&fake.members[i].digest, d),            \
              fake.members[i].repo == 0)

enum index_found index_get_member(struct index_read *r, uint64_t repo, const struct digest *d,
                                  struct member_record *ret)
{
    FAKE_MEMBER(row, repo, d)
    (void)r;
    if (row < 0 || fake.members[row].repo == 0) {
        return INDEX_ABSENT;
    }
    *ret = fake.members[row].record;
    return INDEX_FOUND;
}

enum index_found index_txn_get_member(struct index_txn *t, uint64_t repo, const struct digest *d,
                                      struct member_record *ret)
{
    (void)t;
    return index_get_member(&fake.read, repo, d, ret);
}

void index_put_member(struct index_txn *t, uint64_t repo, const struct digest *d,
                      const struct member_record *m)
{
    FAKE_MEMBER(row, repo, d)
    (void)t;
    assert(row >= 0);
    fake.members[row].repo = repo;
    fake.members[row].digest = *d;
    fake.members[row].record = *m;
}

void index_del_member(struct index_txn *t, uint64_t repo, const struct digest *d)
{
    FAKE_MEMBER(row, repo, d)
    (void)t;
    if (row >= 0) {
        fake.members[row].repo = 0;
    }
}

void index_each_holder(struct index_read *r, const struct digest *d,
                       bool (*f)(void *arg, uint64_t repo, const struct member_record *m),
                       void *arg)
{
    (void)r;
    for (int i = 0; i < FAKE_ROWS; i++) {
        if (fake.members[i].repo != 0 && digest_equal(&fake.members[i].digest, d) &&
            !f(arg, fake.members[i].repo, &fake.members[i].record)) {
            return;
        }
    }
}

/* --- tags ---------------------------------------------------------------------------------- */

#define FAKE_TAG(row, id, k, text)                                                                 \
    FAKE_FIND(tags, row,                                                                           \
              fake.tags[i].repo == (id) && fake.tags[i].kind == (k) &&                             \
                  strcmp(fake.tags[i].reference, text) == 0,                                       \
              fake.tags[i].repo == 0)

enum index_found index_get_tag(struct index_read *r, uint64_t repo, enum tag_kind kind,
                               const char *reference, struct tag_record *ret)
{
    FAKE_TAG(row, repo, kind, reference)
    (void)r;
    if (row < 0 || fake.tags[row].repo == 0) {
        return INDEX_ABSENT;
    }
    *ret = fake.tags[row].record;
    return INDEX_FOUND;
}

void index_put_tag(struct index_txn *t, uint64_t repo, enum tag_kind kind, const char *reference,
                   const struct tag_record *tag)
{
    FAKE_TAG(row, repo, kind, reference)
    (void)t;
    assert(row >= 0);
    fake.tags[row].repo = repo;
    fake.tags[row].kind = kind;
    snprintf(fake.tags[row].reference, sizeof(fake.tags[row].reference), "%s", reference);
    fake.tags[row].record = *tag;
}

void index_del_tag(struct index_txn *t, uint64_t repo, enum tag_kind kind, const char *reference)
{
    FAKE_TAG(row, repo, kind, reference)
    (void)t;
    if (row >= 0) {
        fake.tags[row].repo = 0;
    }
}

/* --- bodies and references ----------------------------------------------------------------- */

enum index_found index_get_body(struct index_read *r, const struct digest *d,
                                unsigned char out[BODY_MAX], size_t *ret_len)
{
    FAKE_DIGEST(bodies, row, d)
    (void)r;
    if (row < 0 || fake.bodies[row].digest.alg == 0) {
        return INDEX_ABSENT;
    }
    memcpy(out, fake.bodies[row].bytes, fake.bodies[row].len);
    *ret_len = fake.bodies[row].len;
    return INDEX_FOUND;
}

void index_put_body(struct index_txn *t, const struct digest *d, const void *p, size_t n)
{
    FAKE_DIGEST(bodies, row, d)
    (void)t;
    assert(row >= 0);
    fake.bodies[row].digest = *d;
    fake.bodies[row].len = n;
    memcpy(fake.bodies[row].bytes, p, n);
}

void index_put_ref(struct index_txn *t, const struct digest *parent, const struct digest *child,
                   uint8_t kind, uint64_t size)
{
    FAKE_FIND(refs, row,
              digest_equal(&fake.refs[i].parent, parent) &&
                  digest_equal(&fake.refs[i].child, child),
              fake.refs[i].parent.alg == 0)
    (void)t;
    assert(row >= 0);
    fake.refs[row].parent = *parent;
    fake.refs[row].child = *child;
    fake.refs[row].kind = kind;
    fake.refs[row].size = size;
}

void index_each_ref(struct index_read *r, const struct digest *parent,
                    bool (*f)(void *arg, const struct digest *child, uint8_t kind, uint64_t size),
                    void *arg)
{
    (void)r;
    for (int i = 0; i < FAKE_ROWS; i++) {
        if (digest_equal(&fake.refs[i].parent, parent) &&
            !f(arg, &fake.refs[i].child, fake.refs[i].kind, fake.refs[i].size)) {
            return;
        }
    }
}

#endif
