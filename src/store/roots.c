/* store/roots.c - from a manifest upwards, breadth first, until a root is found or none is left. */
#include "store/roots.h"

#include "oci/manifest.h"
#include "store/record.h"

#include <stdlib.h>

/* What is remembered between questions; then it is forgotten. */
#define KNOWN_MAX 50000

enum fate { FATE_OPEN, FATE_HELD, FATE_FREE };

/* One manifest that was visited. Owner: the map. */
struct known {
    struct map_node node;
    struct list in_queue;
    struct digest digest;
    struct known *from; /* what it refers to, by which it was reached; NULL: it was asked for */
    enum fate fate;
};

static bool same(const struct map_node *node, const void *key)
{
    return digest_equal(&container_of_const(node, struct known, node)->digest, key);
}

static void collect(struct map_node *node, void *arg)
{
    list_append(arg, &container_of(node, struct known, node)->in_queue);
}

static void forget(struct roots *r)
{
    struct list all;
    struct list *node;

    list_init(&all);
    map_each(&r->known, collect, &all);
    map_fini(&r->known);
    map_init(&r->known);
    while ((node = list_pop(&all)) != NULL) {
        free(container_of(node, struct known, in_queue));
    }
}

void roots_init(struct roots *r, const struct judge *judge, struct leases *leases)
{
    *r = (struct roots){.judge = judge, .leases = leases};
    map_init(&r->known);
    list_init(&r->queue);
}

void roots_fini(struct roots *r)
{
    forget(r);
    map_fini(&r->known);
}

/* --- one manifest -------------------------------------------------------------------------- */

static bool is_root(const struct roots *r, const struct digest *d, const struct member_record *m)
{
    if (judge_is_tagged(r->judge, r->repo, d)) {
        return true;
    }
    return r->leases != NULL &&
           (m->proved > r->before || lease_held(r->leases, d) || judge_is_pinned(r->judge, d));
}

static bool get_manifest(const struct roots *r, const struct digest *d, struct member_record *ret)
{
    struct record_key key;
    struct slice value;

    record_key_member(&key, r->repo, d);
    return db_get(r->judge->db, DB_MEMBERS, record_key_view(&key), &value) == DB_FOUND &&
           record_get_member(value, ret) && ret->kind == CHILD_MANIFEST &&
           !gone_has(r->judge->gone, r->repo, d);
}

/* --- the way up ---------------------------------------------------------------------------- */

struct step_up {
    struct roots *roots;
    struct known *from;
    bool held;
};

/* Takes it into the question, unless it is known; whether that settles the question. */
static bool visit(struct roots *r, const struct digest *d, struct known *from)
{
    uint64_t hash = digest_hash(d);
    struct map_node *node = map_find(&r->known, hash, same, d);
    struct member_record m;
    struct known *k;

    if (node != NULL) {
        return container_of(node, struct known, node)->fate == FATE_HELD;
    }
    if (!get_manifest(r, d, &m)) {
        return false;
    }
    k = xnew(struct known);
    k->digest = *d;
    k->from = from;
    k->fate = is_root(r, d, &m) ? FATE_HELD : FATE_OPEN;
    map_insert(&r->known, hash, &k->node);
    list_init(&k->in_queue);
    if (k->fate == FATE_OPEN) {
        list_append(&r->queue, &k->in_queue);
    }
    return k->fate == FATE_HELD;
}

static bool one_parent(void *arg, struct slice key, struct slice value)
{
    struct step_up *up = arg;
    struct digest parent;

    (void)value;
    up->held = ++up->roots->visited > ROOTS_VISIT_MAX ||
               (record_second_of_pair(key, &parent) && visit(up->roots, &parent, up->from));
    return !up->held;
}

/* Goes through the queue, which keeps what was visited. The one whose holder was found, or NULL. */
static struct known *climb(struct roots *r)
{
    for (struct list *at = r->queue.next; at != &r->queue; at = at->next) {
        struct step_up up = {r, container_of(at, struct known, in_queue), false};
        struct record_key prefix;

        record_key_digest(&prefix, &up.from->digest);
        db_each(r->judge->db, DB_PARENTS, record_key_view(&prefix), SLICE_NULL, one_parent, &up);
        if (up.held) {
            return up.from;
        }
    }
    return NULL;
}

/* Where nothing holds what was asked for, nothing holds any that was visited. Where something does,
 * that is known of those on the way to it; the others are forgotten. */
static void settle(struct roots *r, struct known *held)
{
    bool any = held != NULL;
    struct list *node;

    for (; held != NULL; held = held->from) {
        held->fate = FATE_HELD;
    }
    while ((node = list_pop(&r->queue)) != NULL) {
        struct known *k = container_of(node, struct known, in_queue);

        if (!any) {
            k->fate = FATE_FREE;
        } else if (k->fate == FATE_OPEN) {
            map_remove(&r->known, &k->node);
            free(k);
        }
    }
}

bool roots_hold(struct roots *r, const struct digest *d)
{
    struct known *held;

    if (r->known.count > KNOWN_MAX) {
        forget(r);
    }
    if (visit(r, d, NULL)) {
        return true;
    }
    held = climb(r);
    settle(r, held);
    return held != NULL;
}
