/*
 * net/supervisor.h - what a service manager hands over and is told: listening sockets
 * (sd_listen_fds(3)) and the state of the service (sd_notify(3)), by their protocols alone.
 *
 * Sockets come as descriptors 3 and up, where LISTEN_PID is this process. One that is bound to an
 * address of `listen` is used in place of a new one; connections that were made before the program
 * ran wait in it. Main thread, before any other starts, but for supervisor_tell().
 */
#ifndef NET_SUPERVISOR_H
#define NET_SUPERVISOR_H

#include "base/err.h"

#define SUPERVISOR_SOCKETS_MAX 32

/* Owner: whoever binds addresses. */
struct supervisor {
    int fds[SUPERVISOR_SOCKETS_MAX]; /* -1: taken */
    unsigned n;
};

/* Takes what was handed over, and makes sure that no child process believes it is its own. -1 with
 * ERR_CONFIG: too many, or one that is no listening stream socket. */
int supervisor_receive(struct supervisor *s, struct err *err) MUST_CHECK;
/* The socket that is bound to the address, which is the caller's to close, or -1: there is none.
 * "127.0.0.1:5000", "[::1]:5000", "unix:/path". */
int supervisor_take(struct supervisor *s, const char *address);
/* Once all addresses are bound: -1 with ERR_CONFIG where sockets are left that nobody asked for. */
int supervisor_done(struct supervisor *s, struct err *err) MUST_CHECK;

/* Tells the service manager, where one listens: "READY=1", "STOPPING=1". Any thread. */
void supervisor_tell(const char *state);

#endif
