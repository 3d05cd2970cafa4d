/*
 * upstream/credential.h - what an upstream is signed in with, by repository.
 *
 * An upstream has a list; the first credential whose patterns hold the repository is the one, and a
 * repository that none holds is read without. Where a file or a program has the secret it is read
 * in a pool: at the first question, again after a while behind those who use what is known, and at
 * once where upstream does not take it. Lock: held for a lookup.
 */
#ifndef UPSTREAM_CREDENTIAL_H
#define UPSTREAM_CREDENTIAL_H

#include "base/err.h"
#include "base/str.h"
#include "loop/bell.h"
#include "loop/pool.h"

#include <pthread.h>
#include <stdatomic.h>

/* What the configuration says of one; strings are copied. */
struct credential_options {
    const char *const *repositories; /* patterns (oci/pattern.h), without the upstream's name */
    size_t n_repositories;           /* 0: every repository */
    const char *user;                /* with a password or its file; or NULL */
    const char *password;
    const char *password_file;
    const char *identity_token; /* in place of both: refresh_token by POST */
    const char *docker_config;  /* or the path of Docker's config.json */
    const char *helper;         /* or NAME of a program docker-credential-NAME */
    const char *server;         /* what those two call the upstream; NULL: as Docker does */
};

/* Owner: counted. Constant. */
struct secret {
    atomic_uint refs;
    unsigned serial; /* of all in this process: tokens are kept apart by it */
    char *user;
    char *password;
    char *identity_token;
};

/* Owner: the upstream. Constant above the lock. */
struct credential {
    uint64_t id; /* the same over restarts, another for another account; never 0 */
    char *upstream;
    char **repositories;
    size_t n_repositories;
    char *user;
    char *password_file;
    char *docker_config;
    char *helper;
    char *server;
    struct pool *pool; /* that it is read in; NULL: it is constant */

    pthread_mutex_t lock;
    struct bell bell;
    struct job job;
    struct secret *found; /* by the look under way; the pool's */
    struct err found_err;
    bool reading;
    bool refused;         /* upstream does not take what is known: it is not used meanwhile */
    struct secret *known; /* NULL: none yet */
    struct err err;       /* of the last look; ERR_NONE: it went well */
    uint64_t looked_ms;   /* when the last look ended */
};

/* Whether a pool is needed for what this says. */
bool credential_is_read(const struct credential_options *o);
/* `pool` must outlive what runs in it, and ends before credential_fini(). */
void credential_init(struct credential *c, const char *upstream, const struct credential_options *o,
                     struct pool *pool);
void credential_fini(struct credential *c);

/* The first of `n` that holds this repository ("library/debian"), or NULL. */
struct credential *credential_choose(struct credential *list, size_t n, const char *repo);

enum credential_state { CREDENTIAL_NOT_YET, CREDENTIAL_READY, CREDENTIAL_FAILED };

/* The secret, with a reference for secret_unref(); while it is CREDENTIAL_NOT_YET, `w` waits on
 * loop `l`. CREDENTIAL_FAILED: none is known, and `err` says so to a client. */
enum credential_state credential_poll(struct credential *c, struct loop *l, struct waiter *w,
                                      struct secret **ret, struct err *err);
/* Upstream did not take `s`. Whether there may be another, for credential_poll(). */
bool credential_refused(struct credential *c, const struct secret *s, uint64_t now_ms);

void secret_ref(struct secret *s);
void secret_unref(struct secret *s);
/* Appends "Basic " and base64 of "user:password"; nothing where there is no password. */
void secret_basic(const struct secret *s, struct buf *out);

#endif
