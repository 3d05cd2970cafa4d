/*
 * oci/near.h - the names that are most like one that is not there. Pure; any thread.
 *
 * Names differ by as many characters as remain of the longer one without what both begin with and
 * what both end with: what one slip of the keyboard, or another version, makes of a name is near.
 */
#ifndef OCI_NEAR_H
#define OCI_NEAR_H

#include "base/str.h"
#include "oci/name.h"

/* Most names that are kept. */
#define NEAR_MAX 8

struct near_name {
    char name[TAG_MAX_LEN + 1];
    size_t distance;
};

/* Owner: the caller. A value. */
struct near {
    const char *wanted; /* borrowed */
    size_t n;           /* in `names`, the nearest first, then by byte order */
    size_t all;         /* that were added */
    struct near_name names[NEAR_MAX];
};

void near_init(struct near *n, const char *wanted);
void near_add(struct near *n, const char *name);
/* "a, b and 3 more", as far as `size` bytes have room for whole names; "" for none. */
void near_write(const struct near *n, char *out, size_t size);

#endif
