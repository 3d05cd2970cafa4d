/* test_bundle_archive.c - which file is what, in layouts, bundles and docker's archives. */
#include "../../src/bundle/archive.c"
#include "../../src/bundle/seen.c"

#include "base/sha.h"
#include "tap.h"

#define HEX_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define HEX_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define BLOB_A "blobs/sha256/" HEX_A
#define BLOB_B "blobs/sha256/" HEX_B

struct step {
    const char *name;
    enum tar_type type;
    const char *link;
};

static struct tar_entry entry_of(const struct step *s)
{
    struct tar_entry entry = {.type = s->type, .size = 7, .offset = 1536};

    snprintf(entry.name, sizeof(entry.name), "%s", s->name);
    snprintf(entry.link, sizeof(entry.link), "%s", s->link == NULL ? "" : s->link);
    return entry;
}

static int take(struct archive *a, const char *name, enum tar_type type, const char *link,
                struct err *e)
{
    struct tar_entry entry = entry_of(&(struct step){name, type, link});

    return archive_take(a, &entry, e);
}

/* --- what a file is ------------------------------------------------------------------------ */

static void test_kinds(void)
{
    static const struct {
        const char *name;
        enum archive_kind kind;
        bool file;
    } cases[] = {
        {"larder/list", ARCHIVE_LIST, false},
        {"oci-layout", ARCHIVE_VERSION, false},
        {"index.json", ARCHIVE_INDEX, false},
        {"manifest.json", ARCHIVE_DOCKER, false},
        {BLOB_A, ARCHIVE_BLOB, false},
        {"blobs/md5/0123", ARCHIVE_SKIP, false},
        {"blobs/sha256/" HEX_A ".part", ARCHIVE_SKIP, false},
        {"repositories", ARCHIVE_SKIP, false},
        {HEX_A "/json", ARCHIVE_SKIP, false},
        {HEX_A "/VERSION", ARCHIVE_SKIP, false},
        {HEX_A "/layer.tar", ARCHIVE_FILE, true},
        {HEX_A ".tar", ARCHIVE_FILE, true},
        {HEX_A ".tar.gz", ARCHIVE_FILE, true},
        {HEX_A ".json", ARCHIVE_BLOB, true},
        {"sha256:" HEX_A, ARCHIVE_BLOB, true},
        {"x/" HEX_A ".json", ARCHIVE_SKIP, false},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct archive a;
        struct err e = {0};

        archive_init(&a);
        CHECK_NOTE(take(&a, cases[i].name, TAR_FILE, NULL, &e) == 0 && a.kind == cases[i].kind,
                   cases[i].name);
        CHECK_NOTE((a.file != NULL) == cases[i].file, cases[i].name);
        CHECK_NOTE(a.kind != ARCHIVE_BLOB || a.digest.bytes[0] == 0xaa, cases[i].name);
        archive_fini(&a);
    }
}

/* In a layout, docker's names mean nothing. */
static void test_layout_has_no_layers(void)
{
    struct archive a;
    struct err e = {0};

    archive_init(&a);
    CHECK(take(&a, "oci-layout", TAR_FILE, NULL, &e) == 0);
    CHECK(take(&a, HEX_A ".tar", TAR_FILE, NULL, &e) == 0);
    CHECK_INT(a.kind, ARCHIVE_SKIP);
    CHECK(take(&a, "blobs", TAR_DIR, NULL, &e) == 0 && take(&a, "blobs", TAR_DIR, NULL, &e) == 0);
    archive_fini(&a);
}

/* --- what is refused ----------------------------------------------------------------------- */

static void test_refused(void)
{
    static const struct {
        struct step steps[3]; /* the last one is refused */
        const char *text;
    } cases[] = {
        {{{BLOB_A, TAR_FILE, NULL}, {BLOB_A, TAR_FILE, NULL}}, "it came before"},
        {{{"index.json", TAR_FILE, NULL}, {"index.json", TAR_FILE, NULL}}, "it came before"},
        {{{"manifest.json", TAR_FILE, NULL}, {"manifest.json", TAR_FILE, NULL}}, "it came before"},
        {{{"a/layer.tar", TAR_FILE, NULL}, {"a/layer.tar", TAR_FILE, NULL}}, "it came before"},
        {{{"a/layer.tar", TAR_FILE, NULL}, {"a/layer.tar", TAR_SYMLINK, "../b/layer.tar"}},
         "it came before"},
        {{{BLOB_A, TAR_FILE, NULL}, {BLOB_B, TAR_SYMLINK, HEX_A}}, "a link, where a file belongs"},
        {{{BLOB_A, TAR_FILE, NULL}, {BLOB_B, TAR_HARDLINK, BLOB_A}},
         "a link, where a file belongs"},
        {{{"index.json", TAR_SYMLINK, "/etc/passwd"}}, "a link, where a file belongs"},
        {{{"readme", TAR_SYMLINK, "x"}},
         "a link, as no image has; `docker save` writes images, `docker export` does not"},
        {{{BLOB_A, TAR_FILE, NULL}, {"readme", TAR_SYMLINK, "x"}}, "a link, where a file belongs"},
        {{{"a/layer.tar", TAR_SYMLINK, "../../x/layer.tar"}},
         "a link that leads out of the archive"},
        {{{"a/layer.tar", TAR_SYMLINK, "/x/layer.tar"}}, "a link that leads out of the archive"},
        {{{BLOB_A, TAR_OTHER, NULL}}, "neither a file nor a folder"},
        {{{BLOB_A, TAR_FILE, NULL}, {"larder/list", TAR_FILE, NULL}},
         "it must stand at the beginning: larder/list, then its signature, then the rest"},
        {{{"larder/list.sig", TAR_FILE, NULL}},
         "it must stand at the beginning: larder/list, then its signature, then the rest"},
        {{{"larder/list", TAR_FILE, NULL},
          {"index.json", TAR_FILE, NULL},
          {"larder/list.sig", TAR_FILE, NULL}},
         "it must stand at the beginning: larder/list, then its signature, then the rest"},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct archive a;
        struct err e = {0};
        char want[240];
        size_t n = 0;
        int result = 0;

        archive_init(&a);
        while (result == 0 && n < 3 && cases[i].steps[n].name != NULL) {
            struct tar_entry entry = entry_of(&cases[i].steps[n++]);

            result = archive_take(&a, &entry, &e);
        }
        CHECK_INT(result, -1);
        CHECK_NOTE(n == 3 || cases[i].steps[n].name == NULL, "the last one");
        snprintf(want, sizeof(want), "the archive's entry %s, at byte 1536: %s",
                 cases[i].steps[n - 1].name, cases[i].text);
        CHECK_STR(e.text, want);
        CHECK_INT(e.code, ERR_BAD_REQUEST);
        archive_fini(&a);
    }
}

static void test_blame(void)
{
    struct tar_entry entry = {.name = "a\nb", .offset = ARCHIVE_NO_OFFSET};
    struct err e = {0};

    ignore_result(err_set(&e, ERR_STORE, "too bad"));
    CHECK_INT(archive_blame(entry.name, entry.offset, &e), -1);
    CHECK_STR(e.text, "the folder's file a?b: too bad");
}

static void test_finish(void)
{
    static const struct {
        const char *name;
        bool good;
    } cases[] = {
        {"larder/list", true}, {"index.json", true}, {"manifest.json", true},
        {"oci-layout", false}, {BLOB_A, false},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct archive a;
        struct err e = {0};

        archive_init(&a);
        CHECK(take(&a, cases[i].name, TAR_FILE, NULL, &e) == 0);
        CHECK_NOTE((archive_finish(&a, &e) == 0) == cases[i].good, cases[i].name);
        archive_fini(&a);
    }
}

static void test_too_many(void)
{
    struct archive a;
    struct err e = {0};
    char name[32];
    int i = 0;

    archive_init(&a);
    do {
        snprintf(name, sizeof(name), "%d/layer.tar", i);
    } while (take(&a, name, TAR_FILE, NULL, &e) == 0 && i++ < 2 * ARCHIVE_FILES_MAX);
    CHECK_INT(i, ARCHIVE_FILES_MAX);
    CHECK(strstr(e.text, "more such files than are read") != NULL);
    archive_fini(&a);
}

/* --- docker's images ----------------------------------------------------------------------- */

static struct digest digest_made(unsigned char byte)
{
    unsigned char raw[32];

    memset(raw, byte, sizeof(raw));
    return digest_of_raw(DIGEST_SHA256, raw);
}

/* A configuration and two layers; the third is a link to the second, which comes behind it. */
static void test_manifest(void)
{
    static char config[] = HEX_A ".json";
    static char one[] = "1/layer.tar";
    static char two[] = "2/layer.tar";
    static char three[] = "3/layer.tar";
    char *layers[] = {one, two, three};
    struct docker_image image = {.config = config, .n_layers = 3, .layers = layers};
    struct archive a;
    struct err e = {0};
    struct manifest *m;
    struct buf out;

    archive_init(&a);
    buf_init(&out, 4096);
    CHECK(take(&a, config, TAR_FILE, NULL, &e) == 0);
    CHECK(take(&a, one, TAR_FILE, NULL, &e) == 0);
    a.file->digest = digest_made(0x11);
    a.file->gzip = true;
    CHECK(take(&a, two, TAR_SYMLINK, "../3/layer.tar", &e) == 0);
    CHECK_INT(a.kind, ARCHIVE_SKIP);
    CHECK(archive_manifest(&a, &image, &out, &e) < 0);
    CHECK_STR(e.text, "manifest.json names the file 2/layer.tar, which is not in the archive");
    CHECK(take(&a, three, TAR_FILE, NULL, &e) == 0);
    a.file->digest = digest_made(0x33);
    buf_free(&out);
    buf_init(&out, 4096);
    CHECK(archive_manifest(&a, &image, &out, &e) == 0);
    if (CHECK(manifest_parse(buf_view(&out), SLICE_NULL, &m, &e) == 0)) {
        CHECK_STR(m->media_type, MEDIA_TYPE_DOCKER_MANIFEST);
        CHECK_INT(m->n_children, 4);
        CHECK(m->children[0].digest.bytes[0] == 0xaa && m->children[0].kind == CHILD_CONFIG);
        CHECK(m->children[1].digest.bytes[0] == 0x11 && m->children[1].size == 7);
        CHECK(m->children[2].digest.bytes[0] == 0x33 && m->children[3].digest.bytes[0] == 0x33);
        CHECK_STR(m->children[1].media_type, MEDIA_LAYER ".gzip");
        CHECK_STR(m->children[2].media_type, MEDIA_LAYER);
        manifest_free(m);
    }
    buf_free(&out);
    archive_fini(&a);
}

/* Links in a circle lead nowhere. */
static void test_circle(void)
{
    static char config[] = "1/layer.tar";
    struct docker_image image = {.config = config};
    struct archive a;
    struct err e = {0};
    struct buf out;

    archive_init(&a);
    buf_init(&out, 4096);
    CHECK(take(&a, "1/layer.tar", TAR_SYMLINK, "../2/layer.tar", &e) == 0);
    CHECK(take(&a, "2/layer.tar", TAR_SYMLINK, "../1/layer.tar", &e) == 0);
    CHECK(archive_manifest(&a, &image, &out, &e) < 0);
    buf_free(&out);
    archive_fini(&a);
}

/* --- what came ----------------------------------------------------------------------------- */

static struct digest digest_number(uint64_t n)
{
    unsigned char raw[32];

    sha_of(SHA_256, &n, sizeof(n), raw);
    return digest_of_raw(DIGEST_SHA256, raw);
}

static void test_seen(void)
{
    struct seen s;
    uint64_t n = 0;
    bool again = true;

    seen_init(&s);
    for (; n < 5000; n++) {
        struct digest d = digest_number(n);

        again = again && !seen_has(&s, &d) && seen_add(&s, &d) == SEEN_NEW && seen_has(&s, &d);
    }
    CHECK_NOTE(again, "each is new");
    for (n = 0; n < 5000; n++) {
        struct digest d = digest_number(n);

        again = again && seen_add(&s, &d) == SEEN_BEFORE;
    }
    CHECK_NOTE(again, "and came before");
    s.count = SEEN_MAX;
    CHECK_INT(seen_add(&s, &(struct digest){.alg = DIGEST_SHA256}), SEEN_FULL);
    seen_fini(&s);
}

int main(void)
{
    test_kinds();
    test_layout_has_no_layers();
    test_refused();
    test_blame();
    test_finish();
    test_too_many();
    test_manifest();
    test_circle();
    test_seen();
    return tap_done();
}
