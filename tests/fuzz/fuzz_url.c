/* tests/fuzz/fuzz_url.c - any bytes as a URL and as a reference; what results is a URL again. */
#include "http/url.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What is written of a URL reads as the same. */
static void check_url(const struct http_url *u)
{
    struct http_url again;
    const char *why;
    struct buf text;

    buf_init(&text, 2 * HTTP_URL_MAX);
    http_origin_text(&u->origin, &text);
    http_url_target(u, &text);
    if (text.len <= HTTP_URL_MAX) {
        assert(http_url_parse(buf_view(&text), &again, &why));
        assert(http_origin_equal(&u->origin, &again.origin));
        assert(slice_eq(u->path, again.path) && slice_eq(u->query, again.query));
        assert(again.user.p == NULL);
    }
    buf_free(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice in = slice_of((const char *)data, size);
    struct http_url base;
    struct http_url u;
    const char *why;
    struct buf out;
    bool good;

    if (http_url_parse(in, &u, &why)) {
        check_url(&u);
    }
    good = http_url_parse(slice_str("https://a:1/b/c/d;p?q"), &base, &why);
    assert(good);
    buf_init(&out, HTTP_URL_MAX);
    if (http_url_resolve(&base, in, &out, &why)) {
        good = http_url_parse(buf_view(&out), &u, &why);
        assert(good);
        check_url(&u);
    }
    out.len = 0;
    http_url_decode(in, &out);
    buf_free(&out);
    return 0;
}
