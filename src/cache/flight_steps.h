/* cache/flight_steps.h - what the files of a flight share. Not for others. */
#ifndef CACHE_FLIGHT_STEPS_H
#define CACHE_FLIGHT_STEPS_H

#include "base/map.h"
#include "base/sha.h"
#include "cache/flight.h"
#include "cache/flow.h"
#include "loop/op.h"
#include "store/ingest.h"
#include "upstream/fetch.h"

#include <pthread.h>

#define FLIGHT_BUFFERS 2
#define FLIGHT_WINDOW (8u * 1024 * 1024)
#define NOWHERE UINT64_MAX

/* Where a flight can get its bytes. Lives as long as its flight. Lock: the flight's. */
struct flight_source {
    struct list node;
    struct cache_repo repo;
    uint8_t kind;
    bool proved;    /* its repository may serve the blob */
    bool claimed;   /* the index said so, by a proof or by a manifest */
    bool answered;  /* bytes of this flight came from it */
    bool ended;     /* it said no; `err` says how */
    bool no_range;  /* it answered a range wrongly: asked from the start only */
    unsigned fails; /* since its last byte */
    struct err err;
};

/* The state of a download that may outlive the process, told to the index now and then. */
struct flight_checkpoint {
    struct job job;
    struct index_write write;
    bool armed;       /* `partial` holds the state at partial.stored, which has not landed yet */
    bool busy;        /* it is being synced and recorded */
    uint64_t last_at; /* bytes at the last one */
    uint64_t last_ms;
    struct partial_record partial;
};

/*
 * Owner: counted; the table, the op, jobs and messages under way, and each ticket hold one
 * reference. Thread: fields after `op` are the home loop's. Invariant: landed <= received <= size.
 */
struct flight {
    struct map_node node;
    struct list among; /* all flights; the table's lock */
    struct flight_table *table;
    struct cache *cache;
    atomic_uint refs;
    struct digest digest;
    bool listed;   /* in the table; its lock */
    bool prefetch; /* was begun for nobody; goes on without anybody */
    bool apart;    /* beside another flight of the digest: never listed, never stored */

    /* shared with readers on other loops */
    struct bell bell;
    _Atomic(enum flight_state) state;
    _Atomic uint64_t size;
    _Atomic uint64_t landed;    /* bytes from 0 that can be read, verified or not */
    _Atomic uint64_t switch_at; /* from here on they are in the memory window; NOWHERE: none */
    atomic_bool rejoin;         /* failed in a way that another join may heal */
    atomic_bool local;          /* the bytes are the store's own */
    atomic_uint interest;       /* tickets that it goes on for */
    atomic_bool stopping;       /* nobody wants it: the partial is kept. Who comes now waits for
                                   its end and joins anew */
    int fd;                     /* set before READY */
    int memory_fd;              /* set before switch_at */

    pthread_mutex_t lock; /* of the following */
    struct list sources;
    unsigned n_sources;
    struct list readers;
    uint64_t punched; /* bytes below are gone from the window */
    struct err err;   /* why it failed; written before the state says so */

    struct loop *loop;
    struct op op;
    struct post nudge; /* from other loops: look again */
    struct timer timer;
    bool paused;
    bool announced; /* READY was published */
    struct job job; /* opening, committing, keeping: one at a time */
    bool job_done;
    struct err job_err;
    struct ingest ingest;
    bool stored; /* there is an ingest file */
    struct fetch *fetch;
    struct flight_source *source; /* whose fetch it is */
    uint64_t started_ms;
    uint64_t progress_ms; /* of the last new byte, later by how long ours was the blame since */
    uint64_t held_ms;     /* since when disk, buffer or reader are waited for; 0: they are not */
    uint64_t hint;        /* size as a manifest said */
    uint64_t received;    /* bytes taken from sources, hashed or in buffers */
    uint64_t skip;        /* bytes of this answer that are here already */
    unsigned slow;        /* how often a source was left as it was too slow */
    bool from_partial;
    bool mixed; /* bytes came from more than one source */
    bool noted; /* the index may have a partial record of the digest */
    struct sha sha;
    struct flow_wait flow_wait;
    struct flow_buffer *filling;
    struct flow_buffer *writing[FLIGHT_BUFFERS]; /* in order of offset */
    unsigned n_writing;
    struct err write_err;
    struct flight_checkpoint checkpoint;
    struct index_write write;
    bool recorded;
    bool elsewhere; /* another process has made the blob of it, and recorded it */
    bool orphan;    /* counted among those that go on for nobody */
    bool settling;  /* counted among those that are answered and not recorded yet */
};

static inline struct flight *flight_of(struct op *op)
{
    return container_of(op, struct flight, op);
}

/* flight.c */
void flight_ref(struct flight *f);
void flight_unref(struct flight *f);
/* A state that readers and waiters may see; rings the bell. */
void flight_publish(struct flight *f, enum flight_state state);
/* Looks again on the home loop. Any thread. */
void flight_nudge(struct flight *f);

/* flight_commit.c */
/* Pool thread: makes the file a blob, here or by the process that took over (store/handover.h);
 * f->job_err. */
void flight_commit_run(struct job *job);

/* flight_table.c */
/* Refuses (upstream, digest) for limits.bad_digest. */
void flight_bad_put(struct flight_table *t, const struct upstream *u, const struct digest *d,
                    uint64_t now);
bool flight_bad_get(struct flight_table *t, const struct upstream *u, const struct digest *d,
                    uint64_t now);
/* Takes it out of the table, so that whoever comes next starts anew or finds the blob. */
void flight_unlist(struct flight *f);
/* Whether one more download may go on for nobody. */
bool flight_orphan_admit(struct flight *f);
void flight_orphan_release(struct flight *f);
void flight_settle_begin(struct flight *f);
void flight_settle_end(struct flight *f);

/* flight_source.c */
/* The source to try next, those that failed least first; NULL: all have ended. */
struct flight_source *flight_source_next(struct flight *f);
/* Whether the source under way is better left for another, as it sends too little; *err says so. */
bool flight_source_is_slow(struct flight *f, struct err *err);
void flight_source_end(struct flight *f, struct flight_source *s, const struct err *err);
void flight_source_answered(struct flight *f, struct flight_source *s);
/* What a blob that came from it is counted as. */
enum blob_class flight_source_class(const struct flight_source *s);
/* The error that speaks for all sources. */
void flight_sources_error(struct flight *f, struct err *ret);
/* The source of the question's repository, added where it is not there: where `made`, in any case;
 * else only with a proof, so that nobody makes the list long by names alone. NULL: it is none.
 * *ret_proved: the repository may serve the blob. Caller has the lock or is alone. */
struct flight_source *flight_source_join(struct flight *f, const struct flight_question *q,
                                         bool made, bool *ret_proved);

/* flight_body.c */
enum flight_moved { MOVED_MORE, MOVED_WAIT, MOVED_FULL, MOVED_END, MOVED_BROKEN };
/* Moves bytes from the fetch towards the file. MOVED_WAIT: none come; MOVED_FULL: there is no room,
 * which is not upstream's fault; MOVED_BROKEN: *err says how it broke. */
enum flight_moved flight_move(struct flight *f, struct err *err);
/* Hands on what is in the buffer being filled; true once nothing is under way to the disk. */
bool flight_settled(struct flight *f);
void flight_buffers_drop(struct flight *f);

/* flight_window.c: the bytes from here on go into a memfd. 0, or -1 with *err. */
int flight_window_open(struct flight *f, struct err *err);
/* Harmless where there is none. */
void flight_window_close(struct flight *f);
static inline bool flight_in_window(struct flight *f)
{
    return atomic_load_explicit(&f->switch_at, memory_order_relaxed) != NOWHERE;
}
/* How many bytes the window takes now; punches out what all readers have had. */
uint64_t flight_window_room(struct flight *f);
/* Writes into it; offset == landed. */
int flight_window_write(struct flight *f, const void *p, size_t n, struct err *err);

/* flight_checkpoint.c: all bytes received so far are hashed: takes the state where it is time. */
void flight_checkpoint_arm(struct flight *f);
/* `landed` has moved: syncs and records the state taken, once its bytes are in the file. */
void flight_checkpoint_start(struct flight *f);
/* Pool thread: the file of a download that ends without a blob becomes a partial, or goes. */
void flight_keep_run(struct job *job);

/* flight_steps.c, flight_local.c: steps that others lead to. */
extern const struct step FLIGHT_STEP_BEGIN, FLIGHT_STEP_FAILED, FLIGHT_STEP_LOCAL, FLIGHT_STEP_END;
/* The op's end; drops its reference. */
void flight_ended(struct op *op);

#endif
