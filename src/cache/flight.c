/* cache/flight.c - what a request sees of a flight: its state, and the bytes that may be sent. */
#include "cache/flight.h"

#include "base/counter.h"
#include "cache/flight_steps.h"

void flight_publish(struct flight *f, enum flight_state state)
{
    atomic_store(&f->state, state);
    bell_ring(&f->bell);
}

/* Whether the ticket's own source said no; a proof given before stands. */
static bool ticket_refused(const struct flight_ticket *t)
{
    bool refused;

    pthread_mutex_lock(&t->flight->lock);
    refused = t->source->ended && !t->source->proved;
    pthread_mutex_unlock(&t->flight->lock);
    return refused;
}

static bool ticket_proved(const struct flight_ticket *t)
{
    bool proved;

    pthread_mutex_lock(&t->flight->lock);
    proved = t->source->proved;
    pthread_mutex_unlock(&t->flight->lock);
    return proved;
}

/* Bytes that come by an upstream's credential are no other upstream's to give away on a manifest's
 * word. Only from READY on is it known whose they are. */
static bool ticket_is_stranger(const struct flight_ticket *t)
{
    struct flight *f = t->flight;
    enum flight_state state = atomic_load(&f->state);
    bool answered;

    if ((state != FLIGHT_READY && state != FLIGHT_LANDED) || f->private_to == NULL ||
        f->private_to == t->source->repo.upstream) {
        return false;
    }
    pthread_mutex_lock(&f->lock);
    answered = t->source->answered;
    pthread_mutex_unlock(&f->lock);
    return !answered;
}

bool flight_needs_proof(const struct flight_ticket *t)
{
    bool needs;

    pthread_mutex_lock(&t->flight->lock);
    needs = t->joined && !t->source->proved && t->flight->sources.next != &t->source->node;
    pthread_mutex_unlock(&t->flight->lock);
    return needs || ticket_is_stranger(t);
}

/* A small blob is answered after the verdict: then a bad one is a clean error. */
static bool ready_counts(struct flight *f)
{
    uint64_t size = atomic_load(&f->size);

    return size == UINT64_MAX ? atomic_load(&f->landed) > SMALL_BLOB : size > SMALL_BLOB;
}

static enum flight_state flight_look(struct flight_ticket *t)
{
    struct flight *f = t->flight;
    enum flight_state state = atomic_load(&f->state);

    if (state == FLIGHT_FAILED || (state == FLIGHT_OPENING && ticket_refused(t))) {
        return FLIGHT_FAILED;
    }
    if (state == FLIGHT_OPENING || (state == FLIGHT_READY && atomic_load(&f->stopping))) {
        return FLIGHT_OPENING;
    }
    if (ticket_is_stranger(t)) {
        return FLIGHT_FAILED;
    }
    if (!ticket_proved(t)) {
        return ticket_refused(t) ? FLIGHT_FAILED : FLIGHT_OPENING;
    }
    if (state == FLIGHT_READY && !ready_counts(f)) {
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

void flight_error(const struct flight_ticket *t, struct err *ret)
{
    struct flight *f = t->flight;

    pthread_mutex_lock(&f->lock);
    *ret = t->source->ended && t->source->err.code != ERR_NONE ? t->source->err : f->err;
    pthread_mutex_unlock(&f->lock);
}

bool flight_may_rejoin(const struct flight_ticket *t)
{
    return atomic_load(&t->flight->rejoin);
}

bool flight_is_passing(const struct flight_ticket *t)
{
    return flight_in_window(t->flight);
}

/* --- reading ------------------------------------------------------------------------------- */

bool flight_read_begin(struct flight_ticket *t, uint64_t offset)
{
    struct flight *f = t->flight;
    bool there;

    atomic_store(&t->offset, offset);
    pthread_mutex_lock(&f->lock);
    there = offset >= f->punched;
    if (there && !t->reading) {
        list_append(&f->readers, &t->node);
        t->reading = true;
    }
    pthread_mutex_unlock(&f->lock);
    return there;
}

/* Bytes from 0 that may be sent: never the last ones of what has not been verified. */
static uint64_t flight_limit(struct flight *f)
{
    bool verified = atomic_load(&f->state) == FLIGHT_LANDED;
    uint64_t landed = atomic_load(&f->landed);
    uint64_t size = atomic_load(&f->size);

    if (verified) {
        return size;
    }
    if (!ready_counts(f)) {
        return 0;
    }
    if (size != UINT64_MAX) {
        return landed < size - HOLD_BACK ? landed : size - HOLD_BACK;
    }
    return landed - HOLD_BACK;
}

static enum flight_bytes flight_look_bytes(struct flight_ticket *t, struct flight_view *ret)
{
    struct flight *f = t->flight;
    uint64_t offset = atomic_load_explicit(&t->offset, memory_order_relaxed);
    uint64_t limit = flight_limit(f);
    uint64_t switch_at;

    if (atomic_load(&f->state) == FLIGHT_FAILED) {
        return FLIGHT_BROKEN;
    }
    if (offset >= limit) {
        return atomic_load(&f->state) == FLIGHT_LANDED ? FLIGHT_END : FLIGHT_WAIT;
    }
    switch_at = atomic_load(&f->switch_at);
    ret->memory = offset >= switch_at;
    ret->fd = ret->memory ? f->memory_fd : f->fd;
    ret->offset = offset;
    ret->len = limit - offset;
    if (!ret->memory && limit > switch_at) {
        ret->len = switch_at - offset;
    }
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
