/*
 * fuzz_archive.c - any files in any order as an archive of images. Input: a line an entry ("f" a
 * file, "s" a symbolic and "h" a hard link, "d" a folder, then its name, then a blank and what it
 * links to), an empty line, and manifest.json.
 *
 * No digest is given twice, what was given of docker's can be found again, and each manifest that
 * is made can be parsed and names as many children as the image does.
 */
#include "bundle/archive.h"
#include "oci/manifest.h"

#include <assert.h>
#include <stdio.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MANIFEST_MADE_MAX (2u << 20)

/* A name as tar_read gives it: no part of it leads up, and none is empty. */
static bool name_good(struct slice name)
{
    struct slice part;

    if (name.len == 0 || name.p[name.len - 1] == '/') {
        return false;
    }
    while (slice_split(&name, '/', &part)) {
        if (part.len == 0 || slice_is(part, "..") || slice_is(part, ".")) {
            return false;
        }
    }
    return true;
}

static bool entry_read(struct slice line, struct tar_entry *ret)
{
    static const char types[] = "fdsh";
    struct slice name = slice_from(line, 1);
    size_t blank = slice_find(name, ' ');
    const char *type = line.len < 2 ? NULL : strchr(types, line.p[0]);

    *ret = (struct tar_entry){.size = 5, .offset = 512};
    if (type == NULL || *type == '\0' || !name_good(slice_sub(name, 0, blank)) ||
        !slice_copy(slice_sub(name, 0, blank), ret->name, sizeof(ret->name))) {
        return false;
    }
    ret->type = (enum tar_type)(type - types);
    return ret->type < TAR_SYMLINK || blank == name.len ||
           slice_copy(slice_from(name, blank + 1), ret->link, sizeof(ret->link));
}

static void check_taken(struct archive *a, struct seen *given)
{
    switch (a->kind) {
    case ARCHIVE_BLOB:
        assert(a->digest.alg != 0);
        assert(seen_add(given, &a->digest) == SEEN_NEW);
        break;
    case ARCHIVE_FILE:
        assert(a->file != NULL && a->file->link == NULL);
        a->file->digest = (struct digest){.alg = DIGEST_SHA256};
        break;
    default:
        assert(a->file == NULL || a->file->link != NULL);
        break;
    }
}

static void check_image(const struct archive *a, const struct docker_image *image)
{
    struct err e = {0};
    struct manifest *m;
    struct buf out;

    buf_init(&out, MANIFEST_MADE_MAX);
    if (archive_manifest(a, image, &out, &e) == 0) {
        assert(manifest_parse(buf_view(&out), SLICE_NULL, &m, &e) == 0);
        assert(m->type == MANIFEST_IMAGE && m->n_children == image->n_layers + 1);
        manifest_free(m);
    } else {
        assert(e.text[0] != '\0');
    }
    buf_free(&out);
}

static void check_images(const struct archive *a, struct slice text)
{
    struct docker_read r;
    struct err e;

    docker_read_init(&r);
    while (docker_read_feed(&r, &text, &e) == DOCKER_IMAGE) {
        check_image(a, &r.image);
    }
    docker_read_fini(&r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct tar_entry entry;
    struct slice rest = slice_of((const char *)data, size);
    struct archive a;
    struct seen given;
    struct slice line;
    struct err e = {0};

    archive_init(&a);
    seen_init(&given);
    while (slice_split(&rest, '\n', &line) && line.len > 0) {
        if (!entry_read(line, &entry)) {
            continue;
        }
        if (archive_take(&a, &entry, &e) < 0) {
            assert(e.text[0] != '\0');
            break;
        }
        check_taken(&a, &given);
    }
    ignore_result(archive_finish(&a, &e));
    check_images(&a, rest);
    seen_fini(&given);
    archive_fini(&a);
    return 0;
}
