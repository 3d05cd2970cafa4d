/* test_bundle_inventory.c - lists of digests, whole, cut, changed and searched. */
#include "../../src/bundle/inventory.c"

#include "tap.h"

#include <stdio.h>

#define LIST_MAX (1u << 20)

/* Digests in order: n of sha256, then m of sha512; each differs early and late. */
static struct digest digest_at(size_t i, size_t n)
{
    struct digest d = {.alg = i < n ? DIGEST_SHA256 : DIGEST_SHA512};
    size_t at = i < n ? i : i - n;

    d.bytes[0] = (uint8_t)(at >> 2);
    d.bytes[digest_size(&d) - 1] = (uint8_t)(at & 3);
    return d;
}

static void list_write(struct buf *b, size_t n, size_t m)
{
    unsigned char out[DIGEST_KEY_MAX];
    struct inventory_write w;

    buf_init(b, LIST_MAX);
    buf_append(b, out, inventory_write_head(&w, out));
    for (size_t i = 0; i < n + m; i++) {
        struct digest d = digest_at(i, n);

        buf_append(b, out, inventory_write_digest(&w, &d, out));
    }
    buf_append(b, out, inventory_write_tail(&w, out));
}

/* Reads in pieces; the number of digests, or -1 with e. Counts those that are not expected. */
static int64_t list_read(struct slice in, size_t piece, size_t n, size_t *wrong, struct err *e)
{
    struct inventory_read r;
    int64_t count = 0;
    bool ended = false;

    inventory_read_init(&r);
    for (size_t at = 0; at < in.len; at += piece) {
        struct slice part = slice_sub(in, at, at + piece);
        enum inventory_event event;

        while ((event = inventory_read_feed(&r, &part, e)) != INVENTORY_MORE) {
            struct digest d = digest_at((size_t)count, n);

            if (event == INVENTORY_BAD) {
                return -1;
            }
            if (event == INVENTORY_DIGEST) {
                *wrong += digest_equal(&d, &r.digest) ? 0 : 1;
                count++;
            } else {
                ended = true;
            }
        }
    }
    if (inventory_read_finish(&r, e) < 0) {
        return -1;
    }
    return ended ? count : -2;
}

static void test_round(void)
{
    static const size_t counts[][2] = {{0, 0}, {1, 0}, {0, 1}, {3, 2}, {700, 300}};
    static const size_t pieces[] = {1, 2, 16, 33, 64, 4096, LIST_MAX};

    for (size_t i = 0; i < ARRAY_LEN(counts); i++) {
        size_t n = counts[i][0];
        size_t m = counts[i][1];
        size_t wrong = 0;
        struct err e;
        struct buf b;

        list_write(&b, n, m);
        CHECK_INT(b.len, INVENTORY_HEAD + 33 * n + 65 * m + INVENTORY_TAIL);
        for (size_t k = 0; k < ARRAY_LEN(pieces); k++) {
            CHECK_INT(list_read(buf_view(&b), pieces[k], n, &wrong, &e), n + m);
        }
        CHECK_INT(wrong, 0);
        buf_free(&b);
    }
}

/* The format is what others have on their disks: every byte of a list of none. */
static void test_bytes(void)
{
    static const char head[] = "\x8bLARDER\n\0\0\0\1\0\0\0\0"
                               "\0\0\0\0\0\0\0\0";
    char hex[2 * 32 + 1];
    struct buf b;

    list_write(&b, 0, 0);
    CHECK(memcmp(b.p, head, INVENTORY_HEAD + TAIL_SUMMED) == 0);
    hex_encode(b.p + INVENTORY_HEAD + TAIL_SUMMED, 32, hex);
    CHECK_STR(hex, "b4fe64e97f00c67b67ce3090efceca65eee600cedbf8a5c5f7b5a1e49d95ac41");
    buf_free(&b);
}

static void test_truncated(void)
{
    size_t passed = 0;
    size_t unsaid = 0;
    struct buf b;

    list_write(&b, 3, 2);
    for (size_t n = 0; n < b.len; n++) {
        struct err e = {0};
        size_t wrong = 0;
        char expected[64];

        passed += list_read(slice_of(b.p, n), LIST_MAX, 3, &wrong, &e) != -1;
        snprintf(expected, sizeof(expected), "the inventory breaks off at byte %zu", n);
        unsaid += strcmp(e.text, expected) != 0;
    }
    CHECK_INT(passed, 0);
    CHECK_INT(unsaid, 0);
    buf_free(&b);
}

/* Whatever bit is turned, somebody notices. */
static void test_changed(void)
{
    size_t passed = 0;
    struct buf b;

    list_write(&b, 3, 2);
    for (size_t bit = 0; bit < 8 * b.len; bit++) {
        struct err e = {0};
        size_t wrong = 0;

        b.p[bit / 8] = (char)(b.p[bit / 8] ^ 1 << bit % 8);
        passed += list_read(buf_view(&b), LIST_MAX, 3, &wrong, &e) != -1 || e.text[0] == '\0';
        b.p[bit / 8] = (char)(b.p[bit / 8] ^ 1 << bit % 8);
    }
    CHECK_INT(passed, 0);
    buf_free(&b);
}

static void check_bad(struct buf *b, const char *text)
{
    struct err e = {0};
    size_t wrong = 0;

    CHECK_INT(list_read(buf_view(b), 5, 3, &wrong, &e), -1);
    CHECK_STR(e.text, text);
    CHECK_INT(e.code, ERR_BAD_REQUEST);
    buf_free(b);
}

static void test_bad(void)
{
    struct buf b;

    list_write(&b, 3, 0);
    b.p[0] = 'x';
    check_bad(&b, "the inventory at byte 0: this is no inventory");
    list_write(&b, 3, 0);
    b.p[11] = 2;
    check_bad(&b, "the inventory is of version 2.0, and this program reads 1.0");
    list_write(&b, 3, 0);
    b.p[15] = 7;
    check_bad(&b, "the inventory is of version 1.7, and this program reads 1.0");
    list_write(&b, 3, 0);
    b.p[INVENTORY_HEAD + 33] = 3;
    check_bad(&b, "the inventory at byte 49: no digest of an algorithm that is known");
    list_write(&b, 3, 0);
    memcpy(b.p + INVENTORY_HEAD + 33, b.p + INVENTORY_HEAD, 33);
    check_bad(&b, "the inventory at byte 49: its digests are out of order");
    list_write(&b, 3, 0);
    b.p[INVENTORY_HEAD + 33 + 2] = 1;
    check_bad(&b, "the inventory at byte 82: its digests are out of order");
    list_write(&b, 3, 0);
    b.p[INVENTORY_HEAD + 66 + 2] = 1;
    check_bad(&b, "the inventory at byte 115: its sum is wrong: it was changed, or damaged on its "
                  "way");
    list_write(&b, 3, 0);
    buf_str(&b, "x");
    check_bad(&b, "the inventory at byte 156: something follows its end");
}

static void test_search(void)
{
    struct inventory i;
    size_t wrong = 0;
    struct err e = {0};
    struct buf b;

    list_write(&b, 700, 300);
    if (CHECK(inventory_open(buf_view(&b), &i, &e) == 0)) {
        CHECK_INT(i.n_sha256, 700);
        CHECK_INT(i.n_sha512, 300);
        for (size_t k = 0; k < 1000; k++) {
            struct digest d = digest_at(k, 700);

            wrong += inventory_has(&i, &d) ? 0 : 1;
            d.bytes[1] = 1;
            wrong += inventory_has(&i, &d) ? 1 : 0;
            d = digest_at(k, 1000); /* the same bytes, of the other algorithm */
            wrong += k >= 700 && inventory_has(&i, &d) ? 1 : 0;
        }
        CHECK_INT(wrong, 0);
    }
    CHECK_INT(inventory_open(slice_sub(buf_view(&b), 0, b.len - 1), &i, &e), -1);
    CHECK(strstr(e.text, "breaks off") != NULL);
    buf_str(&b, "x");
    CHECK_INT(inventory_open(buf_view(&b), &i, &e), -1);
    CHECK(strstr(e.text, "something follows its end") != NULL);
    CHECK_INT(inventory_open(slice_of(b.p, 0), &i, &e), -1);
    buf_free(&b);
    list_write(&b, 0, 0);
    if (CHECK(inventory_open(buf_view(&b), &i, &e) == 0)) {
        struct digest d = digest_at(0, 1);

        CHECK(!inventory_has(&i, &d));
    }
    buf_free(&b);
}

int main(void)
{
    test_round();
    test_bytes();
    test_truncated();
    test_changed();
    test_bad();
    test_search();
    return tap_done();
}
