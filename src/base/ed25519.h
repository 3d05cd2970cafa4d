/*
 * base/ed25519.h - signatures by Ed25519 (RFC 8032), with keys in PEM files as OpenSSL's command
 * writes them:
 *
 *     openssl genpkey -algorithm ed25519 -out key.pem       the private key
 *     openssl pkey -in key.pem -pubout -out public.pem      the public one
 *
 * A key never changes; any thread.
 */
#ifndef BASE_ED25519_H
#define BASE_ED25519_H

#include "base/err.h"
#include "base/str.h"

#define ED25519_SIGNATURE 64
/* The signature in base64 (88 characters), and a key's name (16 hex digits), each with a NUL. */
#define ED25519_SIGNATURE_TEXT_MAX 89
#define ED25519_ID_MAX 17
/* Largest file of a key. */
#define ED25519_FILE_MAX 65536

struct ed25519;

/* Read a file. For ed25519_free(); NULL with ERR_CONFIG that names the file: it cannot be read, is
 * no PEM, another kind of key, or protected by a passphrase. A private key is none where a public
 * one belongs, and the text says what to do. */
struct ed25519 *ed25519_read_private(const char *path, struct err *e) MUST_CHECK;
struct ed25519 *ed25519_read_public(const char *path, struct err *e) MUST_CHECK;
/* The same of a file's text, and without the file's name in errors. */
struct ed25519 *ed25519_parse_private(struct slice pem, struct err *e) MUST_CHECK;
struct ed25519 *ed25519_parse_public(struct slice pem, struct err *e) MUST_CHECK;
/* NULL is accepted. */
void ed25519_free(struct ed25519 *k);

/* The key's name: the first 16 digits of the SHA-256 of its public half (as DER, so that `openssl
 * pkey -pubout -outform DER | sha256sum` tells the same). Static as long as the key. */
const char *ed25519_id(const struct ed25519 *k);

/* Signs n bytes; `k` is a private key. */
void ed25519_sign(const struct ed25519 *k, const void *p, size_t n,
                  unsigned char out[ED25519_SIGNATURE]);
/* Whether it is the key's signature of these bytes. */
bool ed25519_verify(const struct ed25519 *k, const void *p, size_t n,
                    const unsigned char signature[ED25519_SIGNATURE]);

/* A signature in base64, both ways (RFC 4648 4); false where the text is not exactly one. */
const char *ed25519_signature_text(const unsigned char signature[ED25519_SIGNATURE],
                                   char out[ED25519_SIGNATURE_TEXT_MAX]);
bool ed25519_signature_parse(struct slice text, unsigned char out[ED25519_SIGNATURE]);

#endif
