/*
 * base/fault.h - named places where a test makes a call fail.
 *
 * FAULT=name:n fails the n-th passage of that point and all later ones until n2 where given as
 * name:n-n2; FAULT=name:n:kill ends the process there as kill -9 would. Where FAULT_WHEN names a
 * file, passages count only while it is there, and FAULT=name:n:hold waits for as long as it is
 * before the call fails. The first that fails is told on standard error, "fault NAME N", before it
 * waits. Only builds with -DFAULTS have them. tests/e2e/sweep.py finds them by their text:
 * fault_at("name") or fault_errno("name", ERROR).
 */
#ifndef BASE_FAULT_H
#define BASE_FAULT_H

#include <stdbool.h>

#ifdef FAULTS
/* True where this passage of `point` is to fail. Any thread. */
bool fault_at(const char *point);
/* The same, and errno says so: for the place of a call that sets it. */
bool fault_errno(const char *point, int error);
#else
#define fault_at(point) false
#define fault_errno(point, error) false
#endif

#endif
