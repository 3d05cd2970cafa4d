/*
 * store/claim.h - whose the file of a digest in ingest/ is.
 *
 * At most one ingest of a digest writes the file that bears its name and that a later one may
 * take up; others write files of their own. The sweep of ingest/ claims, too, before it removes.
 */
#ifndef STORE_CLAIM_H
#define STORE_CLAIM_H

#include "oci/digest.h"

struct claims;
struct claim;

struct claims *claims_new(void);
void claims_free(struct claims *c);
/* Ends them all: whoever had one is never heard of again. */
void claims_clear(struct claims *c);

/* NULL: another has it. Any thread. */
struct claim *claim_take(struct claims *c, const struct digest *d);
/* NULL is accepted. */
void claim_drop(struct claims *c, struct claim *claim);

#endif
