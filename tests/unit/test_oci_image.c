/* test_oci_image.c - image configurations, good and bad, and the entries of an index in order. */
#include "oci/image.h"
#include "oci/platform.h"

#include "tap.h"

#include <stdlib.h>

#define HEX64 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define ID1 "\"sha256:" HEX64 "\""
#define ID2 "\"sha512:" HEX64 HEX64 "\""

static struct image *parse(const char *body, struct err *e)
{
    struct image *i = NULL;
    size_t len = strlen(body);
    char *copy = xcalloc(len + 1, 1);
    char *exact = len == 0 ? copy : xrealloc(copy, len); /* so that a read past its end is seen */
    int result;

    memcpy(exact, body, len);
    *e = (struct err){0};
    result = image_parse(slice_of(exact, len), &i, e);
    free(exact);
    CHECK_NOTE((result == 0) == (i != NULL), "result and value agree");
    return i;
}

static void test_good(void)
{
    struct err e;
    struct image *i = parse("{\"created\":\"2022\",\"config\":{\"Env\":[\"A=b\"],\"os\":\"x\"},"
                            "\"architecture\":\"amd64\",\"os\":\"linux\",\"history\":[{\"a\":1}],"
                            "\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[" ID1 "," ID2 "," ID1
                            "],\"x\":[{}]},\"variant\":null}\n",
                            &e);

    if (!CHECK(i != NULL)) {
        return;
    }
    CHECK_STR(i->architecture, "amd64");
    CHECK_STR(i->os, "linux");
    CHECK_INT(i->n_diff_ids, 3);
    CHECK_INT(i->diff_ids[0].alg, DIGEST_SHA256);
    CHECK_INT(i->diff_ids[1].alg, DIGEST_SHA512);
    CHECK(digest_equal(&i->diff_ids[0], &i->diff_ids[2]));
    CHECK_INT(i->diff_ids[0].bytes[1], 0x23);
    image_free(i);
    image_free(NULL);
}

/* Without layers, or with members of other kinds than they should be: still images. */
static void test_odd(void)
{
    static const struct {
        const char *body;
        size_t layers;
        const char *os;
    } CASES[] = {
        {"{}", 0, ""},
        {"{\"rootfs\":{}}", 0, ""},
        {"{\"rootfs\":null,\"os\":\"linux\"}", 0, "linux"},
        {"{\"rootfs\":{\"diff_ids\":null}}", 0, ""},
        {"{\"rootfs\":{\"diff_ids\":[]}}", 0, ""},
        {"{\"os\":7,\"architecture\":{\"os\":\"linux\"}}", 0, ""},
        {"{\"os\":\"0123456789012345678901234567890123456789\"}", 0, ""},
        {"{\"\\u006fs\":\"\\u006cinux\"}", 0, "linux"},
        {"{\"rootfs\":{\"diff_ids\":[" ID1 "]},\"rootfs\":{\"diff_ids\":[" ID2 "," ID1 "]}}", 2,
         ""},
        {"{\"diff_ids\":[\"x\"],\"rootfs\":{\"other\":[\"x\"]}}", 0, ""},
    };

    for (size_t n = 0; n < ARRAY_LEN(CASES); n++) {
        struct err e;
        struct image *i = parse(CASES[n].body, &e);

        CHECK_NOTE(i != NULL && i->n_diff_ids == CASES[n].layers, CASES[n].body);
        CHECK_NOTE(i != NULL && strcmp(i->os, CASES[n].os) == 0, CASES[n].body);
        image_free(i);
    }
}

static void test_bad(void)
{
    static const char *const CASES[] = {
        "",
        "[]",
        "\"x\"",
        "{",
        "{\"os\"}",
        "{\"os\":\"linux\"} x",
        "{\"os\":\"linux\"",
        "{\"rootfs\":{\"diff_ids\":[" ID1,
        "{\"rootfs\":{\"diff_ids\":[" ID1 "]",
        "{\"rootfs\":{\"diff_ids\":[" ID1 ",]}}",
        "{\"rootfs\":{\"diff_ids\":[7]}}",
        "{\"rootfs\":{\"diff_ids\":[[" ID1 "]]}}",
        "{\"rootfs\":{\"diff_ids\":{}}}",
        "{\"rootfs\":{\"diff_ids\":" ID1 "}}",
        "{\"rootfs\":{\"diff_ids\":[\"sha256:junk\"]}}",
        "{\"rootfs\":{\"diff_ids\":[\"\"]}}",
        "{\"rootfs\":{\"diff_ids\":[\"blake3:" HEX64 "\"]}}",
        "{\"rootfs\":{\"diff_ids\":[\"sha256:" HEX64 "\\u0000\"]}}",
        "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]",
    };

    for (size_t n = 0; n < ARRAY_LEN(CASES); n++) {
        struct err e;
        struct image *i = parse(CASES[n], &e);

        CHECK_NOTE(i == NULL && e.code == ERR_MANIFEST_INVALID && e.text[0] != '\0', CASES[n]);
        image_free(i);
    }
}

/* `n` times `item` between `head` and `tail`. */
static struct image *parse_many(const char *head, const char *item, size_t n, const char *tail,
                                struct err *e)
{
    struct buf b;
    struct image *i;

    buf_init(&b, 2 * (size_t)IMAGE_MAX);
    buf_str(&b, head);
    for (size_t k = 0; k < n; k++) {
        buf_printf(&b, "%s%s", k == 0 ? "" : ",", item);
    }
    buf_str(&b, tail);
    buf_str(&b, ""); /* a NUL behind it even where nothing was put */
    i = parse(b.p, e);
    buf_free(&b);
    return i;
}

static void test_bounds(void)
{
    struct err e;
    struct image *i;

    i = parse_many("{\"rootfs\":{\"diff_ids\":[", ID1, IMAGE_LAYERS_MAX, "]}}", &e);
    CHECK(i != NULL && i->n_diff_ids == IMAGE_LAYERS_MAX);
    image_free(i);
    i = parse_many("{\"rootfs\":{\"diff_ids\":[", ID1, IMAGE_LAYERS_MAX + 1, "]}}", &e);
    CHECK(i == NULL && strstr(e.text, "4096") != NULL);
    image_free(i);
    i = parse_many("{\"history\":[", "1", IMAGE_VALUES_MAX - 3, "]}", &e);
    CHECK(i != NULL);
    image_free(i);
    i = parse_many("{\"history\":[", "1", IMAGE_VALUES_MAX, "]}", &e);
    CHECK(i == NULL && strstr(e.text, "100000") != NULL);
    image_free(i);
    i = parse_many("{\"a\":\"", "012345678901234567890123456789", IMAGE_MAX / 30, "\"}", &e);
    CHECK(i == NULL && strstr(e.text, "larger") != NULL);
    image_free(i);
}

static void test_config_types(void)
{
    CHECK(image_is_config(slice_str("application/vnd.oci.image.config.v1+json")));
    CHECK(image_is_config(slice_str("application/vnd.docker.container.image.v1+json; a=b")));
    CHECK(!image_is_config(slice_str("application/vnd.buildkit.cacheconfig.v0")));
    CHECK(!image_is_config(slice_str("application/vnd.oci.empty.v1+json")));
    CHECK(!image_is_config(slice_str("")));
}

/* --- entries of an index ------------------------------------------------------------------- */

/* An entry whose digest is a letter 64 times, and what stands behind that. */
#define ENTRY(type, letter, rest)                                                                  \
    "{\"mediaType\":\"application/vnd." type                                                       \
    "+json\",\"size\":1,\"digest\":\"sha256:" letter letter letter letter letter letter letter     \
        letter "\"" rest "}"
#define IMAGE(letter, rest) ENTRY("oci.image.manifest.v1", letter, rest)
#define FOR(os, arch) ",\"platform\":{\"os\":\"" os "\",\"architecture\":\"" arch "\"}"
#define NOTE(value) ",\"annotations\":" value

static const char INDEX[] = {
    "{\"schemaVersion\":2,\"manifests\":["
    /* clang-format off */
    IMAGE("aaaaaaaa", FOR("linux", "arm64")) ","
    IMAGE("bbbbbbbb", FOR("unknown", "unknown")) ","
    IMAGE("cccccccc", FOR("linux", "amd64")
          NOTE("{\"vnd.docker.reference.type\":\"attestation-manifest\"}")) ","
    IMAGE("dddddddd", FOR("linux", "amd64") NOTE("7")) ","
    IMAGE("eeeeeeee", FOR("windows", "amd64")) ","
    IMAGE("ffffffff", "") ","
    ENTRY("buildkit.cacheconfig.v0", "99999999", "") ","
    IMAGE("junkjunk", "") ","
    IMAGE("00000000", FOR("linux", "amd64")) ","
    "7]}"
    /* clang-format on */
};

static void test_order(void)
{
    static const unsigned char WANT[] = {0xdd, 0x00, 0xaa, 0xee, 0xff};
    struct platform p = {.os = "linux", .architecture = "amd64"};
    struct digest *found = NULL;
    size_t n = 0;

    platform_order(slice_str(INDEX), &p, &found, &n);
    if (CHECK_INT(n, ARRAY_LEN(WANT))) {
        for (size_t i = 0; i < n; i++) {
            CHECK_INT(found[i].bytes[0], WANT[i]);
        }
    }
    free(found);
    platform_order(slice_str("{\"manifests\":{}}"), &p, &found, &n);
    CHECK(found == NULL && n == 0);
    platform_order(slice_str("[]"), &p, &found, &n);
    CHECK(found == NULL && n == 0);
}

static void test_here(void)
{
    struct platform p = platform_here();

    CHECK_STR(p.os, "linux");
#ifdef __x86_64__
    CHECK(strcmp(p.architecture, "amd64") == 0 || strcmp(p.architecture, "386") == 0);
#endif
    CHECK(p.architecture[0] != '\0');
}

/* --- platforms ----------------------------------------------------------------------------- */

static void test_platform_of_entry(void)
{
    static const char BODY[] =
        {
            "{\"manifests\":["
            /* clang-format off */
        IMAGE("11111111", FOR("linux", "amd64")) ","
        IMAGE("22222222", FOR("linux", "arm\",\"variant\":\"v7")) ","
        IMAGE("33333333", FOR("unknown", "unknown")) ","
        IMAGE("44444444", "") ","
        IMAGE("55555555", ",\"platform\":{\"os\":\"linux\"}") ","
        IMAGE("66666666", FOR("li nux", "amd64")) ","
        IMAGE("77777777", FOR("linux", "a/b/c")) ","
        IMAGE("88888888", FOR("linux", HEX64)) "]}"
            /* clang-format on */
        };
    static const char *const EXPECTED[] = {
        "linux/amd64", "linux/arm/v7", "", "", "", "", "", "linux/" HEX64, ""};

    for (unsigned n = 0; n < ARRAY_LEN(EXPECTED); n++) {
        char platform[PLATFORM_TEXT_MAX] = "";
        struct digest d = {.alg = DIGEST_SHA256};
        bool found;

        memset(d.bytes, (int)(0x11 * (n + 1)), 32);
        found = platform_of_entry(slice_str(BODY), &d, platform);
        CHECK_STR(platform, EXPECTED[n]);
        CHECK(found == (EXPECTED[n][0] != '\0'));
    }
}

int main(void)
{
    test_good();
    test_odd();
    test_bad();
    test_bounds();
    test_config_types();
    test_order();
    test_here();
    test_platform_of_entry();
    return tap_done();
}
