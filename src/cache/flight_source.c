/* cache/flight_source.c - where a flight can get its bytes, and in what order they are tried. */
#include "cache/flight_steps.h"
#include "oci/manifest.h"

#include <stdlib.h>

/* Slow ones are left so often and no more: where all are slow, one of them has to come to its end,
 * and where no range is answered each begins anew. */
#define SLOW_MAX 4
#define SOURCES_MAX 64 /* of one flight: proved ones come from pulls under way, so they are few */

static struct flight_source *source_find(struct flight *f, const struct cache_repo *repo)
{
    list_each(it, &f->sources) {
        struct flight_source *s = container_of(it, struct flight_source, node);

        if (strcmp(s->repo.text, repo->text) == 0) {
            return s;
        }
    }
    return NULL;
}

/* Whether a manifest's word suffices for the bytes of this flight: they came without a credential,
 * or with the one that this repository is read with. They are somebody's secret else, which a
 * manifest that anybody may have written cannot open (member.c has the same rule for what is in the
 * store). */
static bool is_open_to(struct flight *f, const struct cache_repo *repo)
{
    uint64_t credential = upstream_credential(repo->upstream, repo->name);

    list_each(it, &f->sources) {
        const struct flight_source *s = container_of(it, struct flight_source, node);
        uint64_t other = upstream_credential(s->repo.upstream, s->repo.name);

        if (s->answered && (other == 0 || other == credential)) {
            return true;
        }
    }
    return false;
}

struct flight_source *flight_source_join(struct flight *f, const struct flight_question *q,
                                         bool made, bool *ret_proved)
{
    bool proved = q->proved && (!q->listed || is_open_to(f, q->repo));
    struct flight_source *s = source_find(f, q->repo);

    if (s == NULL && (made || proved) && f->n_sources < SOURCES_MAX) {
        s = xnew(struct flight_source);
        cache_repo_copy(&s->repo, q->repo);
        upstream_hold(s->repo.upstream);
        s->kind = q->kind;
        list_append(&f->sources, &s->node);
        f->n_sources++;
    }
    if (s != NULL) {
        s->proved = s->proved || proved;
        s->claimed = s->claimed || q->proved;
        proved = s->proved;
    }
    *ret_proved = proved;
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

static bool has_other(struct flight *f)
{
    bool has = false;

    pthread_mutex_lock(&f->lock);
    list_each(it, &f->sources) {
        struct flight_source *s = container_of(it, struct flight_source, node);

        has = has || (s != f->source && !s->ended && s->fails == 0);
    }
    pthread_mutex_unlock(&f->lock);
    return has;
}

bool flight_source_is_slow(struct flight *f, struct err *err)
{
    bool other;

    if (f->slow == SLOW_MAX || !fetch_is_slow(f->fetch, &other) || !(other || has_other(f))) {
        return false; /* what is slow is better than nothing */
    }
    f->slow++;
    err_set(err, ERR_TIMEOUT, "less than %u bytes a second come, and there is another source",
            LEAST_RATE);
    return true;
}

void flight_source_end(struct flight *f, struct flight_source *s, const struct err *err)
{
    pthread_mutex_lock(&f->lock);
    s->ended = true;
    s->err = *err;
    pthread_mutex_unlock(&f->lock);
    bell_ring(&f->bell);
}

void flight_source_answered(struct flight *f, struct flight_source *s)
{
    pthread_mutex_lock(&f->lock);
    s->proved = true;
    s->answered = true;
    pthread_mutex_unlock(&f->lock);
    bell_ring(&f->bell);
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

enum blob_class flight_source_class(const struct flight_source *s)
{
    switch (s->kind) {
    case CHILD_LAYER:
        return BLOB_LAYER;
    case CHILD_CONFIG:
        return BLOB_CONFIG;
    default:
        return BLOB_OTHER;
    }
}
