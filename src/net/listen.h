/*
 * net/listen.h - addresses that clients connect to, and the thread that accepts.
 *
 * One acceptor hands each connection to the less loaded of two random loops, so that a few heavy
 * connections do not end up on one worker.
 */
#ifndef NET_LISTEN_H
#define NET_LISTEN_H

#include "base/err.h"
#include "loop/loop.h"

struct listeners;

#define LISTEN_TEXT_MAX 300
#define LISTEN_PEER_MAX 64

/* Told of each connection, on the loop that shall have it. `i` is the listener's number in the
 * order of listeners_add(); `peer` is the client's address without its port, or "unix". */
struct listen_sink {
    void (*accepted)(void *context, struct loop *l, unsigned i, int fd, const char *peer);
    /* How busy a loop is. Acceptor thread. */
    unsigned (*load)(void *context, const struct loop *l);
    void *context;
};

struct listeners *listeners_new(const struct listen_sink *sink);

/* Binds "ADDR:PORT", "[ADDR]:PORT" or "unix:/path" and listens; port 0 takes a free one. Before
 * listeners_start(). 0, or -1 with ERR_CONFIG that names address, cause and remedy. */
int listeners_add(struct listeners *ls, const char *address, struct err *err) MUST_CHECK;

/* The same with a socket that is bound to the address and listens already; takes it. */
int listeners_add_socket(struct listeners *ls, int fd, const char *address,
                         struct err *err) MUST_CHECK;

/* Writes where a socket is bound, as `listen` has it: "[::1]:5000", "unix:/path". False: at neither
 * kind of address. */
bool listen_bound_text(int fd, char out[LISTEN_TEXT_MAX]);

/* The same with one that another process of ours bound: once it was started, the file of a Unix
 * socket is removed at the end, as if it had been bound here. */
int listeners_inherit(struct listeners *ls, int fd, const char *address,
                      struct err *err) MUST_CHECK;

/* The i-th socket, for handing it over; stays open. */
int listeners_fd(const struct listeners *ls, unsigned i);
/* Where the i-th one really listens: "127.0.0.1:41234", "unix:/path". */
const char *listeners_text(const struct listeners *ls, unsigned i);

/* Starts the acceptor: connections go to the loops of index 0 … n_loops - 1. */
void listeners_start(struct listeners *ls, unsigned n_loops);

/* Ends the acceptor; the sockets stay, and clients wait in them. What was accepted before is still
 * delivered. listeners_start() goes on. */
void listeners_pause(struct listeners *ls);
/* Connections that were accepted and not delivered. Any thread. */
bool listeners_are_idle(struct listeners *ls) MUST_CHECK;
/* Closes the paused sockets, and leaves files of Unix sockets where they are: they are another
 * process's now. */
void listeners_give_up(struct listeners *ls);
/* Ends the acceptor, closes the sockets, removes Unix sockets' files. What was accepted before is
 * still delivered. Harmless when repeated. */
void listeners_stop(struct listeners *ls);
/* The same, and frees: once the loops have ended. */
void listeners_free(struct listeners *ls);

/* Splits "ADDR:PORT" or "[ADDR]:PORT" strictly; `host` takes LISTEN_TEXT_MAX bytes. Pure. */
bool listen_parse(const char *address, char *host, uint16_t *ret_port);

#endif
