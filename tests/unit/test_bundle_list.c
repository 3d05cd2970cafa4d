/* test_bundle_list.c - larder/list: written, read in pieces, searched, and all that it refuses. */
#include "../../src/bundle/list.c"

#include "tap.h"

#include <stdio.h>

#define TEXT_MAX (1u << 20)
#define HEX "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcde"
#define D_0 "sha256:" HEX "0"
#define D_1 "sha256:" HEX "1"
#define D_2 "sha256:" HEX "2"
#define D_3 "sha256:" HEX "3"
#define D_9 "sha256:" HEX "9"
#define D_G "sha256:" HEX "G"

static const char OF_ALL[] =
    "larder-bundle 1\n"
    "stands-on " D_9 "\n"
    "image docker.io/library/debian - " D_3 " 700 application/vnd.oci.image.index.v1+json\n"
    "image docker.io/library/debian 12 " D_1 " 500 application/vnd.oci.image.manifest.v1+json\n"
    "image stage/app dev " D_1 " 500 application/vnd.oci.image.manifest.v1+json\n"
    "needs " D_2 " 12345678901234\n"
    "needs " D_3 " 700\n"
    "blob " D_0 " 0\n"
    "blob " D_1 " 500\n"
    "blob sha512:" HEX "f" HEX "f 77\n";

/* Reads in pieces, and writes what was read; the number of lines, or -1 with e. */
static int64_t copy(struct slice in, size_t piece, struct buf *out, struct err *e)
{
    struct list_write w = {0};
    struct list_read r;
    int64_t n = 0;

    buf_init(out, TEXT_MAX);
    list_read_init(&r);
    list_write_head(&w, out);
    for (size_t at = 0; at < in.len; at += piece) {
        struct slice part = slice_sub(in, at, at + piece);
        enum list_event event;

        while ((event = list_read_feed(&r, &part, e)) == LIST_LINE) {
            list_write_line(&w, &r.line, out);
            n++;
        }
        if (event == LIST_BAD) {
            return -1;
        }
    }
    return list_read_finish(&r, e) < 0 ? -1 : n;
}

static void test_round(void)
{
    for (size_t piece = 1; piece < 600; piece += piece < 5 ? 1 : 99) {
        struct err e = {0};
        struct buf out;

        CHECK_INT(copy(slice_str(OF_ALL), piece, &out, &e), 9);
        CHECK_STR(out.p, OF_ALL);
        buf_free(&out);
    }
}

/* Wherever it is cut: a shorter list where that is at the end of a line, else none. */
static void test_truncated(void)
{
    size_t wrong = 0;

    for (size_t n = 0; n < sizeof(OF_ALL) - 1; n++) {
        bool at_line = n > 0 && OF_ALL[n - 1] == '\n';
        struct err e = {0};
        struct buf out;

        wrong += (copy(slice_of(OF_ALL, n), 4096, &out, &e) >= 0) == at_line ? 0 : 1;
        wrong += at_line || strstr(e.text, "breaks off at byte") != NULL ? 0 : 1;
        buf_free(&out);
    }
    CHECK_INT(wrong, 0);
}

static void test_bad(void)
{
#define HEAD_LINE "larder-bundle 1\n"
    static const struct {
        const char *text;
        const char *why;
    } cases[] = {
        {"\n", "byte 0: this is no list"},
        {"larder-bundle\n", "this is no list"},
        {"larder-bundle 2\n", "of another version"},
        {"larder-bundle 1 \n", "of another version"},
        {HEAD_LINE "\n", "byte 16: this is no line"},
        {HEAD_LINE HEAD_LINE, "this is no line"},
        {HEAD_LINE "blob " D_1 "\n", "this is no line"},
        {HEAD_LINE "blob " D_1 " 1 2\n", "this is no line"},
        {HEAD_LINE "blob " D_1 " 1 2 3 4 5 6\n", "this is no line"},
        {HEAD_LINE "blob  " D_1 " 1\n", "this is no line"},
        {HEAD_LINE "blob " D_1 " 1\r\n", "this is no line"},
        {HEAD_LINE "blob " D_1 " 01\n", "this is no line"},
        {HEAD_LINE "blob " D_1 " -1\n", "this is no line"},
        {HEAD_LINE "blob " D_1 " 9223372036854775808\n", "this is no line"},
        {HEAD_LINE "blob " D_1 " 18446744073709551616\n", "this is no line"},
        {HEAD_LINE "blob " D_G " 1\n", "this is no line"},
        {HEAD_LINE "blob md5:0123456789abcdef0123456789abcdef 1\n", "this is no line"},
        {HEAD_LINE "Blob " D_1 " 1\n", "this is no line"},
        {HEAD_LINE "stands-on " D_1 " 1\n", "this is no line"},
        {HEAD_LINE "stands-on " D_1 "\nstands-on " D_2 "\n", "it says this twice"},
        {HEAD_LINE "blob " D_1 " 1\nblob " D_1 " 1\n", "byte 95: it says this twice"},
        {HEAD_LINE "blob " D_2 " 1\nblob " D_1 " 1\n", "out of order"},
        {HEAD_LINE "blob " D_1 " 1\nneeds " D_2 " 1\n", "out of order"},
        {HEAD_LINE "image a 1 " D_1 " 1\n", "this is no line"},
        {HEAD_LINE "image a 1 " D_1 " 1 a/b c\n", "this is no line"},
        {HEAD_LINE "image a 1 " D_1 " 1 \n", "this is no line"},
        {HEAD_LINE "image a 1 " D_1 " 1 a\x7f\n", "this is no line"},
        {HEAD_LINE "image a .1 " D_1 " 1 a/b\n", "this is no line"},
        {HEAD_LINE "image a -- " D_1 " 1 a/b\n", "this is no line"},
        {HEAD_LINE "image  1 " D_1 " 1 a/b\n", "this is no line"},
        {HEAD_LINE "image a:1 1 " D_1 " 1 a/b\n", "this is no line"},
        {HEAD_LINE "image a@" D_1 " 1 " D_1 " 1 a/b\n", "this is no line"},
        {HEAD_LINE "image ../a 1 " D_1 " 1 a/b\n", "this is no line"},
        {HEAD_LINE "image a\t 1 " D_1 " 1 a/b\n", "this is no line"},
        {HEAD_LINE "image a 1 " D_1 " 1 a/b\nimage a 1 " D_2 " 1 a/b\n", "twice"},
        {HEAD_LINE "image a 1 " D_1 " 1 a/b\nimage a - " D_2 " 1 a/b\n", "out of order"},
        {HEAD_LINE "image b 1 " D_1 " 1 a/b\nimage a 1 " D_2 " 1 a/b\n", "out of order"},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct err e = {0};
        struct buf out;

        CHECK_NOTE(copy(slice_str(cases[i].text), 7, &out, &e) == -1 && e.code == ERR_BAD_REQUEST &&
                       strstr(e.text, cases[i].why) != NULL,
                   cases[i].text);
        buf_free(&out);
    }
}

/* What is too long ends it at once, and what was said is said again. */
static void test_long(void)
{
    struct err first = {0};
    struct err again = {0};
    struct list_read r;
    struct slice in;
    struct buf b;

    buf_init(&b, TEXT_MAX);
    buf_str(&b, HEAD_LINE);
    for (int i = 0; i < LIST_LINE_MAX; i++) {
        buf_str(&b, "x");
    }
    in = buf_view(&b);
    list_read_init(&r);
    CHECK_INT(list_read_feed(&r, &in, &first), LIST_BAD);
    CHECK(strstr(first.text, "too long") != NULL);
    in = slice_str("\n");
    CHECK_INT(list_read_feed(&r, &in, &again), LIST_BAD);
    CHECK_STR(again.text, first.text);
    CHECK_INT(list_read_finish(&r, &again), -1);
    CHECK_STR(again.text, first.text);
    buf_free(&b);
}

static void test_open(void)
{
    struct list_line line;
    struct digest d;
    uint64_t size = 0;
    struct err e;
    struct list_whole l;

    if (!CHECK(list_open(slice_str(OF_ALL), &l, &e) == 0)) {
        return;
    }
    CHECK_INT(l.n_images, 3);
    CHECK_INT(l.n_needs, 2);
    CHECK_INT(l.n_blobs, 3);
    CHECK_INT(l.blob_bytes, 577);
    CHECK(digest_parse(slice_str(D_9), &d) && l.has_stands_on && digest_equal(&d, &l.stands_on));
    CHECK(digest_parse(slice_str(D_1), &d));
    CHECK(list_has_blob(&l, &d, &size) && size == 500);
    CHECK(!list_needs_blob(&l, &d, &size));
    CHECK(digest_parse(slice_str(D_2), &d));
    CHECK(list_needs_blob(&l, &d, &size) && size == 12345678901234);
    CHECK(!list_has_blob(&l, &d, &size));
    CHECK(list_next(&l.images, &line) && line.tag[0] == '\0' && line.size == 700);
    CHECK(list_next(&l.images, &line) && strcmp(line.tag, "12") == 0);
    CHECK(list_next(&l.images, &line) && strcmp(line.name, "stage/app") == 0);
    CHECK(!list_next(&l.images, &line));

    if (CHECK(list_open(slice_str(HEAD_LINE), &l, &e) == 0)) {
        CHECK(l.n_blobs == 0 && !list_has_blob(&l, &d, &size) && !list_next(&l.blobs, &line));
    }
}

static void test_open_bad(void)
{
#define IMAGE HEAD_LINE "image a 1 " D_1 " 9 a/b\n"
    static const struct {
        const char *text;
        const char *why;
    } cases[] = {
        {"", "breaks off at byte 0"},
        {IMAGE, "is no blob of that size"},
        {IMAGE "blob " D_1 " 8\n", "is no blob of that size"},
        {IMAGE "needs " D_1 " 9\nblob " D_1 " 9\n", "both in it and left out"},
        {IMAGE "blob " D_1 " 9\nx", "breaks off at byte"},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct err e = {0};
        struct list_whole l;

        CHECK_NOTE(list_open(slice_str(cases[i].text), &l, &e) == -1 && e.code == ERR_BAD_REQUEST &&
                       strstr(e.text, cases[i].why) != NULL,
                   cases[i].text);
    }
}

/* Each of many is found, with its size, and nothing between them. */
static void test_search(void)
{
    struct list_write w = {0};
    size_t wrong = 0;
    uint64_t size;
    struct err e;
    struct list_whole l;
    struct buf b;

    buf_init(&b, TEXT_MAX);
    list_write_head(&w, &b);
    for (unsigned i = 0; i < 3000; i++) {
        struct list_line line = {.kind = LIST_BLOB, .size = (uint64_t)1 << i % 60};

        line.digest = (struct digest){.alg = i < 2000 ? DIGEST_SHA256 : DIGEST_SHA512};
        line.digest.bytes[0] = (uint8_t)(i >> 6);
        line.digest.bytes[20] = (uint8_t)(2 * (i & 63));
        list_write_line(&w, &line, &b);
    }
    if (CHECK(list_open(buf_view(&b), &l, &e) == 0)) {
        for (unsigned i = 0; i < 3000; i++) {
            struct digest d = {.alg = i < 2000 ? DIGEST_SHA256 : DIGEST_SHA512};

            d.bytes[0] = (uint8_t)(i >> 6);
            d.bytes[20] = (uint8_t)(2 * (i & 63));
            wrong += list_has_blob(&l, &d, &size) && size == (uint64_t)1 << i % 60 ? 0 : 1;
            d.bytes[20]++;
            wrong += list_has_blob(&l, &d, &size) ? 1 : 0;
        }
        CHECK_INT(wrong, 0);
    }
    buf_free(&b);
}

int main(void)
{
    test_round();
    test_truncated();
    test_bad();
    test_long();
    test_open();
    test_open_bad();
    test_search();
    return tap_done();
}
