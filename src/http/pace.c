/* http/pace.c - a debt that grows with time and is paid in bytes. */
#include "http/pace.h"

void pace_wait(struct pace *p, uint64_t now)
{
    if (p->since == 0) {
        p->since = now;
    }
}

static uint64_t owed_now(const struct pace *p, uint64_t now)
{
    return p->owed + (p->since != 0 && now > p->since ? (now - p->since) * LEAST_RATE : 0);
}

void pace_go(struct pace *p, uint64_t now)
{
    p->owed = owed_now(p, now);
    p->since = 0;
}

void pace_moved(struct pace *p, uint64_t n)
{
    p->owed = n > p->owed / 1000 ? 0 : p->owed - n * 1000;
}

uint64_t pace_left(const struct pace *p, uint64_t now, uint64_t patience)
{
    uint64_t most = patience * LEAST_RATE;
    uint64_t owed = owed_now(p, now);

    return owed >= most ? 0 : (most - owed + LEAST_RATE - 1) / LEAST_RATE;
}
