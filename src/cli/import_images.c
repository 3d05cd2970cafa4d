/* cli/import_images.c - images and their names, out of index.json or manifest.json. */
#include "cli/import_parts.h"

#include "base/sha.h"
#include "bundle/layout.h"

#include <stdio.h>

#define MANIFEST_MADE_MAX (2u << 20)

/* Names come in two passes: the first counts, as --name is for the only image, or for the only one
 * without a name. */
struct naming {
    struct taking *t;
    bool counting;
    uint64_t n;
    uint64_t n_unnamed;
};

int import_add_image(struct taking *t, const char *name, const char *tag, const struct digest *d,
                     struct err *e)
{
    char text[DIGEST_TEXT_MAX];
    char *line = xasprintf("%s %s %s\n", name, tag == NULL || tag[0] == '\0' ? "-" : tag,
                           digest_text(d, text));
    int result = spool_add(&t->images, slice_str(line), e);

    mem_cleanup_free(&line);
    return result;
}

static int reference_add(struct taking *t, const struct reference *r, const struct digest *d,
                         struct err *e)
{
    return import_add_image(t, r->name, r->by_digest && !r->tag_written ? NULL : r->tag, d, e);
}

/* An image and its names; n_names 0: it has none. `tag` is what is known of its tag without a name,
 * or "". */
static int image_add(struct naming *g, const char *const *names, size_t n_names, const char *tag,
                     const struct digest *d, struct err *e)
{
    struct import *im = g->t->im;
    struct reference r = im->name;
    char text[DIGEST_TEXT_MAX];

    if (g->counting) {
        g->n++;
        g->n_unnamed += n_names == 0;
        return 0;
    }
    if (im->has_name && (g->n == 1 || n_names == 0)) {
        if (!r.tag_written && !r.by_digest && tag[0] != '\0') {
            snprintf(r.tag, sizeof(r.tag), "%s", tag);
        }
        return reference_add(g->t, &r, d, e);
    }
    for (size_t i = 0; i < n_names; i++) {
        if (reference_parse(slice_str(names[i]), &r, e) < 0 || reference_add(g->t, &r, d, e) < 0) {
            return -1;
        }
    }
    if (n_names == 0) {
        im->sums.unnamed++;
        fprintf(stderr, "larder: %s: %s has no name, and is left out\n", g->t->label,
                digest_text(d, text));
    }
    return 0;
}

/* Between the passes. */
static int naming_check(struct naming *g, struct err *e)
{
    g->counting = false;
    g->t->is_one = g->n == 1;
    if (g->n == 0) {
        return err_set(e, ERR_BAD_REQUEST, "it has no images");
    }
    if (g->t->im->has_name && g->n > 1 && g->n_unnamed != 1) {
        return err_set(e, ERR_BAD_REQUEST, "--name is for one image, and %llu of %llu have no name",
                       (unsigned long long)g->n_unnamed, (unsigned long long)g->n);
    }
    if (!g->t->im->has_name && g->n_unnamed == g->n) {
        return err_set(e, ERR_BAD_REQUEST, "no image in it has a name%s",
                       g->n == 1 ? "; give it one by --name NAME:TAG" : "");
    }
    return 0;
}

/* --- index.json ---------------------------------------------------------------------------- */

/* A whole name, rather than a tag alone. */
static bool is_whole(const char *ref_name)
{
    return strchr(ref_name, '/') != NULL || strchr(ref_name, ':') != NULL;
}

static int entry_add(struct naming *g, const struct layout_entry *entry, struct err *e)
{
    const char *name = entry->image_name[0] != '\0' ? entry->image_name : entry->ref_name;
    const char *tag = entry->ref_name;

    if (entry->image_name[0] != '\0' || is_whole(entry->ref_name)) {
        return image_add(g, &name, 1, "", &entry->digest, e);
    }
    if (entry->has_subject) {
        return 0; /* it comes with the image that it tells of, where that has a name */
    }
    return image_add(g, NULL, 0, tag_valid(slice_str(tag)) ? tag : "", &entry->digest, e);
}

static int index_pass(struct naming *g, struct slice text, struct err *e)
{
    struct layout_read r;
    enum layout_event event;
    int result = 0;

    layout_read_init(&r);
    while (result == 0 && (event = layout_read_feed(&r, &text, e)) != LAYOUT_MORE) {
        result = event == LAYOUT_BAD ? -1 : entry_add(g, &r.entry, e);
    }
    if (result == 0) {
        result = layout_read_finish(&r, e);
    }
    layout_read_fini(&r);
    return result;
}

/* --- manifest.json ------------------------------------------------------------------------- */

/* Puts bytes that are made here into the store, as a blob that came. */
static int blob_put(struct taking *t, struct slice body, struct digest *ret, struct err *e)
{
    struct tar_entry entry = {.size = body.len, .offset = t->docker_at};
    unsigned char raw[SHA_MAX];

    snprintf(entry.name, sizeof(entry.name), "%s", LAYOUT_DOCKER_NAME);
    sha_of(SHA_256, body.p, body.len, raw);
    *ret = digest_of_raw(DIGEST_SHA256, raw);
    feed_begin(t->feed, &entry, ret, NULL);
    while (body.len > 0) {
        char *room = feed_room(t->feed);
        size_t n = body.len < FEED_ROOM_SIZE ? body.len : FEED_ROOM_SIZE;

        memcpy(room, body.p, n);
        feed_data(t->feed, slice_of(room, n));
        body = slice_from(body, n);
    }
    feed_end(t->feed);
    return feed_flush(t->feed, e);
}

static int docker_image_add(struct naming *g, const struct docker_image *image, struct err *e)
{
    struct digest digest = {0};
    struct buf body;
    int result = 0;

    buf_init(&body, MANIFEST_MADE_MAX);
    if (!g->counting) {
        result = archive_manifest(&g->t->archive, image, &body, e);
        if (result == 0 && body.failed) {
            result = err_set(e, ERR_BAD_REQUEST, "an image of too many layers");
        }
        result = result < 0 ? -1 : blob_put(g->t, buf_view(&body), &digest, e);
    }
    buf_free(&body);
    return result < 0
               ? -1
               : image_add(g, (const char *const *)image->tags, image->n_tags, "", &digest, e);
}

static int docker_pass(struct naming *g, struct slice text, struct err *e)
{
    struct docker_read r;
    enum docker_event event;
    int result = 0;

    docker_read_init(&r);
    while (result == 0 && (event = docker_read_feed(&r, &text, e)) != DOCKER_MORE) {
        result = event == DOCKER_BAD ? -1 : docker_image_add(g, &r.image, e);
    }
    if (result == 0) {
        result = docker_read_finish(&r, e);
    }
    docker_read_fini(&r);
    return result;
}

int import_images(struct taking *t, struct err *e)
{
    bool layout = t->archive.came[ARCHIVE_INDEX];
    int (*pass)(struct naming *, struct slice, struct err *) = layout ? index_pass : docker_pass;
    struct naming g = {.t = t, .counting = true};
    struct slice text;

    if (t->archive.came[ARCHIVE_LIST]) {
        return 0; /* they were found there */
    }
    if (spool_map(layout ? &t->index : &t->docker, &text, e) < 0) {
        return -1;
    }
    if (pass(&g, text, e) == 0 && naming_check(&g, e) == 0 && pass(&g, text, e) == 0) {
        return 0;
    }
    return archive_blame(layout ? LAYOUT_INDEX_NAME : LAYOUT_DOCKER_NAME,
                         layout ? t->index_at : t->docker_at, e);
}
