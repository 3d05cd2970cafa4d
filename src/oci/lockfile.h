/*
 * oci/lockfile.h - which digest each tag means, as `larder lock` writes it and `larder serve
 * --lock` holds to it.
 *
 *   {
 *     "version": 1,
 *     "images": [
 *       { "name": "docker.io/library/golang", "tag": "1.18", "digest": "sha256:…",
 *         "platforms": ["linux/amd64"] }
 *     ]
 *   }
 *
 * One image a line, sorted by name, tag and digest; one that was asked for by its digest alone has
 * no tag. Platforms are those that were pulled, as far as that is known. Pure; any thread.
 */
#ifndef OCI_LOCKFILE_H
#define OCI_LOCKFILE_H

#include "oci/route.h"

#define LOCKFILE_VERSION 1
/* Bytes of a file, its images, and platforms of one of them, at most. */
#define LOCKFILE_MAX (32u << 20)
#define LOCKFILE_IMAGES_MAX 100000
#define LOCKFILE_PLATFORMS_MAX 64

/* Owner: the lock file, with all it points to. */
struct lock_image {
    char *name; /* with its registry: "docker.io/library/golang"; "stage/app" where it is hosted */
    char *tag;  /* "" where it was asked for by its digest */
    struct digest digest;
    char **platforms; /* "linux/arm64/v8" */
    size_t n_platforms;
    size_t at; /* its position in the file that was read */
};

/* Owner: the caller, by lockfile_free(). Invariant, but for one that is being put together: sorted,
 * and no tag twice with different digests. */
struct lockfile {
    size_t n;
    size_t cap;
    struct lock_image *images;
};

/* Reads a file. Names are taken as route_parse_name() understands them: "golang" is
 * docker.io/library/golang; those of registries that are not mirrored stay as they are, and nobody
 * will ask for them. Returns 0, or -1 with ERR_CONFIG: the path in the file and what would be right
 * ("images[3].digest: must be …"). */
int lockfile_parse(struct slice text, const struct route_table *routes, struct lockfile **ret,
                   struct err *e) MUST_CHECK;

/* For making one: adds an image without platforms, or a platform to an image, where it is not there
 * and there is room; copies. The image may move when others are added. */
struct lock_image *lockfile_add(struct lockfile *l, struct slice name, struct slice tag,
                                const struct digest *d);
void lock_image_add_platform(struct lock_image *i, struct slice platform);
/* Puts images, and the platforms of each, in their order; repetitions go. -1 with ERR_CONFIG: a tag
 * with two digests. */
int lockfile_sort(struct lockfile *l, struct err *e) MUST_CHECK;
/* Appends the file's text. */
void lockfile_write(const struct lockfile *l, struct buf *out);

void lockfile_free(struct lockfile *l);

/* The image that a tag of a repository means (as route_repo_text() gives it), or NULL. */
const struct lock_image *lockfile_find(const struct lockfile *l, const char *name, const char *tag);
/* Those of the repository that have a tag, one behind the other; NULL and 0 where there are none.
 */
const struct lock_image *lockfile_tags(const struct lockfile *l, const char *name, size_t *ret_n);

#endif
