/* oci/image.c - image configurations, read in one pass without a tree. */
#include "oci/image.h"

#include "oci/jscan.h"
#include "oci/manifest.h"

#include <stdlib.h>

#define KEY_MAX 32

bool image_is_config(struct slice media_type)
{
    struct slice bare = media_type_bare(media_type);

    return slice_is_nocase(bare, "application/vnd.oci.image.config.v1+json") ||
           slice_is_nocase(bare, "application/vnd.docker.container.image.v1+json");
}

static int bad_json(const struct jscan *s, struct err *e)
{
    if (s->values > s->values_max) {
        return err_set(e, ERR_MANIFEST_INVALID, "the image's configuration has more than %d values",
                       IMAGE_VALUES_MAX);
    }
    return err_set(e, ERR_MANIFEST_INVALID,
                   "the image's configuration is no JSON, or deeper than %d, from byte %zu on",
                   IMAGE_DEPTH_MAX, s->at);
}

/* The key at hand in `key`, "" where it is none that is looked for. */
static void key_copy(const struct jscan *s, char key[KEY_MAX])
{
    if (!jscan_ascii(s->token, key, KEY_MAX)) {
        key[0] = '\0';
    }
}

/* The value at hand, where it is a string that fits; else "". */
static int word_read(struct jscan *s, enum jscan_token t, char out[IMAGE_WORD_MAX], struct err *e)
{
    if (t != JSCAN_STRING || !jscan_ascii(s->token, out, IMAGE_WORD_MAX)) {
        out[0] = '\0';
    }
    return jscan_skip(s, t) ? 0 : bad_json(s, e);
}

static int diff_id_add(struct image *i, const struct jscan *s, struct err *e)
{
    char text[DIGEST_TEXT_MAX];

    if (i->n_diff_ids == IMAGE_LAYERS_MAX) {
        return err_set(e, ERR_MANIFEST_INVALID, "the image has more than %d layers",
                       IMAGE_LAYERS_MAX);
    }
    if ((i->n_diff_ids & (i->n_diff_ids - 1)) == 0) {
        size_t cap = i->n_diff_ids == 0 ? 1 : 2 * i->n_diff_ids;

        i->diff_ids = xrealloc(i->diff_ids, cap * sizeof(*i->diff_ids));
    }
    if (!jscan_ascii(s->token, text, sizeof(text)) ||
        !digest_parse(slice_str(text), &i->diff_ids[i->n_diff_ids])) {
        return err_set(e, ERR_MANIFEST_INVALID, "a diff id of the image is no digest");
    }
    i->n_diff_ids++;
    return 0;
}

/* What rootfs.diff_ids holds; `t` is its first token. */
static int diff_ids_read(struct image *i, struct jscan *s, enum jscan_token t, struct err *e)
{
    i->n_diff_ids = 0;
    free(i->diff_ids);
    i->diff_ids = NULL;
    if (t == JSCAN_WORD) {
        return 0; /* null, as some tools write for an image without layers */
    }
    if (t != JSCAN_ARRAY) {
        return t == JSCAN_BAD ? bad_json(s, e)
                              : err_set(e, ERR_MANIFEST_INVALID, "diff_ids is no list");
    }
    while ((t = jscan_next(s)) == JSCAN_STRING) {
        if (diff_id_add(i, s, e) < 0) {
            return -1;
        }
    }
    if (t == JSCAN_ARRAY_END) {
        return 0;
    }
    return t == JSCAN_BAD ? bad_json(s, e)
                          : err_set(e, ERR_MANIFEST_INVALID, "a diff id of the image is no string");
}

static int rootfs_read(struct image *i, struct jscan *s, enum jscan_token t, struct err *e)
{
    char key[KEY_MAX];

    if (t != JSCAN_OBJECT) {
        return jscan_skip(s, t) ? 0 : bad_json(s, e);
    }
    while ((t = jscan_next(s)) == JSCAN_KEY) {
        key_copy(s, key);
        t = jscan_next(s);
        if (strcmp(key, "diff_ids") == 0) {
            if (diff_ids_read(i, s, t, e) < 0) {
                return -1;
            }
        } else if (!jscan_skip(s, t)) {
            return bad_json(s, e);
        }
    }
    return t == JSCAN_OBJECT_END ? 0 : bad_json(s, e);
}

static int member_read(struct image *i, struct jscan *s, const char *key, struct err *e)
{
    enum jscan_token t = jscan_next(s);

    if (strcmp(key, "architecture") == 0) {
        return word_read(s, t, i->architecture, e);
    }
    if (strcmp(key, "os") == 0) {
        return word_read(s, t, i->os, e);
    }
    if (strcmp(key, "rootfs") == 0) {
        return rootfs_read(i, s, t, e);
    }
    return jscan_skip(s, t) ? 0 : bad_json(s, e);
}

static int fill(struct image *i, struct jscan *s, struct err *e)
{
    enum jscan_token t = jscan_next(s);
    char key[KEY_MAX];

    if (t != JSCAN_OBJECT) {
        return err_set(e, ERR_MANIFEST_INVALID, "the image's configuration is no JSON object");
    }
    while ((t = jscan_next(s)) == JSCAN_KEY) {
        key_copy(s, key);
        if (member_read(i, s, key, e) < 0) {
            return -1;
        }
    }
    return t == JSCAN_OBJECT_END && jscan_next(s) == JSCAN_END ? 0 : bad_json(s, e);
}

int image_parse(struct slice body, struct image **ret, struct err *e)
{
    struct jscan s;
    struct image *i;

    if (body.len > IMAGE_MAX) {
        return err_set(e, ERR_MANIFEST_INVALID, "the image's configuration is larger than %u bytes",
                       IMAGE_MAX);
    }
    i = xnew(struct image);
    jscan_init(&s, body, IMAGE_DEPTH_MAX, IMAGE_VALUES_MAX);
    if (fill(i, &s, e) < 0) {
        image_free(i);
        return -1;
    }
    *ret = i;
    return 0;
}

void image_free(struct image *i)
{
    if (i != NULL) {
        free(i->diff_ids);
        free(i);
    }
}
