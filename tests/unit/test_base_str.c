/* test_base_str.c - slices, numbers, durations, hex and the bounded buffer. */
#include "base/str.h"

#include <stdlib.h>

#include "tap.h"

static void test_slices(void)
{
    struct slice s = slice_str("a,b,,c");
    struct slice part;
    char parts[32] = "";
    char copy[4];

    while (slice_split(&s, ',', &part)) {
        strncat(parts, "[", 2);
        strncat(parts, part.p, part.len);
    }
    CHECK_STR(parts, "[a[b[[c");
    CHECK(!slice_split(&s, ',', &part));
    s = slice_str("");
    CHECK(slice_split(&s, ',', &part) && part.len == 0 && !slice_split(&s, ',', &part));
    CHECK(slice_is(slice_trim(slice_str(" \t x y\t ")), "x y"));
    CHECK(slice_trim(slice_str(" \t")).len == 0);
    CHECK(slice_is(slice_sub(slice_str("hello"), 1, 3), "el"));
    CHECK(slice_sub(slice_str("hello"), 4, 2).len == 0);
    CHECK(slice_from(slice_str("hello"), 9).len == 0);
    CHECK(slice_eq(SLICE_NULL, slice_str("")));
    CHECK(slice_is_nocase(slice_str("ReaLm"), "realm") && !slice_is_nocase(slice_str("r"), "re"));
    CHECK(slice_starts(slice_str("abc"), "ab") && !slice_starts(slice_str("a"), "ab"));
    CHECK(slice_ends(slice_str("abc"), "bc") && !slice_ends(slice_str("c"), "bc"));
    CHECK_INT(slice_find(slice_str("a/b/c"), '/'), 1);
    CHECK_INT(slice_rfind(slice_str("a/b/c"), '/'), 3);
    CHECK_INT(slice_rfind(slice_str("abc"), '/'), 3);
    CHECK_INT(slice_find(SLICE_NULL, 'x'), 0);
    CHECK(slice_copy(slice_str("abc"), copy, sizeof(copy)));
    CHECK_STR(copy, "abc");
    CHECK(!slice_copy(slice_str("abcd"), copy, sizeof(copy)));
    CHECK(!slice_copy(slice_of("a\0b", 3), copy, sizeof(copy)));
    CHECK_STR(copy, "abc");
    CHECK(slice_copy(SLICE_NULL, copy, sizeof(copy)) && copy[0] == '\0');
}

static void test_numbers(void)
{
    static const char *const BAD[] = {
        "", "+1", "-1", " 1", "1 ", "0x1", "1a", "18446744073709551616", "99999999999999999999"};
    static const char *const BAD_HEX[] = {"", "g", "0x1", "11112222333344445", " 1"};
    uint64_t n = 7;
    char hex[9];
    unsigned char raw[4];

    CHECK(slice_u64(slice_str("18446744073709551615"), &n) && n == UINT64_MAX);
    CHECK(slice_u64(slice_str("007"), &n) && n == 7);
    for (size_t i = 0; i < ARRAY_LEN(BAD); i++) {
        CHECK_NOTE(!slice_u64(slice_str(BAD[i]), &n) && n == 7, BAD[i]);
    }
    CHECK(slice_hex64(slice_str("fFfFffffFFFFffff"), &n) && n == UINT64_MAX);
    n = 7;
    for (size_t i = 0; i < ARRAY_LEN(BAD_HEX); i++) {
        CHECK_NOTE(!slice_hex64(slice_str(BAD_HEX[i]), &n) && n == 7, BAD_HEX[i]);
    }
    hex_encode("\x00\x9f\xa0\xff", 4, hex);
    CHECK_STR(hex, "009fa0ff");
    CHECK(hex_decode(slice_str(hex), raw) && memcmp(raw, "\x00\x9f\xa0\xff", 4) == 0);
    CHECK(!hex_decode(slice_str("0"), raw));
    CHECK(!hex_decode(slice_str("0G"), raw));
    CHECK(!hex_decode(slice_str("AA"), raw)); /* upper case is no digest */
}

static void test_durations(void)
{
    static const struct {
        const char *text;
        uint64_t ms;
    } GOOD[] = {
        {"0", 0},       {"0s", 0},       {"200ms", 200},      {"5s", 5000},
        {"2m", 120000}, {"1h", 3600000}, {"30d", 2592000000}, {"4294967295d", 371085174288000000}};
    static const char *const BAD[] = {"",    "5",   "s",  "-1s", "+1s",  "1.5s",         "1 s",
                                      " 1s", "1s ", "1S", "1us", "1m1s", "4294967296ms", "1w",
                                      "00x"};
    uint64_t ms;

    for (size_t i = 0; i < ARRAY_LEN(GOOD); i++) {
        ms = 1;
        CHECK_NOTE(duration_parse(slice_str(GOOD[i].text), &ms) && ms == GOOD[i].ms, GOOD[i].text);
    }
    for (size_t i = 0; i < ARRAY_LEN(BAD); i++) {
        ms = 77;
        CHECK_NOTE(!duration_parse(slice_str(BAD[i]), &ms) && ms == 77, BAD[i]);
    }
}

static void test_buf(void)
{
    struct buf b;
    char *text;

    buf_init(&b, 8);
    buf_str(&b, "12345678");
    CHECK(!b.failed && b.len == 8 && b.p[8] == '\0');
    buf_append(&b, "", 0);
    CHECK(!b.failed);
    buf_append(&b, "9", 1);
    CHECK(b.failed && b.len == 8);
    buf_free(&b);
    CHECK(!b.failed && b.len == 0 && b.max == 8);
    buf_str(&b, "123456789");
    CHECK(b.failed && b.len == 0);
    buf_append(&b, "1", 1); /* once failed, nothing more: what is there is a whole prefix */
    CHECK(b.len == 0);
    buf_free(&b);
    buf_append(&b, "x", SIZE_MAX);
    CHECK(b.failed);
    buf_free(&b);
    text = buf_take(&b);
    CHECK_STR(text, "");
    free(text);

    buf_init(&b, 4096);
    for (int i = 0; i < 100; i++) {
        buf_printf(&b, "%d-%s;", i, "0123456789012345678901234567");
    }
    CHECK(!b.failed && b.len == strlen(b.p));
    buf_printf(&b, "%600s", "x"); /* longer than its own scratch */
    CHECK(!b.failed && b.len == strlen(b.p) && b.p[b.len - 1] == 'x');
    text = buf_take(&b);
    CHECK(b.len == 0 && b.p == NULL && strlen(text) > 3000);
    free(text);
    buf_percent(&b, slice_str("a~Z-9._/ \xff&="));
    CHECK_STR(b.p, "a~Z-9._%2F%20%FF%26%3D");
    buf_free(&b);
    buf_free(NULL);
}

static void check_json(struct slice in, const char *expected)
{
    struct buf b;

    buf_init(&b, 256);
    buf_json(&b, in);
    CHECK_STR(b.p, expected);
    buf_free(&b);
}

static void test_json(void)
{
    check_json(SLICE_NULL, "\"\"");
    check_json(slice_str("a\"b\\c/\n\r\t\x01\x7f"), "\"a\\\"b\\\\c/\\n\\r\\t\\u0001\\u007f\"");
    check_json(slice_of("a\0b", 3), "\"a\\u0000b\"");
    check_json(slice_str("\xc3\xa4\xe2\x82\xac\xf0\x9f\x90\xb3"),
               "\"\xc3\xa4\xe2\x82\xac\xf0\x9f\x90\xb3\"");
    /* Cut short, overlong, a surrogate, beyond Unicode, a byte that cannot begin. */
    check_json(slice_str("\xe2\x82"), "\"\xef\xbf\xbd\xef\xbf\xbd\"");
    check_json(slice_str("\xc0\x80"), "\"\xef\xbf\xbd\xef\xbf\xbd\"");
    check_json(slice_str("\xed\xa0\x80"), "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"");
    check_json(slice_str("\xf4\x90\x80\x80"),
               "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"");
    check_json(slice_str("\x80x"), "\"\xef\xbf\xbdx\"");
}

int main(void)
{
    test_slices();
    test_numbers();
    test_durations();
    test_buf();
    test_json();
    return tap_done();
}
