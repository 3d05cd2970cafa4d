/* cache/member.c - the rules of membership. */
#include "cache/member.h"

#include "base/clock.h"
#include "oci/manifest.h"

#include <stdio.h>
#include <string.h>

#define CREDENTIAL_PROOF_S (24 * 3600)

bool member_is_fresh(const struct member_record *m, int64_t now, bool offline)
{
    int64_t age = now - m->proved;

    /* A clock that was ahead when it was proved does not make a proof last longer. */
    return offline || m->credential == 0 || (age < CREDENTIAL_PROOF_S && age > -CREDENTIAL_PROOF_S);
}

struct holder_search {
    uint64_t credential; /* that the repository is read with */
    bool found;
};

/* A holder whose upstream answered for the blob without a credential, or with the one that this
 * repository is read with: then its bytes are no secret to whoever may read this repository. */
static bool holder_is_open(void *arg, uint64_t repo, const struct member_record *m)
{
    struct holder_search *search = arg;

    (void)repo;
    search->found = m->proof == PROOF_UPSTREAM_ANSWER &&
                    (m->credential == 0 || m->credential == search->credential);
    return !search->found;
}

/* A manifest proves its children, except a blob so far read only with another
 * credential: whoever writes a manifest could else list a digest that is somebody's secret. */
static bool manifest_proof_holds(struct index_read *r, const struct cache_repo *repo,
                                 const struct digest *d)
{
    struct holder_search search = {upstream_credential(repo->upstream, repo->name), false};
    struct blob_record blob;

    if (index_get_blob(r, d, &blob) != INDEX_FOUND) {
        return true;
    }
    index_each_holder(r, d, holder_is_open, &search);
    return search.found;
}

enum member_verdict member_judge(const struct cache *c, struct index_read *r,
                                 const struct cache_repo *repo, const struct digest *d,
                                 struct member_record *ret_member)
{
    struct member_record m;
    uint64_t id;

    if (index_get_repo(r, REPO_MIRRORED, repo->text, &id) != INDEX_FOUND ||
        index_get_member(r, id, d, &m) != INDEX_FOUND) {
        return MEMBER_UNKNOWN;
    }
    if (m.proof == PROOF_MANIFEST && !manifest_proof_holds(r, repo, d)) {
        return MEMBER_UNKNOWN;
    }
    *ret_member = m;
    return member_is_fresh(&m, clock_wall_s(), c->offline) ? MEMBER_YES : MEMBER_EXPIRED;
}

static void put_proved(struct index_txn *t, const char *text, const struct digest *d,
                       struct member_record *fresh)
{
    uint64_t id = index_put_repo(t, REPO_MIRRORED, text);
    bool is_manifest = fresh->kind == CHILD_MANIFEST;
    struct member_record m = {0};
    bool known;

    /* What a manifest said of a blob's kind and type is worth keeping. But what upstream answers
     * for as a manifest is one, whatever it was taken for before. */
    known = index_txn_get_member(t, id, d, &m) == INDEX_FOUND;
    if (known && !is_manifest) {
        fresh->kind = m.kind;
    }
    if (known && !(is_manifest && media_type_is_manifest(slice_str(fresh->media_type)))) {
        memcpy(fresh->media_type, m.media_type, sizeof(m.media_type));
    }
    fresh->size = known && fresh->size == UINT64_MAX ? m.size : fresh->size;
    fresh->proof = PROOF_UPSTREAM_ANSWER;
    fresh->proved = clock_wall_s();
    index_put_member(t, id, d, fresh);
}

void member_put_answered(struct index_txn *t, const struct cache_repo *repo, const struct digest *d,
                         uint64_t size, const char *media_type, uint8_t kind)
{
    struct member_record m = {.size = size, .kind = kind};

    snprintf(m.media_type, sizeof(m.media_type), "%s", media_type);
    m.credential = upstream_credential(repo->upstream, repo->name);
    put_proved(t, repo->text, d, &m);
}

void member_put_proved(struct index_txn *t, const char *text, const struct digest *d, uint64_t size,
                       uint8_t kind, uint64_t credential)
{
    struct member_record m = {.size = size, .kind = kind, .credential = credential};

    put_proved(t, text, d, &m);
}
