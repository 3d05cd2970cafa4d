/*
 * cli/take_over.h - this process takes the place of a server that runs: its sockets, its data
 * directory, and what only its memory knew.
 *
 *     take_over -> inheritance_take... -> inheritance_ready   the one before accepts no more
 *               -> inheritance_free                           … or goes on as if nothing had been
 *
 * Over the control socket: POST /-/take-over, 101, then the length of a JSON text (admin/handed.h),
 * with the sockets, and the text. Main thread.
 */
#ifndef CLI_TAKE_OVER_H
#define CLI_TAKE_OVER_H

#include "admin/handed.h"

/* Owner: the caller. */
struct inheritance {
    int line; /* to the one before; -1: there was none. Readable once that has ended */
    int fds[HANDED_LISTENERS_MAX]; /* of state.listeners; -1: taken */
    struct handed_state state;
};

/* Asks the server on the data directory for everything, and waits until it has let go. Where none
 * runs, *ret is empty, and all is as at any other start. Blocks. -1: it refuses, *err says why. */
int take_over(const char *data, struct inheritance *ret, struct err *err) MUST_CHECK;
/* The socket for an address of the configuration, or where that is bound: the caller's; *ret_bound
 * is borrowed. -1: there is none. */
int inheritance_take(struct inheritance *i, const char *address, const char **ret_bound);
/* Tells the one before that this one answers; closes the sockets that nobody took. -1: it has gone
 * back on it. */
int inheritance_ready(struct inheritance *i, struct err *err) MUST_CHECK;
void inheritance_free(struct inheritance *i);

#endif
