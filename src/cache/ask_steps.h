/* cache/ask_steps.h - what the files of an ask share. Not for others. */
#ifndef CACHE_ASK_STEPS_H
#define CACHE_ASK_STEPS_H

#include "base/map.h"
#include "cache/ask.h"
#include "cache/room.h"
#include "loop/op.h"
#include "upstream/fetch.h"

#define ASK_REFERENCE_MAX 512
#define ASK_TRIES 3
/* An answer that comes byte by byte would else stand in the way of another question for ever. */
#define ASK_LIFE_MS (5 * limits.retry_for)

/*
 * Owner: counted; the table, the op and each who waits hold one reference.
 * Thread: the fields after `op` are the home loop's until `state` is published, constant after.
 */
struct ask {
    struct map_node node;
    struct list expiring; /* in the table's list of ended asks that stay */
    uint64_t expires;     /* monotonic ms; 0: leaves the table when it ends */
    atomic_uint refs;
    bool listed;
    struct ask_table *table;
    struct cache *cache;
    enum ask_kind kind;
    struct cache_repo repo;
    char reference[ASK_REFERENCE_MAX];
    struct bell bell;
    _Atomic(enum ask_state) state;
    atomic_bool troubled; /* a try has failed, another follows */
    atomic_bool ours;     /* what it waits for is ours */

    struct op op;
    struct timer timer;
    struct timer life;
    bool waited; /* the pause before a try is over */
    unsigned tries;
    uint64_t deadline; /* no try begins after it */
    uint64_t ends;     /* nor is an answer read on */
    struct fetch *fetch;
    bool has_want; /* the digest that the bytes must have */
    struct digest want;
    bool by_tag;           /* the GET asks for the tag itself, not for `want` */
    bool by_byte;          /* HEAD is refused: one byte is asked for */
    struct room_hold room; /* for what is read */
    size_t taken;          /* bytes of answers that were read whole */
    struct buf body;
    struct buf gathered; /* pages of a list */
    struct taglist *tags;
    char page[1024]; /* query of the page of a list that is asked for, or "": the first */
    char next[1024]; /* that of the one after it, or "": there is none */
    unsigned pages;
    struct manifest *confirmed; /* vouched for by HEAD, as it is here; or NULL */
    struct document_keep keep;
    struct index_write write;
    bool written;
    enum ask_state outcome; /* to be published */
    struct ask_result result;
};

static inline struct ask *ask_of(struct op *op)
{
    return container_of(op, struct ask, op);
}

/* The steps that begin each kind. */
extern const struct step ASK_STEP_MANIFEST, ASK_STEP_MEMBER, ASK_STEP_TAGS, ASK_STEP_REFERRERS;
/* Shared ends. RECORDED waits for ask_record() or ask_keep() and publishes; REFUSED waits for
 * ask_record() and fails with op.err. */
extern const struct step ASK_STEP_FAILED, ASK_STEP_PUBLISH, ASK_STEP_RECORDED, ASK_STEP_REFUSED;

/* Asks upstream; the current step polls with ask_fetch_poll() after. */
void ask_fetch(struct ask *a, enum fetch_kind kind, bool head, const char *reference);
/* The same by GET of one byte: where HEAD is refused. */
void ask_fetch_byte(struct ask *a, enum fetch_kind kind, const char *reference);
/* FETCH_NOT_YET: return STEP_WAIT. On failure the fetch is gone and op.err is set. */
enum fetch_state ask_fetch_poll(struct ask *a);
/* Reads the body into a->body up to `max`: 1 whole, 0 not yet, -1 failed (op.err is set). */
int ask_read_body(struct ask *a, size_t max);
/* After a failure in op.err: whether another try is worth it. Sets the pause; ask_pause_over() then
 * says when. */
bool ask_may_retry(struct ask *a);
bool ask_pause_over(struct ask *a);
/* Ends the fetch under way. */
void ask_fetch_end(struct ask *a);

/* Records by `apply` (which finds the ask by container_of(w, struct ask, write)), then wakes. */
void ask_record(struct ask *a, void (*apply)(struct index_write *, struct index_txn *));
/* Keeps result.document under `reference` ("": by its digest alone), then wakes. */
void ask_keep(struct ask *a, enum tag_kind kind, const char *reference, bool is_manifest);

#endif
