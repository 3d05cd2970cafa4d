/*
 * oci/token.h - the answer of a token endpoint (distribution "Token Authentication", OAuth 2).
 *
 * Pure; any thread.
 */
#ifndef OCI_TOKEN_H
#define OCI_TOKEN_H

#include "base/err.h"
#include "base/str.h"

#define TOKEN_BODY_MAX (64u << 10)
#define TOKEN_EXPIRES_MIN 60
/* Longer promises are cut: nothing here is kept for more than a day. */
#define TOKEN_EXPIRES_MAX 86400

/* Owner: the caller, by token_answer_free(). */
struct token_answer {
    char *token;        /* not empty; visible ASCII only, so that it can stand in a header */
    uint64_t expires_s; /* from receipt, which no wrong clock can move; TOKEN_EXPIRES_MIN … _MAX */
};

/* Reads the JSON: access_token before token; expires_in, 60 where it is missing, less or no number.
 * Returns 0, or -1 with ERR_UPSTREAM_PROTOCOL. */
int token_answer_parse(struct slice body, struct token_answer *ret, struct err *e);

/* Wipes and frees the token; leaves the struct zeroed. Accepts NULL. */
void token_answer_free(struct token_answer *a);

#endif
