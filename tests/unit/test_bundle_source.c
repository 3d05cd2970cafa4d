/* test_bundle_source.c - archives from files, parts of them, a pipe, and folders. */
#include "../../src/bundle/folder.c"
#include "../../src/bundle/source.c"

#include "base/file.h"
#include "bundle/tar_write.h"
#include "tap.h"

#include <ftw.h>

#define ROOM 100 /* odd, so that it ends in the midst of everything */

static char top[] = "/tmp/test_bundle_source.XXXXXX";

static void write_file(const char *name, const void *p, size_t n)
{
    char path[200];
    int fd;

    snprintf(path, sizeof(path), "%s/%s", top, name);
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    CHECK(fd >= 0 && file_pwrite_all(fd, p, n, 0) == 0);
    close(fd);
}

static const char *skipped = ""; /* the name of an entry that is not wanted */

/* Adds what an archive says, as "NAME(bytes)", and of links "NAME>TARGET". */
static enum source_event read_all(struct source *s, struct buf *out, struct err *e)
{
    char room[ROOM];

    for (;;) {
        enum source_event event = source_next(s, e);

        if (event == SOURCE_ROOM) {
            source_room(s, room, sizeof(room));
        } else if (event == SOURCE_ENTRY) {
            buf_str(out, source_entry(s)->name);
            buf_str(out, source_entry(s)->type == TAR_SYMLINK ? ">" : "(");
            buf_str(out, source_entry(s)->link);
            if (strcmp(source_entry(s)->name, skipped) == 0) {
                source_skip(s);
            }
        } else if (event == SOURCE_DATA) {
            buf_slice(out, source_data(s));
        } else if (event == SOURCE_ENTRY_END) {
            buf_str(out, source_entry(s)->type == TAR_SYMLINK ? " " : ") ");
        } else {
            return event;
        }
    }
}

static void check_source(const char *const *paths, size_t n, enum source_event last,
                         const char *said)
{
    struct err e = {0};
    struct buf out;
    struct source *s = source_open(paths, n, &e);

    buf_init(&out, 1u << 20);
    buf_str(&out, "");
    if (CHECK(s != NULL)) {
        CHECK_INT(read_all(s, &out, &e), last);
        if (last == SOURCE_BAD) {
            CHECK_STR(e.text, said);
        } else {
            CHECK_STR(out.p, said);
        }
    }
    source_free(s);
    buf_free(&out);
}

/* All is well, though little of "a" came; `size` is of the archive. */
static void check_skipped(const char *const *paths, size_t n, size_t size)
{
    struct err e = {0};
    struct buf out;
    struct source *s = source_open(paths, n, &e);

    buf_init(&out, 1u << 20);
    if (CHECK(s != NULL)) {
        CHECK_INT(read_all(s, &out, &e), SOURCE_END);
        CHECK(slice_starts(buf_view(&out), "a(x"));
        CHECK(slice_ends(buf_view(&out), "x) b(two) ") && out.len < 1000);
        CHECK_INT(source_done(s), size);
    }
    source_free(s);
    buf_free(&out);
}

static void entry_add(struct buf *b, const char *name, const char *text)
{
    static const char zeros[TAR_BLOCK];
    unsigned char head[TAR_WRITE_MAX];
    size_t n = strlen(text);

    buf_append(b, head, tar_write_header(name, TAR_FILE, n, head));
    buf_append(b, text, n);
    buf_append(b, zeros, -n % TAR_BLOCK);
}

/* --- archives ------------------------------------------------------------------------------ */

static void test_parts(void)
{
    char names[3][200];
    const char *paths[] = {names[0], names[1], names[2]};
    struct buf b;

    buf_init(&b, 1u << 20);
    entry_add(&b, "a", "one");
    entry_add(&b, "b", "");
    entry_add(&b, "c/d", "three");
    buf_append(&b, (const char[2 * TAR_BLOCK]){0}, 2 * (size_t)TAR_BLOCK);
    write_file("x.000", b.p, 300);
    write_file("x.001", b.p + 300, 900);
    write_file("x.002", b.p + 1200, b.len - 1200);
    for (int i = 0; i < 3; i++) {
        snprintf(names[i], sizeof(names[i]), "%s/x.%03d", top, i);
    }
    CHECK_INT(source_group(paths, 3), 3);
    check_source(paths, 3, SOURCE_END, "a(one) b() c/d(three) ");
    check_source(paths, 1, SOURCE_BAD, "this is no tar archive: it ends at byte 300");
    write_file("x.002", "", 0);
    check_source(paths, 3, SOURCE_BAD,
                 "the archive at byte 1024: the archive breaks off at byte 1200");
    write_file("x.000", "\x1f\x8b\x08", 3);
    check_source(paths, 1, SOURCE_BAD,
                 "the archive is compressed; unpack it first: gzip -dc FILE | larder import -");
    check_source(paths + 2, 1, SOURCE_BAD, "the archive is empty");
    buf_free(&b);
}

/* An entry that is not wanted is passed over, through the parts that it lies in; what was read with
 * its header still comes. */
static void test_skip(void)
{
    char names[3][200];
    const char *paths[] = {names[0], names[1], names[2]};
    char *long_text = xcalloc(1, 50001);
    struct buf b;

    memset(long_text, 'x', 50000);
    buf_init(&b, 1u << 20);
    entry_add(&b, "a", long_text);
    entry_add(&b, "b", "two");
    buf_append(&b, (const char[2 * TAR_BLOCK]){0}, 2 * (size_t)TAR_BLOCK);
    for (int i = 0; i < 3; i++) {
        snprintf(names[i], sizeof(names[i]), "%s/s.%03d", top, i);
    }
    write_file("s.000", b.p, 20000);
    write_file("s.001", b.p + 20000, 20000);
    write_file("s.002", b.p + 40000, b.len - 40000);
    skipped = "a";
    check_skipped(paths, 3, b.len);
    write_file("s.002", "", 0);
    check_source(paths, 3, SOURCE_BAD,
                 "the archive's entry a, at byte 0: the archive breaks off at byte 40000");
    skipped = "";
    buf_free(&b);
    free(long_text);
}

static void test_group(void)
{
    static const struct {
        const char *paths[4];
        size_t want;
    } cases[] = {
        {{"a.000", "a.001", "a.002", "a.003"}, 4},
        {{"a.000", "a.001", "b.002", "b"}, 2},
        {{"a.000", "a.002", "a.003", "a"}, 1},
        {{"a.001", "a.002", "a", "a"}, 1},
        {{"a", "b", "c", "d"}, 1},
        {{"a.00", "a.01", "a.02", "a"}, 1},
        {{"a.0000", "a.0001", "a", "a"}, 2},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CHECK_INT(source_group(cases[i].paths, 4), cases[i].want);
    }
}

/* --- folders ------------------------------------------------------------------------------- */

static void test_folder(void)
{
    char folder[200];
    char path[220];
    const char *paths[] = {folder};

    snprintf(folder, sizeof(folder), "%s/d", top);
    snprintf(path, sizeof(path), "%s/blobs/sha256", folder);
    CHECK(file_mkdirs(path) == 0);
    write_file("d/blobs/sha256/aa", "layer", 5);
    write_file("d/index.json", "{}", 2);
    write_file("d/oci-layout", "v", 1);
    check_source(paths, 1, SOURCE_END,
                 "oci-layout(v) index.json({}) blobs() blobs/sha256() blobs/sha256/aa(layer) ");
}

/* No image has files that lie deeper. */
static void test_folder_depth(void)
{
    char folder[200];
    char path[220];
    const char *paths[] = {folder};

    snprintf(folder, sizeof(folder), "%s/deep", top);
    snprintf(path, sizeof(path), "%s/a/b/c", folder);
    CHECK(file_mkdirs(path) == 0);
    write_file("deep/a/b/c/d", "x", 1);
    check_source(paths, 1, SOURCE_END, "a() a/b() a/b/c() ");
}

static void test_folder_links(void)
{
    char folder[200];
    char path[220];
    const char *paths[] = {folder};

    snprintf(folder, sizeof(folder), "%s/l", top);
    CHECK(file_mkdirs(folder) == 0);
    snprintf(path, sizeof(path), "%s/index.json", folder);
    CHECK(symlink("/etc/hostname", path) == 0);
    check_source(paths, 1, SOURCE_END, "index.json>/etc/hostname ");
}

static void test_missing(void)
{
    const char *paths[] = {"/nonexistent/x"};
    struct err e = {0};

    CHECK(source_open(paths, 1, &e) == NULL);
    CHECK_STR(e.text, "/nonexistent/x: No such file or directory");
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

int main(void)
{
    CHECK(mkdtemp(top) != NULL);
    test_parts();
    test_skip();
    test_group();
    test_folder();
    test_folder_depth();
    test_folder_links();
    test_missing();
    CHECK(nftw(top, remove_one, 8, FTW_DEPTH | FTW_PHYS) == 0);
    return tap_done();
}
