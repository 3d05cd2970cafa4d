/*
 * bundle/signature.h - larder/list.sig: who vouches for larder/list, and so for all of a bundle.
 *
 *     ed25519 KEYID SIGNATURE
 *
 * KEYID as ed25519_id() has it; SIGNATURE in base64, over "larder bundle list 1\n" and the SHA-512
 * of the list, 64 bytes: so the list can be signed and checked as it streams. Pure; any thread.
 */
#ifndef BUNDLE_SIGNATURE_H
#define BUNDLE_SIGNATURE_H

#include "base/ed25519.h"

/* Largest file, and the hash of the list that all this is about. */
#define SIGNATURE_TEXT_MAX 256
#define SIGNATURE_SHA512 64

/* Appends the file's only line. `key` is a private key. */
void signature_write(const struct ed25519 *key, const unsigned char sha512[SIGNATURE_SHA512],
                     struct buf *out);

/* Whether one of the keys signed the list. 0, or -1 with ERR_DENIED: `text` is no such file; the
 * key that it names is none of these; the list was changed. */
int signature_check(struct slice text, const unsigned char sha512[SIGNATURE_SHA512],
                    struct ed25519 *const *keys, size_t n_keys, struct err *e) MUST_CHECK;

#endif
