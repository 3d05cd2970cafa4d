/* tests/fuzz/fuzz_response_head.c - any bytes as a response head; the first says what was asked. */
#include "http/head.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct http_parse whole = {0};
    struct http_parse pieces = {0};
    static struct http_head head;
    enum http_method asked;
    enum http_parsed parsed;
    enum http_parsed first;
    struct slice in;
    struct err err;
    size_t used = 0;
    size_t used_again = 0;

    if (size == 0) {
        return 0;
    }
    asked = (enum http_method)(data[0] % (HTTP_OTHER + 1));
    in = slice_of((const char *)data + 1, size - 1);
    parsed = http_parse_response(&whole, in, asked, &head, &used, &err);
    if (parsed == HTTP_PARSED_HEAD) {
        assert(used <= in.len && head.n_fields <= HEADERS_MAX);
        assert(head.status >= 100 && head.status <= 599);
        assert(head.framing != HTTP_BODY_CHUNKED || head.minor == 1);
        assert(asked != HTTP_HEAD || head.framing == HTTP_BODY_NONE);
    }
    first =
        http_parse_response(&pieces, slice_sub(in, 0, in.len / 2), asked, &head, &used_again, &err);
    if (first == HTTP_PARSED_MORE) {
        first = http_parse_response(&pieces, in, asked, &head, &used_again, &err);
    }
    assert(first == parsed && used_again == used);
    return 0;
}
