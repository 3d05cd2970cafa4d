/* base/mem.c - allocation that aborts when memory is out. */
#include "base/mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void *mem_checked(void *p)
{
    if (p == NULL) {
        fputs("larder: out of memory\n", stderr);
        abort();
    }
    return p;
}

void *xcalloc(size_t n, size_t size)
{
    return mem_checked(calloc(n == 0 ? 1 : n, size == 0 ? 1 : size));
}

void *xrealloc(void *p, size_t size)
{
    return mem_checked(realloc(p, size == 0 ? 1 : size));
}

char *xstrdup(const char *s)
{
    return mem_checked(strdup(s));
}

char *xstrndup(const char *s, size_t n)
{
    return mem_checked(strndup(s, n));
}

char *xasprintf(const char *fmt, ...)
{
    char *text = NULL;
    va_list args;

    va_start(args, fmt);
    if (vasprintf(&text, fmt, args) < 0) {
        text = NULL;
    }
    va_end(args);
    return mem_checked(text);
}

void mem_cleanup_free(void *p)
{
    void *block;

    memcpy(&block, p, sizeof(block));
    free(block);
}

void mem_cleanup_close(int *fd)
{
    if (*fd >= 0) {
        close(*fd);
    }
}
