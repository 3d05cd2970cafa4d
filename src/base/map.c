/* base/map.c - chained hash map; doubles when full. */
#include "base/map.h"

#include "base/mem.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define BUCKETS_MIN 16

void map_init(struct map *m)
{
    m->n_buckets = BUCKETS_MIN;
    m->buckets = xcalloc(m->n_buckets, sizeof(*m->buckets));
    m->count = 0;
}

void map_fini(struct map *m)
{
    free(m->buckets);
    *m = (struct map){0};
}

static struct map_node **map_bucket(const struct map *m, uint64_t hash)
{
    return &m->buckets[hash & (m->n_buckets - 1)];
}

struct map_node *map_find(const struct map *m, uint64_t hash,
                          bool (*same)(const struct map_node *, const void *key), const void *key)
{
    for (struct map_node *n = *map_bucket(m, hash); n != NULL; n = n->next) {
        if (n->hash == hash && same(n, key)) {
            return n;
        }
    }
    return NULL;
}

static void map_grow(struct map *m)
{
    struct map_node **old = m->buckets;
    size_t n_old = m->n_buckets;

    m->n_buckets *= 2;
    m->buckets = xcalloc(m->n_buckets, sizeof(*m->buckets));
    for (size_t i = 0; i < n_old; i++) {
        while (old[i] != NULL) {
            struct map_node *n = old[i];
            struct map_node **bucket = map_bucket(m, n->hash);

            old[i] = n->next;
            n->next = *bucket;
            *bucket = n;
        }
    }
    free(old);
}

void map_insert(struct map *m, uint64_t hash, struct map_node *node)
{
    struct map_node **bucket;

    if (m->count >= m->n_buckets) {
        map_grow(m);
    }
    bucket = map_bucket(m, hash);
    node->hash = hash;
    node->next = *bucket;
    *bucket = node;
    m->count++;
}

void map_remove(struct map *m, struct map_node *node)
{
    struct map_node **link = map_bucket(m, node->hash);

    while (*link != node) {
        assert(*link != NULL);
        link = &(*link)->next;
    }
    *link = node->next;
    node->next = NULL;
    m->count--;
}

void map_each(const struct map *m, void (*f)(struct map_node *, void *), void *arg)
{
    for (size_t i = 0; i < m->n_buckets; i++) {
        for (struct map_node *n = m->buckets[i]; n != NULL; n = n->next) {
            f(n, arg);
        }
    }
}

static uint64_t hash_seed;

static void hash_seed_read(void)
{
    if (getrandom(&hash_seed, sizeof(hash_seed), 0) != (ssize_t)sizeof(hash_seed)) {
        hash_seed = (uint64_t)(uintptr_t)&hash_seed;
    }
}

/* Mixes 8 bytes at a time by multiply and fold; the seed keeps it from being predictable. */
static uint64_t hash_mix(uint64_t a, uint64_t b)
{
    __uint128_t r = (__uint128_t)(a ^ 0x9e3779b97f4a7c15u) * (b ^ 0xd6e8feb86659fd93u);

    return (uint64_t)r ^ (uint64_t)(r >> 64);
}

uint64_t map_hash(const void *p, size_t n)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    const unsigned char *bytes = p;
    uint64_t h;
    uint64_t word;

    pthread_once(&once, hash_seed_read);
    h = hash_seed ^ n;
    for (; n >= 8; n -= 8, bytes += 8) {
        memcpy(&word, bytes, 8);
        h = hash_mix(h ^ word, hash_seed);
    }
    word = 0;
    memcpy(&word, bytes, n);
    return hash_mix(h ^ word, hash_seed + 1);
}
