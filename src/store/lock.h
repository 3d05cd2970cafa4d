/*
 * store/lock.h - the data directory and the lock that keeps it to one server.
 */
#ifndef STORE_LOCK_H
#define STORE_LOCK_H

#include "store/inner.h"

/* Makes the data directory where there is none, opens it and takes its lock: fills dir_fd and
 * lock_fd. The lock goes with its descriptor. -1 with ERR_IN_USE: another process has it. */
int lock_take(struct store *s, struct err *err) MUST_CHECK;

/* Lets another process take it, and takes it again. -1 with ERR_IN_USE: one has it. */
void lock_release(struct store *s);
int lock_retake(struct store *s, struct err *err) MUST_CHECK;

/* Says in one line what is wrong with `what` within the data directory ("": itself), why, and what
 * to do. Returns -1. */
int lock_dir_error(const struct store *s, const char *what, int error, struct err *err);

#endif
