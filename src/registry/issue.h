/*
 * registry/issue.h - GET /-/token on listeners that ask who it is: a token (registry/bearer.h)
 * for a user and a password, or for nobody where the rules let everybody do something.
 *
 * The token endpoint of distribution's "Token Authentication". Its parameters say for what a token
 * is wanted, and are not looked at, as tokens say who one is. POST (OAuth 2) is 404, which has
 * clients ask by GET.
 */
#ifndef REGISTRY_ISSUE_H
#define REGISTRY_ISSUE_H

#include "registry/request.h"

#define ISSUE_PATH "/-/token"

bool issue_is_asked(const struct http_exchange *x);
/* Answers it, now or later on the same loop. */
void issue_token(struct request *q);

#endif
