/* cli/patience.c - a line that counts seconds. */
#include "cli/patience.h"

#include "base/clock.h"

#include <poll.h>
#include <stdio.h>
#include <unistd.h>

#define TICK_MS 1000
/* What is done before that is not worth a word. */
#define SILENT_MS 2000

void patience_begin(struct patience *p)
{
    *p = (struct patience){.began = clock_mono_ms(), .terminal = isatty(STDERR_FILENO) == 1};
}

void patience_wait(struct patience *p, int fd)
{
    struct pollfd look = {fd, POLLIN, 0};

    while (poll(&look, 1, p->terminal ? TICK_MS : -1) <= 0) {
        uint64_t waited = clock_mono_ms() - p->began;

        if (p->terminal && waited >= SILENT_MS) {
            fprintf(stderr, "\rat work for %llu s ", (unsigned long long)waited / 1000);
            p->shown = true;
        }
    }
}

void patience_end(struct patience *p)
{
    if (p->shown) {
        fputs("\r\033[K", stderr);
    }
}
