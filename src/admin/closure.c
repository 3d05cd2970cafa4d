/* admin/closure.c - walks an image in the store. */
#include "admin/closure.h"

#include "admin/images.h"
#include "oci/walk.h"

#include <stdio.h>
#include <stdlib.h>

/* One reading. */
struct reading {
    struct store *store;
    struct closure *to;
    struct walk *walk;
    size_t bodies;
    size_t cap_manifests;
    size_t cap_blobs;
    size_t cap_missing;
};

/* Room for one more. */
static void *grow(void *list, size_t n, size_t *cap, size_t size)
{
    if (n < *cap) {
        return list;
    }
    *cap = *cap == 0 ? 16 : 2 * *cap;
    return xrealloc(list, *cap * size);
}

static void add_missing(struct reading *r, const struct digest *d)
{
    struct closure *c = r->to;

    c->missing = grow(c->missing, c->n_missing, &r->cap_missing, sizeof(*c->missing));
    c->missing[c->n_missing++] = *d;
}

static void add_blob(struct reading *r, const struct descriptor *what, uint64_t size,
                     const char *media_type)
{
    struct closure *c = r->to;
    struct closure_blob *b;

    c->blobs = grow(c->blobs, c->n_blobs, &r->cap_blobs, sizeof(*c->blobs));
    b = &c->blobs[c->n_blobs++];
    *b = (struct closure_blob){.digest = what->digest, .size = size, .kind = what->kind};
    snprintf(b->media_type, sizeof(b->media_type), "%s", media_type);
    c->bytes += size;
}

/* Whether the bytes are here and to be believed. */
static bool is_here(struct reading *r, const struct digest *d, uint64_t *ret_size)
{
    struct index_read *index = index_read_begin(r->store);
    struct blob_record blob;
    bool here;

    if (index == NULL) {
        return false;
    }
    here = index_get_blob(index, d, &blob) == INDEX_FOUND && store_blob_trusted(r->store, &blob);
    index_read_end(index);
    if (here) {
        *ret_size = blob.size;
    }
    return here;
}

static int take_body(struct reading *r, const struct descriptor *what, struct buf *body,
                     struct err *err)
{
    struct closure *c = r->to;
    struct closure_manifest *m;
    struct manifest *parsed;

    if (manifest_parse(buf_view(body), slice_str(what->media_type), &parsed, err) < 0) {
        return -1;
    }
    c->manifests = grow(c->manifests, c->n_manifests, &r->cap_manifests, sizeof(*c->manifests));
    m = &c->manifests[c->n_manifests++];
    *m = (struct closure_manifest){.digest = what->digest, .len = body->len, .parsed = parsed};
    add_blob(r, what, body->len, parsed->media_type);
    r->bodies += body->len;
    m->body = buf_take(body);
    if (r->bodies > CLOSURE_BODIES_MAX) {
        return err_set(err, ERR_TOO_LARGE, "its manifests have more than %u MiB",
                       CLOSURE_BODIES_MAX >> 20);
    }
    return walk_manifest(r->walk, slice_of(m->body, m->len), err);
}

/* One that an index names may be missing, as far as this item knows. */
static int visit_manifest(struct reading *r, const struct walk_item *item, struct err *err)
{
    char text[DIGEST_TEXT_MAX];
    struct buf body;
    int result = 0;

    if (image_blob_load(r->store, &item->what.digest, MANIFEST_MAX, &body)) {
        result = take_body(r, &item->what, &body, err);
        if (result < 0) {
            err_wrap(err, "%s", digest_text(&item->what.digest, text));
        }
    } else if (item->parent.alg == 0) {
        add_missing(r, &item->what.digest);
    }
    buf_free(&body);
    return result;
}

static void visit_blob(struct reading *r, const struct walk_item *item)
{
    uint64_t size;

    if (is_here(r, &item->what.digest, &size)) {
        add_blob(r, &item->what, size, item->what.media_type);
    } else if (!item->what.foreign) {
        add_missing(r, &item->what.digest);
    }
}

static bool has_manifest(const struct closure *c, const struct digest *d)
{
    for (size_t i = 0; i < c->n_manifests; i++) {
        if (digest_equal(&c->manifests[i].digest, d)) {
            return true;
        }
    }
    return false;
}

/* An index none of whose manifests is here serves nobody. */
static void check_index(struct reading *r, const struct manifest *m)
{
    const struct digest *first = NULL;

    for (size_t i = 0; i < m->n_children; i++) {
        if (m->children[i].kind != CHILD_MANIFEST) {
            continue;
        }
        if (has_manifest(r->to, &m->children[i].digest)) {
            return;
        }
        first = first == NULL ? &m->children[i].digest : first;
    }
    if (first != NULL) {
        add_missing(r, first);
    }
}

int closure_read(struct store *s, const struct digest *root, struct closure *ret, struct err *err)
{
    struct reading r = {.store = s, .to = ret, .walk = walk_new(NULL, 0, false)};
    struct descriptor what = {.digest = *root, .kind = CHILD_MANIFEST};
    struct walk_item item;
    int result = 0;

    *ret = (struct closure){0};
    what.size = DESCRIPTOR_SIZE_UNKNOWN;
    walk_root(r.walk, &what);
    while (result == 0 && walk_next(r.walk, &item)) {
        if (item.kind == WALK_MANIFEST) {
            result = visit_manifest(&r, &item, err);
        } else {
            visit_blob(&r, &item);
        }
    }
    walk_free(r.walk);
    for (size_t i = 0; i < ret->n_manifests && result == 0; i++) {
        check_index(&r, ret->manifests[i].parsed);
    }
    return result;
}

void closure_fini(struct closure *c)
{
    for (size_t i = 0; i < c->n_manifests; i++) {
        free(c->manifests[i].body);
        manifest_free(c->manifests[i].parsed);
    }
    free(c->manifests);
    free(c->blobs);
    free(c->missing);
    *c = (struct closure){0};
}
