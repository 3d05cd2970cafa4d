/* bundle/signature.c - one line, and what it signs. */
#include "bundle/signature.h"

#define SIGNED_HEAD "larder bundle list 1\n"
#define SIGNED_MAX (sizeof(SIGNED_HEAD) - 1 + SIGNATURE_SHA512)
#define ALGORITHM "ed25519"

/* The head says what for: a signature of the same key for something else means nothing here. */
static void signed_fill(const unsigned char sha512[SIGNATURE_SHA512], unsigned char out[SIGNED_MAX])
{
    memcpy(out, SIGNED_HEAD, sizeof(SIGNED_HEAD) - 1);
    memcpy(out + sizeof(SIGNED_HEAD) - 1, sha512, SIGNATURE_SHA512);
}

void signature_write(const struct ed25519 *key, const unsigned char sha512[SIGNATURE_SHA512],
                     struct buf *out)
{
    unsigned char signature[ED25519_SIGNATURE];
    unsigned char text[SIGNED_MAX];
    char base64[ED25519_SIGNATURE_TEXT_MAX];

    signed_fill(sha512, text);
    ed25519_sign(key, text, sizeof(text), signature);
    buf_printf(out, ALGORITHM " %s %s\n", ed25519_id(key),
               ed25519_signature_text(signature, base64));
}

/* "ed25519 KEYID SIGNATURE\n" and nothing else. */
static bool text_read(struct slice text, char id[ED25519_ID_MAX],
                      unsigned char signature[ED25519_SIGNATURE])
{
    struct slice words[3] = {SLICE_NULL, SLICE_NULL, SLICE_NULL};
    unsigned char raw[ED25519_ID_MAX / 2];
    size_t n = 0;

    if (text.len > SIGNATURE_TEXT_MAX || !slice_ends(text, "\n")) {
        return false;
    }
    text = slice_sub(text, 0, text.len - 1);
    while (n < ARRAY_LEN(words) && slice_split(&text, ' ', &words[n])) {
        n++;
    }
    return text.p == NULL && n == ARRAY_LEN(words) && slice_is(words[0], ALGORITHM) &&
           words[1].len == ED25519_ID_MAX - 1 && hex_decode(words[1], raw) &&
           slice_copy(words[1], id, ED25519_ID_MAX) && ed25519_signature_parse(words[2], signature);
}

int signature_check(struct slice text, const unsigned char sha512[SIGNATURE_SHA512],
                    struct ed25519 *const *keys, size_t n_keys, struct err *e)
{
    unsigned char signature[ED25519_SIGNATURE];
    unsigned char what[SIGNED_MAX];
    char id[ED25519_ID_MAX];

    if (!text_read(text, id, signature)) {
        return err_set(e, ERR_DENIED, "larder/list.sig is no signature that is known here");
    }
    signed_fill(sha512, what);
    for (size_t i = 0; i < n_keys; i++) {
        if (strcmp(ed25519_id(keys[i]), id) != 0) {
            continue;
        }
        if (!ed25519_verify(keys[i], what, sizeof(what), signature)) {
            return err_set(e, ERR_DENIED,
                           "the signature of larder/list is wrong: the list is not what key %s "
                           "signed",
                           id);
        }
        return 0;
    }
    return err_set(e, ERR_DENIED, "the bundle is signed by key %s, which is not trusted here", id);
}
