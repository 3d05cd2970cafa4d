/*
 * registry/access.h - may this request be answered at all? Before anything is looked up.
 *
 * Without access rules: everything on loopback and Unix sockets; on other listeners only what needs
 * no credential of ours, and pushes where the listener says so. Mirrored names take no writes.
 * With access rules, these alone decide on listeners of role registry.
 */
#ifndef REGISTRY_ACCESS_H
#define REGISTRY_ACCESS_H

#include "registry/request.h"

/* 0, or -1 with ERR_DENIED, ERR_UNAUTHORIZED (a user may), ERR_UNSUPPORTED and a text that says
 * what would be right. */
int access_check(const struct request *q, struct err *err);

/* Whether this client may read that repository, of `u` or a hosted one (NULL), and push to the
 * hosted one that it asks about. */
bool access_may_read(const struct request *q, const char *repository, const struct upstream *u);
bool access_may_push(const struct request *q);
/* To whom an upload belongs: its user, else whose certificate it was, else "". */
const char *access_owner(const struct request *q);

/* Whether a listener ("127.0.0.1:5000", "[::1]:5000", "unix:/path") can be reached from this
 * machine only. Pure. */
bool access_is_local(const char *listener);

#endif
