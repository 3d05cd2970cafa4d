/* store/budget.c - the rule, and the figures it is fed with. */
#include "store/budget.h"

#include "base/clock.h"

#include <sys/statvfs.h>

#define ASK_MS 1000

void budget_init(struct budget *b, const struct store_options *options, int fd, uint64_t held)
{
    *b = (struct budget){
        .fd = fd,
        .max_size = options->max_percent != 0 ? UINT64_MAX : options->max_size,
        .max_percent = options->max_percent,
        .min_free = options->min_free,
        .min_free_percent = options->min_free_percent,
        .held = held,
    };
    pthread_mutex_init(&b->lock, NULL);
}

void budget_fini(struct budget *b)
{
    pthread_mutex_destroy(&b->lock);
}

static uint64_t percent_of(uint64_t n, unsigned percent)
{
    return n / 100 * percent + n % 100 * percent / 100;
}

uint64_t budget_rule(const struct budget *b, uint64_t held, uint64_t fs_size, uint64_t fs_free)
{
    uint64_t keep_free =
        b->min_free_percent != 0 ? percent_of(fs_size, b->min_free_percent) : b->min_free;
    uint64_t all = held + fs_free < held ? UINT64_MAX : held + fs_free;
    uint64_t limit = all > keep_free ? all - keep_free : 0;
    uint64_t share = b->max_percent != 0 ? percent_of(all, b->max_percent) : b->max_size;

    return share < limit ? share : limit;
}

/* Caller has the lock. */
static void budget_ask(struct budget *b)
{
    uint64_t now = clock_mono_ms();
    struct statvfs st;

    if ((b->asked_ms != 0 && now - b->asked_ms < ASK_MS) || fstatvfs(b->fd, &st) < 0) {
        return;
    }
    b->asked_ms = now;
    b->fs_size = (uint64_t)st.f_blocks * st.f_frsize;
    b->fs_free = (uint64_t)st.f_bavail * st.f_frsize;
}

static uint64_t limit_now(struct budget *b)
{
    budget_ask(b);
    return budget_rule(b, b->held, b->fs_size, b->fs_free);
}

bool budget_reserve(struct budget *b, uint64_t size)
{
    uint64_t used;
    bool fits;

    pthread_mutex_lock(&b->lock);
    used = b->held + b->reserved;
    fits = used + size >= used && used + size <= limit_now(b);
    if (fits) {
        b->reserved += size;
    }
    pthread_mutex_unlock(&b->lock);
    return fits;
}

void budget_release(struct budget *b, uint64_t size)
{
    pthread_mutex_lock(&b->lock);
    b->reserved = b->reserved > size ? b->reserved - size : 0;
    pthread_mutex_unlock(&b->lock);
}

void budget_add(struct budget *b, int64_t bytes)
{
    pthread_mutex_lock(&b->lock);
    if (bytes < 0 && b->held < (uint64_t)-bytes) {
        b->held = 0;
    } else {
        b->held += (uint64_t)bytes;
    }
    pthread_mutex_unlock(&b->lock);
}

uint64_t budget_held(struct budget *b)
{
    uint64_t held;

    pthread_mutex_lock(&b->lock);
    held = b->held;
    pthread_mutex_unlock(&b->lock);
    return held;
}

uint64_t budget_limit(struct budget *b)
{
    uint64_t limit;

    pthread_mutex_lock(&b->lock);
    limit = limit_now(b);
    pthread_mutex_unlock(&b->lock);
    return limit;
}
