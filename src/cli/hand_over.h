/*
 * cli/hand_over.h - a server makes way for another process (cli/take_over.h), which asked for it.
 *
 *     asked -> connections wait in the sockets, changes come to their end -> index and lock let go
 *           -> sockets and state sent -> READY: only what is under way goes on, to its end
 *                                     -> the other one ends, or is killed for taking longer than
 *                                        limits.take_over: all goes on as before
 */
#ifndef CLI_HAND_OVER_H
#define CLI_HAND_OVER_H

#include "http/server.h"
#include "store/handover.h"

struct engine;
struct hand_over;

#define TAKE_OVER_PATH "/-/take-over"

/* `data` is the data directory, copied. */
struct hand_over *hand_over_new(const char *data);
/* Once nothing of the store is under way: the other process learns from it that this one ended. */
void hand_over_free(struct hand_over *h);

/* Answers POST /-/take-over on the control socket. Loop thread. */
void hand_over_ask(struct hand_over *h, struct http_exchange *x);
/* Readable when a process has asked. */
int hand_over_fd(const struct hand_over *h);
/* Makes way for it. True: it did, and this one is to end once what is under way has. False: there
 * was none, or it did not come up; all is as before. Main thread; blocks while nobody accepts. */
bool hand_over_run(struct hand_over *h, struct engine *e);

#endif
