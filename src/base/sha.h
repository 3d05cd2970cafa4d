/*
 * base/sha.h - SHA-256 and SHA-512 whose state can be kept and taken up again, and HMAC-SHA256.
 *
 * The state of a broken download or upload is stored beside its bytes, so that it goes on without
 * reading them again; OpenSSL's EVP interface of 3.0 cannot do that, its low-level one can.
 */
#ifndef BASE_SHA_H
#define BASE_SHA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum sha_alg { SHA_256 = 1, SHA_512 = 2 };

#define SHA_MAX 64
/* A saved state is never larger than this. */
#define SHA_STATE_MAX 240

struct sha {
    enum sha_alg alg;
    uint64_t hashed; /* bytes so far */
    union {
        uint64_t align;
        unsigned char bytes[216];
    } state;
};

void sha_init(struct sha *h, enum sha_alg alg);
void sha_update(struct sha *h, const void *p, size_t n);
/* Writes sha_size() bytes; `h` must be initialised again before further use. */
void sha_final(struct sha *h, unsigned char *out);
size_t sha_size(enum sha_alg alg);

/* Of n bytes at once. */
void sha_of(enum sha_alg alg, const void *p, size_t n, unsigned char *out);

#define SHA_MAC_SIZE 32
/* HMAC-SHA256 (RFC 2104) of n bytes by a key. */
void sha_mac(const unsigned char *key, size_t key_n, const void *p, size_t n,
             unsigned char out[SHA_MAC_SIZE]);
/* Whether two of them are the same, in a time that does not tell how far they are. */
bool sha_mac_same(const unsigned char a[SHA_MAC_SIZE], const unsigned char b[SHA_MAC_SIZE]);

/* The state as bytes for this machine's own disk; returns their number, at most SHA_STATE_MAX. */
size_t sha_save(const struct sha *h, unsigned char out[SHA_STATE_MAX]);
/* Takes up a saved state; false (h untouched) where the bytes are not one. */
bool sha_restore(struct sha *h, const void *p, size_t n);

#endif
