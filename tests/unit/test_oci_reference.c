/* test_oci_reference.c - images as people write them. */
#include "../../src/oci/reference.c"

#include "tap.h"

#define HEX_64 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define D256 "sha256:" HEX_64
#define D512 "sha512:" HEX_64 HEX_64
#define A_50 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define NAME_255 A_50 "/" A_50 "/" A_50 "/" A_50 "/" A_50 "a"
#define TAG_128 HEX_64 HEX_64

static void test_good(void)
{
    static const struct {
        const char *text;
        const char *name;
        const char *tag;
        bool tag_written;
        const char *digest; /* NULL: none */
    } cases[] = {
        {"alpine", "alpine", "latest", false, NULL},
        {"  alpine\t", "alpine", "latest", false, NULL},
        {"alpine:3.20", "alpine", "3.20", true, NULL},
        {"alpine@" D256, "alpine", "", false, D256},
        {"alpine:3.20@" D256, "alpine", "3.20", true, D256},
        {"alpine@" D512, "alpine", "", false, D512},
        {"ghcr.io/owner/app:v1", "ghcr.io/owner/app", "v1", true, NULL},
        {"localhost:5000", "localhost", "5000", true, NULL},
        {"localhost:5000/x", "localhost:5000/x", "latest", false, NULL},
        {"localhost/x:Y", "localhost/x", "Y", true, NULL},
        {"host:5000/stage/app:dev@" D256, "host:5000/stage/app", "dev", true, D256},
        {"[::1]:5000/x:1", "[::1]:5000/x", "1", true, NULL},
        {"[::1]/x", "[::1]/x", "latest", false, NULL},
        {"GHCR.IO/x", "GHCR.IO/x", "latest", false, NULL},
        {"my-host/x", "my-host/x", "latest", false, NULL},
        {"a.b-c.d:1/x__y/z--w.v", "a.b-c.d:1/x__y/z--w.v", "latest", false, NULL},
        {"x:" TAG_128, "x", TAG_128, true, NULL},
        {NAME_255, NAME_255, "latest", false, NULL},
        {"ghcr.io/" NAME_255 ":" TAG_128 "@" D512, "ghcr.io/" NAME_255, TAG_128, true, D512},
        {"a" HEX_64, "a" HEX_64, "latest", false, NULL},
        {"docker.io/" HEX_64, "docker.io/" HEX_64, "latest", false, NULL},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct reference r = {.tag = "old", .by_digest = true};
        char digest[DIGEST_TEXT_MAX];
        struct err e = {0};

        if (!CHECK_NOTE(reference_parse(slice_str(cases[i].text), &r, &e) == 0, cases[i].text)) {
            continue;
        }
        CHECK_STR(r.name, cases[i].name);
        CHECK_STR(r.tag, cases[i].tag);
        CHECK_INT(r.tag_written, cases[i].tag_written);
        CHECK_STR(r.by_digest ? digest_text(&r.digest, digest) : NULL, cases[i].digest);
    }
}

static void test_bad(void)
{
    static const struct {
        const char *text;
        enum err_code code;
        const char *why;
    } cases[] = {
        {"", ERR_NAME_INVALID, "there is no name"},
        {"  ", ERR_NAME_INVALID, "there is no name"},
        {":tag", ERR_NAME_INVALID, "there is no name"},
        {"@" D256, ERR_NAME_INVALID, "there is no name"},
        {"alpine:", ERR_TAG_INVALID, "alpine:: what follows the : is no tag"},
        {"alpine:-x", ERR_TAG_INVALID, "no tag"},
        {"alpine:x y", ERR_TAG_INVALID, "no tag"},
        {"alpine:x" TAG_128, ERR_TAG_INVALID, "no tag"},
        {"alpine@", ERR_DIGEST_INVALID, "no digest"},
        {"alpine@3.20", ERR_DIGEST_INVALID, "no digest"},
        {"alpine@" D256 "0", ERR_DIGEST_INVALID, "no digest"},
        {"alpine@" D256 "@" D256, ERR_DIGEST_INVALID, "no digest"},
        {"alpine@blake3:" HEX_64, ERR_DIGEST_INVALID, "no digest"},
        {D256, ERR_NAME_INVALID, "image"},
        {HEX_64, ERR_NAME_INVALID, "an image's ID"},
        {HEX_64 ":latest", ERR_NAME_INVALID, "an image's ID"},
        {"https://ghcr.io/x", ERR_NAME_INVALID, "leave out"},
        {"docker://alpine:3", ERR_NAME_INVALID, "leave out"},
        {"Alpine", ERR_NAME_INVALID, "lower-case"},
        {"ghcr.io/Owner/app", ERR_NAME_INVALID, "lower-case"},
        {"ghcr.io/", ERR_NAME_INVALID, "lower-case"},
        {"a//b", ERR_NAME_INVALID, "lower-case"},
        {"a/../b", ERR_NAME_INVALID, "lower-case"},
        {"/a", ERR_NAME_INVALID, "lower-case"},
        {"a/", ERR_NAME_INVALID, "lower-case"},
        {"al\npine", ERR_NAME_INVALID, "al?pine: "},
        {"-a.b/x", ERR_NAME_INVALID, "no registry's host"},
        {"a..b/x", ERR_NAME_INVALID, "no registry's host"},
        {"host:port/x", ERR_NAME_INVALID, "no registry's host"},
        {"host:/x", ERR_NAME_INVALID, "no registry's host"},
        {"a:b:1/x", ERR_NAME_INVALID, "no registry's host"},
        {"[::x]:1/x", ERR_NAME_INVALID, "no registry's host"},
        {"[::1/x", ERR_NAME_INVALID, "no registry's host"},
        {"a" NAME_255, ERR_NAME_INVALID, "longer than 255"},
        {A_50 "." NAME_255 "." A_50 ".b/x", ERR_NAME_INVALID, "…: "},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct reference r = {.name = "old"};
        struct err e = {0};

        CHECK_NOTE(reference_parse(slice_str(cases[i].text), &r, &e) == -1, cases[i].text);
        CHECK_STR(r.name, "old");
        CHECK_STR(err_name(e.code), err_name(cases[i].code));
        if (!CHECK_NOTE(strstr(e.text, cases[i].why) != NULL, cases[i].why)) {
            tap_text("#      got: ", e.text);
        }
    }
}

/* What is written of a reference is read as the same one. */
static void test_text(void)
{
    static const char *const texts[] = {
        "alpine:latest",
        "alpine@" D256,
        "ghcr.io/a/b:v1@" D512,
        "[::1]:5000/x:1",
    };
    char text[REFERENCE_TEXT_MAX];
    struct reference r;
    struct err e;

    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        if (CHECK(reference_parse(slice_str(texts[i]), &r, &e) == 0)) {
            CHECK_STR(reference_text(&r, text), texts[i]);
        }
    }
    if (CHECK(reference_parse(slice_str("alpine"), &r, &e) == 0)) {
        CHECK_STR(reference_text(&r, text), "alpine:latest");
    }
}

int main(void)
{
    test_good();
    test_bad();
    test_text();
    return tap_done();
}
