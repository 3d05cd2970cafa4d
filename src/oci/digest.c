/* oci/digest.c - digests as text, as key, as value. */
#include "oci/digest.h"

#include <assert.h>

struct alg_row {
    enum digest_alg alg;
    const char *name;
    size_t size;
};

static const struct alg_row algs[] = {
    {DIGEST_SHA256, "sha256", 32},
    {DIGEST_SHA512, "sha512", 64},
};

/* NULL where the number is no algorithm. */
static const struct alg_row *alg_of(unsigned alg)
{
    for (size_t i = 0; i < ARRAY_LEN(algs); i++) {
        if ((unsigned)algs[i].alg == alg) {
            return &algs[i];
        }
    }
    return NULL;
}

static const struct alg_row *alg_of_digest(const struct digest *d)
{
    const struct alg_row *row = alg_of(d->alg);

    assert(row != NULL);
    return row;
}

bool digest_parse(struct slice text, struct digest *ret)
{
    size_t colon = slice_find(text, ':');
    struct slice name = slice_sub(text, 0, colon);
    struct slice hex = slice_from(text, colon + 1);

    for (size_t i = 0; i < ARRAY_LEN(algs) && colon < text.len; i++) {
        struct digest d = {.alg = (uint8_t)algs[i].alg};

        if (slice_is(name, algs[i].name) && hex.len == 2 * algs[i].size &&
            hex_decode(hex, d.bytes)) {
            *ret = d;
            return true;
        }
    }
    return false;
}

bool digest_has_form(struct slice text)
{
    return slice_find(text, ':') < text.len;
}

struct digest digest_of_raw(enum digest_alg alg, const void *raw)
{
    struct digest d = {.alg = (uint8_t)alg};

    memcpy(d.bytes, raw, digest_size(&d));
    return d;
}

size_t digest_size(const struct digest *d)
{
    return alg_of_digest(d)->size;
}

const char *digest_text(const struct digest *d, char buf[DIGEST_TEXT_MAX])
{
    const struct alg_row *row = alg_of_digest(d);
    size_t n = strlen(row->name);

    memcpy(buf, row->name, n);
    buf[n] = ':';
    hex_encode(d->bytes, row->size, buf + n + 1);
    return buf;
}

bool digest_equal(const struct digest *a, const struct digest *b)
{
    return digest_order(a, b) == 0;
}

int digest_order(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(struct digest));
}

size_t digest_key(const struct digest *d, unsigned char out[DIGEST_KEY_MAX])
{
    size_t n = digest_size(d);

    out[0] = d->alg;
    memcpy(out + 1, d->bytes, n);
    return n + 1;
}

bool digest_from_key(struct slice key, struct digest *ret)
{
    const struct alg_row *row = key.len == 0 ? NULL : alg_of((unsigned char)key.p[0]);

    if (row == NULL || key.len != row->size + 1) {
        return false;
    }
    *ret = digest_of_raw(row->alg, key.p + 1);
    return true;
}

const char *digest_alg_name(const struct digest *d)
{
    return alg_of_digest(d)->name;
}

uint64_t digest_hash(const struct digest *d)
{
    uint64_t h;

    memcpy(&h, d->bytes, sizeof(h));
    return h;
}
