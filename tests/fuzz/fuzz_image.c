/*
 * fuzz_image.c - any image configuration. Input: the configuration.
 *
 * What is taken holds only digests that can be asked for, and is JSON within the bounds, as the
 * walker over manifests judges it too.
 */
#include "oci/image.h"
#include "oci/manifest.h"

#include <assert.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_image(const struct image *i)
{
    char text[DIGEST_TEXT_MAX];

    assert(i->n_diff_ids <= IMAGE_LAYERS_MAX);
    assert(memchr(i->architecture, '\0', sizeof(i->architecture)) != NULL);
    assert(memchr(i->os, '\0', sizeof(i->os)) != NULL);
    for (size_t n = 0; n < i->n_diff_ids; n++) {
        struct digest back;

        assert(digest_parse(slice_str(digest_text(&i->diff_ids[n], text)), &back));
        assert(digest_equal(&i->diff_ids[n], &back));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice body = slice_of((const char *)data, size);
    struct image *i = NULL;
    struct err e = {0};

    if (image_parse(body, &i, &e) == 0) {
        assert(manifest_scan(body, &e) == 0);
        check_image(i);
    } else {
        assert(i == NULL && e.code == ERR_MANIFEST_INVALID && e.text[0] != '\0');
    }
    image_free(i);
    return 0;
}
