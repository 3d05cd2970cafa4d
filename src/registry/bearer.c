/* registry/bearer.c - tokens as text and back, and what seals them. */
#include "registry/bearer.h"

#include <assert.h>
#include <sys/random.h>

#define UNTIL_SIZE 8
#define SEALED_MAX (UNTIL_SIZE + USER_MAX + USER_HASH_MAX)

void bearer_key_make(struct bearer_key *ret)
{
    ssize_t got = getrandom(ret->bytes, sizeof(ret->bytes), 0);

    assert(got == (ssize_t)sizeof(ret->bytes));
}

static void put_until(uint64_t until, unsigned char out[UNTIL_SIZE])
{
    for (size_t i = 0; i < UNTIL_SIZE; i++) {
        out[i] = (unsigned char)(until >> (8 * (UNTIL_SIZE - 1 - i)));
    }
}

static uint64_t get_until(const unsigned char in[UNTIL_SIZE])
{
    uint64_t until = 0;

    for (size_t i = 0; i < UNTIL_SIZE; i++) {
        until = until << 8 | in[i];
    }
    return until;
}

bool bearer_is_meant(struct slice field)
{
    return slice_is_nocase(slice_sub(field, 0, slice_find(field, ' ')), "Bearer");
}

bool bearer_read(struct slice field, struct bearer *ret)
{
    struct slice text = slice_trim(slice_from(field, slice_find(field, ' ')));
    unsigned char bytes[BEARER_TEXT_MAX / 2];
    struct bearer b = {0};
    size_t n = text.len / 2;

    if (!bearer_is_meant(field) || n < UNTIL_SIZE + SHA_MAC_SIZE || n > sizeof(bytes) ||
        !hex_decode(text, bytes)) {
        return false;
    }
    b.until_ms = get_until(bytes);
    n -= UNTIL_SIZE + SHA_MAC_SIZE;
    if (!slice_copy(slice_of((const char *)bytes + UNTIL_SIZE, n), b.user, sizeof(b.user))) {
        return false;
    }
    memcpy(b.seal, bytes + UNTIL_SIZE + n, sizeof(b.seal));
    *ret = b;
    return true;
}

const char *bearer_text(const struct bearer *b, char out[BEARER_TEXT_MAX])
{
    unsigned char until[UNTIL_SIZE];
    size_t n = strlen(b->user);

    put_until(b->until_ms, until);
    hex_encode(until, sizeof(until), out);
    hex_encode(b->user, n, out + 2 * UNTIL_SIZE);
    hex_encode(b->seal, sizeof(b->seal), out + 2 * (UNTIL_SIZE + n));
    return out;
}

/* Name and hash with their NULs, so that no two of them are those of others. */
static void seal_of(const struct bearer *b, const struct bearer_key *key, const char *hash,
                    unsigned char out[SHA_MAC_SIZE])
{
    unsigned char all[SEALED_MAX];
    size_t user_n = strlen(b->user) + 1;
    size_t hash_n = strlen(hash) + 1;

    assert(user_n <= USER_MAX && hash_n <= USER_HASH_MAX);
    put_until(b->until_ms, all);
    memcpy(all + UNTIL_SIZE, b->user, user_n);
    memcpy(all + UNTIL_SIZE + user_n, hash, hash_n);
    sha_mac(key->bytes, sizeof(key->bytes), all, UNTIL_SIZE + user_n + hash_n, out);
    explicit_bzero(all, sizeof(all));
}

void bearer_seal(struct bearer *b, const struct bearer_key *key, const char *hash)
{
    seal_of(b, key, hash, b->seal);
}

bool bearer_is_sealed(const struct bearer *b, const struct bearer_key *key, const char *hash)
{
    unsigned char seal[SHA_MAC_SIZE];

    seal_of(b, key, hash, seal);
    return sha_mac_same(seal, b->seal);
}
