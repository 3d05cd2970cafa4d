/*
 * base/fault.h - named places where a test makes a call fail.
 *
 * FAULT=name:n fails the n-th passage of that point and all later ones until n2 where given as
 * name:n-n2; FAULT=name:n:kill ends the process there as kill -9 would. Only builds with -DFAULTS
 * have them.
 */
#ifndef BASE_FAULT_H
#define BASE_FAULT_H

#include <stdbool.h>

#ifdef FAULTS
/* True where this passage of `point` is to fail. Any thread. */
bool fault_at(const char *point);
#else
#define fault_at(point) false
#endif

#endif
