/* test_oci_pattern.c - patterns of hosted names, and query strings. */
#include "../../src/oci/pattern.c"
#include "../../src/oci/query.c"

#include "tap.h"

static void test_valid(void)
{
    static const char *const good[] = {"stage/**", "cache/*", "a",    "**",      "*",       "**/x",
                                       "a/**/b",   "ci-*",    "*-ci", "a*b*c/d", "a.b/c__d"};
    static const char *const bad[] = {"",      "/",   "a/",    "/a",  "a//b", "a**", "**a", "***",
                                      "a/**b", "A/*", "a:b/*", "a b", "a..b", "-a",  "a?",  "[a]"};
    char max[NAME_MAX_LEN + 1];

    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        CHECK_NOTE(pattern_valid(slice_str(good[i])), good[i]);
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        CHECK_NOTE(!pattern_valid(slice_str(bad[i])), bad[i]);
    }
    memset(max, 'a', sizeof(max));
    CHECK(pattern_valid(slice_of(max, NAME_MAX_LEN)));
    CHECK(!pattern_valid(slice_of(max, NAME_MAX_LEN + 1)));
}

static void test_match(void)
{
    static const struct {
        const char *pattern;
        const char *name;
        bool match;
    } cases[] = {
        {"stage/**", "stage/a", true},
        {"stage/**", "stage/a/b/c", true},
        {"stage/**", "stage", false},
        {"stage/**", "stager/a", false},
        {"stage/**", "x/stage/a", false},
        {"cache/*", "cache/x", true},
        {"cache/*", "cache", false},
        {"cache/*", "cache/x/y", false},
        {"a", "a", true},
        {"a", "b", false},
        {"a", "a/b", false},
        {"a/b", "a", false},
        {"*", "a", true},
        {"*", "a/b", false},
        {"**", "a", true},
        {"**", "a/b", true},
        {"**/x", "x", true},
        {"**/x", "a/b/x", true},
        {"**/x", "a/x/b", false},
        {"**/x", "x/x/x", true},
        {"a/**/b", "a/b", true},
        {"a/**/b", "a/x/b", true},
        {"a/**/b", "a/b/c", false},
        {"a/**/b/**/c", "a/b/b/x/c", true},
        {"a/**/b/**/c", "a/x/c/b", false},
        {"**/**", "a", true},
        {"ci-*", "ci-", true},
        {"ci-*", "ci-main", true},
        {"ci-*", "xci-main", false},
        {"*-ci", "a-ci-ci", true},
        {"*-ci", "a-ci-x", false},
        {"a*b*c", "abbc", true},
        {"a*b*c", "axbxc", true},
        {"a*b*c", "acb", false},
        {"*/x*", "a/xy", true},
        {"**/a*/z", "a/b/ab/z", true},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char note[128];

        snprintf(note, sizeof(note), "%s and %s", cases[i].pattern, cases[i].name);
        CHECK_NOTE(pattern_valid(slice_str(cases[i].pattern)) &&
                       pattern_match(slice_str(cases[i].pattern), slice_str(cases[i].name)) ==
                           cases[i].match,
                   note);
    }
}

static void test_prefix(void)
{
    CHECK(pattern_may_match_prefix(slice_str("**"), slice_str("docker.io")));
    CHECK(pattern_may_match_prefix(slice_str("*/app"), slice_str("docker.io")));
    CHECK(pattern_may_match_prefix(slice_str("ghcr.io/**"), slice_str("ghcr.io")));
    CHECK(pattern_may_match_prefix(slice_str("ghcr.io"), slice_str("ghcr.io")));
    CHECK(pattern_may_match_prefix(slice_str("ghcr*/x"), slice_str("ghcr.io")));
    CHECK(pattern_may_match_prefix(slice_str("hub/**"), slice_str("hub")));
    CHECK(!pattern_may_match_prefix(slice_str("stage/**"), slice_str("docker.io")));
    CHECK(!pattern_may_match_prefix(slice_str("hubs/**"), slice_str("hub")));
    CHECK(!pattern_may_match_prefix(slice_str("reg/**"), slice_str("reg:5000")));
    CHECK(pattern_may_match_prefix(slice_str("reg*/**"), slice_str("reg:5000")));
}

/* The value, or "-" where there is none. */
static const char *get(const char *query, const char *name, size_t max)
{
    static char out[256];
    struct buf b;

    buf_init(&b, max);
    if (!query_get(slice_str(query), name, &b)) {
        snprintf(out, sizeof(out), "-");
    } else if (b.failed) {
        snprintf(out, sizeof(out), "failed");
    } else {
        snprintf(out, sizeof(out), "%.*s", (int)b.len, b.len > 0 ? b.p : "");
    }
    buf_free(&b);
    return out;
}

static void test_query_next(void)
{
    struct slice rest = slice_str("tag=a&x=1&t%61g=b+c&tagged=d&tag");
    struct buf b;

    buf_init(&b, 100);
    while (query_next(&rest, "tag", &b)) {
        buf_str(&b, "|");
    }
    CHECK_STR(b.p, "a|b c||");
    buf_free(&b);
}

static void test_query(void)
{
    CHECK_STR(get("ns=docker.io", "ns", 99), "docker.io");
    CHECK_STR(get("", "ns", 99), "-");
    CHECK_STR(get("ns", "ns", 99), "");
    CHECK_STR(get("ns=", "ns", 99), "");
    CHECK_STR(get("nss=1&ns=2&ns=3", "ns", 99), "2");
    CHECK_STR(get("n=1&last=a", "last", 99), "a");
    CHECK_STR(get("n=1&last=a", "las", 99), "-");
    CHECK_STR(get("n=1&last=a", "lastx", 99), "-");
    CHECK_STR(get("digest=sha256%3Aab", "digest", 99), "sha256:ab");
    CHECK_STR(get("%6Es=x", "ns", 99), "x");
    CHECK_STR(get("a=b+c%2B%2f", "a", 99), "b c+/");
    CHECK_STR(get("a=%2", "a", 99), "%2");
    CHECK_STR(get("a=%zz%", "a", 99), "%zz%");
    CHECK_STR(get("a=%252F", "a", 99), "%2F");
    CHECK_STR(get("a=b=c", "a", 99), "b=c");
    CHECK_STR(get("a=12345", "a", 4), "failed");
    CHECK_STR(get("&&a=1", "a", 99), "1");
    test_query_next();
    CHECK(query_has(slice_str("x&mount=1"), "mount"));
    CHECK(!query_has(slice_str("x&amount=1"), "mount"));
}

int main(void)
{
    test_valid();
    test_match();
    test_prefix();
    test_query();
    return tap_done();
}
