/* store/score.c - age, size and uses, as one number. */
#include "store/score.h"

/* Old uses count half after so long. */
#define HITS_HALVE_S (7 * 86400)

/* The logarithm to base 2 in units of 1/65536, straight between powers of two. */
static int64_t log2_of(uint64_t n)
{
    int bit = 63 - __builtin_clzll(n);
    uint64_t fraction = bit == 0 ? 0 : n << (64 - bit) >> 48;

    return ((int64_t)bit << 16) + (int64_t)fraction;
}

int64_t evict_score(int64_t age, uint64_t size, uint32_t hits)
{
    int64_t uses = log2_of((uint64_t)hits + 1);

    age = age < 1 ? 1 : age;
    uses -= (age << 16) / HITS_HALVE_S;
    uses = uses < 0 ? 0 : uses;
    return log2_of((uint64_t)age) + log2_of(size < 1 ? 1 : size) / 4 - uses / 2;
}
