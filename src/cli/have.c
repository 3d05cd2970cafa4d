/* cli/have.c - questions of many digests. */
#include "cli/have.h"

#include "oci/jscan.h"

#include <assert.h>
#include <stdlib.h>

#define TARGET "/-/have"
#define LINE_MAX_LEN DIGEST_TEXT_MAX
#define QUESTION_MAX (HAVE_MAX * LINE_MAX_LEN)
/* Each digest in quotes, with a comma, and what stands around them. */
#define ANSWER_MAX (HAVE_MAX * (LINE_MAX_LEN + 8) + 4096)

static int have_post(struct line *l, struct slice body, struct buf *out, struct err *e)
{
    struct line_request r = {
        .method = HTTP_POST, .target = TARGET, .has_body = true, .length = body.len};

    return line_ask(l, &r, body, out, NULL, e);
}

/* Answers keep the order of the question, but that is not relied on: the search begins behind the
 * one that was found before, and goes around. */
static bool missing_mark(const struct digest *digests, size_t n, size_t *at,
                         const struct digest *missing, bool *ret_missing)
{
    for (size_t i = 0; i < n; i++) {
        size_t k = (*at + i) % n;

        if (digest_equal(&digests[k], missing)) {
            ret_missing[k] = true;
            *at = (k + 1) % n;
            return true;
        }
    }
    return false;
}

static bool missing_read(struct jscan *s, const struct digest *digests, size_t n, bool *ret_missing)
{
    char text[DIGEST_TEXT_MAX];
    struct digest d;
    enum jscan_token t;
    size_t at = 0;

    if (jscan_next(s) != JSCAN_ARRAY) {
        return false;
    }
    while ((t = jscan_next(s)) == JSCAN_STRING) {
        if (!jscan_ascii(s->token, text, sizeof(text)) || !digest_parse(slice_str(text), &d) ||
            !missing_mark(digests, n, &at, &d, ret_missing)) {
            return false;
        }
    }
    return t == JSCAN_ARRAY_END;
}

static bool answer_read(struct slice text, const struct digest *digests, size_t n,
                        bool *ret_missing)
{
    struct jscan s;
    bool seen = false;

    jscan_init(&s, text, 4, 2 * HAVE_MAX);
    if (jscan_next(&s) != JSCAN_OBJECT) {
        return false;
    }
    while (jscan_next(&s) == JSCAN_KEY) {
        if (!slice_is(s.token, "missing")) {
            if (!jscan_skip(&s, jscan_next(&s))) {
                return false;
            }
            continue;
        }
        if (!missing_read(&s, digests, n, ret_missing)) {
            return false;
        }
        seen = true;
    }
    return seen && jscan_next(&s) == JSCAN_END;
}

int have_ask(struct line *l, const struct digest *digests, size_t n, bool *ret_missing,
             struct err *e)
{
    char text[DIGEST_TEXT_MAX];
    struct buf question;
    struct buf answer;
    int result;

    assert(n <= HAVE_MAX);
    buf_init(&question, QUESTION_MAX);
    buf_init(&answer, ANSWER_MAX);
    for (size_t i = 0; i < n; i++) {
        ret_missing[i] = false;
        buf_str(&question, digest_text(&digests[i], text));
        buf_str(&question, "\n");
    }
    result = have_post(l, buf_view(&question), &answer, e);
    if (result == 0 && !answer_read(buf_view(&answer), digests, n, ret_missing)) {
        result = err_set(e, ERR_INTERNAL, "the server's answer to %s cannot be read", TARGET);
    }
    buf_free(&answer);
    buf_free(&question);
    return result;
}

/* Whole lines from the front of what was read. */
static struct slice lines_cut(struct slice in)
{
    struct slice rest = in;
    size_t n = 0;

    while (n < HAVE_MAX && slice_find(rest, '\n') < rest.len) {
        rest = slice_from(rest, slice_find(rest, '\n') + 1);
        n++;
    }
    return slice_sub(in, 0, in.len - rest.len);
}

int have_renew(struct line *l, const struct spool *digests, struct err *e)
{
    char *piece = xcalloc(QUESTION_MAX, 1);
    uint64_t at = 0;
    int result = 0;

    while (result == 0 && at < digests->size) {
        struct buf answer;
        struct slice lines;
        size_t n = 0;

        result = spool_read(digests, at, piece, QUESTION_MAX, &n, e);
        lines = lines_cut(slice_of(piece, n));
        assert(result < 0 || lines.len > 0);
        at += lines.len;
        buf_init(&answer, ANSWER_MAX);
        result = result < 0 ? result : have_post(l, lines, &answer, e);
        buf_free(&answer);
    }
    free(piece);
    return result;
}
