/* tests/fuzz/fuzz_chunked.c - any bytes as a chunked body: at once, and byte by byte, the same. */
#include "http/chunked.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The sum over the body's bytes stands for the body. */
static enum http_chunk decode(struct slice in, size_t piece, uint64_t *ret_sum, size_t *ret_left)
{
    struct http_chunked c = {0};
    enum http_chunk result = HTTP_CHUNK_MORE;
    struct slice data;
    struct err err;

    *ret_sum = 0;
    while (in.len > 0 && result == HTTP_CHUNK_MORE) {
        struct slice now = slice_sub(in, 0, piece);
        size_t given = now.len;

        while ((result = http_chunked_next(&c, &now, &data, &err)) == HTTP_CHUNK_DATA) {
            assert(data.len > 0);
            for (size_t i = 0; i < data.len; i++) {
                *ret_sum = *ret_sum * 31 + (unsigned char)data.p[i];
            }
        }
        assert(result != HTTP_CHUNK_MORE || now.len == 0);
        in = slice_from(in, given - now.len);
    }
    *ret_left = in.len;
    return result;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice in = slice_of((const char *)data, size);
    uint64_t sum;
    uint64_t sum_again;
    size_t left;
    size_t left_again;
    enum http_chunk result = decode(in, size, &sum, &left);

    assert(decode(in, 1, &sum_again, &left_again) == result);
    assert(sum == sum_again && left == left_again);
    return 0;
}
