/* test_oci_walk.c - walks over small repositories, whole and sparse, and by platform. */
#include "../../src/oci/walk.c"

#include "../../src/oci/platform.c"
#include "tap.h"

#define TEXT_ROOM (1u << 20)
#define OCI MEDIA_TYPE_OCI_MANIFEST
#define INDEX_TYPE MEDIA_TYPE_OCI_INDEX

/* --- repositories -------------------------------------------------------------------------- */

/* Digests are named by the one byte that they consist of. */
static struct digest named(unsigned char byte)
{
    struct digest d = {.alg = DIGEST_SHA256};

    memset(d.bytes, byte, 32);
    return d;
}

struct stored {
    unsigned char digest; /* 0 ends a repository */
    char *body;
};

static void descriptor_add(struct buf *b, const char *type, unsigned char byte, const char *more)
{
    struct digest d = named(byte);
    char text[DIGEST_TEXT_MAX];

    buf_printf(b, "{\"mediaType\":\"%s\",\"digest\":\"%s\",\"size\":%d%s}", type,
               digest_text(&d, text), byte, more);
}

/* An image: its configuration, then its layers. */
static char *image(const char *blobs)
{
    struct buf b;

    buf_init(&b, TEXT_ROOM);
    buf_str(&b, "{\"schemaVersion\":2,\"mediaType\":\"" OCI "\",\"config\":");
    descriptor_add(&b, "application/vnd.oci.image.config.v1+json", (unsigned char)blobs[0], "");
    buf_str(&b, ",\"layers\":[");
    for (size_t i = 1; blobs[i] != '\0'; i++) {
        buf_str(&b, i > 1 ? "," : "");
        descriptor_add(&b, "application/vnd.oci.image.layer.v1.tar+gzip", (unsigned char)blobs[i],
                       "");
    }
    buf_str(&b, "]}");
    return buf_take(&b);
}

struct entry {
    unsigned char digest; /* 0 ends a list */
    const char *more;     /* further members */
    const char *type;     /* NULL: an image's */
};

static char *index_of(const struct entry *entries)
{
    struct buf b;

    buf_init(&b, TEXT_ROOM);
    buf_str(&b, "{\"schemaVersion\":2,\"mediaType\":\"" INDEX_TYPE "\",\"manifests\":[");
    for (size_t i = 0; entries[i].digest != 0; i++) {
        buf_str(&b, i > 0 ? "," : "");
        descriptor_add(&b, entries[i].type != NULL ? entries[i].type : OCI, entries[i].digest,
                       entries[i].more != NULL ? entries[i].more : "");
    }
    buf_str(&b, "]}");
    return buf_take(&b);
}

/* What refers to a digest, by the API ("") or by the tag's end. */
struct link {
    unsigned char subject; /* 0 ends a list */
    const char *suffix;    /* NULL: the API */
    const char *referrers; /* their names */
    const char *type;      /* NULL: an image's */
};

struct repo {
    const struct stored *stored;
    const struct link *links;
};

static void root_add(struct walk *w, unsigned char byte)
{
    struct descriptor d = {.digest = named(byte), .kind = CHILD_MANIFEST};

    walk_root(w, &d);
}

static void answer_manifest(struct walk *w, const struct repo *r, const struct walk_item *item,
                            struct buf *out)
{
    struct err e;

    for (const struct stored *s = r->stored; s->digest != 0; s++) {
        if (s->digest == item->what.digest.bytes[0]) {
            if (walk_manifest(w, slice_str(s->body), &e) < 0) {
                buf_printf(out, "(%s)", e.text);
            }
            return;
        }
    }
    buf_str(out, "?");
}

static void answer_links(struct walk *w, const struct repo *r, const struct walk_item *item)
{
    struct err e;

    for (const struct link *l = r->links; l != NULL && l->subject != 0; l++) {
        bool api = l->suffix == NULL;

        if (l->subject != item->what.digest.bytes[0] || api != (item->kind == WALK_REFERRERS) ||
            (!api && strcmp(item->tag + strlen("sha256-") + 64, l->suffix) != 0)) {
            continue;
        }
        for (const char *c = l->referrers; *c != '\0'; c++) {
            struct descriptor d = {.digest = named((unsigned char)*c)};

            snprintf(d.media_type, sizeof(d.media_type), "%s", l->type != NULL ? l->type : OCI);
            CHECK_INT(walk_add(w, &d, &e), 0);
        }
    }
}

/* All of it: a manifest by its name, '?' behind one that is not there, blobs in small letters;
 * "r" and ".x" are questions. Frees the walk. */
static void check_walk(struct walk *w, const struct repo *r, bool questions, const char *expected)
{
    struct walk_item item;
    struct buf out;

    buf_init(&out, TEXT_ROOM);
    buf_str(&out, "");
    while (walk_next(w, &item)) {
        char name = (char)item.what.digest.bytes[0];

        if (item.kind == WALK_MANIFEST || item.kind == WALK_BLOB) {
            buf_append(&out, &name, 1);
        } else if (questions) {
            buf_printf(&out, "[%s]", item.kind == WALK_TAG ? item.tag + 71 : "r");
        }
        if (item.kind == WALK_MANIFEST) {
            answer_manifest(w, r, &item, &out);
        } else if (item.kind != WALK_BLOB) {
            answer_links(w, r, &item);
        }
    }
    CHECK(!walk_next(w, &item));
    CHECK_STR(out.p != NULL ? out.p : "", expected);
    walk_free(w);
    buf_free(&out);
}

static void stored_free(struct stored *s)
{
    for (; s->digest != 0; s++) {
        free(s->body);
    }
}

/* --- walks --------------------------------------------------------------------------------- */

static void test_tree(void)
{
    struct stored stored[] = {
        {'I', index_of((const struct entry[]){{'A', NULL, NULL}, {'B', NULL, NULL}, {0}})},
        {'A', image("abc")},
        {'B', image("dbe")},
        {0},
    };
    const struct repo r = {stored, NULL};
    struct walk *w = walk_new(NULL, 0, false);

    check_walk(w, &r, true, "");
    w = walk_new(NULL, 0, false);
    root_add(w, 'I');
    check_walk(w, &r, true, "IAabcBde");
    w = walk_new(NULL, 0, false);
    root_add(w, 'B');
    root_add(w, 'I');
    root_add(w, 'B');
    check_walk(w, &r, true, "BdbeIAac");
    stored_free(stored);
}

static void test_sparse(void)
{
    struct stored stored[] = {
        {'I', index_of((const struct entry[]){{'A', NULL, NULL}, {'B', NULL, NULL}, {0}})},
        {'B', image("de")},
        {'X', xstrdup("<html>")},
        {0},
    };
    const struct repo r = {stored, NULL};
    struct walk *w = walk_new(NULL, 0, false);

    root_add(w, 'I');
    check_walk(w, &r, true, "IA?Bde");
    w = walk_new(NULL, 0, false);
    root_add(w, 'X');
    root_add(w, 'B');
    check_walk(w, &r, true, "X(the manifest is no JSON, or deeper than 32, from byte 0 on)Bde");
    stored_free(stored);
}

/* What an item says besides its name. */
static void test_items(void)
{
    struct stored stored[] = {{'A', image("ab")}, {0}};
    struct walk *w = walk_new(NULL, 0, true);
    struct walk_item item;
    struct err e;

    root_add(w, 'A');
    CHECK(walk_next(w, &item));
    CHECK(item.kind == WALK_MANIFEST && item.depth == 0 && item.parent.alg == 0);
    CHECK(!item.referrer);
    CHECK_INT(walk_manifest(w, slice_str(stored[0].body), &e), 0);
    CHECK(walk_next(w, &item));
    CHECK(item.kind == WALK_BLOB && item.depth == 1 && item.parent.bytes[31] == 'A');
    CHECK(item.what.kind == CHILD_CONFIG && item.what.size == 'a');
    CHECK(walk_next(w, &item) && item.what.kind == CHILD_LAYER);
    CHECK(walk_next(w, &item) && item.kind == WALK_REFERRERS);
    CHECK(item.what.digest.bytes[0] == 'A' && item.referrer);
    CHECK(walk_next(w, &item) && item.kind == WALK_TAG);
    CHECK_STR(item.tag, "sha256-4141414141414141414141414141414141414141414141414141414141414141");
    CHECK(walk_next(w, &item) && item.kind == WALK_TAG);
    CHECK_STR(item.tag,
              "sha256-4141414141414141414141414141414141414141414141414141414141414141.sig");
    walk_free(w);
    stored_free(stored);
}

static void test_referrers(void)
{
    struct stored stored[] = {
        {'I', index_of((const struct entry[]){{'A', NULL, NULL}, {0}})},
        {'A', image("a")},
        {'S', image("s")},
        {'T', image("t")},
        {'F', index_of((const struct entry[]){
                  {'S', NULL, NULL}, {'A', NULL, NULL}, {'T', NULL, NULL}, {0}})},
        {0},
    };
    static const struct link links[] = {
        {'A', NULL, "SU", NULL},
        {'I', ".sig", "T", NULL},
        {'T', "", "F", INDEX_TYPE},
        {'S', NULL, "A", NULL}, /* a ring */
        {0},
    };
    const struct repo r = {stored, links};
    struct walk *w = walk_new(NULL, 0, true);

    root_add(w, 'I');
    check_walk(w, &r, false, "IAaSsU?TtF");
    w = walk_new(NULL, 0, false);
    root_add(w, 'I');
    check_walk(w, &r, true, "IAa");
    w = walk_new(NULL, 0, true);
    root_add(w, 'A');
    check_walk(w, &(struct repo){stored, NULL}, true, "Aa[r][][.sig][.att][.sbom]");
    stored_free(stored);
}

/* An index within an index, and so on, below the deepest that is read. */
static void test_depth(void)
{
    struct stored stored[WALK_DEPTH_MAX + 3];
    static struct link links[WALK_DEPTH_MAX + 3];
    static char names[WALK_DEPTH_MAX + 3][2];
    const struct repo r = {stored, NULL};
    struct walk *w = walk_new(NULL, 0, false);

    for (int i = 0; i < WALK_DEPTH_MAX + 2; i++) {
        const struct entry inner[] = {{(unsigned char)('B' + i), NULL, INDEX_TYPE}, {0}};

        stored[i] = (struct stored){(unsigned char)('A' + i), index_of(inner)};
        names[i][0] = (char)('B' + i);
        links[i] = (struct link){(unsigned char)('A' + i), NULL, names[i], INDEX_TYPE};
    }
    stored[WALK_DEPTH_MAX + 2] = (struct stored){0};
    root_add(w, 'A');
    check_walk(w, &r, true, "ABCDEFGHIJK(manifests are nested deeper than 10)");
    stored_free(stored);
    /* So with what refers to what refers to it: it is not asked for. */
    stored[0].digest = 0;
    w = walk_new(NULL, 0, true);
    root_add(w, 'A');
    check_walk(w, &(struct repo){stored, links}, false, "A?B?C?D?E?F?G?H?I?J?K?");
}

/* More than any image has: it ends, and says so. */
static void test_many(void)
{
    struct walk *w = walk_new(NULL, 0, true);
    struct descriptor d = {.digest = named('R')};
    struct walk_item item;
    struct err e = {0};
    size_t n = 0;

    root_add(w, 'A');
    CHECK(walk_next(w, &item) && walk_next(w, &item) && item.kind == WALK_REFERRERS);
    while (n <= WALK_ITEMS_MAX && walk_add(w, &d, &e) == 0) {
        n++;
        memcpy(d.digest.bytes, &n, sizeof(n));
    }
    CHECK_INT(n, WALK_ITEMS_MAX - 1);
    CHECK_STR(e.text, "it names more than 200000 manifests and blobs");
    walk_free(w);
}

/* One digest as a layer, and as a manifest: it is opened all the same. */
static void test_two_faces(void)
{
    struct stored stored[] = {{'A', image("aB")}, {'B', image("bc")}, {0}};
    const struct repo r = {stored, NULL};
    struct walk *w = walk_new(NULL, 0, false);

    root_add(w, 'A');
    root_add(w, 'B');
    check_walk(w, &r, true, "AaBBbc");
    stored_free(stored);
}

/* --- platforms ----------------------------------------------------------------------------- */

#define FOR(os, arch, more)                                                                        \
    ",\"platform\":{\"os\":\"" os "\",\"architecture\":\"" arch "\"" more "}"
#define ATTESTS(hex)                                                                               \
    FOR("unknown", "unknown", "")                                                                  \
    ",\"annotations\":{\"vnd.docker.reference.type\":\"attestation-manifest\","                    \
    "\"vnd.docker.reference.digest\":\"sha256:" hex "\"}"
#define HEX_OF(pair) FOUR(FOUR(pair)) FOUR(FOUR(pair))
#define FOUR(x) x x x x

static struct walk *walk_for(const char *platforms, bool referrers)
{
    struct slice rest = slice_str(platforms);
    struct platform p[4];
    struct slice part;
    size_t n = 0;

    while (slice_split(&rest, ',', &part)) {
        CHECK(platform_parse(part, &p[n++]));
    }
    return walk_new(p, n, referrers);
}

static void test_platforms(void)
{
    static const struct entry entries[] = {
        {'A', FOR("linux", "amd64", ""), NULL},
        {'B', FOR("linux", "arm64", ",\"variant\":\"v8\""), NULL},
        {'C', FOR("linux", "arm", ",\"variant\":\"v6\""), NULL},
        {'D', FOR("linux", "arm", ",\"variant\":\"v7\""), NULL},
        {'E', FOR("windows", "amd64", ",\"os.version\":\"10.0\""), NULL},
        {'P', ATTESTS(HEX_OF("41")), NULL},
        {'Q', ATTESTS(HEX_OF("42")), NULL},
        {'x', "", "application/vnd.buildkit.cacheconfig.v0"},
        {0},
    };
    static const struct {
        const char *platforms;
        bool referrers;
        const char *walk;
    } cases[] = {
        {"linux/amd64", false, "IA?x"},
        {"linux/amd64", true, "IA?P?x"},
        {"linux/x86_64", false, "IA?x"},
        {"linux/arm64", true, "IB?Q?x"},
        {"linux/arm64/v8", false, "IB?x"},
        {"linux/arm64/v9", false, "I(it has no image for linux/arm64/v9)"},
        {"linux/arm", false, "IC?D?x"},
        {"linux/arm/v7", false, "ID?x"},
        {"windows/amd64,linux/arm64", false, "IB?E?x"},
        {"linux/s390x", false, "I(it has no image for linux/s390x)"},
        {"linux/s390x,linux/386", false,
         "I(it has no image for linux/s390x, nor for the other platforms)"},
    };
    struct stored stored[] = {{'I', index_of(entries)}, {0}};
    const struct repo r = {stored, NULL};

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct walk *w = walk_for(cases[i].platforms, cases[i].referrers);

        root_add(w, 'I');
        check_walk(w, &r, false, cases[i].walk);
    }
    stored_free(stored);
}

/* Entries without a platform are taken, as nobody can say; and so are those of a list of referrers,
 * whatever they say. */
static void test_platforms_unsaid(void)
{
    struct stored stored[] = {
        {'I', index_of((const struct entry[]){
                  {'N', NULL, INDEX_TYPE}, {'E', FOR("windows", "amd64", ""), NULL}, {0}})},
        {'N',
         index_of((const struct entry[]){
             {'A', FOR("linux", "amd64", ""), NULL}, {'B', FOR("linux", "arm64", ""), NULL}, {0}})},
        {'F', index_of((const struct entry[]){{'S', FOR("linux", "s390x", ""), NULL}, {0}})},
        {'0', index_of((const struct entry[]){{0}})},
        {'B', image("b")},
        {0},
    };
    static const struct link links[] = {{'B', "", "F", INDEX_TYPE}, {0}};
    const struct repo r = {stored, links};
    struct walk *w = walk_for("linux/arm64", true);

    root_add(w, 'I');
    root_add(w, '0');
    check_walk(w, &r, false, "INBbFS?0");
    stored_free(stored);
}

static void test_platform_text(void)
{
    static const char *const bad[] = {
        "",
        "linux",
        "linux/",
        "/amd64",
        "linux/amd64/",
        "linux/arm/v7/x",
        "Linux/amd64",
        "linux/am d64",
        "all",
        "linux//v7",
        "abcdefghijklmnopq/amd64",
    };
    char text[PLATFORM_TEXT_MAX];
    struct platform p;

    if (CHECK(platform_parse(slice_str("linux/arm/v7"), &p))) {
        CHECK_STR(p.os, "linux");
        CHECK_STR(p.architecture, "arm");
        CHECK_STR(p.variant, "v7");
        CHECK_STR(platform_text(&p, text), "linux/arm/v7");
    }
    if (CHECK(platform_parse(slice_str("linux/aarch64"), &p))) {
        CHECK_STR(platform_text(&p, text), "linux/arm64");
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        CHECK_NOTE(!platform_parse(slice_str(bad[i]), &p), bad[i]);
    }
}

int main(void)
{
    test_tree();
    test_sparse();
    test_items();
    test_referrers();
    test_depth();
    test_many();
    test_two_faces();
    test_platforms();
    test_platforms_unsaid();
    test_platform_text();
    return tap_done();
}
