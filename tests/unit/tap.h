/*
 * tap.h - checks for unit tests, printed as TAP.
 *
 * Each check prints "ok N - text" or "not ok N - text" with file and line; tap_done() prints the
 * plan and gives the exit status of main(). One program a test file, one thread.
 */
#ifndef TAP_H
#define TAP_H

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static int tap_count;
static int tap_failed;

/* Texts may be the bytes of a case: what would break the line is shown as an escape. */
static inline void tap_text(const char *head, const char *text)
{
    fputs(head, stdout);
    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;

        printf(c < 0x20 || c > 0x7e ? "\\x%02x" : "%c", c);
    }
    putchar('\n');
}

static inline bool tap_check(bool good, const char *text, const char *file, int line)
{
    if (tap_count++ == 0) {
        setvbuf(stdout, NULL, _IOLBF, 0); /* so that a log line never comes into a result's midst */
    }
    if (good) {
        printf("ok %d", tap_count);
        tap_text(" - ", text);
        return true;
    }
    tap_failed++;
    printf("not ok %d", tap_count);
    tap_text(" - ", text);
    printf("# at %s:%d\n", file, line);
    return false;
}

static inline bool tap_check_str(const char *a, const char *b, const char *text, const char *file,
                                 int line)
{
    bool good = a != NULL && b != NULL ? strcmp(a, b) == 0 : a == b;

    if (!tap_check(good, text, file, line)) {
        tap_text("#      got: ", a == NULL ? "(null)" : a);
        tap_text("# expected: ", b == NULL ? "(null)" : b);
    }
    return good;
}

static inline bool tap_check_int(int64_t a, int64_t b, const char *text, const char *file, int line)
{
    if (!tap_check(a == b, text, file, line)) {
        printf("#      got: %" PRId64 "\n# expected: %" PRId64 "\n", a, b);
    }
    return a == b;
}

/* Each gives whether the check held. CHECK_NOTE adds words of its own, for tables of cases. */
#define CHECK(cond) tap_check((cond), #cond, __FILE__, __LINE__)
#define CHECK_NOTE(cond, note) tap_check((cond), (note), __FILE__, __LINE__)
/* The first argument is what was got, the second what was expected. */
#define CHECK_STR(a, b) tap_check_str((a), (b), #a " is " #b, __FILE__, __LINE__)
#define CHECK_INT(a, b) tap_check_int((int64_t)(a), (int64_t)(b), #a " is " #b, __FILE__, __LINE__)

/* The plan, and 0 or 1 for main() to return. A program that checked nothing has failed. */
static inline int tap_done(void)
{
    printf("1..%d\n", tap_count);
    if (tap_failed > 0) {
        printf("# %d of %d failed\n", tap_failed, tap_count);
    }
    return tap_failed > 0 || tap_count == 0 ? 1 : 0;
}

#endif
