/*
 * store/check.h - whether what the index says is so; for tests.
 */
#ifndef STORE_CHECK_H
#define STORE_CHECK_H

#include "store/store.h"

/* Every blob of the index has a file of its size, and hashes to its name where the record vouches
 * for it; members and holders, refs and parents belong together; bodies have blobs; partial files
 * are as long as their records say; the sums are right. With `quiet`, nothing else may be at work:
 * then, too, no file is left that the index does not know and nothing is reserved. -1: *err says
 * what is wrong first. Reads every byte of the store. */
int store_check(struct store *s, bool quiet, struct err *err) MUST_CHECK;

#endif
