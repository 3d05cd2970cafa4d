/* fake_fetch.h - the rest of fake_upstream.h: what upstream/fetch.h offers. */
#ifndef FAKE_FETCH_H
#define FAKE_FETCH_H

static inline void fetch_decide(struct fetch *f, uint64_t from)
{
    struct fake_reply *r = &f->reply;
    uint64_t total = r->no_length ? UINT64_MAX : r->size;

    if (r->fail == ERR_NONE && from > 0 && !r->no_range && (r->bad_range || from >= r->size)) {
        r->fail = ERR_RANGE;
    }
    if (r->fail != ERR_NONE) {
        err_set(&f->err, r->fail, "%s says %s", f->route->repo, err_name(r->fail));
        f->err.retry_after = r->retry_after;
        f->state = FETCH_FAILED;
        return;
    }
    f->at = r->no_range ? 0 : from;
    f->answer = (struct fetch_answer){
        .status = f->at > 0 ? 206 : 200, .total = total, .from = f->at, .length = total};
    if (total != UINT64_MAX) {
        f->answer.length = total - f->at;
    }
    f->answer.has_digest = r->digest != NULL;
    if (r->digest != NULL) {
        f->answer.digest = *r->digest;
    }
    snprintf(f->answer.media_type, sizeof(f->answer.media_type), "%s", r->media ? r->media : "");
    snprintf(f->answer.link_next, sizeof(f->answer.link_next), "%s", r->link ? r->link : "");
    f->state = FETCH_READY;
}

struct fetch *fetch_new(const struct fetch_question *q, struct loop *l, struct task *waker)
{
    struct fetch *f = xnew(struct fetch);

    f->waker = waker;
    f->loop = l;
    f->head = q->head;
    for (unsigned i = 0; i < net.n; i++) {
        struct fake_route *r = net.routes[i];

        if (r->upstream == q->upstream && strcmp(r->repo, q->repo) == 0 && r->kind == q->kind &&
            r->head == q->head) {
            f->route = r;
        }
    }
    assert(f->route != NULL && f->route->n > 0);
    f->reply = f->route->replies[f->route->asked < f->route->n ? f->route->asked : f->route->n - 1];
    f->route->from[f->route->asked % 32] = q->from;
    f->route->asked++;
    snprintf(f->route->reference, sizeof(f->route->reference), "%s", q->reference);
    list_append(&net.live, &f->node);
    net.n_live++;
    fetch_decide(f, q->from);
    if (!f->reply.hold) {
        loop_defer(l, waker);
    }
    return f;
}

/* Lets what the route's fetches hold back come, up to `gate` bytes of the blob. */
static inline void upstream_open(struct fake_route *r, uint64_t gate)
{
    list_each(it, &net.live) {
        struct fetch *f = container_of(it, struct fetch, node);

        if (f->route == r) {
            f->reply.hold = false;
            f->reply.gate = gate;
            loop_defer(f->loop, f->waker);
        }
    }
}

enum fetch_state fetch_poll(struct fetch *f, struct err *err)
{
    if (f->reply.hold) {
        return FETCH_NOT_YET;
    }
    if (f->state == FETCH_FAILED) {
        *err = f->err;
    }
    return f->state;
}

const struct fetch_answer *fetch_answer(const struct fetch *f)
{
    return &f->answer;
}

bool fetch_is_slow(struct fetch *f, bool *ret_other)
{
    bool slow = f->since != 0 && loop_now(f->loop) - f->since >= limits.upstream_stall;

    *ret_other = slow && f->reply.other;
    return slow;
}

void fetch_rest(struct fetch *f)
{
    f->since = 0;
}

ssize_t fetch_read(struct fetch *f, void *p, size_t n, struct err *err)
{
    const struct fake_reply *r = &f->reply;
    uint64_t left = r->size - f->at;

    assert(f->state == FETCH_READY && n > 0);
    if (f->head || left == 0) {
        return 0;
    }
    if (r->cut > 0 && f->sent == r->cut) {
        err_set(err, ERR_UPSTREAM_DOWN, "the body broke off");
        return r->clean ? 0 : STREAM_FAILED;
    }
    left = r->cut > 0 && left > r->cut - f->sent ? r->cut - f->sent : left;
    if (r->gate > 0) {
        uint64_t open = r->gate > f->at ? r->gate - f->at : 0;

        left = left < open ? left : open;
    }
    if (left == 0) {
        f->since = f->since == 0 ? loop_now(f->loop) : f->since;
        return STREAM_AGAIN;
    }
    n = n < 100000 ? n : 100000; /* as sockets do: in odd pieces */
    n = n < left ? n : (size_t)left;
    memcpy(p, (const char *)r->body + f->at, n);
    f->at += n;
    f->sent += n;
    f->since = 0;
    return (ssize_t)n;
}

void fetch_free(struct fetch *f)
{
    if (f != NULL) {
        list_remove(&f->node);
        net.n_live--;
        free(f);
    }
}

#endif
