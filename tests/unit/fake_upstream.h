/*
 * fake_upstream.h - upstreams that answer by a script, in place of upstream/fetch.
 *
 * A route is (upstream, repository, kind, HEAD or not); its replies are given in turn, the last one
 * again and again. What they hold back is given when the test opens it.
 */
#ifndef FAKE_UPSTREAM_H
#define FAKE_UPSTREAM_H

#include "fake_loop.h"
#include "net/stream.h"
#include "upstream/fetch.h"

#include <stdlib.h>

struct upstream {
    const char *name;
    uint64_t credential;
    const char *secret; /* how names begin that the credential is for; NULL: all */
};

const char *upstream_name(const struct upstream *u)
{
    return u->name;
}

void upstream_hold(struct upstream *u)
{
    (void)u;
}

void upstream_release(struct upstream *u)
{
    (void)u;
}

bool upstream_is_short(const struct upstream *u, uint64_t now_ms)
{
    (void)u;
    (void)now_ms;
    return false;
}

uint64_t upstream_credential(const struct upstream *u, const char *repo)
{
    bool all = u->secret == NULL || strncmp(repo, u->secret, strlen(u->secret)) == 0;

    return all ? u->credential : 0;
}

#define REPLIES_MAX 8
#define ALL UINT64_MAX

struct fake_reply {
    enum err_code fail; /* ERR_NONE: it answers */
    unsigned retry_after;
    const void *body;
    uint64_t size;
    uint64_t cut;   /* the connection breaks after so many bytes of this reply; 0: never */
    bool clean;     /* … and that is told as the end of the body */
    bool no_range;  /* ranges are ignored */
    bool bad_range; /* ranges are answered with another one */
    bool no_length; /* chunked */
    bool hold;      /* nothing comes before upstream_open() */
    uint64_t gate;  /* bytes of the blob beyond this come with upstream_open(); 0: none are held */
    bool other;     /* another endpoint is well: it is left where it is slow */
    const char *media;           /* Content-Type */
    const struct digest *digest; /* Docker-Content-Digest */
    const char *link;
};

struct fake_route {
    struct upstream *upstream;
    const char *repo;
    enum fetch_kind kind;
    bool head;
    struct fake_reply replies[REPLIES_MAX];
    unsigned n;
    unsigned asked;      /* how often */
    uint64_t from[32];   /* from where each time */
    char reference[160]; /* what was asked for last */
};

struct fetch {
    struct list node;
    struct fake_route *route;
    struct fake_reply reply;
    struct task *waker;
    struct loop *loop;
    enum fetch_state state;
    struct err err;
    struct fetch_answer answer;
    uint64_t at;    /* in the body */
    uint64_t sent;  /* of this reply */
    uint64_t since; /* when it began to be waited for; 0: it is not */
    bool head;
};

#define ROUTES_MAX 32

static struct {
    struct fake_route *routes[ROUTES_MAX];
    unsigned n;
    struct list live;
    unsigned n_live;
} net = {.live = {&net.live, &net.live}};

/* The route's script from now on. */
static inline void upstream_script(struct fake_route *r, const struct fake_reply *replies,
                                   unsigned n)
{
    assert(n <= REPLIES_MAX);
    memcpy(r->replies, replies, n * sizeof(*replies));
    r->n = n;
    r->asked = 0;
    for (unsigned i = 0; i < net.n; i++) {
        if (net.routes[i] == r) {
            return;
        }
    }
    assert(net.n < ROUTES_MAX);
    net.routes[net.n++] = r;
}

#include "fake_fetch.h"

#endif
