/* tests/fuzz/fuzz_request_head.c - any bytes as a request head, at once and in two pieces. */
#include "http/head.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool inside(struct slice s, struct slice in)
{
    return s.len == 0 || (s.p >= in.p && s.p + s.len <= in.p + in.len);
}

static void check_head(const struct http_head *h, struct slice in)
{
    assert(h->n_fields <= HEADERS_MAX && (h->minor == 0 || h->minor == 1));
    assert(inside(h->method_text, in) && inside(h->target, in) && inside(h->query, in));
    assert(inside(h->host, in) && h->framing != HTTP_BODY_UNTIL_CLOSE);
    for (size_t i = 0; i < h->n_fields; i++) {
        assert(h->fields[i].name.len > 0 && inside(h->fields[i].name, in));
        assert(inside(h->fields[i].value, in));
        assert(memchr(h->fields[i].value.p, '\n', h->fields[i].value.len) == NULL);
    }
    if (h->framing == HTTP_BODY_CHUNKED) {
        assert(h->minor == 1 && http_field(h, "content-length").p == NULL);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice in = slice_of((const char *)data, size);
    struct http_parse whole = {0};
    struct http_parse pieces = {0};
    static struct http_head head;
    static struct http_head again;
    enum http_parsed parsed;
    enum http_parsed first;
    struct err err;
    size_t used = 0;
    size_t used_again = 0;

    parsed = http_parse_request(&whole, in, &head, &used, &err);
    if (parsed == HTTP_PARSED_HEAD) {
        assert(used <= size);
        check_head(&head, slice_sub(in, 0, used));
    }
    first = http_parse_request(&pieces, slice_sub(in, 0, size / 2), &again, &used_again, &err);
    if (first == HTTP_PARSED_MORE) {
        first = http_parse_request(&pieces, in, &again, &used_again, &err);
    }
    assert(first == parsed && used_again == used);
    assert(parsed != HTTP_PARSED_HEAD || again.n_fields == head.n_fields);
    return 0;
}
