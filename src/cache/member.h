/*
 * cache/member.h - may this repository serve that digest? Design section 6.
 *
 * Bytes are stored once; a membership record says which repository may serve them and how that was
 * proved. The rules live here, so that no other place decides about them.
 */
#ifndef CACHE_MEMBER_H
#define CACHE_MEMBER_H

#include "cache/cache.h"

enum member_verdict {
    MEMBER_YES,
    MEMBER_UNKNOWN, /* nothing is known: upstream must be asked */
    MEMBER_EXPIRED, /* proved with a credential too long ago; stands if upstream cannot be asked */
};

/* Judges by the index alone. *ret_member is filled unless MEMBER_UNKNOWN. */
enum member_verdict member_judge(const struct cache *c, struct index_read *r,
                                 const struct cache_repo *repo, const struct digest *d,
                                 struct member_record *ret_member);

/* The pure rule: how a record stands at `now`. */
bool member_is_fresh(const struct member_record *m, int64_t now, bool offline);

/* Records that upstream itself answered for the digest in this repository. Within a change. */
void member_put_answered(struct index_txn *t, const struct cache_repo *repo, const struct digest *d,
                         uint64_t size, const char *media_type, uint8_t kind);
/* The same where all that is known of the upstream is its credential. `text` is the repository's
 * whole name. */
void member_put_proved(struct index_txn *t, const char *text, const struct digest *d, uint64_t size,
                       uint8_t kind, uint64_t credential);

#endif
