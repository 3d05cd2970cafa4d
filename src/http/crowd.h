/*
 * http/crowd.h - how many connections there are, in all and from each address.
 *
 * So that nobody takes all of them from the others. One a server, shared by all loops under one
 * lock, which is held for a lookup.
 */
#ifndef HTTP_CROWD_H
#define HTTP_CROWD_H

#include "base/str.h"

struct crowd;

/* At most `all` connections, and `each` from one address. */
struct crowd *crowd_new(unsigned all, unsigned each);
void crowd_free(struct crowd *c);

/* Whether one more may come from there; it is counted then, until crowd_leave(). Sockets without an
 * address ("unix") may always and are not counted: by them the operator comes. */
bool crowd_enter(struct crowd *c, const char *address) MUST_CHECK;
void crowd_leave(struct crowd *c, const char *address);

#endif
