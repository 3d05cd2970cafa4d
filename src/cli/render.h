/*
 * cli/render.h - text for people: sizes, counts, and lines whose columns stand below each other.
 */
#ifndef CLI_RENDER_H
#define CLI_RENDER_H

#include "base/str.h"

#define RENDER_SIZE_MAX 24

/* "512 B", "1.9 MB", "346 MB", "1.6 GB": powers of 1000, two or three digits. */
const char *render_size(uint64_t bytes, char out[RENDER_SIZE_MAX]);

/* What a word that is counted has at its end: "s", but none for one. */
const char *render_s(uint64_t n);
/* "1 tag", "2 tags". */
void render_count(struct buf *out, uint64_t n, const char *word);

struct render_line {
    char *left;  /* owned; UTF-8, a column for each character */
    char *right; /* owned; what stands right-aligned in the middle */
    char *note;  /* owned; what follows */
};

/* Owner: the caller, by render_fini(); zeroed at its start. */
struct render {
    struct render_line *lines;
    size_t n;
    size_t cap;
};

/* Takes the three strings; none may be NULL. */
void render_add(struct render *r, char *left, char *right, char *note);
void render_print(const struct render *r, struct buf *out);
void render_fini(struct render *r);

#endif
