/* loop/base.h - what the files of loop/ share of a loop. Not for other folders. */
#ifndef LOOP_BASE_H
#define LOOP_BASE_H

#include "loop/loop.h"

struct event_base;

struct event_base *loop_base(struct loop *l);

/* Takes the time anew: libevent calls back before the loop has done so. */
uint64_t loop_tick(struct loop *l);

#endif
