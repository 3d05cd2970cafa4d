/* bundle/inventory.c - a sorted list of digests between a head and a sum. */
#include "bundle/inventory.h"

#include <assert.h>

static const char MAGIC[8] = "\x8bLARDER\n";

#define MAGIC_LEN sizeof(MAGIC)
/* The byte where an algorithm would stand, and the count. */
#define TAIL_SUMMED 9

int inventory_order(const struct digest *a, const struct digest *b)
{
    return a->alg != b->alg ? (int)a->alg - (int)b->alg
                            : memcmp(a->bytes, b->bytes, sizeof(a->bytes));
}

static void put_number(unsigned char *out, size_t n, uint64_t value)
{
    while (n > 0) {
        out[--n] = (unsigned char)value;
        value >>= 8;
    }
}

static uint64_t get_number(const unsigned char *p, size_t n)
{
    uint64_t value = 0;

    for (size_t i = 0; i < n; i++) {
        value = value << 8 | p[i];
    }
    return value;
}

/* --- writing ------------------------------------------------------------------------------- */

size_t inventory_write_head(struct inventory_write *w, unsigned char out[INVENTORY_HEAD])
{
    *w = (struct inventory_write){0};
    memcpy(out, MAGIC, MAGIC_LEN);
    put_number(out + MAGIC_LEN, 4, INVENTORY_VERSION);
    put_number(out + MAGIC_LEN + 4, 4, 0);
    sha_init(&w->sha, SHA_256);
    sha_update(&w->sha, out, INVENTORY_HEAD);
    return INVENTORY_HEAD;
}

size_t inventory_write_digest(struct inventory_write *w, const struct digest *d,
                              unsigned char out[DIGEST_KEY_MAX])
{
    size_t n = digest_key(d, out);

    assert(w->count == 0 || inventory_order(&w->last, d) < 0);
    w->last = *d;
    w->count++;
    sha_update(&w->sha, out, n);
    return n;
}

size_t inventory_write_tail(struct inventory_write *w, unsigned char out[INVENTORY_TAIL])
{
    out[0] = 0;
    put_number(out + 1, 8, w->count);
    sha_update(&w->sha, out, TAIL_SUMMED);
    sha_final(&w->sha, out + TAIL_SUMMED);
    return INVENTORY_TAIL;
}

/* --- reading ------------------------------------------------------------------------------- */

void inventory_read_init(struct inventory_read *r)
{
    *r = (struct inventory_read){.state = INVENTORY_AT_HEAD};
    sha_init(&r->sha, SHA_256);
}

static enum inventory_event bad(struct inventory_read *r, const char *why)
{
    r->state = INVENTORY_IS_BAD;
    err_set(&r->err, ERR_BAD_REQUEST, "the inventory at byte %llu: %s",
            (unsigned long long)(r->at - r->n_piece), why);
    return INVENTORY_BAD;
}

static enum inventory_event head_read(struct inventory_read *r)
{
    uint64_t version = get_number(r->piece + MAGIC_LEN, 4);

    if (memcmp(r->piece, MAGIC, MAGIC_LEN) != 0) {
        return bad(r, "this is no inventory");
    }
    if (version != INVENTORY_VERSION || get_number(r->piece + MAGIC_LEN + 4, 4) != 0) {
        r->state = INVENTORY_IS_BAD;
        err_set(&r->err, ERR_BAD_REQUEST,
                "the inventory is of version %llu.%llu, and this program reads %d.0",
                (unsigned long long)version,
                (unsigned long long)get_number(r->piece + MAGIC_LEN + 4, 4), INVENTORY_VERSION);
        return INVENTORY_BAD;
    }
    sha_update(&r->sha, r->piece, INVENTORY_HEAD);
    r->state = INVENTORY_AT_DIGEST;
    return INVENTORY_MORE;
}

static enum inventory_event digest_read(struct inventory_read *r)
{
    struct digest next = digest_of_raw((enum digest_alg)r->piece[0], r->piece + 1);

    if (r->digest.alg != 0 && inventory_order(&r->digest, &next) >= 0) {
        return bad(r, "its digests are out of order");
    }
    sha_update(&r->sha, r->piece, r->n_piece);
    r->digest = next;
    r->n[next.alg]++;
    return INVENTORY_DIGEST;
}

static enum inventory_event tail_read(struct inventory_read *r)
{
    unsigned char sum[SHA_MAX];

    sha_update(&r->sha, r->piece, TAIL_SUMMED);
    sha_final(&r->sha, sum);
    if (get_number(r->piece + 1, 8) != r->n[DIGEST_SHA256] + r->n[DIGEST_SHA512] ||
        memcmp(sum, r->piece + TAIL_SUMMED, sha_size(SHA_256)) != 0) {
        return bad(r, "its sum is wrong: it was changed, or damaged on its way");
    }
    r->state = INVENTORY_AT_END;
    return INVENTORY_END;
}

/* How long the piece at hand is, by its first byte; 0 where that says nothing. */
static size_t piece_size(const struct inventory_read *r)
{
    if (r->state == INVENTORY_AT_HEAD) {
        return INVENTORY_HEAD;
    }
    switch (r->piece[0]) {
    case 0:
        return INVENTORY_TAIL;
    case DIGEST_SHA256:
        return 33;
    case DIGEST_SHA512:
        return 65;
    default:
        return 0;
    }
}

/* Takes what is missing of a piece of `size` bytes; true where it is whole. */
static bool piece_take(struct inventory_read *r, struct slice *in, size_t size)
{
    struct slice got = slice_sub(*in, 0, size - r->n_piece);

    memcpy(r->piece + r->n_piece, got.p, got.len);
    r->n_piece += got.len;
    r->at += got.len;
    *in = slice_from(*in, got.len);
    return r->n_piece == size;
}

static enum inventory_event piece_read(struct inventory_read *r)
{
    if (r->state == INVENTORY_AT_HEAD) {
        return head_read(r);
    }
    return r->piece[0] == 0 ? tail_read(r) : digest_read(r);
}

static enum inventory_event feed(struct inventory_read *r, struct slice *in)
{
    enum inventory_event event = INVENTORY_MORE;

    while (event == INVENTORY_MORE && in->len > 0) {
        if (r->state == INVENTORY_IS_BAD) {
            return INVENTORY_BAD;
        }
        if (r->state == INVENTORY_AT_END) {
            return bad(r, "something follows its end");
        }
        if (r->n_piece == 0) {
            ignore_result(piece_take(r, in, 1)); /* it tells the size */
        }
        if (piece_size(r) == 0) {
            return bad(r, "no digest of an algorithm that is known");
        }
        if (piece_take(r, in, piece_size(r))) {
            event = piece_read(r);
            r->n_piece = 0;
        }
    }
    return event;
}

enum inventory_event inventory_read_feed(struct inventory_read *r, struct slice *in, struct err *e)
{
    enum inventory_event event = feed(r, in);

    if (event == INVENTORY_BAD) {
        *e = r->err;
    }
    return event;
}

int inventory_read_finish(const struct inventory_read *r, struct err *e)
{
    if (r->state == INVENTORY_IS_BAD) {
        *e = r->err;
        return -1;
    }
    if (r->state != INVENTORY_AT_END) {
        return err_set(e, ERR_BAD_REQUEST, "the inventory breaks off at byte %llu",
                       (unsigned long long)r->at);
    }
    return 0;
}

/* --- searching ----------------------------------------------------------------------------- */

int inventory_open(struct slice whole, struct inventory *ret, struct err *e)
{
    const unsigned char *first = (const unsigned char *)whole.p + INVENTORY_HEAD;
    struct slice rest = whole;
    enum inventory_event event;
    struct inventory_read r;

    inventory_read_init(&r);
    do {
        event = inventory_read_feed(&r, &rest, e);
    } while (event == INVENTORY_DIGEST || (event == INVENTORY_END && rest.len > 0));
    if (event == INVENTORY_BAD || inventory_read_finish(&r, e) < 0) {
        return -1;
    }
    *ret = (struct inventory){
        .sha256 = first,
        .n_sha256 = r.n[DIGEST_SHA256],
        .sha512 = first + 33 * r.n[DIGEST_SHA256],
        .n_sha512 = r.n[DIGEST_SHA512],
    };
    return 0;
}

bool inventory_has(const struct inventory *i, const struct digest *d)
{
    bool short_one = d->alg == DIGEST_SHA256;
    const unsigned char *first = short_one ? i->sha256 : i->sha512;
    uint64_t low = 0;
    uint64_t high = short_one ? i->n_sha256 : i->n_sha512;
    unsigned char key[DIGEST_KEY_MAX];
    size_t n = digest_key(d, key);

    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        int order = memcmp(first + middle * n, key, n);

        if (order == 0) {
            return true;
        }
        if (order < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return false;
}
