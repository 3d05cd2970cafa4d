/*
 * admin/control.h - HTTP under /-/ for the operator: on the control socket only.
 */
#ifndef ADMIN_CONTROL_H
#define ADMIN_CONTROL_H

#include "http/server.h"

/*
 * Answers one exchange that came over a listener of role admin. Loop thread.
 *   GET /-/counters   a JSON object: the name of each counter and its sum
 */
void control_handle(struct http_exchange *x);

#endif
