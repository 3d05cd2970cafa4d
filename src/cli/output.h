/*
 * cli/output.h - where a command's bytes go: a file, the parts of one, or standard output.
 *
 *     output_open -> output_write | output_copy … -> output_finish -> output_free
 *
 * A file is written as FILE.part and has its name once all of it is on disk; likewise the parts
 * FILE.000, FILE.001 …, of which the first gets its name last. Before that, what had the name stays
 * as it was. Everything blocks; one owner, any thread.
 */
#ifndef CLI_OUTPUT_H
#define CLI_OUTPUT_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

/* Least bytes of a part, and most parts. */
#define OUTPUT_PART_MIN (64u * 1024)
#define OUTPUT_PARTS_MAX 1000

struct output;

/* `path` "-" is standard output; it is borrowed. `part`: bytes of each part but the last, or 0.
 * NULL: ERR_STORE, the file cannot be made. */
struct output *output_open(const char *path, uint64_t part, struct err *err) MUST_CHECK;
/* What was not finished is removed. NULL is accepted. */
void output_free(struct output *o);

/* Each -1: ERR_NO_SPACE, ERR_STORE; or ERR_TOO_LARGE, more parts than there may be. */

int output_write(struct output *o, const void *p, size_t n, struct err *err) MUST_CHECK;
/* `size` bytes from where `fd` stands. -1 also: it has less, ERR_STORE with a text that does not
 * name it. */
int output_copy(struct output *o, int fd, uint64_t size, struct err *err) MUST_CHECK;
/* All of it is on disk, and has its name. */
int output_finish(struct output *o, struct err *err) MUST_CHECK;

/* The same, but its name is on disk only once the caller syncs the folder: for many files. */
int output_finish_soon(struct output *o, struct err *err) MUST_CHECK;

/* Bytes written so far. */
uint64_t output_size(const struct output *o);

#endif
