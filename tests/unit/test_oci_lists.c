/* test_oci_lists.c - lists of tags and of referrers. */
#include "../../src/oci/referrers.c"
#include "../../src/oci/taglist.c"

#include "tap.h"

#define HEX64 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

/* The tags of a page with blanks between them, or "refused". */
static const char *read_page(struct slice body, struct taglist **ret)
{
    static char out[512];
    struct err e = {0};
    size_t used = 0;
    char *copy = xcalloc(body.len + 1, 1);
    int result;

    memcpy(copy, body.p, body.len);
    *ret = NULL;
    result = taglist_parse(slice_of(copy, body.len), ret, &e);
    free(copy);
    if (result < 0 || *ret == NULL) {
        return e.code == ERR_UPSTREAM_PROTOCOL ? "refused" : "wrong code";
    }
    out[0] = '\0';
    for (size_t i = 0; i < (*ret)->n; i++) {
        used += (size_t)snprintf(out + used, sizeof(out) - used, "%s%s", i == 0 ? "" : " ",
                                 (*ret)->tags[i]);
    }
    return out;
}

static void test_taglist_parse(void)
{
    static const struct {
        const char *body;
        const char *tags;
    } cases[] = {
        {"{\"name\":\"a\",\"tags\":[\"b\",\"a\"]}", "a b"},
        {"{\"tags\":[\"b\",\"B\",\"_\",\"1\",\"b\",\"1\"]}", "1 B _ b"},
        {"{\"tags\":[]}", ""},
        {"{\"name\":\"a\",\"tags\":null}", ""},
        {"{\"tags\":[\".x\",\"ok\",\"a b\",\"\",\"a/b\",\"\xc3\xa4\"]}", "ok"},
        {"{\"tags\":[\"v1\\u002e0\",\"\\u0000\",\"x\\n\"]}", "v1.0"},
        {"{\"tags\":[7,null,{\"tags\":[\"no\"]},[\"no\"],\"yes\"]}", "yes"},
        {"{\"child\":[],\"manifest\":{\"sha256:x\":{\"tag\":[\"no\"],\"n\":\"1\"}},\"tags\":[\"t\"]"
         "}",
         "t"},
        {"{\"tags\":[\"a\"],\"manifest\":{\"tags\":[\"no\"]}}", "a"},
        {"{}", "refused"},
        {"", "refused"},
        {"[]", "refused"},
        {"[\"tags\",[\"a\"]]", "refused"},
        {"{\"tags\":\"a\"}", "refused"},
        {"{\"tags\":{}}", "refused"},
        {"{\"tags\":true}", "refused"},
        {"{\"tags\":[\"a\"]", "refused"},
        {"{\"tags\":[\"a\"]} x", "refused"},
        {"{\"tags\":[\"a\",]}", "refused"},
        {"{\"x\":{\"tags\":[\"a\"]}}", "refused"},
        {"<html>", "refused"},
    };
    struct taglist *l;

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CHECK_STR(read_page(slice_str(cases[i].body), &l), cases[i].tags);
        taglist_free(l);
    }
    taglist_free(NULL);
}

static void test_taglist_write(void)
{
    static const struct {
        const char *last;
        uint64_t n;
        const char *tags;
        bool more;
        const char *page_last;
    } cases[] = {
        {"", TAGLIST_ALL, "\"a\",\"ab\",\"b\",\"d\"", false, "d"},
        {"", 4, "\"a\",\"ab\",\"b\",\"d\"", false, "d"},
        {"", 3, "\"a\",\"ab\",\"b\"", true, "b"},
        {"", 1, "\"a\"", true, "a"},
        {"", 0, "", false, ""},
        {"a", 0, "", false, ""},
        {"a", 2, "\"ab\",\"b\"", true, "b"},
        {"aa", 9, "\"ab\",\"b\",\"d\"", false, "d"},
        {"b", TAGLIST_ALL, "\"d\"", false, "d"},
        {"c", TAGLIST_ALL, "\"d\"", false, "d"},
        {"d", TAGLIST_ALL, "", false, ""},
        {"zzz", 5, "", false, ""},
        {"A", 1, "\"a\"", true, "a"},
    };
    struct taglist *l;

    CHECK_STR(read_page(slice_str("{\"tags\":[\"d\",\"b\",\"ab\",\"a\"]}"), &l), "a ab b d");
    if (!CHECK(l != NULL)) {
        return;
    }
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char want[128];
        struct buf b;
        struct taglist_page page;

        buf_init(&b, 4096);
        page = taglist_write(l, slice_str("x/y"), slice_str(cases[i].last), cases[i].n, &b);
        snprintf(want, sizeof(want), "{\"name\":\"x/y\",\"tags\":[%s]}", cases[i].tags);
        CHECK_STR(b.p, want);
        CHECK_INT(page.more, cases[i].more);
        CHECK_STR(page.last, cases[i].page_last);
        buf_free(&b);
    }
    taglist_free(l);
}

/* All pages of every size give the whole list, each tag once. */
static void test_taglist_pages(void)
{
    struct taglist *l;

    read_page(slice_str("{\"tags\":[\"a\",\"b\",\"c\",\"d\",\"e\",\"f\",\"g\"]}"), &l);
    for (uint64_t n = 1; n <= 8; n++) {
        char last[TAG_MAX_LEN + 1] = "";
        size_t seen = 0;
        struct taglist_page page;

        do {
            struct buf b;

            buf_init(&b, 4096);
            page = taglist_write(l, slice_str("x"), slice_str(last), n, &b);
            for (size_t i = 20; i < b.len; i++) {
                seen += b.p[i] == ',' ? 1 : 0;
            }
            seen++;
            buf_free(&b);
            snprintf(last, sizeof(last), "%s", page.last);
        } while (page.more && seen < 100);
        CHECK_INT(seen, 7);
        CHECK_STR(last, "g");
    }
    taglist_free(l);
}

static void test_taglist_merge(void)
{
    struct taglist *a;
    struct taglist *b;
    struct err e;
    struct buf all;

    buf_init(&all, 64);
    read_page(slice_str("{\"tags\":[\"a\",\"c\",\"e\"]}"), &a);
    read_page(slice_str("{\"tags\":[\"b\",\"c\",\"f\"]}"), &b);
    CHECK(taglist_merge(a, b, &e) == 0);
    taglist_free(b);
    for (size_t i = 0; i < a->n; i++) {
        buf_str(&all, a->tags[i]);
    }
    CHECK_STR(all.p, "abcef");
    buf_free(&all);
    read_page(slice_str("{\"tags\":[]}"), &b);
    CHECK(taglist_merge(a, b, &e) == 0);
    CHECK_INT(a->n, 5);
    CHECK(taglist_merge(b, a, &e) == 0);
    CHECK_INT(b->n, 5);
    taglist_free(a);
    taglist_free(b);
}

/* `n` tags of six characters, or one too many. */
static void build_page(struct buf *b, unsigned from, unsigned n)
{
    buf_init(b, TAGLIST_BODY_MAX);
    buf_str(b, "{\"tags\":[");
    for (unsigned i = from; i < from + n; i++) {
        buf_printf(b, "%s\"%07u\"", i == from ? "" : ",", i);
    }
    buf_str(b, "]}");
}

static void test_taglist_bounds(void)
{
    struct buf b;
    struct taglist *l = NULL;
    struct taglist *one = NULL;
    struct err e;

    build_page(&b, 0, TAGLIST_TAGS_MAX);
    CHECK(taglist_parse(buf_view(&b), &l, &e) == 0);
    buf_free(&b);
    build_page(&b, TAGLIST_TAGS_MAX, 1);
    CHECK(taglist_parse(buf_view(&b), &one, &e) == 0);
    if (!CHECK(l != NULL && l->n == TAGLIST_TAGS_MAX && one != NULL)) {
        return;
    }
    CHECK(taglist_merge(l, one, &e) == -1 && e.code == ERR_UPSTREAM_PROTOCOL);
    CHECK_INT(l->n, TAGLIST_TAGS_MAX);
    buf_free(&b);
    build_page(&b, 0, TAGLIST_TAGS_MAX + 1);
    CHECK(taglist_parse(buf_view(&b), &l, &e) == -1);
    buf_free(&b);
    b.p = xcalloc(TAGLIST_BODY_MAX + 1, 1);
    memset(b.p, ' ', TAGLIST_BODY_MAX + 1);
    memcpy(b.p, "{\"tags\":[]}", 11);
    CHECK(taglist_parse(slice_of(b.p, TAGLIST_BODY_MAX + 1), &l, &e) == -1);
    free(b.p);
    taglist_free(one);
    taglist_free(l);
}

#define ENTRY(hex, type)                                                                           \
    "{\"mediaType\":\"application/vnd.oci.image.manifest.v1+json\",\"digest\":\"sha256:" hex       \
    "\",\"size\":5,\"artifactType\":\"" type "\",\"annotations\":{\"k\":\"v\"}}"
#define INDEX(entries)                                                                             \
    "{\"schemaVersion\":2,\"mediaType\":\"application/vnd.oci.image.index.v1+json\","              \
    "\"manifests\":[" entries "]}"

static void test_referrers_filter(void)
{
    static const struct {
        const char *body;
        const char *type;
        const char *out; /* NULL: refused */
    } cases[] = {
        {INDEX(""), "", INDEX("")},
        {"{\"schemaVersion\":2,\"manifests\":null}", "", INDEX("")},
        {"{\"manifests\":[],\"schemaVersion\":2,\"x\":1}", "", INDEX("")},
        {INDEX(ENTRY(HEX64, "a/b") "," ENTRY(HEX64, "c/d")), "",
         INDEX(ENTRY(HEX64, "a/b") "," ENTRY(HEX64, "c/d"))},
        {INDEX(ENTRY(HEX64, "a/b") "," ENTRY(HEX64, "c/d")), "c/d", INDEX(ENTRY(HEX64, "c/d"))},
        {INDEX(ENTRY(HEX64, "a/b+c") "," ENTRY(HEX64, "a/b+d")), "a/b", INDEX("")},
        {INDEX(ENTRY("junk", "a/b")), "", INDEX("")},
        {INDEX("7,null,{}," ENTRY(HEX64, "a/b")), "", INDEX(ENTRY(HEX64, "a/b"))},
        {INDEX("{\"digest\":\"sha256:" HEX64 "\",\"size\":5}"), "", INDEX("")},
        {INDEX("{\"mediaType\":\"a/b\",\"digest\":\"sha256:" HEX64 "\"}"), "", INDEX("")},
        {INDEX("{\"mediaType\":\"a/b\",\"digest\":\"sha256:" HEX64 "\",\"size\":-1}"), "",
         INDEX("")},
        {"", "", NULL},
        {"{}", "", NULL},
        {"[]", "", NULL},
        {"{\"schemaVersion\":2}", "", NULL},
        {"{\"schemaVersion\":2,\"manifests\":{}}", "", NULL},
        {"{\"schemaVersion\":1,\"manifests\":[]}", "", NULL},
        {"{\"schemaVersion\":2,\"mediaType\":\"application/vnd.oci.image.manifest.v1+json\","
         "\"manifests\":[]}",
         "", NULL},
        {"<html>", "", NULL},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct err e = {0};
        struct buf b;
        int result;

        buf_init(&b, 1 << 16);
        result = referrers_filter(slice_str(cases[i].body), slice_str(cases[i].type), &b, &e);
        CHECK_NOTE(result == (cases[i].out == NULL ? -1 : 0), cases[i].body);
        CHECK_STR(b.p, cases[i].out);
        CHECK(result == 0 || e.code == ERR_UPSTREAM_PROTOCOL);
        buf_free(&b);
    }
}

static void test_referrers_pages(void)
{
    struct buf entries;
    struct buf out;
    struct err e;

    buf_init(&entries, 4096);
    buf_init(&out, 4096);
    CHECK(referrers_collect(slice_str(INDEX(ENTRY(HEX64, "a/b"))), SLICE_NULL, &entries, &e) == 0);
    CHECK(referrers_collect(slice_str(INDEX("")), SLICE_NULL, &entries, &e) == 0);
    CHECK(referrers_collect(slice_str(INDEX(ENTRY(HEX64, "c/d"))), SLICE_NULL, &entries, &e) == 0);
    referrers_write(buf_view(&entries), &out);
    CHECK_STR(out.p, INDEX(ENTRY(HEX64, "a/b") "," ENTRY(HEX64, "c/d")));
    buf_free(&entries);
    buf_free(&out);
    buf_init(&entries, 16);
    CHECK(referrers_collect(slice_str(INDEX(ENTRY(HEX64, "a/b"))), SLICE_NULL, &entries, &e) == -1);
    buf_free(&entries);
    referrers_write(SLICE_NULL, &out);
    CHECK_STR(out.p, INDEX(""));
    buf_free(&out);
}

static void test_fallback_tag(void)
{
    char tag[REFERRERS_TAG_MAX] = "";
    struct digest d;

    CHECK(digest_parse(slice_str("sha256:" HEX64), &d));
    CHECK_STR(referrers_fallback_tag(&d, tag), "sha256-" HEX64);
    CHECK(
        digest_parse(slice_str("sha512:" HEX64
                               "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"),
                     &d));
    CHECK_STR(referrers_fallback_tag(&d, tag), "sha512-" HEX64);
}

/* What a list of referrers says of a manifest. */
static void test_referrers_describe(void)
{
    static const struct {
        const char *body;
        const char *type;
        const char *want; /* a part of the entry; "": none; NULL: refused */
    } cases[] = {
        {"{\"artifactType\":\"a/"
         "b\",\"config\":{\"mediaType\":\"c\"},\"annotations\":{\"k\":\"v\"}}",
         "", "\"artifactType\":\"a/b\",\"annotations\":{\"k\":\"v\"}"},
        {"{\"config\":{\"mediaType\":\"c\"}}", "", "\"artifactType\":\"c\""},
        {"{\"config\":{\"mediaType\":\"c\"}}", "c", "\"artifactType\":\"c\""},
        {"{\"config\":{\"mediaType\":\"c\"}}", "d", ""},
        {"{\"manifests\":[]}", "", "\"size\":16}"},
        {"{\"annotations\":7}", "", "\"size\":17}"},
        {"{", "", NULL},
        {"nothing", "", NULL},
    };
    struct digest d = {.alg = DIGEST_SHA256};

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct slice type = slice_str(cases[i].type);
        struct buf b;
        int got;

        buf_init(&b, 4096);
        got = referrers_describe(slice_str(cases[i].body), "m/t", &d, type, &b);
        CHECK_INT(got, cases[i].want == NULL ? -1 : 0);
        if (cases[i].want != NULL && cases[i].want[0] != '\0') {
            CHECK_NOTE(b.p != NULL && strstr(b.p, cases[i].want) != NULL, b.p);
            CHECK(strstr(b.p, "\"mediaType\":\"m/t\",\"digest\":\"sha256:00") != NULL);
        } else {
            CHECK_INT(b.len, 0);
        }
        buf_free(&b);
    }
}

int main(void)
{
    test_taglist_parse();
    test_taglist_write();
    test_taglist_pages();
    test_taglist_merge();
    test_taglist_bounds();
    test_referrers_filter();
    test_referrers_describe();
    test_referrers_pages();
    test_fallback_tag();
    return tap_done();
}
