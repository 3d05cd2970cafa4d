/*
 * upstream/token.h - tokens by realm, service, credential and scope: asked for once, used by all.
 *
 * Reference protocol.md 2.2 to 2.4. A token is used for 90 % of the life that it was given. Lock:
 * held for a lookup; the question itself runs on the loop that asked first, and comes to its end
 * whoever waits.
 */
#ifndef UPSTREAM_TOKEN_H
#define UPSTREAM_TOKEN_H

#include "base/err.h"
#include "base/str.h"
#include "http/url.h"
#include "loop/bell.h"

struct token;
struct token_table;
struct upstream;
struct endpoint;

struct token_table *token_table_new(void);
/* Once the loops have ended. */
void token_table_free(struct token_table *t);

/* What a token is asked for with. Borrowed. */
struct token_question {
    struct upstream *upstream;
    struct endpoint *endpoint;
    const struct credential *credential; /* the upstream's; NULL: none */
    struct secret *secret;               /* of that credential */
    const char *realm;                   /* absolute URL; the rules allow it */
    bool public_only;
    const char *service;
    const char *scope;
};

/* The token for this question, asked for on loop `l` where there is none that is fresh. One
 * reference, for token_unref(). */
struct token *token_get(const struct token_question *q, struct loop *l);
void token_unref(struct token *t);

enum token_state { TOKEN_NOT_YET, TOKEN_READY, TOKEN_FAILED };

/* The state; while it is TOKEN_NOT_YET, `w` waits on loop `l`. */
enum token_state token_poll(struct token *t, struct loop *l, struct waiter *w);
/* From TOKEN_READY on; valid as long as the reference. */
const char *token_text(const struct token *t);
/* From TOKEN_FAILED on: ERR_UPSTREAM_REFUSED (our credential is not taken), or what went wrong. */
const struct err *token_error(const struct token *t);
/* The upstream did not take it: whoever asks next gets a new one. */
void token_drop(struct token *t);

#endif
