/*
 * http/chunked.c - the chunked transfer coding as a machine that can stop between any two bytes.
 *
 *   size -> [extension] -> line end -> data -> data's CR -> data's LF -> size …
 *   size 0 -> trailer lines -> blank line -> end
 */
#include "http/chunked.h"

#include <assert.h>

enum {
    SIZE,
    EXTENSION,
    SIZE_LF,
    DATA,
    DATA_CR,
    DATA_LF,
    TRAILER, /* at the start of a line */
    TRAILER_NAME,
    TRAILER_VALUE,
    TRAILER_LF,
    LAST_LF,
    END,
    BAD,
};

/* Digits of a size: what has more does not fit a file offset (or is padded to confuse). */
#define SIZE_DIGITS_MAX 16

static int chunked_fail(struct err *err, const char *why)
{
    err_set(err, ERR_BAD_REQUEST, "chunked body: %s", why);
    return BAD;
}

static int hex_digit(unsigned char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool is_text(unsigned char c)
{
    return (c >= 0x20 && c != 0x7f) || c == '\t';
}

static int on_size(struct http_chunked *c, unsigned char byte, struct err *err)
{
    int digit = hex_digit(byte);

    if (digit >= 0) {
        if (++c->count > SIZE_DIGITS_MAX || c->left > (uint64_t)INT64_MAX >> 4) {
            return chunked_fail(err, "a size that is too large");
        }
        c->left = c->left << 4 | (unsigned)digit;
        return SIZE;
    }
    if (c->count == 0 || (byte != '\r' && byte != ';')) {
        return chunked_fail(err, "a size that is not hexadecimal");
    }
    c->count = 0;
    return byte == '\r' ? SIZE_LF : EXTENSION;
}

static int on_extension(struct http_chunked *c, unsigned char byte, struct err *err)
{
    if (byte == '\r') {
        return SIZE_LF;
    }
    if (!is_text(byte)) {
        return chunked_fail(err, "a control character in an extension");
    }
    if (++c->count > CHUNK_EXTENSION_MAX) {
        return chunked_fail(err, "an extension that is too long");
    }
    return EXTENSION;
}

static int on_size_lf(struct http_chunked *c, unsigned char byte, struct err *err)
{
    c->count = 0;
    if (byte != '\n') {
        return chunked_fail(err, "a size line that ends in CR without LF");
    }
    return c->left > 0 ? DATA : TRAILER;
}

/* A trailer line is a name, a colon and a value, as a header line is; what it says is not used. */
static int on_trailer(struct http_chunked *c, unsigned char byte, struct err *err)
{
    bool letter = byte > ' ' && byte < 0x7f && byte != ':';

    if (++c->count > HTTP_TRAILER_MAX) {
        return chunked_fail(err, "trailers that are too long");
    }
    if (c->state == TRAILER && byte == '\r') {
        return LAST_LF;
    }
    if (c->state == TRAILER_NAME && byte == ':') {
        return TRAILER_VALUE;
    }
    if (c->state != TRAILER_VALUE && letter) {
        return TRAILER_NAME;
    }
    if (c->state == TRAILER_VALUE && byte == '\r') {
        return TRAILER_LF;
    }
    if (c->state == TRAILER_VALUE && is_text(byte)) {
        return TRAILER_VALUE;
    }
    return chunked_fail(err, "a trailer that is not a name, a colon and a value");
}

static int expect(unsigned char byte, unsigned char wanted, int next, struct err *err)
{
    return byte == wanted ? next : chunked_fail(err, "a line end that is not CRLF");
}

/* One byte of anything but data. */
static int on_byte(struct http_chunked *c, unsigned char byte, struct err *err)
{
    switch (c->state) {
    case SIZE:
        return on_size(c, byte, err);
    case EXTENSION:
        return on_extension(c, byte, err);
    case SIZE_LF:
        return on_size_lf(c, byte, err);
    case DATA_CR:
        return expect(byte, '\r', DATA_LF, err);
    case DATA_LF:
        return expect(byte, '\n', SIZE, err);
    case TRAILER_LF:
        return expect(byte, '\n', TRAILER, err);
    case LAST_LF:
        return expect(byte, '\n', END, err);
    default:
        return on_trailer(c, byte, err);
    }
}

enum http_chunk http_chunked_next(struct http_chunked *c, struct slice *in, struct slice *ret_data,
                                  struct err *err)
{
    assert(c->state != END && c->state != BAD);
    while (in->len > 0) {
        if (c->state == DATA) {
            *ret_data = slice_sub(*in, 0, c->left < in->len ? (size_t)c->left : in->len);
            *in = slice_from(*in, ret_data->len);
            http_chunked_took(c, ret_data->len);
            return HTTP_CHUNK_DATA;
        }
        c->state = on_byte(c, (unsigned char)in->p[0], err);
        *in = slice_from(*in, 1);
        if (c->state == END) {
            return HTTP_CHUNK_END;
        }
        if (c->state == BAD) {
            return HTTP_CHUNK_BAD;
        }
    }
    return HTTP_CHUNK_MORE;
}

uint64_t http_chunked_left(const struct http_chunked *c)
{
    return c->state == DATA ? c->left : 0;
}

void http_chunked_took(struct http_chunked *c, uint64_t n)
{
    assert(c->state == DATA && n <= c->left);
    c->left -= n;
    if (c->left == 0) {
        c->state = DATA_CR;
    }
}
