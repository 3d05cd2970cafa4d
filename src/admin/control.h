/*
 * admin/control.h - HTTP under /-/ for the operator: on the control socket, and on listeners of
 * role admin.
 *
 *   GET  /healthz, /readyz               200, or 503 where it was told to stop (readyz)
 *   GET  /metrics                        admin/metrics.h
 *   GET  /-/counters                     a JSON object: each counter's name and sum, and what
 *                                        the store holds
 *   GET  /-/stages?repository=NAME       the commands of admin/admin.h
 *   GET  /-/ls?repository=NAME&all=1
 *   POST /-/rm?repository=NAME
 *   POST /-/gc?dry_run=1
 *   GET  /-/lock?since=SECONDS&client=ADDRESS
 *   POST /-/have                         digests, one a line
 *   POST /-/place                        JSON: an image for a repository
 *   POST /-/pin?repository=IMAGE, /-/unpin?repository=IMAGE
 *   POST /-/take-blob, /-/take-upload    JSON: what the server before this one finished
 *
 * What changes something is answered on Unix sockets and to this machine only, and never to a page
 * of a browser. Commands run in the disk pool, verify in the idle one, a few at once, to their
 * end, whoever leaves.
 */
#ifndef ADMIN_CONTROL_H
#define ADMIN_CONTROL_H

#include "admin/admin.h"
#include "http/server.h"

#define CONTROL_PREFIX "/-/"

struct control;

/* `a` is copied; what it points at outlives the control. */
struct control *control_new(const struct admin *a);
/* Once control_live() is 0, or no loop runs any more and the disk pool is gone. */
void control_free(struct control *c);
/* Commands that have not come to their end. Any thread. */
unsigned control_live(const struct control *c);

/* Whether a request on a listener of another role is for this all the same: /healthz and /readyz
 * on each of them, /metrics where whoever connects may see what an operator sees. */
bool control_takes(const struct http_exchange *x, bool operator);
/* From now on it is not ready. Any thread. */
void control_drain(struct control *c);

/* Answers one exchange. Loop thread. */
void control_handle(struct control *c, struct http_exchange *x);

#endif
