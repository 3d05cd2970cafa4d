/*
 * http/head.h - a parsed request or response head, and the strict parser. Pure.
 *
 * Slices point into the bytes that were parsed. RFC 9112 read strictly: what could be framed in two
 * ways is refused, never repaired (reference performance.md 1.3).
 */
#ifndef HTTP_HEAD_H
#define HTTP_HEAD_H

#include "base/err.h"
#include "base/limits.h"
#include "base/str.h"

/* A length that is not known. */
#define HTTP_LENGTH_UNKNOWN UINT64_MAX

enum http_method {
    HTTP_GET,
    HTTP_HEAD,
    HTTP_POST,
    HTTP_PUT,
    HTTP_PATCH,
    HTTP_DELETE,
    HTTP_OPTIONS,
    HTTP_CONNECT,
    HTTP_OTHER,
};

struct http_field {
    struct slice name;
    struct slice value; /* without white space around it */
};

enum http_framing {
    HTTP_BODY_NONE,
    HTTP_BODY_LENGTH,
    HTTP_BODY_CHUNKED,
    HTTP_BODY_UNTIL_CLOSE, /* responses only */
};

struct http_head {
    /* request */
    enum http_method method;
    struct slice method_text;
    struct slice target; /* as sent */
    struct slice path;   /* before '?', still percent-encoded */
    struct slice query;  /* after it, or empty */
    struct slice host;
    /* response */
    int status;
    struct slice reason;
    /* both */
    int minor;       /* HTTP/1.minor */
    bool keep_alive; /* what version and Connection say */
    bool expect_continue;
    enum http_framing framing;
    uint64_t
        length; /* what Content-Length says, also where there is no body (HEAD, 304); 0 without */
    size_t n_fields;
    struct http_field fields[HEADERS_MAX];
};

/* Progress of a head that arrives in pieces: zeroed at its start. */
struct http_parse {
    size_t scanned; /* bytes known not to hold the end of the head */
    size_t line;    /* where the line begins that they end in */
};

enum http_parsed { HTTP_PARSED_MORE, HTTP_PARSED_HEAD, HTTP_PARSED_BAD };

/* Parses a request head at the start of `in`, which begins with the same bytes in each call until
 * the head is whole. HTTP_PARSED_HEAD: *ret_used bytes were the head. HTTP_PARSED_BAD: `err` has
 * ERR_BAD_REQUEST, ERR_URI_TOO_LONG or ERR_HEAD_TOO_LARGE; its text holds no byte of the request.
 * *ret may be overwritten in any case. Limits: CLIENT_LINE_MAX, CLIENT_HEAD_MAX, HEADERS_MAX. Blank
 * lines before the request line: one at most. Of a target that is a URL (RFC 9112 3.2.2), path,
 * query and host are those of the URL; of CONNECT's host:port, host is all of it and path empty. */
enum http_parsed http_parse_request(struct http_parse *p, struct slice in, struct http_head *ret,
                                    size_t *ret_used, struct err *err) MUST_CHECK;

/* The same for a response to a request of method `asked` (HEAD and CONNECT 200, 1xx, 204, 304 have
 * no body). HTTP_PARSED_BAD: ERR_UPSTREAM_PROTOCOL. Limits: UPSTREAM_HEAD_MAX; more than
 * HEADERS_MAX fields are an error. */
enum http_parsed http_parse_response(struct http_parse *p, struct slice in, enum http_method asked,
                                     struct http_head *ret, size_t *ret_used,
                                     struct err *err) MUST_CHECK;

/* The first field of that name (any case), or SLICE_NULL. */
struct slice http_field(const struct http_head *h, const char *name);
/* The next field of that name from index *at on; false at the end. Start with *at = 0. */
bool http_field_next(const struct http_head *h, const char *name, size_t *at, struct slice *ret);

#endif
