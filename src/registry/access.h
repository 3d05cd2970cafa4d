/*
 * registry/access.h - may this request be answered at all? Before anything is looked up.
 *
 * Without access rules: everything on loopback and Unix sockets; on other listeners only what needs
 * no credential of ours. Mirrored names take no writes.
 */
#ifndef REGISTRY_ACCESS_H
#define REGISTRY_ACCESS_H

#include "registry/request.h"

/* 0, or -1 with ERR_DENIED, ERR_UNSUPPORTED, ERR_NAME_UNKNOWN and a text that says what would be
 * right. */
int access_check(const struct request *q, struct err *err);

/* Whether a listener ("127.0.0.1:5000", "[::1]:5000", "unix:/path") can be reached from this
 * machine only. Pure. */
bool access_is_local(const char *listener);

#endif
