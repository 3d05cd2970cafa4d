/*
 * bundle/inventory.h - which blobs somebody has: digests, sorted, in a file that can be checked.
 *
 *     "\x8bLARDER\n"  version, 4 bytes (1)  flags, 4 bytes (0)
 *     33 or 65 bytes a digest, as the index has it: algorithm (1: sha256, 2: sha512), then the hash
 *     0  number of digests, 8 bytes  SHA-256 of all that is before it
 *
 * Numbers are big-endian. Digests ascend, so that the same blobs give the same bytes, two lists can
 * be merged, and one that is mapped can be searched. Pure; one owner, any thread.
 */
#ifndef BUNDLE_INVENTORY_H
#define BUNDLE_INVENTORY_H

#include "base/err.h"
#include "base/sha.h"
#include "oci/digest.h"

#define INVENTORY_VERSION 1
#define INVENTORY_HEAD 16
#define INVENTORY_TAIL 41

/* --- writing ------------------------------------------------------------------------------- */

/* Lives in its caller. */
struct inventory_write {
    struct sha sha;
    uint64_t count;
    struct digest last;
};

/* Each gives how many bytes of `out` are to be written next. Digests must ascend (as digest_key()
 * orders them), none twice. */
size_t inventory_write_head(struct inventory_write *w, unsigned char out[INVENTORY_HEAD]);
size_t inventory_write_digest(struct inventory_write *w, const struct digest *d,
                              unsigned char out[DIGEST_KEY_MAX]);
size_t inventory_write_tail(struct inventory_write *w, unsigned char out[INVENTORY_TAIL]);

/* The order of digests: less than, equal to or greater than 0. */
int inventory_order(const struct digest *a, const struct digest *b);

/* --- reading ------------------------------------------------------------------------------- */

enum inventory_event {
    INVENTORY_MORE,   /* all that was given is used up */
    INVENTORY_DIGEST, /* `digest` is the next one; believe it once INVENTORY_END was said */
    INVENTORY_END,    /* the list is whole, and its sum is right */
    INVENTORY_BAD,    /* `e` says why; said from now on */
};

enum inventory_state { INVENTORY_AT_HEAD, INVENTORY_AT_DIGEST, INVENTORY_AT_END, INVENTORY_IS_BAD };

/* Lives in its caller. */
struct inventory_read {
    struct digest digest;
    uint64_t n[3]; /* digests so far, by algorithm */

    enum inventory_state state;
    uint64_t at; /* bytes taken so far */
    struct sha sha;
    size_t n_piece;
    unsigned char piece[DIGEST_KEY_MAX];
    struct err err;
};

void inventory_read_init(struct inventory_read *r);

/* Takes bytes off the front of *in and says what they were; called until INVENTORY_MORE. Errors are
 * ERR_BAD_REQUEST: no inventory, one of another version, out of order, a wrong sum, bytes behind
 * the end; the text has the offset. */
enum inventory_event inventory_read_feed(struct inventory_read *r, struct slice *in, struct err *e);

/* No more bytes will come: 0 where the end was seen, else -1 with ERR_BAD_REQUEST. */
int inventory_read_finish(const struct inventory_read *r, struct err *e);

/* --- searching ----------------------------------------------------------------------------- */

/* A whole inventory that somebody mapped; borrows its bytes. */
struct inventory {
    const unsigned char *sha256; /* the first digest of each algorithm, and how many follow */
    const unsigned char *sha512;
    uint64_t n_sha256;
    uint64_t n_sha512;
};

/* Reads all of it once, and checks it as above. */
int inventory_open(struct slice whole, struct inventory *ret, struct err *e) MUST_CHECK;
bool inventory_has(const struct inventory *i, const struct digest *d);

#endif
