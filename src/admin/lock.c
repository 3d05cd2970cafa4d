/* admin/lock.c - what was pulled, as a lock file. */
#include "admin/images.h"
#include "admin/repos.h"
#include "base/map.h"
#include "oci/lockfile.h"
#include "store/pulls.h"

#include <stdio.h>
#include <stdlib.h>

/* Facts that are gathered, at most. */
#define FACTS_MAX 400000
#define TOO_MANY                                                                                   \
    "too much was pulled for one file: ask for a shorter time (--since), or for one client"
/* How a client by IPv4 looks to a listener of both. */
#define MAPPED "::ffff:"

enum fact_kind {
    FACT_TAG,   /* text: a tag, which means the digest */
    FACT_VALUE, /* some tag meant the digest */
    FACT_ALONE, /* it was asked for, and is no entry of an index */
    FACT_ENTRY, /* it was asked for, and is an entry of the index `parent` */
    FACT_MEANT, /* … which was asked for, too */
    FACT_REPO,  /* text: the repository's name */
};

/* Something that the lines of the table say, once. Owner: the facts. Two of the same kind,
 * repository, and (of tags) text or (else) digests are the same. */
struct fact {
    struct map_node node;
    enum fact_kind kind;
    uint64_t repo;
    struct digest digest;
    struct digest parent;
    char platform[PLATFORM_TEXT_MAX];
    char text[];
};

struct facts {
    struct map map;
    size_t n;
    bool too_many;
    struct index_read *read;
    const char *client; /* NULL: anyone */
    struct lockfile *l;
};

/* --- facts --------------------------------------------------------------------------------- */

static bool same_fact(const struct map_node *node, const void *key)
{
    const struct fact *a = container_of_const(node, struct fact, node);
    const struct fact *b = key;

    return a->kind == b->kind && a->repo == b->repo &&
           (a->kind == FACT_TAG ? strcmp(a->text, b->text) == 0
            : a->kind == FACT_REPO
                ? true
                : digest_equal(&a->digest, &b->digest) && digest_equal(&a->parent, &b->parent));
}

static uint64_t hash_of(const struct fact *f)
{
    uint64_t hash = f->repo * 8 + (uint64_t)f->kind;

    if (f->kind == FACT_TAG) {
        return hash * 31 + map_hash(f->text, strlen(f->text));
    }
    return f->kind == FACT_REPO ? hash * 31 : hash * 31 + digest_hash(&f->digest);
}

static struct fact *fact_find(const struct facts *all, const struct fact *like)
{
    struct map_node *node = map_find(&all->map, hash_of(like), same_fact, like);

    return node == NULL ? NULL : container_of(node, struct fact, node);
}

static struct fact *fact_new(enum fact_kind kind, uint64_t repo, const char *text)
{
    size_t len = strlen(text) + 1;
    struct fact *f = xcalloc(1, sizeof(*f) + len);

    f->kind = kind;
    f->repo = repo;
    memcpy(f->text, text, len);
    return f;
}

/* Takes the fact. What is known already is only brought up to date: the last meaning of a tag
 * counts. */
static void fact_add(struct facts *all, struct fact *f)
{
    struct fact *known = fact_find(all, f);

    if (known != NULL) {
        known->digest = f->digest;
        if (f->platform[0] != '\0') {
            memcpy(known->platform, f->platform, sizeof(known->platform));
        }
        free(f);
        return;
    }
    all->too_many = ++all->n > FACTS_MAX;
    map_insert(&all->map, hash_of(f), &f->node);
}

static void fact_add_digest(struct facts *all, enum fact_kind kind, uint64_t repo,
                            const struct digest *d)
{
    struct fact *f = fact_new(kind, repo, "");

    f->digest = *d;
    fact_add(all, f);
}

static bool fact_is(const struct facts *all, enum fact_kind kind, uint64_t repo,
                    const struct digest *d)
{
    struct fact like = {.kind = kind, .repo = repo, .digest = *d};

    return fact_find(all, &like) != NULL;
}

static void take_fact(struct map_node *node, void *arg)
{
    struct fact ***next = arg;

    *(*next)++ = container_of(node, struct fact, node);
}

/* All facts there are now, in no order; freed with free(). */
static struct fact **facts_list(const struct facts *all)
{
    struct fact **list = xcalloc(all->n + 1, sizeof(*list));
    struct fact **next = list;

    map_each(&all->map, take_fact, &next);
    return list;
}

static void facts_free(struct facts *all)
{
    struct fact **list = facts_list(all);

    for (size_t i = 0; i < all->n; i++) {
        free(list[i]);
    }
    free(list);
    map_fini(&all->map);
}

/* --- reading ------------------------------------------------------------------------------- */

static void add_repo(struct facts *all, uint64_t repo)
{
    struct fact like = {.kind = FACT_REPO, .repo = repo};
    enum repo_kind kind;
    char name[512];

    if (fact_find(all, &like) == NULL) {
        if (index_get_repo_name(all->read, repo, &kind, name) != INDEX_FOUND) {
            name[0] = '\0';
        }
        fact_add(all, fact_new(FACT_REPO, repo, name));
    }
}

static bool is_of(const struct facts *all, const char *client)
{
    size_t mapped = strncmp(client, MAPPED, sizeof(MAPPED) - 1) == 0 ? sizeof(MAPPED) - 1 : 0;

    return all->client == NULL || strcmp(client, all->client) == 0 ||
           strcmp(client + mapped, all->client) == 0;
}

static bool add_pull(void *arg, const struct pull *p)
{
    struct facts *all = arg;
    struct fact *f;

    if (!is_of(all, p->client)) {
        return true;
    }
    add_repo(all, p->repo);
    if (p->reference[0] == '\0') {
        fact_add_digest(all, FACT_ALONE, p->repo, p->digest);
        return !all->too_many;
    }
    f = fact_new(FACT_ENTRY, p->repo, p->reference);
    f->digest = *p->digest;
    if (digest_parse(slice_str(p->reference), &f->parent)) {
        snprintf(f->platform, sizeof(f->platform), "%s", p->platform);
    } else {
        f->kind = FACT_TAG;
        fact_add_digest(all, FACT_VALUE, p->repo, p->digest);
    }
    fact_add(all, f);
    return !all->too_many;
}

static int facts_read(const struct admin *a, const struct admin_query *q, struct facts *all,
                      struct err *err)
{
    if (pulls_flush(a->store, err) < 0 || admin_read_begin(a, &all->read, err) < 0) {
        return -1;
    }
    pulls_each(all->read, q->since, add_pull, all);
    index_read_end(all->read);
    return all->too_many ? err_set(err, ERR_TOO_LARGE, TOO_MANY) : 0;
}

/* --- images -------------------------------------------------------------------------------- */

/* Entries by the index that has them, so that those of one stand together. */
static int order_of_facts(const void *left, const void *right)
{
    const struct fact *a = *(struct fact *const *)left;
    const struct fact *b = *(struct fact *const *)right;

    if (a->kind != b->kind) {
        return a->kind < b->kind ? -1 : 1;
    }
    if (a->repo != b->repo) {
        return a->repo < b->repo ? -1 : 1;
    }
    return memcmp(&a->parent, &b->parent, sizeof(a->parent));
}

/* What there is, in order. Owner: lock_make(). */
struct sorted {
    struct fact **list;
    size_t n;
};

/* The first that does not come before `like`. */
static size_t lower_bound(const struct sorted *s, const struct fact *like)
{
    size_t low = 0;
    size_t high = s->n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (order_of_facts(&s->list[middle], &like) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* An image, with the platforms that were asked for of it where it is an index. */
static void add_image(struct facts *all, const struct sorted *s, const struct fact *f,
                      const char *tag)
{
    struct fact like = {.kind = FACT_REPO, .repo = f->repo};
    const struct fact *repo = fact_find(all, &like);
    struct lock_image *image;

    if (repo->text[0] == '\0') {
        return; /* it is unknown since */
    }
    image = lockfile_add(all->l, slice_str(repo->text), slice_str(tag), &f->digest);
    if (f->platform[0] != '\0') {
        lock_image_add_platform(image, slice_str(f->platform));
    }
    like = (struct fact){.kind = FACT_ENTRY, .repo = f->repo, .parent = f->digest};
    for (size_t i = lower_bound(s, &like); i < s->n; i++) {
        const struct fact *entry = s->list[i];

        if (entry->kind != FACT_ENTRY || entry->repo != f->repo ||
            !digest_equal(&entry->parent, &f->digest)) {
            break;
        }
        if (entry->platform[0] != '\0') {
            lock_image_add_platform(image, slice_str(entry->platform));
        }
    }
}

static bool was_asked_for(const struct facts *all, uint64_t repo, const struct digest *d)
{
    return fact_is(all, FACT_VALUE, repo, d) || fact_is(all, FACT_ALONE, repo, d);
}

/* What was asked for by its digest is an image of its own where no tag meant it, and nobody asked
 * for an index that has it. */
static void add_images(struct facts *all)
{
    struct sorted s = {facts_list(all), all->n};

    qsort(s.list, s.n, sizeof(*s.list), order_of_facts);
    for (size_t i = 0; i < s.n; i++) {
        const struct fact *f = s.list[i];

        if (f->kind == FACT_ENTRY && was_asked_for(all, f->repo, &f->parent)) {
            fact_add_digest(all, FACT_MEANT, f->repo, &f->digest);
        }
    }
    for (size_t i = 0; i < s.n; i++) {
        const struct fact *f = s.list[i];

        if (f->kind == FACT_TAG) {
            add_image(all, &s, f, f->text);
        } else if ((f->kind == FACT_ALONE || f->kind == FACT_ENTRY) &&
                   !fact_is(all, FACT_VALUE, f->repo, &f->digest) &&
                   !fact_is(all, FACT_MEANT, f->repo, &f->digest)) {
            add_image(all, &s, f, "");
        }
    }
    free(s.list);
}

/* An image that is no index says itself what it is for, where its configuration is here. */
static void add_own_platform(struct store *s, struct lock_image *i)
{
    struct platform here = platform_here();
    char text[PLATFORM_TEXT_MAX];
    struct image_here found;

    if (i->n_platforms > 0 || image_here_read(s, &i->digest, &here, &found) != IMAGE_FOUND) {
        return;
    }
    if (digest_equal(&found.manifest.digest, &i->digest) &&
        platform_parse(slice_str(found.platform), &here)) {
        lock_image_add_platform(i, slice_str(platform_text(&here, text)));
    }
    free(found.layers);
}

static int lock_make(const struct admin *a, const struct admin_query *q, struct facts *all,
                     struct err *err)
{
    if (facts_read(a, q, all, err) < 0) {
        return -1;
    }
    add_images(all);
    if (all->l->n > LOCKFILE_IMAGES_MAX) {
        return err_set(err, ERR_TOO_LARGE, TOO_MANY);
    }
    for (size_t i = 0; i < all->l->n; i++) {
        add_own_platform(a->store, &all->l->images[i]);
    }
    return lockfile_sort(all->l, err);
}

int admin_lock(const struct admin *a, const struct admin_query *q, struct buf *out, struct err *err)
{
    struct facts all = {.l = xnew(struct lockfile)};
    int result;

    if (q->client != NULL && q->client[0] != '\0') {
        all.client = q->client;
    }
    map_init(&all.map);
    result = lock_make(a, q, &all, err);
    if (result == 0) {
        lockfile_write(all.l, out);
    }
    facts_free(&all);
    lockfile_free(all.l);
    return result;
}
