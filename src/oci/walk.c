/* oci/walk.c - a stack of what is to come, and a set of what was seen. */
#include "oci/walk.h"

#include "base/map.h"
#include "oci/referrers.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

/* The questions about a manifest, in the order in which they are asked. */
static const char *const SUFFIXES[] = {NULL, "", ".sig", ".att", ".sbom"};

struct pending {
    struct descriptor what;
    struct digest parent;
    enum walk_kind kind;
    unsigned depth;
    bool referrer;
    unsigned suffix; /* of WALK_TAG */
};

/* Owner: the set. One digest may stand as a manifest in one place and as a blob in another. */
struct seen {
    struct map_node node;
    struct digest digest;
    bool manifest;
};

struct walk {
    struct platform *platforms;
    size_t n_platforms;
    bool referrers;
    struct map seen;
    struct pending *stack; /* the last is the next */
    size_t n;
    size_t cap;
    size_t mark;        /* what lies above was added since the last item, in the order of adding */
    struct pending now; /* the last item */
};

struct walk *walk_new(const struct platform *platforms, size_t n_platforms, bool referrers)
{
    struct walk *w = xnew(struct walk);

    w->platforms = xcalloc(n_platforms + 1, sizeof(*platforms));
    w->n_platforms = n_platforms;
    w->referrers = referrers;
    if (n_platforms > 0) {
        memcpy(w->platforms, platforms, n_platforms * sizeof(*platforms));
    }
    map_init(&w->seen);
    return w;
}

void walk_free(struct walk *w)
{
    if (w == NULL) {
        return;
    }
    for (size_t i = 0; i < w->seen.n_buckets; i++) {
        struct map_node *node = w->seen.buckets[i];

        while (node != NULL) {
            struct map_node *next = node->next;

            free(container_of(node, struct seen, node));
            node = next;
        }
    }
    map_fini(&w->seen);
    free(w->platforms);
    free(w->stack);
    free(w);
}

static bool seen_same(const struct map_node *node, const void *key)
{
    const struct seen *a = container_of_const(node, struct seen, node);
    const struct seen *b = key;

    return a->manifest == b->manifest && digest_equal(&a->digest, &b->digest);
}

/* False where it was there already. */
static bool seen_add(struct walk *w, const struct digest *d, bool manifest)
{
    /* Nobody vouched for these digests: they may be chosen to collide. */
    uint64_t hash = map_hash(d, sizeof(*d));
    struct seen key = {.digest = *d, .manifest = manifest};
    struct seen *s;

    if (map_find(&w->seen, hash, seen_same, &key) != NULL) {
        return false;
    }
    s = xnew(struct seen);
    *s = key;
    map_insert(&w->seen, hash, &s->node);
    return true;
}

static void push(struct walk *w, const struct pending *p)
{
    if (w->n == w->cap) {
        w->cap = w->cap == 0 ? 16 : 2 * w->cap;
        w->stack = xrealloc(w->stack, w->cap * sizeof(*w->stack));
    }
    w->stack[w->n++] = *p;
}

/* Something that is there to be carried: once. */
static int push_new(struct walk *w, struct pending *p, struct err *e)
{
    bool manifest = p->what.kind == CHILD_MANIFEST || p->what.kind == CHILD_REFERRER;

    p->kind = manifest ? WALK_MANIFEST : WALK_BLOB;
    if (!seen_add(w, &p->what.digest, manifest)) {
        return 0;
    }
    if (w->seen.count > WALK_ITEMS_MAX) {
        return err_set(e, ERR_MANIFEST_INVALID, "it names more than %d manifests and blobs",
                       WALK_ITEMS_MAX);
    }
    push(w, p);
    return 0;
}

void walk_root(struct walk *w, const struct descriptor *d)
{
    struct pending p = {.what = *d};
    struct err e;

    ignore_result(push_new(w, &p, &e));
}

/* The questions about a manifest; those about what is nested too deep are not asked. They lie below
 * its children, so that they come behind them. */
static void push_questions(struct walk *w)
{
    size_t n = w->now.what.digest.alg == DIGEST_SHA256 ? ARRAY_LEN(SUFFIXES) : 2;

    if (!w->referrers || w->now.depth >= WALK_DEPTH_MAX) {
        return;
    }
    while (n > 0) {
        struct pending p = {
            .what.digest = w->now.what.digest,
            .parent = w->now.what.digest,
            .kind = --n == 0 ? WALK_REFERRERS : WALK_TAG,
            .depth = w->now.depth,
            .referrer = true,
            .suffix = (unsigned)n,
        };

        push(w, &p);
    }
}

/* What was added last in the order of adding comes in that order. */
static void turn(struct walk *w)
{
    for (size_t low = w->mark, high = w->n; low + 1 < high; low++) {
        struct pending p = w->stack[low];

        w->stack[low] = w->stack[--high];
        w->stack[high] = p;
    }
}

bool walk_next(struct walk *w, struct walk_item *ret)
{
    char base[REFERRERS_TAG_MAX];

    turn(w);
    w->mark = w->n;
    if (w->n == 0) {
        return false;
    }
    w->now = w->stack[--w->n];
    *ret = (struct walk_item){
        .kind = w->now.kind,
        .what = w->now.what,
        .parent = w->now.parent,
        .depth = w->now.depth,
        .referrer = w->now.referrer,
    };
    if (w->now.kind == WALK_TAG) {
        snprintf(ret->tag, sizeof(ret->tag), "%s%s",
                 referrers_fallback_tag(&w->now.what.digest, base), SUFFIXES[w->now.suffix]);
    }
    if (w->now.kind == WALK_MANIFEST) {
        push_questions(w);
    }
    w->mark = w->n;
    return true;
}

static bool is_wanted(const bool *keep, size_t i)
{
    return keep == NULL || keep[i];
}

/* Whether a manifest among the children would lie too deep. */
static bool too_deep(const struct walk *w, const struct manifest *m, const bool *keep)
{
    for (size_t i = 0; i < m->n_children && w->now.depth == WALK_DEPTH_MAX; i++) {
        if (is_wanted(keep, i) && m->children[i].kind == CHILD_MANIFEST) {
            return true;
        }
    }
    return false;
}

/* Those that are wanted; NULL: all. */
static int push_children(struct walk *w, const struct manifest *m, const bool *keep, struct err *e)
{
    if (too_deep(w, m, keep)) {
        return err_set(e, ERR_MANIFEST_INVALID, "manifests are nested deeper than %d",
                       WALK_DEPTH_MAX);
    }
    for (size_t i = 0; i < m->n_children; i++) {
        struct pending p = {
            .what = m->children[i],
            .parent = w->now.what.digest,
            .depth = w->now.depth + 1,
            .referrer = w->now.referrer,
        };

        if (is_wanted(keep, i) && push_new(w, &p, e) < 0) {
            return -1;
        }
    }
    return 0;
}

/* An index of which only some platforms are wanted. */
static int push_chosen(struct walk *w, struct slice body, const struct manifest *m, struct err *e)
{
    bool *keep = xcalloc(m->n_children + 1, sizeof(*keep));
    char text[PLATFORM_TEXT_MAX];
    int result = -1;

    if (platform_choose(body, m, w->platforms, w->n_platforms, w->referrers, keep)) {
        result = push_children(w, m, keep, e);
    } else {
        err_set(e, ERR_MANIFEST_UNKNOWN, "it has no image for %s%s",
                platform_text(&w->platforms[0], text),
                w->n_platforms > 1 ? ", nor for the other platforms" : "");
    }
    free(keep);
    return result;
}

int walk_manifest(struct walk *w, struct slice body, struct err *e)
{
    /* A referrer's list of signatures is for no platform, whatever it says. */
    bool all = w->n_platforms == 0 || w->now.referrer;
    struct manifest *m = NULL;
    int result;

    assert(w->now.kind == WALK_MANIFEST && w->n == w->mark);
    if (manifest_parse(body, slice_str(w->now.what.media_type), &m, e) < 0) {
        return -1;
    }
    result = all || m->type != MANIFEST_INDEX ? push_children(w, m, NULL, e)
                                              : push_chosen(w, body, m, e);
    manifest_free(m);
    if (result < 0) {
        w->n = w->mark;
    }
    return result;
}

int walk_add(struct walk *w, const struct descriptor *d, struct err *e)
{
    struct pending p = {
        .what = *d,
        .parent = w->now.what.digest,
        .depth = w->now.depth + 1,
        .referrer = true,
    };

    assert(w->now.kind == WALK_REFERRERS || w->now.kind == WALK_TAG);
    p.what.kind = CHILD_REFERRER;
    return push_new(w, &p, e);
}
