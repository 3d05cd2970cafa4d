/*
 * base/limits.h - every wait of the program, in milliseconds, and the sizes that peers are held to.
 *
 * The table of design section 3. The configuration key `limits` replaces the waits; the sizes are
 * fixed. Filled once before threads start, read-only after.
 */
#ifndef BASE_LIMITS_H
#define BASE_LIMITS_H

#include <stdint.h>

/* name, default, what it bounds */
#define LIMIT_LIST(X)                                                                              \
    X(first_byte, 20000, "before the first byte of an answer, all told; then stale, else 504")     \
    X(early_headers, 10000, "a large blob of known size and membership sends its headers")         \
    X(retry_for, 120000, "an upstream that is gone, without progress, once headers are out")       \
    X(retry_min, 200, "first pause between tries")                                                 \
    X(retry_max, 10000, "longest pause between tries")                                             \
    X(connect, 5000, "connecting to one address of an upstream")                                   \
    X(tls, 5000, "a TLS handshake")                                                                \
    X(tls_files, 10000, "between two looks whether certificates of listeners changed")             \
    X(upstream_headers, 15000, "the response head of an upstream")                                 \
    X(hedge, 500, "an endpoint that says nothing for so long: another is asked as well; 0: none")  \
    X(breaker, 10000, "an endpoint that only failed for so long is not asked for a while")         \
    X(breaker_pause, 5000, "that while, at first; longer each time, up to a minute")               \
    X(upstream_stall, 30000, "an upstream body without a byte")                                    \
    X(client_headers, 10000, "a client's request head, from its first byte")                       \
    X(client_idle, 75000, "a client's connection between requests")                                \
    X(client_progress, 300000, "waits for a client that takes or sends less than LEAST_RATE")      \
    X(bad_digest, 60000, "an (upstream, digest) that was wrong is refused")                        \
    X(negative, 10000, "an upstream's 404 for a tag is remembered")                                \
    X(helper, 10000, "a credential helper program")                                                \
    X(credential_fresh, 1800000, "what such a program or Docker's config.json said is used")       \
    X(credential_file, 10000, "between two looks whether a password file changed")                 \
    X(credential_retry, 5000, "between two tries to get a credential that failed or was refused")  \
    X(upload_idle, 86400000, "an upload session that nobody goes on with")                         \
    X(token, 300000, "a token that a client of ours signed in for")                                \
    X(evict_young, 300000, "a blob that came so recently does not give way to others")             \
    X(retain_grace, 86400000, "a pushed blob that no manifest refers to")                          \
    X(retain_every, 3600000, "between two runs of retention")                                      \
    X(drain, 30000, "transfers under way after SIGTERM")                                           \
    X(hand_over, 5000, "changes under way when another process takes over")                        \
    X(take_over, 60000, "another process that takes over, until it answers; then it is killed")    \
    X(names_fresh, 60000, "resolved addresses are used without asking again")                      \
    X(names_stale, 3600000, "resolved addresses are used where the name cannot be resolved")

struct limits {
#define X(name, ms, help) uint64_t name;
    LIMIT_LIST(X)
#undef X
};

#define LIMITS_DEFAULT                                                                             \
    {                                                                                              \
        LIMIT_LIST(LIMITS_FIELD)                                                                   \
    }
#define LIMITS_FIELD(name, ms, help) .name = (ms),

/* The limits in force. */
extern struct limits limits;

#define HOLD_BACK (64u * 1024)   /* of an unverified blob, never sent */
#define SMALL_BLOB (256u * 1024) /* answered after the verdict */
#define MANIFEST_LIMIT (8u * 1024 * 1024)
#define CLIENT_LINE_MAX (16u * 1024)
#define CLIENT_HEAD_MAX (64u * 1024)
#define HEADERS_MAX 100
#define LEAST_RATE 1024u /* bytes a second of a body, while its peer is waited for */
#define CONNECTIONS_MAX 1000000
#define UPSTREAM_HEAD_MAX (128u * 1024)
#define REDIRECTS_MAX 10
#define CHUNK_EXTENSION_MAX 256
#define SENDFILE_PIECE (1024u * 1024)
#define TURN_BUDGET (4u * 1024 * 1024) /* bytes that one flow moves in one turn of the loop */
#define FLOW_BUFFER (256u * 1024)

#endif
