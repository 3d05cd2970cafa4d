/* flight_client.h - the rest of flight_fixture.h: what a client does. */
#ifndef FLIGHT_CLIENT_H
#define FLIGHT_CLIENT_H

static inline void repo_of(const struct fake_route *r, struct cache_repo *ret)
{
    char text[CACHE_REPO_TEXT];

    snprintf(text, sizeof(text), "%s/%s", r->upstream->name, r->repo);
    cache_repo_set(ret, r->upstream, text);
}

static inline void client_wake(struct waiter *w)
{
    struct client *c = container_of(w, struct client, ticket.waiter);

    c->wakes++;
    loop_defer(c->loop, &c->task);
}

/* Takes what it may have now; looks at each byte. */
static inline void client_read(struct client *c, const struct flight_view *v, uint64_t n)
{
    static unsigned char got[BLOB_MAX + 1];
    const struct flight *f = c->ticket.flight;
    uint64_t size = atomic_load(&f->size);
    uint64_t end = size != UINT64_MAX ? size : atomic_load(&f->landed);

    if (atomic_load(&f->state) != FLIGHT_LANDED) {
        bool early = v->offset + v->len + HOLD_BACK > end ||
                     (c->told != ALL && v->offset + v->len + HOLD_BACK > c->told);

        c->too_soon += early;
    }
    if (file_pread_all(v->fd, got, n, v->offset) != (ssize_t)n ||
        memcmp(got, blob + v->offset, n) != 0) {
        c->wrong++;
    }
    c->n += n;
    flight_advance(&c->ticket, n);
}

static inline void client_pump(struct client *c)
{
    uint64_t budget = c->speed;
    struct flight_view view;

    while (c->state == READS && budget > 0) {
        uint64_t n;

        switch (flight_readable(&c->ticket, &view)) {
        case FLIGHT_BYTES:
            n = view.len < budget ? view.len : budget;
            client_read(c, &view, n);
            budget -= budget == ALL ? 0 : n;
            break;
        case FLIGHT_WAIT:
            return;
        case FLIGHT_END:
            c->state = DONE;
            break;
        case FLIGHT_BROKEN:
            flight_error(&c->ticket, &c->err);
            c->state = CUT;
            break;
        }
    }
}

static inline void client_begin(struct client *c, uint64_t told)
{
    c->told = told;
    c->state = flight_read_begin(&c->ticket, c->from, told) ? READS : REFUSED;
}

static inline void client_run(struct task *t)
{
    struct client *c = container_of(t, struct client, task);

    if (c->state == WAITS && flight_needs_proof(&c->ticket)) {
        c->state = UNPROVED;
    }
    if (c->state == WAITS) {
        switch (flight_poll(&c->ticket)) {
        case FLIGHT_OPENING:
            if (flight_needs_proof(&c->ticket)) {
                c->state = UNPROVED;
            }
            break;
        case FLIGHT_READY:
        case FLIGHT_LANDED:
            client_begin(c, flight_size(&c->ticket));
            break;
        case FLIGHT_FAILED:
            c->may_rejoin = flight_may_rejoin(&c->ticket);
            flight_error(&c->ticket, &c->err);
            c->state = REFUSED;
            break;
        }
    }
    client_pump(c);
}

/* What a client asks beside the digest: `q` needs but what differs from an unproved request. */
static inline void client_join(struct client *c, struct loop *l, const struct fake_route *r,
                               struct flight_question q)
{
    struct cache_repo repo;

    repo_of(r, &repo);
    *c = (struct client){.loop = l, .speed = ALL, .told = ALL, .from = q.offset};
    task_init(&c->task, client_run);
    q.digest = blob_digest;
    q.repo = &repo;
    q.size = q.size == 0 ? UINT64_MAX : q.size;
    q.kind = CHILD_LAYER;
    flight_join(cache, l, &q, &c->ticket, client_wake);
    loop_defer(l, &c->task);
}

static inline void client_leave(struct client *c)
{
    task_cancel(&c->task);
    flight_leave(&c->ticket);
}

#endif
