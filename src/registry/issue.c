/* registry/issue.c - giving tokens. */
#include "registry/issue.h"

#include "base/clock.h"
#include "oci/query.h"
#include "registry/bearer.h"
#include "registry/sign_in.h"

#include <stdio.h>

#define ANSWER_MAX (2 * BEARER_TEXT_MAX + 200)
#define FORM_MAX (16u * 1024)

STEP(form);

bool issue_is_asked(const struct http_exchange *x)
{
    return slice_is(x->head.path, ISSUE_PATH);
}

/* Clients are told a tenth less than it is good for, so that one who asks at the last moment is
 * still heard. When it was issued is not said: they would go by their own clocks then. */
static void write_answer(const char *token, struct buf *out)
{
    uint64_t told = (limits.token - limits.token / 10) / 1000;

    buf_printf(out, "{\"token\":\"%s\",\"access_token\":\"%s\",\"expires_in\":%llu}", token, token,
               (unsigned long long)(told > 0 ? told : 1));
}

/* Of q->user, or of nobody. */
static void give(struct request *q)
{
    struct bearer b = {.until_ms = clock_mono_ms() + limits.token};
    char hash[USER_HASH_MAX] = "";
    char token[BEARER_TEXT_MAX];
    struct buf headers;
    struct buf body;

    snprintf(b.user, sizeof(b.user), "%s", q->user);
    if (b.user[0] != '\0' && !users_hash(q->registry->users, b.user, hash)) {
        sign_in_refuse(q, "the user has just been removed");
        return;
    }
    bearer_seal(&b, q->registry->key, hash);
    explicit_bzero(hash, sizeof(hash));
    buf_init(&headers, 4096);
    buf_init(&body, ANSWER_MAX);
    snprintf(q->media_type, sizeof(q->media_type), "application/json");
    reply_headers(q, &headers);
    buf_str(&headers, "Cache-Control: no-store\r\n");
    write_answer(bearer_text(&b, token), &body);
    http_reply(q->x, 200, buf_view(&headers), buf_view(&body));
    buf_free(&headers);
    buf_free(&body);
}

/* --- forms --------------------------------------------------------------------------------- */

/* A value as a C string; false where it is empty, longer, or holds a NUL. */
static bool form_value(struct slice form, const char *name, char *out, size_t size)
{
    struct buf value;
    bool good;

    buf_init(&value, size - 1);
    good = query_get(form, name, &value) && !value.failed && value.len > 0 &&
           slice_copy(buf_view(&value), out, size);
    if (value.p != NULL) {
        explicit_bzero(value.p, value.len);
    }
    buf_free(&value);
    return good;
}

static bool is_password_grant(struct slice form)
{
    char grant[16];

    return form_value(form, "grant_type", grant, sizeof(grant)) && strcmp(grant, "password") == 0;
}

/* Answers it, now or later. */
static void take_form(struct request *q)
{
    struct slice form = buf_view(&q->body);
    struct user_claim claim;
    struct err err;

    if (!is_password_grant(form)) {
        err_set(&err, ERR_BAD_REQUEST,
                "unsupported_grant_type: tokens are given for grant_type=password, and by GET");
        reply_error(q, &err);
    } else if (!form_value(form, "username", claim.name, sizeof(claim.name)) ||
               !form_value(form, "password", claim.password, sizeof(claim.password))) {
        sign_in_refuse(q, "the form has no username and password that a user here could have");
    } else {
        sign_in_by_claim(q, &claim, give);
    }
    explicit_bzero(&claim, sizeof(claim));
}

/* It holds a password. */
static void wipe_form(struct request *q)
{
    if (q->body.p != NULL) {
        explicit_bzero(q->body.p, q->body.len);
    }
}

static const struct step *form_broken(struct op *op, enum err_code code, const char *why)
{
    wipe_form(request_of(op));
    return op_fail(op, code, "%s", why);
}

static const struct step *step_form(struct op *op)
{
    struct request *q = request_of(op);
    char piece[4096];
    ssize_t got;

    while ((got = http_read_body(q->x, piece, sizeof(piece))) > 0) {
        bool fits = q->body.len + (size_t)got <= FORM_MAX;

        if (fits) {
            buf_append(&q->body, piece, (size_t)got);
        }
        explicit_bzero(piece, (size_t)got);
        if (!fits) {
            wipe_form(q);
            return op_fail(op, ERR_TOO_LARGE, "a form may have %u bytes", FORM_MAX);
        }
    }
    if (got == STREAM_AGAIN) {
        return q->timed_out ? form_broken(op, ERR_BAD_REQUEST, "the form did not arrive in time")
                            : STEP_WAIT;
    }
    if (got == STREAM_FAILED) {
        return form_broken(op, q->x->gone ? ERR_CLIENT_GONE : ERR_BAD_REQUEST,
                           "the body breaks off, or its framing is wrong");
    }
    take_form(q);
    wipe_form(q);
    return STEP_END;
}

void issue_token(struct request *q)
{
    const struct registry *r = q->registry;
    struct err err;

    if (q->x->head.method == HTTP_POST) {
        request_start(q, &S_form);
        request_wait(q, limits.client_headers);
    } else if (q->x->head.method != HTTP_GET) {
        err_set(&err, ERR_NOT_FOUND, "tokens are given by GET, or by POST of a form");
        reply_error(q, &err);
    } else if (http_field(&q->x->head, "Authorization").p != NULL) {
        sign_in_by_password(q, give);
    } else if (r->grants != NULL && grants_anybody(r->grants)) {
        give(q);
    } else {
        sign_in_refuse(q, "tokens are given to a user and a password alone");
    }
}
