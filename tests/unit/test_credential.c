/* test_credential.c - which credential a repository is read with, and what tells them apart. */
#include "upstream/credential.c"

#include "tap.h"

static struct credential list[4];

static void make(size_t i, const char *user, const char *token, const char *const *repositories,
                 size_t n)
{
    struct credential_options o = {.user = user,
                                   .password = user == NULL ? NULL : "pw",
                                   .identity_token = token,
                                   .repositories = repositories,
                                   .n_repositories = n};

    credential_init(&list[i], "reg.example", &o, NULL);
}

static void test_choice(void)
{
    static const char *const a[] = {"team/a/**", "solo"};
    static const char *const team[] = {"team/**"};

    make(0, "ann", NULL, a, 2);
    make(1, "bob", NULL, team, 1);
    make(2, NULL, "t", NULL, 0);
    CHECK(credential_choose(list, 3, "team/a/x") == &list[0]);
    CHECK(credential_choose(list, 3, "solo") == &list[0]);
    CHECK(credential_choose(list, 3, "team/a") == &list[1]);
    CHECK(credential_choose(list, 3, "team/b/c/d") == &list[1]);
    CHECK(credential_choose(list, 3, "solo/x") == &list[2]);
    CHECK(credential_choose(list, 2, "solo/x") == NULL);
    CHECK(credential_choose(NULL, 0, "solo") == NULL);
    for (size_t i = 0; i < 3; i++) {
        credential_fini(&list[i]);
    }
}

static void test_id(void)
{
    static const char *const a[] = {"a/**"};
    static const char *const b[] = {"b/**"};

    make(0, "ann", NULL, a, 1);
    make(1, "ann", NULL, b, 1);
    make(2, NULL, "t", a, 1);
    make(3, NULL, "u", b, 1);
    CHECK(list[0].id != 0 && list[0].id == list[1].id); /* one account */
    CHECK(list[2].id != list[3].id);
    CHECK(list[2].id != list[0].id);
    for (size_t i = 0; i < 4; i++) {
        credential_fini(&list[i]);
    }
    make(0, NULL, "another", a, 1);
    make(1, NULL, "t", a, 1);
    CHECK(list[0].id == list[1].id); /* nothing of a secret is in it */
    credential_fini(&list[0]);
    credential_fini(&list[1]);
}

int main(void)
{
    test_choice();
    test_id();
    return tap_done();
}
