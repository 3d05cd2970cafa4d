/*
 * cli/engine.h - everything that serves: store, upstreams, cache, registry, loops, listeners.
 *
 * `larder serve` runs one until a signal comes; a command that needs more than the store, where no
 * server runs, has one of its own that listens on the control socket alone. One a process. Main
 * thread.
 */
#ifndef CLI_ENGINE_H
#define CLI_ENGINE_H

#include "cli/config.h"
#include "cli/take_over.h"
#include "http/server.h"

struct engine;

/* Opens the store and binds the addresses, the control socket among them; `config` is the engine's
 * from here, and its limits are in force. `alone`: no listener of the configuration is bound.
 * `from`: what another process gave up; NULL: nothing. NULL: *err says why, and `config` stays
 * the caller's; only after ERR_IN_USE (another process has the data directory) it may be called
 * again. */
struct engine *engine_new(struct config *config, bool alone, struct inheritance *from,
                          struct err *err) MUST_CHECK;
/* After engine_stop(), or where it was never started. NULL is accepted. */
void engine_free(struct engine *e);

/* Starts the loops, and accepts connections. */
void engine_start(struct engine *e);
/* Accepts none any more; those that are open end after their exchange. */
void engine_drain(struct engine *e);
/* Connections that are open. */
unsigned engine_connections(const struct engine *e);
/* Cuts what is left of them, and ends the loops. */
void engine_stop(struct engine *e);

/* Goes over to another configuration, which is the engine's from here on, whatever happens: new
 * requests are answered by it, those under way by the one before. What cannot change while it runs
 * stays, with a line in the log that names it. -1 with ERR_CONFIG: all stays. Thread: the caller of
 * engine_new(), as for all of these. */
int engine_renew(struct engine *e, struct config *config, struct err *err) MUST_CHECK;
/* Lets go of what an earlier configuration left behind and nothing uses any more. To be called now
 * and then. */
void engine_tidy(struct engine *e);

/* Reads certificates and keys of listeners again where their files changed, or where `force`; says
 * in the log what came of it. Where they are no good, those before stay in use. Blocks. */
void engine_renew_keys(struct engine *e, bool force);

/* --- for another process that takes over: cli/hand_over.h --- */

/* Readable when one asks. */
int engine_asked_fd(const struct engine *e);
/* Makes way for it. True: only what is under way goes on; false: all is as before. Blocks. */
bool engine_hand_over(struct engine *e);
/* Downloads that are under way, for somebody or nobody. */
unsigned engine_downloads(const struct engine *e);
/* What inherited sessions and the like were left by a process that has ended. */
void engine_inherit_end(struct engine *e);
/* Accepts none, and keeps no connection but those that are about to ask; what was accepted is read.
 * And the way back. */
void engine_pause(struct engine *e);
void engine_resume(struct engine *e);
/* The sockets that are listened on, which stay, with their addresses; the key of tokens. */
void engine_hand(const struct engine *e, struct handed_state *ret, int *ret_fds);
/* They are another process's now. */
void engine_give_up(struct engine *e);

/* What it is made of; borrowed. */
const struct config *engine_config(const struct engine *e);
struct store *engine_store(const struct engine *e);
const struct http_listener *engine_listeners(const struct engine *e, unsigned *ret_n);

#endif
