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
