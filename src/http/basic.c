/* http/basic.c - base64 (RFC 4648 4), only as far as Basic needs it. */
#include "http/basic.h"

static void base64(struct buf *out, const unsigned char *p, size_t n)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

    for (size_t i = 0; i < n; i += 3) {
        unsigned v = (unsigned)p[i] << 16 | (i + 1 < n ? (unsigned)p[i + 1] << 8 : 0) |
                     (i + 2 < n ? p[i + 2] : 0);
        char four[4] = {digits[v >> 18], digits[v >> 12 & 63],
                        i + 1 < n ? digits[v >> 6 & 63] : '=', i + 2 < n ? digits[v & 63] : '='};

        buf_append(out, four, sizeof(four));
    }
}

void http_basic(struct buf *out, struct slice user, struct slice password)
{
    struct buf plain;

    buf_init(&plain, 65536);
    buf_slice(&plain, user);
    buf_str(&plain, ":");
    buf_slice(&plain, password);
    buf_str(out, "Basic ");
    base64(out, (const unsigned char *)plain.p, plain.len);
    if (plain.p != NULL) {
        explicit_bzero(plain.p, plain.len);
    }
    buf_free(&plain);
}

static int digit_of(char c)
{
    if (c >= 'A' && c <= 'Z') {
        return c - 'A';
    }
    if (c >= 'a' && c <= 'z') {
        return c - 'a' + 26;
    }
    if (c >= '0' && c <= '9') {
        return c - '0' + 52;
    }
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

bool http_basic_read(struct slice field, char *out, size_t size, size_t *ret_n)
{
    struct slice text = slice_trim(slice_from(field, slice_find(field, ' ')));
    size_t pad = 0;
    size_t n = 0;

    if (!slice_is_nocase(slice_sub(field, 0, slice_find(field, ' ')), "Basic") || text.len == 0 ||
        text.len % 4 != 0) {
        return false;
    }
    while (pad < 2 && text.p[text.len - pad - 1] == '=') {
        pad++;
    }
    if (text.len / 4 * 3 - pad > size) {
        return false;
    }
    for (size_t i = 0; i < text.len; i += 4) {
        unsigned v = 0;
        size_t last = i + 4 == text.len ? 4 - pad : 4;

        for (size_t k = 0; k < 4; k++) {
            int digit = k < last ? digit_of(text.p[i + k]) : 0;

            if (digit < 0) {
                return false;
            }
            v = v << 6 | (unsigned)digit;
        }
        for (size_t k = 0; k + 1 < last; k++) {
            out[n++] = (char)(v >> (16 - 8 * k) & 0xff);
        }
    }
    *ret_n = n;
    return true;
}
