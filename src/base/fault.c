/* base/fault.c - counts passages of the one point that FAULT names. */
#include "base/fault.h"

#ifdef FAULTS

#include "base/str.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define HOLD_LOOK_MS 2

/* What the environment asked for; read once, before main, so that no thread can race it. */
static struct {
    char point[64];
    uint64_t first;
    uint64_t last;
    bool kill;
    bool hold;
    const char *when; /* passages count while this file is there; NULL: always */
} wanted;

static _Atomic uint64_t passages;

__attribute__((constructor)) static void fault_read_environment(void)
{
    const char *text = getenv("FAULT");
    struct slice rest = text == NULL ? SLICE_NULL : slice_str(text);
    struct slice name;
    struct slice span;
    struct slice first;

    if (!slice_split(&rest, ':', &name) || !slice_split(&rest, ':', &span)) {
        return;
    }
    wanted.kill = slice_is(rest, "kill");
    wanted.when = getenv("FAULT_WHEN");
    wanted.hold = slice_is(rest, "hold");
    slice_split(&span, '-', &first);
    if (!slice_u64(first, &wanted.first)) {
        return;
    }
    if (!slice_u64(span, &wanted.last)) {
        wanted.last = wanted.first;
    }
    ignore_result(slice_copy(name, wanted.point, sizeof(wanted.point)));
}

/* In one write, as the process may end behind it. */
static void fault_tell(uint64_t n)
{
    char line[96];
    int len = snprintf(line, sizeof(line), "fault %s %llu\n", wanted.point, (unsigned long long)n);

    ignore_result(write(STDERR_FILENO, line, (size_t)len) < 0);
}

static bool is_time(void)
{
    return wanted.when == NULL || access(wanted.when, F_OK) == 0;
}

bool fault_at(const char *point)
{
    uint64_t n;

    if (wanted.point[0] == '\0' || strcmp(point, wanted.point) != 0 || !is_time()) {
        return false;
    }
    n = atomic_fetch_add(&passages, 1) + 1;
    if (n < wanted.first || n > wanted.last) {
        return false;
    }
    if (n == wanted.first) {
        fault_tell(n);
    }
    if (wanted.kill) {
        kill(getpid(), SIGKILL);
    }
    while (wanted.hold && is_time()) {
        ignore_result(poll(NULL, 0, HOLD_LOOK_MS) < 0);
    }
    return true;
}

bool fault_errno(const char *point, int error)
{
    if (!fault_at(point)) {
        return false;
    }
    errno = error;
    return true;
}

#else
/* A file must hold something. */
extern int fault_none;
int fault_none;
#endif
