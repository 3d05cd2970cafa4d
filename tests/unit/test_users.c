/* test_users.c - Basic fields, htpasswd lines, and the count of tries. */
#include "../../src/http/basic.c"
#include "../../src/registry/users.c"

#include "tap.h"

#define HASH_REST "$abcdefghijklmnopqrstuvABCDEFGHIJKLMNOPQRSTUVWXYZ01234"
#define HASH "$2b$04" HASH_REST

static void test_basic(void)
{
    static const struct {
        const char *field;
        const char *want; /* NULL: refused */
    } CASES[] = {
        {"Basic YTpi", "a:b"},
        {"basic YTpiYw==", "a:bc"},
        {"BASIC  YTpiY2Q= ", "a:bcd"},
        {"Basic YTp+Lz8=", "a:~/?"},
        {"Basic", NULL},
        {"Basic ", NULL},
        {"Basic YTpiY", NULL},
        {"Basic YTp=iYw=", NULL},
        {"Basic ====", NULL},
        {"Basic YTp-", NULL},
        {"Bearer YTpi", NULL},
        {"", NULL},
        {"Basic YTpiYWFhYWFhYQ==", NULL}, /* longer than there is room */
    };

    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        char out[8];
        size_t n = 0;
        bool good = http_basic_read(slice_str(CASES[i].field), out, sizeof(out), &n);

        CHECK_NOTE(good == (CASES[i].want != NULL), CASES[i].field);
        CHECK_NOTE(!good || slice_is(slice_of(out, n), CASES[i].want), CASES[i].field);
    }
}

static void test_round(void)
{
    struct buf b;
    char out[64];
    size_t n = 0;

    for (size_t len = 0; len < 20; len++) {
        char password[20];

        memset(password, 0xf7 - (int)len, sizeof(password));
        buf_init(&b, 1000);
        http_basic(&b, slice_str("user"), slice_of(password, len));
        CHECK(http_basic_read(buf_view(&b), out, sizeof(out), &n));
        CHECK(n == 5 + len && memcmp(out, "user:", 5) == 0 && memcmp(out + 5, password, len) == 0);
        buf_free(&b);
    }
}

static void test_lines(void)
{
    static const char *const BAD[] = {
        "a",        "a:",      ":" HASH,         "a:" HASH "x", "a:$1$abc",
        "a:{SHA}x", "\n\na:x", "a:$2x$04$" HASH, "a:plain",
    };
    struct user_list list = {0};
    struct err err = {0};

    CHECK_INT(list_parse("f", slice_str("# x\n\na:" HASH "\r\nb:" HASH), &list, &err), 0);
    if (CHECK_INT(list.n, 2)) {
        CHECK_STR(list.all[0].name, "a");
        CHECK_STR(list.all[1].hash, HASH);
    }
    list_fini(&list);
    for (size_t i = 0; i < ARRAY_LEN(BAD); i++) {
        CHECK_NOTE(list_parse("f", slice_str(BAD[i]), &list, &err) < 0, BAD[i]);
        CHECK_NOTE(list.n == 0 && err.code == ERR_CONFIG, BAD[i]);
    }
}

/* By name, whatever the order of the lines; of two with one name the first counts. */
static void test_find(void)
{
    static const char TEXT[] = "b:" HASH "\nB:" HASH "\na:$2b$05" HASH_REST "\nb:$2b$06" HASH_REST
                               "\nab:" HASH "\na:" HASH;
    struct users *u = xnew(struct users);
    struct err err = {0};
    char hash[USER_HASH_MAX];

    pthread_mutex_init(&u->lock, NULL);
    CHECK(!users_hash(u, "a", hash));
    CHECK_INT(list_parse("f", slice_str(TEXT), &u->list, &err), 0);
    CHECK(users_hash(u, "a", hash) && strncmp(hash, "$2b$05", 6) == 0 && strlen(hash) == 60);
    CHECK(users_hash(u, "b", hash) && strcmp(hash, HASH) == 0);
    CHECK(users_hash(u, "ab", hash) && users_hash(u, "B", hash));
    CHECK(!users_hash(u, "", hash) && !users_hash(u, "c", hash) && !users_hash(u, "aa", hash));
    users_free(u);
}

static void test_memory(void)
{
    struct users *u = xnew(struct users);
    struct user_claim a = {"a", "bc"};
    struct user_claim b = {"ab", "c"};
    unsigned wait = 0;

    pthread_mutex_init(&u->lock, NULL);
    CHECK(!users_remembered(u, &a));
    remember(u, &a);
    CHECK(users_remembered(u, &a) && !users_remembered(u, &b));
    for (unsigned i = 0; i < TRIES; i++) {
        CHECK(users_may_try(u, "10.0.0.1", &wait));
        count_wrong(u, "10.0.0.1");
    }
    CHECK(!users_may_try(u, "10.0.0.1", &wait) && wait > 0 && wait <= TRIES_MS / 1000 + 1);
    CHECK(users_may_try(u, "10.0.0.2", &wait));
    for (unsigned i = 0; i < 2 * TRIES; i++) { /* none of which was wrong yet */
        CHECK(users_may_try(u, "10.0.0.2", &wait));
    }
    users_free(u);
}

int main(void)
{
    test_basic();
    test_round();
    test_lines();
    test_find();
    test_memory();
    return tap_done();
}
