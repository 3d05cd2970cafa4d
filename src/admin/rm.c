/* admin/rm.c - removes tags, manifests and whole repositories of Larder's own. */
#include "admin/repos.h"
#include "admin/settle.h"
#include "store/hosted.h"
#include "store/retain.h"

#include <stdio.h>
#include <stdlib.h>

/* Members or tags of a repository that go in one change. */
#define BATCH 256

/* What a command names. */
struct target {
    struct admin_repo repo;
    char tag[TAG_MAX_LEN + 1]; /* "" where it names none */
    bool by_digest;
    struct digest digest;
};

struct gone {
    bool manifest;
    struct digest digest;
};

/* One change of the index, which somebody waits for. Owner: the waiting thread. */
struct removal {
    struct settle settle;
    uint64_t repo;
    bool only_manifests;
    /* what is to go, as it was read */
    char (*tags)[TAG_MAX_LEN + 1];
    size_t n_tags;
    struct gone *members;
    size_t n_members;
    /* what went: true for each that was there */
    bool *tag_gone;
    bool *member_gone;
};

/* What a command removed. */
struct removed {
    struct buf *out;
    const char *repo;
    bool first;
    uint64_t tags;
    uint64_t manifests;
    uint64_t blobs;
};

/* --- what is meant ------------------------------------------------------------------------- */

/* REPOSITORY, REPOSITORY:TAG or REPOSITORY@DIGEST; a ':' before the last '/' is a port's. */
static int target_find(const struct admin *a, struct slice text, struct target *ret,
                       struct err *err)
{
    size_t at = slice_find(text, '@');
    size_t colon = text.len;
    struct slice name;

    if (at < text.len) {
        name = slice_sub(text, 0, at);
        ret->by_digest = true;
        if (!digest_parse(slice_from(text, at + 1), &ret->digest)) {
            return err_set(err, ERR_DIGEST_INVALID, "what follows the @ is no digest");
        }
    } else {
        for (size_t i = text.len; i > 0 && text.p[i - 1] != '/'; i--) {
            colon = text.p[i - 1] == ':' ? i - 1 : colon;
        }
        name = slice_sub(text, 0, colon);
        if (colon < text.len &&
            (!tag_valid(slice_from(text, colon + 1)) ||
             !slice_copy(slice_from(text, colon + 1), ret->tag, sizeof(ret->tag)))) {
            return err_set(err, ERR_MANIFEST_UNKNOWN, "what follows the : is no tag");
        }
    }
    if (admin_repo_find(a, name, &ret->repo, err) < 0) {
        return -1;
    }
    if (ret->repo.kind != REPO_HOSTED) {
        return err_set(err, ERR_UNSUPPORTED,
                       "%s is mirrored: what is kept of it goes by itself, where room is needed",
                       ret->repo.name);
    }
    return 0;
}

/* --- one change ---------------------------------------------------------------------------- */

static void removal_apply(struct index_write *w, struct index_txn *t)
{
    struct removal *r = container_of(w, struct removal, settle.write);

    for (size_t i = 0; i < r->n_tags; i++) {
        r->tag_gone[i] = hosted_del_tag(t, r->repo, r->tags[i]);
    }
    for (size_t i = 0; i < r->n_members; i++) {
        const struct digest *d = &r->members[i].digest;

        r->member_gone[i] = hosted_del_manifest(t, r->repo, d);
        r->members[i].manifest = r->member_gone[i];
        r->member_gone[i] |= !r->only_manifests && hosted_del_blob(t, r->repo, d);
    }
}

static void removal_init(struct removal *r, uint64_t repo)
{
    *r = (struct removal){.repo = repo};
    settle_init(&r->settle, removal_apply);
    r->tags = xcalloc(BATCH, sizeof(*r->tags));
    r->members = xcalloc(BATCH, sizeof(*r->members));
    r->tag_gone = xcalloc(BATCH, sizeof(*r->tag_gone));
    r->member_gone = xcalloc(BATCH, sizeof(*r->member_gone));
}

static void removal_fini(struct removal *r)
{
    settle_fini(&r->settle);
    free(r->tags);
    free(r->members);
    free(r->tag_gone);
    free(r->member_gone);
}

/* Makes the change, then has the bytes looked at. */
static int removal_run(const struct admin *a, struct removal *r, struct err *err)
{
    struct digest *drop = xcalloc(r->n_members + 1, sizeof(*drop));
    size_t n_drop = 0;
    int result;

    result = settle_run(&r->settle, a->store, err);
    for (size_t i = 0; i < r->n_members && result == 0; i++) {
        if (r->member_gone[i]) {
            drop[n_drop++] = r->members[i].digest;
        }
    }
    if (n_drop > 0) {
        retain_drop(a->store, drop, n_drop);
    }
    free(drop);
    return result;
}

/* --- the answer ---------------------------------------------------------------------------- */

static void write_removed(struct removed *all, const char *what, const char *name,
                          const char *value)
{
    buf_printf(all->out, "%s\n {\"what\":\"%s\",\"repository\":", all->first ? "" : ",", what);
    all->first = false;
    buf_json(all->out, slice_str(all->repo));
    buf_printf(all->out, ",\"%s\":", name);
    buf_json(all->out, slice_str(value));
    buf_str(all->out, "}");
}

/* Adds what a change removed; false: nothing. */
static bool report(const struct removal *r, struct removed *all)
{
    char text[DIGEST_TEXT_MAX];
    bool any = false;

    for (size_t i = 0; i < r->n_tags; i++) {
        if (r->tag_gone[i]) {
            write_removed(all, "tag", "tag", r->tags[i]);
            all->tags++;
            any = true;
        }
    }
    for (size_t i = 0; i < r->n_members; i++) {
        if (r->member_gone[i]) {
            write_removed(all, r->members[i].manifest ? "manifest" : "blob", "digest",
                          digest_text(&r->members[i].digest, text));
            all->manifests += r->members[i].manifest;
            all->blobs += !r->members[i].manifest;
            any = true;
        }
    }
    return any;
}

/* --- all of a repository, or one thing of it ----------------------------------------------- */

static bool take_tag(void *arg, const char *reference, const struct tag_record *t)
{
    struct removal *r = arg;

    (void)t;
    snprintf(r->tags[r->n_tags++], sizeof(r->tags[0]), "%s", reference);
    return r->n_tags < BATCH;
}

static bool take_tag_of(void *arg, const char *tag)
{
    return take_tag(arg, tag, NULL);
}

static bool take_member(void *arg, const struct digest *d, const struct member_record *m)
{
    struct removal *r = arg;

    (void)m;
    r->members[r->n_members++] = (struct gone){false, *d};
    return r->n_members < BATCH;
}

/* What goes next: tags while there are any, so that no tag ever names what is gone. */
static int next_batch(const struct admin *a, const struct target *t, struct removal *r,
                      struct err *err)
{
    struct index_read *read;

    r->n_tags = r->n_members = 0;
    if (t->tag[0] != '\0') {
        snprintf(r->tags[r->n_tags++], sizeof(r->tags[0]), "%s", t->tag);
        return 0;
    }
    if (admin_read_begin(a, &read, err) < 0) {
        return -1;
    }
    if (t->by_digest) {
        hosted_each_tag_of(read, t->repo.id, &t->digest, take_tag_of, r);
    } else {
        index_each_tag(read, t->repo.id, TAG_TAG, "", take_tag, r);
    }
    if (r->n_tags < BATCH && t->by_digest) {
        r->members[r->n_members++] = (struct gone){false, t->digest};
    } else if (r->n_tags == 0) {
        index_each_member(read, t->repo.id, take_member, r);
    }
    index_read_end(read);
    return 0;
}

static int nothing(const struct target *t, struct err *err)
{
    char text[DIGEST_TEXT_MAX];

    if (t->by_digest) {
        return err_set(err, ERR_MANIFEST_UNKNOWN, "%.80s has no manifest %.140s", t->repo.name,
                       digest_text(&t->digest, text));
    }
    if (t->tag[0] != '\0') {
        return err_set(err, ERR_MANIFEST_UNKNOWN, "%.90s has no tag %s", t->repo.name, t->tag);
    }
    return err_set(err, ERR_NAME_UNKNOWN, "nothing is left of %.200s", t->repo.name);
}

static int remove_all(const struct admin *a, const struct target *t, struct removed *all,
                      struct err *err)
{
    struct removal r;
    bool again = true;
    int result = 0;

    removal_init(&r, t->repo.id);
    r.only_manifests = t->by_digest;
    while (again && result == 0) {
        result = next_batch(a, t, &r, err);
        if (result == 0 && r.n_tags + r.n_members > 0) {
            result = removal_run(a, &r, err);
        }
        again = result == 0 && r.n_tags + r.n_members > 0 && report(&r, all) && t->tag[0] == '\0';
    }
    removal_fini(&r);
    return result;
}

int admin_rm(const struct admin *a, const struct admin_query *q, struct buf *out, struct err *err)
{
    struct removed all = {.out = out, .first = true};
    struct target t = {0};

    if (target_find(a, slice_str(q->name), &t, err) < 0) {
        return -1;
    }
    all.repo = t.repo.name;
    buf_str(out, "{\"removed\":[");
    if (remove_all(a, &t, &all, err) < 0) {
        return -1;
    }
    if (all.first) {
        return nothing(&t, err);
    }
    buf_printf(out, "],\n\"tags\":%llu,\"manifests\":%llu,\"blobs\":%llu}\n",
               (unsigned long long)all.tags, (unsigned long long)all.manifests,
               (unsigned long long)all.blobs);
    return 0;
}
