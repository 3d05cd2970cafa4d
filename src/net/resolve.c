/*
 * net/resolve.c - getaddrinfo on a pool, and the table of what it said.
 *
 * One lock guards the table and all its names; it is held for a look and never while resolving. A
 * name counts its rounds of asking, so that a waiter knows whether the answer is to its question.
 */
#include "net/resolve.h"

#include "base/clock.h"
#include "base/fault.h"
#include "base/limits.h"
#include "base/map.h"
#include "loop/pool.h"

#include <assert.h>
#include <netdb.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* Owner: the table. Guarded by its lock but for `host`, and for `job` and `answer`, which are the
 * pool's while `asking`. Invariant: stays while asking or refs > 0. */
struct resolver_name {
    struct map_node node;
    struct list used; /* in the table's order of use */
    struct resolver *resolver;
    struct bell bell;
    unsigned refs;
    bool asking;
    uint64_t asked;    /* rounds begun */
    uint64_t failed;   /* the last round that failed; 0: none */
    char reason[96];   /* of that */
    uint64_t found_ms; /* when `found` was true; 0: never */
    struct addresses found;
    struct job job;
    struct addresses answer;
    int error;
    char host[];
};

struct resolver {
    struct pool *pool;
    pthread_mutex_t lock;
    struct map names;
    struct list used; /* least recently first */
};

struct resolver *resolver_new(unsigned threads)
{
    struct resolver *r = xnew(struct resolver);

    r->pool = pool_new("names", threads);
    pthread_mutex_init(&r->lock, NULL);
    map_init(&r->names);
    list_init(&r->used);
    return r;
}

static void name_free(struct resolver_name *n)
{
    map_remove(&n->resolver->names, &n->node);
    list_remove(&n->used);
    bell_fini(&n->bell);
    free(n);
}

void resolver_free(struct resolver *r)
{
    struct list *node;

    if (r == NULL) {
        return;
    }
    pool_free(r->pool);
    while ((node = r->used.next) != &r->used) {
        name_free(container_of(node, struct resolver_name, used));
    }
    map_fini(&r->names);
    pthread_mutex_destroy(&r->lock);
    free(r);
}

void addresses_interleave(struct addresses *a)
{
    struct addresses out = {0};
    bool taken[RESOLVE_MAX] = {false};
    uint8_t want = a->n > 0 ? a->all[0].size : 4;

    while (out.n < a->n) {
        unsigned first = RESOLVE_MAX;
        unsigned match = RESOLVE_MAX;

        for (unsigned i = 0; i < a->n; i++) {
            if (taken[i]) {
                continue;
            }
            first = first == RESOLVE_MAX ? i : first;
            match = match == RESOLVE_MAX && a->all[i].size == want ? i : match;
        }
        match = match == RESOLVE_MAX ? first : match;
        taken[match] = true;
        out.all[out.n++] = a->all[match];
        want = a->all[match].size == 4 ? 16 : 4;
    }
    *a = out;
}

/* --- resolving ----------------------------------------------------------------------------- */

static void add_address(struct addresses *to, const struct sockaddr *sa)
{
    struct address a;

    if (to->n == RESOLVE_MAX || !address_from_sockaddr(sa, &a)) {
        return;
    }
    for (unsigned i = 0; i < to->n; i++) {
        if (address_in(&to->all[i], &a, a.size * 8u)) {
            return;
        }
    }
    to->all[to->n++] = a;
}

static void name_run(struct job *j)
{
    struct resolver_name *n = container_of(j, struct resolver_name, job);
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct addrinfo *list = NULL;

    n->answer.n = 0;
    n->error = fault_at("resolve.lookup") ? EAI_AGAIN : getaddrinfo(n->host, NULL, &hints, &list);
    if (n->error != 0) {
        return;
    }
    for (struct addrinfo *i = list; i != NULL; i = i->ai_next) {
        add_address(&n->answer, i->ai_addr);
    }
    freeaddrinfo(list);
    addresses_interleave(&n->answer);
    if (n->answer.n == 0) {
        n->error = EAI_NONAME;
    }
}

/* On the pool's thread. */
static void name_done(struct job *j)
{
    struct resolver_name *n = container_of(j, struct resolver_name, job);
    struct resolver *r = n->resolver;

    pthread_mutex_lock(&r->lock);
    n->asking = false;
    if (n->error == 0) {
        n->found = n->answer;
        n->found_ms = clock_mono_ms();
    } else {
        n->failed = n->asked;
        snprintf(n->reason, sizeof(n->reason), "%s", gai_strerror(n->error));
    }
    bell_ring(&n->bell);
    pthread_mutex_unlock(&r->lock);
}

static void name_ask(struct resolver_name *n)
{
    n->asking = true;
    n->asked++;
    pool_submit(n->resolver->pool, NULL, &n->job, name_run, name_done);
}

/* --- the table ----------------------------------------------------------------------------- */

static bool same_host(const struct map_node *node, const void *key)
{
    return strcmp(container_of_const(node, struct resolver_name, node)->host, key) == 0;
}

/* Makes room for one more; false where all are in use. */
static bool table_trim(struct resolver *r)
{
    if (r->names.count < RESOLVE_NAMES_MAX) {
        return true;
    }
    list_each(node, &r->used) {
        struct resolver_name *n = container_of(node, struct resolver_name, used);

        if (n->refs == 0 && !n->asking) {
            name_free(n);
            return true;
        }
    }
    return false;
}

/* The name's place in the table, with a reference; NULL where there is no room. */
static struct resolver_name *table_get(struct resolver *r, const char *host)
{
    uint64_t hash = map_hash(host, strlen(host));
    struct map_node *node = map_find(&r->names, hash, same_host, host);
    struct resolver_name *n;

    if (node != NULL) {
        n = container_of(node, struct resolver_name, node);
        list_remove(&n->used);
    } else {
        if (!table_trim(r)) {
            return NULL;
        }
        n = xcalloc(1, sizeof(*n) + strlen(host) + 1);
        memcpy(n->host, host, strlen(host) + 1);
        n->resolver = r;
        bell_init(&n->bell);
        list_init(&n->used);
        map_insert(&r->names, hash, &n->node);
    }
    list_append(&r->used, &n->used);
    n->refs++;
    return n;
}

/* --- questions ----------------------------------------------------------------------------- */

static void lookup_wake(struct waiter *w)
{
    struct lookup *l = container_of(w, struct lookup, waiter);

    loop_defer(l->loop, l->waker);
}

static void lookup_late(struct timer *t)
{
    struct lookup *l = container_of(t, struct lookup, timer);

    l->late = true;
    loop_defer(l->loop, l->waker);
}

/* RFC 6761 6.3; also where there is no /etc/hosts. */
static bool is_localhost(const char *host)
{
    size_t n = strlen(host);

    return strcasecmp(host, "localhost") == 0 ||
           (n > 10 && strcasecmp(host + n - 10, ".localhost") == 0);
}

static bool answer_at_once(const char *host, struct addresses *ret)
{
    if (address_parse(host, &ret->all[0])) {
        ret->n = 1;
        return true;
    }
    if (is_localhost(host)) {
        ret->n = 2;
        return address_parse("127.0.0.1", &ret->all[0]) && address_parse("::1", &ret->all[1]);
    }
    return false;
}

static bool younger(const struct resolver_name *n, uint64_t ms)
{
    return n->found_ms != 0 && clock_mono_ms() - n->found_ms < ms;
}

void lookup_start(struct lookup *l, struct resolver *r, struct loop *loop, const char *host,
                  struct task *waker)
{
    *l = (struct lookup){.resolver = r, .loop = loop, .waker = waker, .started = true};
    waiter_init(&l->waiter, lookup_wake);
    timer_init(&l->timer, loop, lookup_late);
    if (answer_at_once(host, &l->found)) {
        return;
    }
    pthread_mutex_lock(&r->lock);
    l->name = table_get(r, host);
    if (l->name != NULL && !younger(l->name, limits.names_fresh)) {
        if (!l->name->asking) {
            name_ask(l->name);
        }
        l->round = l->name->asked;
    }
    pthread_mutex_unlock(&r->lock);
    timer_set(&l->timer, limits.connect);
}

/* Under the lock: what is known of the name by now. */
static enum lookup_state look(struct lookup *l, struct addresses *ret, struct err *err)
{
    struct resolver_name *n = l->name;
    bool answered = l->round == 0 || n->asked > l->round || !n->asking;

    if (!answered && !l->late) {
        bell_wait(&n->bell, l->loop, &l->waiter);
        return LOOKUP_NOT_YET;
    }
    if (younger(n, answered && n->failed < l->round ? UINT64_MAX : limits.names_stale)) {
        *ret = n->found;
        return LOOKUP_DONE;
    }
    if (answered) {
        err_set(err, ERR_UPSTREAM_DOWN, "cannot resolve %s: %s", n->host, n->reason);
    } else {
        err_set(err, ERR_TIMEOUT, "cannot resolve %s: no answer within %llu ms", n->host,
                (unsigned long long)limits.connect);
    }
    return LOOKUP_FAILED;
}

enum lookup_state lookup_poll(struct lookup *l, struct addresses *ret, struct err *err)
{
    enum lookup_state state;

    assert(l->started);
    if (l->found.n > 0) {
        *ret = l->found;
        return LOOKUP_DONE;
    }
    if (l->name == NULL) {
        err_set(err, ERR_UPSTREAM_DOWN, "too many names are being resolved");
        return LOOKUP_FAILED;
    }
    pthread_mutex_lock(&l->resolver->lock);
    state = look(l, ret, err);
    pthread_mutex_unlock(&l->resolver->lock);
    return state;
}

void lookup_end(struct lookup *l)
{
    if (!l->started) {
        return;
    }
    l->started = false;
    timer_fini(&l->timer);
    bell_leave(&l->waiter);
    if (l->name == NULL) {
        return;
    }
    pthread_mutex_lock(&l->resolver->lock);
    l->name->refs--;
    pthread_mutex_unlock(&l->resolver->lock);
    l->name = NULL;
}
