/* base/clock.c - monotonic and wall time. */
#include "base/clock.h"

#include <stdio.h>
#include <time.h>

uint64_t clock_mono_us(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

uint64_t clock_mono_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

int64_t clock_wall_s(void)
{
    struct timespec t;

    clock_gettime(CLOCK_REALTIME, &t);
    return t.tv_sec;
}

void clock_text(char out[32])
{
    struct timespec t;
    char day[24];
    struct tm tm;

    clock_gettime(CLOCK_REALTIME, &t);
    gmtime_r(&t.tv_sec, &tm);
    strftime(day, sizeof(day), "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(out, 32, "%s.%03uZ", day, (unsigned)(t.tv_nsec / 1000000) % 1000);
}

void clock_text_of(int64_t wall_s, char out[32])
{
    time_t t = wall_s;
    struct tm tm;

    gmtime_r(&t, &tm);
    strftime(out, 32, "%Y-%m-%dT%H:%M:%SZ", &tm);
}

/* The digits at the front of *rest, exactly `n` of them, behind `before` where that is not 0. */
static bool take_number(struct slice *rest, char before, size_t n, int *ret)
{
    uint64_t number;

    if (before != '\0') {
        if (rest->len == 0 || rest->p[0] != before) {
            return false;
        }
        *rest = slice_from(*rest, 1);
    }
    if (rest->len < n || !slice_u64(slice_sub(*rest, 0, n), &number)) {
        return false;
    }
    *rest = slice_from(*rest, n);
    *ret = (int)number;
    return true;
}

/* "Z", "+01:00"; seconds east of UTC. */
static bool zone_parse(struct slice text, int *ret)
{
    int hours;
    int minutes;
    char sign;

    if (slice_is(text, "Z") || slice_is(text, "z")) {
        *ret = 0;
        return true;
    }
    sign = text.len == 0 ? '\0' : text.p[0];
    if ((sign != '+' && sign != '-') || !take_number(&text, sign, 2, &hours) ||
        !take_number(&text, ':', 2, &minutes) || text.len > 0 || hours > 23 || minutes > 59) {
        return false;
    }
    *ret = (sign == '-' ? -1 : 1) * (hours * 3600 + minutes * 60);
    return true;
}

static bool is_time(const struct tm *t)
{
    static const int DAYS[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = t->tm_year % 4 == 0 && (t->tm_year % 100 != 0 || t->tm_year % 400 == 0);

    return t->tm_year >= 1970 && t->tm_mon >= 1 && t->tm_mon <= 12 && t->tm_mday >= 1 &&
           t->tm_mday <= DAYS[t->tm_mon - 1] - (t->tm_mon == 2 && !leap) && t->tm_hour <= 23 &&
           t->tm_min <= 59 && t->tm_sec <= 60;
}

bool clock_parse(struct slice text, int64_t *ret_wall_s)
{
    struct tm t = {0};
    size_t digits = 1;
    int64_t wall;
    int zone;

    if (!take_number(&text, '\0', 4, &t.tm_year) || !take_number(&text, '-', 2, &t.tm_mon) ||
        !take_number(&text, '-', 2, &t.tm_mday) || !take_number(&text, 'T', 2, &t.tm_hour) ||
        !take_number(&text, ':', 2, &t.tm_min) || !take_number(&text, ':', 2, &t.tm_sec) ||
        !is_time(&t)) {
        return false;
    }
    if (text.len > 0 && text.p[0] == '.') {
        while (digits < text.len && text.p[digits] >= '0' && text.p[digits] <= '9') {
            digits++;
        }
        if (digits == 1) {
            return false;
        }
        text = slice_from(text, digits);
    }
    if (!zone_parse(text, &zone)) {
        return false;
    }
    t.tm_year -= 1900;
    t.tm_mon -= 1;
    wall = timegm(&t) - zone;
    if (wall < 0) {
        return false;
    }
    *ret_wall_s = wall;
    return true;
}
