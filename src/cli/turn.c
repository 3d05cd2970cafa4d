/* cli/turn.c - looks at a data directory that another process has, for as long as a start takes. */
#include "cli/turn.h"

#include "base/clock.h"

#include <poll.h>

#define LOOK_MS 50
#define WAIT_MS 5000

bool turn_wait(struct turn *t, const struct err *err)
{
    uint64_t now = clock_mono_ms();

    if (err->code != ERR_IN_USE) {
        return false;
    }
    if (t->end == 0) {
        t->end = now + WAIT_MS;
    }
    if (now >= t->end) {
        return false;
    }
    ignore_result(poll(NULL, 0, LOOK_MS) < 0);
    return true;
}
