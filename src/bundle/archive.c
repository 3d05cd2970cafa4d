/* bundle/archive.c - files by their names, and docker's images out of them. */
#include "bundle/archive.h"

#include "bundle/layout.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#define MEDIA_CONFIG "application/vnd.docker.container.image.v1+json"
#define MEDIA_LAYER "application/vnd.docker.image.rootfs.diff.tar"
/* Links that lead to links. */
#define LINKS_MAX 8

void archive_init(struct archive *a)
{
    *a = (struct archive){.kind = ARCHIVE_SKIP};
    seen_init(&a->seen);
    map_init(&a->files);
}

void archive_fini(struct archive *a)
{
    while (a->first != NULL) {
        struct archive_file *f = a->first;

        a->first = f->next;
        free(f->name);
        free(f->link);
        free(f);
    }
    map_fini(&a->files);
    seen_fini(&a->seen);
}

/* --- errors -------------------------------------------------------------------------------- */

int archive_blame(const char *name, uint64_t offset, struct err *e)
{
    char shown[ARCHIVE_BLAME_MAX + 1] = "";

    for (size_t i = 0; i < ARCHIVE_BLAME_MAX && name[i] != '\0'; i++) {
        unsigned char c = (unsigned char)name[i];

        shown[i] = c < 0x20 || c == 0x7f ? '?' : (char)c;
    }
    if (offset == ARCHIVE_NO_OFFSET) {
        return err_wrap(e, "the folder's file %s", shown);
    }
    return err_wrap(e, "the archive's entry %s, at byte %llu", shown, (unsigned long long)offset);
}

static int bad(const struct tar_entry *entry, struct err *e, const char *why)
{
    ignore_result(err_set(e, ERR_BAD_REQUEST, "%s", why));
    return archive_blame(entry->name, entry->offset, e);
}

/* --- docker's files ------------------------------------------------------------------------ */

static bool file_same(const struct map_node *node, const void *key)
{
    return strcmp(container_of_const(node, struct archive_file, node)->name, key) == 0;
}

static struct archive_file *file_find(const struct archive *a, const char *name)
{
    struct map_node *node = map_find(&a->files, map_hash(name, strlen(name)), file_same, name);

    return node == NULL ? NULL : container_of(node, struct archive_file, node);
}

static int file_add(struct archive *a, const struct tar_entry *entry, const char *link,
                    struct err *e)
{
    size_t len = strlen(entry->name);
    struct archive_file *f;

    a->names += len + (link == NULL ? 0 : strlen(link));
    if (a->files.count == ARCHIVE_FILES_MAX || a->names > ARCHIVE_NAMES_MAX) {
        return bad(entry, e, "more such files than are read");
    }
    if (file_find(a, entry->name) != NULL) {
        return bad(entry, e, "it came before");
    }
    f = xnew(struct archive_file);
    f->name = xstrdup(entry->name);
    f->link = link == NULL ? NULL : xstrdup(link);
    f->size = entry->size;
    f->next = a->first;
    a->first = f;
    map_insert(&a->files, map_hash(f->name, len), &f->node);
    a->file = f;
    return 0;
}

/* The digest that the name of a configuration tells: HEX.json, or sha256:HEX. */
static bool config_digest(const char *name, struct digest *ret)
{
    struct slice s = slice_str(name);
    char text[DIGEST_TEXT_MAX];

    if (slice_starts(s, "sha256:")) {
        return digest_parse(s, ret);
    }
    if (!slice_ends(s, ".json") || s.len != 64 + 5) {
        return false;
    }
    snprintf(text, sizeof(text), "sha256:%.64s", name);
    return digest_parse(slice_str(text), ret);
}

/* ID/layer.tar, HEX.tar, HEX.tar.gz. */
static bool is_layer(const char *name)
{
    struct slice s = slice_str(name);

    return slice_ends(s, ".tar") || slice_ends(s, ".tar.gz") || slice_ends(s, ".tgz");
}

/* --- entries ------------------------------------------------------------------------------- */

static int blob_take(struct archive *a, const struct tar_entry *entry, struct err *e)
{
    switch (seen_add(&a->seen, &a->digest)) {
    case SEEN_NEW:
        break;
    case SEEN_BEFORE:
        return bad(entry, e, "it came before");
    case SEEN_FULL:
        return bad(entry, e, "more blobs than are read of one archive");
    }
    a->kind = ARCHIVE_BLOB;
    return 0;
}

static int once_take(struct archive *a, enum archive_kind kind, const struct tar_entry *entry,
                     struct err *e)
{
    if (a->came[kind]) {
        return bad(entry, e, "it came before");
    }
    a->kind = kind;
    return 0;
}

/* The list must be known before anything is kept, and its signature before it is believed. */
static int first_take(struct archive *a, enum archive_kind kind, const struct tar_entry *entry,
                      struct err *e)
{
    if (a->came[ARCHIVE_BLOB] || a->came[ARCHIVE_FILE] || a->came[ARCHIVE_INDEX] ||
        a->came[ARCHIVE_DOCKER] || a->came[ARCHIVE_VERSION] ||
        (kind == ARCHIVE_SIGNATURE && !a->came[ARCHIVE_LIST])) {
        return bad(
            entry, e,
            "it must stand at the beginning: larder/list, then its signature, then the rest");
    }
    return once_take(a, kind, entry, e);
}

/* What no layout has, and docker's archives do. */
static int other_take(struct archive *a, const struct tar_entry *entry, struct err *e)
{
    if (a->came[ARCHIVE_LIST] || a->came[ARCHIVE_INDEX] || a->came[ARCHIVE_VERSION]) {
        return 0;
    }
    if (config_digest(entry->name, &a->digest)) {
        if (file_add(a, entry, NULL, e) < 0 || blob_take(a, entry, e) < 0) {
            return -1;
        }
        a->file->digest = a->digest;
        return 0;
    }
    if (!is_layer(entry->name)) {
        return 0;
    }
    a->kind = ARCHIVE_FILE;
    return file_add(a, entry, NULL, e);
}

/* Whether nothing came yet that an archive of images has. */
static bool may_be_none(const struct archive *a)
{
    for (size_t kind = 0; kind < ARRAY_LEN(a->came); kind++) {
        if (a->came[kind] && kind != ARCHIVE_SKIP) {
            return false;
        }
    }
    return true;
}

static int link_take(struct archive *a, const struct tar_entry *entry, struct err *e)
{
    char target[TAR_NAME_MAX + 1];
    struct digest digest;

    if (layout_file_of(entry->name, &digest) != LAYOUT_FILE_OTHER) {
        return bad(entry, e, "a link, where a file belongs");
    }
    if (!is_layer(entry->name)) {
        return bad(entry, e,
                   may_be_none(a) ? "a link, as no image has; `docker save` writes images, `docker "
                                    "export` does not"
                                  : "a link, where a file belongs");
    }
    if (!tar_link_target(entry, target)) {
        return bad(entry, e, "a link that leads out of the archive");
    }
    return file_add(a, entry, target, e);
}

static int plain_take(struct archive *a, const struct tar_entry *entry, struct err *e)
{
    if (strcmp(entry->name, ARCHIVE_LIST_NAME) == 0) {
        return first_take(a, ARCHIVE_LIST, entry, e);
    }
    if (strcmp(entry->name, ARCHIVE_SIGNATURE_NAME) == 0) {
        return first_take(a, ARCHIVE_SIGNATURE, entry, e);
    }
    switch (layout_file_of(entry->name, &a->digest)) {
    case LAYOUT_FILE_BLOB:
        return blob_take(a, entry, e);
    case LAYOUT_FILE_VERSION:
        return once_take(a, ARCHIVE_VERSION, entry, e);
    case LAYOUT_FILE_INDEX:
        return once_take(a, ARCHIVE_INDEX, entry, e);
    case LAYOUT_FILE_DOCKER:
        return once_take(a, ARCHIVE_DOCKER, entry, e);
    case LAYOUT_FILE_OTHER:
        break;
    }
    return other_take(a, entry, e);
}

int archive_take(struct archive *a, const struct tar_entry *entry, struct err *e)
{
    int result = 0;

    a->kind = ARCHIVE_SKIP;
    a->file = NULL;
    switch (entry->type) {
    case TAR_DIR:
        break;
    case TAR_FILE:
        result = plain_take(a, entry, e);
        break;
    case TAR_SYMLINK:
    case TAR_HARDLINK:
        result = link_take(a, entry, e);
        break;
    case TAR_OTHER:
        result = bad(entry, e, "neither a file nor a folder");
        break;
    }
    a->came[a->kind] = true;
    return result;
}

int archive_finish(const struct archive *a, struct err *e)
{
    if (a->came[ARCHIVE_LIST] || a->came[ARCHIVE_INDEX]) {
        return 0;
    }
    if (a->came[ARCHIVE_VERSION]) {
        return err_set(e, ERR_BAD_REQUEST, "an image layout without index.json");
    }
    return a->came[ARCHIVE_DOCKER]
               ? 0
               : err_set(e, ERR_BAD_REQUEST,
                         "nothing tells which images are in it: neither larder/list nor index.json "
                         "nor manifest.json");
}

/* --- manifests ----------------------------------------------------------------------------- */

bool archive_is_gzip(struct slice begin)
{
    return slice_starts(begin, "\x1f\x8b");
}

/* As it stands in manifest.json, links followed; NULL where it did not come. */
static const struct archive_file *file_named(const struct archive *a, const char *name)
{
    const struct archive_file *f = file_find(a, name);

    for (unsigned i = 0; i < LINKS_MAX && f != NULL && f->link != NULL; i++) {
        f = file_find(a, f->link);
    }
    return f == NULL || f->link != NULL ? NULL : f;
}

static int child_add(const struct archive *a, const char *name, bool config, struct buf *out,
                     struct err *e)
{
    const struct archive_file *f = file_named(a, name);
    char text[DIGEST_TEXT_MAX];

    if (f == NULL) {
        return err_set(e, ERR_BAD_REQUEST,
                       "manifest.json names the file %.120s, which is not in the archive", name);
    }
    assert(f->digest.alg != 0);
    buf_printf(out, "{\"mediaType\":\"%s%s\",\"size\":%llu,\"digest\":\"%s\"}",
               config ? MEDIA_CONFIG : MEDIA_LAYER, !config && f->gzip ? ".gzip" : "",
               (unsigned long long)f->size, digest_text(&f->digest, text));
    return 0;
}

int archive_manifest(const struct archive *a, const struct docker_image *image, struct buf *out,
                     struct err *e)
{
    buf_str(out,
            "{\"schemaVersion\":2,\"mediaType\":\"" MEDIA_TYPE_DOCKER_MANIFEST "\",\"config\":");
    if (child_add(a, image->config, true, out, e) < 0) {
        return -1;
    }
    buf_str(out, ",\"layers\":[");
    for (size_t i = 0; i < image->n_layers; i++) {
        buf_str(out, i == 0 ? "" : ",");
        if (child_add(a, image->layers[i], false, out, e) < 0) {
            return -1;
        }
    }
    buf_str(out, "]}");
    return 0;
}
