/* bundle/seen.c - an open table of words. */
#include "bundle/seen.h"

#include <stdlib.h>

#define SLOTS_FIRST 1024

void seen_init(struct seen *s)
{
    *s = (struct seen){.slots = xcalloc(SLOTS_FIRST, sizeof(*s->slots)), .n_slots = SLOTS_FIRST};
}

void seen_fini(struct seen *s)
{
    free(s->slots);
    *s = (struct seen){0};
}

/* Where the word is, or belongs. */
static uint64_t *slot_of(const struct seen *s, uint64_t word)
{
    size_t i = (size_t)word & (s->n_slots - 1);

    while (s->slots[i] != 0 && s->slots[i] != word) {
        i = (i + 1) & (s->n_slots - 1);
    }
    return &s->slots[i];
}

static void grow(struct seen *s)
{
    struct seen more = {.n_slots = 2 * s->n_slots, .count = s->count};

    more.slots = xcalloc(more.n_slots, sizeof(*more.slots));
    for (size_t i = 0; i < s->n_slots; i++) {
        if (s->slots[i] != 0) {
            *slot_of(&more, s->slots[i]) = s->slots[i];
        }
    }
    free(s->slots);
    *s = more;
}

static uint64_t word_of(const struct digest *d)
{
    uint64_t word;

    memcpy(&word, d->bytes, sizeof(word));
    return (word ^ d->alg) | (uint64_t)1 << 63; /* never 0 */
}

bool seen_has(const struct seen *s, const struct digest *d)
{
    return *slot_of(s, word_of(d)) != 0;
}

enum seen_answer seen_add(struct seen *s, const struct digest *d)
{
    uint64_t word = word_of(d);
    uint64_t *slot = slot_of(s, word);

    if (*slot != 0) {
        return SEEN_BEFORE;
    }
    if (s->count == SEEN_MAX) {
        return SEEN_FULL;
    }
    *slot = word;
    s->count++;
    if (s->count > s->n_slots - s->n_slots / 8) {
        grow(s);
    }
    return SEEN_NEW;
}
