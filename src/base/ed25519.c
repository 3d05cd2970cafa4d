/* base/ed25519.c - OpenSSL's Ed25519, and its keys as PEM. */
#include "base/ed25519.h"

#include "base/file.h"
#include "base/sha.h"

#include <assert.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdlib.h>

struct ed25519 {
    EVP_PKEY *key;
    char id[ED25519_ID_MAX];
};

/* --- keys ---------------------------------------------------------------------------------- */

/* Nobody is asked for a passphrase: the terminal may be none, or another program's. */
static int no_passphrase(char *out, int size, int rw, void *arg)
{
    (void)out;
    (void)size;
    (void)rw;
    (void)arg;
    return -1;
}

static void id_fill(struct ed25519 *k)
{
    unsigned char *der = NULL;
    unsigned char sum[SHA_MAX];
    int n = i2d_PUBKEY(k->key, &der);

    assert(n > 0);
    sha_of(SHA_256, der, (size_t)n, sum);
    hex_encode(sum, (ED25519_ID_MAX - 1) / 2, k->id);
    OPENSSL_free(der);
}

/* Takes the key, NULL where there was none. */
static struct ed25519 *key_take(EVP_PKEY *key, const char *why, struct err *e)
{
    struct ed25519 *k;

    ERR_clear_error(); /* a TLS connection of this thread must not find it */
    if (key == NULL || EVP_PKEY_get_id(key) != EVP_PKEY_ED25519) {
        err_set(e, ERR_CONFIG, "%s", key == NULL ? why : "the key is not of Ed25519");
        EVP_PKEY_free(key);
        return NULL;
    }
    k = xnew(struct ed25519);
    k->key = key;
    id_fill(k);
    return k;
}

static bool pem_holds(struct slice pem, const char *what)
{
    return memmem(pem.p, pem.len, what, strlen(what)) != NULL;
}

struct ed25519 *ed25519_parse_private(struct slice pem, struct err *e)
{
    BIO *bio = BIO_new_mem_buf(pem.p, (int)pem.len);
    EVP_PKEY *key = bio == NULL ? NULL : PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL);
    const char *why = "there is no private key in PEM";

    BIO_free(bio);
    if (pem_holds(pem, "ENCRYPTED")) {
        why = "the key is protected by a passphrase, which nobody can be asked for";
    } else if (pem_holds(pem, "PUBLIC KEY")) {
        why = "this is a public key, and signing takes the private one";
    }
    return key_take(key, why, e);
}

struct ed25519 *ed25519_parse_public(struct slice pem, struct err *e)
{
    BIO *bio = BIO_new_mem_buf(pem.p, (int)pem.len);
    EVP_PKEY *key = bio == NULL ? NULL : PEM_read_bio_PUBKEY(bio, NULL, no_passphrase, NULL);

    BIO_free(bio);
    return key_take(key,
                    pem_holds(pem, "PRIVATE KEY")
                        ? "this is a private key; `openssl pkey -pubout` makes the public one of it"
                        : "there is no public key in PEM",
                    e);
}

static struct ed25519 *
key_read(const char *path, struct ed25519 *(*parse)(struct slice pem, struct err *e), struct err *e)
{
    struct ed25519 *k;
    char *text;
    size_t n;

    if (file_read(path, ED25519_FILE_MAX, &text, &n, e) < 0) {
        return NULL;
    }
    k = parse(slice_of(text, n), e);
    if (k == NULL) {
        err_wrap(e, "%.100s", path);
    }
    explicit_bzero(text, n);
    free(text);
    return k;
}

struct ed25519 *ed25519_read_private(const char *path, struct err *e)
{
    return key_read(path, ed25519_parse_private, e);
}

struct ed25519 *ed25519_read_public(const char *path, struct err *e)
{
    return key_read(path, ed25519_parse_public, e);
}

void ed25519_free(struct ed25519 *k)
{
    if (k == NULL) {
        return;
    }
    EVP_PKEY_free(k->key);
    free(k);
}

const char *ed25519_id(const struct ed25519 *k)
{
    return k->id;
}

/* --- signatures ---------------------------------------------------------------------------- */

void ed25519_sign(const struct ed25519 *k, const void *p, size_t n,
                  unsigned char out[ED25519_SIGNATURE])
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    size_t size = ED25519_SIGNATURE;
    bool good = ctx != NULL && EVP_DigestSignInit(ctx, NULL, NULL, NULL, k->key) == 1 &&
                EVP_DigestSign(ctx, out, &size, p, n) == 1 && size == ED25519_SIGNATURE;

    EVP_MD_CTX_free(ctx);
    assert(good); /* nothing can fail but memory, and a public key */
}

bool ed25519_verify(const struct ed25519 *k, const void *p, size_t n,
                    const unsigned char signature[ED25519_SIGNATURE])
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool good = ctx != NULL && EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, k->key) == 1 &&
                EVP_DigestVerify(ctx, signature, ED25519_SIGNATURE, p, n) == 1;

    EVP_MD_CTX_free(ctx);
    ERR_clear_error();
    return good;
}

/* 64 bytes are 21 groups of three and one byte: 86 digits and "==". */
const char *ed25519_signature_text(const unsigned char signature[ED25519_SIGNATURE],
                                   char out[ED25519_SIGNATURE_TEXT_MAX])
{
    EVP_EncodeBlock((unsigned char *)out, signature, ED25519_SIGNATURE);
    return out;
}

bool ed25519_signature_parse(struct slice text, unsigned char out[ED25519_SIGNATURE])
{
    unsigned char raw[ED25519_SIGNATURE_TEXT_MAX]; /* more than the 66 bytes that come with "==" */
    char again[ED25519_SIGNATURE_TEXT_MAX];

    if (text.len != ED25519_SIGNATURE_TEXT_MAX - 1 ||
        EVP_DecodeBlock(raw, (const unsigned char *)text.p, (int)text.len) != 66) {
        ERR_clear_error();
        return false;
    }
    /* There are other ways to write the last digit, and it takes blanks: one text a signature. */
    ed25519_signature_text(raw, again);
    if (!slice_is(text, again)) {
        return false;
    }
    memcpy(out, raw, ED25519_SIGNATURE);
    return true;
}
