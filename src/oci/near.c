/* oci/near.c - the nearest names, by insertion into a short list. */
#include "oci/near.h"

#include <stdio.h>

/* Room for " and 18446744073709551615 more". */
#define MORE_MAX 32

static size_t distance_of(const char *a, const char *b)
{
    size_t len_a = strlen(a);
    size_t len_b = strlen(b);
    size_t less = len_a < len_b ? len_a : len_b;
    size_t front = 0;
    size_t back = 0;

    while (front < less && a[front] == b[front]) {
        front++;
    }
    while (back < less - front && a[len_a - 1 - back] == b[len_b - 1 - back]) {
        back++;
    }
    return (len_a > len_b ? len_a : len_b) - front - back;
}

static bool is_nearer(const struct near_name *one, size_t distance, const char *name)
{
    return distance != one->distance ? distance < one->distance : strcmp(name, one->name) < 0;
}

void near_init(struct near *n, const char *wanted)
{
    *n = (struct near){.wanted = wanted};
}

void near_add(struct near *n, const char *name)
{
    size_t distance = distance_of(n->wanted, name);
    size_t at = n->n;

    n->all++;
    while (at > 0 && is_nearer(&n->names[at - 1], distance, name)) {
        at--;
    }
    if (at == NEAR_MAX) {
        return;
    }
    n->n += n->n < NEAR_MAX ? 1 : 0;
    memmove(&n->names[at + 1], &n->names[at], (n->n - 1 - at) * sizeof(n->names[0]));
    n->names[at].distance = distance;
    snprintf(n->names[at].name, sizeof(n->names[at].name), "%s", name);
}

void near_write(const struct near *n, char *out, size_t size)
{
    size_t used = 0;
    size_t told = 0;

    out[0] = '\0';
    for (; told < n->n; told++) {
        size_t room = told + 1 < n->all ? MORE_MAX : 0;
        size_t need = strlen(n->names[told].name) + 2;

        if (used + need + room >= size) {
            break;
        }
        used += (size_t)snprintf(out + used, size - used, "%s%s", told == 0 ? "" : ", ",
                                 n->names[told].name);
    }
    if (told > 0 && told < n->all) {
        snprintf(out + used, size - used, " and %zu more", n->all - told);
    }
}
