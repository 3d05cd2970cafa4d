/* test_bundle_tar.c - archives as GNU tar, pax and older ones write them, and broken ones. */
#include "../../src/bundle/tar_read.c"
#include "../../src/bundle/tar_write.c"

#include "tap.h"

#include <stdlib.h>

#define ARCHIVE_MAX (1u << 20)
#define NAME_77 "blobs/sha256/" HEX_64
#define HEX_64 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define NAME_141 "blobs/sha512/" HEX_64 HEX_64

/* --- archives ------------------------------------------------------------------------------ */

/* What differs from a file of a ustar archive. */
struct head {
    const char *name;
    char flag;
    uint64_t size;
    const char *link;
    const char *prefix;
    const char *magic; /* 8 bytes; NULL: POSIX */
    bool binary;       /* the size as GNU writes large ones */
};

static void sum_set(unsigned char *block)
{
    unsigned sum = 0;

    memset(block + 148, ' ', 8);
    for (size_t i = 0; i < TAR_BLOCK; i++) {
        sum += block[i];
    }
    snprintf((char *)block + 148, 8, "%06o", sum);
}

static void head_fill(const struct head *h, unsigned char block[TAR_BLOCK])
{
    memset(block, 0, TAR_BLOCK);
    memcpy(block, h->name, strnlen(h->name, 100));
    memcpy(block + 100, "0000644", 7);
    if (h->binary) {
        block[124] = 0x80;
        for (int i = 0; i < 8; i++) {
            block[128 + i] = (unsigned char)(h->size >> (56 - 8 * i));
        }
    } else {
        snprintf((char *)block + 124, 12, "%011llo", (unsigned long long)h->size);
    }
    block[156] = (unsigned char)h->flag;
    if (h->link != NULL) {
        memcpy(block + 157, h->link, strnlen(h->link, 100));
    }
    memcpy(block + 257,
           h->magic != NULL ? h->magic
                            : "ustar\0"
                              "00",
           8);
    if (h->prefix != NULL) {
        memcpy(block + 345, h->prefix, strnlen(h->prefix, 155));
    }
    sum_set(block);
}

static void head_add(struct buf *b, const struct head *h)
{
    unsigned char block[TAR_BLOCK];

    head_fill(h, block);
    buf_append(b, block, sizeof(block));
}

static void zeros_add(struct buf *b, size_t n)
{
    static const char zeros[2 * TAR_BLOCK];

    buf_append(b, zeros, n);
}

static void body_add(struct buf *b, const char *p, size_t n)
{
    buf_append(b, p, n);
    zeros_add(b, tar_write_padding(n));
}

static void meta_add(struct buf *b, char flag, const char *p, size_t n)
{
    head_add(b, &(struct head){.name = "././@LongLink", .flag = flag, .size = n});
    body_add(b, p, n);
}

static void file_add(struct buf *b, const char *name, const char *text)
{
    head_add(b, &(struct head){.name = name, .flag = '0', .size = strlen(text)});
    body_add(b, text, strlen(text));
}

/* --- what is read -------------------------------------------------------------------------- */

/* Feeds `in`, `piece` bytes at a time, and tells the events as text: "file NAME SIZE:data.". */
static void told(struct slice in, size_t piece, struct buf *out)
{
    static const char *const types[] = {"file", "dir", "symlink", "hardlink", "other"};
    enum tar_event event = TAR_MORE;
    struct err e = {0};
    struct tar_read t;

    tar_read_init(&t);
    for (size_t at = 0; at < in.len && event != TAR_BAD; at += piece) {
        struct slice part = slice_sub(in, at, at + piece);

        while ((event = tar_read_feed(&t, &part, &e)) != TAR_MORE && event != TAR_BAD) {
            if (event == TAR_ENTRY) {
                buf_printf(out, "%s %s %llu", types[t.entry.type], t.entry.name,
                           (unsigned long long)t.entry.size);
                buf_printf(out, "%s%s:", t.entry.link[0] != '\0' ? " -> " : "", t.entry.link);
            } else if (event == TAR_DATA) {
                buf_slice(out, t.data);
            } else if (event == TAR_ENTRY_END) {
                buf_str(out, ".\n");
            } else {
                break;
            }
        }
    }
    if (event == TAR_BAD || tar_read_finish(&t, &e) < 0) {
        buf_printf(out, "BAD %s\n", e.text);
    } else {
        buf_str(out, tar_read_ended(&t) ? "END\n" : "STOP\n");
    }
    tar_read_fini(&t);
}

static char *told_text(const struct buf *b, size_t piece)
{
    struct buf out;

    buf_init(&out, ARCHIVE_MAX);
    told(buf_view(b), piece, &out);
    return buf_take(&out);
}

/* Ends the archive, reads it in several ways, and frees it. */
static void check_told(struct buf *b, const char *expected)
{
    static const size_t pieces[] = {1, 7, 511, 512, 513, ARCHIVE_MAX};

    zeros_add(b, TAR_WRITE_END);
    for (size_t i = 0; i < ARRAY_LEN(pieces); i++) {
        char *text = told_text(b, pieces[i]);

        CHECK_STR(text, expected);
        free(text);
    }
    buf_free(b);
    buf_init(b, ARCHIVE_MAX);
}

static void test_plain(void)
{
    struct buf b;

    buf_init(&b, ARCHIVE_MAX);
    check_told(&b, "END\n");
    head_add(&b, &(struct head){.name = "blobs/", .flag = '5'});
    head_add(&b, &(struct head){.name = "blobs/sha256", .flag = '5', .size = 1234});
    file_add(&b, NAME_77, "hello");
    file_add(&b, "empty", "");
    file_add(&b, "./index.json", "{}");
    check_told(&b, "dir blobs 0:.\ndir blobs/sha256 0:.\nfile " NAME_77 " 5:hello.\n"
                   "file empty 0:.\nfile index.json 2:{}.\nEND\n");
    head_add(&b, &(struct head){.name = "./", .flag = '5'});
    head_add(&b, &(struct head){.name = ".//a/./b//", .flag = '5'});
    head_add(&b, &(struct head){.name = "old/", .flag = '\0', .magic = "\0\0\0\0\0\0\0"});
    head_add(&b, &(struct head){.name = "..a/b..", .flag = '7'});
    check_told(&b, "dir . 0:.\ndir a/b 0:.\ndir old 0:.\nfile ..a/b.. 0:.\nEND\n");
    buf_free(&b);
}

static void test_prefix(void)
{
    struct buf b;

    buf_init(&b, ARCHIVE_MAX);
    head_add(&b, &(struct head){.name = "layer.tar", .flag = '0', .prefix = HEX_64});
    /* GNU keeps times there. */
    head_add(&b, &(struct head){.name = "n", .flag = '0', .prefix = "13567", .magic = "ustar  "});
    head_add(&b, &(struct head){.name = NAME_141, .flag = '0'});
    check_told(&b, "file " HEX_64 "/layer.tar 0:.\nfile n 0:.\nfile blobs/sha512/" HEX_64
                   "0123456789abcdef0123456 0:.\nEND\n");
    buf_free(&b);
}

static void test_links(void)
{
    struct buf b;

    buf_init(&b, ARCHIVE_MAX);
    head_add(&b, &(struct head){.name = "a/l", .flag = '2', .link = "../x.tar", .size = 77});
    head_add(&b, &(struct head){.name = "h", .flag = '1', .link = "x.tar", .size = 77});
    head_add(&b, &(struct head){.name = "null", .flag = '3', .link = "no", .size = 77});
    head_add(&b, &(struct head){.name = "new", .flag = 'Z', .size = 2});
    body_add(&b, "zz", 2);
    check_told(&b, "symlink a/l 0 -> ../x.tar:.\nhardlink h 0 -> x.tar:.\nother null 0:.\n"
                   "other new 2:zz.\nEND\n");
    buf_free(&b);
}

static void test_long_names(void)
{
    struct buf b;

    buf_init(&b, ARCHIVE_MAX);
    meta_add(&b, 'L', NAME_141, sizeof(NAME_141));
    file_add(&b, "cut", "1");
    file_add(&b, "after", "2");
    meta_add(&b, 'K', "../" NAME_141, sizeof(NAME_141) + 3);
    meta_add(&b, 'L', "a/" NAME_141, sizeof(NAME_141) + 2);
    head_add(&b, &(struct head){.name = "cut", .flag = '2', .link = "cut"});
    check_told(&b, "file " NAME_141 " 1:1.\nfile after 1:2.\nsymlink a/" NAME_141
                   " 0 -> ../" NAME_141 ":.\nEND\n");
    buf_free(&b);
}

#define PAX(b, flag, text) meta_add((b), (flag), (text), sizeof(text) - 1)

static void test_pax(void)
{
    struct buf b;

    buf_init(&b, ARCHIVE_MAX);
    PAX(&b, 'g', "52 comment=0123456789012345678901234567890123456789\n");
    PAX(&b, 'x', "30 mtime=1350244992.023960108\n9 path=x\n10 size=3\n");
    file_add(&b, "other", "abc");
    PAX(&b, 'x', "14 linkpath=t\n12 path=a=b\n");
    head_add(&b, &(struct head){.name = "l", .flag = '2', .link = "u"});
    PAX(&b, 'x', "");
    file_add(&b, "after", "2");
    check_told(&b, "file x 3:abc.\nsymlink a=b 0 -> t:.\nfile after 1:2.\nEND\n");
    /* The size of the header counts for nothing where a record has it. */
    PAX(&b, 'x', "10 size=2\n");
    head_add(&b, &(struct head){.name = "s", .flag = '0', .size = 0});
    body_add(&b, "xy", 2);
    check_told(&b, "file s 2:xy.\nEND\n");
    buf_free(&b);
}

/* Nobody stores 9 GiB for a test: the header is read, and the entry is left. */
static void check_large(const struct buf *b, uint64_t size)
{
    struct slice in = buf_view(b);
    struct err e = {0};
    struct tar_read t;

    tar_read_init(&t);
    CHECK_INT(tar_read_feed(&t, &in, &e), TAR_ENTRY);
    CHECK_STR(t.entry.name, "large");
    CHECK(t.entry.size == size);
    CHECK_INT(tar_read_feed(&t, &in, &e), TAR_MORE);
    CHECK_INT(tar_read_finish(&t, &e), -1);
    tar_read_fini(&t);
}

static void test_large(void)
{
    static const uint64_t sizes[] = {
        ((uint64_t)1 << 33) - 1, (uint64_t)1 << 33, (uint64_t)9 << 30,
        (uint64_t)1 << 50,       SIZE_LIMIT - 1,
    };
    unsigned char head[TAR_WRITE_MAX];

    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        struct buf b;

        buf_init(&b, ARCHIVE_MAX);
        head_add(&b,
                 &(struct head){.name = "large", .flag = '0', .size = sizes[i], .binary = true});
        check_large(&b, sizes[i]);
        buf_free(&b);
        buf_init(&b, ARCHIVE_MAX);
        buf_append(&b, head, tar_write_header("large", TAR_FILE, sizes[i], head));
        CHECK_INT(b.len, sizes[i] >= (uint64_t)1 << 33 ? 3 * TAR_BLOCK : TAR_BLOCK);
        check_large(&b, sizes[i]);
        buf_free(&b);
    }
}

/* --- what is refused ----------------------------------------------------------------------- */

/* One archive whose last header is bad; `why` is part of what is said of it. */
static void check_bad(struct buf *b, const char *why)
{
    char *whole;
    char *bytes;

    zeros_add(b, TAR_WRITE_END);
    whole = told_text(b, ARCHIVE_MAX);
    bytes = told_text(b, 1);
    CHECK_NOTE(strstr(whole, "BAD ") != NULL && strstr(whole, why) != NULL, why);
    CHECK_STR(bytes, whole);
    free(whole);
    free(bytes);
    buf_free(b);
    buf_init(b, ARCHIVE_MAX);
}

static void test_bad_names(void)
{
    static const struct {
        const char *name;
        const char *why;
    } cases[] = {
        {"../x", "entry ../x, at byte 512: its name has a .. in it"},
        {"a/../../x", "its name has a .. in it"},
        {"a/..", "its name has a .. in it"},
        {"..", "its name has a .. in it"},
        {"/etc/passwd", "entry /etc/passwd, at byte 512: its name begins with a /"},
        {"//x", "its name begins with a /"},
        {"", "it has no name"},
        {"../\033[31m", "entry ../?[31m, at byte 512"},
    };
    char longest[TAR_NAME_MAX + 2];
    char record[TAR_NAME_MAX + 20];
    struct buf b;

    buf_init(&b, ARCHIVE_MAX);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        file_add(&b, "good", "");
        file_add(&b, cases[i].name, "x");
        check_bad(&b, cases[i].why);
        head_add(&b, &(struct head){.name = "../up", .flag = '2', .link = "x"});
        check_bad(&b, "entry ../up, at byte 0: its name has a .. in it");
    }
    memset(longest, 'x', sizeof(longest));
    snprintf(record, sizeof(record), "%d path=%.*s\n", TAR_NAME_MAX + 12, TAR_NAME_MAX + 1,
             longest);
    meta_add(&b, 'x', record, strlen(record));
    file_add(&b, "n", "x");
    check_bad(&b, "too long");
    snprintf(record, sizeof(record), "%d path=%.*s\n", TAR_NAME_MAX + 11, TAR_NAME_MAX, longest);
    meta_add(&b, 'x', record, strlen(record));
    snprintf(record, sizeof(record), "file %.*s 0:.\nEND\n", TAR_NAME_MAX, longest);
    file_add(&b, "n", "");
    check_told(&b, record);
    meta_add(&b, 'x', "11 path=a\0b\n", 12);
    check_bad(&b, "broken");
    meta_add(&b, 'x', "12 path=a\0b\n", 12);
    check_bad(&b, "has a NUL in it");
    buf_free(&b);
}

static void test_bad_pax(void)
{
    static const char *const broken[] = {
        "9 path=xy\n",
        "11 path=x\n",
        "path=x\n",
        " path=x\n",
        "0 path=x\n",
        "-9 path=x\n",
        "9 path=x ",
        "5 p x\n",
        "6 =x\n",
        "99999999999999999999 path=x\n",
        "10 size=x\n",
        "11 size=-1\n",
        "28 size=1152921504606846976\n",
        "2 \n",
        "3 \n",
        "18446744073709551615 a=b\n",
    };
    struct buf b;

    buf_init(&b, ARCHIVE_MAX);
    for (size_t i = 0; i < ARRAY_LEN(broken); i++) {
        meta_add(&b, 'x', broken[i], strlen(broken[i]));
        file_add(&b, "n", "");
        check_bad(&b, i >= 10 && i <= 12 ? "no number of bytes" : "broken");
    }
    PAX(&b, 'x', "22 GNU.sparse.major=1\n");
    file_add(&b, "holes", "");
    check_bad(&b, "entry holes, at byte 1024: a sparse file");
    head_add(&b, &(struct head){.name = "holes", .flag = 'S', .magic = "ustar  "});
    check_bad(&b, "entry holes, at byte 0: a sparse file");
    head_add(&b, &(struct head){.name = "x", .flag = 'x', .size = TAR_META_MAX + 1});
    check_bad(&b, "more than 256 KiB");
    buf_free(&b);
}

/* A header with one byte set after its sum was made, or before. */
static void check_byte(size_t at, unsigned char byte, bool with_sum, const char *why)
{
    unsigned char block[TAR_BLOCK];
    struct buf b;

    buf_init(&b, ARCHIVE_MAX);
    file_add(&b, "first", "");
    head_fill(&(struct head){.name = "n", .flag = '0'}, block);
    block[at] = byte;
    if (with_sum) {
        sum_set(block);
    }
    buf_append(&b, block, sizeof(block));
    check_bad(&b, why);
    buf_free(&b);
}

static void test_bad_headers(void)
{
    struct buf b;

    check_byte(0, 'm', false, "at byte 512: no header of an entry");
    check_byte(511, 1, false, "no header of an entry");
    check_byte(148, '9', false, "no header of an entry");
    check_byte(124, 0xff, true, "entry n, at byte 512: its size is no number of bytes");
    check_byte(124, '8', true, "its size is no number of bytes");
    check_byte(124, '-', true, "its size is no number of bytes");
    check_byte(130, 'x', true, "its size is no number of bytes");
    buf_init(&b, ARCHIVE_MAX);
    head_add(&b, &(struct head){.name = "n", .flag = '0', .size = SIZE_LIMIT, .binary = true});
    check_bad(&b, "its size is no number of bytes");
    head_add(&b, &(struct head){.name = "n", .flag = '0', .size = UINT64_MAX, .binary = true});
    check_bad(&b, "its size is no number of bytes");
    buf_append(&b, "\x1f\x8b\x08", 3);
    zeros_add(&b, TAR_BLOCK);
    check_bad(&b, "this is no tar archive");
    file_add(&b, "n", "");
    zeros_add(&b, TAR_BLOCK);
    file_add(&b, "n", "");
    check_bad(&b, "no header of an entry");
    buf_free(&b);
}

/* Old tools summed bytes as signed ones, which differs where a name has bytes above 127. */
static void test_signed_sum(void)
{
    unsigned char block[TAR_BLOCK];
    int sum = 0;
    struct buf b;

    buf_init(&b, ARCHIVE_MAX);
    head_fill(&(struct head){.name = "\303\274", .flag = '0'}, block);
    memset(block + 148, ' ', 8);
    for (size_t i = 0; i < TAR_BLOCK; i++) {
        sum += (signed char)block[i];
    }
    snprintf((char *)block + 148, 8, "%06o", (unsigned)sum);
    buf_append(&b, block, sizeof(block));
    check_told(&b, "file \303\274 0:.\nEND\n");
    buf_free(&b);
}

/* --- what breaks off ----------------------------------------------------------------------- */

static void test_truncated(void)
{
    /* offsets at which an entry, or the archive, is whole */
    size_t whole[4];
    size_t next = 0;
    struct buf b;

    buf_init(&b, ARCHIVE_MAX);
    file_add(&b, "one", "hello");
    whole[0] = b.len;
    PAX(&b, 'x', "12 path=two\n");
    meta_add(&b, 'K', "k", 2);
    file_add(&b, "n", "");
    whole[1] = b.len;
    zeros_add(&b, TAR_BLOCK);
    whole[2] = b.len;
    zeros_add(&b, TAR_BLOCK);
    whole[3] = b.len;
    for (size_t n = 0; n <= b.len; n++) {
        struct buf out;
        struct buf cut = b;
        char *text;

        cut.len = n;
        text = told_text(&cut, ARCHIVE_MAX);
        buf_init(&out, ARCHIVE_MAX);
        if (n == whole[next]) {
            buf_printf(&out, "file one 5:hello.\n%s%s", n >= whole[1] ? "file two 0:.\n" : "",
                       n == whole[3] ? "END\n" : "STOP\n");
            CHECK_STR(text, out.p);
            next++;
        } else if (strstr(text, "BAD ") == NULL) {
            CHECK_INT(n, -1);
        }
        buf_free(&out);
        free(text);
    }
    CHECK_INT(next, 4);
    buf_free(&b);
}

static void test_truncated_says(void)
{
    struct buf b;
    char *text;

    buf_init(&b, ARCHIVE_MAX);
    file_add(&b, "one", "hello");
    b.len = TAR_BLOCK + 3;
    text = told_text(&b, ARCHIVE_MAX);
    CHECK_STR(text, "file one 5:helBAD the archive's entry one, at byte 0: the archive breaks off "
                    "at byte 515\n");
    free(text);
    b.len = 0;
    text = told_text(&b, 1);
    CHECK_STR(text, "BAD the archive is empty\n");
    free(text);
    buf_free(&b);
}

/* --- links, and what is written ------------------------------------------------------------ */

static void test_link_target(void)
{
    static const struct {
        enum tar_type type;
        const char *name;
        const char *link;
        const char *target; /* NULL: none */
    } cases[] = {
        {TAR_SYMLINK, "a/layer.tar", "../b.tar", "b.tar"},
        {TAR_SYMLINK, "a/layer.tar", "b.tar", "a/b.tar"},
        {TAR_SYMLINK, "a/b/l", "./../c/x", "a/c/x"},
        {TAR_SYMLINK, "l", "x", "x"},
        {TAR_SYMLINK, "l", "../x", NULL},
        {TAR_SYMLINK, "a/l", "../../x", NULL},
        {TAR_SYMLINK, "a/l", "/etc/passwd", NULL},
        {TAR_SYMLINK, "a/l", "", NULL},
        {TAR_SYMLINK, "a/l", "..", NULL},
        {TAR_HARDLINK, "a/l", "b/x", "b/x"},
        {TAR_HARDLINK, "a/l", "./x", "x"},
        {TAR_HARDLINK, "a/l", "../x", NULL},
        {TAR_HARDLINK, "a/l", ".", NULL},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct tar_entry entry = {.type = cases[i].type};
        char target[TAR_NAME_MAX + 1] = "untouched";
        bool found;

        snprintf(entry.name, sizeof(entry.name), "%s", cases[i].name);
        snprintf(entry.link, sizeof(entry.link), "%s", cases[i].link);
        found = tar_link_target(&entry, target);
        CHECK_NOTE(found == (cases[i].target != NULL), cases[i].link);
        CHECK_STR(target, found ? cases[i].target : "untouched");
    }
}

static void written_add(struct buf *b, const char *name, enum tar_type type, const char *text)
{
    unsigned char head[TAR_WRITE_MAX];

    memset(head, 0xee, sizeof(head));
    buf_append(b, head, tar_write_header(name, type, strlen(text), head));
    body_add(b, text, strlen(text));
}

static void test_write(void)
{
    struct buf b;

    buf_init(&b, ARCHIVE_MAX);
    written_add(&b, "oci-layout", TAR_FILE, "{}");
    CHECK_INT(b.len, 2 * TAR_BLOCK);
    written_add(&b, "blobs", TAR_DIR, "");
    written_add(&b, NAME_77, TAR_FILE, "hello");
    CHECK_INT(b.len, 5 * TAR_BLOCK);
    written_add(&b, NAME_141, TAR_FILE, "hello");
    CHECK_INT(b.len, 9 * TAR_BLOCK);
    check_told(&b, "file oci-layout 2:{}.\ndir blobs 0:.\nfile " NAME_77 " 5:hello.\n"
                   "file " NAME_141 " 5:hello.\nEND\n");
    buf_free(&b);
}

/* Names around the lengths at which the digits of a record's length change. */
static void test_write_lengths(void)
{
    char name[TAR_NAME_MAX + 1];
    size_t wrong = 0;

    memset(name, 'n', sizeof(name));
    for (size_t n = 1; n <= TAR_NAME_MAX; n++) {
        char expected[TAR_NAME_MAX + 40];
        struct buf b;
        char *text;

        name[n] = '\0';
        buf_init(&b, ARCHIVE_MAX);
        written_add(&b, name, TAR_FILE, "x");
        text = told_text(&b, ARCHIVE_MAX);
        snprintf(expected, sizeof(expected), "file %s 1:x.\nSTOP\n", name);
        wrong += strcmp(text, expected) != 0;
        name[n] = 'n';
        free(text);
        buf_free(&b);
    }
    CHECK_INT(wrong, 0);
}

/* Every byte: what GNU tar writes for --format=ustar --owner=0 --group=0 --mtime=@0, less names. */
static void test_write_bytes(void)
{
    unsigned char head[TAR_WRITE_MAX];
    unsigned char expected[TAR_BLOCK] = "index.json";

    memcpy(expected + 100, "0000644\0000000000\0000000000\00000000000005\00000000000000", 47);
    memcpy(expected + 148, "011202\0 0", 9);
    memcpy(expected + 257,
           "ustar\0"
           "00",
           8);
    memcpy(expected + 329, "0000000\0000000000", 15);
    CHECK_INT(tar_write_header("index.json", TAR_FILE, 5, head), TAR_BLOCK);
    CHECK(memcmp(head, expected, TAR_BLOCK) == 0);
    CHECK_INT(tar_write_header("blobs", TAR_DIR, 0, head), TAR_BLOCK);
    CHECK_STR((const char *)head, "blobs/");
    CHECK_STR((const char *)head + 100, "0000755");
    CHECK_INT(head[156], '5');
    CHECK_INT(tar_write_padding(0), 0);
    CHECK_INT(tar_write_padding(1), 511);
    CHECK_INT(tar_write_padding(512), 0);
}

int main(void)
{
    test_plain();
    test_prefix();
    test_links();
    test_long_names();
    test_pax();
    test_large();
    test_bad_names();
    test_bad_pax();
    test_bad_headers();
    test_signed_sum();
    test_truncated();
    test_truncated_says();
    test_link_target();
    test_write();
    test_write_lengths();
    test_write_bytes();
    return tap_done();
}
