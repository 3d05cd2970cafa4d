/* cli/export_texts.c - the files of a bundle that tell what is in it. */
#include "base/sha.h"
#include "bundle/docker.h"
#include "bundle/layout.h"
#include "bundle/signature.h"
#include "cli/export_parts.h"

#include <stdio.h>
#include <stdlib.h>

#define PIECE_MAX (128u * 1024)
/* What one entry adds at most. */
#define ENTRY_MAX (64u * 1024)

#define CONFIG_DOCKER "application/vnd.docker.container.image.v1+json"
#define CONFIG_OCI "application/vnd.oci.image.config.v1+json"

/* A text on its way into its file. */
struct text {
    struct spool *spool;
    struct sha sha; /* of all of it */
    struct buf piece;
};

static void text_init(struct text *t, struct spool *spool)
{
    t->spool = spool;
    sha_init(&t->sha, SHA_512);
    buf_init(&t->piece, PIECE_MAX + MANIFEST_MAX);
}

static int text_flush(struct text *t, struct err *err)
{
    sha_update(&t->sha, t->piece.p == NULL ? "" : t->piece.p, t->piece.len);
    if (t->piece.len > 0 && spool_add(t->spool, buf_view(&t->piece), err) < 0) {
        return -1;
    }
    t->piece.len = 0;
    return 0;
}

/* Behind each entry. */
static int text_grown(struct text *t, struct err *err)
{
    return t->piece.len < PIECE_MAX - ENTRY_MAX ? 0 : text_flush(t, err);
}

/* --- larder/list --------------------------------------------------------------------------- */

static int list_blobs(struct text *t, struct list_write *w, enum list_kind kind,
                      const struct blobset *b, struct err *err)
{
    struct list_line *line = xnew(struct list_line);
    int result = 0;

    line->kind = kind;
    for (size_t i = 0; i < blobset_count(b) && result == 0; i++) {
        blobset_get(b, i, &line->digest, &line->size);
        list_write_line(w, line, &t->piece);
        result = text_grown(t, err);
    }
    free(line);
    return result;
}

static int list_images(struct export *x, struct text *t, struct list_write *w, struct err *err)
{
    struct imageset_image *image = xnew(struct imageset_image);
    int result = 0;

    for (size_t i = 0; i < x->images.n && result == 0; i++) {
        imageset_get(&x->images, i, image);
        list_write_line(w, &image->line, &t->piece);
        result = text_grown(t, err);
    }
    free(image);
    return result;
}

static int list_make(struct export *x, struct text *t, struct err *err)
{
    struct list_write *w = xnew(struct list_write);
    struct list_line base = {.kind = LIST_STANDS_ON, .digest = x->base.stands_on};
    int result;

    list_write_head(w, &t->piece);
    if (x->base.stands_on.alg != 0) {
        list_write_line(w, &base, &t->piece);
    }
    result = list_images(x, t, w, err);
    if (result == 0) {
        result = list_blobs(t, w, LIST_NEEDS, &x->needs, err);
    }
    if (result == 0) {
        result = list_blobs(t, w, LIST_BLOB, &x->blobs, err);
    }
    free(w);
    return result == 0 ? text_flush(t, err) : -1;
}

static void list_sign(struct export *x, struct text *t)
{
    unsigned char sum[SHA_MAX];

    sha_final(&t->sha, sum);
    if (x->key != NULL) {
        signature_write(x->key, sum, &x->signature);
    }
}

/* --- index.json ---------------------------------------------------------------------------- */

/* Whole names in both places, so that an archive of several images tells them apart. A referrer is
 * found by its subject, and needs no name. */
static void entry_fill(const struct imageset_image *i, struct layout_entry *e)
{
    char digest[DIGEST_TEXT_MAX];

    *e = (struct layout_entry){.digest = i->line.digest, .size = i->line.size};
    snprintf(e->media_type, sizeof(e->media_type), "%s", i->line.media_type);
    if (i->line.tag[0] != '\0') {
        snprintf(e->image_name, sizeof(e->image_name), "%s:%s", i->line.name, i->line.tag);
        memcpy(e->ref_name, e->image_name, sizeof(e->ref_name));
    } else if (i->subject.alg == 0) {
        snprintf(e->image_name, sizeof(e->image_name), "%s@%s", i->line.name,
                 digest_text(&i->line.digest, digest));
    }
    e->has_subject = i->subject.alg != 0;
    e->subject = i->subject;
}

/* What the bundle leaves out stands in the list alone. */
static int index_make(struct export *x, struct text *t, struct err *err)
{
    struct imageset_image *image = xnew(struct imageset_image);
    struct layout_entry *entry = xnew(struct layout_entry);
    bool first = true;
    int result = 0;

    layout_index_open(&t->piece);
    for (size_t i = 0; i < x->images.n && result == 0; i++) {
        imageset_get(&x->images, i, image);
        if (!blobset_has(&x->blobs, &image->line.digest)) {
            continue;
        }
        entry_fill(image, entry);
        layout_index_entry(&t->piece, entry, first);
        first = false;
        result = text_grown(t, err);
    }
    layout_index_close(&t->piece);
    free(image);
    free(entry);
    return result == 0 ? text_flush(t, err) : -1;
}

/* --- manifest.json ------------------------------------------------------------------------- */

/* An image that docker runs: with a configuration, and layers that are archives, all of them in
 * the bundle. */
static bool is_for_docker(const struct export *x, const struct manifest *m)
{
    const struct descriptor *d = m->children;

    if (m->type != MANIFEST_IMAGE || m->n_children == 0 || d[0].kind != CHILD_CONFIG ||
        (strcmp(d[0].media_type, CONFIG_DOCKER) != 0 && strcmp(d[0].media_type, CONFIG_OCI) != 0)) {
        return false;
    }
    for (size_t i = 0; i < m->n_children; i++) {
        if (!blobset_has(&x->blobs, &d[i].digest) ||
            (i > 0 && strstr(d[i].media_type, ".tar") == NULL)) {
            return false;
        }
    }
    return true;
}

static void docker_add(struct text *t, const struct imageset_image *i, const struct manifest *m,
                       bool first)
{
    char name[REFERENCE_TEXT_MAX];
    const char *tags[] = {name};

    snprintf(name, sizeof(name), "%s:%s", i->line.name, i->line.tag);
    docker_list_image(&t->piece, &m->children[0].digest, tags, 1, first);
    for (size_t k = 1; k < m->n_children; k++) {
        docker_list_layer(&t->piece, &m->children[k].digest, k == 1);
    }
    docker_list_image_end(&t->piece);
}

static int docker_one(struct export *x, struct text *t, const struct imageset_image *i, bool *first,
                      struct err *err)
{
    struct export_body b;
    struct manifest *m = NULL;
    int result;

    if (i->docker.alg == 0 || !blobset_has(&x->blobs, &i->docker)) {
        return 0;
    }
    if (export_ask_blob(x, &i->docker, &b, err) < 0) {
        return err_wrap(err, "%.100s:%.60s", i->line.name, i->line.tag);
    }
    result = manifest_parse(buf_view(&b.text), slice_str(""), &m, err);
    if (result == 0 && is_for_docker(x, m)) {
        docker_add(t, i, m, *first);
        *first = false;
        result = text_grown(t, err);
    }
    manifest_free(m);
    export_body_fini(&b);
    return result;
}

static int docker_make(struct export *x, struct text *t, struct err *err)
{
    struct imageset_image *image = xnew(struct imageset_image);
    bool first = true;
    int result = 0;

    docker_list_open(&t->piece);
    for (size_t i = 0; i < x->images.n && result == 0; i++) {
        imageset_get(&x->images, i, image);
        result = docker_one(x, t, image, &first, err);
    }
    docker_list_close(&t->piece);
    free(image);
    if (result == 0 && !first) {
        result = text_flush(t, err);
    }
    return result;
}

/* --- all ----------------------------------------------------------------------------------- */

int export_texts(struct export *x, struct err *err)
{
    struct text t;
    int result;

    text_init(&t, &x->list);
    result = list_make(x, &t, err);
    if (result == 0) {
        list_sign(x, &t);
    }
    buf_free(&t.piece);
    if (result == 0) {
        text_init(&t, &x->index);
        result = index_make(x, &t, err);
        buf_free(&t.piece);
    }
    if (result == 0) {
        text_init(&t, &x->docker);
        result = docker_make(x, &t, err);
        buf_free(&t.piece);
    }
    return result;
}
