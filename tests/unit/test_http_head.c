/* tests/unit/test_http_head.c - request and response heads: what is read, what is refused. */
#include "http/head.c"

#include <stdlib.h>

#include "tap.h"

static struct http_head head;
static struct err err;

/* Parses an exact heap copy, so that a sanitizer sees a read beyond it. */
static enum http_parsed parse(const char *text, size_t len, size_t *ret_used)
{
    static char *copy;
    struct http_parse p = {0};

    free(copy);
    copy = xcalloc(len, 1);
    memcpy(copy, text, len);
    *ret_used = 0;
    return http_parse_request(&p, slice_of(copy, len), &head, ret_used, &err);
}

/* The text with its line ends made visible, for the name of a check. */
static const char *shown(const char *text)
{
    static char out[256];
    size_t n = 0;

    for (; *text != '\0' && n + 1 < sizeof(out); text++) {
        if (*text != '\r') {
            out[n++] = *text == '\n' ? '|' : *text;
        }
    }
    out[n] = '\0';
    return out;
}

static enum http_parsed parse_text(const char *text)
{
    size_t used;

    return parse(text, strlen(text), &used);
}

/* --- refused ---------------------------------------------------------------------------------- */

#define GET "GET / HTTP/1.1\r\nHost: a\r\n"
#define PUT "PUT / HTTP/1.1\r\nHost: a\r\n"

static const struct {
    const char *what;
    const char *text;
} BAD_REQUESTS[] = {
    /* each row of the table of probes that some server takes for something else */
    {"length and coding", PUT "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"},
    {"coding and length", PUT "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n"},
    {"coding twice", PUT "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n"},
    {"coding list", PUT "Transfer-Encoding: chunked, identity\r\n\r\n"},
    {"coding list, chunked twice", PUT "Transfer-Encoding: chunked, chunked\r\n\r\n"},
    {"gzip, chunked", PUT "Transfer-Encoding: gzip, chunked\r\n\r\n"},
    {"coding identity", PUT "Transfer-Encoding: identity\r\n\r\n"},
    {"coding empty", PUT "Transfer-Encoding:\r\n\r\n"},
    {"coding with a parameter", PUT "Transfer-Encoding: chunked;a=b\r\n\r\n"},
    {"coding in quotes", PUT "Transfer-Encoding: \"chunked\"\r\n\r\n"},
    {"length list", PUT "Content-Length: 5, 5\r\n\r\n"},
    {"length hexadecimal", PUT "Content-Length: 0x5\r\n\r\n"},
    {"two different lengths", PUT "Content-Length: 5\r\nContent-Length: 6\r\n\r\n"},
    {"two equal lengths", PUT "Content-Length: 5\r\nContent-Length: 5\r\n\r\n"},
    {"length with a sign", PUT "Content-Length: +5\r\n\r\n"},
    {"length negative", PUT "Content-Length: -5\r\n\r\n"},
    {"length empty", PUT "Content-Length: \r\n\r\n"},
    {"length with junk", PUT "Content-Length: 5 5\r\n\r\n"},
    {"length with a fraction", PUT "Content-Length: 5.0\r\n\r\n"},
    {"length beyond 63 bits", PUT "Content-Length: 9223372036854775808\r\n\r\n"},
    {"length beyond 64 bits", PUT "Content-Length: 99999999999999999999999\r\n\r\n"},
    {"coding xchunked", PUT "Transfer-Encoding: xchunked\r\n\r\n"},
    {"coding after a vertical tab", PUT "Transfer-Encoding: \x0b"
                                        "chunked\r\n\r\n"},
    {"coding after a form feed", PUT "Transfer-Encoding:\x0c"
                                     "chunked\r\n\r\n"},
    {"coding in HTTP/1.0", "PUT / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"},
    {"space before the colon", PUT "Content-Length : 5\r\n\r\n"},
    {"tab before the colon", PUT "Content-Length\t: 5\r\n\r\n"},
    {"HEAD with a body", "HEAD / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n"},
    {"GET with a body", GET "Content-Length: 1\r\n\r\n"},
    {"GET with chunks", GET "Transfer-Encoding: chunked\r\n\r\n"},
    {"no host", "GET / HTTP/1.1\r\n\r\n"},
    {"two hosts", GET "Host: b\r\n\r\n"},
    {"two equal hosts", GET "Host: a\r\n\r\n"},
    {"two hosts in HTTP/1.0", "GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n"},
    {"a bracket in a name", GET "X(A: b\r\n\r\n"},
    {"HTTP/1.10", "GET / HTTP/1.10\r\nHost: a\r\n\r\n"},
    /* line ends */
    {"bare LF after the request line", "GET / HTTP/1.1\nHost: a\r\n\r\n"},
    {"bare LF after a field", "GET / HTTP/1.1\r\nHost: a\n\r\n"},
    {"bare LF at the end", GET "\n"},
    {"bare LF only", "GET / HTTP/1.1\nHost: a\n\n"},
    {"bare CR in a value", GET "A: b\rc\r\n\r\n"},
    {"bare CR before CRLF", GET "A: b\r\r\n\r\n"},
    {"bare CR in the request line", "GET /\r HTTP/1.1\r\nHost: a\r\n\r\n"},
    {"folded line, space", GET "A: b\r\n c\r\n\r\n"},
    {"folded line, tab", GET "A: b\r\n\tc\r\n\r\n"},
    {"space before the first field", "GET / HTTP/1.1\r\n Host: a\r\n\r\n"},
    {"two blank lines first", "\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"},
    {"an LF first", "\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"},
    /* control characters */
    {"DEL in a value", GET "A: b\x7f\r\n\r\n"},
    {"escape in a value", GET "A: \x1b[0m\r\n\r\n"},
    {"tab in the request line", "GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n"},
    {"tab in the target", "GET /a\tb HTTP/1.1\r\nHost: a\r\n\r\n"},
    /* fields */
    {"no colon", GET "A\r\n\r\n"},
    {"empty name", GET ": b\r\n\r\n"},
    {"a name with a space", GET "A B: c\r\n\r\n"},
    {"a name that is not ASCII", GET "\xc3\xa4: c\r\n\r\n"},
    {"a name with a slash", GET "A/B: c\r\n\r\n"},
    {"host with a path", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"},
    {"host with a user", "GET / HTTP/1.1\r\nHost: a@b\r\n\r\n"},
    {"host list", "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n"},
    {"host with a space", "GET / HTTP/1.1\r\nHost: a b\r\n\r\n"},
    {"host with a port that is none", "GET / HTTP/1.1\r\nHost: a:b\r\n\r\n"},
    {"host with two ports", "GET / HTTP/1.1\r\nHost: a:1:2\r\n\r\n"},
    {"host with half a bracket", "GET / HTTP/1.1\r\nHost: [::1\r\n\r\n"},
    {"host with text behind brackets", "GET / HTTP/1.1\r\nHost: [::1]a\r\n\r\n"},
    /* request line */
    {"HTTP/0.9", "GET /\r\n\r\n"},
    {"no target", "GET HTTP/1.1\r\nHost: a\r\n\r\n"},
    {"empty target", "GET  HTTP/1.1\r\nHost: a\r\n\r\n"},
    {"two spaces before the target", "GET  / HTTP/1.1\r\nHost: a\r\n\r\n"},
    {"two spaces before the version", "GET /  HTTP/1.1\r\nHost: a\r\n\r\n"},
    {"a space behind the version", "GET / HTTP/1.1 \r\nHost: a\r\n\r\n"},
    {"a space in the target", "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n"},
    {"a space first", " GET / HTTP/1.1\r\nHost: a\r\n\r\n"},
    {"HTTP/1.2", "GET / HTTP/1.2\r\nHost: a\r\n\r\n"},
    {"HTTP/2.0", "PRI * HTTP/2.0\r\n\r\n"},
    {"HTTP/1.", "GET / HTTP/1.\r\nHost: a\r\n\r\n"},
    {"HTTP/01.1", "GET / HTTP/01.1\r\nHost: a\r\n\r\n"},
    {"http/1.1", "GET / http/1.1\r\nHost: a\r\n\r\n"},
    {"HTTPS/1.1", "GET / HTTPS/1.1\r\nHost: a\r\n\r\n"},
    {"a method that is no token", "G(T / HTTP/1.1\r\nHost: a\r\n\r\n"},
    {"a target without a slash", "GET a HTTP/1.1\r\nHost: a\r\n\r\n"},
    {"a target that is not ASCII", "GET /\xc3\xa4 HTTP/1.1\r\nHost: a\r\n\r\n"},
    {"a fragment", "GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n"},
    {"a quote in the target", "GET /\"a HTTP/1.1\r\nHost: a\r\n\r\n"},
    {"a backslash in the target", "GET /\\a HTTP/1.1\r\nHost: a\r\n\r\n"},
    {"asterisk for GET", "GET * HTTP/1.1\r\nHost: a\r\n\r\n"},
    {"asterisk and more", "OPTIONS *a HTTP/1.1\r\nHost: a\r\n\r\n"},
    {"authority for GET", "GET a:80 HTTP/1.1\r\nHost: a\r\n\r\n"},
    {"a path for CONNECT", "CONNECT /a HTTP/1.1\r\nHost: a\r\n\r\n"},
    {"CONNECT without a port", "CONNECT a HTTP/1.1\r\nHost: a\r\n\r\n"},
    {"CONNECT with an empty port", "CONNECT a: HTTP/1.1\r\nHost: a\r\n\r\n"},
    {"CONNECT without a host", "CONNECT :1 HTTP/1.1\r\nHost: a\r\n\r\n"},
    {"a URL without a host", "GET http:///a HTTP/1.1\r\nHost: a\r\n\r\n"},
    {"a URL with a user", "GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n"},
    {"a URL of another scheme", "GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n"},
    {"a URL without Host", "GET http://a/ HTTP/1.1\r\n\r\n"},
    /* a TLS client */
    {"a TLS hello", "\x16\x03\x01\x02"},
};

static void test_bad_requests(void)
{
    size_t used;

    for (size_t i = 0; i < ARRAY_LEN(BAD_REQUESTS); i++) {
        err.code = ERR_NONE;
        CHECK_NOTE(parse_text(BAD_REQUESTS[i].text) == HTTP_PARSED_BAD &&
                       err.code == ERR_BAD_REQUEST && err.text[0] != '\0',
                   BAD_REQUESTS[i].what);
    }
    CHECK(parse("GET / HTTP/1.1\r\nHost: a\0b\r\n\r\n", 29, &used) == HTTP_PARSED_BAD);
    CHECK(parse("GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n", 29, &used) == HTTP_PARSED_BAD);
    CHECK(parse("GET / HTTP/1.1\r\nHo\0st: a\r\n\r\n", 29, &used) == HTTP_PARSED_BAD);
    CHECK(parse("\0", 1, &used) == HTTP_PARSED_BAD);
}

/* A bare line end is refused when it comes, not when the head is whole. */
static void test_refused_early(void)
{
    CHECK(parse_text("GET / HTTP/1.1\n") == HTTP_PARSED_BAD);
    CHECK(parse_text("GET / HTTP/1.1\r\nHost: a\r\nA: b\rc") == HTTP_PARSED_BAD);
    CHECK(parse_text("GET / HTTP/1.1\r\nHost: a\r\nA: b\x01") == HTTP_PARSED_BAD);
}

/* Every byte at every place of a head: none that is a control character may pass. */
static void test_no_control_passes(void)
{
    static const char text[] = "PUT /a?b HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n";
    char copy[sizeof(text)];
    unsigned passed = 0;
    size_t used;

    for (size_t at = 0; at < sizeof(text) - 1; at++) {
        for (unsigned c = 0; c < 256; c++) {
            bool control = (c < 0x20 && c != '\t') || c == 0x7f;

            memcpy(copy, text, sizeof(text));
            copy[at] = (char)c;
            if (c != (unsigned char)text[at] && control &&
                parse(copy, sizeof(text) - 1, &used) == HTTP_PARSED_HEAD) {
                passed++;
            }
        }
    }
    CHECK_INT(passed, 0);
}

/* --- read ------------------------------------------------------------------------------------- */

static void test_fields(void)
{
    struct slice value;
    size_t at = 0;

    CHECK(parse_text("GET /v2/a/manifests/b?ns=docker.io&x HTTP/1.1\r\n"
                     "host: Example.com:5000\r\n"
                     "Accept: a\r\n"
                     "X-Empty:\r\n"
                     "ACCEPT:\t b , c \t\r\n"
                     "X-Tab: a\tb\r\n"
                     "X-High: \xc3\xa4\r\n"
                     "!#$%&'*+-.^_`|~: token\r\n"
                     "\r\n") == HTTP_PARSED_HEAD);
    CHECK_INT(head.method, HTTP_GET);
    CHECK(slice_is(head.method_text, "GET"));
    CHECK(slice_is(head.target, "/v2/a/manifests/b?ns=docker.io&x"));
    CHECK(slice_is(head.path, "/v2/a/manifests/b"));
    CHECK(slice_is(head.query, "ns=docker.io&x"));
    CHECK(slice_is(head.host, "Example.com:5000"));
    CHECK_INT(head.minor, 1);
    CHECK_INT(head.n_fields, 7);
    CHECK_INT(head.framing, HTTP_BODY_NONE);
    CHECK(head.keep_alive && !head.expect_continue);
    CHECK(slice_is(http_field(&head, "ACCEPT"), "a"));
    CHECK(http_field_next(&head, "accept", &at, &value) && slice_is(value, "a"));
    CHECK(http_field_next(&head, "accept", &at, &value) && slice_is(value, "b , c"));
    CHECK(!http_field_next(&head, "accept", &at, &value));
    CHECK(http_field(&head, "x-empty").len == 0 && http_field(&head, "x-empty").p != NULL);
    CHECK(slice_is(http_field(&head, "x-tab"), "a\tb"));
    CHECK(slice_is(http_field(&head, "x-high"), "\xc3\xa4"));
    CHECK(slice_is(http_field(&head, "!#$%&'*+-.^_`|~"), "token"));
    CHECK(http_field(&head, "accep").p == NULL && http_field(&head, "accepts").p == NULL);
}

static const struct {
    const char *text;
    const char *path;
    const char *query;
    const char *host;
} TARGETS[] = {
    {GET "\r\n", "/", "", "a"},
    {"\r\n" GET "\r\n", "/", "", "a"},
    {"GET / HTTP/1.0\r\n\r\n", "/", "", ""},
    {"GET / HTTP/1.1\r\nHost:\r\n\r\n", "/", "", ""},
    {"GET / HTTP/1.1\r\nHost: [::1]:5000\r\n\r\n", "/", "", "[::1]:5000"},
    {"GET /? HTTP/1.1\r\nHost: a\r\n\r\n", "/", "", "a"},
    {"GET /a??b?c HTTP/1.1\r\nHost: a\r\n\r\n", "/a", "?b?c", "a"},
    {"GET //a HTTP/1.1\r\nHost: a\r\n\r\n", "//a", "", "a"},
    {"GET /%zz;,=:@!$&'()*+~ HTTP/1.1\r\nHost: a\r\n\r\n", "/%zz;,=:@!$&'()*+~", "", "a"},
    {"GET http://b/c?d HTTP/1.1\r\nHost: a\r\n\r\n", "/c", "d", "b"},
    {"GET HTTPS://b:80 HTTP/1.1\r\nHost: a\r\n\r\n", "/", "", "b:80"},
    {"GET http://b?c HTTP/1.1\r\nHost: a\r\n\r\n", "/", "c", "b"},
    {"GET http://[::1]:1/ HTTP/1.0\r\n\r\n", "/", "", "[::1]:1"},
    {"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", "*", "", "a"},
    {"OPTIONS http://b HTTP/1.1\r\nHost: a\r\n\r\n", "*", "", "b"},
    {"OPTIONS http://b/ HTTP/1.1\r\nHost: a\r\n\r\n", "/", "", "b"},
    {"CONNECT b:443 HTTP/1.1\r\nHost: a\r\n\r\n", "", "", "b:443"},
    {"CONNECT [::1]:443 HTTP/1.1\r\nHost: a\r\n\r\n", "", "", "[::1]:443"},
};

static void test_targets(void)
{
    for (size_t i = 0; i < ARRAY_LEN(TARGETS); i++) {
        CHECK_NOTE(parse_text(TARGETS[i].text) == HTTP_PARSED_HEAD &&
                       slice_is(head.path, TARGETS[i].path) &&
                       slice_is(head.query, TARGETS[i].query) &&
                       slice_is(head.host, TARGETS[i].host),
                   shown(TARGETS[i].text));
    }
}

static const struct {
    const char *text;
    enum http_framing framing;
    uint64_t length;
    bool keep_alive;
    bool expect;
} FRAMINGS[] = {
    {PUT "\r\n", HTTP_BODY_NONE, 0, true, false},
    {PUT "Content-Length: 0\r\n\r\n", HTTP_BODY_LENGTH, 0, true, false},
    {PUT "content-length:\t5 \r\n\r\n", HTTP_BODY_LENGTH, 5, true, false},
    {PUT "Content-Length: 0005\r\n\r\n", HTTP_BODY_LENGTH, 5, true, false},
    {PUT "Content-Length: 9223372036854775807\r\n\r\n", HTTP_BODY_LENGTH, INT64_MAX, true, false},
    {PUT "Transfer-Encoding: CHUNKED\r\n\r\n", HTTP_BODY_CHUNKED, 0, true, false},
    {"HEAD / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", HTTP_BODY_LENGTH, 0, true, false},
    {"PUT / HTTP/1.0\r\nContent-Length: 5\r\n\r\n", HTTP_BODY_LENGTH, 5, false, false},
    {GET "Connection: close\r\n\r\n", HTTP_BODY_NONE, 0, false, false},
    {GET "Connection: a, CLOSE ,b\r\n\r\n", HTTP_BODY_NONE, 0, false, false},
    {GET "Connection: keep-alive\r\nConnection: close\r\n\r\n", HTTP_BODY_NONE, 0, false, false},
    {GET "Connection: closed\r\n\r\n", HTTP_BODY_NONE, 0, true, false},
    {"GET / HTTP/1.0\r\n\r\n", HTTP_BODY_NONE, 0, false, false},
    {"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", HTTP_BODY_NONE, 0, true, false},
    {"GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n", HTTP_BODY_NONE, 0, false, false},
    {PUT "Content-Length: 5\r\nExpect: 100-Continue\r\n\r\n", HTTP_BODY_LENGTH, 5, true, true},
    {PUT "Content-Length: 5\r\nExpect: something\r\n\r\n", HTTP_BODY_LENGTH, 5, true, false},
    {"PUT / HTTP/1.0\r\nExpect: 100-continue\r\n\r\n", HTTP_BODY_NONE, 0, false, false},
};

static void test_framings(void)
{
    for (size_t i = 0; i < ARRAY_LEN(FRAMINGS); i++) {
        CHECK_NOTE(parse_text(FRAMINGS[i].text) == HTTP_PARSED_HEAD &&
                       head.framing == FRAMINGS[i].framing && head.length == FRAMINGS[i].length &&
                       head.keep_alive == FRAMINGS[i].keep_alive &&
                       head.expect_continue == FRAMINGS[i].expect,
                   shown(FRAMINGS[i].text));
    }
}

static void test_methods(void)
{
    static const char *names[] = {"GET",    "HEAD",    "POST",    "PUT", "PATCH",
                                  "DELETE", "OPTIONS", "CONNECT", "get", "MKCOL"};
    char text[64];

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        enum http_method expected = i < HTTP_OTHER ? (enum http_method)i : HTTP_OTHER;

        snprintf(text, sizeof(text), "%s %s HTTP/1.0\r\n\r\n", names[i],
                 expected == HTTP_CONNECT ? "a:1" : "/");
        CHECK_NOTE(parse_text(text) == HTTP_PARSED_HEAD && head.method == expected &&
                       slice_is(head.method_text, names[i]),
                   names[i]);
    }
}

/* --- in pieces, and too long ------------------------------------------------------------------ */

#define LONG_HEAD                                                                                  \
    "\r\nPUT /v2/a/b HTTP/1.1\r\nHost: example.com\r\nContent-Length: 12\r\nA: \tb c\r\n\r\n"

/* Split at every byte, and byte by byte: the same result, and what follows is left alone. */
static void test_pieces(void)
{
    static const char text[] = LONG_HEAD "GET / HTTP/1.1\r\n";
    const size_t whole = sizeof(LONG_HEAD) - 1;
    unsigned wrong = 0;
    size_t used;

    for (size_t at = 0; at < whole; at++) {
        struct http_parse p = {0};

        wrong += http_parse_request(&p, slice_of(text, at), &head, &used, &err) != HTTP_PARSED_MORE;
        wrong += http_parse_request(&p, slice_of(text, sizeof(text) - 1), &head, &used, &err) !=
                     HTTP_PARSED_HEAD ||
                 used != whole || head.n_fields != 3 || head.length != 12;
    }
    CHECK_INT(wrong, 0);
    struct http_parse p = {0};
    for (size_t at = 0; at < whole; at++) {
        wrong += http_parse_request(&p, slice_of(text, at), &head, &used, &err) != HTTP_PARSED_MORE;
    }
    wrong += http_parse_request(&p, slice_of(text, whole), &head, &used, &err) != HTTP_PARSED_HEAD;
    CHECK_INT(wrong, 0);
    CHECK_INT(used, whole);
    CHECK(slice_is(head.path, "/v2/a/b") && slice_is(http_field(&head, "a"), "b c"));
}

/* Each bad request is as bad in two pieces, wherever it is cut. */
static void test_bad_pieces(void)
{
    unsigned passed = 0;
    size_t used;

    for (size_t i = 0; i < ARRAY_LEN(BAD_REQUESTS); i++) {
        size_t len = strlen(BAD_REQUESTS[i].text);

        for (size_t at = 0; at < len; at++) {
            struct slice s = slice_of(BAD_REQUESTS[i].text, at);
            struct http_parse p = {0};

            if (http_parse_request(&p, s, &head, &used, &err) == HTTP_PARSED_MORE) {
                s.len = len;
                passed += http_parse_request(&p, s, &head, &used, &err) != HTTP_PARSED_BAD;
            }
        }
    }
    CHECK_INT(passed, 0);
}

/* A request whose request line or first field is of the given size, or with so many more fields. */
static struct buf sized(size_t target, size_t value, unsigned fields)
{
    struct buf b;

    buf_init(&b, 1 << 20);
    buf_str(&b, "GET /");
    for (size_t i = 0; i < target; i++) {
        buf_str(&b, "a");
    }
    buf_str(&b, " HTTP/1.1\r\nHost: ");
    for (size_t i = 0; i < value; i++) {
        buf_str(&b, "a");
    }
    buf_str(&b, "\r\n");
    for (unsigned i = 0; i < fields; i++) {
        buf_str(&b, "A: b\r\n");
    }
    return b;
}

static enum err_code sized_result(size_t target, size_t value, unsigned fields, const char *end)
{
    struct buf b = sized(target, value, fields);
    enum http_parsed parsed;
    size_t used;

    buf_str(&b, end);
    err.code = ERR_NONE;
    parsed = parse(b.p, b.len, &used);
    buf_free(&b);
    CHECK((parsed == HTTP_PARSED_BAD) == (err.code != ERR_NONE));
    return err.code;
}

static void test_limits(void)
{
    /* the rest of the line, CRLF with it, is 16 and 8 bytes */
    const size_t target = CLIENT_LINE_MAX - 16;
    const size_t value = CLIENT_LINE_MAX - 8;

    CHECK_INT(sized_result(target, 1, 0, "\r\n"), ERR_NONE);
    CHECK_INT(sized_result(target + 1, 1, 0, "\r\n"), ERR_URI_TOO_LONG);
    CHECK_INT(sized_result(target + 100, 1, 0, ""), ERR_URI_TOO_LONG);
    CHECK_INT(sized_result(1, value, 0, "\r\n"), ERR_NONE);
    CHECK_INT(sized_result(1, value + 1, 0, "\r\n"), ERR_HEAD_TOO_LARGE);
    CHECK_INT(sized_result(1, 1, HEADERS_MAX - 1, "\r\n"), ERR_NONE);
    CHECK_INT(sized_result(1, 1, HEADERS_MAX, "\r\n"), ERR_HEAD_TOO_LARGE);
    CHECK_INT(sized_result(1, 1, CLIENT_HEAD_MAX / 6, ""), ERR_HEAD_TOO_LARGE);
}

/* A request line without an end is refused once it is too long, not only when it ends. */
static void test_endless_line(void)
{
    static char text[CLIENT_LINE_MAX + 1];
    struct http_parse p = {0};
    size_t used;

    memset(text, 'a', sizeof(text));
    CHECK(http_parse_request(&p, slice_of(text, CLIENT_LINE_MAX), &head, &used, &err) ==
          HTTP_PARSED_MORE);
    CHECK(http_parse_request(&p, slice_of(text, sizeof(text)), &head, &used, &err) ==
          HTTP_PARSED_BAD);
    CHECK_INT(err.code, ERR_URI_TOO_LONG);
}

/* --- responses -------------------------------------------------------------------------------- */

static enum http_parsed parse_answer(const char *text, enum http_method asked)
{
    struct http_parse p = {0};
    size_t used;

    return http_parse_response(&p, slice_str(text), asked, &head, &used, &err);
}

static const struct {
    const char *text;
    enum http_method asked;
    int status;
    enum http_framing framing;
    uint64_t length;
    bool keep_alive;
} ANSWERS[] = {
    {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", HTTP_GET, 200, HTTP_BODY_LENGTH, 5, true},
    {"HTTP/1.1 200 \r\nContent-Length: 5\r\n\r\n", HTTP_GET, 200, HTTP_BODY_LENGTH, 5, true},
    {"HTTP/1.1 200\r\nContent-Length: 5\r\n\r\n", HTTP_GET, 200, HTTP_BODY_LENGTH, 5, true},
    {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", HTTP_HEAD, 200, HTTP_BODY_NONE, 5, true},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", HTTP_GET, 200, HTTP_BODY_CHUNKED, 0,
     true},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", HTTP_HEAD, 200, HTTP_BODY_NONE, 0,
     true},
    {"HTTP/1.1 200 OK\r\n\r\n", HTTP_GET, 200, HTTP_BODY_UNTIL_CLOSE, 0, true},
    {"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", HTTP_GET, 200, HTTP_BODY_UNTIL_CLOSE, 0,
     false},
    {"HTTP/1.0 200 OK\r\n\r\n", HTTP_GET, 200, HTTP_BODY_UNTIL_CLOSE, 0, false},
    {"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n", HTTP_GET, 200,
     HTTP_BODY_LENGTH, 0, true},
    {"HTTP/1.1 204 No Content\r\n\r\n", HTTP_GET, 204, HTTP_BODY_NONE, 0, true},
    {"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", HTTP_GET, 304, HTTP_BODY_NONE, 9,
     true},
    {"HTTP/1.1 100 Continue\r\n\r\n", HTTP_PUT, 100, HTTP_BODY_NONE, 0, true},
    {"HTTP/1.1 200 Connection established\r\n\r\n", HTTP_CONNECT, 200, HTTP_BODY_NONE, 0, true},
    {"HTTP/1.1 407 No\r\nContent-Length: 3\r\n\r\n", HTTP_CONNECT, 407, HTTP_BODY_LENGTH, 3, true},
    {"HTTP/1.1 404 Not\tFound \xc3\xa4\r\nContent-Length: 3\r\n\r\n", HTTP_GET, 404,
     HTTP_BODY_LENGTH, 3, true},
};

static void test_answers(void)
{
    for (size_t i = 0; i < ARRAY_LEN(ANSWERS); i++) {
        CHECK_NOTE(parse_answer(ANSWERS[i].text, ANSWERS[i].asked) == HTTP_PARSED_HEAD &&
                       head.status == ANSWERS[i].status && head.framing == ANSWERS[i].framing &&
                       head.length == ANSWERS[i].length && head.keep_alive == ANSWERS[i].keep_alive,
                   shown(ANSWERS[i].text));
    }
    CHECK(parse_answer("HTTP/1.1 404 Not Found\r\n\r\n", HTTP_GET) == HTTP_PARSED_HEAD &&
          slice_is(head.reason, "Not Found"));
}

static const char *BAD_ANSWERS[] = {
    "\r\nHTTP/1.1 200 OK\r\n\r\n",
    "HTTP/1.1 200 OK\n\n",
    "HTTP/2 200\r\n\r\n",
    "HTTP/1.2 200 OK\r\n\r\n",
    "HTTP/1.1  200 OK\r\n\r\n",
    "HTTP/1.1 20 OK\r\n\r\n",
    "HTTP/1.1 2000 OK\r\n\r\n",
    "HTTP/1.1 099 OK\r\n\r\n",
    "HTTP/1.1 600 OK\r\n\r\n",
    "HTTP/1.1 2a0 OK\r\n\r\n",
    "HTTP/1.1\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
    "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
    "HTTP/1.1 200 OK\r\nA : b\r\n\r\n",
    "HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n",
    "SSH-2.0-OpenSSH_9.2\r\n\r\n",
};

static void test_bad_answers(void)
{
    for (size_t i = 0; i < ARRAY_LEN(BAD_ANSWERS); i++) {
        err.code = ERR_NONE;
        CHECK_NOTE(parse_answer(BAD_ANSWERS[i], HTTP_GET) == HTTP_PARSED_BAD &&
                       err.code == ERR_UPSTREAM_PROTOCOL,
                   shown(BAD_ANSWERS[i]));
    }
}

static void test_large_answer(void)
{
    struct buf b;

    buf_init(&b, 1 << 20);
    buf_str(&b, "HTTP/1.1 302 Found\r\nLocation: https://a/");
    while (b.len < UPSTREAM_HEAD_MAX - 4) {
        buf_str(&b, "a");
    }
    buf_str(&b, "\r\n\r\n");
    CHECK(parse_answer(b.p, HTTP_GET) == HTTP_PARSED_HEAD);
    b.len -= 4;
    buf_str(&b, "a\r\n\r\n");
    CHECK(parse_answer(b.p, HTTP_GET) == HTTP_PARSED_BAD && err.code == ERR_UPSTREAM_PROTOCOL);
    buf_free(&b);
}

int main(void)
{
    test_bad_requests();
    test_refused_early();
    test_no_control_passes();
    test_fields();
    test_targets();
    test_framings();
    test_methods();
    test_pieces();
    test_bad_pieces();
    test_limits();
    test_endless_line();
    test_answers();
    test_bad_answers();
    test_large_answer();
    return tap_done();
}
