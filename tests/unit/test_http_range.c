/* tests/unit/test_http_range.c - ranges and conditions of requests, Content-Range of responses. */
#include "http/range.c"

#include "http/cond.c"

#include "tap.h"

#define U HTTP_LENGTH_UNKNOWN

static const struct {
    const char *field;
    uint64_t size;
    enum http_range_kind kind;
    uint64_t from;
    uint64_t to;
} RANGES[] = {
    {"bytes=0-0", 10, HTTP_RANGE_ONE, 0, 0},
    {"bytes=9-99", 10, HTTP_RANGE_ONE, 9, 9},
    {"bytes=10-", 10, HTTP_RANGE_UNSATISFIABLE, 0, 0},
    {"bytes=-0", 10, HTTP_RANGE_UNSATISFIABLE, 0, 0},
    {"bytes=0-10", 10, HTTP_RANGE_ONE, 0, 9},
    {"bytes=0-", 10, HTTP_RANGE_ONE, 0, 9},
    {"bytes=3-", 10, HTTP_RANGE_ONE, 3, 9},
    {"bytes=9-", 10, HTTP_RANGE_ONE, 9, 9},
    {"bytes=-3", 10, HTTP_RANGE_ONE, 7, 9},
    {"bytes=-10", 10, HTTP_RANGE_ONE, 0, 9},
    {"bytes=-11", 10, HTTP_RANGE_ONE, 0, 9},
    {"bytes=500-1499", 2048, HTTP_RANGE_ONE, 500, 1499},
    {"bytes=2000-5000", 2048, HTTP_RANGE_ONE, 2000, 2047},
    {"bytes=500-0", 2048, HTTP_RANGE_UNSATISFIABLE, 0, 0},
    {"bytes=5000-10000", 2048, HTTP_RANGE_UNSATISFIABLE, 0, 0},
    {"Bytes=1-2", 10, HTTP_RANGE_ONE, 1, 2},
    {"bytes= 1-2 ", 10, HTTP_RANGE_ONE, 1, 2},
    {"bytes=00001-2", 10, HTTP_RANGE_ONE, 1, 2},
    {"bytes=0-99999999999999999999999", 10, HTTP_RANGE_ONE, 0, 9},
    {"bytes=99999999999999999999999-", 10, HTTP_RANGE_UNSATISFIABLE, 0, 0},
    {"bytes=-99999999999999999999999", 10, HTTP_RANGE_ONE, 0, 9},
    {"bytes=0-1,3-4", 10, HTTP_RANGE_NONE, 0, 0},
    {"bytes=-1,0-0", 10, HTTP_RANGE_NONE, 0, 0},
    {"bytes=0-1,", 10, HTTP_RANGE_NONE, 0, 0},
    {"bytes=0-0", 0, HTTP_RANGE_NONE, 0, 0},
    {"bytes=-1", 0, HTTP_RANGE_NONE, 0, 0},
    {"bytes=-", 10, HTTP_RANGE_NONE, 0, 0},
    {"bytes=", 10, HTTP_RANGE_NONE, 0, 0},
    {"bytes", 10, HTTP_RANGE_NONE, 0, 0},
    {"", 10, HTTP_RANGE_NONE, 0, 0},
    {"bytes=a-b", 10, HTTP_RANGE_NONE, 0, 0},
    {"bytes=1-b", 10, HTTP_RANGE_NONE, 0, 0},
    {"bytes=+1-2", 10, HTTP_RANGE_NONE, 0, 0},
    {"bytes=1--2", 10, HTTP_RANGE_NONE, 0, 0},
    {"bytes=--2", 10, HTTP_RANGE_NONE, 0, 0},
    {"bytes=0x1-2", 10, HTTP_RANGE_NONE, 0, 0},
    {"bytes=1 - 2", 10, HTTP_RANGE_NONE, 0, 0},
    {"bytes 1-2", 10, HTTP_RANGE_NONE, 0, 0},
    {"bytes =1-2", 10, HTTP_RANGE_NONE, 0, 0},
    {"pages=1-2", 10, HTTP_RANGE_NONE, 0, 0},
    {"1-2", 10, HTTP_RANGE_NONE, 0, 0},
    {"bytes=1-2", U, HTTP_RANGE_ONE, 1, 2},
    {"bytes=1-", U, HTTP_RANGE_ONE, 1, U},
    {"bytes=2-1", U, HTTP_RANGE_UNSATISFIABLE, 0, 0},
    {"bytes=-5", U, HTTP_RANGE_NONE, 0, 0},
};

static void test_ranges(void)
{
    for (size_t i = 0; i < ARRAY_LEN(RANGES); i++) {
        struct http_range r = {0, 0};

        CHECK_NOTE(http_range_parse(slice_str(RANGES[i].field), RANGES[i].size, &r) ==
                           RANGES[i].kind &&
                       r.from == RANGES[i].from && r.to == RANGES[i].to,
                   RANGES[i].field);
    }
}

/* A request with the given field lines. */
static struct http_head request(const char *method, const char *lines)
{
    static char text[1024];
    struct http_parse p = {0};
    struct http_head h;
    struct err err;
    size_t used;

    snprintf(text, sizeof(text), "%s / HTTP/1.1\r\nHost: a\r\n%s\r\n", method, lines);
    if (!CHECK_NOTE(http_parse_request(&p, slice_str(text), &h, &used, &err) == HTTP_PARSED_HEAD,
                    "the request is one")) {
        memset(&h, 0, sizeof(h));
    }
    return h;
}

static enum http_range_kind range_of(const char *method, const char *lines)
{
    struct http_head h = request(method, lines);
    struct http_range r;

    return http_range_of(&h, slice_str("\"sha256:a\""), 10, &r);
}

static void test_range_of(void)
{
    CHECK_INT(range_of("GET", ""), HTTP_RANGE_NONE);
    CHECK_INT(range_of("GET", "Range: bytes=1-2\r\n"), HTTP_RANGE_ONE);
    CHECK_INT(range_of("GET", "Range: bytes=20-\r\n"), HTTP_RANGE_UNSATISFIABLE);
    CHECK_INT(range_of("HEAD", "Range: bytes=1-2\r\n"), HTTP_RANGE_NONE);
    CHECK_INT(range_of("GET", "Range: bytes=1-2\r\nRange: bytes=3-4\r\n"), HTTP_RANGE_NONE);
    CHECK_INT(range_of("GET", "Range: bytes=1-2\r\nIf-Range: \"sha256:a\"\r\n"), HTTP_RANGE_ONE);
    CHECK_INT(range_of("GET", "Range: bytes=1-2\r\nIf-Range: \"sha256:b\"\r\n"), HTTP_RANGE_NONE);
    CHECK_INT(range_of("GET", "Range: bytes=1-2\r\nIf-Range: W/\"sha256:a\"\r\n"), HTTP_RANGE_NONE);
    CHECK_INT(range_of("GET", "Range: bytes=1-2\r\nIf-Range: sha256:a\r\n"), HTTP_RANGE_NONE);
    CHECK_INT(range_of("GET", "Range: bytes=20-\r\nIf-Range: \"sha256:b\"\r\n"), HTTP_RANGE_NONE);
    CHECK_INT(range_of("GET", "Range: bytes=1-2\r\n"
                              "If-Range: Sun, 06 Nov 1994 08:49:37 GMT\r\n"),
              HTTP_RANGE_NONE);
}

static void test_range_text(void)
{
    struct http_range r = {UINT64_MAX - 1, UINT64_MAX};
    char text[HTTP_RANGE_TEXT_SIZE];

    http_range_text(&r, UINT64_MAX - 1, text);
    CHECK_STR(text, "bytes 18446744073709551614-18446744073709551615/18446744073709551614");
    r = (struct http_range){0, 499};
    http_range_text(&r, 1234, text);
    CHECK_STR(text, "bytes 0-499/1234");
    http_range_text(&r, HTTP_LENGTH_UNKNOWN, text);
    CHECK_STR(text, "bytes 0-499/*");
    http_range_text_unsatisfied(1234, text);
    CHECK_STR(text, "bytes */1234");
}

static const struct {
    const char *field;
    bool good;
    uint64_t from;
    uint64_t to;
    uint64_t size;
} CONTENT_RANGES[] = {
    {"bytes 0-499/1234", true, 0, 499, 1234},
    {"bytes 1233-1233/1234", true, 1233, 1233, 1234},
    {"Bytes 0-499/*", true, 0, 499, U},
    {"bytes 0-9223372036854775806/9223372036854775807", true, 0, INT64_MAX - 1, INT64_MAX},
    {"bytes */1234", false, 0, 0, 0},
    {"bytes 0-1234/1234", false, 0, 0, 0},
    {"bytes 5-4/1234", false, 0, 0, 0},
    {"bytes 0-499", false, 0, 0, 0},
    {"bytes 0-499/", false, 0, 0, 0},
    {"bytes 0-/1234", false, 0, 0, 0},
    {"bytes -5/1234", false, 0, 0, 0},
    {"bytes 0/1234", false, 0, 0, 0},
    {"bytes 0/12-34", false, 0, 0, 0},
    {"bytes=0-499/1234", false, 0, 0, 0},
    {"0-499/1234", false, 0, 0, 0},
    {"bytes", false, 0, 0, 0},
    {"", false, 0, 0, 0},
    {"bytes +0-499/1234", false, 0, 0, 0},
    {"bytes 0-18446744073709551616/*", false, 0, 0, 0},
    {"bytes 0-9223372036854775808/*", false, 0, 0, 0},
};

static void test_content_ranges(void)
{
    for (size_t i = 0; i < ARRAY_LEN(CONTENT_RANGES); i++) {
        struct http_range r = {0, 0};
        uint64_t size = 0;

        CHECK_NOTE(http_content_range_parse(slice_str(CONTENT_RANGES[i].field), &r, &size) ==
                           CONTENT_RANGES[i].good &&
                       r.from == CONTENT_RANGES[i].from && r.to == CONTENT_RANGES[i].to &&
                       size == CONTENT_RANGES[i].size,
                   CONTENT_RANGES[i].field);
    }
}

static const struct {
    const char *method;
    const char *lines;
    enum http_cond cond;
} CONDS[] = {
    {"GET", "", HTTP_COND_GO_ON},
    {"GET", "If-None-Match: \"sha256:a\"\r\n", HTTP_COND_NOT_MODIFIED},
    {"HEAD", "If-None-Match: \"sha256:a\"\r\n", HTTP_COND_NOT_MODIFIED},
    {"PUT", "If-None-Match: \"sha256:a\"\r\n", HTTP_COND_FAILED},
    {"GET", "If-None-Match: sha256:a\r\n", HTTP_COND_NOT_MODIFIED},
    {"GET", "If-None-Match: W/\"sha256:a\"\r\n", HTTP_COND_NOT_MODIFIED},
    {"GET", "If-None-Match: *\r\n", HTTP_COND_NOT_MODIFIED},
    {"PUT", "If-None-Match: *\r\n", HTTP_COND_FAILED},
    {"GET", "If-None-Match: \"*\"\r\n", HTTP_COND_GO_ON},
    {"GET", "If-None-Match: \"sha256:b\"\r\n", HTTP_COND_GO_ON},
    {"GET", "If-None-Match: \"sha256:a\r\n", HTTP_COND_NOT_MODIFIED},
    {"GET", "If-None-Match: \"sha256:aa\"\r\n", HTTP_COND_GO_ON},
    {"GET", "If-None-Match:\r\n", HTTP_COND_GO_ON},
    {"GET", "If-None-Match: , ,\r\n", HTTP_COND_GO_ON},
    {"GET", "If-None-Match: W/\r\n", HTTP_COND_GO_ON},
    {"GET", "If-None-Match: \"\r\n", HTTP_COND_GO_ON},
    {"GET", "If-None-Match: \"b\", W/\"c,d\" ,\"sha256:a\"\r\n", HTTP_COND_NOT_MODIFIED},
    {"GET", "If-None-Match: b , sha256:a\r\n", HTTP_COND_NOT_MODIFIED},
    {"GET", "If-None-Match: \"b,sha256:a,c\"\r\n", HTTP_COND_GO_ON},
    {"GET", "If-None-Match: \"b\"\r\nIf-None-Match: \"sha256:a\"\r\n", HTTP_COND_NOT_MODIFIED},
    {"GET", "If-Match: \"sha256:a\"\r\n", HTTP_COND_GO_ON},
    {"GET", "If-Match: *\r\n", HTTP_COND_GO_ON},
    {"GET", "If-Match: \"b\"\r\n", HTTP_COND_FAILED},
    {"GET", "If-Match: W/\"sha256:a\"\r\n", HTTP_COND_FAILED},
    {"GET", "If-Match: \"b\", \"sha256:a\"\r\n", HTTP_COND_GO_ON},
    {"GET", "If-Match: \"b\"\r\nIf-None-Match: \"sha256:a\"\r\n", HTTP_COND_FAILED},
    {"GET", "If-Match: *\r\nIf-None-Match: \"sha256:a\"\r\n", HTTP_COND_NOT_MODIFIED},
};

static void test_conds(void)
{
    for (size_t i = 0; i < ARRAY_LEN(CONDS); i++) {
        struct http_head h = request(CONDS[i].method, CONDS[i].lines);
        char name[128];

        snprintf(name, sizeof(name), "%s %.*s", CONDS[i].method, (int)strcspn(CONDS[i].lines, "\r"),
                 CONDS[i].lines);
        CHECK_NOTE(http_cond_check(&h, slice_str("sha256:a")) == CONDS[i].cond, name);
    }
}

int main(void)
{
    test_ranges();
    test_range_of();
    test_range_text();
    test_content_ranges();
    test_conds();
    return tap_done();
}
