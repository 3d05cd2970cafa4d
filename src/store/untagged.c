/* store/untagged.c - the manifests first, then the blobs that only these name. */
#include "store/untagged.h"

#include "oci/manifest.h"
#include "store/inner.h"
#include "store/roots.h"

#include <stdlib.h>

/* One repository. */
struct search {
    struct index_read *read;
    uint64_t repo;
    struct roots roots;
    struct gone *gone; /* what was found, for the question what would be left */
    struct untagged *found;
};

static void add(struct search *s, const struct digest *d, const struct member_record *m,
                const struct blob_record *blob)
{
    struct untagged *u = s->found;

    if (u->n == u->cap) {
        u->cap = u->cap == 0 ? 16 : 2 * u->cap;
        u->all = xrealloc(u->all, u->cap * sizeof(*u->all));
    }
    u->all[u->n++] = (struct untagged_manifest){*d, m->proved, blob->pinned};
    u->bytes += blob->size;
}

static bool look_at_manifest(void *arg, const struct digest *d, const struct member_record *m)
{
    struct search *s = arg;
    struct blob_record blob;

    s->roots.visited = 0;
    if (m->kind == CHILD_MANIFEST && index_get_blob(s->read, d, &blob) == INDEX_FOUND &&
        !roots_hold(&s->roots, d)) {
        add(s, d, m, &blob);
    }
    return true;
}

/* What nobody names at all is no matter of manifests: it goes after its grace. */
static bool look_at_blob(void *arg, const struct digest *d, const struct member_record *m)
{
    struct search *s = arg;
    struct judge now = {index_read_db(s->read), NULL};
    struct judge then = {index_read_db(s->read), s->gone};
    struct blob_record blob;

    if (m->kind != CHILD_MANIFEST && !judge_is_referred(&then, s->repo, d) &&
        judge_is_referred(&now, s->repo, d) && index_get_blob(s->read, d, &blob) == INDEX_FOUND) {
        s->found->bytes += blob.size;
    }
    return true;
}

static int order(const void *left, const void *right)
{
    const struct untagged_manifest *a = left;
    const struct untagged_manifest *b = right;

    return a->since != b->since ? (a->since < b->since ? -1 : 1)
                                : memcmp(&a->digest, &b->digest, sizeof(a->digest));
}

void untagged_find(struct index_read *r, uint64_t repo, struct untagged *ret)
{
    struct search s = {.read = r, .repo = repo, .found = ret};
    struct judge judge = {index_read_db(r), NULL};

    *ret = (struct untagged){0};
    roots_init(&s.roots, &judge, NULL);
    s.roots.repo = repo;
    index_each_member(r, repo, look_at_manifest, &s);
    roots_fini(&s.roots);
    if (ret->n == 0) {
        return;
    }
    s.gone = gone_new();
    for (size_t i = 0; i < ret->n; i++) {
        gone_add(s.gone, repo, &ret->all[i].digest);
    }
    index_each_member(r, repo, look_at_blob, &s);
    gone_free(s.gone);
    qsort(ret->all, ret->n, sizeof(*ret->all), order);
}

void untagged_fini(struct untagged *u)
{
    free(u->all);
    *u = (struct untagged){0};
}
