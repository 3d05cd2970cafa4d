/*
 * oci/digest.h - the name of some bytes: algorithm and hash (image-spec, descriptor.md "Digests").
 *
 * Only the registered algorithms that Larder can verify, in the only form that the specification
 * allows: lower-case hex of the exact length. Pure; any thread.
 */
#ifndef OCI_DIGEST_H
#define OCI_DIGEST_H

#include "base/str.h"

/* The values are those of enum sha_alg and those on disk. */
enum digest_alg { DIGEST_SHA256 = 1, DIGEST_SHA512 = 2 };

/* "sha512:", 128 digits and a NUL. */
#define DIGEST_TEXT_MAX 136
/* One byte of algorithm and the raw bytes. */
#define DIGEST_KEY_MAX 65

/* A value. Bytes behind digest_size() are zero, so that memcmp() of the structs tells equality.
 * alg 0 is no digest at all. */
struct digest {
    uint8_t alg; /* enum digest_alg; one byte, as in the key */
    uint8_t bytes[64];
};

/* "sha256:" and 64, or "sha512:" and 128 lower-case hex digits, and nothing else. */
bool digest_parse(struct slice text, struct digest *ret);

/* Whether a reference was meant as a digest rather than a tag: it contains a ':', which no tag may.
 * A reference that has the form and does not parse is DIGEST_INVALID; without it, an illegal tag
 * is only a manifest that does not exist. */
bool digest_has_form(struct slice text);

/* What sha_of() or sha_final() gave, as a digest. `raw` holds the bytes of the algorithm's size. */
struct digest digest_of_raw(enum digest_alg alg, const void *raw);

/* Bytes of hash: 32 or 64. */
size_t digest_size(const struct digest *d);

/* "sha256:…" in buf; gives buf. */
const char *digest_text(const struct digest *d, char buf[DIGEST_TEXT_MAX]);

bool digest_equal(const struct digest *a, const struct digest *b);
/* For qsort() and bsearch() of digests: the order of their keys. */
int digest_order(const void *a, const void *b);

/* The key of the index: one byte of algorithm, then the raw bytes. Gives its length, 33 or 65. */
size_t digest_key(const struct digest *d, unsigned char out[DIGEST_KEY_MAX]);

/* The opposite of digest_key(); false where the bytes are not exactly one key. */
bool digest_from_key(struct slice key, struct digest *ret);

/* "sha256" or "sha512"; static storage. */
const char *digest_alg_name(const struct digest *d);

/* For hash tables in memory. The bytes are a hash that a peer cannot steer cheaply. */
uint64_t digest_hash(const struct digest *d);

#endif
