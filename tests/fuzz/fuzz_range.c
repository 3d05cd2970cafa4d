/* tests/fuzz/fuzz_range.c - any bytes as Range, Content-Range and conditions. */
#include "http/cond.h"
#include "http/range.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint64_t sizes[] = {0, 1, 10, 2048, INT64_MAX, HTTP_LENGTH_UNKNOWN};
    struct slice in = slice_of((const char *)data, size);
    static struct http_head head;
    struct http_range r;
    char text[HTTP_RANGE_TEXT_SIZE];
    uint64_t total;

    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        if (http_range_parse(in, sizes[i], &r) == HTTP_RANGE_ONE) {
            assert(r.from <= r.to);
            assert(sizes[i] == HTTP_LENGTH_UNKNOWN || r.to < sizes[i]);
            http_range_text(&r, sizes[i], text);
        }
    }
    if (http_content_range_parse(in, &r, &total)) {
        assert(r.from <= r.to && (total == HTTP_LENGTH_UNKNOWN || r.to < total));
        http_range_text(&r, total, text);
        assert(http_content_range_parse(slice_str(text), &r, &total));
    }
    head.method = HTTP_GET;
    head.n_fields = 2;
    head.fields[0] = (struct http_field){slice_str("If-None-Match"), in};
    head.fields[1] = (struct http_field){slice_str("If-Match"), in};
    if (http_cond_check(&head, slice_str("sha256:a")) == HTTP_COND_NOT_MODIFIED) {
        assert(size > 0);
    }
    return 0;
}
