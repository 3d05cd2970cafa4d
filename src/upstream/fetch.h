/*
 * upstream/fetch.h - one question to one upstream, its endpoints, tokens and redirects.
 *
 * A fetch ends in a 200 or 206 whose body can be read, or in an error:
 *   ERR_MANIFEST_UNKNOWN, ERR_BLOB_UNKNOWN, ERR_NAME_UNKNOWN   404 from all endpoints
 *   ERR_UPSTREAM_REFUSED   401 or 403 after our own authentication
 *   ERR_TOO_MANY           429; err.retry_after as upstream said
 *   ERR_RANGE              416
 *   ERR_UNSUPPORTED        405 and the like: HEAD is refused here
 *   ERR_UPSTREAM_SHUT      its endpoints only fail and are not asked now; err.retry_after says when
 *   ERR_UPSTREAM_DOWN, ERR_UPSTREAM_TLS, ERR_TIMEOUT, ERR_UPSTREAM_PROTOCOL   the rest
 * It tries each endpoint once, healthy ones first; retries with pauses are the caller's. Where one
 * says nothing for a while (limits.hedge), the next healthy one is asked beside it: once a fetch,
 * and within what upstream/hedge.h allows. The first good answer counts; the other is cut off.
 * Rules: design section 6; protocol.md 2.1 to 2.4, 2.8.
 */
#ifndef UPSTREAM_FETCH_H
#define UPSTREAM_FETCH_H

#include "oci/digest.h"
#include "upstream/upstream.h"

enum fetch_kind {
    FETCH_MANIFEST,  /* reference: tag or digest */
    FETCH_BLOB,      /* reference: digest */
    FETCH_TAGS,      /* reference: "" or the query for the page ("n=100&last=x") */
    FETCH_REFERRERS, /* reference: digest, with "?artifactType=…" where asked */
};

struct fetch_question {
    struct upstream *upstream;
    const char *repo; /* name within the upstream; copied */
    const char *reference;
    enum fetch_kind kind;
    bool head;
    uint64_t from; /* a range is asked where from > 0 or to < UINT64_MAX */
    uint64_t to;   /* inclusive; UINT64_MAX: to the end */
};

struct fetch;

/* What upstream said, once FETCH_READY. */
struct fetch_answer {
    int status;      /* 200 or 206 */
    uint64_t length; /* of this body; UINT64_MAX: not told (chunked) */
    uint64_t total;  /* of the whole: Content-Range's total, or length; UINT64_MAX: not told */
    uint64_t from;   /* where this body begins: 0 for 200 */
    bool has_digest; /* a Docker-Content-Digest that is one */
    struct digest digest;
    char media_type[128]; /* without parameters; "" where there was none */
    char link_next[1024]; /* target of Link rel="next", as sent, or "" */
};

enum fetch_state { FETCH_NOT_YET, FETCH_READY, FETCH_FAILED };

/* Starts; `waker` is deferred whenever polling or reading may get further. Loop thread. */
struct fetch *fetch_new(const struct fetch_question *q, struct loop *l, struct task *waker);
enum fetch_state fetch_poll(struct fetch *f, struct err *err);
/* Valid from FETCH_READY until fetch_free(). */
const struct fetch_answer *fetch_answer(const struct fetch *f);
/* As http_call_read(): > 0, 0 at the proven end, STREAM_AGAIN, STREAM_FAILED with *err. */
ssize_t fetch_read(struct fetch *f, void *p, size_t n, struct err *err) MUST_CHECK;
/* Whether its body comes so slowly that another source would be better; *ret_other: its upstream
 * has another endpoint that is well, which comes first from here on. The body may be read on. */
bool fetch_is_slow(struct fetch *f, bool *ret_other);
/* Its body is not read just now, as there is no room for it: until it is read on, none of the time
 * that passes is the upstream's. Harmless when repeated. */
void fetch_rest(struct fetch *f);
/* Ends it at any time. NULL is allowed. */
void fetch_free(struct fetch *f);

#endif
