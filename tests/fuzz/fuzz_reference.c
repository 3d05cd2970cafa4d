/* fuzz_reference.c - any text as an image's reference: what is accepted reads the same again. */
#include "oci/reference.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char text[REFERENCE_TEXT_MAX];
    struct reference again;
    struct reference r;
    struct err e = {0};

    if (reference_parse(slice_of((const char *)data, size), &r, &e) < 0) {
        assert(e.text[0] != '\0');
        return 0;
    }
    assert(r.name[0] != '\0' && (r.tag[0] == '\0' || tag_valid(slice_str(r.tag))));
    assert(r.tag[0] != '\0' || r.by_digest);
    assert(reference_parse(slice_str(reference_text(&r, text)), &again, &e) == 0);
    assert(strcmp(r.name, again.name) == 0 && strcmp(r.tag, again.tag) == 0);
    assert(r.by_digest == again.by_digest && digest_equal(&r.digest, &again.digest));
    return 0;
}
