/* cli/progress.c - bars that are drawn over each other. */
#include "cli/progress.h"

#include "base/clock.h"
#include "base/str.h"
#include "cli/render.h"

#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define DRAW_MS 200
#define LABEL_MAX 20
#define BAR_WIDTH 30
#define LINE_BYTES 2048

struct thing {
    bool active;
    char label[LABEL_MAX];
    uint64_t size;
    uint64_t done;
};

/* Owner: progress_new()'s caller. */
struct progress {
    pthread_mutex_t lock; /* guards all of it, and what is printed */
    bool terminal;
    unsigned shown; /* lines of bars that stand on the screen */
    unsigned n;
    struct thing things[];
};

struct progress *progress_new(unsigned n)
{
    struct progress *p = xcalloc(1, sizeof(*p) + n * sizeof(p->things[0]));

    pthread_mutex_init(&p->lock, NULL);
    p->terminal = isatty(STDERR_FILENO) == 1;
    p->n = n;
    return p;
}

/* Under the lock: the cursor goes to where the first bar stood. */
static void erase(struct progress *p)
{
    if (p->shown > 0) {
        fprintf(stderr, "\033[%uA\033[J", p->shown);
        p->shown = 0;
    }
}

void progress_free(struct progress *p)
{
    if (p == NULL) {
        return;
    }
    erase(p);
    pthread_mutex_destroy(&p->lock);
    free(p);
}

void progress_begin(struct progress *p, unsigned i, const char *label, uint64_t size)
{
    pthread_mutex_lock(&p->lock);
    p->things[i] = (struct thing){.active = true, .size = size};
    snprintf(p->things[i].label, sizeof(p->things[i].label), "%s", label);
    pthread_mutex_unlock(&p->lock);
}

void progress_moved(struct progress *p, unsigned i, uint64_t done)
{
    pthread_mutex_lock(&p->lock);
    p->things[i].done = done;
    pthread_mutex_unlock(&p->lock);
}

void progress_end(struct progress *p, unsigned i)
{
    pthread_mutex_lock(&p->lock);
    p->things[i].active = false;
    pthread_mutex_unlock(&p->lock);
}

void progress_line(struct progress *p, const char *fmt, ...)
{
    char text[LINE_BYTES];
    va_list args;

    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    pthread_mutex_lock(&p->lock);
    erase(p);
    printf("%s\n", text);
    ignore_result(fflush(stdout) != 0);
    pthread_mutex_unlock(&p->lock);
}

static void draw_thing(const struct thing *t)
{
    char done[RENDER_SIZE_MAX];
    char size[RENDER_SIZE_MAX];
    char bar[BAR_WIDTH + 1];
    size_t filled = 0;

    if (t->size != UINT64_MAX && t->size > 0) {
        filled = (size_t)((double)BAR_WIDTH * (double)t->done / (double)t->size);
        filled = filled > BAR_WIDTH ? BAR_WIDTH : filled;
    }
    memset(bar, ' ', BAR_WIDTH);
    memset(bar, '=', filled);
    bar[BAR_WIDTH] = '\0';
    fprintf(stderr, "%-*s [%s] %s of %s\033[K\n", LABEL_MAX, t->label, bar,
            render_size(t->done, done), t->size == UINT64_MAX ? "?" : render_size(t->size, size));
}

void progress_draw(struct progress *p)
{
    ignore_result(poll(NULL, 0, DRAW_MS) < 0);
    if (!p->terminal) {
        return;
    }
    pthread_mutex_lock(&p->lock);
    erase(p);
    for (unsigned i = 0; i < p->n; i++) {
        if (p->things[i].active) {
            draw_thing(&p->things[i]);
            p->shown++;
        }
    }
    pthread_mutex_unlock(&p->lock);
}
