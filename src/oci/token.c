/* oci/token.c - the JSON of a token endpoint. */
#include "oci/token.h"

#include "oci/jscan.h"

#include <jansson.h>
#include <stdlib.h>

/* Far more than the handful of members that such an answer has. */
#define TOKEN_DEPTH_MAX 16
#define TOKEN_VALUES_MAX 1000

static bool scan(struct slice body)
{
    struct jscan s;
    enum jscan_token t;

    jscan_init(&s, body, TOKEN_DEPTH_MAX, TOKEN_VALUES_MAX);
    do {
        t = jscan_next(&s);
    } while (t != JSCAN_END && t != JSCAN_BAD);
    return t == JSCAN_END;
}

static bool is_visible(struct slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        if (s.p[i] <= ' ' || s.p[i] > '~') {
            return false;
        }
    }
    return s.len > 0;
}

/* The member as a token, or NULL where it is none. Borrows. */
static const char *token_member(const json_t *root, const char *name)
{
    const json_t *j = json_object_get(root, name);
    struct slice s;

    if (!json_is_string(j)) {
        return NULL;
    }
    s = slice_of(json_string_value(j), json_string_length(j));
    return is_visible(s) ? s.p : NULL;
}

static uint64_t expires_member(const json_t *root)
{
    const json_t *j = json_object_get(root, "expires_in");
    double seconds = json_is_number(j) ? json_number_value(j) : 0;

    if (!(seconds > TOKEN_EXPIRES_MIN)) {
        return TOKEN_EXPIRES_MIN;
    }
    return seconds > TOKEN_EXPIRES_MAX ? TOKEN_EXPIRES_MAX : (uint64_t)seconds;
}

int token_answer_parse(struct slice body, struct token_answer *ret, struct err *e)
{
    json_t *root;
    const char *token;

    if (body.len > TOKEN_BODY_MAX) {
        return err_set(e, ERR_UPSTREAM_PROTOCOL, "the token answer is larger than %u bytes",
                       TOKEN_BODY_MAX);
    }
    root = scan(body) ? json_loadb(body.p, body.len, 0, NULL) : NULL;
    token = token_member(root, "access_token");
    if (token == NULL) {
        token = token_member(root, "token");
    }
    if (token == NULL) {
        json_decref(root);
        return err_set(e, ERR_UPSTREAM_PROTOCOL, "the token answer holds no token");
    }
    ret->token = xstrdup(token);
    ret->expires_s = expires_member(root);
    json_decref(root);
    return 0;
}

void token_answer_free(struct token_answer *a)
{
    if (a != NULL && a->token != NULL) {
        explicit_bzero(a->token, strlen(a->token));
        free(a->token);
    }
    if (a != NULL) {
        *a = (struct token_answer){0};
    }
}
