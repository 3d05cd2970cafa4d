/* test_bearer.c - our own tokens: one text each, and nothing of it can be changed. */
#include "../../src/registry/bearer.c"

#include "tap.h"

#include <stdio.h>

#define HASH "$2b$04$abcdefghijklmnopqrstuvABCDEFGHIJKLMNOPQRSTUVWXYZ01234"

static const struct bearer_key KEY = {"a key of thirty-two bytes, as is"};
static const struct bearer_key OTHER = {"another key of thirty-two bytes."};

static struct bearer made(const char *user, uint64_t until, const char *hash)
{
    struct bearer b = {.until_ms = until};

    snprintf(b.user, sizeof(b.user), "%s", user);
    bearer_seal(&b, &KEY, hash);
    return b;
}

/* Whether a client that sends this text is known as that user. */
static bool is_taken(const char *text, const char *hash)
{
    char field[BEARER_TEXT_MAX + 100];
    struct bearer b;

    snprintf(field, sizeof(field), "Bearer %s", text);
    return bearer_read(slice_str(field), &b) && bearer_is_sealed(&b, &KEY, hash);
}

static void test_round(void)
{
    static const uint64_t UNTIL[] = {0, 1, 300000, 0x0123456789abcdef, UINT64_MAX};
    char longest[USER_MAX];
    const char *users[] = {"", "a", "release", "\xff\x01 \"\\", longest};

    memset(longest, 'x', sizeof(longest) - 1);
    longest[sizeof(longest) - 1] = '\0';
    for (size_t i = 0; i < ARRAY_LEN(users); i++) {
        const char *hash = users[i][0] == '\0' ? "" : HASH;
        char text[BEARER_TEXT_MAX];
        char field[BEARER_TEXT_MAX + 10];
        struct bearer one = made(users[i], UNTIL[i], hash);
        struct bearer back;

        snprintf(field, sizeof(field), "bearer  %s ", bearer_text(&one, text));
        CHECK_INT(strlen(text), 2 * (8 + strlen(users[i]) + 32));
        if (CHECK(bearer_read(slice_str(field), &back))) {
            CHECK(back.until_ms == UNTIL[i] && strcmp(back.user, users[i]) == 0);
            CHECK(bearer_is_sealed(&back, &KEY, hash));
            CHECK(!bearer_is_sealed(&back, &OTHER, hash));
            CHECK(!bearer_is_sealed(&back, &KEY, "$2b$04$"));
        }
    }
}

/* Every digit counts, as does every character that is none. */
static void test_changed(void)
{
    struct bearer one = made("release", 300000, HASH);
    char text[BEARER_TEXT_MAX];
    unsigned taken = 0;

    bearer_text(&one, text);
    CHECK(is_taken(text, HASH));
    for (size_t i = 0; text[i] != '\0'; i++) {
        char kept = text[i];

        for (const char *c = "0123456789abcdefABCDEF .="; *c != '\0'; c++) {
            text[i] = *c;
            taken += *c != kept && is_taken(text, HASH);
        }
        text[i] = '\0';
        taken += is_taken(text, HASH);
        text[i] = kept;
    }
    CHECK_INT(taken, 0);
    CHECK(is_taken(text, HASH));
}

/* Where one part ends and the next begins is sealed too. */
static void test_parts(void)
{
    struct bearer one = made("ab", 7, "c");
    struct bearer other = made("a", 7, "bc");

    CHECK(memcmp(one.seal, other.seal, sizeof(one.seal)) != 0);
    snprintf(other.user, sizeof(other.user), "ab");
    CHECK(!bearer_is_sealed(&other, &KEY, "c"));
}

static void test_rubbish(void)
{
    char zeros[2 * BEARER_TEXT_MAX];
    struct bearer b;

    memset(zeros, '0', sizeof(zeros));
    for (size_t n = 0; n < sizeof(zeros) - 8; n++) {
        char field[2 * BEARER_TEXT_MAX];
        /* 40 bytes are nobody's; more would begin with a NUL in the name. */
        int len = snprintf(field, sizeof(field), "Bearer %.*s", (int)n, zeros);

        CHECK_NOTE(bearer_read(slice_of(field, (size_t)len), &b) == (n == 80), field);
    }
    CHECK(!bearer_read(SLICE_NULL, &b));
    CHECK(!bearer_read(slice_str("Basic YTpi"), &b));
    CHECK(!bearer_read(slice_of(zeros, 80), &b));
    CHECK(bearer_is_meant(slice_str("BEARER")) && bearer_is_meant(slice_str("bearer x")));
    CHECK(!bearer_is_meant(slice_str("Bearerx y")) && !bearer_is_meant(SLICE_NULL));
}

static void test_keys(void)
{
    struct bearer_key a = {{0}};
    struct bearer_key b = {{0}};

    bearer_key_make(&a);
    bearer_key_make(&b);
    CHECK(memcmp(&a, &b, sizeof(a)) != 0);
}

int main(void)
{
    test_round();
    test_changed();
    test_parts();
    test_rubbish();
    test_keys();
    return tap_done();
}
