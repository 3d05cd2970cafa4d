/*
 * upstream/credential.h - what an upstream is signed in with, by repository.
 *
 * An upstream has a list; the first credential whose patterns hold the repository is the one, and a
 * repository that none holds is read without.
 */
#ifndef UPSTREAM_CREDENTIAL_H
#define UPSTREAM_CREDENTIAL_H

#include "base/str.h"

/* What the configuration says of one; strings are copied. */
struct credential_options {
    const char *const *repositories; /* patterns (oci/pattern.h), without the upstream's name */
    size_t n_repositories;           /* 0: every repository */
    const char *user;                /* with a password; or NULL */
    const char *password;
    const char *identity_token; /* in place of both: refresh_token by POST */
};

/* Owner: the upstream. Constant. */
struct credential {
    uint64_t id; /* the same over restarts, another for another account; never 0 */
    char **repositories;
    size_t n_repositories;
    char *user;
    char *password;
    char *identity_token;
};

void credential_init(struct credential *c, const char *upstream,
                     const struct credential_options *o);
void credential_fini(struct credential *c);

/* The first of `n` that holds this repository ("library/debian"), or NULL. */
const struct credential *credential_choose(const struct credential *list, size_t n,
                                           const char *repo);

/* Appends "Basic " and base64 of "user:password"; nothing where there is no password. */
void credential_basic(const struct credential *c, struct buf *out);

#endif
