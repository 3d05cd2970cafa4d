/*
 * fuzz_referrers.c - any list of referrers. Input: an artifact type, a line end, the body. What is
 * written anew must be read, and filtering it again must change nothing.
 */
#include "oci/manifest.h"
#include "oci/referrers.h"

#include <assert.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Escapes may make the text longer than any that is read. */
#define WRITTEN_MAX ((size_t)8 * MANIFEST_MAX)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice body = slice_of((const char *)data, size);
    struct slice type = SLICE_NULL;
    struct err e = {0};
    struct buf once;
    struct buf twice;

    if (size == 0 || !slice_split(&body, '\n', &type) || body.p == NULL) {
        return 0;
    }
    buf_init(&once, WRITTEN_MAX);
    buf_init(&twice, WRITTEN_MAX);
    if (referrers_filter(body, type, &once, &e) == 0) {
        assert(!once.failed);
        assert(referrers_filter(buf_view(&once), type, &twice, &e) == 0);
        assert(slice_eq(buf_view(&once), buf_view(&twice)));
    } else {
        assert(e.code == ERR_UPSTREAM_PROTOCOL && once.len == 0);
    }
    buf_free(&once);
    buf_free(&twice);
    return 0;
}
