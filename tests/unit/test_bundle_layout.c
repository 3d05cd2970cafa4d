/* test_bundle_layout.c - index.json and manifest.json as tools write them, and long ones. */
#include "bundle/layout.h"

#include "bundle/docker.h"
#include "tap.h"

#include <stdio.h>
#include <stdlib.h>

#define TEXT_ROOM (64u << 20)
#define HEX_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define HEX_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define OCI MEDIA_TYPE_OCI_MANIFEST
#define ENTRY_A "{\"mediaType\":\"" OCI "\",\"digest\":\"sha256:" HEX_A "\",\"size\":7}"
#define TOLD_A OCI " sha256:" HEX_A " 7\n"
#define INDEX(entries) "{\"schemaVersion\":2,\"manifests\":[" entries "]}"

static const size_t pieces[] = {1, 3, 64, TEXT_ROOM};

/* --- index.json ---------------------------------------------------------------------------- */

static void entry_told(const struct layout_entry *entry, struct buf *out)
{
    char text[DIGEST_TEXT_MAX];

    buf_printf(out, "%s %s %llu", entry->media_type, digest_text(&entry->digest, text),
               (unsigned long long)entry->size);
    if (entry->image_name[0] != '\0') {
        buf_printf(out, " image=%s", entry->image_name);
    }
    if (entry->ref_name[0] != '\0') {
        buf_printf(out, " ref=%s", entry->ref_name);
    }
    if (entry->has_subject) {
        buf_printf(out, " of=%s", digest_text(&entry->subject, text));
    }
    buf_str(out, "\n");
}

static char *index_told(struct slice text, size_t piece)
{
    enum layout_event event = LAYOUT_MORE;
    struct layout_read r;
    struct err e = {0};
    struct buf out;

    buf_init(&out, TEXT_ROOM);
    layout_read_init(&r);
    for (size_t at = 0; at < text.len && event != LAYOUT_BAD; at += piece) {
        struct slice in = slice_sub(text, at, at + piece);

        while ((event = layout_read_feed(&r, &in, &e)) == LAYOUT_ENTRY) {
            entry_told(&r.entry, &out);
        }
    }
    if (event == LAYOUT_BAD || layout_read_finish(&r, &e) < 0) {
        buf_printf(&out, "BAD %s", e.text);
    } else {
        buf_str(&out, "END");
    }
    layout_read_fini(&r);
    return buf_take(&out);
}

static void check_index(const char *text, const char *expected)
{
    for (size_t i = 0; i < ARRAY_LEN(pieces); i++) {
        char *told = index_told(slice_str(text), pieces[i]);

        CHECK_STR(told, expected);
        free(told);
    }
}

static void test_index(void)
{
    check_index(INDEX(""), "END");
    check_index("{\"schemaVersion\":2,\"manifests\":null}", "END");
    check_index(INDEX(ENTRY_A), TOLD_A "END");
    check_index(" {\n \"manifests\" :\t[ " ENTRY_A " ,\r\n" ENTRY_A " ] , \"schemaVersion\" : 2}\n",
                TOLD_A TOLD_A "END");
    /* What looks like the list, and is not. */
    check_index("{\"annotations\":{\"manifests\":[{}]},\"x\":\"manifests\",\"y\":[[\"manifests\"]],"
                "\"schemaVersion\":2,\"manifests\":[" ENTRY_A "],\"z\":[1,{\"a\":[]}]}",
                TOLD_A "END");
    /* Order of members, members nobody knows, escapes, and quotes within strings. */
    check_index(INDEX("{\"size\":1,\"platform\":{\"os\":\"l}]\\\"\\\\\"},\"annotations\":{\"x\":[],"
                      "\"io.containerd.image.name\":\"docker.io\\/library\\/a:1\","
                      "\"org.opencontainers.image.ref.name\":\"\\u0031\"},"
                      "\"digest\":\"sha256:" HEX_B "\"}"),
                " sha256:" HEX_B " 1 image=docker.io/library/a:1 ref=1\nEND");
    check_index(INDEX("{\"digest\":\"sha512:" HEX_A HEX_B "\",\"size\":0,\"annotations\":{"
                      "\"io.containerd.manifest.subject\":\"sha256:" HEX_A "\"},"
                      "\"mediaType\":\"m\"}"),
                "m sha512:" HEX_A HEX_B " 0 of=sha256:" HEX_A "\nEND");
    /* Annotations of no use count as absent. */
    check_index(INDEX("{\"digest\":\"sha256:" HEX_A "\",\"size\":7,\"mediaType\":\"" OCI "\","
                      "\"annotations\":{\"io.containerd.image.name\":7,"
                      "\"org.opencontainers.image.ref.name\":\"\303\274\","
                      "\"io.containerd.manifest.subject\":\"x\"}}"),
                TOLD_A "END");
    check_index(INDEX("{\"digest\":\"sha256:" HEX_A "\",\"size\":7,\"mediaType\":\"" OCI "\","
                      "\"annotations\":null}"),
                TOLD_A "END");
}

#define LACKS ", lacks a size, or a digest of an algorithm that is known here"

static void test_index_bad(void)
{
    static const struct {
        const char *text;
        const char *why;
    } cases[] = {
        {"", "index.json breaks off at byte 0"},
        {"{", "index.json breaks off at byte 1"},
        {"{\"schemaVersion\":2,\"manifests\":[", "index.json breaks off at byte 32"},
        {INDEX("{"), "the entry that ends here is no JSON"},
        {INDEX("{\"a"), "index.json breaks off"},
        {INDEX("") "x", "index.json is no JSON"},
        {"[]", "index.json is no JSON object"},
        {"null", "index.json is no JSON object"},
        {"<html>", "index.json is no JSON"},
        {"{}", "index.json is not of schema 2"},
        {"{\"schemaVersion\":1,\"manifests\":[]}", "index.json is not of schema 2"},
        {"{\"schemaVersion\":2}", "index.json has not one list of manifests"},
        {"{\"schemaVersion\":2,\"manifests\":{}}", "index.json has not one list of manifests"},
        {"{\"schemaVersion\":2,\"manifests\":[],\"manifests\":[]}", "the list is there twice"},
        {"{\"schemaVersion\":2,\"manifests\":[],\"manifests\":null}", "has not one list"},
        {"{\"schemaVersion\":2,\"\\u006danifests\":[" ENTRY_A "]}", "has not one list"},
        {"{\"schemaVersion\":2 \"manifests\":[]}", "index.json is no JSON"},
        {"{\"schemaVersion\":2,\"manifests\":[]]", "index.json is no JSON"},
        {INDEX(ENTRY_A ","), "index.json at byte"},
        {INDEX("," ENTRY_A), "index.json at byte 32: an entry of the list is no object"},
        {INDEX(ENTRY_A ENTRY_A), "there is no comma between two entries"},
        {INDEX("7"), "an entry of the list is no object"},
        {INDEX("[]"), "an entry of the list is no object"},
        {INDEX("{]}"), "index.json"},
        {INDEX("{\"a\"}"), "the entry that ends here is no JSON"},
        {INDEX("{}"), "index.json: entry 0, which ends at byte 34" LACKS},
        {INDEX(ENTRY_A ",{\"digest\":\"sha256:" HEX_A "\"}"), "index.json: entry 1, which ends"},
        {INDEX("{\"digest\":\"sha256:" HEX_A "\",\"size\":-1}"), LACKS},
        {INDEX("{\"digest\":\"sha256:" HEX_A "\",\"size\":1.5}"), LACKS},
        {INDEX("{\"digest\":\"sha256:" HEX_A "\",\"size\":9223372036854775808}"), LACKS},
        {INDEX("{\"digest\":\"sha256:" HEX_A "\",\"size\":\"1\"}"), LACKS},
        {INDEX("{\"digest\":\"blake3:" HEX_A "\",\"size\":1}"), LACKS},
        {INDEX("{\"digest\":\"sha256:../../x\",\"size\":1}"), LACKS},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char *whole = index_told(slice_str(cases[i].text), TEXT_ROOM);
        char *bytes = index_told(slice_str(cases[i].text), 1);
        const char *said = strstr(whole, "BAD ");

        if (!CHECK_NOTE(said != NULL && strstr(said, cases[i].why) != NULL, cases[i].why)) {
            tap_text("#      got: ", whole);
        }
        CHECK_STR(bytes, whole);
        free(whole);
        free(bytes);
    }
}

/* Wherever it is cut, it is noticed. */
static void test_index_truncated(void)
{
    static const char text[] = INDEX(ENTRY_A "," ENTRY_A);
    size_t passed = 0;

    for (size_t n = 0; n < sizeof(text) - 1; n++) {
        char *told = index_told(slice_of(text, n), TEXT_ROOM);

        passed += strstr(told, "BAD ") == NULL;
        free(told);
    }
    CHECK_INT(passed, 0);
}

/* Something of `n` bytes in front of the list, or in an entry. */
static void check_size(const char *before, size_t n, const char *behind, const char *why)
{
    struct buf b;
    char *told;

    buf_init(&b, TEXT_ROOM);
    buf_str(&b, before);
    while (n-- > 0) {
        buf_str(&b, "x");
    }
    buf_str(&b, behind);
    told = index_told(buf_view(&b), 4096);
    if (!CHECK_NOTE(strstr(told, why) != NULL, why)) {
        tap_text("#      got: ", told);
    }
    free(told);
    buf_free(&b);
}

static void test_index_bounds(void)
{
    check_size("{\"schemaVersion\":2,\"x\":\"", 65000, "\",\"manifests\":[]}", "END");
    check_size("{\"schemaVersion\":2,\"x\":\"", 65536, "\",\"manifests\":[]}",
               "too much stands around the list");
    check_size("{\"schemaVersion\":2,\"manifests\":[{\"digest\":\"sha256:" HEX_A
               "\",\"size\":7,\"data\":\"",
               1000000, "\"}]}", "END");
    check_size("{\"schemaVersion\":2,\"manifests\":[{\"digest\":\"sha256:" HEX_A
               "\",\"size\":7,\"data\":\"",
               1 << 20, "\"}]}", "an entry of the list is larger than 1 MiB");
}

/* A layout of 100,000 entries, written and read, holds one entry at a time. */
static void test_index_long(void)
{
    enum { N = 100000 };
    enum layout_event event = LAYOUT_MORE;
    struct layout_entry entry = {.size = 1234, .media_type = OCI};
    struct layout_read r;
    size_t wrong = 0;
    struct slice in;
    struct err e;
    struct buf b;

    buf_init(&b, TEXT_ROOM);
    layout_read_init(&r);
    layout_index_open(&b);
    for (size_t i = 0; i < N && event != LAYOUT_BAD; i++) {
        entry.digest = (struct digest){.alg = DIGEST_SHA256};
        memcpy(entry.digest.bytes, &i, sizeof(i));
        snprintf(entry.image_name, sizeof(entry.image_name), "docker.io/library/x:%zu", i);
        layout_index_entry(&b, &entry, i == 0);
        in = buf_view(&b);
        while ((event = layout_read_feed(&r, &in, &e)) == LAYOUT_ENTRY) {
            wrong += layout_entry_order(&entry, &r.entry) != 0 || r.entry.size != 1234;
        }
        b.len = 0;
    }
    layout_index_close(&b);
    in = buf_view(&b);
    CHECK_INT(layout_read_feed(&r, &in, &e), LAYOUT_MORE);
    CHECK_INT(layout_read_finish(&r, &e), 0);
    CHECK_INT(r.n_entries, N);
    CHECK_INT(wrong, 0);
    CHECK(r.list.text.cap + r.list.around.cap < 4096);
    CHECK(b.cap < 4096);
    layout_read_fini(&r);
    buf_free(&b);
}

static void test_index_write(void)
{
    struct layout_entry entry = {.size = 7, .media_type = OCI};
    struct buf b;
    char *told;

    buf_init(&b, TEXT_ROOM);
    CHECK(digest_parse(slice_str("sha256:" HEX_A), &entry.digest));
    layout_index_open(&b);
    layout_index_entry(&b, &entry, true);
    snprintf(entry.image_name, sizeof(entry.image_name), "ghcr.io/a/b:1");
    snprintf(entry.ref_name, sizeof(entry.ref_name), "say \"1\"");
    layout_index_entry(&b, &entry, false);
    entry.image_name[0] = '\0';
    entry.ref_name[0] = '\0';
    entry.has_subject = digest_parse(slice_str("sha256:" HEX_B), &entry.subject);
    layout_index_entry(&b, &entry, false);
    layout_index_close(&b);
    CHECK_STR(b.p, "{\"schemaVersion\":2,\"mediaType\":\"application/vnd.oci.image.index.v1+json\","
                   "\"manifests\":[\n"
                   "{\"mediaType\":\"" OCI "\",\"digest\":\"sha256:" HEX_A "\",\"size\":7},\n"
                   "{\"mediaType\":\"" OCI "\",\"digest\":\"sha256:" HEX_A "\",\"size\":7,"
                   "\"annotations\":{\"io.containerd.image.name\":\"ghcr.io/a/b:1\","
                   "\"org.opencontainers.image.ref.name\":\"say \\\"1\\\"\"}},\n"
                   "{\"mediaType\":\"" OCI "\",\"digest\":\"sha256:" HEX_A "\",\"size\":7,"
                   "\"annotations\":{\"io.containerd.manifest.subject\":\"sha256:" HEX_B "\"}}\n"
                   "]}\n");
    told = index_told(buf_view(&b), 1);
    CHECK_STR(told, TOLD_A OCI " sha256:" HEX_A " 7 image=ghcr.io/a/b:1 ref=say \"1\"\n" OCI
                               " sha256:" HEX_A " 7 of=sha256:" HEX_B "\nEND");
    free(told);
    buf_free(&b);
}

static void test_order(void)
{
    struct layout_entry a = {.image_name = "a", .digest = {.alg = 1}};
    struct layout_entry b = a;

    CHECK_INT(layout_entry_order(&a, &b), 0);
    b.subject.bytes[3] = 1;
    CHECK(layout_entry_order(&a, &b) < 0);
    a.digest.bytes[0] = 1;
    CHECK(layout_entry_order(&a, &b) > 0);
    b.ref_name[0] = 'x';
    CHECK(layout_entry_order(&a, &b) < 0);
    a.image_name[0] = 'b';
    CHECK(layout_entry_order(&a, &b) > 0);
}

/* --- files --------------------------------------------------------------------------------- */

static void test_files(void)
{
    static const struct {
        const char *name;
        enum layout_file file;
    } cases[] = {
        {"oci-layout", LAYOUT_FILE_VERSION},
        {"index.json", LAYOUT_FILE_INDEX},
        {"manifest.json", LAYOUT_FILE_DOCKER},
        {"repositories", LAYOUT_FILE_OTHER},
        {"blobs", LAYOUT_FILE_OTHER},
        {"blobs/sha256", LAYOUT_FILE_OTHER},
        {"blobs/sha256/" HEX_A, LAYOUT_FILE_BLOB},
        {"blobs/sha512/" HEX_A HEX_B, LAYOUT_FILE_BLOB},
        {"blobs/sha256/" HEX_A "0", LAYOUT_FILE_OTHER},
        {"blobs/sha256/" HEX_A "/x", LAYOUT_FILE_OTHER},
        {"blobs/sha256:" HEX_A, LAYOUT_FILE_OTHER},
        {"blobs/sha512/" HEX_A, LAYOUT_FILE_OTHER},
        {"blobs/blake3/" HEX_A, LAYOUT_FILE_OTHER},
        {"x/blobs/sha256/" HEX_A, LAYOUT_FILE_OTHER},
        {"x/index.json", LAYOUT_FILE_OTHER},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct digest d = {.alg = 77};
        char path[LAYOUT_PATH_MAX];

        CHECK_NOTE(layout_file_of(cases[i].name, &d) == cases[i].file, cases[i].name);
        if (d.alg == 77) {
            CHECK(cases[i].file != LAYOUT_FILE_BLOB);
        } else {
            CHECK_STR(layout_blob_path(&d, path), cases[i].name);
        }
    }
}

static void test_version(void)
{
    static const char *const bad[] = {
        "",
        "{",
        "[]",
        "{}",
        "\"1.0.0\"",
        "{\"imageLayoutVersion\":\"1.0.1\"}",
        "{\"imageLayoutVersion\":1}",
        LAYOUT_VERSION_TEXT "x",
    };
    struct err e = {0};

    CHECK_INT(layout_check_version(slice_str(LAYOUT_VERSION_TEXT), &e), 0);
    CHECK_INT(layout_check_version(
                  slice_str("{ \"x\": [{}], \"imageLayoutVersion\" : \"1.0.0\" }\n"), &e),
              0);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        e.text[0] = '\0';
        CHECK_NOTE(layout_check_version(slice_str(bad[i]), &e) == -1, bad[i]);
        CHECK_NOTE(strncmp(e.text, "oci-layout", 10) == 0, e.text);
    }
}

/* --- manifest.json ------------------------------------------------------------------------- */

static char *docker_told(struct slice text, size_t piece)
{
    enum docker_event event = DOCKER_MORE;
    struct docker_read r;
    struct err e = {0};
    struct buf out;

    buf_init(&out, TEXT_ROOM);
    docker_read_init(&r);
    for (size_t at = 0; at < text.len && event != DOCKER_BAD; at += piece) {
        struct slice in = slice_sub(text, at, at + piece);

        while ((event = docker_read_feed(&r, &in, &e)) == DOCKER_IMAGE) {
            buf_str(&out, r.image.config);
            for (size_t i = 0; i < r.image.n_tags; i++) {
                buf_printf(&out, " %s", r.image.tags[i]);
            }
            for (size_t i = 0; i < r.image.n_layers; i++) {
                buf_printf(&out, " +%s", r.image.layers[i]);
            }
            buf_str(&out, "\n");
        }
    }
    if (event == DOCKER_BAD || docker_read_finish(&r, &e) < 0) {
        buf_printf(&out, "BAD %s", e.text);
    } else {
        buf_str(&out, "END");
    }
    docker_read_fini(&r);
    return buf_take(&out);
}

static void check_docker(const char *text, const char *expected)
{
    for (size_t i = 0; i < ARRAY_LEN(pieces); i++) {
        char *told = docker_told(slice_str(text), pieces[i]);

        CHECK_STR(told, expected);
        free(told);
    }
}

#define BAD_IMAGE ", lacks a Config, or has no list of strings where one belongs"

static void test_docker(void)
{
    check_docker("[]", "END");
    check_docker(
        "[{\"Config\":\"c.json\",\"RepoTags\":[\"a:1\",\"b/c:2\"],\"Layers\":[\"1/layer.tar"
        "\",\"2/layer.tar\",\"3/layer.tar\"]},\n {\"LayerSources\":{\"x\":{\"size\":1}},"
        "\"Config\":\"d\",\"RepoTags\":null,\"Layers\":null}]\n",
        "c.json a:1 b/c:2 +1/layer.tar +2/layer.tar +3/layer.tar\nd\nEND");
    check_docker(
        "[{\"Config\":\"x\",\"Layers\":[\"1\",\"2\"],\"Config\":\"y\",\"Layers\":[\"3\"]}]",
        "y +3\nEND");
    check_docker("", "BAD manifest.json breaks off at byte 0");
    check_docker("{}", "BAD manifest.json is no list");
    check_docker("{\"Config\":[{}]}", "BAD manifest.json is no list");
    check_docker("[{}]", "BAD manifest.json: image 0, which ends at byte 3" BAD_IMAGE);
    check_docker("[{\"Config\":7}]", "BAD manifest.json: image 0, which ends at byte 13" BAD_IMAGE);
    check_docker("[{\"Config\":\"c\"},{\"Config\":\"c\",\"Layers\":[7]}]",
                 "c\nBAD manifest.json: image 1, which ends at byte 43" BAD_IMAGE);
    check_docker("[{\"Config\":\"c\",\"RepoTags\":\"a\"}]",
                 "BAD manifest.json: image 0, which ends at byte 30" BAD_IMAGE);
    check_docker("[{\"Config\":\"c\"}][]",
                 "c\nBAD manifest.json is no JSON, or has too many values");
}

static void test_docker_write(void)
{
    static const char *const tags[] = {"alpine:3.20", "ghcr.io/a/b:1"};
    struct digest a;
    struct digest b;
    struct buf out;

    buf_init(&out, TEXT_ROOM);
    CHECK(digest_parse(slice_str("sha256:" HEX_A), &a));
    CHECK(digest_parse(slice_str("sha256:" HEX_B), &b));
    docker_list_open(&out);
    docker_list_image(&out, &a, tags, 2, true);
    docker_list_layer(&out, &b, true);
    docker_list_layer(&out, &a, false);
    docker_list_image_end(&out);
    docker_list_image(&out, &b, NULL, 0, false);
    docker_list_image_end(&out);
    docker_list_close(&out);
    CHECK_STR(out.p,
              "[\n{\"Config\":\"blobs/sha256/" HEX_A "\",\"RepoTags\":[\"alpine:3.20\","
              "\"ghcr.io/a/b:1\"],\"Layers\":[\"blobs/sha256/" HEX_B "\",\"blobs/sha256/" HEX_A
              "\"]},\n{\"Config\":\"blobs/sha256/" HEX_B "\",\"RepoTags\":[],\"Layers\":[]}"
              "\n]\n");
    check_docker(out.p, "blobs/sha256/" HEX_A " alpine:3.20 ghcr.io/a/b:1 +blobs/sha256/" HEX_B
                        " +blobs/sha256/" HEX_A "\nblobs/sha256/" HEX_B "\nEND");
    buf_free(&out);
}

int main(void)
{
    test_index();
    test_index_bad();
    test_index_truncated();
    test_index_bounds();
    test_index_long();
    test_index_write();
    test_order();
    test_files();
    test_version();
    test_docker();
    test_docker_write();
    return tap_done();
}
