/* trace.c - repositories, machines that keep what they have, and builds between their pulls. */
#include "trace.h"

#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REPOS 3000
#define BASES 60
#define NODES 300
#define LAYERS_MAX 24

/* What a repository's tag means: the layers of one build. */
struct version {
    unsigned layers[LAYERS_MAX];
    unsigned n;
    unsigned char seen[(NODES + 7) / 8]; /* by which machines */
};

/* Owner: trace_make(). */
struct history {
    struct version bases[BASES];
    struct version now[REPOS];
    struct version before[REPOS]; /* the last build */
    double weight[REPOS];         /* running sums of how often each is pulled */
};

static struct trace made;
static uint64_t random_state;

static uint64_t next_random(void)
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

    size = size < 100 ? 100 : size > 8e9 ? 8e9 : size;
    made.layers = grow(made.layers, made.n_layers, &cap, sizeof(*made.layers));
    made.layers[made.n_layers] = (struct trace_layer){.size = (uint64_t)size};
    return made.n_layers++;
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
    static unsigned cap;

    made.gets = grow(made.gets, made.n_gets, &cap, sizeof(*made.gets));
    made.gets[made.n_gets++] = (struct trace_get){layer, pull};
    made.layers[layer].gets++;
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

static void begin(struct history *h)
{
    double sum = 0;

    for (unsigned i = 0; i < BASES; i++) {
        add_layers(&h->bases[i], 2 + next_random() % 5);
    }
    for (unsigned i = 0; i < REPOS; i++) {
        sum += pow(i + 1, -0.85);
        h->weight[i] = sum;
        build(&h->now[i], &h->bases[next_random() % BASES]);
    }
}

static unsigned pick_repo(const struct history *h)
{
    double at = uniform() * h->weight[REPOS - 1];
    unsigned low = 0;
    unsigned high = REPOS - 1;

    while (low < high) {
        unsigned middle = (low + high) / 2;

        if (h->weight[middle] < at) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* The repository is built anew; now and then a base was before it. */
static void build_anew(struct history *h, unsigned repo)
{
    unsigned base = next_random() % BASES;

    if (next_random() % 40 == 0) {
        h->bases[base].n = 0;
        add_layers(&h->bases[base], 2 + next_random() % 5);
    }
    h->before[repo] = h->now[repo];
    build(&h->now[repo], &h->bases[repo % BASES]);
}

static bool has_seen(const struct version *v, unsigned node)
{
    return (v->seen[node / 8] >> node % 8 & 1) != 0;
}

/* A machine that keeps what it has asks for what it has not, another for all of it. */
static void pull_one(struct history *h, unsigned pull)
{
    unsigned repo = pick_repo(h);
    unsigned node = next_random() % NODES;
    bool keeps = next_random() % 10 >= 3;
    struct version *v = &h->now[repo];
    const struct version *before = &h->before[repo];

    if (next_random() % 2 == 0) {
        build_anew(h, repo);
    }
    if (keeps && has_seen(v, node)) {
        return;
    }
    for (unsigned i = 0; i < v->n; i++) {
        if (!keeps || !has_seen(before, node) || !has_layer(before, v->layers[i])) {
            get_layer(v->layers[i], pull);
        }
    }
    if (keeps) {
        v->seen[node / 8] |= (unsigned char)(1 << node % 8);
    }
}

const struct trace *trace_make(uint64_t seed, unsigned pulls)
{
    struct history *h = calloc(1, sizeof(*h));

    if (h == NULL) {
        exit(1);
    }
    random_state = seed * 0x9e3779b97f4a7c15u + 1;
    begin(h);
    for (unsigned pull = 0; pull < pulls; pull++) {
        pull_one(h, pull);
    }
    free(h);
    return &made;
}

/* --- what it is like ----------------------------------------------------------------------- */

static int more_gets(const void *a, const void *b)
{
    unsigned x = ((const struct trace_layer *)a)->gets;
    unsigned y = ((const struct trace_layer *)b)->gets;

    return x > y ? -1 : x < y;
}

/* Of the GETs, those of the hundredth of `n` layers that most ask for. Sorts them. */
static double top_share(struct trace_layer *layers, unsigned n, unsigned gets)
{
    double top = 0;

    qsort(layers, n, sizeof(*layers), more_gets);
    for (unsigned i = 0; i < n / 100; i++) {
        top += layers[i].gets;
    }
    return top / gets;
}

uint64_t trace_describe(const struct trace *t)
{
    struct trace_layer *asked = malloc(t->n_layers * sizeof(*asked));
    uint64_t bytes = 0;
    unsigned n = 0;
    double once = 0;
    double small = 0;
    double medium = 0;

    if (asked == NULL) {
        exit(1);
    }
    for (unsigned i = 0; i < t->n_layers; i++) {
        if (t->layers[i].gets > 0) {
            asked[n++] = t->layers[i];
            bytes += t->layers[i].size;
            once += t->layers[i].gets == 1;
            small += t->layers[i].size < 1000000;
            medium += t->layers[i].size < 10000000;
        }
    }
    printf("\"gets\":%u,\"layers\":%u,\"bytes\":%" PRIu64 ",\"once\":%.3f,\"below_1MB\":%.3f,"
           "\"below_10MB\":%.3f,\"top_1_percent\":%.3f",
           t->n_gets, n, bytes, once / n, small / n, medium / n, top_share(asked, n, t->n_gets));
    free(asked);
    return bytes;
}
