/*
 * base/clock.h - the two times that the program uses.
 */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include "base/str.h"

/* Milliseconds of a clock that never goes back (CLOCK_MONOTONIC); for waiting. Any thread. */
uint64_t clock_mono_ms(void);
/* The same in microseconds; for measuring. */
uint64_t clock_mono_us(void);

/* Seconds since 1970 (UTC); for what is kept on disk. Any thread. */
int64_t clock_wall_s(void);

/* "2026-01-02T03:04:05.678Z" of now. `out` takes 32 bytes. */
void clock_text(char out[32]);

/* "2026-01-02T03:04:05Z", "2026-01-02T03:04:05.678+01:00" (RFC 3339) as seconds since 1970, less
 * their fraction. False for anything else, and for what lies before 1970. */
bool clock_parse(struct slice text, int64_t *ret_wall_s);

/* The same for whole seconds since 1970: "2026-01-02T03:04:05Z". */
void clock_text_of(int64_t wall_s, char out[32]);

#endif
