/*
 * base/log.h - the event log (stderr) and the lines of the access log (stdout).
 *
 * Text by default, one JSON object a line when asked. Any thread. Events go out at once; lines of
 * the access log are gathered per thread and go out when 32 KiB are there or log_flush() is called.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include "base/str.h"

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

/* Before any thread starts. */
void log_setup(enum log_level level, bool json);
/* No access log in this process: standard output is used for something else. Likewise. */
void log_mute_access(void);
bool log_is_json(void);
bool log_wants(enum log_level level);
bool log_level_parse(struct slice s, enum log_level *ret);

/* One event: a stable dotted name to search for, and a text that names the thing, the cause and
 * where there is one the remedy. More than 50 of one name within a second are counted instead. */
void log_event(enum log_level level, const char *event, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* The same for what any stranger can bring about: one of a name within a second. */
void log_rarely(enum log_level level, const char *event, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* One line of the access log, without its newline. */
void log_access(const char *line, size_t n);

/* Sends this thread's gathered lines. True where there were any. */
bool log_flush(void);

#endif
