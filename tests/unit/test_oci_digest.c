/* test_oci_digest.c - digests, names and tags: the vectors of the specifications. */
#include "../../src/oci/digest.c"
#include "../../src/oci/name.c"

#include "tap.h"

#define EMPTY_HEX "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define HEX64 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static void test_digest_parse(void)
{
    static const char *const good[] = {"sha256:" EMPTY_HEX, "sha512:" EMPTY_HEX HEX64};
    static const char *const bad[] = {
        "",
        ":",
        "sha256",
        "sha256:",
        "sha256:" EMPTY_HEX "0",
        "sha256:E3B0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "sha256:3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "sha256:g3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "sha256-" EMPTY_HEX,
        "SHA256:" EMPTY_HEX,
        " sha256:" EMPTY_HEX,
        "sha256:" EMPTY_HEX " ",
        "sha256:" EMPTY_HEX HEX64,
        "sha512:" EMPTY_HEX,
        "sha384:" EMPTY_HEX "0123456789abcdef0123456789abcdef",
        "blake3:" EMPTY_HEX,
        "sha256:sha256:" EMPTY_HEX,
    };

    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        struct digest d;
        char text[DIGEST_TEXT_MAX];

        if (CHECK_NOTE(digest_parse(slice_str(good[i]), &d), good[i])) {
            CHECK_STR(digest_text(&d, text), good[i]);
        }
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct digest d = {.alg = 77};

        CHECK_NOTE(!digest_parse(slice_str(bad[i]), &d) && d.alg == 77, bad[i]);
    }
}

static void test_digest_key(void)
{
    unsigned char key[DIGEST_KEY_MAX];
    struct digest d = {0};
    struct digest back = {.alg = 77};
    struct digest other = {0};
    size_t n;

    CHECK(digest_parse(slice_str("sha256:" EMPTY_HEX), &d));
    n = digest_key(&d, key);
    CHECK_INT(n, 33);
    CHECK_INT(key[0], 1);
    CHECK_INT(key[1], 0xe3);
    CHECK(digest_from_key(slice_of((char *)key, n), &back) && digest_equal(&d, &back));
    CHECK(memcmp(&d, &back, sizeof(d)) == 0);
    CHECK(!digest_from_key(slice_of((char *)key, n - 1), &back));
    CHECK(!digest_from_key(slice_of((char *)key, 0), &back));
    key[0] = 2;
    CHECK(!digest_from_key(slice_of((char *)key, n), &back));
    key[0] = 0;
    CHECK(!digest_from_key(slice_of((char *)key, n), &back));
    CHECK(digest_parse(slice_str("sha512:" EMPTY_HEX HEX64), &other));
    CHECK(!digest_equal(&d, &other));
    CHECK_INT(digest_key(&other, key), 65);
    CHECK_INT(key[0], 2);
    CHECK(digest_from_key(slice_of((char *)key, 65), &back) && digest_equal(&back, &other));
    CHECK_STR(digest_alg_name(&d), "sha256");
    CHECK_STR(digest_alg_name(&other), "sha512");
    other = digest_of_raw(DIGEST_SHA256, d.bytes);
    CHECK(digest_equal(&other, &d) && digest_hash(&other) == digest_hash(&d));
    other.bytes[0] ^= 1;
    CHECK(!digest_equal(&other, &d) && digest_hash(&other) != digest_hash(&d));
}

static void test_digest_form(void)
{
    CHECK(digest_has_form(slice_str("sha256:junk")));
    CHECK(digest_has_form(slice_str("sha256:")));
    CHECK(!digest_has_form(slice_str("sha256-" EMPTY_HEX)));
    CHECK(!digest_has_form(slice_str(".INVALID_MANIFEST_NAME")));
    CHECK(!digest_has_form(slice_str("")));
}

static void test_names(void)
{
    static const char *const good[] = {
        "a",     "a/b",   "a__b",       "a-b--c",   "a.b/c_d", "library/blobs/manifests",
        "0/1/2", "v2/v2", "a---b/c__d", "x.y.z/a-b"};
    static const char *const bad[] = {"",    "A",    "a___b", "a..b", "-a",  "a-",    "a//b", "/a",
                                      "a/",  "a._b", "a_-b",  "a-.b", ".a",  "a.",    "_a",   "a_",
                                      "a b", "a:b",  "a/..",  "..",   "a/.", "a\xc3", "a%2fb"};
    char max[NAME_MAX_LEN + 2];

    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        CHECK_NOTE(name_valid(slice_str(good[i])), good[i]);
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        CHECK_NOTE(!name_valid(slice_str(bad[i])), bad[i]);
    }
    memset(max, 'a', sizeof(max));
    CHECK(name_valid(slice_of(max, NAME_MAX_LEN)));
    CHECK(!name_valid(slice_of(max, NAME_MAX_LEN + 1)));
    CHECK(!name_valid(slice_of("a\0b", 3)));
}

static void test_tags(void)
{
    static const char *const good[] = {"_x", "V1.0-rc_1", "3", "latest", "sha256-abc.sig", "_"};
    static const char *const bad[] = {"", ".x", "-x", "a+b", "a/b", "a:b", "a b", "\xc3\xa4"};
    char max[TAG_MAX_LEN + 1];

    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        CHECK_NOTE(tag_valid(slice_str(good[i])), good[i]);
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        CHECK_NOTE(!tag_valid(slice_str(bad[i])), bad[i]);
    }
    memset(max, 'T', sizeof(max));
    CHECK(tag_valid(slice_of(max, TAG_MAX_LEN)));
    CHECK(!tag_valid(slice_of(max, TAG_MAX_LEN + 1)));
}

static void test_normal_hub(void)
{
    char ret[NAME_MAX_LEN + 1] = "kept";
    char max[NAME_MAX_LEN];

    memset(max, 'a', sizeof(max));
    CHECK(!name_normal_hub(slice_of(max, 248), ret));
    CHECK_STR(ret, "kept");
    CHECK(name_normal_hub(slice_of(max, 247), ret) && strlen(ret) == NAME_MAX_LEN);
    CHECK(name_normal_hub(slice_str("alpine"), ret));
    CHECK_STR(ret, "library/alpine");
    CHECK(name_normal_hub(slice_str("team/app"), ret));
    CHECK_STR(ret, "team/app");
}

int main(void)
{
    test_digest_parse();
    test_digest_key();
    test_digest_form();
    test_names();
    test_tags();
    test_normal_hub();
    return tap_done();
}
