/* test_oci_lockfile.c - lock files: read, found in, written; and what is wrong with bad ones. */
#include "oci/lockfile.h"

#include "tap.h"

#include <stdlib.h>

#define HEX64 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define HEX64B "1123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define A "\"digest\":\"sha256:" HEX64 "\""
#define B "\"digest\":\"sha256:" HEX64B "\""
#define FILE_OF(images) "{\"version\":1,\"images\":[" images "]}"

static const char *const hub_aliases[] = {"index.docker.io"};
static const struct route_upstream upstreams[] = {{"docker.io", hub_aliases, 1, true},
                                                  {"ghcr.io", NULL, 0, false}};
static const char *const hosted[] = {"stage/**"};
static const struct route_table table = {upstreams, 2, hosted, 1, NULL, 0};

static struct lockfile *parse(const char *text, struct err *e)
{
    struct lockfile *l = NULL;
    size_t len = strlen(text);
    char *copy = xcalloc(len + 1, 1);
    char *exact = len == 0 ? copy : xrealloc(copy, len); /* so that a read past its end is seen */
    int result;

    memcpy(exact, text, len);
    *e = (struct err){0};
    result = lockfile_parse(slice_of(exact, len), &table, &l, e);
    free(exact);
    CHECK_NOTE((result == 0) == (l != NULL), "result and value agree");
    return l;
}

/* What is written of a file. */
static void check_text(const char *text, const char *expected)
{
    struct err e;
    struct lockfile *l = parse(text, &e);
    struct buf out;

    if (!CHECK_NOTE(l != NULL, e.text)) {
        return;
    }
    buf_init(&out, 1u << 20);
    lockfile_write(l, &out);
    CHECK_STR(out.p, expected);
    buf_free(&out);
    lockfile_free(l);
}

static void test_written(void)
{
    check_text("{ \"images\": [], \"version\": 1 }", "{\n  \"version\": 1,\n  \"images\": []\n}\n");
    /* Sorted by name, tag and digest; names are whole; repetitions are one. */
    check_text(FILE_OF("{" A ",\"tag\":\"b\",\"name\":\"golang\"},"
                       "{\"name\":\"stage/app\"," A ",\"tag\":\"x\",\"platforms\":[]},"
                       "{\"name\":\"golang\"," B "},"
                       "{\"name\":\"index.docker.io/golang\"," A "},"
                       "{\"name\":\"golang\",\"tag\":\"b\"," A
                       ",\"platforms\":[\"linux/arm/v7\",\"linux/amd64\",\"linux/amd64\"]},"
                       "{\"name\":\"golang\",\"tag\":\"A\"," B "}"),
               "{\n  \"version\": 1,\n  \"images\": [\n"
               "    { \"name\": \"docker.io/library/golang\", \"digest\": \"sha256:" HEX64
               "\", \"platforms\": [] },\n"
               "    { \"name\": \"docker.io/library/golang\", \"digest\": \"sha256:" HEX64B
               "\", \"platforms\": [] },\n"
               "    { \"name\": \"docker.io/library/golang\", \"tag\": \"A\", "
               "\"digest\": \"sha256:" HEX64B "\", \"platforms\": [] },\n"
               "    { \"name\": \"docker.io/library/golang\", \"tag\": \"b\", "
               "\"digest\": \"sha256:" HEX64 "\", "
               "\"platforms\": [\"linux/amd64\", \"linux/arm/v7\"] },\n"
               "    { \"name\": \"stage/app\", \"tag\": \"x\", \"digest\": \"sha256:" HEX64
               "\", \"platforms\": [] }\n"
               "  ]\n}\n");
}

static void test_found(void)
{
    struct err e;
    struct lockfile *l = parse(FILE_OF("{\"name\":\"golang\",\"tag\":\"1.18\"," A "},"
                                       "{\"name\":\"golang\"," B "},"
                                       "{\"name\":\"golang\",\"tag\":\"1.17\"," B "},"
                                       "{\"name\":\"no.such:5000/A\",\"tag\":\"z\"," A "},"
                                       "{\"name\":\"debian\"," A "}"),
                               &e);
    const struct lock_image *tags;
    char text[DIGEST_TEXT_MAX];
    size_t n = 7;

    if (!CHECK_NOTE(l != NULL, e.text)) {
        return;
    }
    CHECK_INT(l->n, 5);
    tags = lockfile_find(l, "docker.io/library/golang", "1.18");
    CHECK(tags != NULL && strcmp(digest_text(&tags->digest, text), "sha256:" HEX64) == 0);
    CHECK(lockfile_find(l, "docker.io/library/golang", "1.19") == NULL);
    CHECK(lockfile_find(l, "docker.io/library/golang", "1.1") == NULL);
    CHECK(lockfile_find(l, "docker.io/library/golan", "1.18") == NULL);
    CHECK(lockfile_find(l, "zz", "1.18") == NULL);
    CHECK(lockfile_find(l, "no.such:5000/A", "z") != NULL);
    tags = lockfile_tags(l, "docker.io/library/golang", &n);
    CHECK(tags != NULL && n == 2 && strcmp(tags[0].tag, "1.17") == 0 &&
          strcmp(tags[1].tag, "1.18") == 0);
    CHECK(lockfile_tags(l, "docker.io/library/debian", &n) == NULL && n == 0);
    CHECK(lockfile_tags(l, "zz", &n) == NULL && n == 0);
    lockfile_free(l);
    lockfile_free(NULL);
}

static void test_bad(void)
{
    static const struct {
        const char *text;
        const char *error;
    } CASES[] = {
        {"", "line 1: must be JSON"},
        {"[]", "must be an object with \"version\" and \"images\""},
        {"{\"version\":1,\n\"images\":[\n{\"name\" \"a\"}]}", "line 3: must be JSON"},
        {"{\"version\":1,\"images\":[]} x", "line 1: must be JSON"},
        {"{\"version\":1,\"images\":[[[[[[[[[1]]]]]]]]]}", "images[0]: must be an object"},
        {"{\"images\":[]}", "version: must be there"},
        {"{\"version\":1}", "images: must be there"},
        {"{\"version\":2,\"images\":[]}", "version: must be 1"},
        {"{\"version\":\"1\",\"images\":[]}", "version: must be 1"},
        {"{\"version\":1,\"version\":1}", "repeated key \"version\""},
        {"{\"version\":1,\"image\":[]}", "unknown key \"image\""},
        {"{\"version\":1,\"images\":{}}", "images: must be a list of images"},
        {FILE_OF("1"), "images[0]: must be an object with"},
        {FILE_OF("{" A "}"), "images[0].name: must be there"},
        {FILE_OF("{\"name\":\"a\"}"), "images[0].digest: must be there"},
        {FILE_OF("{\"name\":\"a\"," A "},{\"name\":1," A "}"), "images[1].name: must be a repos"},
        {FILE_OF("{\"name\":\"Bad\"," A "}"), "images[0].name: must be a repository"},
        {FILE_OF("{\"name\":\"\"," A "}"), "images[0].name: must be a repository"},
        {FILE_OF("{\"name\":\"no.such/\\n\"," A "}"), "images[0].name: must be a repository"},
        {FILE_OF("{\"name\":\"a\",\"name\":\"a\"," A "}"), "images[0].name: must be there once"},
        {FILE_OF("{\"name\":\"a\",\"tag\":\"\"," A "}"), "images[0].tag: must be a tag"},
        {FILE_OF("{\"name\":\"a\",\"tag\":null," A "}"), "images[0].tag: must be a tag"},
        {FILE_OF("{\"name\":\"a\",\"tag\":\"a:b\"," A "}"), "images[0].tag: must be a tag"},
        {FILE_OF("{\"name\":\"a\",\"digest\":\"sha256:12\"}"), "images[0].digest: must be a dig"},
        {FILE_OF("{\"name\":\"a\",\"digest\":\"md5:12\"}"), "images[0].digest: must be a digest"},
        {FILE_OF("{\"name\":\"a\"," A ",\"platforms\":\"linux/amd64\"}"),
         "images[0].platforms: must be a list"},
        {FILE_OF("{\"name\":\"a\"," A ",\"platforms\":[\"linux\"]}"), "images[0].platforms: must"},
        {FILE_OF("{\"name\":\"a\"," A ",\"platforms\":[\"a/b/c/d\"]}"), "images[0].platforms: mu"},
        {FILE_OF("{\"name\":\"a\"," A ",\"platforms\":[\"a//b\"]}"), "images[0].platforms: must"},
        {FILE_OF("{\"name\":\"a\"," A ",\"platforms\":[1]}"), "images[0].platforms: must be"},
        {FILE_OF("{\"name\":\"a\"," A ",\"time\":1}"), "images[0]: unknown key \"time\"; known"},
        {FILE_OF("{\"name\":\"b\",\"tag\":\"1\"," B "},{\"name\":\"a\"," A "},"
                 "{\"name\":\"docker.io/b\",\"tag\":\"1\"," A "}"),
         "images[2]: docker.io/library/b:1 must not have another digest than in images[0]"},
    };

    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        struct err e;
        struct lockfile *l = parse(CASES[i].text, &e);

        CHECK_NOTE(l == NULL, CASES[i].text);
        CHECK_INT(e.code, ERR_CONFIG);
        if (!CHECK_NOTE(strstr(e.text, CASES[i].error) == e.text, CASES[i].error)) {
            tap_text("# ", e.text);
        }
        lockfile_free(l);
    }
}

static void test_bounds(void)
{
    struct lockfile *l = NULL;
    struct lock_image *image;
    struct digest d = {.alg = DIGEST_SHA256};
    struct buf text;
    struct err e;

    buf_init(&text, LOCKFILE_MAX);
    buf_str(&text, "{\"version\":1,\"images\":[");
    for (size_t i = 0; i <= LOCKFILE_IMAGES_MAX; i++) {
        buf_str(&text, i == 0 ? "" : ",");
        buf_str(&text, "{\"name\":\"a\"," A "}");
    }
    buf_str(&text, "]}");
    CHECK(!text.failed && lockfile_parse(buf_view(&text), &table, &l, &e) < 0 && l == NULL);
    CHECK_STR(e.text, "images: must be at most 100000");
    CHECK(lockfile_parse(slice_of(text.p, LOCKFILE_MAX + 1), &table, &l, &e) < 0);
    CHECK_STR(e.text, "must be at most 33554432 bytes");
    buf_free(&text);
    l = xnew(struct lockfile);
    image = lockfile_add(l, slice_str("a"), SLICE_NULL, &d);
    for (unsigned i = 0; i < LOCKFILE_PLATFORMS_MAX + 2; i++) {
        char platform[16];

        snprintf(platform, sizeof(platform), "linux/%u", i);
        lock_image_add_platform(image, slice_str(platform));
    }
    CHECK_INT(image->n_platforms, LOCKFILE_PLATFORMS_MAX);
    lockfile_free(l);
}

int main(void)
{
    test_written();
    test_found();
    test_bad();
    test_bounds();
    return tap_done();
}
