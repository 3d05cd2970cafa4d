/* test_ed25519.c - keys and signatures, against RFC 8032 and OpenSSL; larder/list.sig. */
#include "../../src/base/ed25519.c"

#include "../../src/bundle/signature.c"
#include "tap.h"

#include <stdio.h>

/* RFC 8032 7.1, test 1, and others that `openssl genpkey` made for this. */
static const char PRIVATE[] = "-----BEGIN PRIVATE KEY-----\n"
                              "MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n"
                              "-----END PRIVATE KEY-----\n";
static const char PUBLIC[] = "-----BEGIN PUBLIC KEY-----\n"
                             "MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n"
                             "-----END PUBLIC KEY-----\n";
static const char OTHER[] = "-----BEGIN PUBLIC KEY-----\n"
                            "MCowBQYDK2VwAyEAqzvpscYleYhVPy4fFbx0aRLLFxrgBTskf2DpmZt1lfg=\n"
                            "-----END PUBLIC KEY-----\n";
static const char ED448[] = "-----BEGIN PRIVATE KEY-----\n"
                            "MEcCAQAwBQYDK2VxBDsEOQCVOlDS3KJuai4A0bXepJUj1b1c7vlZ73q5YNXd1mtv\n"
                            "y4Cs63/zeoSRJF54+6NLDKyV/i2ECAZEjg==\n"
                            "-----END PRIVATE KEY-----\n";
static const char LOCKED[] = "-----BEGIN ENCRYPTED PRIVATE KEY-----\n"
                             "MIGbMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAjUh1gwjf16QQICCAAw\n"
                             "DAYIKoZIhvcNAgkFADAdBglghkgBZQMEAQIEENoc/+JQshDJVPiIbb6GFaYEQPFg\n"
                             "itSXWxFG0WT3SIUKrsQJ4efB8bqDhId8MwyeFgh2gTPBni/VHyVgVxXwesppWkxA\n"
                             "OsM/2FTbLY8nUrQ/ooM=\n"
                             "-----END ENCRYPTED PRIVATE KEY-----\n";
/* `openssl pkeyutl -sign -rawin` of "larder bundle list 1\n" and the SHA-512 of this list. */
static const char LIST[] = "larder-bundle 1\n";
static const char LIST_SIG[] =
    "ed25519 06e3fd8fda29bb60 "
    "Xf77dqIe7JK+pbEKj7QS5LRq00ZDgB8Y/sEQu0r+FcfPiPRiOdH2zfj94Y8umSVs9/kCA/lWgBVqoshxHbKVAg==\n";

static void test_keys(void)
{
    static const struct {
        const char *pem;
        const char *as_private; /* why not; NULL: it is one */
        const char *as_public;
    } cases[] = {
        {PRIVATE, NULL, "`openssl pkey -pubout` makes the public one"},
        {PUBLIC, "signing takes the private one", NULL},
        {ED448, "not of Ed25519", "`openssl pkey -pubout`"},
        {LOCKED, "protected by a passphrase", "`openssl pkey -pubout`"},
        {"", "no private key in PEM", "no public key in PEM"},
        {"-----BEGIN PUBLIC KEY-----\nMCow\n-----END PUBLIC KEY-----\n", "takes the private one",
         "no public key in PEM"},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct slice pem = slice_str(cases[i].pem);
        struct err e = {0};
        struct ed25519 *k = ed25519_parse_private(pem, &e);

        CHECK_NOTE((k != NULL) == (cases[i].as_private == NULL), cases[i].pem);
        CHECK(k != NULL || (e.code == ERR_CONFIG && strstr(e.text, cases[i].as_private) != NULL));
        ed25519_free(k);
        k = ed25519_parse_public(pem, &e);
        CHECK_NOTE((k != NULL) == (cases[i].as_public == NULL), cases[i].pem);
        CHECK(k != NULL || (e.code == ERR_CONFIG && strstr(e.text, cases[i].as_public) != NULL));
        ed25519_free(k);
    }
}

static void test_files(void)
{
    struct err e = {0};

    CHECK(ed25519_read_private("/nonexistent/key.pem", &e) == NULL);
    CHECK(strstr(e.text, "/nonexistent/key.pem") != NULL);
    CHECK(ed25519_read_public("/dev/null", &e) == NULL);
    CHECK(strstr(e.text, "not a regular file") != NULL);
}

static void test_signatures(void)
{
    static const char RFC_SIGNATURE[] =
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701c"
        "f9b46bd25bf5f0595bbe24655141438e7a100b";
    struct err e;
    struct ed25519 *private = ed25519_parse_private(slice_str(PRIVATE), &e);
    struct ed25519 *public = ed25519_parse_public(slice_str(PUBLIC), &e);
    struct ed25519 *other = ed25519_parse_public(slice_str(OTHER), &e);
    unsigned char signature[ED25519_SIGNATURE];
    char hex[2 * ED25519_SIGNATURE + 1];

    ed25519_sign(private, "", 0, signature);
    hex_encode(signature, sizeof(signature), hex);
    CHECK_STR(hex, RFC_SIGNATURE);
    CHECK(ed25519_verify(public, "", 0, signature) && ed25519_verify(private, "", 0, signature));
    CHECK(!ed25519_verify(other, "", 0, signature));
    CHECK(!ed25519_verify(public, "x", 1, signature));
    signature[5] ^= 1;
    CHECK(!ed25519_verify(public, "", 0, signature));
    CHECK_STR(ed25519_id(private), "06e3fd8fda29bb60");
    CHECK_STR(ed25519_id(public), "06e3fd8fda29bb60");
    CHECK_STR(ed25519_id(other), "79bd6edf398aec8a");
    ed25519_free(private);
    ed25519_free(public);
    ed25519_free(other);
    ed25519_free(NULL);
}

static void test_base64(void)
{
    unsigned char raw[ED25519_SIGNATURE];
    unsigned char again[ED25519_SIGNATURE];
    char text[ED25519_SIGNATURE_TEXT_MAX];

    for (size_t i = 0; i < sizeof(raw); i++) {
        raw[i] = (unsigned char)(255 - 3 * i);
    }
    CHECK_INT(strlen(ed25519_signature_text(raw, text)), ED25519_SIGNATURE_TEXT_MAX - 1);
    CHECK(ed25519_signature_parse(slice_str(text), again) && memcmp(raw, again, sizeof(raw)) == 0);
    CHECK(!ed25519_signature_parse(slice_of(text, 87), again));
    CHECK(!ed25519_signature_parse(slice_of(text, 84), again));
    text[85]++; /* bits that no byte has */
    CHECK(!ed25519_signature_parse(slice_str(text), again));
    text[85]--;
    text[4] = '*';
    CHECK(!ed25519_signature_parse(slice_str(text), again));
    text[4] = ' ';
    CHECK(!ed25519_signature_parse(slice_str(text), again));
}

static void test_list_signature(void)
{
    struct err e = {0};
    struct ed25519 *private = ed25519_parse_private(slice_str(PRIVATE), &e);
    struct ed25519 *keys[] = {ed25519_parse_public(slice_str(OTHER), &e),
                              ed25519_parse_public(slice_str(PUBLIC), &e)};
    unsigned char sum[SHA_MAX];
    struct buf out;

    sha_of(SHA_512, LIST, sizeof(LIST) - 1, sum);
    buf_init(&out, SIGNATURE_TEXT_MAX);
    signature_write(private, sum, &out);
    CHECK_STR(out.p, LIST_SIG);
    CHECK_INT(signature_check(buf_view(&out), sum, keys, 2, &e), 0);
    CHECK_INT(signature_check(buf_view(&out), sum, keys, 1, &e), -1);
    CHECK(e.code == ERR_DENIED && strstr(e.text, "06e3fd8fda29bb60, which is not trusted") != NULL);
    CHECK_INT(signature_check(buf_view(&out), sum, keys, 0, &e), -1);
    sum[0] ^= 1;
    CHECK_INT(signature_check(buf_view(&out), sum, keys, 2, &e), -1);
    CHECK(e.code == ERR_DENIED && strstr(e.text, "the list is not what key") != NULL);
    sum[0] ^= 1;
    for (size_t i = 0; i < out.len; i++) { /* any byte of it */
        char was = out.p[i];

        out.p[i] = was == 'Q' ? 'R' : 'Q';
        if (signature_check(buf_view(&out), sum, keys, 2, &e) == 0) {
            CHECK_INT(i, -1);
        }
        CHECK_INT(signature_check(slice_of(out.p, i), sum, keys, 2, &e), -1);
        out.p[i] = was;
    }
    buf_str(&out, "\n");
    CHECK_INT(signature_check(buf_view(&out), sum, keys, 2, &e), -1);
    buf_free(&out);
    ed25519_free(private);
    ed25519_free(keys[0]);
    ed25519_free(keys[1]);
}

int main(void)
{
    test_keys();
    test_files();
    test_signatures();
    test_base64();
    test_list_signature();
    return tap_done();
}
