/*
 * oci/challenge.h - what an upstream's WWW-Authenticate asks for (RFC 9110 11.6.1, RFC 6750 3).
 *
 * Pure; any thread.
 */
#ifndef OCI_CHALLENGE_H
#define OCI_CHALLENGE_H

#include "base/str.h"

/* A challenge with a parameter beyond these sizes is ignored whole. */
#define CHALLENGE_REALM_MAX 2048
#define CHALLENGE_SERVICE_MAX 256
#define CHALLENGE_SCOPE_MAX 1024
#define CHALLENGE_ERROR_MAX 64

/* In the order of preference, the best last. */
enum challenge_scheme { CHALLENGE_NONE, CHALLENGE_BASIC, CHALLENGE_BEARER };

/* Begins zeroed. A realm may be relative: the caller resolves and judges it. "" is absent; an empty
 * scope is as none. */
struct challenge {
    enum challenge_scheme scheme;
    char realm[CHALLENGE_REALM_MAX]; /* never "" for Bearer */
    char service[CHALLENGE_SERVICE_MAX];
    char scope[CHALLENGE_SCOPE_MAX];
    char error[CHALLENGE_ERROR_MAX];
};

/*
 * Takes in one header line, which may hold several challenges; called once for each line. A better
 * scheme replaces what is there, an equal one does not. Schemes that we do not speak, a Bearer
 * without realm, and values with control characters are ignored, as is what follows a syntax error
 * in the line.
 */
void challenge_add(struct challenge *c, struct slice header_value);

#endif
