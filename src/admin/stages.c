/* admin/stages.c - the forest of the images that are here, with what each adds and shares. */
#include "admin/images.h"
#include "admin/repos.h"

#include <stdlib.h>

/* What a whole answer may take in memory. */
#define TAGS_MAX 200000
#define LAYERS_MAX 500000

/* A tag. */
struct tagged {
    struct digest digest;
    const struct admin_repo *repo;
    char *tag;
};

/* An image and its tags: those of one kind of repository that mean one digest. */
struct group {
    size_t first; /* among the tags */
    size_t count;
    char *name; /* the first of them, with its repository */
    struct image_here image;
};

/* Everything that one answer is made of. Owner: admin_stages(). */
struct survey {
    const struct admin *admin;
    struct admin_repo only; /* the repository that was named; id 0: none was */
    struct admin_repo *repos;
    size_t n_repos;
    const struct admin_repo *repo; /* whose tags are being read */
    struct tagged *tags;           /* sorted; those of a group follow each other */
    size_t n_tags;
    size_t cap_tags;
    struct group *groups;
    struct stage *stages; /* one each */
    size_t n_groups;
    size_t n_layers;
    size_t *same;  /* groups, those for which one stands behind each other */
    size_t *order; /* of those that stand, as they are told */
    size_t n_order;
    size_t *place;    /* where each of those is in `order` */
    uint64_t others;  /* tags that were asked for and are no images */
    uint64_t absents; /* … and whose image is not here */
};

static void survey_fini(struct survey *v)
{
    for (size_t i = 0; i < v->n_tags; i++) {
        free(v->tags[i].tag);
    }
    for (size_t i = 0; i < v->n_groups; i++) {
        free(v->groups[i].name);
        free(v->groups[i].image.layers);
    }
    free(v->repos);
    free(v->tags);
    free(v->groups);
    free(v->stages);
    free(v->same);
    free(v->order);
    free(v->place);
}

/* --- tags ---------------------------------------------------------------------------------- */

static bool take_tag(void *arg, const char *reference, const struct tag_record *t)
{
    struct survey *v = arg;

    if (v->n_tags == TAGS_MAX) {
        return false;
    }
    if (v->n_tags == v->cap_tags) {
        v->cap_tags = v->cap_tags == 0 ? 256 : 2 * v->cap_tags;
        v->tags = xrealloc(v->tags, v->cap_tags * sizeof(*v->tags));
    }
    v->tags[v->n_tags++] = (struct tagged){t->digest, v->repo, xstrdup(reference)};
    return true;
}

static int order_of_tags(const void *left, const void *right)
{
    const struct tagged *a = left;
    const struct tagged *b = right;
    int by_digest = memcmp(&a->digest, &b->digest, sizeof(a->digest));
    int by_repo;

    if (a->repo->kind != b->repo->kind) {
        return a->repo->kind == REPO_MIRRORED ? -1 : 1;
    }
    if (by_digest != 0) {
        return by_digest;
    }
    by_repo = strcmp(a->repo->name, b->repo->name);
    return by_repo != 0 ? by_repo : strcmp(a->tag, b->tag);
}

static int read_tags(struct survey *v, struct err *err)
{
    struct index_read *r;

    if (admin_repo_list(v->admin, &v->repos, &v->n_repos, err) < 0 ||
        admin_read_begin(v->admin, &r, err) < 0) {
        return -1;
    }
    for (size_t i = 0; i < v->n_repos; i++) {
        v->repo = &v->repos[i];
        index_each_tag(r, v->repo->id, TAG_TAG, "", take_tag, v);
    }
    index_read_end(r);
    if (v->n_tags == TAGS_MAX) {
        return err_set(err, ERR_TOO_LARGE, "there are more than %d tags", TAGS_MAX);
    }
    if (v->n_tags > 0) {
        qsort(v->tags, v->n_tags, sizeof(*v->tags), order_of_tags);
    }
    return 0;
}

/* --- images -------------------------------------------------------------------------------- */

static bool is_wanted(const struct survey *v, const struct tagged *t)
{
    return v->only.id == 0 ? t->repo->kind == REPO_HOSTED : t->repo->id == v->only.id;
}

/* The tags from `first` on that belong together. */
static size_t group_count(const struct survey *v, size_t first)
{
    const struct tagged *a = &v->tags[first];
    size_t n = 1;

    while (first + n < v->n_tags && v->tags[first + n].repo->kind == a->repo->kind &&
           digest_equal(&v->tags[first + n].digest, &a->digest)) {
        n++;
    }
    return n;
}

static void count_missing(struct survey *v, const struct group *g, enum image_found found)
{
    for (size_t i = 0; i < g->count; i++) {
        if (is_wanted(v, &v->tags[g->first + i])) {
            v->others += found == IMAGE_OTHER;
            v->absents += found == IMAGE_ABSENT;
        }
    }
}

static struct stage stage_of(const struct survey *v, const struct group *g)
{
    const struct tagged *first = &v->tags[g->first];
    struct stage s = {
        .name = g->name,
        .mirrored = first->repo->kind == REPO_MIRRORED,
        .layers = g->image.layers,
        .n_layers = g->image.n_layers,
        .blobs = {g->image.manifest, g->image.config},
    };

    for (size_t i = 0; i < g->count; i++) {
        s.wanted |= is_wanted(v, &v->tags[g->first + i]);
    }
    return s;
}

static int read_images(struct survey *v, struct err *err)
{
    struct platform here = platform_here();

    v->groups = xcalloc(v->n_tags + 1, sizeof(*v->groups));
    v->stages = xcalloc(v->n_tags + 1, sizeof(*v->stages));
    for (size_t i = 0; i < v->n_tags;) {
        struct group *g = &v->groups[v->n_groups];
        enum image_found found;

        g->first = i;
        g->count = group_count(v, i);
        i += g->count;
        found = image_here_read(v->admin->store, &v->tags[g->first].digest, &here, &g->image);
        if (found != IMAGE_FOUND) {
            count_missing(v, g, found);
            continue;
        }
        g->name = xasprintf("%s:%s", v->tags[g->first].repo->name, v->tags[g->first].tag);
        v->stages[v->n_groups++] = stage_of(v, g);
        v->n_layers += g->image.n_layers;
        if (v->n_layers > LAYERS_MAX) {
            return err_set(err, ERR_TOO_LARGE, "the images have more than %d layers", LAYERS_MAX);
        }
    }
    return 0;
}

/* --- the answer ---------------------------------------------------------------------------- */

static int order_of_same(const void *left, const void *right, void *arg)
{
    const struct survey *v = arg;
    size_t i = *(const size_t *)left;
    size_t j = *(const size_t *)right;

    if (v->stages[i].same != v->stages[j].same) {
        return v->stages[i].same < v->stages[j].same ? -1 : 1;
    }
    if ((v->stages[i].same == i) != (v->stages[j].same == j)) {
        return v->stages[i].same == i ? -1 : 1;
    }
    return (i > j) - (i < j);
}

static void link_images(struct survey *v)
{
    size_t n = v->n_groups;

    v->order = xcalloc(n + 1, sizeof(*v->order));
    v->place = xcalloc(n + 1, sizeof(*v->place));
    v->same = xcalloc(n + 1, sizeof(*v->same));
    v->n_order = stages_link(v->stages, n, v->order);
    for (size_t k = 0; k < v->n_order; k++) {
        v->place[v->order[k]] = k;
    }
    for (size_t i = 0; i < n; i++) {
        v->same[i] = i;
    }
    qsort_r(v->same, n, sizeof(*v->same), order_of_same, v);
}

static void write_name(const struct tagged *t, struct buf *out)
{
    char text[DIGEST_TEXT_MAX];

    buf_str(out, "{");
    admin_repo_json(out, t->repo->kind, t->repo->name);
    buf_str(out, ",\"tag\":");
    buf_json(out, slice_str(t->tag));
    buf_printf(out, ",\"digest\":\"%s\"}", digest_text(&t->digest, text));
}

/* The tags of all images for which this one stands: `at` is where they begin in v->same. */
static void write_names(const struct survey *v, size_t at, struct buf *out)
{
    size_t stands = v->same[at];
    const char *between = "";

    buf_str(out, "\"names\":[");
    for (; at < v->n_groups && v->stages[v->same[at]].same == stands; at++) {
        const struct group *g = &v->groups[v->same[at]];

        for (size_t i = 0; i < g->count; i++) {
            buf_str(out, between);
            write_name(&v->tags[g->first + i], out);
            between = ",";
        }
    }
    buf_str(out, "]");
}

static void write_part(const char *name, const struct stage_part *p, struct buf *out)
{
    buf_printf(out, ",\"%s\":{\"layers\":%zu,\"bytes\":%llu}", name, p->layers,
               (unsigned long long)p->bytes);
}

static void write_image(const struct survey *v, size_t i, size_t same_at, struct buf *out)
{
    const struct stage *s = &v->stages[i];

    buf_str(out, "{");
    write_names(v, same_at, out);
    buf_str(out, ",\"platform\":");
    buf_json(out, slice_str(v->groups[i].image.platform));
    buf_printf(out, ",\"mirrored\":%s,\"depth\":%zu,\"parent\":", s->mirrored ? "true" : "false",
               s->depth);
    if (s->parent == STAGE_NONE) {
        buf_str(out, "null");
    } else {
        buf_printf(out, "%zu", v->place[s->parent]);
    }
    write_part("all", &s->all, out);
    write_part("added", &s->added, out);
    write_part("shared_with_siblings", &s->siblings, out);
    write_part("shared_with_bases", &s->bases, out);
    buf_str(out, "}");
}

static void write_answer(const struct survey *v, struct buf *out)
{
    struct stage_sums sums = stages_sum(v->stages, v->n_groups);
    size_t *same_at = xcalloc(v->n_groups + 1, sizeof(*same_at)); /* of each that stands */

    for (size_t k = v->n_groups; k > 0; k--) {
        same_at[v->stages[v->same[k - 1]].same] = k - 1;
    }
    buf_str(out, "{\"images\":[");
    for (size_t k = 0; k < v->n_order; k++) {
        buf_str(out, k == 0 ? "\n" : ",\n");
        write_image(v, v->order[k], same_at[v->order[k]], out);
    }
    buf_printf(out, "],\n\"stored\":%llu,\"separate\":%llu,\"others\":%llu,\"absent\":%llu}\n",
               (unsigned long long)sums.stored, (unsigned long long)sums.separate,
               (unsigned long long)v->others, (unsigned long long)v->absents);
    free(same_at);
}

int admin_stages(const struct admin *a, const struct admin_query *q, struct buf *out,
                 struct err *err)
{
    struct survey v = {.admin = a};
    int result = 0;

    if (q->name[0] != '\0') {
        result = admin_repo_find(a, slice_str(q->name), &v.only, err);
    }
    if (result == 0) {
        result = read_tags(&v, err);
    }
    if (result == 0) {
        result = read_images(&v, err);
    }
    if (result == 0) {
        link_images(&v);
        write_answer(&v, out);
    }
    survey_fini(&v);
    return result;
}
