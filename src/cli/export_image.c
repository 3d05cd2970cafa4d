/*
 * cli/export_image.c - one image: its manifests, and what they need, as far as it is here.
 *
 * The walk names manifests, indexes above what they have. An image is taken with all its blobs, or
 * not at all; an index where something below it is taken. So a cache that holds an index for one
 * platform carries it for that one, and the index stays as it is, byte for byte.
 */
#include "cli/export_parts.h"
#include "cli/render.h"
#include "oci/walk.h"

#include <stdio.h>
#include <stdlib.h>

#define NO_PARENT SIZE_MAX
#define TARGET_MAX (ROUTE_REPO_MAX + ROUTE_REFERENCE_MAX + 64)

/* A manifest that is here. */
struct node {
    struct digest digest;
    char media_type[MEDIA_TYPE_MAX];
    uint64_t size;
    size_t parent; /* NO_PARENT: a root, or a referrer */
    size_t taken;  /* of an index: how many manifests and blobs below it are */
    bool is_index;
    bool dropped;
    bool referrer;
    struct digest subject;     /* of a referrer; alg 0 where it has a tag */
    char tag[TAG_MAX_LEN + 1]; /* of a referrer by a tag */
};

/* A blob of one of them. */
struct part {
    struct digest digest;
    uint64_t size;
    size_t node;
};

/* What a signature tag names, until the walk comes to it. */
struct tagged {
    struct digest digest;
    char tag[TAG_MAX_LEN + 1];
};

/* Owner: export_image(). */
struct gather {
    struct export *x;
    const struct export_wanted *w;
    const char *name;
    bool is_hosted;
    struct walk *walk;
    struct export_body root;
    struct node *nodes;
    size_t n_nodes;
    struct part *parts;
    size_t n_parts;
    size_t parts_cap;
    struct tagged *tags;
    size_t n_tags;
};

/* --- what is said -------------------------------------------------------------------------- */

/* "NAME:TAG", or "NAME@DIGEST". */
static const char *label(const struct gather *g, char out[REFERENCE_TEXT_MAX])
{
    char digest[DIGEST_TEXT_MAX];

    if (g->w->tag[0] != '\0') {
        snprintf(out, REFERENCE_TEXT_MAX, "%s:%s", g->name, g->w->tag);
    } else {
        snprintf(out, REFERENCE_TEXT_MAX, "%s@%s", g->name, digest_text(&g->w->digest, digest));
    }
    return out;
}

/* Something is not here. What was pushed cannot be fetched again. */
static int absent(const struct gather *g, const char *what, bool referrers, struct err *err)
{
    bool by_digest = g->w->by_digest && !g->w->is_whole && g->w->tag[0] != '\0';
    struct export_lack *lack = &g->x->lack;
    char text[REFERENCE_TEXT_MAX];
    char digest[DIGEST_TEXT_MAX];

    label(g, text);
    *lack = (struct export_lack){true, !g->is_hosted, referrers, ""};
    snprintf(lack->name, sizeof(lack->name), "%s%s%s", text, by_digest ? "@" : "",
             by_digest ? digest_text(&g->w->digest, digest) : "");
    return err_set(err, ERR_MANIFEST_UNKNOWN, "%.120s%s", text, what);
}

static int wrong(const struct gather *g, struct err *err)
{
    char text[REFERENCE_TEXT_MAX];

    return err_wrap(err, "%.120s", label(g, text));
}

/* --- what is found ------------------------------------------------------------------------- */

static size_t node_find(const struct gather *g, const struct digest *d)
{
    for (size_t i = g->n_nodes; i-- > 0;) {
        if (digest_equal(&g->nodes[i].digest, d)) {
            return i;
        }
    }
    return NO_PARENT;
}

static struct node *node_add(struct gather *g, const struct walk_item *item,
                             const struct export_body *b, const struct manifest *m)
{
    struct node *n;

    if ((g->n_nodes & (g->n_nodes - 1)) == 0) { /* a power of two: no room left */
        g->nodes = xrealloc(g->nodes, (g->n_nodes == 0 ? 1 : 2 * g->n_nodes) * sizeof(*g->nodes));
    }
    n = &g->nodes[g->n_nodes++];
    *n = (struct node){
        .digest = item->what.digest,
        .size = b->text.len,
        .parent = NO_PARENT,
        .is_index = m->type == MANIFEST_INDEX,
        .referrer = item->what.kind == CHILD_REFERRER,
    };
    snprintf(n->media_type, sizeof(n->media_type), "%s", m->media_type);
    if (!n->referrer && item->parent.alg != 0) {
        n->parent = node_find(g, &item->parent);
    }
    if (n->referrer) {
        n->subject = item->parent;
        for (size_t i = 0; i < g->n_tags; i++) {
            if (digest_equal(&g->tags[i].digest, &n->digest)) {
                memcpy(n->tag, g->tags[i].tag, sizeof(n->tag));
                n->subject = (struct digest){0};
            }
        }
    }
    return n;
}

static void part_add(struct gather *g, const struct digest *d, uint64_t size, size_t node)
{
    if (g->n_parts == g->parts_cap) {
        g->parts_cap = g->parts_cap == 0 ? 32 : 2 * g->parts_cap;
        g->parts = xrealloc(g->parts, g->parts_cap * sizeof(*g->parts));
    }
    g->parts[g->n_parts++] = (struct part){*d, size, node};
}

/* Whether what hangs on it must be here. */
static bool is_needed(const struct gather *g, const struct walk_item *item)
{
    return item->parent.alg == 0 || g->w->whole || (item->referrer && !g->x->forgiving);
}

static int refuse(const struct gather *g, const struct walk_item *item, const struct digest *d,
                  struct err *err)
{
    char what[DIGEST_TEXT_MAX + 48];
    char text[DIGEST_TEXT_MAX];

    digest_text(d, text);
    snprintf(what, sizeof(what), " is not whole here: %.19s… is missing", text);
    return absent(g, what, item->referrer, err);
}

/* A manifest, or a blob of it, is not here. */
static int leave_out(struct gather *g, const struct walk_item *item, const struct digest *missing,
                     struct err *err)
{
    char name[REFERENCE_TEXT_MAX];
    char text[DIGEST_TEXT_MAX];
    char *note;

    if (is_needed(g, item)) {
        return refuse(g, item, missing, err);
    }
    if (!digest_equal(missing, &item->what.digest)) { /* somebody began to fetch it */
        note = xasprintf("%s goes without %s, of which not all is here", label(g, name),
                         digest_text(&item->what.digest, text));
        export_note(g->x, note);
        free(note);
    }
    return 0;
}

/* --- manifests ----------------------------------------------------------------------------- */

/* The size of a blob, which must be what its manifest says. */
static int size_of(struct gather *g, const struct descriptor *d, uint64_t *ret, struct err *err)
{
    char text[DIGEST_TEXT_MAX];

    if (export_ask_size(g->x, &d->digest, ret, err) < 0) {
        return wrong(g, err);
    }
    if (d->size != DESCRIPTOR_SIZE_UNKNOWN && d->size != *ret) {
        err_set(err, ERR_STORE, "%.19s… has %llu byte%s here, and its manifest says %llu",
                digest_text(&d->digest, text), (unsigned long long)*ret, render_s(*ret),
                (unsigned long long)d->size);
        return wrong(g, err);
    }
    return 0;
}

/* All blobs of an image; *ret_missing has alg 0 where they are here. */
static int parts_find(struct gather *g, const struct manifest *m, size_t node,
                      struct digest *ret_missing, struct err *err)
{
    struct digest *all = xcalloc(m->n_children + 1, sizeof(*all));
    bool *missing = xcalloc(m->n_children + 1, sizeof(*missing));
    int result;

    for (size_t i = 0; i < m->n_children; i++) {
        all[i] = m->children[i].digest;
    }
    *ret_missing = (struct digest){0};
    result = export_ask_missing(g->x, all, m->n_children, missing, err);
    for (size_t i = 0; i < m->n_children && result == 0 && ret_missing->alg == 0; i++) {
        uint64_t size;

        if (missing[i] && !m->children[i].foreign) {
            *ret_missing = all[i];
        } else if (!missing[i]) {
            result = size_of(g, &m->children[i], &size, err);
            part_add(g, &all[i], size, node);
        }
    }
    free(all);
    free(missing);
    return result;
}

static int on_image(struct gather *g, const struct walk_item *item, const struct export_body *b,
                    const struct manifest *m, struct err *err)
{
    size_t before = g->n_parts;
    struct digest missing;

    if (parts_find(g, m, g->n_nodes, &missing, err) < 0) {
        return -1;
    }
    if (missing.alg != 0) {
        g->n_parts = before;
        return leave_out(g, item, &missing, err);
    }
    node_add(g, item, b, m);
    return 0;
}

static int on_index(struct gather *g, const struct walk_item *item, const struct export_body *b,
                    const struct manifest *m, struct err *err)
{
    node_add(g, item, b, m);
    return walk_manifest(g->walk, buf_view(&b->text), err) < 0 ? wrong(g, err) : 0;
}

static int on_body(struct gather *g, const struct walk_item *item, const struct export_body *b,
                   struct err *err)
{
    const char *type = b->media_type[0] == '\0' ? item->what.media_type : b->media_type;
    bool missing = false;
    struct manifest *m;
    int result;

    if (manifest_parse(buf_view(&b->text), slice_str(type), &m, err) < 0) {
        return wrong(g, err);
    }
    /* That its body came does not say that its file is good, nor that it stays. */
    result = export_ask_missing(g->x, &item->what.digest, 1, &missing, err);
    if (result == 0 && missing) {
        result = leave_out(g, item, &item->what.digest, err);
    } else if (result == 0) {
        result =
            m->type == MANIFEST_INDEX ? on_index(g, item, b, m, err) : on_image(g, item, b, m, err);
    }
    manifest_free(m);
    return result;
}

static int on_manifest(struct gather *g, const struct walk_item *item, struct err *err)
{
    char target[TARGET_MAX];
    char text[DIGEST_TEXT_MAX];
    struct export_body b;
    int result;

    if (item->parent.alg == 0) {
        return on_body(g, item, &g->root, err);
    }
    snprintf(target, sizeof(target), "/v2/%s/manifests/%s", g->name,
             digest_text(&item->what.digest, text));
    result = export_ask_body(g->x, target, &item->what.digest, &b, err);
    if (result != 0) {
        return result < 0 ? wrong(g, err) : leave_out(g, item, &item->what.digest, err);
    }
    result = on_body(g, item, &b, err);
    export_body_fini(&b);
    return result;
}

/* Of an index itself: build caches are such. */
static int on_blob(struct gather *g, const struct walk_item *item, struct err *err)
{
    size_t node = node_find(g, &item->parent);
    bool missing = false;
    uint64_t size;

    if (node == NO_PARENT || export_ask_missing(g->x, &item->what.digest, 1, &missing, err) < 0) {
        return node == NO_PARENT ? 0 : -1;
    }
    if (missing) {
        return item->what.foreign ? 0 : refuse(g, item, &item->what.digest, err);
    }
    if (size_of(g, &item->what, &size, err) < 0) {
        return -1;
    }
    part_add(g, &item->what.digest, size, node);
    g->nodes[node].taken++;
    return 0;
}

/* --- referrers ----------------------------------------------------------------------------- */

/* An index that lists them: what it names refers to the same. */
static int add_listed(struct gather *g, const struct export_body *b, struct err *err)
{
    struct manifest *m;
    int result = 0;

    if (manifest_parse(buf_view(&b->text), slice_str(MEDIA_TYPE_OCI_INDEX), &m, err) < 0) {
        return wrong(g, err);
    }
    for (size_t i = 0; i < m->n_children && result == 0; i++) {
        if (m->children[i].kind == CHILD_MANIFEST) {
            result = walk_add(g->walk, &m->children[i], err);
        }
    }
    manifest_free(m);
    return result < 0 ? wrong(g, err) : 0;
}

static int add_tagged(struct gather *g, const struct walk_item *item, const struct export_body *b,
                      struct err *err)
{
    struct descriptor d = {.digest = b->digest, .size = b->text.len, .kind = CHILD_MANIFEST};

    snprintf(d.media_type, sizeof(d.media_type), "%s", b->media_type);
    g->tags = xrealloc(g->tags, (g->n_tags + 1) * sizeof(*g->tags));
    g->tags[g->n_tags].digest = b->digest;
    memcpy(g->tags[g->n_tags].tag, item->tag, sizeof(item->tag));
    g->n_tags++;
    return walk_add(g->walk, &d, err) < 0 ? wrong(g, err) : 0;
}

/* Those that are known here; of what is not carried itself, none. */
static int on_question(struct gather *g, const struct walk_item *item, struct err *err)
{
    char target[TARGET_MAX];
    char text[DIGEST_TEXT_MAX];
    struct export_body b;
    int result;

    if (node_find(g, &item->what.digest) == NO_PARENT) {
        return 0;
    }
    if (item->kind == WALK_TAG) {
        snprintf(target, sizeof(target), "/v2/%s/manifests/%s", g->name, item->tag);
    } else {
        snprintf(target, sizeof(target), "/v2/%s/referrers/%s", g->name,
                 digest_text(&item->what.digest, text));
    }
    result = export_ask_body(g->x, target, NULL, &b, err);
    if (result != 0) {
        return result < 0 ? wrong(g, err) : 0;
    }
    result = item->kind == WALK_TAG ? add_tagged(g, item, &b, err) : add_listed(g, &b, err);
    export_body_fini(&b);
    return result;
}

/* --- all of it ----------------------------------------------------------------------------- */

static int walk_all(struct gather *g, struct err *err)
{
    struct walk_item item;
    int result = 0;

    while (result == 0 && walk_next(g->walk, &item)) {
        switch (item.kind) {
        case WALK_MANIFEST:
            result = on_manifest(g, &item, err);
            break;
        case WALK_BLOB:
            result = on_blob(g, &item, err);
            break;
        case WALK_REFERRERS:
        case WALK_TAG:
            result = on_question(g, &item, err);
            break;
        }
    }
    return result;
}

/* An index with nothing below it is as good as absent; parents stand before their children. An
 * empty one is whole, and so is a referrer's: that is a list. */
static int prune(struct gather *g, struct err *err)
{
    for (size_t i = g->n_nodes; i-- > 0;) {
        struct node *n = &g->nodes[i];
        struct manifest *m = NULL;

        if (i == 0 && n->is_index && n->taken == 0 &&
            manifest_parse(buf_view(&g->root.text), slice_str(n->media_type), &m, err) == 0 &&
            m->n_children > 0) {
            manifest_free(m);
            return absent(g, " is not here but for its index", false, err);
        }
        manifest_free(m);
        n->dropped = i > 0 && n->is_index && n->taken == 0 && !n->referrer;
        if (!n->dropped && n->parent != NO_PARENT) {
            g->nodes[n->parent].taken++;
        }
    }
    return 0;
}

/* The manifest that docker load should find: the image itself, or of an index the first that is
 * taken, in the order of what is meant here. */
static struct digest docker_choose(const struct gather *g)
{
    struct platform here = platform_here();
    struct digest chosen = {0};
    struct digest *order;
    size_t n;

    if (!g->nodes[0].is_index) {
        return g->nodes[0].digest;
    }
    platform_order(buf_view(&g->root.text), g->w->n_platforms > 0 ? &g->w->platforms[0] : &here,
                   &order, &n);
    for (size_t i = 0; i < n && chosen.alg == 0; i++) {
        size_t node = node_find(g, &order[i]);

        if (node != NO_PARENT && !g->nodes[node].is_index && !g->nodes[node].dropped) {
            chosen = order[i];
        }
    }
    free(order);
    return chosen;
}

static void blob_take(struct export *x, const struct digest *d, uint64_t size)
{
    blobset_add(export_base_has(&x->base, d) ? &x->needs : &x->blobs, d, size);
}

/* Whether the other side has the manifest and all its blobs: then the manifest stands for them, as
 * nobody gives an image a name without. A list names only images that are whole. */
static bool is_covered(const struct gather *g, size_t node)
{
    const struct export_base *base = &g->x->base;
    bool covered = export_base_has(base, &g->nodes[node].digest);

    for (size_t i = 0; i < g->n_parts && covered && !base->has_list; i++) {
        covered = g->parts[i].node != node || export_base_has(base, &g->parts[i].digest);
    }
    return covered;
}

static void parts_take(struct gather *g)
{
    struct export *x = g->x;
    bool *covered = xcalloc(g->n_nodes, sizeof(*covered));

    for (size_t i = 0; i < g->n_nodes; i++) {
        covered[i] = !g->nodes[i].is_index && is_covered(g, i);
    }
    for (size_t i = 0; i < g->n_parts; i++) {
        const struct part *p = &g->parts[i];

        if (covered[p->node]) {
            blobset_add(&x->implied, &p->digest, p->size);
        } else if (!g->nodes[p->node].dropped) {
            blob_take(x, &p->digest, p->size);
        }
    }
    free(covered);
}

static void image_take(struct gather *g, const struct node *n, const char *tag, bool root)
{
    struct imageset_image *i = xnew(struct imageset_image);

    i->line.kind = LIST_IMAGE;
    i->line.digest = n->digest;
    i->line.size = n->size;
    snprintf(i->line.name, sizeof(i->line.name), "%s", g->name);
    snprintf(i->line.tag, sizeof(i->line.tag), "%s", tag);
    snprintf(i->line.media_type, sizeof(i->line.media_type), "%s", n->media_type);
    i->subject = n->subject;
    if (root && tag[0] != '\0') {
        i->docker = docker_choose(g);
    }
    imageset_add(&g->x->images, i);
    free(i);
}

static void take(struct gather *g)
{
    for (size_t i = 0; i < g->n_nodes; i++) {
        const struct node *n = &g->nodes[i];

        if (!n->dropped) {
            blob_take(g->x, &n->digest, n->size);
        }
        if (i == 0) {
            image_take(g, n, g->w->tag, true);
        } else if (n->referrer && !n->dropped) {
            image_take(g, n, n->tag, false);
        }
    }
    parts_take(g);
}

static int root_read(struct gather *g, struct err *err)
{
    char target[TARGET_MAX];
    char text[DIGEST_TEXT_MAX];
    bool by_digest = g->w->by_digest;
    int result;

    snprintf(target, sizeof(target), "/v2/%s/manifests/%s", g->name,
             by_digest ? digest_text(&g->w->digest, text) : g->w->tag);
    result = export_ask_body(g->x, target, by_digest ? &g->w->digest : NULL, &g->root, err);
    if (result == 1) {
        return absent(g, " is not here", false, err);
    }
    return result < 0 ? wrong(g, err) : 0;
}

static int gather_all(struct gather *g, struct err *err)
{
    struct descriptor root = {.kind = CHILD_MANIFEST};
    int result;

    if (root_read(g, err) < 0) {
        return -1;
    }
    root.digest = g->root.digest;
    root.size = g->root.text.len;
    memcpy(root.media_type, g->root.media_type, sizeof(root.media_type));
    g->walk = walk_new(g->w->platforms, g->w->n_platforms, g->x->flags->referrers);
    walk_root(g->walk, &root);
    result = walk_all(g, err);
    if (result == 0) {
        result = prune(g, err);
    }
    if (result == 0) {
        take(g);
    }
    export_body_fini(&g->root);
    return result;
}

int export_image(struct export *x, const struct export_wanted *w, struct err *err)
{
    struct gather g = {.x = x, .w = w, .name = w->repository, .is_hosted = w->is_hosted};
    char name[ROUTE_REPO_MAX];
    int result = 0;

    if (!w->is_whole) {
        result = export_ask_name(x, w->repository, name, &g.is_hosted, err);
        g.name = name;
    }
    if (result == 0) {
        result = gather_all(&g, err);
    }
    walk_free(g.walk);
    free(g.nodes);
    free(g.parts);
    free(g.tags);
    return result;
}
