/*
 * upstream/rules.h - where credentials and redirects may go. Design section 6. Pure.
 *
 * An upstream is believed about its own content and about nothing else: neither its challenge nor
 * its redirect may send our credential to a stranger, or our requests into a private network.
 */
#ifndef UPSTREAM_RULES_H
#define UPSTREAM_RULES_H

#include "base/err.h"
#include "http/url.h"

/* What the rules know of an upstream. Borrowed. */
struct rules {
    const char *upstream; /* canonical name */
    const struct http_origin *endpoint;
    const char *const *trusted_realms;
    size_t n_trusted_realms;
    const char *const *redirect_hosts;
    size_t n_redirect_hosts;
    bool is_private; /* the endpoint's own address is not public: it may lead to private ones */
};

/* Whether a host, as written, is "localhost" or an address that is not public (net/address.h). */
bool rules_host_is_private(const char *host);

/* Whether our credential, or an anonymous question for a token, may go to this realm. 0 with
 * *ret_public_only (its address must be public); -1 with ERR_UPSTREAM_REFUSED that says why. */
int rules_realm(const struct rules *r, const struct http_origin *realm, bool *ret_public_only,
                struct err *err) MUST_CHECK;

/* Whether a redirect from `from` to `to` may be followed. As above; ERR_UPSTREAM_PROTOCOL. */
int rules_redirect(const struct rules *r, const struct http_origin *from,
                   const struct http_origin *to, bool *ret_public_only, struct err *err) MUST_CHECK;

/* "Retry-After": seconds, or an HTTP date; at most 3600. 0 where it is neither. */
unsigned rules_retry_after(struct slice value, int64_t now);

/* "76;w=21600" of Docker Hub's rate limit: how many, and of how many seconds (0: not told). */
bool rules_rate(struct slice field, uint64_t *ret_n, uint64_t *ret_window);

/* The target of rel="next" in a Link header; SLICE_NULL where there is none. */
struct slice rules_link_next(struct slice value);

/* The scope to ask a token for: what the challenge wants, where it names this repository or no
 * repository at all, else "repository:NAME:pull". `own`: the challenge answered a request for this
 * very repository. */
void rules_scope(const char *challenge_scope, const char *repo, bool own, struct buf *out);

/* How much an error of one endpoint says about the question as a whole; 3: nothing, as it is the
 * endpoint's own trouble. 0: there is none. */
int rules_weight(enum err_code code);

/* "has no", "refuses": between the name of an upstream and what it was asked for. */
const char *rules_words(enum err_code code);

#endif
