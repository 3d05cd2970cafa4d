/*
 * registry/issue.h - /-/token on listeners that ask who it is: a token (registry/bearer.h) for a
 * user and a password, or for nobody where the rules let everybody do something.
 *
 * The token endpoint of distribution's "Token Authentication" (GET, with Basic) and, for a user and
 * a password, of its "Oauth2 Token Authentication" (POST of a form). What else clients say is for
 * what a token is wanted, and is not looked at, as tokens say who one is.
 */
#ifndef REGISTRY_ISSUE_H
#define REGISTRY_ISSUE_H

#include "registry/request.h"

#define ISSUE_PATH "/-/token"

bool issue_is_asked(const struct http_exchange *x);
/* Answers it, now or later on the same loop. */
void issue_token(struct request *q);

#endif
