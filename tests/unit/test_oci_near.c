/* test_oci_near.c - names that are like one that is not there. */
#include "../../src/oci/near.c"

#include "tap.h"

static const char *nearest(const char *wanted, const char *const *names, size_t n_names,
                           char out[200], size_t size)
{
    struct near n;

    near_init(&n, wanted);
    for (size_t i = 0; i < n_names; i++) {
        near_add(&n, names[i]);
    }
    near_write(&n, out, size);
    return out;
}

static void test_distance(void)
{
    CHECK_INT(distance_of("latest", "latest"), 0);
    CHECK_INT(distance_of("lates", "latest"), 1);
    CHECK_INT(distance_of("latets", "latest"), 2);
    CHECK_INT(distance_of("12.5-slim", "12.6-slim"), 1);
    CHECK_INT(distance_of("12", "12.6-slim"), 7);
    CHECK_INT(distance_of("aaa", "aa"), 1);
    CHECK_INT(distance_of("aba", "aa"), 1);
    CHECK_INT(distance_of("", "x"), 1);
    CHECK_INT(distance_of("abc", "xyz"), 3);
}

static void test_order(void)
{
    static const char *const names[] = {"12.4-slim", "latest", "12.6", "12.6-slim", "12"};
    char out[200];

    CHECK_STR(nearest("12.5-slim", names, ARRAY_LEN(names), out, sizeof(out)),
              "12.4-slim, 12.6-slim, 12.6, 12, latest");
    CHECK_STR(nearest("late", names, 2, out, sizeof(out)), "latest, 12.4-slim");
    CHECK_STR(nearest("late", names, 0, out, sizeof(out)), "");
}

static void test_bounds(void)
{
    char name[TAG_MAX_LEN + 1];
    const char *names[1] = {name};
    char out[200];
    struct near n;

    near_init(&n, "v100");
    for (int i = 99; i >= 1; i--) {
        snprintf(name, sizeof(name), "v%d", i);
        near_add(&n, name);
    }
    CHECK_INT(n.n, NEAR_MAX);
    CHECK_INT(n.all, 99);
    near_write(&n, out, sizeof(out));
    CHECK_STR(out, "v10, v1, v11, v12, v13, v14, v15, v16 and 91 more");
    near_write(&n, out, 50);
    CHECK_STR(out, "v10, v1, v11, v12 and 95 more");
    near_write(&n, out, 10);
    CHECK_STR(out, "");

    memset(name, 'a', TAG_MAX_LEN);
    name[TAG_MAX_LEN] = '\0';
    CHECK_STR(nearest("a", names, 1, out, sizeof(out)), name);
    CHECK_STR(nearest("a", names, 1, out, TAG_MAX_LEN), "");
}

int main(void)
{
    test_distance();
    test_order();
    test_bounds();
    return tap_done();
}
