/* cache/flight.c - what a request sees of a flight: its state, and the bytes that may be sent. */
#include "cache/flight.h"

#include "base/counter.h"
#include "cache/flight_steps.h"

void flight_publish(struct flight *f, enum flight_state state)
{
    atomic_store(&f->state, state);
    bell_ring(&f->bell);
}

/* What the ticket's repository knows: a proof stands once it was given. */
struct ticket_view {
    bool proved;
    bool refused; /* its own source said no, and there is no proof */
};

static struct ticket_view ticket_look(struct flight_ticket *t)
{
    struct ticket_view v = {.proved = t->proved};

    if (t->proved || t->source == NULL) {
        return v;
    }
    pthread_mutex_lock(&t->flight->lock);
    v.proved = t->source->proved;
    v.refused = t->source->ended && !v.proved;
    pthread_mutex_unlock(&t->flight->lock);
    t->proved = v.proved;
    return v;
}

bool flight_needs_proof(struct flight_ticket *t)
{
    struct ticket_view v = ticket_look(t);
    enum flight_state state = atomic_load(&t->flight->state);

    if (v.proved || v.refused) {
        return false;
    }
    /* Its own source may still give the proof, unless the bytes have come from another one. */
    return t->source == NULL || state == FLIGHT_READY || state == FLIGHT_LANDED;
}

/* A small blob is answered after the verdict: then a bad one is a clean error. */
static bool ready_counts(uint64_t size, uint64_t landed)
{
    return size == UINT64_MAX ? landed > SMALL_BLOB : size > SMALL_BLOB;
}

static enum flight_state flight_look(struct flight_ticket *t)
{
    struct flight *f = t->flight;
    enum flight_state state = atomic_load(&f->state);
    struct ticket_view v = ticket_look(t);

    if (state == FLIGHT_FAILED || v.refused) {
        return FLIGHT_FAILED;
    }
    if (!v.proved) {
        /* Nobody asks its source any more: it has to be asked for the proof. */
        return state == FLIGHT_LANDED ? FLIGHT_FAILED : FLIGHT_OPENING;
    }
    if (state == FLIGHT_READY && atomic_load(&f->stopping)) {
        return FLIGHT_OPENING;
    }
    if (state == FLIGHT_READY && !ready_counts(atomic_load(&f->size), atomic_load(&f->landed))) {
        return FLIGHT_OPENING;
    }
    return state;
}

enum flight_state flight_poll(struct flight_ticket *t)
{
    enum flight_state state = flight_look(t);

    if (state == FLIGHT_LANDED || state == FLIGHT_FAILED) {
        return state;
    }
    bell_wait(&t->flight->bell, t->loop, &t->waiter);
    return flight_look(t);
}

uint64_t flight_size(const struct flight_ticket *t)
{
    return atomic_load(&t->flight->size);
}

uint64_t flight_left(const struct flight_ticket *t)
{
    uint64_t size = atomic_load(&t->flight->size);
    uint64_t landed = atomic_load(&t->flight->landed);

    return landed == 0 || size == UINT64_MAX || landed > size ? UINT64_MAX : size - landed;
}

void flight_error(const struct flight_ticket *t, struct err *ret)
{
    struct flight *f = t->flight;
    bool own;

    pthread_mutex_lock(&f->lock);
    own = t->source != NULL && t->source->ended && t->source->err.code != ERR_NONE;
    *ret = own ? t->source->err : f->err;
    pthread_mutex_unlock(&f->lock);
    if (ret->code == ERR_NONE) {
        err_set(ret, ERR_UPSTREAM_PROTOCOL, "the blob has not the size that was told");
    }
}

bool flight_may_rejoin(const struct flight_ticket *t)
{
    struct flight *f = t->flight;
    bool asked;

    pthread_mutex_lock(&f->lock);
    asked = t->source != NULL && t->source->ended;
    pthread_mutex_unlock(&f->lock);
    return !asked || atomic_load(&f->rejoin);
}

bool flight_is_passing(const struct flight_ticket *t)
{
    return flight_in_window(t->flight);
}

bool flight_is_local(const struct flight_ticket *t)
{
    return atomic_load(&t->flight->local);
}

/* --- reading ------------------------------------------------------------------------------- */

bool flight_read_begin(struct flight_ticket *t, uint64_t offset, uint64_t told)
{
    struct flight *f = t->flight;
    bool there;

    t->told = told;
    pthread_mutex_lock(&f->lock);
    there = offset >= f->punched;
    if (there) {
        atomic_store(&t->offset, offset);
        t->reading = true;
    }
    pthread_mutex_unlock(&f->lock);
    return there;
}

/* What is known of a flight at one moment, taken once so that its parts fit together. */
struct flight_moment {
    enum flight_state state;
    uint64_t landed;
    uint64_t size;
};

/* Bytes from 0 that may be sent: never the last ones of what has not been verified, be they the
 * last of the blob, of what the client was told, or of what has come. */
static uint64_t flight_limit(const struct flight_ticket *t, const struct flight_moment *m)
{
    uint64_t whole = m->size != UINT64_MAX ? m->size : t->told;
    uint64_t limit = m->landed;

    if (m->state == FLIGHT_LANDED) {
        return m->size;
    }
    if (m->state != FLIGHT_READY || !ready_counts(m->size, m->landed)) {
        return 0;
    }
    if (m->size == UINT64_MAX) {
        limit -= HOLD_BACK;
    }
    if (whole != UINT64_MAX) {
        uint64_t most = whole > HOLD_BACK ? whole - HOLD_BACK : 0;

        limit = limit < most ? limit : most;
    }
    return limit;
}

/* Whether the client was told another size than the blob has. */
static bool told_wrong(const struct flight_ticket *t, const struct flight_moment *m)
{
    return t->told != UINT64_MAX && m->size != UINT64_MAX && t->told != m->size;
}

static void flight_view_at(struct flight *f, uint64_t offset, uint64_t limit,
                           struct flight_view *ret)
{
    uint64_t switch_at = atomic_load(&f->switch_at);

    ret->memory = offset >= switch_at;
    ret->fd = ret->memory ? f->memory_fd : f->fd;
    ret->offset = offset;
    ret->len = (!ret->memory && limit > switch_at ? switch_at : limit) - offset;
}

static enum flight_bytes flight_look_bytes(struct flight_ticket *t, struct flight_view *ret)
{
    struct flight *f = t->flight;
    uint64_t offset = atomic_load_explicit(&t->offset, memory_order_relaxed);
    struct ticket_view v = ticket_look(t);
    struct flight_moment m;
    uint64_t limit;
    bool over;

    m.state = atomic_load(&f->state);
    m.landed = atomic_load(&f->landed);
    m.size = atomic_load(&f->size);
    over = m.state == FLIGHT_LANDED;
    if (m.state == FLIGHT_FAILED || told_wrong(t, &m)) {
        return FLIGHT_BROKEN;
    }
    if (!v.proved) {
        return over || v.refused ? FLIGHT_BROKEN : FLIGHT_WAIT;
    }
    limit = flight_limit(t, &m);
    if (offset >= limit) {
        return over ? FLIGHT_END : FLIGHT_WAIT;
    }
    flight_view_at(f, offset, limit, ret);
    return FLIGHT_BYTES;
}

enum flight_bytes flight_readable(struct flight_ticket *t, struct flight_view *ret)
{
    enum flight_bytes bytes = flight_look_bytes(t, ret);

    if (bytes != FLIGHT_WAIT) {
        return bytes;
    }
    bell_wait(&t->flight->bell, t->loop, &t->waiter);
    bytes = flight_look_bytes(t, ret);
    if (bytes != FLIGHT_WAIT) {
        bell_leave(&t->waiter);
    } else {
        count(readers_parked);
    }
    return bytes;
}

void flight_advance(struct flight_ticket *t, uint64_t n)
{
    atomic_fetch_add(&t->offset, n);
    if (flight_in_window(t->flight)) {
        flight_nudge(t->flight);
    }
}
