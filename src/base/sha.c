/* base/sha.c - OpenSSL's low-level digests: the only ones whose state is a plain struct. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "base/sha.h"

#include "base/mem.h"

#include <assert.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>
#include <string.h>

_Static_assert(sizeof(SHA256_CTX) <= sizeof(((struct sha *)0)->state.bytes), "state fits");
_Static_assert(sizeof(SHA512_CTX) <= sizeof(((struct sha *)0)->state.bytes), "state fits");

#define STATE_VERSION 1
#define STATE_HEAD (2 + sizeof(uint64_t))

static SHA256_CTX *ctx256(struct sha *h)
{
    return (SHA256_CTX *)(void *)h->state.bytes;
}

static SHA512_CTX *ctx512(struct sha *h)
{
    return (SHA512_CTX *)(void *)h->state.bytes;
}

void sha_init(struct sha *h, enum sha_alg alg)
{
    memset(h, 0, sizeof(*h));
    h->alg = alg;
    if (alg == SHA_256) {
        SHA256_Init(ctx256(h));
    } else {
        SHA512_Init(ctx512(h));
    }
}

void sha_update(struct sha *h, const void *p, size_t n)
{
    h->hashed += n;
    if (h->alg == SHA_256) {
        SHA256_Update(ctx256(h), p, n);
    } else {
        SHA512_Update(ctx512(h), p, n);
    }
}

void sha_final(struct sha *h, unsigned char *out)
{
    if (h->alg == SHA_256) {
        SHA256_Final(out, ctx256(h));
    } else {
        SHA512_Final(out, ctx512(h));
    }
}

size_t sha_size(enum sha_alg alg)
{
    return alg == SHA_256 ? SHA256_DIGEST_LENGTH : SHA512_DIGEST_LENGTH;
}

void sha_of(enum sha_alg alg, const void *p, size_t n, unsigned char *out)
{
    struct sha h;

    sha_init(&h, alg);
    sha_update(&h, p, n);
    sha_final(&h, out);
}

void sha_mac(const unsigned char *key, size_t key_n, const void *p, size_t n,
             unsigned char out[SHA_MAC_SIZE])
{
    unsigned len = 0;
    const unsigned char *made = HMAC(EVP_sha256(), key, (int)key_n, p, n, out, &len);

    assert(made != NULL && len == SHA_MAC_SIZE); /* a key and a digest that are there */
}

bool sha_mac_same(const unsigned char a[SHA_MAC_SIZE], const unsigned char b[SHA_MAC_SIZE])
{
    return CRYPTO_memcmp(a, b, SHA_MAC_SIZE) == 0;
}

static size_t state_size(enum sha_alg alg)
{
    return alg == SHA_256 ? sizeof(SHA256_CTX) : sizeof(SHA512_CTX);
}

size_t sha_save(const struct sha *h, unsigned char out[SHA_STATE_MAX])
{
    out[0] = STATE_VERSION;
    out[1] = (unsigned char)h->alg;
    memcpy(out + 2, &h->hashed, sizeof(h->hashed));
    memcpy(out + STATE_HEAD, h->state.bytes, state_size(h->alg));
    return STATE_HEAD + state_size(h->alg);
}

/* The count of pending bytes is used as an index by OpenSSL, so a bad one must not get in. */
static bool state_is_sane(struct sha *h)
{
    uint64_t bits;

    if (h->hashed > UINT64_MAX / 8) {
        return false;
    }
    if (h->alg == SHA_256) {
        SHA256_CTX *c = ctx256(h);

        bits = (uint64_t)c->Nh << 32 | c->Nl;
        return c->num == h->hashed % SHA256_CBLOCK && c->md_len == SHA256_DIGEST_LENGTH &&
               bits == h->hashed * 8;
    }
    return ctx512(h)->num == h->hashed % SHA512_CBLOCK &&
           ctx512(h)->md_len == SHA512_DIGEST_LENGTH && ctx512(h)->Nl == h->hashed * 8;
}

bool sha_restore(struct sha *h, const void *p, size_t n)
{
    const unsigned char *bytes = p;
    struct sha taken;

    if (n < STATE_HEAD || bytes[0] != STATE_VERSION ||
        (bytes[1] != SHA_256 && bytes[1] != SHA_512)) {
        return false;
    }
    memset(&taken, 0, sizeof(taken));
    taken.alg = bytes[1] == SHA_256 ? SHA_256 : SHA_512;
    if (n != STATE_HEAD + state_size(taken.alg)) {
        return false;
    }
    memcpy(&taken.hashed, bytes + 2, sizeof(taken.hashed));
    memcpy(taken.state.bytes, bytes + STATE_HEAD, state_size(taken.alg));
    if (!state_is_sane(&taken)) {
        return false;
    }
    *h = taken;
    return true;
}
