/*
 * cache/ask.h - one question to an upstream, shared by all who wait for its answer.
 *
 *   ASK_TAG        what is this tag now, and the manifest's bytes where they are not here
 *   ASK_DIGEST     this manifest of this repository
 *   ASK_MEMBER     may this repository serve this blob: a HEAD
 *   ASK_TAGS       all tags of the repository
 *   ASK_REFERRERS  all referrers of a digest
 *
 * The answer is in the index before anybody gets it, and the ask leaves its table only then, so
 * that whoever comes later finds one or the other. An upstream's "no such thing" is remembered for
 * limits.negative, a manifest whose bytes were wrong for limits.bad_digest: the ended ask stays in
 * the table.
 */
#ifndef CACHE_ASK_H
#define CACHE_ASK_H

#include "cache/document.h"
#include "loop/bell.h"

enum ask_kind { ASK_TAG, ASK_DIGEST, ASK_MEMBER, ASK_TAGS, ASK_REFERRERS };

enum ask_state {
    ASK_NOT_YET,
    ASK_CONFIRMED, /* upstream vouches for `digest`, whose bytes are in the store */
    ASK_FETCHED,   /* `document` came from upstream */
    ASK_FAILED,    /* `err` */
};

/* What is known once the state is no longer ASK_NOT_YET; never changes after. */
struct ask_result {
    struct digest digest;
    uint64_t size; /* ASK_MEMBER: of the blob; UINT64_MAX where upstream did not say */
    char media_type[128];
    struct document *document; /* ASK_FETCHED; the ask's reference */
    struct err err;
};

/* Under which a repository keeps its list of tags (TAG_LIST has no reference of its own). */
#define LIST_REFERENCE "list"

struct ask;

struct ask_table *ask_table_new(void);
void ask_table_free(struct ask_table *t);

/* Joins the ask for this question, or starts it on loop `l`. One reference, for ask_unref().
 * `reference`: tag, digest text, or "". *ret_joined: it was there. */
struct ask *ask_join(struct cache *c, struct loop *l, enum ask_kind kind,
                     const struct cache_repo *repo, const char *reference, bool *ret_joined);
void ask_unref(struct ask *a);

/* The state; while it is ASK_NOT_YET, `w` waits on loop `l`. Any loop. */
enum ask_state ask_poll(struct ask *a, struct loop *l, struct waiter *w);
const struct ask_result *ask_result(const struct ask *a);
/* Whether a try has failed because of the upstream, so that who has an old answer need not wait for
 * the next. Who waits is woken for this too. Any loop. */
bool ask_troubled(struct ask *a);
/* Whether upstream is not what it waits for just now, but our own room, disk or index. Any loop. */
bool ask_is_ours(struct ask *a);

#endif
