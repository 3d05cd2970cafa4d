/* registry/issue.c - giving tokens. */
#include "registry/issue.h"

#include "base/clock.h"
#include "registry/bearer.h"
#include "registry/sign_in.h"

#include <stdio.h>

#define ANSWER_MAX (2 * BEARER_TEXT_MAX + 200)

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

void issue_token(struct request *q)
{
    const struct registry *r = q->registry;
    struct err err;

    if (q->x->head.method != HTTP_GET) {
        err_set(&err, ERR_NOT_FOUND, "tokens are given by GET, to a user and a password by Basic");
        reply_error(q, &err);
    } else if (http_field(&q->x->head, "Authorization").p != NULL) {
        sign_in_by_password(q, give);
    } else if (r->grants != NULL && grants_anybody(r->grants)) {
        give(q);
    } else {
        sign_in_refuse(q, "tokens are given to a user and a password alone");
    }
}
