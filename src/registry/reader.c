/*
 * registry/reader.c - the bytes of one response, from wherever they are to the client.
 *
 * The pump may be called at any time: it sends what can be sent, up to a budget a turn, and makes
 * sure that the op is woken when there is more to do.
 */
#include "base/counter.h"
#include "base/fault.h"
#include "base/file.h"
#include "base/limits.h"
#include "cache/flow.h"
#include "registry/request.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define WARM_PIECE (2u * 1024 * 1024) /* read ahead by the pool at a time */
#define WINDOW_COPY (64u * 1024)      /* of a memory window, sent at a time */

void reader_init(struct reader *r)
{
    r->fd = -1;
    r->warm_to = 0;
}

void reader_fini(struct request *q)
{
    struct reader *r = &q->reader;

    flow_unwait(&q->flow_wait);
    pass_free(r->pass);
    r->pass = NULL;
    if (r->buffer != NULL) {
        flow_put(q->loop, r->buffer);
        r->buffer = NULL;
    }
    if (r->fd >= 0 && !r->reading) {
        close(r->fd);
        r->fd = -1;
    }
}

/* --- cold files ---------------------------------------------------------------------------- */

/* Some file systems cannot say what is in memory (overlayfs, tmpfs): found out once for each. */
static _Thread_local dev_t cannot_tell[8];
static _Thread_local unsigned n_cannot_tell;

static bool can_tell(int fd)
{
    struct stat st;

    if (fstat(fd, &st) < 0) {
        return false;
    }
    for (unsigned i = 0; i < n_cannot_tell; i++) {
        if (cannot_tell[i] == st.st_dev) {
            return false;
        }
    }
    return true;
}

static void note_cannot_tell(int fd)
{
    struct stat st;

    if (n_cannot_tell < ARRAY_LEN(cannot_tell) && fstat(fd, &st) == 0) {
        cannot_tell[n_cannot_tell++] = st.st_dev;
    }
}

/* Whether the byte at `offset` is in memory, as far as the kernel tells. */
static bool is_warm(int fd, uint64_t offset)
{
    char byte;
    struct iovec iov = {&byte, 1};

    if (preadv2(fd, &iov, 1, (off_t)offset, RWF_NOWAIT) >= 0) {
        return true;
    }
    if (errno == EAGAIN) {
        return false;
    }
    note_cannot_tell(fd);
    return true;
}

static void warm_run(struct job *job)
{
    struct request *q = container_of(job, struct request, reader.job);
    char scratch[64 * 1024];
    uint64_t at = q->reader.offset;
    uint64_t to = q->reader.warm_to;

    while (at < to) {
        size_t want = to - at < sizeof(scratch) ? (size_t)(to - at) : sizeof(scratch);
        ssize_t got = file_pread_all(q->reader.fd, scratch, want, at);

        if (got <= 0) {
            err_set(&q->reader.err, ERR_STORE, "a blob cannot be read: %s",
                    got < 0 ? strerror(errno) : "the file is short");
            return;
        }
        at += (uint64_t)got;
    }
}

static void on_warm(struct job *job)
{
    struct request *q = container_of(job, struct request, reader.job);

    q->reader.reading = false;
    if (q->op.step == NULL && q->reader.fd >= 0) {
        close(q->reader.fd); /* the request ended meanwhile */
        q->reader.fd = -1;
    }
    op_wake(&q->op);
    request_unref(q);
}

/* Sees to it that the next `n` bytes of the file are in memory; false: the pool reads them. */
static bool reader_warm(struct request *q, size_t n)
{
    struct reader *r = &q->reader;
    uint64_t last = r->offset + n - 1;

    if (fault_at("blob.read")) {
        err_set(&r->err, ERR_STORE, "a blob cannot be read: %s", strerror(EIO));
        return true;
    }
    if (last < r->warm_to || !can_tell(r->fd) || is_warm(r->fd, last)) {
        return true;
    }
    r->warm_to = r->end - r->offset > WARM_PIECE ? r->offset + WARM_PIECE : r->end;
    r->reading = true;
    request_ref(q);
    pool_submit(store_disk(q->registry->cache->store), q->loop, &r->job, warm_run, on_warm);
    return false;
}

enum reader_moved reader_first(struct request *q)
{
    struct reader *r = &q->reader;
    uint64_t left = r->end - r->offset;
    size_t want = left < SENDFILE_PIECE ? (size_t)left : SENDFILE_PIECE;

    if (r->reading || (r->err.code == ERR_NONE && want > 0 && !reader_warm(q, want))) {
        return READER_WAIT;
    }
    if (r->err.code != ERR_NONE) {
        return READER_BROKEN;
    }
    r->warm_to = r->offset + want;
    return READER_DONE;
}

static void forget_run(struct job *job)
{
    struct request *q = container_of(job, struct request, reader.job);
    struct store *s = q->registry->cache->store;

    if (q->reader.fd >= 0 && q->hosted) {
        return; /* another read may succeed, and nobody else has it */
    }
    if (q->reader.fd >= 0) {
        store_quarantine(s, &q->digest, q->reader.fd);
    } else {
        store_judge_blob(s, &q->digest, q->size);
    }
}

void reader_forget(struct request *q)
{
    q->reader.reading = true;
    request_ref(q);
    pool_submit(store_disk(q->registry->cache->store), q->loop, &q->reader.job, forget_run,
                on_warm);
}

/* --- the three sources --------------------------------------------------------------------- */

static size_t piece(const struct reader *r, uint64_t there)
{
    uint64_t left = r->end - r->offset;
    uint64_t n = left < there ? left : there;

    return n < SENDFILE_PIECE ? (size_t)n : SENDFILE_PIECE;
}

/* What a send gave: bytes, or the way to go on. */
static enum reader_moved sent_none(struct request *q, ssize_t n)
{
    if (n == STREAM_AGAIN) {
        return READER_WAIT;
    }
    err_set(&q->reader.err, n == 0 ? ERR_STORE : ERR_CLIENT_GONE, "%s",
            n == 0 ? "a blob's file is shorter than it was, or cannot be read"
                   : "the client is gone");
    return READER_BROKEN;
}

static enum reader_moved pump_file(struct request *q)
{
    struct reader *r = &q->reader;
    size_t budget = TURN_BUDGET;

    if (r->reading) {
        return READER_WAIT;
    }
    while (r->offset < r->end) {
        size_t want = piece(r, UINT64_MAX);
        ssize_t n;

        if (r->err.code != ERR_NONE) {
            return READER_BROKEN;
        }
        if (budget == 0) {
            op_wake(&q->op);
            return READER_WAIT;
        }
        if (!reader_warm(q, want)) {
            return READER_WAIT;
        }
        if (r->err.code != ERR_NONE) {
            return READER_BROKEN;
        }
        n = http_send_file(q->x, r->fd, r->offset, want);
        if (n <= 0) {
            return sent_none(q, n);
        }
        r->offset += (uint64_t)n;
        budget -= (size_t)n < budget ? (size_t)n : budget;
    }
    return READER_DONE;
}

/* The flight has no byte for us now: the head at least goes out. */
static enum reader_moved flight_wait(struct request *q)
{
    ssize_t n = http_send_head(q->x);

    return n == STREAM_FAILED ? sent_none(q, n) : READER_WAIT;
}

/* Bytes of a memory window are copied: sendfile would hand the socket pages that are punched out,
 * and zeroed at the edges, once the reader has gone past them, while they still wait to be sent. */
static ssize_t send_copy(struct request *q, const struct flight_view *view)
{
    static _Thread_local char copy[WINDOW_COPY];
    size_t want = piece(&q->reader, view->len);
    ssize_t got =
        file_pread_all(view->fd, copy, want < sizeof(copy) ? want : sizeof(copy), view->offset);

    return got <= 0 ? 0 : http_send(q->x, copy, (size_t)got);
}

static enum reader_moved pump_flight(struct request *q)
{
    struct reader *r = &q->reader;
    size_t budget = TURN_BUDGET;
    struct flight_view view;

    while (r->offset < r->end) {
        ssize_t n;

        switch (flight_readable(&q->ticket, &view)) {
        case FLIGHT_WAIT:
            return flight_wait(q);
        case FLIGHT_END:
            return r->end == UINT64_MAX ? READER_DONE : sent_none(q, 0);
        case FLIGHT_BROKEN:
            flight_error(&q->ticket, &r->err);
            return READER_BROKEN;
        case FLIGHT_BYTES:
            break;
        }
        if (budget == 0) {
            op_wake(&q->op);
            return READER_WAIT;
        }
        n = view.memory ? send_copy(q, &view)
                        : http_send_file(q->x, view.fd, view.offset, piece(r, view.len));
        if (n <= 0) {
            return sent_none(q, n);
        }
        r->offset += (uint64_t)n;
        flight_advance(&q->ticket, (uint64_t)n);
        budget -= (size_t)n < budget ? (size_t)n : budget;
    }
    return READER_DONE;
}

/* Fills the buffer of a pass: 1 there are bytes, 0 wait, -1 broken. */
static int pass_fill(struct request *q)
{
    struct reader *r = &q->reader;
    long n;

    if (r->buffer == NULL) {
        r->buffer = flow_take_slow(q->loop, &q->flow_wait);
        r->buffer_sent = 0;
    }
    if (r->buffer == NULL) {
        return 0;
    }
    if (r->buffer_sent < r->buffer->len) {
        return 1;
    }
    n = pass_read(r->pass, r->buffer->data, FLOW_BUFFER, &r->err);
    r->buffer_sent = 0;
    r->buffer->len = n > 0 ? (size_t)n : 0;
    if (n > 0) {
        return 1;
    }
    flow_put(q->loop, r->buffer); /* others may have bytes for it */
    r->buffer = NULL;
    return n == STREAM_AGAIN ? 0 : -1;
}

static enum reader_moved pump_pass(struct request *q)
{
    struct reader *r = &q->reader;
    size_t budget = TURN_BUDGET;

    while (r->offset < r->end) {
        int filled = pass_fill(q);
        ssize_t n;

        if (filled <= 0) {
            return filled < 0 ? READER_BROKEN : flight_wait(q);
        }
        if (budget == 0) {
            op_wake(&q->op);
            return READER_WAIT;
        }
        n = http_send(q->x, r->buffer->data + r->buffer_sent, r->buffer->len - r->buffer_sent);
        if (n <= 0) {
            return sent_none(q, n == 0 ? STREAM_FAILED : n);
        }
        r->buffer_sent += (size_t)n;
        r->offset += (uint64_t)n;
        budget -= (size_t)n < budget ? (size_t)n : budget;
    }
    return READER_DONE;
}

enum reader_moved reader_pump(struct request *q)
{
    if (q->reader.pass != NULL) {
        return pump_pass(q);
    }
    return q->reader.fd >= 0 ? pump_file(q) : pump_flight(q);
}
