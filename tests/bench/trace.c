/*
 * trace.c - what the score of src/store/score.c keeps, beside LRU, of a made-up history of pulls.
 *
 *     trace SEED PULLS
 *
 * 3,000 repositories (Zipf 0.85) are built anew before every other pull, each version on one of 60
 * shared bases with new layers of its own; 300 machines keep what they pulled, three in ten pulls
 * come from runners that keep nothing. Sizes are log-normal: about 64 % of the layers are below
 * 1 MB, 86 % below 10 MB.
 * Each policy holds 1, 3 and 10 % of the bytes of all layers, and counts after the first quarter.
 * Prints one JSON object.
 */
#include "../../src/store/score.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REPOS 3000
#define BASES 60
#define NODES 300
#define LAYERS_MAX 24
#define SECONDS_A_PULL 4

struct version {
    unsigned layers[LAYERS_MAX];
    unsigned n;
    unsigned char seen[(NODES + 7) / 8]; /* by which machines */
};

struct layer {
    unsigned long long size;
    unsigned gets;
};

static unsigned long long random_state;
static struct layer *layers;
static unsigned n_layers;
static unsigned *trace;    /* layers in the order of their GETs */
static unsigned *trace_at; /* the pull that each belongs to, for the time */
static unsigned n_trace;
static unsigned cap_trace;

static unsigned long long next_random(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

static double uniform(void)
{
    return (double)(next_random() >> 11) / 9007199254740992.0;
}

static double normal(void)
{
    return sqrt(-2 * log(1 - uniform())) * cos(6.283185307179586 * uniform());
}

static void *grow(void *list, unsigned n, unsigned *cap, size_t size)
{
    if (n < *cap) {
        return list;
    }
    *cap = *cap == 0 ? 1024 : 2 * *cap;
    list = realloc(list, *cap * size);
    if (list == NULL) {
        exit(1);
    }
    return list;
}

static unsigned new_layer(void)
{
    static unsigned cap;
    double size = exp(12.67 + 3.19 * normal());

    layers = grow(layers, n_layers, &cap, sizeof(*layers));
    layers[n_layers] = (struct layer){.size = size < 100   ? 100
                                              : size > 8e9 ? 8000000000
                                                           : (unsigned long long)size};
    return n_layers++;
}

static void add_layers(struct version *v, unsigned n)
{
    while (n-- > 0 && v->n < LAYERS_MAX) {
        v->layers[v->n++] = new_layer();
    }
}

/* --- history ------------------------------------------------------------------------------- */

static void get_layer(unsigned layer, unsigned pull)
{
    unsigned cap = cap_trace;

    trace = grow(trace, n_trace, &cap_trace, sizeof(*trace));
    trace_at = grow(trace_at, n_trace, &cap, sizeof(*trace_at));
    trace[n_trace] = layer;
    trace_at[n_trace++] = pull;
    layers[layer].gets++;
}

static bool has_layer(const struct version *v, unsigned layer)
{
    for (unsigned i = 0; i < v->n; i++) {
        if (v->layers[i] == layer) {
            return true;
        }
    }
    return false;
}

/* A build: the base as it is now, and new layers on it. */
static void build(struct version *v, const struct version *base)
{
    *v = *base;
    memset(v->seen, 0, sizeof(v->seen));
    add_layers(v, 1 + next_random() % 5);
}

static void make_history(unsigned pulls)
{
    struct version *bases = calloc(BASES, sizeof(*bases));
    struct version *now = calloc(REPOS, sizeof(*now));
    struct version *before = calloc(REPOS, sizeof(*before));
    double *weight = calloc(REPOS, sizeof(*weight));
    double sum = 0;

    for (unsigned i = 0; i < BASES; i++) {
        add_layers(&bases[i], 2 + next_random() % 5);
    }
    for (unsigned i = 0; i < REPOS; i++) {
        sum += pow(i + 1, -0.85);
        weight[i] = sum;
        build(&now[i], &bases[next_random() % BASES]);
    }
    for (unsigned pull = 0; pull < pulls; pull++) {
        double at = uniform() * sum;
        unsigned low = 0;
        unsigned high = REPOS - 1;
        unsigned node = next_random() % NODES;
        bool keeps = next_random() % 10 >= 3;
        struct version *v;

        while (low < high) {
            unsigned middle = (low + high) / 2;

            if (weight[middle] < at) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        v = &now[low];
        if (next_random() % 2 == 0) { /* it was built anew */
            unsigned base = next_random() % BASES;

            if (next_random() % 40 == 0) {
                bases[base].n = 0;
                add_layers(&bases[base], 2 + next_random() % 5);
            }
            before[low] = *v;
            build(v, &bases[low % BASES]);
        }
        if (keeps && (v->seen[node / 8] >> node % 8 & 1) != 0) {
            continue;
        }
        for (unsigned i = 0; i < v->n; i++) {
            /* A machine that has the version before has what did not change. */
            bool had = keeps && (before[low].seen[node / 8] >> node % 8 & 1) != 0 &&
                       has_layer(&before[low], v->layers[i]);

            if (!had) {
                get_layer(v->layers[i], pull);
            }
        }
        if (keeps) {
            v->seen[node / 8] |= (unsigned char)(1 << node % 8);
        }
    }
    free(bases);
    free(now);
    free(before);
    free(weight);
}

/* --- caches -------------------------------------------------------------------------------- */

struct result {
    double objects;
    double bytes;
};

struct cache {
    unsigned long long room;
    unsigned long long held;
    bool *here;
    unsigned *all; /* those that are here, in no order */
    unsigned *place;
    unsigned n;
    unsigned *used; /* pull of the last use */
    unsigned *hits;
    unsigned *next; /* of LRU: a ring through n_layers */
    unsigned *before;
};

static void unlink_one(struct cache *c, unsigned i)
{
    c->next[c->before[i]] = c->next[i];
    c->before[c->next[i]] = c->before[i];
}

static void link_last(struct cache *c, unsigned i)
{
    unsigned end = n_layers;

    c->before[i] = c->before[end];
    c->next[i] = end;
    c->next[c->before[end]] = i;
    c->before[end] = i;
}

static unsigned victim(const struct cache *c, bool lru, unsigned now)
{
    unsigned best = c->all[0];
    int64_t best_score = INT64_MIN;

    if (lru) {
        return c->next[n_layers];
    }
    for (int k = 0; k < SCORE_SAMPLE; k++) {
        unsigned i = c->all[next_random() % c->n];
        int64_t score =
            evict_score((int64_t)(now - c->used[i]) * SECONDS_A_PULL, layers[i].size, c->hits[i]);

        if (score > best_score) {
            best = i;
            best_score = score;
        }
    }
    return best;
}

static void drop(struct cache *c, unsigned i)
{
    c->here[i] = false;
    c->held -= layers[i].size;
    c->all[c->place[i]] = c->all[--c->n];
    c->place[c->all[c->n]] = c->place[i];
    unlink_one(c, i);
}

static void take(struct cache *c, unsigned i, bool lru, unsigned now)
{
    if (layers[i].size > c->room) {
        return;
    }
    while (c->held + layers[i].size > c->room) {
        drop(c, victim(c, lru, now));
    }
    c->here[i] = true;
    c->held += layers[i].size;
    c->hits[i] = 0;
    c->place[i] = c->n;
    c->all[c->n++] = i;
    link_last(c, i);
}

static struct result run(unsigned long long room, bool lru)
{
    struct cache c = {.room = room};
    double objects = 0;
    double bytes = 0;
    double hit_objects = 0;
    double hit_bytes = 0;

    c.here = calloc(n_layers, sizeof(*c.here));
    c.all = calloc(n_layers, sizeof(*c.all));
    c.place = calloc(n_layers, sizeof(*c.place));
    c.used = calloc(n_layers, sizeof(*c.used));
    c.hits = calloc(n_layers, sizeof(*c.hits));
    c.next = calloc(n_layers + 1, sizeof(*c.next));
    c.before = calloc(n_layers + 1, sizeof(*c.before));
    c.next[n_layers] = n_layers;
    c.before[n_layers] = n_layers;
    for (unsigned t = 0; t < n_trace; t++) {
        unsigned i = trace[t];
        bool counts = t >= n_trace / 4;

        objects += counts;
        bytes += counts ? (double)layers[i].size : 0;
        if (c.here[i]) {
            hit_objects += counts;
            hit_bytes += counts ? (double)layers[i].size : 0;
            c.hits[i]++;
            unlink_one(&c, i);
            link_last(&c, i);
        } else {
            take(&c, i, lru, trace_at[t]);
        }
        c.used[i] = trace_at[t];
    }
    free(c.here);
    free(c.all);
    free(c.place);
    free(c.used);
    free(c.hits);
    free(c.next);
    free(c.before);
    return (struct result){hit_objects / objects, hit_bytes / bytes};
}

/* --- what it is like ----------------------------------------------------------------------- */

static int more_gets(const void *a, const void *b)
{
    unsigned x = ((const struct layer *)a)->gets;
    unsigned y = ((const struct layer *)b)->gets;

    return x > y ? -1 : x < y;
}

static void describe(unsigned long long *ret_bytes)
{
    struct layer *sorted = malloc(n_layers * sizeof(*sorted));
    unsigned long long bytes = 0;
    unsigned asked = 0;
    unsigned once = 0;
    unsigned small = 0;
    unsigned medium = 0;
    double top = 0;

    for (unsigned i = 0; i < n_layers; i++) {
        if (layers[i].gets > 0) {
            sorted[asked++] = layers[i];
            bytes += layers[i].size;
            once += layers[i].gets == 1;
            small += layers[i].size < 1000000;
            medium += layers[i].size < 10000000;
        }
    }
    qsort(sorted, asked, sizeof(*sorted), more_gets);
    for (unsigned i = 0; i < asked / 100; i++) {
        top += sorted[i].gets;
    }
    printf("{\"gets\":%u,\"layers\":%u,\"bytes\":%llu,\"once\":%.3f,\"below_1MB\":%.3f,"
           "\"below_10MB\":%.3f,\"top_1_percent\":%.3f",
           n_trace, asked, bytes, (double)once / asked, (double)small / asked,
           (double)medium / asked, top / n_trace);
    free(sorted);
    *ret_bytes = bytes;
}

int main(int argc, char **argv)
{
    static const unsigned PERCENT[] = {1, 3, 10};
    unsigned long long bytes;

    if (argc != 3) {
        fprintf(stderr, "usage: trace SEED PULLS\n");
        return 2;
    }
    random_state = strtoull(argv[1], NULL, 10) * 0x9e3779b97f4a7c15u + 1;
    make_history((unsigned)strtoul(argv[2], NULL, 10));
    describe(&bytes);
    for (size_t i = 0; i < sizeof(PERCENT) / sizeof(PERCENT[0]); i++) {
        struct result lru = run(bytes / 100 * PERCENT[i], true);
        struct result own = run(bytes / 100 * PERCENT[i], false);

        printf(",\"%u\":{\"lru\":[%.4f,%.4f],\"larder\":[%.4f,%.4f]}", PERCENT[i], lru.objects,
               lru.bytes, own.objects, own.bytes);
    }
    puts("}");
    return 0;
}
