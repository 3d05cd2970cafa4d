/* test_grant.c - access rules: who may do what where. */
#include "registry/grant.h"

#include "oci/pattern.h"
#include "tap.h"

#define LIST(...)                                                                                  \
    (const char *const[]){__VA_ARGS__}, sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *)

static const struct grant RULES[] = {
    {false, LIST("release", "Ops.*"), NULL, 0, LIST("stage/**"),
     GRANT_PULL | GRANT_PUSH | GRANT_DELETE},
    {false, LIST("ci-*"), NULL, 0, LIST("stage/**", "docker.io/library/*"), GRANT_PULL},
    {false, NULL, 0, LIST("builder-*.example"), LIST("cache/**"), GRANT_PULL | GRANT_PUSH},
    {false, LIST("*"), LIST("*"), LIST("public/app"), GRANT_PULL},
    {true, NULL, 0, NULL, 0, LIST("open/**"), GRANT_PULL},
};
static const struct grants GRANTS = {RULES, ARRAY_LEN(RULES)};

static void test_rules(void)
{
    static const struct {
        const char *user;
        const char *certificate;
        const char *repository;
        unsigned actions; /* that are allowed */
    } cases[] = {
        {"release", NULL, "stage/app", 7},
        {"release", NULL, "stage/a/b/c", 7},
        {"Ops.anna", NULL, "stage/app", 7},
        {"ops.anna", NULL, "stage/app", 0},
        {"released", NULL, "stage/app", 0},
        {"releas", NULL, "stage/app", 0},
        {"ci-", NULL, "stage/app", 1},
        {"ci-fork", NULL, "stage/app", 1},
        {"ci-fork", NULL, "docker.io/library/alpine", 1},
        {"ci-fork", NULL, "docker.io/library/a/b", 0},
        {"ci-fork", NULL, "docker.io/corp/alpine", 0},
        {"ci", NULL, "stage/app", 0},
        {"xci-fork", NULL, "stage/app", 0},
        {"release", NULL, "stage", 0},
        {"release", NULL, "stages/app", 0},
        {"release", NULL, "cache/app", 0},
        {NULL, "builder-1.example", "cache/app", 3},
        {"builder-1.example", NULL, "cache/app", 0}, /* by another way */
        {NULL, "release", "stage/app", 0},
        {"ci-1", "builder-1.example", "cache/app", 3}, /* either counts */
        {"ci-1", "builder-1.example", "stage/app", 1},
        {"who", NULL, "public/app", 1},
        {NULL, "who", "public/app", 1},
        {NULL, NULL, "public/app", 0}, /* somebody has to be somebody */
        {NULL, NULL, "stage/app", 0},
        {NULL, NULL, "open/app", 1}, /* or anybody at all */
        {"who", NULL, "open/app", 1},
        {NULL, "who", "open/app", 1},
    };
    static const enum grant_action ACTIONS[] = {GRANT_PULL, GRANT_PUSH, GRANT_DELETE};

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct grant_claim who = {cases[i].user, cases[i].certificate};
        unsigned allowed = 0;

        for (size_t k = 0; k < 3; k++) {
            if (grants_allow(&GRANTS, &who, cases[i].repository, ACTIONS[k])) {
                allowed |= (unsigned)ACTIONS[k];
            }
        }
        CHECK_INT(allowed, cases[i].actions);
    }
}

static void test_no_rules(void)
{
    const struct grants none = {NULL, 0};
    const struct grant_claim who = {"release", "release"};

    CHECK(!grants_allow(&none, &who, "stage/app", GRANT_PULL));
    CHECK(!grants_anybody(&none) && grants_anybody(&GRANTS));
    CHECK(!grants_anybody(&(struct grants){RULES, ARRAY_LEN(RULES) - 1}));
}

static void test_stars(void)
{
    CHECK(pattern_star(slice_str("*"), slice_str("")));
    CHECK(pattern_star(slice_str("a*c*e"), slice_str("abcde")));
    CHECK(pattern_star(slice_str("a*c*e"), slice_str("acce")));
    CHECK(!pattern_star(slice_str("a*c*e"), slice_str("abde")));
    CHECK(!pattern_star(slice_str(""), slice_str("a")));
    CHECK(pattern_star(slice_str("*/x"), slice_str("a/b/x")));
}

int main(void)
{
    test_rules();
    test_no_rules();
    test_stars();
    return tap_done();
}
