/* base/log.c - events to stderr, access lines to stdout. */
#include "base/log.h"

#include "base/clock.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define ACCESS_GATHER (32 * 1024)
#define EVENTS_A_SECOND 50
#define EVENT_NAMES 64

/* Another configuration may change them while threads log. */
static _Atomic(enum log_level) log_level = LOG_INFO;
static atomic_bool log_json;
static bool access_muted;

static const char *const LEVEL_NAMES[] = {"error", "warn", "info", "debug"};

/* How often each event name was logged within the second that it counts. */
static struct {
    pthread_mutex_t lock;
    struct {
        const char *event;
        uint64_t second;
        unsigned logged;
        unsigned dropped;
    } rows[EVENT_NAMES];
} rates = {.lock = PTHREAD_MUTEX_INITIALIZER};

static _Thread_local struct {
    char bytes[ACCESS_GATHER];
    size_t len;
} gathered;

void log_setup(enum log_level level, bool json)
{
    log_level = level;
    log_json = json;
}

void log_mute_access(void)
{
    access_muted = true;
}

bool log_is_json(void)
{
    return log_json;
}

bool log_wants(enum log_level level)
{
    return level <= log_level;
}

bool log_level_parse(struct slice s, enum log_level *ret)
{
    for (size_t i = 0; i < ARRAY_LEN(LEVEL_NAMES); i++) {
        if (slice_is(s, LEVEL_NAMES[i])) {
            *ret = (enum log_level)i;
            return true;
        }
    }
    return false;
}

/* Whether this event may be logged now, of which there are `most` a second; *ret_dropped: how many
 * were not, since the last one. */
static bool log_admit(const char *event, unsigned most, unsigned *ret_dropped)
{
    uint64_t second = clock_mono_ms() / 1000;
    bool admit = true;

    *ret_dropped = 0;
    pthread_mutex_lock(&rates.lock);
    for (size_t i = 0; i < EVENT_NAMES; i++) {
        if (rates.rows[i].event == NULL) {
            rates.rows[i].event = event;
        }
        if (strcmp(rates.rows[i].event, event) != 0) {
            continue;
        }
        if (rates.rows[i].second != second) {
            rates.rows[i].second = second;
            rates.rows[i].logged = 0;
            *ret_dropped = rates.rows[i].dropped;
            rates.rows[i].dropped = 0;
        }
        admit = rates.rows[i].logged < most;
        rates.rows[i].logged += admit;
        rates.rows[i].dropped += !admit;
        break;
    }
    pthread_mutex_unlock(&rates.lock);
    return admit;
}

static void write_all(int fd, const char *p, size_t n)
{
    while (n > 0) {
        ssize_t sent = write(fd, p, n);

        if (sent < 0 && errno == EINTR) {
            continue;
        }
        if (sent < 0) {
            return; /* nowhere left to say it */
        }
        p += sent;
        n -= (size_t)sent;
    }
}

static void log_put(enum log_level level, const char *event, const char *text)
{
    char now[32];
    struct buf line;

    clock_text(now);
    buf_init(&line, 8192);
    if (log_json) {
        buf_printf(&line, "{\"time\":\"%s\",\"level\":\"%s\",\"event\":\"%s\",\"message\":", now,
                   LEVEL_NAMES[level], event);
        buf_json(&line, slice_str(text));
        buf_str(&line, "}\n");
    } else {
        buf_printf(&line, "%s %s %s ", now, LEVEL_NAMES[level], event);
        for (const char *c = text; *c != '\0'; c++) {
            buf_append(&line, (unsigned char)*c < 0x20 || *c == 0x7f ? "?" : c, 1);
        }
        buf_str(&line, "\n");
    }
    if (!line.failed) {
        write_all(STDERR_FILENO, line.p, line.len);
    }
    buf_free(&line);
}

static void log_some(enum log_level level, const char *event, unsigned most, const char *fmt,
                     va_list args)
{
    char text[1024];
    unsigned dropped;

    if (!log_wants(level) || !log_admit(event, most, &dropped)) {
        return;
    }
    vsnprintf(text, sizeof(text), fmt, args);
    log_put(level, event, text);
    if (dropped > 0) {
        snprintf(text, sizeof(text), "%u more events of this name were not logged", dropped);
        log_put(level, event, text);
    }
}

void log_event(enum log_level level, const char *event, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    log_some(level, event, EVENTS_A_SECOND, fmt, args);
    va_end(args);
}

void log_rarely(enum log_level level, const char *event, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    log_some(level, event, 1, fmt, args);
    va_end(args);
}

void log_access(const char *line, size_t n)
{
    if (access_muted) {
        return;
    }
    if (n + 1 > sizeof(gathered.bytes)) {
        n = sizeof(gathered.bytes) - 1;
    }
    if (gathered.len + n + 1 > sizeof(gathered.bytes)) {
        log_flush();
    }
    memcpy(gathered.bytes + gathered.len, line, n);
    gathered.bytes[gathered.len + n] = '\n';
    gathered.len += n + 1;
}

bool log_flush(void)
{
    if (gathered.len == 0) {
        return false;
    }
    write_all(STDOUT_FILENO, gathered.bytes, gathered.len);
    gathered.len = 0;
    return true;
}
