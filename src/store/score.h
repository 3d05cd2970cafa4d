/*
 * store/score.h - how dear a blob is, for eviction. Pure.
 */
#ifndef STORE_SCORE_H
#define STORE_SCORE_H

#include <stdint.h>

/* Blobs that are drawn at random for each that goes; of those the dearest does. */
#define SCORE_SAMPLE 16

/* The higher, the sooner it goes: the logarithm of age * size^1/4 / uses^1/2 in units of 1/65536,
 * where uses count half after a week; `age` is seconds since the last one. */
int64_t evict_score(int64_t age, uint64_t size, uint32_t hits);

#endif
