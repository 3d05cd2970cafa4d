/* registry/request.h - one request to the API, from its head to its line in the log. */
#ifndef REGISTRY_REQUEST_H
#define REGISTRY_REQUEST_H

#include "cache/ask.h"
#include "cache/flight.h"
#include "cache/flow.h"
#include "cache/member.h"
#include "cache/pass.h"
#include "http/range.h"
#include "loop/op.h"
#include "registry/registry.h"
#include "registry/reply.h"

/* Where an answer's bytes came from: the X-Larder header and the log. */
enum request_from {
    FROM_NONE,
    FROM_HIT,
    FROM_MISS,
    FROM_JOINED,
    FROM_STALE,
    FROM_REVALIDATED,
    FROM_PASSED,
};

struct registry {
    struct cache *cache;
    struct cache_options options;
    const struct route_table *routes;
    struct upstream *const *upstreams;
    const struct lockfile *lock;
    const char *lock_path;
    struct users *users; /* NULL: nobody signs in */
    const struct grants *grants;
    const struct bearer_key *key; /* of our own tokens */
    atomic_uint live;             /* requests that were made and not freed */
};

/* The bytes of a response and how far they are sent (registry/reader.c). */
struct reader {
    int fd; /* a whole file; owned; -1: the bytes come from ticket or pass */
    struct pass *pass;
    struct flow_buffer *buffer; /* of a pass: bytes read and not sent yet */
    size_t buffer_sent;
    uint64_t offset;  /* next byte */
    uint64_t end;     /* one behind the last; UINT64_MAX: wherever the blob ends */
    uint64_t warm_to; /* bytes below are in memory, as far as was found out */
    struct job job;
    bool reading; /* the job is under way */
    struct err err;
};

/*
 * Owner: counted; the exchange and the op hold one each, a job of the reader one while it runs.
 * Thread: its loop's.
 */
struct request {
    struct op op;
    unsigned refs;
    struct registry *registry;
    struct http_exchange *x; /* NULL once it ended */
    struct loop *loop;
    struct route route;
    struct cache_repo repo;
    bool only_cached; /* Cache-Control: only-if-cached (RFC 9111, 5.2.1.7): no upstream is asked */
    bool mirrored;    /* repo is set */
    char user[USER_MAX]; /* who signed in, or "" */
    enum bearer_shown bearer;
    bool hosted; /* route.name is one of our own repositories, or ROUTE_OWN */

    /* for the log */
    enum request_from from;
    int64_t age;
    bool has_digest;
    struct digest digest; /* of what is served */
    enum err_code error;

    /* finding out what is meant (registry/resolve.c) */
    enum tag_kind tag_kind;
    enum ask_kind ask_kind;
    const char *reference;
    const struct step *deliver; /* where it leads */
    bool have_old;
    struct tag_record old;
    struct ask *ask;
    bool ask_joined;
    struct waiter waiter;
    struct timer timer;
    bool timed_out;
    uint64_t deadline; /* of the first byte, all told; loop time */

    /* what is served */
    char media_type[128];
    uint64_t size; /* UINT64_MAX: not known */
    uint8_t kind;  /* enum child_kind */
    bool proved;
    bool listed;  /* … by a manifest alone, and the bytes are not here */
    bool expired; /* it was proved too long ago */
    struct document *document;
    struct buf body;
    struct buf extra;      /* header lines of a list */
    struct room_hold room; /* for an answer that is held whole */

    /* what is pushed (registry/upload.c, manifest_put.c) */
    struct upload_push *upload;
    struct manifest_push *manifest;
    struct index_write write; /* of a delete */
    bool written;

    struct flight_ticket ticket;
    struct flow_wait flow_wait;
    bool rejoined;
    bool damaged;  /* the file in the store was, and has been seen to */
    bool started;  /* the response has begun */
    bool changing; /* a hand-over waits for it (store/handover.h) */
    struct http_range range;
    enum http_range_kind range_kind;
    struct reader reader;
};

static inline struct request *request_of(struct op *op)
{
    return container_of(op, struct request, op);
}

/* Whether no upstream may be asked for it, and what is here serves whatever its age. */
static inline bool request_is_offline(const struct request *q)
{
    return q->only_cached || q->registry->cache->offline;
}

/* member_judge() for its repository; no proof grows old where nobody can be asked for another. */
enum member_verdict request_judge(const struct request *q, struct index_read *r,
                                  const struct digest *d, struct member_record *ret) MUST_CHECK;
/* The end of a sentence: why nothing is fetched. */
const char *request_offline_why(const struct request *q);
void request_ref(struct request *q);
void request_unref(struct request *q);
void request_let_go(struct request *q); /* of its ask and document, which hold room */
const char *request_from_text(enum request_from from);

/* Begins the op, which ends in request_op_ended(). The exchange wakes it from here on. */
void request_start(struct request *q, const struct step *first);
/* Sets the timer: `ms` from now, but no later than the deadline. */
void request_wait(struct request *q, uint64_t ms);
/* The error step of all: answers with op.err where nothing was sent, cuts the response else. */
extern const struct step REQUEST_STEP_REFUSE;

/* registry/resolve.c: what does a name (tag, list) mean now? Fills q->digest, from, age, and
 * document where it came just now; goes on at q->deliver. */
extern const struct step REQUEST_STEP_RESOLVE;
/* registry/absent.c: refuses a tag that is not here, and says which are. */
extern const struct step REQUEST_STEP_ABSENT;
/* The synchronous look: true where the index knows and it is fresh. */
bool resolve_look(struct request *q);

/* registry/manifest_get.c, blob_get.c, list_get.c: each may answer at once, or starts the op. */
void manifest_get(struct request *q);
void blob_get(struct request *q);
void list_get(struct request *q);
/* Serves the blob q->digest from the store or by a flight; what it is is known and permitted. */
extern const struct step REQUEST_STEP_SERVE;

/* registry/upload.c, manifest_put.c, delete.c: writes to hosted repositories, and their ends. */
void upload_handle(struct request *q);
void upload_push_free(struct request *q);
void manifest_put(struct request *q);
void manifest_push_free(struct request *q);
void delete_handle(struct request *q);

/* registry/hosted_get.c: as manifest_get() and blob_get(), for hosted repositories. */
void hosted_manifest_get(struct request *q);
void hosted_blob_get(struct request *q);
/* registry/locked.c: what tags mean by a lock file, into q->route.digest; their list into `out`,
 * NULL: only its size at most, into q->size. False: it has none, and the request was refused. */
bool locked_find(struct request *q);
bool locked_list(struct request *q, struct buf *out);
/* Delivers the manifest q->digest, which is here. */
extern const struct step REQUEST_STEP_MANIFEST;
/* Answers it where that takes no waiting; true where it ended the exchange. */
bool manifest_deliver_now(struct request *q);
/* Asks upstream for the manifest q->digest, which is not here any more. */
extern const struct step REQUEST_STEP_MANIFEST_ASK;

/* registry/indexed_list.c: writes the list that was asked, as the index has it, into `out`, with
 * lines for q->extra; q->room grows from ROOM_INDEXED, else ERR_TOO_MANY. Pool thread. */
int indexed_list_make(struct request *q, struct buf *out, struct err *err);

/* registry/reader.c */
void reader_init(struct reader *r);
void reader_fini(struct request *q);
enum reader_moved { READER_WAIT, READER_DONE, READER_BROKEN };
/* Sends what can be sent now; READER_WAIT: the op is woken when it may go on. */
enum reader_moved reader_pump(struct request *q);
/* Whether the first bytes of the file can be read: READER_DONE; READER_WAIT: the op is woken. */
enum reader_moved reader_first(struct request *q);
/* Has the store forget a bad file (fd -1: by name); reader.reading until the op is woken. */
void reader_forget(struct request *q);

#endif
