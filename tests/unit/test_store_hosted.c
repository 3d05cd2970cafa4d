/* test_store_hosted.c - what was pushed: members, tags both ways, who refers to whom. */
#include "store_blobs.h"
#include "tap.h"

#include "store/hosted.h"
#include "store/inner.h"
#include "store/judge.h"

static struct err err;
static struct store *s;

#define LAYER 1000u
#define IMAGE 2000u
#define INDEX 3000u

static struct digest digest_of(unsigned n)
{
    return nth_digest(n, 10);
}

/* --- changes ------------------------------------------------------------------------------- */

struct put {
    const char *repo;
    unsigned n;
    struct manifest parsed;
    struct descriptor children[4];
    bool may_take[4];
    const char *tags[4];
    size_t n_tags;
    size_t missing;
};

static void put_blob(struct index_txn *t, void *arg)
{
    struct put *p = arg;
    struct digest d = digest_of(p->n);

    index_put_blob(t, &d, &(struct blob_record){.size = 10, .synced = true});
    if (p->repo != NULL) {
        hosted_put_blob(t, p->repo, &d, 10);
    }
}

static void put_manifest(struct index_txn *t, void *arg)
{
    struct put *p = arg;
    struct hosted_manifest m = {
        .digest = digest_of(p->n),
        .body = slice_str("0123456789"),
        .media_type = MEDIA_TYPE_OCI_MANIFEST,
        .parsed = &p->parsed,
        .may_take = p->may_take,
        .tags = p->tags,
        .n_tags = p->n_tags,
    };

    p->parsed.children = p->children;
    hosted_put_manifest(t, p->repo, &m, &p->missing);
}

static void child(struct put *p, unsigned n, enum child_kind kind)
{
    p->children[p->parsed.n_children++] =
        (struct descriptor){.digest = digest_of(n), .size = 10, .kind = kind};
}

static void blob(const char *repo, unsigned n)
{
    struct put p = {.repo = repo, .n = n};

    CHECK_INT(change(s, put_blob, &p, &err), 0);
}

struct ask {
    const char *repo;
    unsigned n;
    const char *tag;
    bool answer;
};

#define ASKING(name, call)                                                                         \
    static void name##_in(struct index_txn *t, void *arg)                                          \
    {                                                                                              \
        struct ask *a = arg;                                                                       \
        uint64_t repo = index_put_repo(t, REPO_HOSTED, a->repo);                                   \
        struct digest d = digest_of(a->n);                                                         \
                                                                                                   \
        (void)d;                                                                                   \
        a->answer = call;                                                                          \
    }                                                                                              \
    static bool name(const char *repo, unsigned n, const char *tag)                                \
    {                                                                                              \
        struct ask a = {repo, n, tag, false};                                                      \
                                                                                                   \
        CHECK_INT(change(s, name##_in, &a, &err), 0);                                              \
        return a.answer;                                                                           \
    }

ASKING(is_tagged, judge_is_tagged(&(struct judge){t->db, NULL}, repo, &d))
ASKING(is_referred, judge_is_referred(&(struct judge){t->db, NULL}, repo, &d))
ASKING(del_tag, hosted_del_tag(t, repo, a->tag))
ASKING(del_manifest, hosted_del_manifest(t, repo, &d))
ASKING(del_blob, hosted_del_blob(t, repo, &d))

/* --- questions ----------------------------------------------------------------------------- */

static bool is_member(const char *repo, unsigned n, uint8_t *ret_kind)
{
    struct index_read *r = index_read_begin(s);
    struct digest d = digest_of(n);
    struct member_record m = {0};
    uint64_t id;
    bool found = index_get_repo(r, REPO_HOSTED, repo, &id) == INDEX_FOUND &&
                 index_get_member(r, id, &d, &m) == INDEX_FOUND;

    index_read_end(r);
    if (ret_kind != NULL) {
        *ret_kind = m.kind;
    }
    return found;
}

static bool add_text(void *arg, const char *tag)
{
    char *text = arg;

    strncat(text, tag, 200 - strlen(text));
    strncat(text, ",", 200 - strlen(text));
    return true;
}

static const char *tags_of(const char *repo, unsigned n)
{
    static char text[256];
    struct index_read *r = index_read_begin(s);
    struct digest d = digest_of(n);
    uint64_t id;

    text[0] = '\0';
    if (index_get_repo(r, REPO_HOSTED, repo, &id) == INDEX_FOUND) {
        hosted_each_tag_of(r, id, &d, add_text, text);
    }
    index_read_end(r);
    return text;
}

static bool count_one(void *arg, const struct digest *d)
{
    unsigned *n = arg;

    (void)d;
    (*n)++;
    return true;
}

static unsigned referrers_of(const char *repo, unsigned subject)
{
    struct index_read *r = index_read_begin(s);
    struct digest d = digest_of(subject);
    unsigned n = 0;
    uint64_t id;

    if (index_get_repo(r, REPO_HOSTED, repo, &id) == INDEX_FOUND) {
        hosted_each_referrer(r, id, &d, count_one, &n);
    }
    index_read_end(r);
    return n;
}

/* --- tests --------------------------------------------------------------------------------- */

static void test_manifest_takes_what_it_may(void)
{
    struct put image = {.repo = "stage/app", .n = IMAGE, .tags = {"a", "b"}, .n_tags = 2};
    uint8_t kind;

    blob("stage/app", LAYER); /* uploaded */
    blob(NULL, LAYER + 1);    /* elsewhere, and readable by the pusher */
    blob(NULL, LAYER + 2);    /* elsewhere, and not */
    child(&image, LAYER, CHILD_CONFIG);
    child(&image, LAYER + 1, CHILD_LAYER);
    child(&image, LAYER + 2, CHILD_LAYER);
    child(&image, LAYER + 3, CHILD_LAYER); /* nowhere */
    image.may_take[1] = true;
    image.may_take[3] = true;
    CHECK_INT(change(s, put_manifest, &image, &err), 0);
    CHECK_INT(image.missing, 2);
    CHECK(is_member("stage/app", LAYER, &kind) && kind == CHILD_CONFIG);
    CHECK(is_member("stage/app", LAYER + 1, &kind) && kind == CHILD_LAYER);
    CHECK(!is_member("stage/app", LAYER + 2, NULL));
    CHECK(!is_member("stage/app", LAYER + 3, NULL));
    CHECK(!is_member("stage/other", LAYER, NULL));
    CHECK(is_member("stage/app", IMAGE, &kind) && kind == CHILD_MANIFEST);
    CHECK(is_referred("stage/app", LAYER, NULL));
    CHECK(!is_referred("stage/other", LAYER, NULL));
    CHECK(!is_referred("stage/app", IMAGE, NULL));
}

static void test_foreign_layers_are_not_missed(void)
{
    struct put image = {.repo = "stage/windows", .n = IMAGE + 9};

    child(&image, LAYER + 50, CHILD_LAYER);
    image.children[0].foreign = true;
    CHECK_INT(change(s, put_manifest, &image, &err), 0);
    CHECK_INT(image.missing, 0);
}

static void test_tags_both_ways(void)
{
    struct put other = {.repo = "stage/app", .n = IMAGE + 1, .tags = {"b"}, .n_tags = 1};

    CHECK_STR(tags_of("stage/app", IMAGE), "a,b,");
    CHECK(is_tagged("stage/app", IMAGE, NULL));
    CHECK_INT(change(s, put_manifest, &other, &err), 0);
    CHECK_STR(tags_of("stage/app", IMAGE), "a,");
    CHECK_STR(tags_of("stage/app", IMAGE + 1), "b,");
    CHECK(!is_tagged("stage/app", IMAGE + 2, NULL));
    CHECK(!del_tag("stage/app", 0, "c"));
    CHECK(del_tag("stage/app", 0, "a"));
    CHECK(!del_tag("stage/app", 0, "a"));
    CHECK(!is_tagged("stage/app", IMAGE, NULL));
    CHECK(is_member("stage/app", IMAGE, NULL));
}

static void test_referrers(void)
{
    struct put signature = {.repo = "stage/app", .n = IMAGE + 5};
    struct put index = {.repo = "stage/app", .n = INDEX};

    signature.parsed.has_subject = true;
    signature.parsed.subject = digest_of(INDEX);
    CHECK_INT(change(s, put_manifest, &signature, &err), 0);
    CHECK_INT(referrers_of("stage/app", INDEX), 1);
    CHECK_INT(referrers_of("stage/other", INDEX), 0);
    CHECK(!is_referred("stage/app", IMAGE + 5, NULL)); /* its subject is not here yet */
    child(&index, IMAGE, CHILD_MANIFEST);
    CHECK_INT(change(s, put_manifest, &index, &err), 0);
    CHECK_INT(index.missing, 0);
    CHECK(is_referred("stage/app", IMAGE + 5, NULL));
    CHECK(is_referred("stage/app", IMAGE, NULL));
    CHECK(del_manifest("stage/app", IMAGE + 5, NULL));
    CHECK_INT(referrers_of("stage/app", INDEX), 0);
}

static void test_removal(void)
{
    CHECK(!del_manifest("stage/app", LAYER, NULL)); /* no manifest */
    CHECK(!del_blob("stage/app", IMAGE, NULL));
    CHECK(del_manifest("stage/app", IMAGE + 1, NULL));
    CHECK_STR(tags_of("stage/app", IMAGE + 1), "");
    CHECK(!del_tag("stage/app", 0, "b"));
    CHECK(!del_manifest("stage/app", IMAGE + 1, NULL));
    CHECK(del_blob("stage/app", LAYER, NULL));
    CHECK(!is_member("stage/app", LAYER, NULL));
    CHECK(!del_blob("stage/app", LAYER, NULL));
}

int main(void)
{
    store_dir_new();
    s = store_dir_open();
    test_manifest_takes_what_it_may();
    test_foreign_layers_are_not_missed();
    test_tags_both_ways();
    test_referrers();
    test_removal();
    store_close(s);
    store_dir_join_pool();
    return tap_done();
}
