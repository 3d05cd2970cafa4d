/* admin/images.c - manifests and configurations from the store, checked and parsed. */
#include "admin/images.h"

#include "base/file.h"
#include "base/sha.h"
#include "oci/image.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Manifests that are looked at for one image, and that wait for it: an index may name indexes. */
#define LOOKS_MAX 256
#define WAITING_MAX 1024

/* --- bytes --------------------------------------------------------------------------------- */

static bool bytes_are(const struct digest *d, const void *p, size_t n)
{
    struct digest found = {.alg = d->alg};

    sha_of((enum sha_alg)d->alg, p, n, found.bytes);
    return digest_equal(&found, d);
}

/* From its file. */
static bool load_file(struct store *s, const struct digest *d, size_t size, struct buf *out)
{
    struct err err;
    _cleanup_close_ int fd = store_open_blob(s, d, size, &err);
    _cleanup_free_ char *bytes = NULL;

    if (fd < 0) {
        return false;
    }
    bytes = xcalloc(size + 1, 1);
    if (file_pread_all(fd, bytes, size, 0) != (ssize_t)size || !bytes_are(d, bytes, size)) {
        return false;
    }
    buf_append(out, bytes, size);
    return true;
}

bool image_blob_load(struct store *s, const struct digest *d, size_t max, struct buf *out)
{
    struct index_read *r = index_read_begin(s);
    unsigned char body[BODY_MAX];
    struct blob_record blob;
    size_t len = 0;
    bool here;
    bool copied;

    buf_init(out, max + 1);
    if (r == NULL) {
        return false;
    }
    here = index_get_blob(r, d, &blob) == INDEX_FOUND && blob.size <= max;
    copied = here && index_get_body(r, d, body, &len) == INDEX_FOUND;
    index_read_end(r);
    if (copied && bytes_are(d, body, len)) {
        buf_append(out, body, len);
        return true;
    }
    return here && load_file(s, d, (size_t)blob.size, out);
}

/* --- images -------------------------------------------------------------------------------- */

/* What the manifest names, with what is here of it; the configuration's diff ids are to come. */
static void take_layers(struct store *s, const struct manifest *m, struct image_here *ret)
{
    struct index_read *r = index_read_begin(s);

    ret->layers = xcalloc(m->n_children + 1, sizeof(*ret->layers));
    for (size_t i = 0; i < m->n_children; i++) {
        const struct descriptor *child = &m->children[i];
        struct stage_layer *l = &ret->layers[ret->n_layers];
        struct blob_record blob;

        if (child->kind != CHILD_LAYER) {
            continue;
        }
        l->blob = child->digest;
        l->size = child->size == DESCRIPTOR_SIZE_UNKNOWN ? 0 : child->size;
        if (r != NULL && index_get_blob(r, &child->digest, &blob) == INDEX_FOUND) {
            l->size = blob.size;
            l->here = true;
        }
        ret->n_layers++;
    }
    if (r != NULL) {
        index_read_end(r);
    }
}

/* False where the configuration does not speak of these layers. */
static bool take_config(const struct image *image, struct image_here *ret)
{
    if (image->n_diff_ids != ret->n_layers) {
        return false;
    }
    for (size_t i = 0; i < image->n_diff_ids; i++) {
        ret->layers[i].diff_id = image->diff_ids[i];
    }
    if (image->os[0] != '\0' && image->architecture[0] != '\0') {
        snprintf(ret->platform, sizeof(ret->platform), "%s/%s", image->os, image->architecture);
    }
    return true;
}

static const struct descriptor *config_of(const struct manifest *m)
{
    for (size_t i = 0; i < m->n_children; i++) {
        if (m->children[i].kind == CHILD_CONFIG) {
            return &m->children[i];
        }
    }
    return NULL;
}

static enum image_found read_image(struct store *s, const struct manifest *m,
                                   struct image_here *ret)
{
    const struct descriptor *config = config_of(m);
    enum image_found found = IMAGE_OTHER;
    struct image *image = NULL;
    struct err err;
    struct buf body;

    if (config == NULL || !image_is_config(slice_str(config->media_type))) {
        return IMAGE_OTHER;
    }
    if (!image_blob_load(s, &config->digest, IMAGE_MAX, &body)) {
        return IMAGE_ABSENT;
    }
    if (image_parse(buf_view(&body), &image, &err) == 0) {
        take_layers(s, m, ret);
        if (take_config(image, ret)) {
            ret->config = (struct stage_blob){config->digest, body.len};
            found = IMAGE_FOUND;
        } else {
            free(ret->layers);
            ret->layers = NULL;
        }
    }
    image_free(image);
    buf_free(&body);
    return found;
}

/* --- what is meant ------------------------------------------------------------------------- */

/* Manifests that are still to be looked at, the next one last. */
struct looks {
    struct digest next[WAITING_MAX];
    size_t n;
    unsigned done;
};

/* The entries of an index are looked at in their order, before whatever waits. */
static void looks_add(struct looks *l, struct slice index, const struct platform *p)
{
    struct digest *images;
    size_t n;

    platform_order(index, p, &images, &n);
    n = n < WAITING_MAX - l->n ? n : WAITING_MAX - l->n;
    while (n > 0) {
        l->next[l->n++] = images[--n];
    }
    free(images);
}

/* One of them. */
static enum image_found look(struct store *s, struct looks *l, const struct platform *p,
                             struct image_here *ret)
{
    const struct digest d = l->next[--l->n];
    enum image_found found = IMAGE_OTHER;
    struct manifest *m = NULL;
    struct err err;
    struct buf body;

    l->done++;
    if (!image_blob_load(s, &d, MANIFEST_MAX, &body)) {
        return IMAGE_ABSENT;
    }
    if (manifest_parse(buf_view(&body), slice_str(""), &m, &err) == 0) {
        if (m->type == MANIFEST_INDEX) {
            looks_add(l, buf_view(&body), p);
        } else if (m->type == MANIFEST_IMAGE) {
            ret->manifest = (struct stage_blob){d, body.len};
            found = read_image(s, m, ret);
        }
    }
    manifest_free(m);
    buf_free(&body);
    return found;
}

enum image_found image_here_read(struct store *s, const struct digest *d, const struct platform *p,
                                 struct image_here *ret)
{
    struct looks *l = xnew(struct looks);
    enum image_found found = IMAGE_OTHER;
    struct image_here image = {0};

    l->next[l->n++] = *d;
    while (l->n > 0 && l->done < LOOKS_MAX && found != IMAGE_FOUND) {
        enum image_found one = look(s, l, p, &image);

        found = one == IMAGE_OTHER ? found : one;
    }
    free(l);
    if (found == IMAGE_FOUND) {
        *ret = image;
    }
    return found;
}
