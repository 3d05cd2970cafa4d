/* store/hosted.c - members, tags and references of hosted repositories. */
#include "store/hosted.h"

#include "base/clock.h"
#include "oci/name.h"
#include "store/inner.h"
#include "store/record.h"

#include <stdio.h>
#include <stdlib.h>

/* Younger signs of interest are not written again. */
#define TOUCH_S 600

/* "sha256:… tag" */
#define WAY_BACK_MAX (DIGEST_TEXT_MAX + 1 + REFERENCE_MAX)

/* --- members ------------------------------------------------------------------------------- */

/* A blob that turns out to be a manifest stays a blob too. */
static void put_member(struct index_txn *t, uint64_t repo, const struct digest *d, uint64_t size,
                       uint8_t kind, const char *media_type)
{
    struct member_record old;
    bool both = kind == CHILD_MANIFEST && index_txn_get_member(t, repo, d, &old) == INDEX_FOUND &&
                (old.kind != CHILD_MANIFEST || old.proof == PROOF_PUSHED_BOTH);
    struct member_record m = {
        .size = size,
        .proof = both ? PROOF_PUSHED_BOTH : PROOF_PUSHED,
        .kind = kind,
        .proved = clock_wall_s(),
    };

    snprintf(m.media_type, sizeof(m.media_type), "%s", media_type);
    index_put_member(t, repo, d, &m);
}

void hosted_put_blob(struct index_txn *t, const char *repo, const struct digest *d, uint64_t size)
{
    uint64_t id = index_put_repo(t, REPO_HOSTED, repo);
    struct member_record m;

    if (index_txn_get_member(t, id, d, &m) == INDEX_FOUND) {
        m.proved = clock_wall_s(); /* what a manifest said of it is known better */
        m.proof = m.kind == CHILD_MANIFEST ? PROOF_PUSHED_BOTH : PROOF_PUSHED;
        index_put_member(t, id, d, &m);
        return;
    }
    put_member(t, id, d, size, CHILD_BLOB, "");
}

bool hosted_renew_blob(struct index_txn *t, const char *repo, const struct digest *d)
{
    struct member_record m;
    uint64_t id;

    if (index_txn_get_repo(t, REPO_HOSTED, repo, &id) != INDEX_FOUND ||
        index_txn_get_member(t, id, d, &m) != INDEX_FOUND) {
        return false;
    }
    m.proved = clock_wall_s();
    index_put_member(t, id, d, &m);
    return true;
}

/* --- manifests ----------------------------------------------------------------------------- */

/* Whether the child is a member and here; one that may be taken becomes one. */
static bool take_child(struct index_txn *t, uint64_t repo, const struct descriptor *child,
                       bool may_take)
{
    struct blob_record blob;
    struct member_record m;
    bool here = index_txn_get_blob(t, &child->digest, &blob) == INDEX_FOUND;
    bool member = index_txn_get_member(t, repo, &child->digest, &m) == INDEX_FOUND;
    enum child_kind kind = child->kind;

    if (!here || (!member && !(may_take && blob.synced))) {
        return false;
    }
    /* A manifest is one whatever an index calls it, and no index makes one of bytes that nobody
     * pushed or pulled as a manifest. */
    if (kind == CHILD_MANIFEST && blob.class != BLOB_MANIFEST) {
        kind = CHILD_BLOB;
    }
    if (!member || m.kind != CHILD_MANIFEST) {
        put_member(t, repo, &child->digest, blob.size, (uint8_t)kind, child->media_type);
    }
    return true;
}

static size_t put_children(struct index_txn *t, uint64_t repo, const struct hosted_manifest *m)
{
    size_t missing = 0;

    for (size_t i = 0; i < m->parsed->n_children; i++) {
        const struct descriptor *child = &m->parsed->children[i];

        index_put_ref(t, &m->digest, &child->digest, (uint8_t)child->kind, child->size);
        if (!take_child(t, repo, child, m->may_take != NULL && m->may_take[i]) && !child->foreign) {
            missing++;
        }
    }
    return missing;
}

void hosted_put_manifest(struct index_txn *t, const char *repo, const struct hosted_manifest *m,
                         size_t *ret_missing)
{
    uint64_t id = index_put_repo(t, REPO_HOSTED, repo);
    int64_t now = clock_wall_s();
    struct blob_record blob = {
        .size = m->body.len,
        .created = now,
        .used = now,
        .class = BLOB_MANIFEST,
        .synced = true,
    };

    index_put_blob(t, &m->digest, &blob);
    index_put_body(t, &m->digest, m->body.p, m->body.len);
    put_member(t, id, &m->digest, m->body.len, CHILD_MANIFEST, m->media_type);
    *ret_missing = put_children(t, id, m);
    if (m->parsed->has_subject) {
        index_put_ref(t, &m->parsed->subject, &m->digest, CHILD_REFERRER, m->body.len);
    }
    for (size_t i = 0; i < m->n_tags; i++) {
        hosted_put_tag(t, id, m->tags[i], &m->digest);
    }
}

/* --- tags, both ways ----------------------------------------------------------------------- */

static const char *way_back(const struct digest *d, const char *tag, char out[WAY_BACK_MAX])
{
    char text[DIGEST_TEXT_MAX];

    snprintf(out, WAY_BACK_MAX, "%s %s", digest_text(d, text), tag);
    return out;
}

/* From now on it counts how long the manifest has no tag. */
static void untag(struct index_txn *t, uint64_t repo, const struct digest *d)
{
    struct member_record m;

    if (index_txn_get_member(t, repo, d, &m) == INDEX_FOUND) {
        m.proved = clock_wall_s();
        index_put_member(t, repo, d, &m);
    }
}

void hosted_put_tag(struct index_txn *t, uint64_t repo, const char *tag, const struct digest *d)
{
    int64_t now = clock_wall_s();
    struct tag_record value = {.digest = *d, .fetched = now, .checked = now};
    char reference[WAY_BACK_MAX];
    struct tag_record old;

    if (index_txn_get_tag(t, repo, TAG_TAG, tag, &old) == INDEX_FOUND) {
        index_del_tag(t, repo, TAG_OF_DIGEST, way_back(&old.digest, tag, reference));
        untag(t, repo, &old.digest);
    }
    index_put_tag(t, repo, TAG_TAG, tag, &value);
    index_put_tag(t, repo, TAG_OF_DIGEST, way_back(d, tag, reference), &value);
}

bool hosted_del_tag(struct index_txn *t, uint64_t repo, const char *tag)
{
    char reference[WAY_BACK_MAX];
    struct tag_record old;

    if (index_txn_get_tag(t, repo, TAG_TAG, tag, &old) != INDEX_FOUND) {
        return false;
    }
    index_del_tag(t, repo, TAG_OF_DIGEST, way_back(&old.digest, tag, reference));
    untag(t, repo, &old.digest);
    index_del_tag(t, repo, TAG_TAG, tag);
    return true;
}

/* The first tag that means the digest; "" where there is none. */
struct first_tag {
    char prefix[WAY_BACK_MAX];
    char tag[REFERENCE_MAX + 1];
};

static bool one_tag_of(void *arg, struct slice key, struct slice value)
{
    struct first_tag *first = arg;
    char reference[REFERENCE_MAX + 1];
    size_t len = strlen(first->prefix);
    struct record_tag tag;

    if (record_get_tag(value, &tag) && record_reference_of_tag(key, &tag, reference) &&
        strncmp(reference, first->prefix, len) == 0) {
        snprintf(first->tag, sizeof(first->tag), "%s", reference + len);
    }
    return false;
}

/* Within a change: what was found there dies with the next one, so it is asked again for each. */
static bool first_tag_of(struct index_txn *t, uint64_t repo, const struct digest *d,
                         struct first_tag *ret)
{
    struct record_key from;
    struct record_key all;

    way_back(d, "", ret->prefix);
    ret->tag[0] = '\0';
    record_key_tags(&all, repo, TAG_OF_DIGEST);
    if (record_key_tag(&from, repo, TAG_OF_DIGEST, ret->prefix)) {
        db_each(t->db, DB_TAGS, record_key_view(&all), record_key_view(&from), one_tag_of, ret);
    }
    return ret->tag[0] != '\0';
}

struct tags_of {
    char prefix[WAY_BACK_MAX];
    bool (*f)(void *arg, const char *tag);
    void *arg;
};

static bool each_tag_of(void *arg, const char *reference, const struct tag_record *tag)
{
    struct tags_of *walk = arg;
    size_t len = strlen(walk->prefix);

    (void)tag;
    return strncmp(reference, walk->prefix, len) == 0 && walk->f(walk->arg, reference + len);
}

void hosted_each_tag_of(struct index_read *r, uint64_t repo, const struct digest *d,
                        bool (*f)(void *arg, const char *tag), void *arg)
{
    struct tags_of walk = {.f = f, .arg = arg};

    way_back(d, "", walk.prefix);
    index_each_tag(r, repo, TAG_OF_DIGEST, walk.prefix, each_tag_of, &walk);
}

/* --- removal ------------------------------------------------------------------------------- */

bool hosted_del_manifest(struct index_txn *t, uint64_t repo, const struct digest *d)
{
    struct member_record m;
    struct first_tag first;

    if (index_txn_get_member(t, repo, d, &m) != INDEX_FOUND || m.kind != CHILD_MANIFEST) {
        return false;
    }
    while (first_tag_of(t, repo, d, &first) && hosted_del_tag(t, repo, first.tag)) {
    }
    index_del_member(t, repo, d);
    return true;
}

bool hosted_del_blob(struct index_txn *t, uint64_t repo, const struct digest *d)
{
    struct member_record m;

    if (index_txn_get_member(t, repo, d, &m) != INDEX_FOUND || m.kind == CHILD_MANIFEST) {
        return false;
    }
    index_del_member(t, repo, d);
    return true;
}

/* --- references ---------------------------------------------------------------------------- */

struct referrers {
    struct index_read *read;
    uint64_t repo;
    bool (*f)(void *arg, const struct digest *referrer);
    void *arg;
};

static bool one_referrer(void *arg, const struct digest *child, uint8_t kind, uint64_t size)
{
    struct referrers *walk = arg;
    struct member_record m;

    (void)size;
    if (kind != CHILD_REFERRER ||
        index_get_member(walk->read, walk->repo, child, &m) != INDEX_FOUND) {
        return true;
    }
    return walk->f(walk->arg, child);
}

void hosted_each_referrer(struct index_read *r, uint64_t repo, const struct digest *subject,
                          bool (*f)(void *arg, const struct digest *referrer), void *arg)
{
    struct referrers walk = {r, repo, f, arg};

    index_each_ref(r, subject, one_referrer, &walk);
}

/* --- signs of interest --------------------------------------------------------------------- */

/* Owner: itself. `tag` "" means the blob. */
struct touched {
    struct index_write write;
    struct digest digest;
    char *repo;
    char tag[TAG_MAX_LEN + 1];
};

static void touched_done(struct index_write *w)
{
    struct touched *t = container_of(w, struct touched, write);

    free(t->repo);
    free(t);
}

static bool is_old(int64_t time)
{
    int64_t age = clock_wall_s() - time;

    return age >= TOUCH_S || age < 0;
}

static void touched_apply(struct index_write *w, struct index_txn *t)
{
    struct touched *touched = container_of(w, struct touched, write);
    struct member_record member;
    struct tag_record tag;
    uint64_t repo;

    if (index_txn_get_repo(t, REPO_HOSTED, touched->repo, &repo) != INDEX_FOUND) {
        return;
    }
    if (touched->tag[0] != '\0') {
        if (index_txn_get_tag(t, repo, TAG_TAG, touched->tag, &tag) == INDEX_FOUND) {
            tag.checked = clock_wall_s();
            index_put_tag(t, repo, TAG_TAG, touched->tag, &tag);
        }
    } else if (index_txn_get_member(t, repo, &touched->digest, &member) == INDEX_FOUND) {
        member.proved = clock_wall_s();
        index_put_member(t, repo, &touched->digest, &member);
    }
}

static void touch(struct store *s, const char *repo, const char *tag, struct digest d)
{
    struct touched *t = xnew(struct touched);

    t->repo = xstrdup(repo);
    snprintf(t->tag, sizeof(t->tag), "%s", tag);
    t->digest = d;
    t->write = (struct index_write){.apply = touched_apply, .done = touched_done, .lazy = true};
    index_write_submit(s, NULL, &t->write);
}

void hosted_touch_tag(struct store *s, const char *repo, const char *tag)
{
    struct index_read *r = index_read_begin(s);
    struct tag_record value;
    uint64_t id;
    bool old;

    if (r == NULL) {
        return;
    }
    old = index_get_repo(r, REPO_HOSTED, repo, &id) == INDEX_FOUND &&
          index_get_tag(r, id, TAG_TAG, tag, &value) == INDEX_FOUND && is_old(value.checked);
    index_read_end(r);
    if (old) {
        touch(s, repo, tag, (struct digest){0});
    }
}

void hosted_touch_blob(struct store *s, const char *repo, const struct digest *d)
{
    struct index_read *r = index_read_begin(s);
    struct member_record member;
    uint64_t id;
    bool old;

    if (r == NULL) {
        return;
    }
    old = index_get_repo(r, REPO_HOSTED, repo, &id) == INDEX_FOUND &&
          index_get_member(r, id, d, &member) == INDEX_FOUND && is_old(member.proved);
    index_read_end(r);
    if (old) {
        touch(s, repo, "", *d);
    }
}
