/*
 * store/guard.h - what happens where a damaged index makes a read go beyond its file (SIGBUS).
 *
 * LMDB trusts its pages. At start what is read first runs guarded, so that damage is found and the
 * index replaced; later the process ends, but leaves a note by which the next start replaces it.
 */
#ifndef STORE_GUARD_H
#define STORE_GUARD_H

#include "base/mem.h"

#include <stdbool.h>

/* Takes SIGBUS over; the file `note` is made when it comes. Again: another note. Before other
 * threads use what is guarded. */
void guard_install(const char *note);
/* Makes the note. Any thread, signal handlers too. */
void guard_note(void);

/* Calls f(arg). False: it was left in the middle, and what it worked on may only be given up. Not
 * nested. */
bool guard_run(void (*f)(void *arg), void *arg) MUST_CHECK;
/* Leaves the f that runs guarded on this thread; returns where there is none. */
void guard_leave(void);

#endif
