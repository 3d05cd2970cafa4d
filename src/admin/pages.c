/* admin/pages.c - what is long, a page at a time: blobs, and images. */
#include "admin/repos.h"
#include "oci/manifest.h"

#include <stdio.h>
#include <stdlib.h>

#define NO_TAG "-"

/* A page under way. */
struct page {
    const struct admin *admin;
    struct index_read *read;
    const struct admin_repo *repo; /* images: the one at hand */
    struct digest after;           /* images: the last one without a tag of the page before */
    uint64_t left;                 /* lines that may come */
    struct buf *out;
};

static uint64_t page_size(const struct admin_query *q)
{
    return q->n == 0 || q->n > ADMIN_PAGE_MAX ? ADMIN_PAGE_MAX : q->n;
}

static bool is_first(const struct admin_query *q)
{
    return q->after == NULL || q->after[0] == '\0';
}

/* --- blobs --------------------------------------------------------------------------------- */

static bool add_blob(void *arg, const struct digest *d, const struct blob_record *b)
{
    struct page *p = arg;
    char text[DIGEST_TEXT_MAX];

    if (store_blob_trusted(p->admin->store, b)) {
        buf_printf(p->out, "%s\n", digest_text(d, text));
        p->left--;
    }
    return p->left > 0;
}

int admin_blobs(const struct admin *a, const struct admin_query *q, struct buf *out,
                struct err *err)
{
    struct page p = {.admin = a, .left = page_size(q), .out = out};
    struct digest after = {0};

    if (!is_first(q) && !digest_parse(slice_str(q->after), &after)) {
        return err_set(err, ERR_DIGEST_INVALID, "after must be a digest");
    }
    if (admin_read_begin(a, &p.read, err) < 0) {
        return -1;
    }
    index_each_blob(p.read, &after, add_blob, &p);
    index_read_end(p.read);
    return 0;
}

/* --- images -------------------------------------------------------------------------------- */

/* The last line of the page before. */
struct cursor {
    enum repo_kind kind;
    char name[ROUTE_REPO_MAX];
    char tag[TAG_MAX_LEN + 1]; /* "": without one, and then the digest counts */
    struct digest digest;
};

static const char *kind_text(enum repo_kind kind)
{
    return kind == REPO_HOSTED ? "hosted" : "mirrored";
}

static void add_line(struct page *p, const char *tag, const struct digest *d)
{
    char text[DIGEST_TEXT_MAX];

    buf_printf(p->out, "%s %s %s %s\n", kind_text(p->repo->kind), p->repo->name, tag,
               digest_text(d, text));
    p->left--;
}

static bool add_tag(void *arg, const char *reference, const struct tag_record *t)
{
    struct page *p = arg;

    add_line(p, reference, &t->digest);
    return p->left > 0;
}

/* A manifest, and what decides whether it stands for itself. */
struct candidate {
    struct page *page;
    const struct digest *digest;
    bool belongs; /* to another one */
};

static bool look_parent(void *arg, const struct digest *parent)
{
    struct candidate *c = arg;
    struct member_record m;

    c->belongs = index_get_member(c->page->read, c->page->repo->id, parent, &m) == INDEX_FOUND;
    return !c->belongs;
}

static bool add_untagged(void *arg, const struct digest *d, const struct member_record *m)
{
    struct page *p = arg;
    struct candidate c = {.page = p, .digest = d};
    struct blob_record blob;

    if (m->kind != CHILD_MANIFEST || memcmp(d, &p->after, sizeof(*d)) <= 0 ||
        index_get_blob(p->read, d, &blob) != INDEX_FOUND) {
        return true;
    }
    index_each_parent(p->read, d, look_parent, &c);
    if (!c.belongs) {
        add_line(p, NO_TAG, d);
    }
    return p->left > 0;
}

/* Where the repository is the cursor's, from behind that on. */
static void add_repo(struct page *p, const struct cursor *c)
{
    bool here = c->kind == p->repo->kind && strcmp(c->name, p->repo->name) == 0;

    p->after = (struct digest){0};
    if (here && c->tag[0] == '\0') {
        p->after = c->digest;
    } else {
        index_each_tag(p->read, p->repo->id, TAG_TAG, here ? c->tag : "", add_tag, p);
    }
    if (p->left > 0) {
        index_each_member(p->read, p->repo->id, add_untagged, p);
    }
}

static bool cursor_read(const char *line, struct cursor *c)
{
    struct slice rest = slice_str(line);
    struct slice words[4] = {SLICE_NULL, SLICE_NULL, SLICE_NULL, SLICE_NULL};
    size_t n = 0;

    while (n < ARRAY_LEN(words) && slice_split(&rest, ' ', &words[n])) {
        n++;
    }
    c->kind = slice_is(words[0], kind_text(REPO_HOSTED)) ? REPO_HOSTED : REPO_MIRRORED;
    c->tag[0] = '\0';
    return n == ARRAY_LEN(words) && rest.p == NULL && slice_is(words[0], kind_text(c->kind)) &&
           slice_copy(words[1], c->name, sizeof(c->name)) &&
           (slice_is(words[2], NO_TAG) || slice_copy(words[2], c->tag, sizeof(c->tag))) &&
           digest_parse(words[3], &c->digest);
}

/* Hosted ones first, each kind by name: as admin_repo_list() gives them. */
static bool comes_before(const struct admin_repo *repo, const struct cursor *c)
{
    return repo->kind != c->kind ? repo->kind == REPO_HOSTED && c->kind != 0
                                 : strcmp(repo->name, c->name) < 0;
}

int admin_images(const struct admin *a, const struct admin_query *q, struct buf *out,
                 struct err *err)
{
    struct page p = {.admin = a, .left = page_size(q), .out = out};
    struct cursor cursor = {0};
    struct admin_repo *repos;
    int result = 0;
    size_t n = 0;

    if (!is_first(q) && !cursor_read(q->after, &cursor)) {
        return err_set(err, ERR_BAD_REQUEST, "after must be a line of the answer");
    }
    if (admin_repo_list(a, &repos, &n, err) < 0) {
        return -1;
    }
    for (size_t i = 0; i < n && p.left > 0 && result == 0; i++) {
        if (comes_before(&repos[i], &cursor)) {
            continue;
        }
        p.repo = &repos[i];
        result = admin_read_begin(a, &p.read, err);
        if (result == 0) {
            add_repo(&p, &cursor);
            index_read_end(p.read);
        }
    }
    free(repos);
    return result;
}

/* --- names --------------------------------------------------------------------------------- */

int admin_name(const struct admin *a, const struct admin_query *q, struct buf *out, struct err *err)
{
    struct admin_repo repo;

    if (admin_repo_name(a, slice_str(q->name), &repo, err) < 0) {
        return -1;
    }
    buf_printf(out, "%s %s\n", kind_text(repo.kind), repo.name);
    return 0;
}
