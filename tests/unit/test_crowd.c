/* test_crowd.c - how many connections there may be, and from one address. */
#include "http/crowd.h"

#include "tap.h"

int main(void)
{
    struct crowd *c = crowd_new(4, 2);

    CHECK(crowd_enter(c, "10.0.0.1") && crowd_enter(c, "10.0.0.1"));
    CHECK_NOTE(!crowd_enter(c, "10.0.0.1"), "two from an address");
    CHECK(crowd_enter(c, "10.0.0.2") && crowd_enter(c, "::1"));
    CHECK_NOTE(!crowd_enter(c, "10.0.0.3"), "four in all");
    CHECK_NOTE(crowd_enter(c, "unix"), "the operator is not counted");
    crowd_leave(c, "unix");
    crowd_leave(c, "::1");
    CHECK_NOTE(!crowd_enter(c, "10.0.0.1"), "its two are still there");
    CHECK(crowd_enter(c, "10.0.0.2"));
    crowd_leave(c, "10.0.0.1");
    CHECK(crowd_enter(c, "10.0.0.1"));
    for (int i = 0; i < 2; i++) {
        crowd_leave(c, "10.0.0.1");
        crowd_leave(c, "10.0.0.2");
    }
    for (int i = 0; i < 4; i++) {
        char address[16];

        snprintf(address, sizeof(address), "10.1.0.%d", i);
        CHECK(crowd_enter(c, address));
    }
    CHECK(!crowd_enter(c, "10.1.0.9"));
    crowd_free(c); /* with some still there */
    return tap_done();
}
