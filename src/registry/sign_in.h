/*
 * registry/sign_in.h - on listeners of role registry, where there are users: who asks?
 *
 * Everybody has to show something there: a password (Basic), a token of ours (Bearer), be it one
 * for nobody, or a certificate where rules go by those.
 */
#ifndef REGISTRY_SIGN_IN_H
#define REGISTRY_SIGN_IN_H

#include "registry/request.h"

/* Whether those who come by this listener must sign in. */
bool sign_in_wanted(const struct request *q);

/* Where the error is that nobody signed in, says in the answer how. */
void sign_in_challenge(struct request *q, const struct err *err);
/* Answers with 401. */
void sign_in_refuse(struct request *q, const char *why);

/* Answers with 401 or 429, or calls go(q) once it is known who asks: now, or on the same loop
 * later. Where the client is gone by then the exchange is ended, and go() is not called. */
void sign_in(struct request *q, void (*go)(struct request *q));
/* The same by a user and a password alone, and with a look whether the file of users changed. */
void sign_in_by_password(struct request *q, void (*go)(struct request *q));
/* The same where they did not come by Basic. */
void sign_in_by_claim(struct request *q, const struct user_claim *claim,
                      void (*go)(struct request *q));

#endif
