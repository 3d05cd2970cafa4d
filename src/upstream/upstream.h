/*
 * upstream/upstream.h - the registries that Larder pulls from: a closed list.
 *
 * Read-only after start but for what is locked inside: health of endpoints, tokens, challenges.
 */
#ifndef UPSTREAM_UPSTREAM_H
#define UPSTREAM_UPSTREAM_H

#include "base/err.h"
#include "http/client.h"
#include "upstream/credential.h"

struct upstream;
struct upstreams;

/* What the configuration says of one upstream; strings are copied. */
struct upstream_options {
    const char *name; /* canonical: "docker.io" */
    const char *const
        *endpoints;          /* URLs, tried in order; none: https://NAME (docker.io: registry-1) */
    const bool *endpoint_ns; /* a flag each: `?ns=NAME` is added (another Larder) */
    size_t n_endpoints;
    const struct credential_options *credentials; /* the first that holds a repository counts */
    size_t n_credentials;
    const char *ca_file;               /* or NULL: the system's CAs */
    bool insecure;                     /* TLS is not verified */
    const char *const *trusted_realms; /* host names, besides the built-in ones */
    size_t n_trusted_realms;
    const char *const *redirect_hosts; /* host names that may be private */
    size_t n_redirect_hosts;
};

/* Reads CA files and the proxy environment (HTTPS_PROXY, HTTP_PROXY, NO_PROXY; also lower case).
 * NULL with ERR_CONFIG. `client` must outlive it. */
struct upstreams *upstreams_new(const struct upstream_options *options, size_t n,
                                struct http_client *client, struct err *err) MUST_CHECK;
void upstreams_free(struct upstreams *u);

/* Whoever uses an upstream beyond the request that named it (a download, a question) counts itself,
 * so that a list which a newer one replaced is freed after it. Any thread. */
void upstream_hold(struct upstream *u);
void upstream_release(struct upstream *u);
/* Whether anybody is counted. Any thread. */
bool upstreams_busy(const struct upstreams *u);

/* By position in the options. */
struct upstream *upstreams_at(struct upstreams *u, size_t i);

/* Whether what its rate limit leaves is to be spared: 10 % or less, as of its last answer, or 429.
 * For ten minutes at most; then somebody may ask what is left. Any thread. */
bool upstream_is_short(const struct upstream *u, uint64_t now_ms);
/* Somebody gave up waiting for it; an answer ends that, or ten seconds. Any thread. */
void upstream_was_late(struct upstream *u, uint64_t now_ms);
/* Whether to wait for it is of little use now: it was late, or none of its endpoints may be asked.
 * Any thread. */
bool upstream_is_troubled(struct upstream *u, uint64_t now_ms);

const char *upstream_name(const struct upstream *u);
/* Identifies the credential that the upstream is asked with for this repository ("library/debian"):
 * 0 without one. Membership keeps it. */
uint64_t upstream_credential(const struct upstream *u, const char *repo);
/* Whether it has one for any repository. */
bool upstream_has_credentials(const struct upstream *u);

#endif
