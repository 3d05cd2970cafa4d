/* fuzz_bearer.c - any Authorization field where a token of ours is looked for. */
#include "registry/bearer.h"

#include <assert.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct bearer_key KEY = {"a key of thirty-two bytes, as is"};
    struct slice field = slice_of((const char *)data, size);
    char text[BEARER_TEXT_MAX];
    struct bearer b;

    if (size == 0 || !bearer_read(field, &b)) {
        return 0;
    }
    assert(bearer_is_meant(field) && strlen(b.user) < USER_MAX);
    /* One token has one text. */
    bearer_text(&b, text);
    assert(slice_is(slice_trim(slice_from(field, slice_find(field, ' '))), text));
    bearer_seal(&b, &KEY, "");
    assert(bearer_is_sealed(&b, &KEY, "") && !bearer_is_sealed(&b, &KEY, "x"));
    return 0;
}
