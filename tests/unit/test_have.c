/* test_have.c - questions about digests, and what is made of the answers. */
#include "../../src/cli/have.c"

#include "base/sha.h"
#include "tap.h"

#include <stdio.h>

/* The engine: what it was asked, and what it says. */
static struct buf asked;
static size_t n_asked;
static const char *says;

int line_ask(struct line *l, const struct line_request *r, struct slice body, struct buf *out,
             struct http_head *ret_head, struct err *err)
{
    (void)l;
    (void)ret_head;
    n_asked++;
    if (strcmp(r->target, "/-/have") != 0 || r->length != body.len) {
        return err_set(err, ERR_INTERNAL, "asked wrongly");
    }
    buf_slice(&asked, body);
    buf_str(out, says);
    return 0;
}

static struct digest digest_number(uint64_t n)
{
    unsigned char raw[SHA_MAX];

    sha_of(n % 3 == 0 ? SHA_512 : SHA_256, &n, sizeof(n), raw);
    return digest_of_raw(n % 3 == 0 ? DIGEST_SHA512 : DIGEST_SHA256, raw);
}

static void begin(const char *answer)
{
    buf_free(&asked);
    buf_init(&asked, 8u << 20);
    n_asked = 0;
    says = answer;
}

/* --- which are missing --------------------------------------------------------------------- */

static void test_missing(void)
{
    struct digest digests[4];
    bool missing[4] = {true, true, true, true};
    char first[DIGEST_TEXT_MAX];
    char last[DIGEST_TEXT_MAX];
    char answer[512];
    struct err e = {0};

    for (size_t i = 0; i < 4; i++) {
        digests[i] = digest_number(i);
    }
    /* In any order. */
    snprintf(answer, sizeof(answer), "{\"here\":2,\"missing\":[\"%s\",\"%s\"],\"x\":[{}]}",
             digest_text(&digests[3], last), digest_text(&digests[0], first));
    begin(answer);
    CHECK_INT(have_ask(NULL, digests, 4, missing, &e), 0);
    CHECK(missing[0] && !missing[1] && !missing[2] && missing[3]);
    CHECK(strncmp(asked.p, first, strlen(first)) == 0 && asked.p[strlen(first)] == '\n');
    begin("{\"missing\":[],\"here\":4}");
    CHECK_INT(have_ask(NULL, digests, 4, missing, &e), 0);
    CHECK(!missing[0] && !missing[3]);
}

static void test_answers_that_are_none(void)
{
    static const char *const answers[] = {
        "",
        "[]",
        "{}",
        "{\"here\":1}",
        "{\"missing\":{}}",
        "{\"missing\":[1]}",
        "{\"missing\":[\"sha256:0\"]}",
        "{\"missing\":[\"sha256:0000000000000000000000000000000000000000000000000000000000000000\"]"
        "}",
        "{\"missing\":[]",
        "{\"missing\":[]}x",
    };
    struct digest d = digest_number(1);
    bool missing;

    for (size_t i = 0; i < ARRAY_LEN(answers); i++) {
        struct err e = {0};

        begin(answers[i]);
        CHECK_NOTE(have_ask(NULL, &d, 1, &missing, &e) < 0 && e.code == ERR_INTERNAL, answers[i]);
    }
}

/* --- leases -------------------------------------------------------------------------------- */

static void test_renew(void)
{
    struct spool s;
    struct err e = {0};
    struct buf all;

    spool_init(&s, "/tmp", 8u << 20);
    buf_init(&all, 8u << 20);
    for (uint64_t n = 0; n < 2500; n++) {
        struct digest d = digest_number(n);
        char text[DIGEST_TEXT_MAX];

        buf_printf(&all, "%s\n", digest_text(&d, text));
    }
    CHECK_INT(spool_add(&s, buf_view(&all), &e), 0);
    begin("{\"missing\":[],\"here\":1}");
    CHECK_INT(have_renew(NULL, &s, &e), 0);
    CHECK_INT(n_asked, 3);
    CHECK_NOTE(slice_eq(buf_view(&asked), buf_view(&all)), "each digest was asked for, once");
    buf_free(&all);
    spool_fini(&s);
    begin("");
    CHECK_INT(have_renew(NULL, &s, &e), 0);
    CHECK_INT(n_asked, 0);
    buf_free(&asked);
}

/* --- files without a name ------------------------------------------------------------------ */

static void test_spool(void)
{
    struct spool s;
    struct slice all;
    struct err e = {0};
    char piece[8];
    size_t n;

    spool_init(&s, "/tmp", 6);
    CHECK(spool_map(&s, &all, &e) == 0 && all.len == 0);
    CHECK(spool_read(&s, 0, piece, sizeof(piece), &n, &e) == 0 && n == 0);
    CHECK(spool_add(&s, slice_str("abc"), &e) == 0 && spool_add(&s, slice_str("def"), &e) == 0);
    CHECK(spool_add(&s, slice_str("g"), &e) < 0 && e.code == ERR_TOO_LARGE);
    CHECK(spool_read(&s, 2, piece, sizeof(piece), &n, &e) == 0 && n == 4 && piece[0] == 'c');
    CHECK(spool_map(&s, &all, &e) == 0 && slice_is(all, "abcdef"));
    spool_fini(&s);
    spool_init(&s, "/nonexistent", 6);
    CHECK(spool_add(&s, slice_str("a"), &e) < 0 && e.code == ERR_STORE);
    spool_fini(&s);
}

int main(void)
{
    test_missing();
    test_answers_that_are_none();
    test_renew();
    test_spool();
    return tap_done();
}
