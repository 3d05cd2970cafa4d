/* cache/flight_source.c - where a flight can get its bytes, and in what order they are tried. */
#include "cache/flight_steps.h"

#include <stdlib.h>

struct flight_source *flight_source_add(struct flight *f, const struct flight_question *q)
{
    struct flight_source *s;

    list_each(it, &f->sources) {
        s = container_of(it, struct flight_source, node);
        if (strcmp(s->repo.text, q->repo->text) == 0) {
            s->proved = s->proved || q->proved;
            s->answered = s->answered || q->answered;
            return s;
        }
    }
    s = xnew(struct flight_source);
    cache_repo_copy(&s->repo, q->repo);
    s->kind = q->kind;
    s->proved = q->proved;
    s->answered = q->answered;
    list_append(&f->sources, &s->node);
    return s;
}

struct flight_source *flight_source_next(struct flight *f)
{
    struct flight_source *best = NULL;

    pthread_mutex_lock(&f->lock);
    list_each(it, &f->sources) {
        struct flight_source *s = container_of(it, struct flight_source, node);

        if (!s->ended && (best == NULL || s->fails < best->fails)) {
            best = s;
        }
    }
    pthread_mutex_unlock(&f->lock);
    return best;
}

void flight_source_end(struct flight *f, struct flight_source *s, const struct err *err)
{
    pthread_mutex_lock(&f->lock);
    s->ended = true;
    s->err = *err;
    pthread_mutex_unlock(&f->lock);
    bell_ring(&f->bell);
}

void flight_source_prove(struct flight *f, struct flight_source *s)
{
    pthread_mutex_lock(&f->lock);
    s->proved = true;
    s->answered = true;
    pthread_mutex_unlock(&f->lock);
}

/* What helps the client most: an upstream that may answer later before one that has nothing. */
static int err_weight(const struct err *e)
{
    switch (e->code) {
    case ERR_NONE:
        return 0;
    case ERR_BLOB_UNKNOWN:
    case ERR_UPSTREAM_REFUSED:
        return 1;
    default:
        return 2;
    }
}

void flight_sources_error(struct flight *f, struct err *ret)
{
    struct err worst = {0};

    pthread_mutex_lock(&f->lock);
    list_each(it, &f->sources) {
        struct flight_source *s = container_of(it, struct flight_source, node);

        if (err_weight(&s->err) > err_weight(&worst)) {
            worst = s->err;
        }
    }
    pthread_mutex_unlock(&f->lock);
    if (worst.code == ERR_NONE) {
        err_set(&worst, ERR_BLOB_UNKNOWN, "no upstream has the blob");
    }
    *ret = worst;
}
