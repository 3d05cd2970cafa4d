/* tests/unit/test_http_chunked.c - the chunked coding: strict sizes, bounds, every split. */
#include "http/chunked.c"

#include <stdio.h>
#include <stdlib.h>

#include "tap.h"

/* Decodes `n` bytes given in pieces of `piece` bytes; the body is appended to `body`. *ret_left:
 * how many bytes were not the message's. Each piece is an exact heap copy. */
static enum http_chunk decode(const char *text, size_t n, size_t piece, struct buf *body,
                              size_t *ret_left)
{
    struct http_chunked c = {0};
    enum http_chunk result = HTTP_CHUNK_MORE;
    struct err err;

    for (size_t at = 0; at < n && result == HTTP_CHUNK_MORE;) {
        size_t len = piece < n - at ? piece : n - at;
        char *copy = xcalloc(len, 1);
        struct slice in = slice_of(copy, len);
        struct slice data = SLICE_NULL;

        memcpy(copy, text + at, len);
        while ((result = http_chunked_next(&c, &in, &data, &err)) == HTTP_CHUNK_DATA) {
            buf_slice(body, data);
        }
        at += len;
        *ret_left = n - at + in.len;
        free(copy);
    }
    return result;
}

static const struct {
    const char *text; /* followed by "NEXT" */
    const char *body;
} GOOD[] = {
    {"0\r\n\r\n", ""},
    {"5\r\nhello\r\n0\r\n\r\n", "hello"},
    {"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n", "hello world"},
    {"A\r\n0123456789\r\n0\r\n\r\n", "0123456789"},
    {"a\r\n0123456789\r\n0\r\n\r\n", "0123456789"},
    {"0000000000000005\r\nhello\r\n000\r\n\r\n", "hello"},
    {"5;a=b\r\nhello\r\n0\r\n\r\n", "hello"},
    {"5;a=\"b;c\";d\r\nhello\r\n0;e\r\n\r\n", "hello"},
    {"5;\ta\r\nhello\r\n0\r\n\r\n", "hello"},
    {"2\r\n\r\n\r\n0\r\n\r\n", "\r\n"},
    {"5\r\nhello\r\n0\r\nA: b\r\n\r\n", "hello"},
    {"0\r\nA: b\r\nX-Long:\r\nC:d\te\r\n\r\n", ""},
};

static void test_good(void)
{
    char text[256];

    for (size_t i = 0; i < ARRAY_LEN(GOOD); i++) {
        size_t n = (size_t)snprintf(text, sizeof(text), "%sNEXT", GOOD[i].text);
        bool good = true;

        for (size_t piece = 1; piece <= n; piece++) {
            struct buf body;
            size_t left;

            buf_init(&body, 256);
            good = good && decode(text, n, piece, &body, &left) == HTTP_CHUNK_END && left == 4 &&
                   slice_is(buf_view(&body), GOOD[i].body);
            buf_free(&body);
        }
        CHECK_NOTE(good, GOOD[i].body);
    }
}

static const struct {
    const char *what;
    const char *text;
} BAD_BODIES[] = {
    {"0x5", "0x5\r\nhello\r\n0\r\n\r\n"},
    {"+5", "+5\r\nhello\r\n0\r\n\r\n"},
    {"-5", "-5\r\nhello\r\n0\r\n\r\n"},
    {"-0", "-0\r\n\r\n"},
    {"a space before", " 5\r\nhello\r\n0\r\n\r\n"},
    {"a space behind", "5 \r\nhello\r\n0\r\n\r\n"},
    {"a tab behind", "5\t\r\nhello\r\n0\r\n\r\n"},
    {"junk behind", "5 junk\r\nhello\r\n0\r\n\r\n"},
    {"a space before an extension", "5 ;a=b\r\nhello\r\n0\r\n\r\n"},
    {"no size", "\r\nhello\r\n0\r\n\r\n"},
    {"no size, extension", ";a=b\r\nhello\r\n0\r\n\r\n"},
    {"not hexadecimal", "g\r\nhello\r\n0\r\n\r\n"},
    {"not hexadecimal later", "5g\r\nhello\r\n0\r\n\r\n"},
    {"underscore", "1_0\r\nhello\r\n0\r\n\r\n"},
    {"17 digits", "00000000000000005\r\nhello\r\n0\r\n\r\n"},
    {"64 bits", "8000000000000000\r\nhello"},
    {"all ones", "ffffffffffffffff\r\nhello"},
    {"LF only", "5\nhello\n0\n\n"},
    {"LF behind the size", "5\nhello\r\n0\r\n\r\n"},
    {"CR without LF behind the size", "5\rhello\r\n0\r\n\r\n"},
    {"two CR behind the size", "5\r\r\nhello\r\n0\r\n\r\n"},
    {"LF behind the data", "5\r\nhello\n0\r\n\r\n"},
    {"nothing behind the data", "5\r\nhello0\r\n\r\n"},
    {"more data than the size", "5\r\nhello!\r\n0\r\n\r\n"},
    {"CR without LF behind the data", "5\r\nhello\r0\r\n\r\n"},
    {"LF at the end", "5\r\nhello\r\n0\r\n\n"},
    {"LF behind the last size", "5\r\nhello\r\n0\n\r\n"},
    {"LF in an extension", "5;a\nb\r\nhello\r\n0\r\n\r\n"},
    {"control character in an extension", "5;a\x01\r\nhello\r\n0\r\n\r\n"},
    {"CR in an extension", "5;a\rb\r\nhello\r\n0\r\n\r\n"},
    {"a trailer without a colon", "0\r\nA\r\n\r\n"},
    {"a trailer without a name", "0\r\n: b\r\n\r\n"},
    {"a trailer with a space in its name", "0\r\nA : b\r\n\r\n"},
    {"a folded trailer", "0\r\nA: b\r\n c\r\n\r\n"},
    {"a trailer with LF", "0\r\nA: b\n\r\n"},
    {"a trailer with CR", "0\r\nA: b\rc\r\n\r\n"},
    {"a trailer with a control character", "0\r\nA: \x01\r\n\r\n"},
};

static void test_bad(void)
{
    for (size_t i = 0; i < ARRAY_LEN(BAD_BODIES); i++) {
        size_t n = strlen(BAD_BODIES[i].text);
        bool good = true;

        for (size_t piece = 1; piece <= n; piece++) {
            struct buf body;
            size_t left;

            buf_init(&body, 256);
            good = good && decode(BAD_BODIES[i].text, n, piece, &body, &left) == HTTP_CHUNK_BAD;
            buf_free(&body);
        }
        CHECK_NOTE(good, BAD_BODIES[i].what);
    }
}

/* `count` bytes of extension, or of trailers (each line 4 bytes or so). */
static enum http_chunk bounded(const char *before, const char *unit, size_t count,
                               const char *after)
{
    enum http_chunk result;
    struct buf text;
    struct buf body;
    size_t left;

    buf_init(&text, 1 << 16);
    buf_init(&body, 256);
    buf_str(&text, before);
    for (size_t i = 0; i < count; i++) {
        buf_str(&text, unit);
    }
    buf_str(&text, after);
    result = decode(text.p, text.len, text.len, &body, &left);
    buf_free(&text);
    buf_free(&body);
    return result;
}

static void test_bounds(void)
{
    CHECK_INT(bounded("1;", "a", CHUNK_EXTENSION_MAX, "\r\nx\r\n0\r\n\r\n"), HTTP_CHUNK_END);
    CHECK_INT(bounded("1;", "a", CHUNK_EXTENSION_MAX + 1, "\r\nx\r\n0\r\n\r\n"), HTTP_CHUNK_BAD);
    CHECK_INT(bounded("1;", "a", CHUNK_EXTENSION_MAX + 1, ""), HTTP_CHUNK_BAD);
    /* each chunk has its own bound; so has a body no end of short ones */
    CHECK_INT(bounded("", "1;0123456789\r\nx\r\n", 20, "0\r\n\r\n"), HTTP_CHUNK_END);
    /* a line of 4 bytes counts three: its LF is not looked at twice */
    CHECK_INT(bounded("0\r\n", "A:\r\n", HTTP_TRAILER_MAX / 4, "\r\n"), HTTP_CHUNK_END);
    CHECK_INT(bounded("0\r\n", "A:\r\n", HTTP_TRAILER_MAX, "\r\n"), HTTP_CHUNK_BAD);
    CHECK_INT(bounded("0\r\nA:", "a", HTTP_TRAILER_MAX, ""), HTTP_CHUNK_BAD);
}

/* Data read past the decoder, as a server does with large chunks. */
static void test_took(void)
{
    static const char text[] = "1000\r\n";
    struct slice in = slice_of(text, 6);
    struct http_chunked c = {0};
    struct slice data;
    struct err err;

    CHECK_INT(http_chunked_left(&c), 0);
    CHECK_INT(http_chunked_next(&c, &in, &data, &err), HTTP_CHUNK_MORE);
    CHECK_INT(http_chunked_left(&c), 4096);
    http_chunked_took(&c, 4000);
    CHECK_INT(http_chunked_left(&c), 96);
    http_chunked_took(&c, 96);
    CHECK_INT(http_chunked_left(&c), 0);
    in = slice_str("\r\n1");
    CHECK_INT(http_chunked_next(&c, &in, &data, &err), HTTP_CHUNK_MORE);
    CHECK_INT(http_chunked_left(&c), 0);
    in = slice_str("0\r\n0123456789abcdefX");
    CHECK_INT(http_chunked_next(&c, &in, &data, &err), HTTP_CHUNK_DATA);
    CHECK_INT(data.len, 16);
}

int main(void)
{
    test_good();
    test_bad();
    test_bounds();
    test_took();
    return tap_done();
}
