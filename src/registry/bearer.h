/*
 * registry/bearer.h - our own tokens: who somebody is, for some minutes, sealed with a key that
 * only this server has.
 *
 * A token says nothing of what may be done: that is decided at each request. It is hex of the end,
 * the user's name and an HMAC-SHA256 over both and the hash of the user's password, so that another
 * password ends it. Nothing of it is kept. Pure but for bearer_key_make(); any thread.
 */
#ifndef REGISTRY_BEARER_H
#define REGISTRY_BEARER_H

#include "base/sha.h"
#include "base/str.h"
#include "registry/users.h"

/* Two digits a byte: the end, a name, the seal; and a NUL. */
#define BEARER_TEXT_MAX (2 * (8 + (USER_MAX - 1) + SHA_MAC_SIZE) + 1)
#define BEARER_KEY_SIZE 32

struct bearer_key {
    unsigned char bytes[BEARER_KEY_SIZE];
};

/* A value. */
struct bearer {
    uint64_t until_ms;   /* clock_mono_ms(), which goes on where another process takes over */
    char user[USER_MAX]; /* "": nobody */
    unsigned char seal[SHA_MAC_SIZE];
};

/* Whether somebody showed a token, and one that counts. */
enum bearer_shown { BEARER_NONE, BEARER_BAD, BEARER_GOOD };

/* A key that nobody knows. */
void bearer_key_make(struct bearer_key *ret);

/* Whether an Authorization field is of the Bearer scheme (RFC 6750), be its token what it may. */
bool bearer_is_meant(struct slice field);
/* Reads the token of such a field; one token has one text. False: it is none of ours. */
bool bearer_read(struct slice field, struct bearer *ret) MUST_CHECK;
/* Gives `out`. */
const char *bearer_text(const struct bearer *b, char out[BEARER_TEXT_MAX]);

/* `hash` is what users_hash() says of the user, "" for nobody. */
void bearer_seal(struct bearer *b, const struct bearer_key *key, const char *hash);
bool bearer_is_sealed(const struct bearer *b, const struct bearer_key *key,
                      const char *hash) MUST_CHECK;

#endif
