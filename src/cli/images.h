/*
 * cli/images.h - which images a command is about: its arguments, a list, a lock file, a Dockerfile.
 *
 * Blocks; main thread.
 */
#ifndef CLI_IMAGES_H
#define CLI_IMAGES_H

#include "cli/flags.h"
#include "oci/platform.h"
#include "oci/reference.h"

/* Bytes of a list, images of one command, platforms of --platform. */
#define IMAGES_LIST_MAX (32u << 20)
#define IMAGES_MAX 200000
#define IMAGES_PLATFORMS_MAX 64

/* Where an image was named. */
enum wanted_by { WANTED_BY_NAME, WANTED_BY_FILE, WANTED_BY_LOCK, WANTED_BY_DOCKERFILE };

/* An image that is wanted. Owner: the list. */
struct wanted {
    struct reference reference;
    enum wanted_by by;
    struct platform *platforms; /* of it alone, as a lock file or FROM --platform says; n 0: those
                                   of the command */
    size_t n_platforms;
};

/* Owner: the caller, by images_free(). */
struct images {
    struct wanted *all; /* as they came; the same may come twice */
    size_t n;
    size_t cap;
    struct platform platforms[IMAGES_PLATFORMS_MAX]; /* of --platform; n 0: all */
    size_t n_platforms;
};

/* Reads all that the flags name: arguments, --file (a reference a line, '#' begins a comment, "-"
 * is standard input), --lock, --dockerfile, --platform (this machine's where it is not given). -1
 * with ERR_CONFIG that names the file and the line. */
int images_read(const struct flags *flags, const struct route_table *routes, struct images *ret,
                struct err *err) MUST_CHECK;
void images_free(struct images *i);

/* Which platforms are wanted of an image; *ret_n 0: all. Borrows. */
const struct platform *images_platforms_of(const struct images *i, const struct wanted *w,
                                           size_t *ret_n);

#endif
