/*
 * base/counter.h - what the program counts, one table.
 *
 * Each thread adds to its own block, so that counting costs no shared cache line; a reader sums
 * the blocks. Gauges are counted up and down the same way. Any thread.
 */
#ifndef BASE_COUNTER_H
#define BASE_COUNTER_H

#include <stdint.h>

#define COUNTER_LIST(X)                                                                            \
    X(connections_accepted, "connections that clients opened")                                     \
    X(connections_refused, "connections that were one too many, in all or from an address")        \
    X(connections_open, "connections of clients that are open now")                                \
    X(clients_slow, "connections closed because their client took or sent too little of a body")   \
    X(configurations, "configurations in use, with those whose last requests go on")               \
    X(tls_accepted, "TLS handshakes of clients that were done")                                    \
    X(tls_refused, "TLS handshakes of clients that failed")                                        \
    X(requests, "requests whose head was read whole")                                              \
    X(requests_bad, "requests refused by the parser")                                              \
    X(responses_hit, "answers from the store, nothing asked upstream")                             \
    X(responses_miss, "answers whose bytes were fetched for this request")                         \
    X(responses_joined, "answers that shared a fetch under way")                                   \
    X(responses_stale, "answers older than their time to live, upstream not answering")            \
    X(responses_revalidated, "answers from the store after upstream confirmed the tag")            \
    X(responses_passed, "answers whose bytes were passed through and not kept")                    \
    X(responses_none, "answers that came from neither: errors, pings")                             \
    X(bytes_sent, "body bytes sent to clients")                                                    \
    X(bytes_saved, "body bytes sent that were not fetched for this request")                       \
    X(upstream_connections, "connections opened to upstreams, token servers included")             \
    X(upstream_requests, "requests sent to upstreams, token requests not included")                \
    X(upstream_manifest_heads, "HEAD requests for manifests sent upstream")                        \
    X(upstream_manifest_gets, "GET requests for manifests sent upstream")                          \
    X(upstream_blob_heads, "HEAD requests for blobs sent upstream")                                \
    X(upstream_blob_gets, "GET requests for blobs sent upstream")                                  \
    X(upstream_tokens, "tokens asked for")                                                         \
    X(upstream_bytes, "body bytes received from upstreams")                                        \
    X(upstream_errors, "requests to upstreams that failed: no answer, 5xx, 429")                   \
    X(upstream_redirects, "redirects followed")                                                    \
    X(flights_started, "downloads started")                                                        \
    X(flights_joined, "requests that joined a download under way")                                 \
    X(flights_open, "downloads under way now")                                                     \
    X(flights_resumed, "broken downloads that went on where they had stopped")                     \
    X(flights_landed, "downloads verified and kept")                                               \
    X(flights_passed, "downloads verified and not kept")                                           \
    X(flights_failed, "downloads given up")                                                        \
    X(flights_mismatched, "downloads whose bytes were not the digest")                             \
    X(ranges_passed, "ranges of cold blobs fetched directly and not kept")                         \
    X(readers_open, "response bodies being sent now")                                              \
    X(readers_parked, "times a response waited for bytes that had not landed")                     \
    X(asks_started, "questions to upstreams: tags, tokens, membership, referrers")                 \
    X(asks_joined, "requests that waited for a question already asked")                            \
    X(prefetches_started, "layers fetched before they were asked for")                             \
    X(uploads_started, "upload sessions that clients opened")                                      \
    X(uploads_finished, "uploads verified and kept")                                               \
    X(upload_bytes, "bytes of blobs that clients uploaded")                                        \
    X(mounts, "blobs mounted from another repository")                                             \
    X(head_leases, "HEADs of a mirrored blob answered to one who may push it")                     \
    X(manifests_pushed, "manifests that clients pushed")                                           \
    X(retain_tags, "tags that retention removed")                                                  \
    X(retain_manifests, "manifests that retention removed from a repository")                      \
    X(retain_blobs, "blobs that retention removed from a repository")                              \
    X(retain_bytes, "bytes that retention freed")                                                  \
    X(evictions, "blobs that gave way to others")                                                  \
    X(evicted_bytes, "bytes of those blobs")                                                       \
    X(blobs_stored, "blobs taken into the store")                                                  \
    X(bytes_stored, "bytes of those blobs")                                                        \
    X(store_errors, "writes, reads or syncs of the store that failed")                             \
    X(index_commits, "transactions that the index writer committed")                               \
    X(index_changes, "changes in those transactions")                                              \
    X(pulls_dropped, "answers that the table of pulls has no line of: too many at once")           \
    X(verified_again, "blobs hashed again after an unclean stop")                                  \
    X(verified_bytes, "bytes that verify read")                                                    \
    X(verified_bad, "blobs that verify found bad")                                                 \
    X(upstream_shut, "questions that an endpoint was not asked because it only fails")             \
    X(helper_runs, "credential helper programs started")                                           \
    X(credential_failures, "times that a credential could not be read or had")                     \
    X(upstream_hedges, "requests sent to another endpoint as well, as the first said nothing")     \
    X(upstream_hedges_won, "of those, the ones that answered first")                               \
    X(upstream_late, "requests that waited for upstream in vain")                                  \
    X(upstream_spared, "tags answered as they were because the rate limit of upstream runs low")   \
    X(hub_ratelimit_limit, "Docker Hub's limit as last said")                                      \
    X(hub_ratelimit_remaining, "what was left of it as last said")

enum counter {
#define X(name, help) COUNTER_##name,
    COUNTER_LIST(X)
#undef X
        COUNTER_COUNT
};

#define count_add(name, n) counter_add(COUNTER_##name, (int64_t)(n))
#define count(name) counter_add(COUNTER_##name, 1)

void counter_add(enum counter c, int64_t n);

/* Makes the sum `value`, whoever counted before: for figures that somebody else tells us. */
void counter_set(enum counter c, int64_t value);

/* The sum over all threads, those that ended included. */
int64_t counter_sum(enum counter c);

const char *counter_name(enum counter c);
const char *counter_help(enum counter c);

#endif
