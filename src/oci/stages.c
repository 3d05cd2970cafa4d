/*
 * oci/stages.c - the forest of images, by sorting them.
 *
 * In the order of their lists of diff ids an image is followed at once by all that extend it. So
 * one walk with a stack of those that are open finds each parent, and no cycle can be.
 */
#include "oci/stages.h"

#include <stdlib.h>

static uint64_t add(uint64_t a, uint64_t b)
{
    return a > UINT64_MAX - b ? UINT64_MAX : a + b; /* sizes are what manifests claim */
}

/* --- who extends whom ---------------------------------------------------------------------- */

/* How many diff ids both begin with. */
static size_t common(const struct stage *a, const struct stage *b)
{
    size_t n = 0;

    while (n < a->n_layers && n < b->n_layers &&
           digest_equal(&a->layers[n].diff_id, &b->layers[n].diff_id)) {
        n++;
    }
    return n;
}

/* By diff ids, and among equal ones the one first that stands for them. */
static int order_of_lists(const void *left, const void *right, void *arg)
{
    const struct stage *images = arg;
    size_t i = *(const size_t *)left;
    size_t j = *(const size_t *)right;
    const struct stage *a = &images[i];
    const struct stage *b = &images[j];
    size_t n = common(a, b);
    int by_name;

    if (n < a->n_layers && n < b->n_layers) {
        return digest_order(&a->layers[n].diff_id, &b->layers[n].diff_id);
    }
    if (a->n_layers != b->n_layers) {
        return a->n_layers < b->n_layers ? -1 : 1;
    }
    if (a->mirrored != b->mirrored) {
        return a->mirrored ? -1 : 1;
    }
    by_name = strcmp(a->name, b->name);
    return by_name != 0 ? by_name : (i > j) - (i < j);
}

/* Sets same, parent and depth. `order` is sorted by order_of_lists(). */
static void find_parents(struct stage *images, size_t n, const size_t *order)
{
    size_t open = STAGE_NONE; /* the top of the stack, which is the chain of parents */

    for (size_t k = 0; k < n; k++) {
        struct stage *s = &images[order[k]];

        s->same = order[k];
        s->parent = STAGE_NONE;
        s->depth = 0;
        while (open != STAGE_NONE && common(&images[open], s) < images[open].n_layers) {
            open = images[open].parent;
        }
        if (open != STAGE_NONE && images[open].n_layers == s->n_layers) {
            s->same = open;
            s->parent = images[open].parent;
            s->depth = images[open].depth;
            continue;
        }
        if (open != STAGE_NONE) {
            s->parent = open;
            s->depth = images[open].depth + 1;
        }
        if (s->n_layers > 0) { /* all would extend one without layers, which tells nothing */
            open = order[k];
        }
    }
}

/* --- who is shown -------------------------------------------------------------------------- */

/* `order` has parents before children. */
static void find_shown(struct stage *images, size_t n, const size_t *order)
{
    bool *below = xcalloc(n + 1, sizeof(*below)); /* it, or one that it extends, is wanted */

    for (size_t i = 0; i < n; i++) {
        images[i].shown = false;
    }
    for (size_t i = 0; i < n; i++) {
        below[images[i].same] |= images[i].wanted;
    }
    for (size_t k = n; k > 0; k--) {
        struct stage *s = &images[order[k - 1]];

        if (s->same != order[k - 1]) {
            continue;
        }
        s->shown |= below[order[k - 1]];
        if (s->shown && s->parent != STAGE_NONE) {
            images[s->parent].shown = true;
        }
    }
    for (size_t k = 0; k < n; k++) {
        struct stage *s = &images[order[k]];

        if (s->parent != STAGE_NONE && below[s->parent]) {
            below[s->same] = true;
        }
        s->shown |= below[s->same] || images[s->same].shown;
    }
    free(below);
}

/* --- what they share ----------------------------------------------------------------------- */

/* One layer that an image adds to its parent. */
struct own_layer {
    size_t parent;
    const struct stage_layer *layer;
    struct stage *image;
};

static int order_of_own(const void *left, const void *right)
{
    const struct own_layer *a = left;
    const struct own_layer *b = right;
    int by_id;

    if (a->parent != b->parent) {
        return a->parent < b->parent ? -1 : 1;
    }
    by_id = digest_order(&a->layer->diff_id, &b->layer->diff_id);
    return by_id != 0 ? by_id : (a->image > b->image) - (a->image < b->image);
}

static bool stands(const struct stage *images, size_t i)
{
    return images[i].shown && images[i].same == i;
}

static size_t inherited(const struct stage *images, const struct stage *s)
{
    return s->parent == STAGE_NONE ? 0 : images[s->parent].n_layers;
}

static void part_add(struct stage_part *p, uint64_t bytes)
{
    p->layers++;
    p->bytes = add(p->bytes, bytes);
}

/* Sets all and added; collects the layers behind the latter. */
static size_t find_sizes(struct stage *images, size_t n, struct own_layer *own)
{
    size_t n_own = 0;

    for (size_t i = 0; i < n; i++) {
        struct stage *s = &images[i];
        size_t from = inherited(images, s);

        s->all = s->added = s->siblings = s->bases = (struct stage_part){0};
        for (size_t k = 0; k < s->n_layers; k++) {
            part_add(&s->all, s->layers[k].size);
            if (k < from) {
                continue;
            }
            part_add(&s->added, s->layers[k].size);
            if (stands(images, i)) {
                own[n_own++] = (struct own_layer){s->parent, &s->layers[k], s};
            }
        }
    }
    return n_own;
}

/* Whether both are the same layer below the same parent. */
static bool own_equal(const struct own_layer *a, const struct own_layer *b)
{
    return a->parent == b->parent && digest_equal(&a->layer->diff_id, &b->layer->diff_id);
}

static void find_siblings(struct own_layer *own, size_t n)
{
    qsort(own, n, sizeof(*own), order_of_own);
    for (size_t i = 0; i < n;) {
        size_t end = i + 1;

        while (end < n && own_equal(&own[i], &own[end])) {
            end++;
        }
        if (own[i].image != own[end - 1].image) { /* else one that has it several times */
            for (size_t k = i; k < end; k++) {
                part_add(&own[k].image->siblings, own[k].layer->size);
            }
        }
        i = end;
    }
}

static void find_bases(struct stage *images, size_t n, size_t n_layers)
{
    struct digest *theirs = xcalloc(n_layers + 1, sizeof(*theirs));
    size_t n_theirs = 0;

    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; images[i].mirrored && k < images[i].n_layers; k++) {
            theirs[n_theirs++] = images[i].layers[k].diff_id;
        }
    }
    qsort(theirs, n_theirs, sizeof(*theirs), digest_order);
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; !images[i].mirrored && k < images[i].n_layers; k++) {
            const struct stage_layer *l = &images[i].layers[k];

            if (bsearch(&l->diff_id, theirs, n_theirs, sizeof(*theirs), digest_order) != NULL) {
                part_add(&images[i].bases, l->size);
            }
        }
    }
    free(theirs);
}

/* --- as a tree is printed ------------------------------------------------------------------ */

/* Children of one parent together, mirrored ones first, then by name. */
static int order_of_siblings(const void *left, const void *right, void *arg)
{
    const struct stage *images = arg;
    size_t i = *(const size_t *)left;
    size_t j = *(const size_t *)right;
    const struct stage *a = &images[i];
    const struct stage *b = &images[j];
    int by_name;

    if (a->parent != b->parent) {
        return a->parent < b->parent ? -1 : 1;
    }
    if (a->mirrored != b->mirrored) {
        return a->mirrored ? -1 : 1;
    }
    by_name = strcmp(a->name, b->name);
    return by_name != 0 ? by_name : (i > j) - (i < j);
}

/* Where the children of each begin in `sorted`, and how many they are; the roots are those of n. */
struct children {
    size_t first;
    size_t count;
};

static struct children *children_find(const struct stage *images, size_t n, const size_t *sorted,
                                      size_t n_sorted)
{
    struct children *c = xcalloc(n + 1, sizeof(*c));

    for (size_t k = 0; k < n_sorted; k++) {
        size_t parent = images[sorted[k]].parent;
        struct children *of = &c[parent == STAGE_NONE ? n : parent];

        if (of->count++ == 0) {
            of->first = k;
        }
    }
    return c;
}

static size_t print_order(struct stage *images, size_t n, size_t *ret_order)
{
    size_t *sorted = xcalloc(n + 1, sizeof(*sorted));
    size_t *stack = xcalloc(n + 1, sizeof(*stack));
    struct children *c;
    size_t n_sorted = 0;
    size_t n_stack = 0;
    size_t n_order = 0;
    size_t at = n;

    for (size_t i = 0; i < n; i++) {
        if (stands(images, i)) {
            sorted[n_sorted++] = i;
        }
    }
    qsort_r(sorted, n_sorted, sizeof(*sorted), order_of_siblings, images);
    c = children_find(images, n, sorted, n_sorted);
    for (;;) {
        for (size_t k = c[at].count; k > 0; k--) {
            stack[n_stack++] = sorted[c[at].first + k - 1];
        }
        if (n_stack == 0) {
            break;
        }
        at = stack[--n_stack];
        ret_order[n_order++] = at;
    }
    free(c);
    free(stack);
    free(sorted);
    return n_order;
}

size_t stages_link(struct stage *images, size_t n, size_t *ret_order)
{
    size_t *order = xcalloc(n + 1, sizeof(*order));
    struct own_layer *own;
    size_t n_layers = 0;

    for (size_t i = 0; i < n; i++) {
        order[i] = i;
        n_layers += images[i].n_layers;
    }
    qsort_r(order, n, sizeof(*order), order_of_lists, images);
    find_parents(images, n, order);
    find_shown(images, n, order);
    free(order);
    own = xcalloc(n_layers + 1, sizeof(*own));
    find_siblings(own, find_sizes(images, n, own));
    free(own);
    find_bases(images, n, n_layers);
    return print_order(images, n, ret_order);
}

/* --- sums ---------------------------------------------------------------------------------- */

static int order_of_blobs(const void *left, const void *right)
{
    const struct stage_blob *a = left;
    const struct stage_blob *b = right;

    return digest_order(&a->digest, &b->digest);
}

/* What is here of the image, appended to `blobs`; how many that are. */
static size_t blobs_of(const struct stage *s, struct stage_blob *blobs)
{
    size_t n = 0;

    for (size_t k = 0; k < ARRAY_LEN(s->blobs); k++) {
        if (s->blobs[k].digest.alg != 0) {
            blobs[n++] = s->blobs[k];
        }
    }
    for (size_t k = 0; k < s->n_layers; k++) {
        if (s->layers[k].here) {
            blobs[n++] = (struct stage_blob){s->layers[k].blob, s->layers[k].size};
        }
    }
    return n;
}

/* The bytes of n blobs, each once. */
static uint64_t distinct(struct stage_blob *blobs, size_t n)
{
    uint64_t bytes = 0;

    qsort(blobs, n, sizeof(*blobs), order_of_blobs);
    for (size_t i = 0; i < n; i++) {
        if (i == 0 || order_of_blobs(&blobs[i - 1], &blobs[i]) != 0) {
            bytes = add(bytes, blobs[i].size);
        }
    }
    return bytes;
}

struct stage_sums stages_sum(const struct stage *images, size_t n)
{
    struct stage_sums sums = {0};
    struct stage_blob *blobs;
    size_t most = 0;
    size_t n_blobs = 0;

    for (size_t i = 0; i < n; i++) {
        most += images[i].shown ? images[i].n_layers + ARRAY_LEN(images[i].blobs) : 0;
    }
    blobs = xcalloc(most + 1, sizeof(*blobs));
    for (size_t i = 0; i < n; i++) {
        size_t of = images[i].shown ? blobs_of(&images[i], &blobs[n_blobs]) : 0;

        /* An image that has a layer several times would not have it stored several times. */
        sums.separate = add(sums.separate, distinct(&blobs[n_blobs], of));
        n_blobs += of;
    }
    sums.stored = distinct(blobs, n_blobs);
    free(blobs);
    return sums;
}
