/* test_store_roots.c - what holds manifests that refer to each other, in graphs of all shapes. */
#include "store_blobs.h"
#include "tap.h"

#include "../../src/store/roots.c"

#include "store/hosted.h"
#include "store/inner.h"

#define NODES 24u
#define NOW 1000000

static struct err err;
static struct store *s;
static uint32_t seed = 1;

struct graph {
    unsigned n_edges;
    bool edge[NODES][NODES]; /* parent, child */
    bool member[NODES];
    bool root[NODES];
    bool held[NODES]; /* as found from above */
    uint64_t repo;
    unsigned round;
};

static unsigned some(unsigned n)
{
    seed = seed * 1664525u + 1013904223u;
    return (seed >> 8) % n;
}

static struct digest digest_of(const struct graph *g, unsigned n)
{
    return nth_digest(g->round * NODES + n, 10);
}

/* Roots are young, tagged or pinned, in turns. */
static void put_node(struct index_txn *t, const struct graph *g, unsigned n)
{
    struct digest d = digest_of(g, n);
    struct member_record m = {.size = 10, .proof = PROOF_PUSHED, .kind = CHILD_MANIFEST};
    bool pinned = g->root[n] && n % 3 == 2;

    m.proved = g->root[n] && n % 3 == 0 ? NOW + 1 : NOW;
    index_put_blob(t, &d, &(struct blob_record){.size = 10, .synced = true, .pinned = pinned});
    if (g->member[n]) {
        index_put_member(t, g->repo, &d, &m);
    }
    if (g->root[n] && n % 3 == 1) {
        hosted_put_tag(t, g->repo, "tag", &d);
    }
    for (unsigned child = 0; child < NODES; child++) {
        struct digest c = digest_of(g, child);

        if (g->edge[n][child]) {
            index_put_ref(t, &d, &c, some(2) == 0 ? CHILD_MANIFEST : CHILD_REFERRER, 10);
        }
    }
}

static void hold(struct graph *g, unsigned n)
{
    if (!g->member[n] || g->held[n]) {
        return;
    }
    g->held[n] = true;
    for (unsigned child = 0; child < NODES; child++) {
        if (g->edge[n][child]) {
            hold(g, child);
        }
    }
}

/* Asked in any order, some of them twice; what is free may be removed meanwhile. */
static void ask_all(struct index_txn *t, const struct graph *g)
{
    struct judge judge = {t->db, NULL};
    struct roots r;
    unsigned wrong = 0;

    roots_init(&r, &judge, s->leases);
    r.repo = g->repo;
    r.before = NOW;
    for (unsigned i = 0; i < 2 * NODES; i++) {
        unsigned n = i < NODES ? (i * 7 + g->round) % NODES : some(NODES);
        struct digest d = digest_of(g, n);
        struct member_record m;
        bool there = index_txn_get_member(t, g->repo, &d, &m) == INDEX_FOUND;
        bool held = there && roots_hold(&r, &d);

        wrong += held != g->held[n];
        if (there && !held && some(2) == 0) {
            index_del_member(t, g->repo, &d);
        }
    }
    CHECK_INT(wrong, 0);
    roots_fini(&r);
}

static void one_graph(struct index_txn *t, void *arg)
{
    struct graph *g = arg;

    g->repo = index_put_repo(t, REPO_HOSTED, "stage/a");
    for (unsigned n = 0; n < NODES; n++) {
        put_node(t, g, n);
    }
    ask_all(t, g);
}

static void test_graphs(void)
{
    for (unsigned round = 0; round < 300; round++) {
        struct graph g = {.round = round, .n_edges = some(2 * NODES)};

        for (unsigned n = 0; n < NODES; n++) {
            g.member[n] = some(10) > 0;
            g.root[n] = g.member[n] && some(8) == 0;
        }
        for (unsigned i = 0; i < g.n_edges; i++) {
            g.edge[some(NODES)][some(NODES)] = true;
        }
        for (unsigned n = 0; n < NODES; n++) {
            if (g.root[n]) {
                hold(&g, n);
            }
        }
        CHECK_INT(change(s, one_graph, &g, &err), 0);
    }
}

struct crowd {
    uint64_t repo;
    unsigned n;
};

/* One child of many that nothing holds. */
static void put_crowd(struct index_txn *t, void *arg)
{
    struct crowd *c = arg;
    struct member_record m = {.size = 10, .proof = PROOF_PUSHED, .kind = CHILD_MANIFEST};
    struct digest child = nth_digest(1000000, 10);

    m.proved = NOW;
    c->repo = index_put_repo(t, REPO_HOSTED, "stage/b");
    index_put_member(t, c->repo, &child, &m);
    for (unsigned i = 1; i <= c->n; i++) {
        struct digest parent = nth_digest(1000000 + i, 10);

        index_put_member(t, c->repo, &parent, &m);
        index_put_ref(t, &parent, &child, CHILD_MANIFEST, 10);
    }
}

static void ask_crowd(struct index_txn *t, void *arg)
{
    struct crowd *c = arg;
    struct judge judge = {t->db, NULL};
    struct digest child = nth_digest(1000000, 10);
    struct digest parent = nth_digest(1000001, 10);
    struct roots r;

    roots_init(&r, &judge, s->leases);
    r.repo = c->repo;
    r.before = NOW;
    CHECK_INT(roots_hold(&r, &child), c->n > ROOTS_VISIT_MAX);
    r.visited = 0;
    CHECK(!roots_hold(&r, &parent));
    roots_fini(&r);
}

/* More than may be visited counts as held: it goes once those have gone. */
static void test_bound(void)
{
    struct crowd c = {.n = ROOTS_VISIT_MAX};

    CHECK_INT(change(s, put_crowd, &c, &err), 0);
    CHECK_INT(change(s, ask_crowd, &c, &err), 0);
    c.n++;
    CHECK_INT(change(s, put_crowd, &c, &err), 0);
    CHECK_INT(change(s, ask_crowd, &c, &err), 0);
}

int main(void)
{
    struct store_options options;

    store_dir_new();
    options = store_dir_options();
    s = store_open(&options, &err);
    CHECK(s != NULL);
    test_graphs();
    test_bound();
    store_close(s);
    store_dir_join_pool();
    return tap_done();
}
