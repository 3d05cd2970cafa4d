/* tests/unit/test_http_url.c - URLs, references and origins. */
#include "http/url.c"

#include "http/status.h"

#include "tap.h"

static const struct {
    const char *text;
    const char *origin; /* NULL: refused */
    const char *target;
    const char *user;
    const char *password;
} URLS[] = {
    {"http://a", "http://a", "/", NULL, NULL},
    {"https://registry-1.docker.io", "https://registry-1.docker.io", "/", NULL, NULL},
    {"HTTPS://Registry-1.Docker.IO/V2/?A=b", "https://registry-1.docker.io", "/V2/?A=b", NULL,
     NULL},
    {"http://a:80/", "http://a", "/", NULL, NULL},
    {"https://a:443/", "https://a", "/", NULL, NULL},
    {"https://a:80/", "https://a:80", "/", NULL, NULL},
    {"http://a:/b", "http://a", "/b", NULL, NULL},
    {"http://a:65535/b", "http://a:65535", "/b", NULL, NULL},
    {"http://a:00080/b", "http://a", "/b", NULL, NULL},
    {"http://127.0.0.1:5000/b", "http://127.0.0.1:5000", "/b", NULL, NULL},
    {"http://[::1]/b", "http://[::1]", "/b", NULL, NULL},
    {"http://[2001:DB8:0::1]:5000/b", "http://[2001:db8::1]:5000", "/b", NULL, NULL},
    {"http://a?b", "http://a", "/?b", NULL, NULL},
    {"http://a/?", "http://a", "/?", NULL, NULL},
    {"http://a/b?c#d", "http://a", "/b?c", NULL, NULL},
    {"http://a#d", "http://a", "/", NULL, NULL},
    {"http://a/b#c?d", "http://a", "/b", NULL, NULL},
    {"http://a/b/../c", "http://a", "/b/../c", NULL, NULL},
    {"http://a/%2e%zz|{}\"<>^`\\", "http://a", "/%2e%zz|{}\"<>^`\\", NULL, NULL},
    {"http://u@a/b", "http://a", "/b", "u", NULL},
    {"http://u:p@a/b", "http://a", "/b", "u", "p"},
    {"http://u:p:q%40@a:1/b", "http://a:1", "/b", "u", "p:q%40"},
    {"http://u@b:p@a/c", "http://a", "/c", "u@b", "p"},
    {"http://:@a/b", "http://a", "/b", "", ""},
    {"http://@a/b", "http://a", "/b", "", NULL},
    {"http://a/@b", "http://a", "/@b", NULL, NULL},
    {"http://a?@b", "http://a", "/?@b", NULL, NULL},
    {"http://my_host.x-1./", "http://my_host.x-1.", "/", NULL, NULL},
    {"", NULL, NULL, NULL, NULL},
    {"a", NULL, NULL, NULL, NULL},
    {"/a", NULL, NULL, NULL, NULL},
    {"//a/b", NULL, NULL, NULL, NULL},
    {"http:", NULL, NULL, NULL, NULL},
    {"http:/a", NULL, NULL, NULL, NULL},
    {"http://", NULL, NULL, NULL, NULL},
    {"http:///a", NULL, NULL, NULL, NULL},
    {"http://:80/a", NULL, NULL, NULL, NULL},
    {"http://u@/a", NULL, NULL, NULL, NULL},
    {"http://a:0/", NULL, NULL, NULL, NULL},
    {"http://a:65536/", NULL, NULL, NULL, NULL},
    {"http://a:999999/", NULL, NULL, NULL, NULL},
    {"http://a:+1/", NULL, NULL, NULL, NULL},
    {"http://a:b/", NULL, NULL, NULL, NULL},
    {"http://a:1:2/", NULL, NULL, NULL, NULL},
    {"http://::1/", NULL, NULL, NULL, NULL},
    {"http://[::1/", NULL, NULL, NULL, NULL},
    {"http://[]/", NULL, NULL, NULL, NULL},
    {"http://[/", NULL, NULL, NULL, NULL},
    {"http://[::1]a/", NULL, NULL, NULL, NULL},
    {"http://[::g]/", NULL, NULL, NULL, NULL},
    {"http://[::1%25eth0]/", NULL, NULL, NULL, NULL},
    {"http://[127.0.0.1]/", NULL, NULL, NULL, NULL},
    {"http://a b/", NULL, NULL, NULL, NULL},
    {"http://a/b c", NULL, NULL, NULL, NULL},
    {" http://a/", NULL, NULL, NULL, NULL},
    {"http://a/\r\nX: y", NULL, NULL, NULL, NULL},
    {"http://a/\t", NULL, NULL, NULL, NULL},
    {"http://a/\x7f", NULL, NULL, NULL, NULL},
    {"http://a/\xc3\xa4", NULL, NULL, NULL, NULL},
    {"http://\xc3\xa4/", NULL, NULL, NULL, NULL},
    {"http://a%2fb/", NULL, NULL, NULL, NULL},
    {"http://a\\@b/", "http://b", "/", "a\\", NULL},
    {"http://b\\a/", NULL, NULL, NULL, NULL},
    {"ftp://a/", NULL, NULL, NULL, NULL},
    {"file:///etc/passwd", NULL, NULL, NULL, NULL},
    {"httpss://a/", NULL, NULL, NULL, NULL},
    {"1http://a/", NULL, NULL, NULL, NULL},
};

static bool same(struct slice s, const char *text)
{
    return text == NULL ? s.p == NULL : s.p != NULL && slice_is(s, text);
}

static bool url_is(const struct http_url *u, const char *origin, const char *target)
{
    struct buf text;
    bool good;

    buf_init(&text, 2 * HTTP_URL_MAX);
    http_origin_text(&u->origin, &text);
    good = slice_is(buf_view(&text), origin);
    text.len = 0;
    http_url_target(u, &text);
    good = good && slice_is(buf_view(&text), target);
    buf_free(&text);
    return good;
}

static void test_urls(void)
{
    for (size_t i = 0; i < ARRAY_LEN(URLS); i++) {
        const char *why = NULL;
        struct http_url u;
        bool good = http_url_parse(slice_str(URLS[i].text), &u, &why);
        char name[128];

        snprintf(name, sizeof(name), "url %.*s", (int)strcspn(URLS[i].text, "\r\n"), URLS[i].text);
        if (URLS[i].origin == NULL) {
            CHECK_NOTE(!good && why != NULL, name);
        } else {
            CHECK_NOTE(good && url_is(&u, URLS[i].origin, URLS[i].target) &&
                           same(u.user, URLS[i].user) && same(u.password, URLS[i].password),
                       name);
        }
    }
}

static void test_long_urls(void)
{
    static char text[HTTP_URL_MAX + 2];
    const char *why;
    struct http_url u;
    struct buf out;

    memset(text, 'a', sizeof(text));
    memcpy(text, "http://b/", 9);
    CHECK(http_url_parse(slice_of(text, HTTP_URL_MAX), &u, &why));
    CHECK(!http_url_parse(slice_of(text, HTTP_URL_MAX + 1), &u, &why));
    CHECK(!http_url_parse(slice_of("http://b/\0c", 11), &u, &why));
    CHECK(http_url_parse(slice_str("http://b/c/"), &u, &why));
    buf_init(&out, HTTP_URL_MAX);
    CHECK(!http_url_resolve(&u, slice_of(text + 9, HTTP_URL_MAX - 9), &out, &why));
    buf_free(&out);
    memset(text + 7, 'c', 256);
    text[7 + 256] = '/';
    CHECK(!http_url_parse(slice_of(text, 512), &u, &why));
    text[7 + 255] = '/';
    CHECK(http_url_parse(slice_of(text, 512), &u, &why));
}

/* RFC 3986 5.4, with the base http://a/b/c/d;p?q, and what HTTP adds. */
static const struct {
    const char *reference;
    const char *result; /* NULL: refused */
} REFERENCES[] = {
    {"g:h", NULL},
    {"g", "http://a/b/c/g"},
    {"./g", "http://a/b/c/g"},
    {"g/", "http://a/b/c/g/"},
    {"/g", "http://a/g"},
    {"//g", "http://g/"},
    {"?y", "http://a/b/c/d;p?y"},
    {"g?y", "http://a/b/c/g?y"},
    {"#s", "http://a/b/c/d;p?q"},
    {"g#s", "http://a/b/c/g"},
    {"g?y#s", "http://a/b/c/g?y"},
    {";x", "http://a/b/c/;x"},
    {"g;x", "http://a/b/c/g;x"},
    {"g;x?y#s", "http://a/b/c/g;x?y"},
    {"", "http://a/b/c/d;p?q"},
    {".", "http://a/b/c/"},
    {"./", "http://a/b/c/"},
    {"..", "http://a/b/"},
    {"../", "http://a/b/"},
    {"../g", "http://a/b/g"},
    {"../..", "http://a/"},
    {"../../", "http://a/"},
    {"../../g", "http://a/g"},
    {"../../../g", "http://a/g"},
    {"../../../../g", "http://a/g"},
    {"/./g", "http://a/g"},
    {"/../g", "http://a/g"},
    {"g.", "http://a/b/c/g."},
    {".g", "http://a/b/c/.g"},
    {"g..", "http://a/b/c/g.."},
    {"..g", "http://a/b/c/..g"},
    {"./../g", "http://a/b/g"},
    {"./g/.", "http://a/b/c/g/"},
    {"g/./h", "http://a/b/c/g/h"},
    {"g/../h", "http://a/b/c/h"},
    {"g;x=1/./y", "http://a/b/c/g;x=1/y"},
    {"g;x=1/../y", "http://a/b/c/y"},
    {"g?y/./x", "http://a/b/c/g?y/./x"},
    {"g?y/../x", "http://a/b/c/g?y/../x"},
    {"g#s/../x", "http://a/b/c/g"},
    {"http:g", NULL},
    {"https://Cdn.example:8443/x/../y?z=%2F", "https://Cdn.example:8443/y?z=%2F"},
    {"https://u:p@cdn.example/x", "https://u:p@cdn.example/x"},
    {"//g:1?y", "http://g:1/?y"},
    {"/", "http://a/"},
    {"//", NULL},
    {"///x", NULL},
    {"/a b", NULL},
    {"/a\r\nX: y", NULL},
    {"//g:99999/", NULL},
    {"ftp://g/", NULL},
    {"/v2/x?_state=a%2Bb", "http://a/v2/x?_state=a%2Bb"},
    {"//[::1]:5000/x", "http://[::1]:5000/x"},
    {"/a//b/../c", "http://a/a//c"},
};

static void test_references(void)
{
    struct http_url base;
    const char *why;

    CHECK(http_url_parse(slice_str("http://u:p@a/b/c/d;p?q"), &base, &why));
    for (size_t i = 0; i < ARRAY_LEN(REFERENCES); i++) {
        const char *expected = REFERENCES[i].result;
        struct buf out;
        char name[128];
        bool good;

        buf_init(&out, HTTP_URL_MAX);
        good = http_url_resolve(&base, slice_str(REFERENCES[i].reference), &out, &why);
        snprintf(name, sizeof(name), "reference %.*s",
                 (int)strcspn(REFERENCES[i].reference, "\r\n"), REFERENCES[i].reference);
        CHECK_NOTE(expected == NULL ? !good : good && slice_is(buf_view(&out), expected), name);
        buf_free(&out);
    }
}

static void test_origins(void)
{
    static const char *urls[] = {"http://a",     "https://a", "http://a:443",
                                 "https://a:80", "http://b",  "http://[::1]"};
    struct http_url x;
    struct http_url y;
    const char *why;

    for (size_t i = 0; i < ARRAY_LEN(urls); i++) {
        for (size_t j = 0; j < ARRAY_LEN(urls); j++) {
            CHECK(http_url_parse(slice_str(urls[i]), &x, &why) &&
                  http_url_parse(slice_str(urls[j]), &y, &why) &&
                  http_origin_equal(&x.origin, &y.origin) == (i == j));
        }
    }
    CHECK(http_url_parse(slice_str("http://[0:0:0:0:0:0:0:1]:80/x"), &y, &why));
    CHECK(http_url_parse(slice_str("HTTP://[::1]/y"), &x, &why));
    CHECK(http_origin_equal(&x.origin, &y.origin));
}

static void test_decode(void)
{
    struct buf out;

    buf_init(&out, 64);
    CHECK(http_url_decode(slice_str("a%40b%3a+%C3"), &out));
    CHECK(slice_is(buf_view(&out), "a@b:+\xc3"));
    CHECK(!http_url_decode(slice_str("%"), &out));
    CHECK(!http_url_decode(slice_str("%4"), &out));
    CHECK(!http_url_decode(slice_str("%4g"), &out));
    CHECK(!http_url_decode(slice_str("%+4"), &out));
    buf_free(&out);
}

static void test_status(void)
{
    CHECK_STR(http_status_reason(200), "OK");
    CHECK_STR(http_status_reason(431), "Request Header Fields Too Large");
    CHECK_STR(http_status_reason(299), "Unknown");
}

int main(void)
{
    test_urls();
    test_long_urls();
    test_references();
    test_origins();
    test_decode();
    test_status();
    return tap_done();
}
