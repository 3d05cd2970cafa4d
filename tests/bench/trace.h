/*
 * trace.h - a made-up history of pulls, the same for the same seed.
 *
 * 3,000 repositories (Zipf 0.85) are built anew before every other pull, each version on one of 60
 * shared bases with new layers of its own; 300 machines keep what they pulled, three in ten pulls
 * come from runners that keep nothing. Sizes are log-normal: about 64 % of the layers are below
 * 1 MB, 86 % below 10 MB.
 */
#ifndef TRACE_H
#define TRACE_H

#include <stdint.h>

#define TRACE_SECONDS_A_PULL 4

struct trace_layer {
    uint64_t size;
    unsigned gets;
};

struct trace_get {
    unsigned layer;
    unsigned pull; /* that it belongs to; grows */
};

/* Owner: trace.c; it stays until the end of the program. */
struct trace {
    struct trace_layer *layers;
    unsigned n_layers;
    struct trace_get *gets; /* in their order */
    unsigned n_gets;
};

/* One a program. */
const struct trace *trace_make(uint64_t seed, unsigned pulls);

/* Bytes of the layers that were asked for; says what they are like as the members of a JSON object,
 * to standard output. */
uint64_t trace_describe(const struct trace *t);

#endif
