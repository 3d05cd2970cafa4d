/*
 * fuzz_manifest.c - any manifest. Input: the Content-Type, a line end, the body.
 *
 * The walker that bounds a body must accept no less JSON than it is followed by: whatever is
 * parsed was scanned, and what was parsed holds only what can be asked for.
 */
#include "oci/manifest.h"

#include <assert.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_manifest(const struct manifest *m)
{
    char text[DIGEST_TEXT_MAX];

    assert(m->type == MANIFEST_INDEX || m->type == MANIFEST_IMAGE || m->type == MANIFEST_ARTIFACT);
    assert(media_type_is_manifest(slice_str(m->media_type)));
    assert(m->n_children <= MANIFEST_VALUES_MAX);
    for (size_t i = 0; i < m->n_children; i++) {
        const struct descriptor *d = &m->children[i];
        struct digest back;

        assert(digest_parse(slice_str(digest_text(&d->digest, text)), &back));
        assert(digest_equal(&d->digest, &back));
        assert(strlen(d->media_type) < sizeof(d->media_type));
        assert((d->kind == CHILD_MANIFEST) <= media_type_is_manifest(slice_str(d->media_type)));
        assert(d->size <= INT64_MAX || d->size == DESCRIPTOR_SIZE_UNKNOWN);
    }
    if (m->has_subject) {
        assert(digest_text(&m->subject, text) != NULL);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice body = slice_of((const char *)data, size);
    struct slice content_type = SLICE_NULL;
    struct manifest *m = NULL;
    struct err e = {0};

    if (size == 0 || !slice_split(&body, '\n', &content_type) || body.p == NULL) {
        return 0;
    }
    if (manifest_parse(body, content_type, &m, &e) == 0) {
        assert(manifest_scan(body, &e) == 0);
        check_manifest(m);
    } else {
        assert(m == NULL && e.code == ERR_MANIFEST_INVALID && e.text[0] != '\0');
    }
    manifest_free(m);
    return 0;
}
