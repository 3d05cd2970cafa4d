/* store/budget.c - counts of bytes, and what the disk says. */
#include "store/budget.h"

#include "base/clock.h"
#include "store/inner.h"

#include <stdlib.h>
#include <sys/statvfs.h>

#define ASK_MS 1000

/* Bytes of one digest. Owner: budget.handed, or budget.parts, which knows no `backed`. */
struct handed {
    struct map_node node;
    struct list in_all;
    struct digest digest;
    uint64_t size;
    uint64_t backed;
};

struct budget *budget_new(const struct store_options *options, int dir_fd)
{
    struct budget *b = xnew(struct budget);

    b->options = *options;
    b->dir_fd = dir_fd;
    pthread_mutex_init(&b->lock, NULL);
    map_init(&b->handed);
    list_init(&b->all_handed);
    map_init(&b->parts);
    list_init(&b->all_parts);
    return b;
}

static void free_all(struct list *all)
{
    struct list *node;

    while ((node = list_pop(all)) != NULL) {
        free(container_of(node, struct handed, in_all));
    }
}

void budget_free(struct budget *b)
{
    if (b == NULL) {
        return;
    }
    free_all(&b->all_handed);
    free_all(&b->all_parts);
    map_fini(&b->handed);
    map_fini(&b->parts);
    pthread_mutex_destroy(&b->lock);
    free(b);
}

void budget_renew(struct budget *b, const struct store_options *options)
{
    pthread_mutex_lock(&b->lock);
    b->options = *options;
    pthread_mutex_unlock(&b->lock);
}

void budget_leave(struct budget *b, bool left)
{
    pthread_mutex_lock(&b->lock);
    b->left = left;
    pthread_mutex_unlock(&b->lock);
}

/* --- sums; under the lock ------------------------------------------------------------------ */

static uint64_t minus(uint64_t a, uint64_t b)
{
    return a > b ? a - b : 0;
}

static uint64_t blobs(const struct budget *b)
{
    uint64_t n = 0;

    for (size_t i = 0; i < BLOB_CLASSES; i++) {
        n += b->totals.bytes[i];
    }
    return n;
}

/* Of n, without overflow. */
static uint64_t percent(uint64_t n, unsigned percent)
{
    return n / 100 * percent + n % 100 * percent / 100;
}

/* What is free, less what has been promised of it. */
static uint64_t free_now(const struct budget *b)
{
    return minus(b->free, b->since);
}

/* What Larder holds on the disk plus what is free there: what a percentage is of. */
static uint64_t whole(const struct budget *b)
{
    return blobs(b) + b->parked + b->reserved + free_now(b);
}

static uint64_t max_now(const struct budget *b)
{
    if (b->options.max_percent == 0) {
        return b->options.max_size;
    }
    return percent(whole(b), b->options.max_percent);
}

static uint64_t min_free_now(const struct budget *b)
{
    if (b->options.min_free_percent == 0) {
        return b->options.min_free;
    }
    return percent(whole(b), b->options.min_free_percent);
}

static bool fits(const struct budget *b, uint64_t size, uint64_t backed)
{
    uint64_t held = blobs(b) + b->parked + b->reserved;
    uint64_t max = max_now(b);

    return (b->left || (held <= max && size <= max - held)) &&
           minus(size, backed) <= minus(free_now(b), min_free_now(b));
}

static void settle(struct budget *b, uint64_t size, uint64_t backed)
{
    b->reserved = minus(b->reserved, size);
    b->backed = minus(b->backed, backed);
}

/* --- the disk ------------------------------------------------------------------------------ */

/* Asks the disk where the last answer is a second old. Reservations that are not on the disk yet
 * are taken off, so that the same byte is not promised twice. */
static void refresh(struct budget *b, bool again)
{
    uint64_t now = clock_mono_ms();
    struct statvfs v;

    if (!again && b->asked_ms != 0 && now < b->asked_ms + ASK_MS) {
        return;
    }
    pthread_mutex_unlock(&b->lock);
    if (fstatvfs(b->dir_fd, &v) < 0) {
        v.f_bavail = 0;
        v.f_frsize = 1;
    }
    pthread_mutex_lock(&b->lock);
    b->free = minus((uint64_t)v.f_bavail * v.f_frsize, minus(b->reserved, b->backed));
    b->since = 0;
    b->asked_ms = now;
}

bool budget_reserve(struct budget *b, uint64_t size, uint64_t backed)
{
    bool good;

    pthread_mutex_lock(&b->lock);
    refresh(b, false);
    good = fits(b, size, backed);
    if (!good) {
        refresh(b, true);
        good = fits(b, size, backed);
    }
    if (good) {
        b->reserved += size;
        b->backed += backed;
        b->since += minus(size, backed);
    }
    pthread_mutex_unlock(&b->lock);
    return good;
}

void budget_release(struct budget *b, uint64_t size, uint64_t backed)
{
    pthread_mutex_lock(&b->lock);
    settle(b, size, backed);
    pthread_mutex_unlock(&b->lock);
}

void budget_back(struct budget *b, uint64_t bytes)
{
    pthread_mutex_lock(&b->lock);
    b->backed += bytes;
    pthread_mutex_unlock(&b->lock);
}

/* --- handing over -------------------------------------------------------------------------- */

static bool same_digest(const struct map_node *node, const void *key)
{
    const struct handed *h = (const void *)node; /* its first member */

    return digest_equal(&h->digest, key);
}

static void unhand(struct budget *b, const struct digest *d)
{
    struct map_node *node = map_find(&b->handed, digest_hash(d), same_digest, d);
    struct handed *h;

    if (node == NULL) {
        return;
    }
    h = container_of(node, struct handed, node);
    map_remove(&b->handed, node);
    list_remove(&h->in_all);
    settle(b, h->size, h->backed);
    free(h);
}

void budget_hand(struct budget *b, const struct digest *d, uint64_t size, uint64_t backed)
{
    struct handed *h = xnew(struct handed);

    h->digest = *d;
    h->size = size;
    h->backed = backed;
    pthread_mutex_lock(&b->lock);
    unhand(b, d);
    map_insert(&b->handed, digest_hash(d), &h->node);
    list_append(&b->all_handed, &h->in_all);
    pthread_mutex_unlock(&b->lock);
}

void budget_unhand(struct budget *b, const struct digest *d)
{
    pthread_mutex_lock(&b->lock);
    unhand(b, d);
    pthread_mutex_unlock(&b->lock);
}

void budget_recorded(struct budget *b, const struct record_totals *totals, const struct digest *d,
                     size_t n)
{
    pthread_mutex_lock(&b->lock);
    b->totals = *totals;
    for (size_t i = 0; i < n; i++) {
        unhand(b, &d[i]);
    }
    pthread_mutex_unlock(&b->lock);
}

bool budget_is_owed(struct budget *b)
{
    bool owed;

    pthread_mutex_lock(&b->lock);
    owed = b->handed.count > 0;
    pthread_mutex_unlock(&b->lock);
    return owed;
}

/* Under the lock. */
static uint64_t unpark(struct budget *b, const struct digest *d)
{
    struct map_node *node = map_find(&b->parts, digest_hash(d), same_digest, d);
    struct handed *part;
    uint64_t bytes;

    if (node == NULL) {
        return 0;
    }
    part = container_of(node, struct handed, node);
    map_remove(&b->parts, node);
    list_remove(&part->in_all);
    bytes = part->size;
    b->parked -= bytes;
    free(part);
    return bytes;
}

void budget_park(struct budget *b, const struct digest *d, uint64_t bytes)
{
    struct handed *part;

    pthread_mutex_lock(&b->lock);
    unpark(b, d);
    if (bytes > 0) {
        part = xnew(struct handed);
        part->digest = *d;
        part->size = bytes;
        b->parked += bytes;
        map_insert(&b->parts, digest_hash(d), &part->node);
        list_append(&b->all_parts, &part->in_all);
    }
    pthread_mutex_unlock(&b->lock);
}

uint64_t budget_unpark(struct budget *b, const struct digest *d)
{
    uint64_t bytes;

    pthread_mutex_lock(&b->lock);
    bytes = unpark(b, d);
    pthread_mutex_unlock(&b->lock);
    return bytes;
}

/* --- questions ----------------------------------------------------------------------------- */

uint64_t budget_held(struct budget *b)
{
    uint64_t n;

    pthread_mutex_lock(&b->lock);
    n = blobs(b) + b->parked;
    pthread_mutex_unlock(&b->lock);
    return n;
}

/* No more than there is room for, whatever was asked for. */
uint64_t budget_max(struct budget *b)
{
    uint64_t room;
    uint64_t max;

    pthread_mutex_lock(&b->lock);
    refresh(b, false);
    room = minus(whole(b), min_free_now(b));
    max = max_now(b);
    pthread_mutex_unlock(&b->lock);
    return max < room ? max : room;
}

uint64_t budget_lack(struct budget *b, uint64_t size, uint64_t backed)
{
    uint64_t lack;
    uint64_t held;
    uint64_t max;
    uint64_t floor;

    pthread_mutex_lock(&b->lock);
    refresh(b, true);
    held = blobs(b) + b->parked + b->reserved;
    max = max_now(b);
    floor = minus(free_now(b), min_free_now(b));
    lack = b->left ? 0 : minus(held + size, max);
    if (minus(size, backed) > floor && minus(size, backed) - floor > lack) {
        lack = minus(size, backed) - floor;
    }
    if (size > max || lack > held) {
        lack = UINT64_MAX;
    }
    pthread_mutex_unlock(&b->lock);
    return lack;
}

uint64_t budget_excess(struct budget *b, unsigned of_max)
{
    uint64_t max = budget_max(b);
    uint64_t held;

    pthread_mutex_lock(&b->lock);
    held = blobs(b) + b->parked + b->reserved;
    pthread_mutex_unlock(&b->lock);
    return minus(held, percent(max, of_max));
}

struct record_totals budget_totals(struct budget *b)
{
    struct record_totals t;

    pthread_mutex_lock(&b->lock);
    t = b->totals;
    pthread_mutex_unlock(&b->lock);
    return t;
}

bool store_reserve(struct store *s, uint64_t size)
{
    return budget_reserve(s->budget, size, 0);
}

void store_release(struct store *s, uint64_t size)
{
    budget_release(s->budget, size, 0);
}

bool store_may_hold(struct store *s, uint64_t size)
{
    return !s->budget->options.keep_all && budget_lack(s->budget, size, 0) != UINT64_MAX;
}

uint64_t store_bytes(const struct store *s)
{
    return budget_held(s->budget);
}

uint64_t store_budget(const struct store *s)
{
    return budget_max(s->budget);
}
