/* registry/reply.c - answers: headers, bodies, errors. */
#include "registry/reply.h"

#include "base/log.h"
#include "http/cond.h"
#include "oci/errbody.h"
#include "registry/request.h"

#include <stdio.h>

#define HEADERS_TEXT_MAX 4096
#define ERROR_TEXT_MAX 4096
/* What clients are told to wait where there is too much of something. */
#define RETRY_AFTER_S 5u

/* What an upstream calls a type goes into a header only where it can do no harm there. */
static bool is_header_text(const char *s)
{
    if (*s == '\0') {
        return false;
    }
    for (; *s != '\0'; s++) {
        if ((unsigned char)*s < 0x20 || (unsigned char)*s > 0x7e) {
            return false;
        }
    }
    return true;
}

static void common_headers(const struct request *q, struct buf *out)
{
    buf_str(out, "Docker-Distribution-Api-Version: registry/2.0\r\n");
    if (is_header_text(q->route.ns)) {
        buf_printf(out, "OCI-Namespace: %s\r\n", q->route.ns);
    }
    buf_printf(out, "X-Larder: %s", request_from_text(q->from));
    if (q->from != FROM_NONE && q->age > 0) {
        buf_printf(out, "; age=%lld", (long long)q->age);
    }
    buf_str(out, "\r\n");
}

void reply_headers(const struct request *q, struct buf *out)
{
    char text[DIGEST_TEXT_MAX];

    common_headers(q, out);
    buf_printf(out, "Content-Type: %s\r\n",
               is_header_text(q->media_type) ? q->media_type : "application/octet-stream");
    if (q->has_digest) {
        digest_text(&q->digest, text);
        buf_printf(out, "Docker-Content-Digest: %s\r\nETag: \"%s\"\r\n", text, text);
    }
    if (q->route.kind == ROUTE_BLOB) {
        buf_str(out, "Accept-Ranges: bytes\r\nCache-Control: max-age=31536000\r\n");
    }
}

bool reply_may_hold(struct request *q, size_t n)
{
    struct room *answered = q->registry->cache->answered;

    if (q->room.room != answered) {
        room_give(&q->room); /* what it was made in */
        room_hold_init(&q->room, answered, NULL);
    }
    return n <= BODY_MAX || room_grow(&q->room, n);
}

void reply_too_many(struct err *err, const char *what)
{
    err_set(err, ERR_TOO_MANY, "%s: try again", what);
    err->retry_after = RETRY_AFTER_S;
}

void reply_error(struct request *q, const struct err *err)
{
    struct buf headers;
    struct buf body;

    q->error = err->code;
    q->from = FROM_NONE;
    buf_init(&headers, HEADERS_TEXT_MAX);
    buf_init(&body, ERROR_TEXT_MAX);
    common_headers(q, &headers);
    buf_str(&headers, "Content-Type: application/json\r\n");
    if (err->retry_after > 0) {
        buf_printf(&headers, "Retry-After: %u\r\n", err->retry_after);
    }
    if (err->code == ERR_UNSUPPORTED) {
        buf_str(&headers, "Allow: GET, HEAD\r\n");
    }
    buf_slice(&headers, buf_view(&q->extra));
    errbody_write(&body, err_oci_code(err->code), err->text, NULL);
    http_reply(q->x, err_status(err->code), buf_view(&headers), buf_view(&body));
    buf_free(&headers);
    buf_free(&body);
}

void reply_empty(struct request *q, int status)
{
    char text[DIGEST_TEXT_MAX];
    struct buf headers;

    buf_init(&headers, HEADERS_TEXT_MAX + q->extra.len);
    common_headers(q, &headers);
    if (q->has_digest) {
        buf_printf(&headers, "Docker-Content-Digest: %s\r\n", digest_text(&q->digest, text));
    }
    buf_slice(&headers, buf_view(&q->extra));
    http_reply(q->x, status, buf_view(&headers), SLICE_NULL);
    buf_free(&headers);
}

void reply_location(const struct request *q, struct buf *out, const char *what)
{
    buf_slice(out, q->route.prefix);
    buf_printf(out, "/v2/%s/%s", q->route.requested, what);
}

void reply_size(struct request *q)
{
    struct buf headers;

    buf_init(&headers, HEADERS_TEXT_MAX);
    reply_headers(q, &headers);
    http_reply_length(q->x, 200, buf_view(&headers), q->size);
    buf_free(&headers);
}

void reply_body(struct request *q, struct slice body)
{
    struct buf headers;

    buf_init(&headers, HEADERS_TEXT_MAX);
    reply_headers(q, &headers);
    http_reply(q->x, 200, buf_view(&headers), body);
    buf_free(&headers);
}

bool reply_conditional(struct request *q)
{
    char text[DIGEST_TEXT_MAX];
    enum http_cond cond = http_cond_check(&q->x->head, slice_str(digest_text(&q->digest, text)));
    struct buf headers;

    if (cond == HTTP_COND_GO_ON) {
        return false;
    }
    buf_init(&headers, HEADERS_TEXT_MAX);
    common_headers(q, &headers);
    buf_printf(&headers, "Docker-Content-Digest: %s\r\nETag: \"%s\"\r\n", text, text);
    http_reply(q->x, cond == HTTP_COND_NOT_MODIFIED ? 304 : 412, buf_view(&headers), SLICE_NULL);
    buf_free(&headers);
    return true;
}
