/*
 * bundle/docker.h - manifest.json, by which docker load and docker save name images (protocol: a
 * list of objects with Config, RepoTags and Layers, as paths in the archive).
 *
 * Read and written image by image. Pure; any thread.
 */
#ifndef BUNDLE_DOCKER_H
#define BUNDLE_DOCKER_H

#include "bundle/json_list.h"
#include "oci/digest.h"

#define DOCKER_LAYERS_MAX 4096
#define DOCKER_TAGS_MAX 4096

/* Owner: the reader. */
struct docker_image {
    char *config; /* path in the archive; nobody judged it */
    size_t n_tags;
    char **tags; /* "alpine:3.20", as it was written */
    size_t n_layers;
    char **layers; /* paths, the lowest layer first */
};

enum docker_event {
    DOCKER_MORE,  /* all that was given is used up */
    DOCKER_IMAGE, /* `image` is the next one, until the next call; believe it once
                     docker_read_finish() said 0 */
    DOCKER_BAD,   /* `e` says why; said from now on */
};

/* Owner: the caller, by docker_read_init() and docker_read_fini(). Only `image` is for reading. */
struct docker_read {
    struct docker_image image;
    struct json_list list;
    uint64_t n_images;
};

void docker_read_init(struct docker_read *r);
void docker_read_fini(struct docker_read *r);

/* Takes bytes off the front of *in; called until DOCKER_MORE. Errors are ERR_BAD_REQUEST: no list
 * of objects, an image without Config, what is no list of strings where one belongs. */
enum docker_event docker_read_feed(struct docker_read *r, struct slice *in, struct err *e);
int docker_read_finish(struct docker_read *r, struct err *e) MUST_CHECK;

/* Append the beginning, an image whose blobs lie as in a layout, and the end of a list. Tags are
 * "NAME:TAG", in the order in which they are to stand. */
void docker_list_open(struct buf *out);
void docker_list_image(struct buf *out, const struct digest *config, const char *const *tags,
                       size_t n_tags, bool first);
void docker_list_layer(struct buf *out, const struct digest *layer, bool first);
void docker_list_image_end(struct buf *out);
void docker_list_close(struct buf *out);

#endif
