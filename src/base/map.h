/*
 * base/map.h - a hash map of nodes that live inside other structs.
 *
 * The caller hashes and compares; the map owns only its table. Not locked: one owner or a lock of
 * the caller's.
 */
#ifndef BASE_MAP_H
#define BASE_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct map_node {
    struct map_node *next;
    uint64_t hash;
};

struct map {
    struct map_node **buckets;
    size_t n_buckets;
    size_t count;
};

void map_init(struct map *m);
/* Frees the table; the nodes are their owners'. */
void map_fini(struct map *m);

/* The first node with this hash for which same(node, key) holds; NULL where there is none. */
struct map_node *map_find(const struct map *m, uint64_t hash,
                          bool (*same)(const struct map_node *, const void *key), const void *key);
void map_insert(struct map *m, uint64_t hash, struct map_node *node);
/* `node` must be in the map. */
void map_remove(struct map *m, struct map_node *node);
/* Calls f for each node; f may not change the map. */
void map_each(const struct map *m, void (*f)(struct map_node *, void *), void *arg);

/* A hash of bytes, seeded anew in each process so that no peer can choose collisions. */
uint64_t map_hash(const void *p, size_t n);

#endif
