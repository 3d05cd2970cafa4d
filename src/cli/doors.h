/*
 * cli/doors.h - the addresses of a configuration, bound, each with its role and its TLS keys.
 *
 * Main thread.
 */
#ifndef CLI_DOORS_H
#define CLI_DOORS_H

#include "cli/config.h"
#include "cli/take_over.h"
#include "http/server.h"
#include "net/listen.h"

/* Owner: the engine. The connections' listeners point into `all`. */
struct doors {
    struct http_listener *all; /* the configured ones, then the control socket */
    unsigned n;
    const char **images; /* where images are served: of those for clients, each as it is bound */
    unsigned n_images;
};

/* Binds them, or takes the sockets of the process before (`from`; NULL: there was none) or those
 * that the service manager handed over; the control socket lies in the data directory, whose path
 * is absolute. `alone`: that one only. 0, or -1 with *err; doors_fini() after either. */
int doors_init(struct doors *d, const struct config *config, bool alone, struct inheritance *from,
               struct listeners *ls, struct err *err) MUST_CHECK;
/* Once no connection is left. */
void doors_fini(struct doors *d);

/* As engine_renew_keys(). */
void doors_renew_keys(const struct doors *d, bool force);

#endif
