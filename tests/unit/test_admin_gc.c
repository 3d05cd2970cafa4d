/* test_admin_gc.c - what a run of retention tells becomes an answer of bounded size. */
#include "../../src/admin/gc.c"

#include "tap.h"

#include <jansson.h>

/* What the run below tells. */
static struct {
    size_t blobs;
    bool fails;
    bool was_dry;
} run;

int retain_run(struct store *s, bool dry, void (*f)(void *arg, const struct retain_gone *gone),
               void *arg, struct retain_sum *ret, struct err *e)
{
    struct digest d = {.alg = DIGEST_SHA256};
    struct retain_gone tag = {RETAIN_TAG, "stage/app", "old", &d, 0, "keep_tags"};
    struct retain_gone manifest = {RETAIN_MANIFEST, "stage/app", NULL, &d, 500, "untagged_after"};
    struct retain_gone blob = {RETAIN_BLOB, "", NULL, &d, 5000, "unreferenced"};

    (void)s;
    run.was_dry = dry;
    f(arg, &tag);
    if (run.fails) {
        return err_set(e, ERR_STORE, "the disk is gone");
    }
    f(arg, &manifest);
    for (size_t i = 0; i < run.blobs; i++) {
        f(arg, &blob);
    }
    *ret = (struct retain_sum){1, 1, run.blobs, 5000 * run.blobs + 500};
    return 0;
}

static json_t *ask(bool dry)
{
    struct admin a = {0};
    struct admin_query q = {.name = "", .dry_run = dry};
    struct err err = {0};
    json_t *root = NULL;
    struct buf out;

    buf_init(&out, ADMIN_ANSWER_MAX);
    if (admin_gc(&a, &q, &out, &err) == 0) {
        CHECK(!out.failed);
        root = json_loadb(out.p, out.len, 0, NULL);
        CHECK(json_is_object(root));
    } else {
        CHECK(err.code == ERR_STORE);
    }
    buf_free(&out);
    return root;
}

static json_int_t number(const json_t *object, const char *name)
{
    return json_integer_value(json_object_get(object, name));
}

static void test_answer(void)
{
    const json_t *gone;
    const json_t *one;
    json_t *j;

    run.blobs = 2;
    j = ask(true);
    CHECK(run.was_dry && json_is_true(json_object_get(j, "dry_run")));
    gone = json_object_get(j, "gone");
    CHECK_INT(json_array_size(gone), 4);
    one = json_array_get(gone, 0);
    CHECK_STR(json_string_value(json_object_get(one, "what")), "tag");
    CHECK_STR(json_string_value(json_object_get(one, "repository")), "stage/app");
    CHECK_STR(json_string_value(json_object_get(one, "tag")), "old");
    CHECK_STR(json_string_value(json_object_get(one, "why")), "keep_tags");
    one = json_array_get(gone, 1);
    CHECK_STR(json_string_value(json_object_get(one, "what")), "manifest");
    CHECK(json_object_get(one, "tag") == NULL && number(one, "bytes") == 500);
    one = json_array_get(gone, 3);
    CHECK_STR(json_string_value(json_object_get(one, "what")), "blob");
    CHECK(number(j, "tags") == 1 && number(j, "manifests") == 1 && number(j, "blobs") == 2);
    CHECK(number(j, "bytes") == 10500 && number(j, "omitted") == 0);
    json_decref(j);
    run.blobs = 0;
    j = ask(false);
    CHECK(!run.was_dry && json_is_false(json_object_get(j, "dry_run")));
    json_decref(j);
}

/* A run may remove more than anybody wants to read: the sums are right all the same. */
static void test_bounded(void)
{
    json_t *j;

    run.blobs = 400000;
    j = ask(false);
    CHECK(number(j, "omitted") > 0);
    CHECK_INT(number(j, "omitted") + (json_int_t)json_array_size(json_object_get(j, "gone")),
              400002);
    CHECK_INT(number(j, "blobs"), 400000);
    json_decref(j);
}

static void test_failed(void)
{
    run.fails = true;
    CHECK(ask(false) == NULL);
    run.fails = false;
}

int main(void)
{
    test_answer();
    test_bounded();
    test_failed();
    return tap_done();
}
