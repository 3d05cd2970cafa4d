/* bundle/blobset.c - rows of a fixed length, sorted whenever there is no room for another. */
#include "bundle/blobset.h"

#include <assert.h>
#include <stdlib.h>

#define FIRST_CAP 1024
#define SIZE_LEN sizeof(uint64_t)

static size_t hash_len(size_t alg)
{
    return alg == DIGEST_SHA256 ? 32 : 64;
}

static size_t row_len(size_t alg)
{
    return hash_len(alg) + SIZE_LEN;
}

void blobset_fini(struct blobset *b)
{
    for (size_t alg = 0; alg < ARRAY_LEN(b->parts); alg++) {
        free(b->parts[alg].rows);
    }
    *b = (struct blobset){0};
}

static int order_256(const void *left, const void *right)
{
    return memcmp(left, right, 32);
}

static int order_512(const void *left, const void *right)
{
    return memcmp(left, right, 64);
}

/* Each once. Which of two sizes stays does not matter: who adds them knows the blob's own. */
static void part_sort(struct blobset_part *p, size_t alg)
{
    size_t len = row_len(alg);
    size_t kept = 0;

    if (p->sorted == p->n) {
        return;
    }
    qsort(p->rows, p->n, len, alg == DIGEST_SHA256 ? order_256 : order_512);
    for (size_t i = 0; i < p->n; i++) {
        if (kept == 0 ||
            memcmp(p->rows + (kept - 1) * len, p->rows + i * len, hash_len(alg)) != 0) {
            memmove(p->rows + kept * len, p->rows + i * len, len);
            kept++;
        }
    }
    p->n = kept;
    p->sorted = kept;
}

/* Where half of it were repetitions, there is enough without them. */
static void part_make_room(struct blobset_part *p, size_t alg)
{
    part_sort(p, alg);
    if (p->n >= p->cap / 2) {
        p->cap = p->cap == 0 ? FIRST_CAP : 2 * p->cap;
        p->rows = xrealloc(p->rows, p->cap * row_len(alg));
    }
}

void blobset_add(struct blobset *b, const struct digest *d, uint64_t size)
{
    struct blobset_part *p = &b->parts[d->alg];
    size_t len = row_len(d->alg);
    unsigned char *row;

    assert(d->alg == DIGEST_SHA256 || d->alg == DIGEST_SHA512);
    if (p->n == p->cap) {
        part_make_room(p, d->alg);
    }
    row = p->rows + p->n++ * len;
    memcpy(row, d->bytes, hash_len(d->alg));
    memcpy(row + hash_len(d->alg), &size, SIZE_LEN);
}

void blobset_sort(struct blobset *b)
{
    part_sort(&b->parts[DIGEST_SHA256], DIGEST_SHA256);
    part_sort(&b->parts[DIGEST_SHA512], DIGEST_SHA512);
}

size_t blobset_count(const struct blobset *b)
{
    return b->parts[DIGEST_SHA256].n + b->parts[DIGEST_SHA512].n;
}

void blobset_get(const struct blobset *b, size_t i, struct digest *ret, uint64_t *ret_size)
{
    bool is_first = i < b->parts[DIGEST_SHA256].n;
    size_t alg = is_first ? DIGEST_SHA256 : DIGEST_SHA512;
    const unsigned char *row;

    i -= is_first ? 0 : b->parts[DIGEST_SHA256].n;
    assert(i < b->parts[alg].n && b->parts[alg].n == b->parts[alg].sorted);
    row = b->parts[alg].rows + i * row_len(alg);
    *ret = digest_of_raw((enum digest_alg)alg, row);
    memcpy(ret_size, row + hash_len(alg), SIZE_LEN);
}

uint64_t blobset_bytes(const struct blobset *b)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < blobset_count(b); i++) {
        struct digest d;
        uint64_t size;

        blobset_get(b, i, &d, &size);
        sum += size;
    }
    return sum;
}

bool blobset_has(const struct blobset *b, const struct digest *d)
{
    const struct blobset_part *p = &b->parts[d->alg];

    assert(p->n == p->sorted);
    return p->n > 0 && bsearch(d->bytes, p->rows, p->n, row_len(d->alg),
                               d->alg == DIGEST_SHA256 ? order_256 : order_512) != NULL;
}
