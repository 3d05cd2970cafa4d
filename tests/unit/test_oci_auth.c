/* test_oci_auth.c - challenges and the answers of token endpoints. */
#include "../../src/oci/challenge.c"
#include "../../src/oci/token.c"

#include "tap.h"

#define BEARER                                                                                     \
    "Bearer realm=\"https://auth.docker.io/token\",service=\"registry.docker.io\","                \
    "scope=\"repository:library/alpine:pull\""

static const struct {
    const char *line; /* a '\n' begins the next header line */
    enum challenge_scheme scheme;
    const char *realm;
    const char *service;
    const char *scope;
    const char *error;
} challenges[] = {
    {"", CHALLENGE_NONE, "", "", "", ""},
    {BEARER, CHALLENGE_BEARER, "https://auth.docker.io/token", "registry.docker.io",
     "repository:library/alpine:pull", ""},
    {"bEARER REALM=\"r\" , Service=s,ERROR=\"invalid_token\"", CHALLENGE_BEARER, "r", "s", "",
     "invalid_token"},
    {"Bearer realm=https://h:5000/t?a=b,service=s", CHALLENGE_BEARER, "https://h:5000/t?a=b", "s",
     "", ""},
    {"Bearer realm = \"r\"", CHALLENGE_BEARER, "r", "", "", ""},
    {"Bearer   realm=\"/token\",scope=\"\"", CHALLENGE_BEARER, "/token", "", "", ""},
    {"Bearer realm=\"a\\\"b\\\\c,d=e\"", CHALLENGE_BEARER, "a\"b\\c,d=e", "", "", ""},
    {"Bearer error_description=\"x, y=z\",realm=\"r\"", CHALLENGE_BEARER, "r", "", "", ""},
    {"Basic realm=\"x\"", CHALLENGE_BASIC, "x", "", "", ""},
    {"Basic", CHALLENGE_BASIC, "", "", "", ""},
    {"basic realm=x,charset=\"UTF-8\"", CHALLENGE_BASIC, "x", "", "", ""},
    /* Several, in a line and in lines. */
    {"Basic realm=\"x\", Bearer realm=\"y\",service=\"s\"", CHALLENGE_BEARER, "y", "s", "", ""},
    {"Bearer realm=\"y\",service=\"s\", Basic realm=\"x\"", CHALLENGE_BEARER, "y", "s", "", ""},
    {"Negotiate, Basic realm=\"x\"", CHALLENGE_BASIC, "x", "", "", ""},
    {"Negotiate YWJj==, NTLM, Bearer realm=\"x\"", CHALLENGE_BEARER, "x", "", "", ""},
    {"Digest realm=\"d\",nonce=\"n\"", CHALLENGE_NONE, "", "", "", ""},
    {"Digest realm=\"d\",nonce=\"n\", Basic realm=\"x\"", CHALLENGE_BASIC, "x", "", "", ""},
    {"Basic realm=\"x\"\nBearer realm=\"y\"", CHALLENGE_BEARER, "y", "", "", ""},
    {"Bearer realm=\"y\"\nBasic realm=\"x\"", CHALLENGE_BEARER, "y", "", "", ""},
    {"Bearer realm=\"1\"\nBearer realm=\"2\"", CHALLENGE_BEARER, "1", "", "", ""},
    {", ,Bearer realm=\"y\",,service=\"s\",", CHALLENGE_BEARER, "y", "s", "", ""},
    {"Bearer, Basic realm=\"x\"", CHALLENGE_BASIC, "x", "", "", ""},
    /* What cannot be used. */
    {"Bearer", CHALLENGE_NONE, "", "", "", ""},
    {"Bearer service=\"s\"", CHALLENGE_NONE, "", "", "", ""},
    {"Bearer realm=\"\"", CHALLENGE_NONE, "", "", "", ""},
    {"Bearer realm=\"x", CHALLENGE_NONE, "", "", "", ""},
    {"Bearer realm=\"x\\", CHALLENGE_NONE, "", "", "", ""},
    {"Bearer realm=\"a\rb\"", CHALLENGE_NONE, "", "", "", ""},
    {"Bearer realm=\"r\",scope=\"a\x7f\"", CHALLENGE_NONE, "", "", "", ""},
    {"Basic realm=\"x\", Bearer realm=\"y", CHALLENGE_BASIC, "x", "", "", ""},
    {"realm=\"x\"", CHALLENGE_NONE, "", "", "", ""},
    {"=\"x\"", CHALLENGE_NONE, "", "", "", ""},
    {"\"Bearer realm=x\"", CHALLENGE_NONE, "", "", "", ""},
    {"Basic realm=\"x\" ;;; Bearer realm=\"y\"", CHALLENGE_BASIC, "x", "", "", ""},
};

static void test_challenges(void)
{
    for (size_t i = 0; i < ARRAY_LEN(challenges); i++) {
        struct challenge c = {0};
        struct slice lines = slice_str(challenges[i].line);
        struct slice line;

        while (slice_split(&lines, '\n', &line)) {
            char *copy = xstrndup(line.p, line.len);

            challenge_add(&c, slice_of(copy, line.len));
            free(copy);
        }
        CHECK_NOTE(c.scheme == challenges[i].scheme, challenges[i].line);
        CHECK_STR(c.realm, challenges[i].realm);
        CHECK_STR(c.service, challenges[i].service);
        CHECK_STR(c.scope, challenges[i].scope);
        CHECK_STR(c.error, challenges[i].error);
    }
}

/* A parameter of n bytes: what fits is taken whole, what does not spoils its challenge. */
static enum challenge_scheme with_length(const char *name, size_t n, struct challenge *c)
{
    char line[CHALLENGE_REALM_MAX + 64];
    size_t at = (size_t)snprintf(line, sizeof(line), "Bearer realm=\"r\",%s=\"", name);

    memset(line + at, 'v', n);
    memcpy(line + at + n, "\"", 2);
    *c = (struct challenge){0};
    challenge_add(c, slice_str(line));
    return c->scheme;
}

static void test_challenge_bounds(void)
{
    static const struct {
        const char *name;
        size_t size;
    } cases[] = {{"realm", CHALLENGE_REALM_MAX},
                 {"service", CHALLENGE_SERVICE_MAX},
                 {"scope", CHALLENGE_SCOPE_MAX},
                 {"error", CHALLENGE_ERROR_MAX}};
    struct challenge c;

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CHECK_INT(with_length(cases[i].name, cases[i].size - 1, &c), CHALLENGE_BEARER);
        CHECK_INT(with_length(cases[i].name, cases[i].size, &c), CHALLENGE_NONE);
        CHECK_STR(c.realm, "");
    }
    CHECK_INT(with_length("unknown", CHALLENGE_REALM_MAX, &c), CHALLENGE_BEARER);
}

static const struct {
    const char *body;
    const char *token; /* NULL: refused */
    uint64_t expires_s;
} tokens[] = {
    {"{\"token\":\"abc\"}", "abc", 60},
    {"{\"access_token\":\"abc\",\"expires_in\":300}", "abc", 300},
    {"{\"token\":\"t\",\"access_token\":\"a\",\"expires_in\":3600,\"issued_at\":\"x\"}", "a", 3600},
    {"{\"token\":\"t\",\"access_token\":\"\"}", "t", 60},
    {"{\"token\":\"t\",\"access_token\":null}", "t", 60},
    {"{\"token\":\"t\",\"expires_in\":1}", "t", 60},
    {"{\"token\":\"t\",\"expires_in\":-5}", "t", 60},
    {"{\"token\":\"t\",\"expires_in\":\"900\"}", "t", 60},
    {"{\"token\":\"t\",\"expires_in\":300.5}", "t", 300},
    {"{\"token\":\"t\",\"expires_in\":1e300}", "t", TOKEN_EXPIRES_MAX},
    {"{\"token\":\"t\",\"expires_in\":9223372036854775807}", "t", TOKEN_EXPIRES_MAX},
    {"", NULL, 0},
    {"{}", NULL, 0},
    {"[]", NULL, 0},
    {"\"abc\"", NULL, 0},
    {"{\"token\":7}", NULL, 0},
    {"{\"token\":\"\"}", NULL, 0},
    {"{\"token\":\"a b\"}", NULL, 0},
    {"{\"token\":\"a\\r\\nX: y\"}", NULL, 0},
    {"{\"token\":\"a\\u0000b\"}", NULL, 0},
    {"{\"token\":\"\xc3\xa4\"}", NULL, 0},
    {"{\"token\":\"t\"", NULL, 0},
    {"{\"token\":\"t\"} x", NULL, 0},
    {"<html>", NULL, 0},
};

static void test_tokens(void)
{
    for (size_t i = 0; i < ARRAY_LEN(tokens); i++) {
        struct token_answer a = {0};
        struct err e = {0};
        int result = token_answer_parse(slice_str(tokens[i].body), &a, &e);

        CHECK_NOTE(result == (tokens[i].token == NULL ? -1 : 0), tokens[i].body);
        CHECK_STR(a.token, tokens[i].token);
        CHECK_INT(a.expires_s, tokens[i].expires_s);
        CHECK(result == 0 || e.code == ERR_UPSTREAM_PROTOCOL);
        token_answer_free(&a);
        CHECK(a.token == NULL);
    }
    token_answer_free(NULL);
}

static void test_token_bounds(void)
{
    static char body[TOKEN_BODY_MAX + 2];
    struct token_answer a = {0};
    struct err e = {0};

    memset(body, ' ', TOKEN_BODY_MAX + 1);
    memcpy(body, "{\"token\":\"t\"}", 13);
    CHECK(token_answer_parse(slice_of(body, TOKEN_BODY_MAX), &a, &e) == 0);
    token_answer_free(&a);
    CHECK(token_answer_parse(slice_of(body, TOKEN_BODY_MAX + 1), &a, &e) == -1);
    memset(body, '[', 64);
    CHECK(token_answer_parse(slice_of(body, TOKEN_BODY_MAX), &a, &e) == -1);
}

int main(void)
{
    test_challenges();
    test_challenge_bounds();
    test_tokens();
    test_token_bounds();
    return tap_done();
}
