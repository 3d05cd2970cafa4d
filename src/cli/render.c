/* cli/render.c - columns, counts and sizes. */
#include "cli/render.h"

#include <stdio.h>
#include <stdlib.h>

/* One longer than that moves only its own line. */
#define LEFT_MAX 60

const char *render_size(uint64_t bytes, char out[RENDER_SIZE_MAX])
{
    static const char *const UNITS[] = {"B", "kB", "MB", "GB", "TB", "PB", "EB"};
    double n = (double)bytes;
    size_t unit = 0;

    /* What would be rounded to 1000 belongs to the next unit. */
    while (n >= (unit == 0 ? 1000 : 999.5) && unit + 1 < ARRAY_LEN(UNITS)) {
        n /= 1000;
        unit++;
    }
    if (unit > 0 && n < 9.95 && (unsigned)(n * 10 + 0.5) % 10 != 0) {
        snprintf(out, RENDER_SIZE_MAX, "%.1f %s", n, UNITS[unit]);
    } else {
        snprintf(out, RENDER_SIZE_MAX, "%.0f %s", n, UNITS[unit]);
    }
    return out;
}

const char *render_s(uint64_t n)
{
    return n == 1 ? "" : "s";
}

void render_count(struct buf *out, uint64_t n, const char *word)
{
    buf_printf(out, "%llu %s%s", (unsigned long long)n, word, render_s(n));
}

/* Characters, by the bytes that begin one. */
static size_t width(const char *s)
{
    size_t n = 0;

    for (; *s != '\0'; s++) {
        n += ((unsigned char)*s & 0xc0) != 0x80;
    }
    return n;
}

void render_add(struct render *r, char *left, char *right, char *note)
{
    if (r->n == r->cap) {
        r->cap = r->cap == 0 ? 32 : 2 * r->cap;
        r->lines = xrealloc(r->lines, r->cap * sizeof(*r->lines));
    }
    r->lines[r->n++] = (struct render_line){left, right, note};
}

static void pad(struct buf *out, size_t from, size_t to)
{
    for (; from < to; from++) {
        buf_str(out, " ");
    }
}

void render_print(const struct render *r, struct buf *out)
{
    size_t left = 0;
    size_t right = 0;

    for (size_t i = 0; i < r->n; i++) {
        size_t l = width(r->lines[i].left);
        size_t m = width(r->lines[i].right);

        left = l > left && l <= LEFT_MAX ? l : left;
        right = m > right ? m : right;
    }
    for (size_t i = 0; i < r->n; i++) {
        const struct render_line *line = &r->lines[i];

        buf_str(out, line->left);
        if (line->right[0] != '\0' || line->note[0] != '\0') {
            pad(out, width(line->left), left);
            buf_str(out, "  ");
            pad(out, width(line->right), right);
            buf_str(out, line->right);
        }
        if (line->note[0] != '\0') {
            buf_printf(out, "   %s", line->note);
        }
        buf_str(out, "\n");
    }
}

void render_fini(struct render *r)
{
    for (size_t i = 0; i < r->n; i++) {
        free(r->lines[i].left);
        free(r->lines[i].right);
        free(r->lines[i].note);
    }
    free(r->lines);
    *r = (struct render){0};
}
