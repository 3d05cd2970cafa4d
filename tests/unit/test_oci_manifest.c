/* test_oci_manifest.c - manifests of every kind, what bounds them, and error bodies. */
#include "../../src/oci/errbody.c"
#include "../../src/oci/jscan.c"
#include "../../src/oci/manifest.c"

#include "tap.h"

#define HEX64 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define D1 "\"digest\":\"sha256:" HEX64 "\""
#define D2 "\"digest\":\"sha512:" HEX64 HEX64 "\""
#define OCI_INDEX "\"mediaType\":\"application/vnd.oci.image.index.v1+json\""
#define OCI_IMAGE "\"mediaType\":\"application/vnd.oci.image.manifest.v1+json\""
#define LAYER "{\"mediaType\":\"application/vnd.oci.image.layer.v1.tar+gzip\"," D1 ",\"size\":7}"
#define CONFIG "{\"mediaType\":\"application/vnd.oci.image.config.v1+json\"," D2 ",\"size\":3}"

static struct manifest *parse(const char *body, const char *content_type, struct err *e)
{
    struct manifest *m = NULL;
    struct slice s = slice_str(body);
    char *copy = xstrndup(body, s.len); /* so that a read past its end is seen */
    int result;

    *e = (struct err){0};
    result = manifest_parse(slice_of(copy, s.len), slice_str(content_type), &m, e);
    free(copy);
    if ((result == 0) != (m != NULL)) {
        CHECK_NOTE(false, "result and value agree");
    }
    return m;
}

/* What an upstream serves is read as far as it goes; what is amiss is said. */
static void test_faults(void)
{
    static const struct {
        const char *body;
        const char *fault;
    } CASES[] = {
        {"{\"schemaVersion\":2," OCI_IMAGE ",\"config\":" CONFIG "}", NULL},
        {"{\"schemaVersion\":2,\"mediaType\":null,\"config\":" CONFIG "}", NULL},
        {"{\"schemaVersion\":2,\"mediaType\":5,\"config\":" CONFIG "}", "mediaType is no string"},
        {"{\"schemaVersion\":\"2\"," OCI_IMAGE "}", "schemaVersion is no number"},
        {"{\"schemaVersion\":2,\"artifactType\":{}," OCI_IMAGE "}", "artifactType is no string"},
        {"{\"schemaVersion\":2," OCI_IMAGE ",\"layers\":[{" D1 ",\"size\":-1}]}",
         "the size of a descriptor is no number of bytes"},
        {"{\"schemaVersion\":2," OCI_IMAGE ",\"layers\":[{" D1 ",\"size\":\"1\"}]}",
         "the size of a descriptor is no number of bytes"},
        {"{\"schemaVersion\":2," OCI_IMAGE ",\"layers\":[{" D1 ",\"mediaType\":1}]}",
         "the mediaType of a descriptor is no string"},
        {"{\"schemaVersion\":2," OCI_IMAGE ",\"subject\":{" D1 ",\"size\":1.5}}",
         "the size of a descriptor is no number of bytes"},
    };

    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        struct err e;
        struct manifest *m = parse(CASES[i].body, MEDIA_TYPE_OCI_MANIFEST, &e);

        if (CHECK_NOTE(m != NULL, CASES[i].body)) {
            CHECK_STR(m->fault == NULL ? "" : m->fault,
                      CASES[i].fault == NULL ? "" : CASES[i].fault);
        }
        manifest_free(m);
    }
}

static void test_image(void)
{
    struct err e;
    struct manifest *m = parse("{\"schemaVersion\":2," OCI_IMAGE ",\"config\":" CONFIG
                               ",\"layers\":[" LAYER "," LAYER "],\"annotations\":{\"a\":\"b\"},"
                               "\"x\":[1,{\"y\":null}]}",
                               "text/plain", &e);

    if (!CHECK(m != NULL)) {
        return;
    }
    CHECK_INT(m->type, MANIFEST_IMAGE);
    CHECK_STR(m->media_type, MEDIA_TYPE_OCI_MANIFEST);
    CHECK_INT(m->n_children, 3);
    CHECK_INT(m->children[0].kind, CHILD_CONFIG);
    CHECK_INT(m->children[0].size, 3);
    CHECK_INT(m->children[0].digest.alg, DIGEST_SHA512);
    CHECK_STR(m->children[0].media_type, "application/vnd.oci.image.config.v1+json");
    CHECK_INT(m->children[1].kind, CHILD_LAYER);
    CHECK_INT(m->children[1].size, 7);
    CHECK_INT(m->children[1].digest.alg, DIGEST_SHA256);
    CHECK_INT(m->children[1].digest.bytes[0], 0x01);
    CHECK(!m->children[1].foreign);
    CHECK(!m->has_subject);
    CHECK_STR(m->artifact_type, "");
    manifest_free(m);
    manifest_free(NULL);
}

static void test_index(void)
{
    struct err e;
    struct manifest *m = parse(
        "{\"schemaVersion\":2," OCI_INDEX ",\"artifactType\":\"a/b\",\"manifests\":["
        "{" OCI_IMAGE "," D1 ",\"size\":10,\"platform\":{\"os\":\"linux\"}},"
        "{" OCI_INDEX "," D1 ",\"size\":11},"
        "{\"mediaType\":\"application/vnd.docker.image.rootfs.diff.tar.gzip\"," D1 ",\"size\":12},"
        "{\"mediaType\":\"application/vnd.buildkit.cacheconfig.v0\"," D1 ",\"size\":13},"
        "{" OCI_IMAGE ",\"digest\":\"blake3:" HEX64 "\",\"size\":14},"
        "{" D1 "}],\"subject\":{" OCI_IMAGE "," D2 ",\"size\":1}}",
        "", &e);

    if (!CHECK(m != NULL)) {
        return;
    }
    CHECK_INT(m->type, MANIFEST_INDEX);
    CHECK_INT(m->n_children, 5);
    CHECK_INT(m->children[0].kind, CHILD_MANIFEST);
    CHECK_INT(m->children[1].kind, CHILD_MANIFEST);
    CHECK_INT(m->children[2].kind, CHILD_BLOB);
    CHECK_INT(m->children[3].kind, CHILD_BLOB);
    CHECK_INT(m->children[3].size, 13);
    CHECK_INT(m->children[4].kind, CHILD_BLOB);
    CHECK(m->children[4].size == DESCRIPTOR_SIZE_UNKNOWN);
    CHECK_STR(m->children[4].media_type, "");
    CHECK(m->has_subject && m->subject.alg == DIGEST_SHA512);
    CHECK_STR(m->artifact_type, "a/b");
    manifest_free(m);
}

static void test_types(void)
{
    static const struct {
        const char *body;
        const char *content_type;
        const char *media_type; /* NULL: refused */
    } cases[] = {
        {"{\"schemaVersion\":2,\"manifests\":[]}", "", MEDIA_TYPE_OCI_INDEX},
        {"{\"schemaVersion\":2,\"layers\":[]}", "", MEDIA_TYPE_OCI_MANIFEST},
        {"{\"schemaVersion\":2,\"config\":" CONFIG "}", "application/json",
         MEDIA_TYPE_OCI_MANIFEST},
        {"{\"schemaVersion\":2,\"manifests\":[]}", MEDIA_TYPE_DOCKER_LIST, MEDIA_TYPE_DOCKER_LIST},
        {"{\"schemaVersion\":2,\"layers\":[]}", MEDIA_TYPE_DOCKER_MANIFEST "; charset=utf-8",
         MEDIA_TYPE_DOCKER_MANIFEST},
        {"{" OCI_IMAGE ",\"layers\":[]}", MEDIA_TYPE_DOCKER_MANIFEST, MEDIA_TYPE_OCI_MANIFEST},
        {"{\"mediaType\":\"a/b\",\"layers\":[]}", MEDIA_TYPE_DOCKER_MANIFEST,
         MEDIA_TYPE_DOCKER_MANIFEST},
        {"{\"mediaType\":\"\",\"schemaVersion\":2,\"layers\":[]}", "", MEDIA_TYPE_OCI_MANIFEST},
        {"{\"mediaType\":7,\"schemaVersion\":2,\"layers\":[]}", "", MEDIA_TYPE_OCI_MANIFEST},
        {"{" OCI_INDEX ",\"manifests\":[]}", "", MEDIA_TYPE_OCI_INDEX},
        {"{" OCI_INDEX ",\"manifests\":[],\"x\":\"a\\u0000b\"}", "", MEDIA_TYPE_OCI_INDEX},
        {"{" OCI_INDEX ",\"manifests\":null}", "", MEDIA_TYPE_OCI_INDEX},
        {"{\"mediaType\":\"" MEDIA_TYPE_OCI_ARTIFACT "\",\"blobs\":[" LAYER "]}", "",
         MEDIA_TYPE_OCI_ARTIFACT},
        /* Anything that is JSON and no manifest. */
        {"{}", "", NULL},
        {"{\"layers\":[]}", "application/json", NULL},
        {"{\"schemaVersion\":2}", "", NULL},
        {"{\"errors\":[]}", "application/json", NULL},
        {"[]", MEDIA_TYPE_OCI_INDEX, NULL},
        {"7", MEDIA_TYPE_OCI_INDEX, NULL},
        {"", MEDIA_TYPE_OCI_INDEX, NULL},
        {"<html>", MEDIA_TYPE_OCI_INDEX, NULL},
        {"{\"a\":\"\xff\"," OCI_INDEX ",\"manifests\":[]}", "", NULL},
        /* Two things at once. */
        {"{\"schemaVersion\":2,\"manifests\":[],\"layers\":[]}", "", NULL},
        {"{" OCI_IMAGE ",\"manifests\":[]}", "", NULL},
        {"{" OCI_INDEX ",\"manifests\":[],\"config\":" CONFIG "}", "", NULL},
        {"{\"schemaVersion\":2,\"manifests\":[]}", MEDIA_TYPE_OCI_MANIFEST, NULL},
        /* Broken entries. */
        {"{" OCI_INDEX ",\"manifests\":[7]}", "", NULL},
        {"{" OCI_INDEX ",\"manifests\":{}}", "", NULL},
        {"{" OCI_INDEX ",\"manifests\":[{}]}", "", NULL},
        {"{" OCI_INDEX ",\"manifests\":[{\"digest\":\"sha256:junk\"}]}", "", NULL},
        {"{" OCI_INDEX ",\"manifests\":[{\"digest\":\"sha512:" HEX64 "\"}]}", "", NULL},
        {"{" OCI_INDEX ",\"manifests\":[{\"digest\":\"latest\"}]}", "", NULL},
        {"{" OCI_IMAGE ",\"config\":[]}", "", NULL},
        {"{" OCI_IMAGE ",\"layers\":[],\"subject\":{\"digest\":\"sha256:\"}}", "", NULL},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct err e;
        struct manifest *m = parse(cases[i].body, cases[i].content_type, &e);

        if (cases[i].media_type == NULL) {
            CHECK_NOTE(m == NULL && e.code == ERR_MANIFEST_INVALID && e.text[0] != '\0',
                       cases[i].body);
        } else if (CHECK_NOTE(m != NULL, cases[i].body)) {
            CHECK_STR(m->media_type, cases[i].media_type);
        }
        manifest_free(m);
    }
}

static void test_schema1(void)
{
    static const char *const cases[][2] = {
        {"{\"schemaVersion\":1,\"fsLayers\":[]}", ""},
        {"{\"schemaVersion\":1,\"fsLayers\":[]}", "application/json"},
        {"{\"schemaVersion\":1}", "application/vnd.docker.distribution.manifest.v1+prettyjws"},
        {"{\"schemaVersion\":1}", "application/vnd.docker.distribution.manifest.v1+json"},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct err e;

        CHECK(parse(cases[i][0], cases[i][1], &e) == NULL);
        CHECK(strstr(e.text, "unsupported") != NULL);
    }
}

static void test_descriptors(void)
{
    static const struct {
        const char *layer;
        bool foreign;
        uint64_t size;
    } cases[] = {
        {"{\"mediaType\":\"application/vnd.docker.image.rootfs.foreign.diff.tar.gzip\"," D1
         ",\"size\":5}",
         true, 5},
        {"{\"mediaType\":\"application/vnd.oci.image.layer.nondistributable.v1.tar\"," D1
         ",\"size\":0}",
         true, 0},
        {"{\"mediaType\":\"x/y\"," D1 ",\"size\":9223372036854775807,\"urls\":[\"http://a/\"]}",
         true, INT64_MAX},
        {"{\"mediaType\":\"x/y\"," D1 ",\"size\":5,\"urls\":[]}", false, 5},
        {"{\"mediaType\":\"x/y\"," D1 ",\"size\":-1}", false, DESCRIPTOR_SIZE_UNKNOWN},
        {"{\"mediaType\":\"x/y\"," D1 ",\"size\":\"5\"}", false, DESCRIPTOR_SIZE_UNKNOWN},
        {"{" D1 ",\"size\":1.5}", false, DESCRIPTOR_SIZE_UNKNOWN},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char body[1024];
        struct err e;
        struct manifest *m;

        snprintf(body, sizeof(body), "{" OCI_IMAGE ",\"layers\":[%s]}", cases[i].layer);
        m = parse(body, "", &e);
        if (CHECK_NOTE(m != NULL && m->n_children == 1, cases[i].layer)) {
            CHECK_INT(m->children[0].foreign, cases[i].foreign);
            CHECK(m->children[0].size == cases[i].size);
        }
        manifest_free(m);
    }
}

static void test_long_media_type(void)
{
    char type[300];
    char body[1024];
    struct err e;
    struct manifest *m;

    memset(type, 'a', sizeof(type));
    type[sizeof(type) - 1] = '\0';
    snprintf(body, sizeof(body),
             "{" OCI_IMAGE ",\"artifactType\":\"%s\",\"layers\":[{\"mediaType\":\"%s\"," D1 "}]}",
             type, type);
    m = parse(body, "", &e);
    if (CHECK(m != NULL)) {
        CHECK_STR(m->artifact_type, "");
        CHECK_STR(m->children[0].media_type, "");
    }
    manifest_free(m);
}

/* How the walk over `text` ends, with bounds of 4 levels and 12 values. */
static enum jscan_token walk(struct slice text)
{
    struct jscan s;
    enum jscan_token t;

    jscan_init(&s, text, 4, 12);
    do {
        t = jscan_next(&s);
    } while (t != JSCAN_END && t != JSCAN_BAD);
    return t;
}

static const char *const json_good[] = {
    "{}",
    "[]",
    " [ ] ",
    "1",
    "\"x\"",
    "null",
    "true",
    "false",
    "-0",
    "0.5",
    "1e9",
    "-1.25E-3",
    "\"\xc3\xa9\"",
    "[[[[]]]]",
    "{\"\":\"\"}",
    "\"}]\\\\\"",
    "{\"a\":{\"b\":[1,2]}}",
    "[1,2,3,4,5,6,7,8,9,10,11]",
    "\"\\u00e9\\n\\\"\"",
    "\r\n\t{ \"a\" : 1 , \"b\" : [ ] }",
};

static const char *const json_bad[] = {
    "",
    " ",
    "{",
    "[",
    "]",
    "}",
    "[1",
    "[1,]",
    "[,1]",
    "{,}",
    "{\"a\"}",
    "{\"a\":}",
    "{a:1}",
    "{\"a\":1,}",
    "[1 2]",
    "{1:2}",
    "[}",
    "{]",
    "1 2",
    "[]]",
    "nul",
    "nulll",
    "tru",
    "01",
    "-",
    "+1",
    "1.",
    ".5",
    "1e",
    "1e+",
    "\"",
    "\"\\\"",
    "\"\\x\"",
    "\"\\u12\"",
    "\"\\u123\"",
    "\"\\u12g4\"",
    "\"\n\"",
    "\"\x01\"",
    "'a'",
    "[[[[[]]]]]",
    "[1,2,3,4,5,6,7,8,9,10,11,12]",
    "{\"a\" 1}",
    "[\"a\":1]",
    "{\"a\":1 \"b\":2}",
    "//",
    "\xef\xbb\xbf{}",
};

static void test_scan(void)
{
    for (size_t i = 0; i < ARRAY_LEN(json_good); i++) {
        CHECK_NOTE(walk(slice_str(json_good[i])) == JSCAN_END, json_good[i]);
    }
    for (size_t i = 0; i < ARRAY_LEN(json_bad); i++) {
        char *copy = xstrndup(json_bad[i], strlen(json_bad[i]));

        CHECK_NOTE(walk(slice_of(copy, strlen(copy))) == JSCAN_BAD, json_bad[i]);
        free(copy);
    }
    CHECK(walk(slice_of("\"\0\"", 3)) == JSCAN_BAD);
    CHECK(walk(slice_of("1\0", 2)) == JSCAN_BAD);
}

static void test_ascii(void)
{
    char out[8] = "";

    CHECK(jscan_ascii(slice_str("a\\u002db\\/"), out, sizeof(out)));
    CHECK_STR(out, "a-b/");
    CHECK(jscan_ascii(slice_str("1234567"), out, sizeof(out)));
    CHECK(!jscan_ascii(slice_str("12345678"), out, sizeof(out)));
    CHECK(!jscan_ascii(slice_str("\\u0000"), out, sizeof(out)));
    CHECK(!jscan_ascii(slice_str("\\u00e9"), out, sizeof(out)));
    CHECK(!jscan_ascii(slice_str("\xc3\xa9"), out, sizeof(out)));
}

/* Fills `n` copies of `item` with commas between them, inside an index. */
static int parse_many(const char *open, const char *item, size_t n, const char *close,
                      struct err *e)
{
    struct buf b;
    int result;

    buf_init(&b, (size_t)2 * MANIFEST_MAX);
    buf_str(&b, open);
    for (size_t i = 0; i < n; i++) {
        buf_str(&b, i == 0 ? "" : ",");
        buf_str(&b, item);
    }
    buf_str(&b, close);
    result = manifest_scan(buf_view(&b), e);
    buf_free(&b);
    return result;
}

static void test_bounds(void)
{
    struct err e = {0};
    char deep[2 * MANIFEST_DEPTH_MAX + 3] = "";

    CHECK(parse_many("[", "1", MANIFEST_VALUES_MAX - 1, "]", &e) == 0);
    CHECK(parse_many("[", "1", MANIFEST_VALUES_MAX, "]", &e) == -1);
    CHECK(e.code == ERR_MANIFEST_INVALID && strstr(e.text, "values") != NULL);
    memset(deep, '[', MANIFEST_DEPTH_MAX);
    memset(deep + MANIFEST_DEPTH_MAX, ']', MANIFEST_DEPTH_MAX);
    CHECK(manifest_scan(slice_str(deep), &e) == 0);
    memset(deep, '[', MANIFEST_DEPTH_MAX + 1);
    memset(deep + MANIFEST_DEPTH_MAX + 1, ']', MANIFEST_DEPTH_MAX + 1);
    CHECK(manifest_scan(slice_str(deep), &e) == -1);
    CHECK(parse_many("\"", "aaaaaaaaaaaaaaa", (size_t)MANIFEST_MAX / 16 - 1, "\"", &e) == 0);
    CHECK(parse_many("\"", "aaaaaaaaaaaaaaa", (size_t)MANIFEST_MAX / 16 + 1, "\"", &e) == -1);
    CHECK(strstr(e.text, "larger") != NULL);
}

static void test_media_types(void)
{
    CHECK(media_type_is_manifest(slice_str(MEDIA_TYPE_OCI_INDEX)));
    CHECK(media_type_is_manifest(slice_str(MEDIA_TYPE_DOCKER_MANIFEST " ; charset=utf-8")));
    CHECK(media_type_is_manifest(
        slice_str("application/vnd.docker.distribution.manifest.v1+prettyjws")));
    CHECK(!media_type_is_manifest(slice_str("application/json")));
    CHECK(!media_type_is_manifest(slice_str("")));
    CHECK(slice_is(media_type_bare(slice_str(" a/b ;c")), "a/b"));
    CHECK_STR(MANIFEST_ACCEPT, "application/vnd.oci.image.index.v1+json, "
                               "application/vnd.docker.distribution.manifest.list.v2+json, "
                               "application/vnd.oci.image.manifest.v1+json, "
                               "application/vnd.docker.distribution.manifest.v2+json, */*;q=0.1");
}

static void test_errbody(void)
{
    struct buf b;

    buf_init(&b, 4096);
    errbody_write(&b, "MANIFEST_UNKNOWN", "no \"x\"", "{\"name\":\"a/b\"}");
    CHECK_STR(b.p, "{\"errors\":[{\"code\":\"MANIFEST_UNKNOWN\",\"message\":\"no \\\"x\\\"\","
                   "\"detail\":{\"name\":\"a/b\"}}]}");
    buf_free(&b);
    errbody_write(&b, "DENIED", "", NULL);
    CHECK_STR(b.p, "{\"errors\":[{\"code\":\"DENIED\",\"message\":\"\"}]}");
    buf_free(&b);
}

int main(void)
{
    test_image();
    test_faults();
    test_index();
    test_types();
    test_schema1();
    test_descriptors();
    test_long_media_type();
    test_scan();
    test_ascii();
    test_bounds();
    test_media_types();
    test_errbody();
    return tap_done();
}
