/*
 * cache/flight_body.c - bytes from a source into the file: recv, SHA, write, publish.
 *
 * Two buffers: while one is written by the disk pool the other fills. A buffer goes on when it is
 * full or the socket is drained. `landed` moves in order, whatever order the writes end in.
 */
#include "base/counter.h"
#include "base/log.h"
#include "cache/flight_steps.h"

static void flight_land(struct flight *f, uint64_t landed)
{
    atomic_store(&f->landed, landed);
    bell_ring(&f->bell);
    flight_checkpoint_start(f);
}

static void write_run(struct job *job)
{
    struct flow_buffer *b = container_of(job, struct flow_buffer, job);
    struct flight *f = b->user;
    struct err err = {0};

    b->failed = ingest_write(&f->ingest, b->data, b->len, b->offset, &err) < 0;
}

/* The disk refuses: from the first byte that is not in the file on, the window takes them. */
static bool flight_to_window(struct flight *f)
{
    struct err err = {0};

    if (flight_in_window(f)) {
        return true;
    }
    count(store_errors);
    log_event(LOG_WARN, "store.refused", "the disk refuses a blob: it is passed through, not kept");
    if (flight_window_open(f, &err) < 0) {
        f->write_err = err;
        return false;
    }
    return true;
}

/* Takes the buffers that are done off the front of the line. */
static void flight_advance_written(struct flight *f)
{
    while (f->n_writing > 0 && f->writing[0]->written) {
        struct flow_buffer *b = f->writing[0];
        bool lost = false;

        if (b->failed || flight_in_window(f)) {
            lost =
                !flight_to_window(f) || flight_window_write(f, b->data, b->len, &f->write_err) < 0;
        }
        f->n_writing--;
        memmove(&f->writing[0], &f->writing[1], f->n_writing * sizeof(f->writing[0]));
        if (!lost && f->write_err.code == ERR_NONE) {
            flight_land(f, b->offset + b->len);
        }
        flow_put(f->loop, b);
    }
}

static void on_written(struct job *job)
{
    struct flow_buffer *b = container_of(job, struct flow_buffer, job);
    struct flight *f = b->user;

    b->written = true;
    flight_advance_written(f);
    op_wake(&f->op);
}

/* The buffer being filled is hashed and handed on. */
static void flight_push(struct flight *f)
{
    struct flow_buffer *b = f->filling;

    f->filling = NULL;
    if (b->len == 0) {
        flow_put(f->loop, b);
        return;
    }
    b->user = f;
    b->offset = f->received - b->len;
    sha_update(&f->sha, b->data, b->len);
    flight_checkpoint_arm(f);
    f->writing[f->n_writing++] = b;
    if (flight_in_window(f) || !f->stored) {
        b->written = true;
        flight_advance_written(f);
        return;
    }
    pool_submit(store_disk(f->cache->store), f->loop, &b->job, write_run, on_written);
}

/* From now on what is waited for is ours, not the upstream: none of that time is its. */
static void flight_hold(struct flight *f)
{
    if (f->held_ms == 0) {
        f->held_ms = loop_now(f->loop);
    }
}

/* … until here. */
static void flight_go_on(struct flight *f)
{
    if (f->held_ms != 0) {
        f->progress_ms += loop_now(f->loop) - f->held_ms;
        f->held_ms = 0;
    }
}

bool flight_settled(struct flight *f)
{
    if (f->filling != NULL && f->n_writing < FLIGHT_BUFFERS) {
        flight_push(f);
    }
    if (f->filling != NULL || f->n_writing > 0) {
        flight_hold(f);
        return false;
    }
    flight_go_on(f);
    return true;
}

void flight_buffers_drop(struct flight *f)
{
    if (f->filling != NULL) {
        flow_put(f->loop, f->filling);
        f->filling = NULL;
    }
    while (f->n_writing > 0) {
        flow_put(f->loop, f->writing[--f->n_writing]);
    }
}

/* Bytes that the place they go to takes now. */
static uint64_t flight_sink_room(struct flight *f)
{
    uint64_t window;
    uint64_t used;

    if (!flight_in_window(f)) {
        return UINT64_MAX;
    }
    window = flight_window_room(f);
    used = f->received - atomic_load(&f->landed);
    return window > used ? window - used : 0;
}

/* Room for the next read, and the buffer for it; 0: wait. */
static size_t flight_room(struct flight *f)
{
    uint64_t sink = flight_sink_room(f);
    size_t room;

    if (sink == 0) {
        return 0; /* no buffer is held for a reader that may never come */
    }
    if (f->filling == NULL) {
        if (f->n_writing == FLIGHT_BUFFERS) {
            return 0;
        }
        f->filling = flow_take(f->loop, &f->flow_wait);
        if (f->filling == NULL) {
            return 0;
        }
    }
    room = FLOW_BUFFER - f->filling->len;
    return room < sink ? room : (size_t)sink;
}

/* n new bytes are at the end of the buffer. What is here already is dropped. */
static int flight_take(struct flight *f, size_t n, struct err *err)
{
    struct flow_buffer *b = f->filling;
    size_t drop = f->skip < n ? (size_t)f->skip : n;
    uint64_t size = atomic_load(&f->size);

    if (drop > 0) {
        memmove(b->data + b->len, b->data + b->len + drop, n - drop);
        f->skip -= drop;
        n -= drop;
    }
    if (n == 0) {
        return 0; /* what is here already is no progress */
    }
    if (size != UINT64_MAX && n > size - f->received) {
        return err_set(err, ERR_UPSTREAM_PROTOCOL, "the blob is longer than its %llu bytes",
                       (unsigned long long)size);
    }
    b->len += n;
    f->received += n;
    f->progress_ms = loop_now(f->loop);
    f->source->fails = 0;
    return 0;
}

/* There is no room for what comes next: nothing is read until there is. */
static enum flight_moved flight_full(struct flight *f)
{
    if (f->filling != NULL) {
        flight_push(f);
    }
    fetch_rest(f->fetch);
    flight_hold(f);
    return MOVED_FULL;
}

enum flight_moved flight_move(struct flight *f, struct err *err)
{
    size_t budget = TURN_BUDGET;

    while (budget > 0) {
        size_t room = flight_room(f);
        ssize_t n;

        if (f->write_err.code != ERR_NONE) {
            *err = f->write_err;
            return MOVED_BROKEN;
        }
        if (room == 0) {
            return flight_full(f);
        }
        flight_go_on(f);
        n = fetch_read(f->fetch, f->filling->data + f->filling->len, room, err);
        if (n > 0 && flight_take(f, (size_t)n, err) < 0) {
            return MOVED_BROKEN;
        }
        if (n <= 0 || f->filling->len == FLOW_BUFFER) {
            flight_push(f);
        }
        if (n == STREAM_AGAIN) {
            return f->n_writing == FLIGHT_BUFFERS ? flight_full(f) : MOVED_WAIT;
        }
        if (n <= 0) {
            return n == 0 ? MOVED_END : MOVED_BROKEN;
        }
        budget = budget > (size_t)n ? budget - (size_t)n : 0;
    }
    return MOVED_MORE;
}
