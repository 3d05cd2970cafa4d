/* test_net_address.c - which addresses are the public internet's. */
#include "net/address.h"

#include "base/mem.h"

#include "tap.h"

#include <netinet/in.h>

static void test_classes(void)
{
    static const struct {
        const char *text;
        bool is_public;
        bool is_loopback;
    } cases[] = {
        {"8.8.8.8", true, false},
        {"0.0.0.0", false, false},
        {"0.1.2.3", false, false},
        {"10.0.0.1", false, false},
        {"11.0.0.1", true, false},
        {"100.63.255.255", true, false},
        {"100.64.0.0", false, false},
        {"100.127.255.255", false, false},
        {"100.128.0.0", true, false},
        {"127.0.0.1", false, true},
        {"127.255.0.9", false, true},
        {"128.0.0.1", true, false},
        {"169.254.169.254", false, false},
        {"169.253.0.1", true, false},
        {"172.15.255.255", true, false},
        {"172.16.0.1", false, false},
        {"172.31.255.255", false, false},
        {"172.32.0.1", true, false},
        {"192.168.1.1", false, false},
        {"192.169.1.1", true, false},
        {"192.0.2.7", false, false},
        {"198.19.0.1", false, false},
        {"224.0.0.1", false, false},
        {"255.255.255.255", false, false},
        {"::", false, false},
        {"::1", false, true},
        {"::2", false, false},
        {"2606:4700::1111", true, false},
        {"2001:db8::1", false, false},
        {"fc00::1", false, false},
        {"fdff::1", false, false},
        {"fe80::1", false, false},
        {"febf::1", false, false},
        {"ff02::1", false, false},
        {"::ffff:8.8.8.8", true, false},
        {"::ffff:10.0.0.1", false, false},
        {"::ffff:127.0.0.1", false, true},
        {"64:ff9b::808:808", true, false},
        {"64:ff9b::a00:1", false, false},
        {"64:ff9b:1::808:808", false, false},
        {"2002:808:808::1", true, false},
        {"2002:a00:1::1", false, false},
        {"2001:0:1:2:3:4:f5ff:fffe", false, false}, /* Teredo of 10.0.0.1 */
        {"2001:0:1:2:3:4:f7f7:f7f7", true, false},  /* Teredo of 8.8.8.8 */
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct address a;

        CHECK_NOTE(address_parse(cases[i].text, &a), cases[i].text);
        CHECK_NOTE(address_is_public(&a) == cases[i].is_public, cases[i].text);
        CHECK_NOTE(address_is_loopback(&a) == cases[i].is_loopback, cases[i].text);
    }
}

static void test_forms(void)
{
    static const char *const bad[] = {"",      "1.2.3",      "1.2.3.4.5",
                                      "[::1]", "::g",        "fe80::1%eth0",
                                      "127.1", "0x7f.0.0.1", "localhost"};
    struct sockaddr_storage ss;
    char text[ADDRESS_TEXT_MAX];
    struct address a;
    struct address b;

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        CHECK_NOTE(!address_parse(bad[i], &a), bad[i]);
    }
    CHECK(address_parse("2001:db8::7", &a));
    CHECK_INT(address_to_sockaddr(&a, 443, &ss), sizeof(struct sockaddr_in6));
    CHECK(address_from_sockaddr((struct sockaddr *)&ss, &b));
    CHECK_STR(address_text(&b, text), "2001:db8::7");
    CHECK(address_parse("192.0.2.9", &a));
    CHECK_INT(address_to_sockaddr(&a, 443, &ss), sizeof(struct sockaddr_in));
    CHECK(address_from_sockaddr((struct sockaddr *)&ss, &b));
    CHECK_STR(address_text(&b, text), "192.0.2.9");
    ss.ss_family = AF_UNIX;
    CHECK(!address_from_sockaddr((struct sockaddr *)&ss, &b));
}

static void test_blocks(void)
{
    struct address net;
    struct address a;

    CHECK(address_parse("10.1.128.0", &net) && address_parse("10.1.255.255", &a));
    CHECK(address_in(&a, &net, 17));
    CHECK(!address_in(&a, &net, 18));
    CHECK(address_in(&a, &net, 0));
    CHECK(!address_in(&a, &net, 33));
    CHECK(address_in(&net, &net, 32));
    CHECK(address_parse("::ffff:10.1.128.0", &a));
    CHECK(!address_in(&a, &net, 17));
}

int main(void)
{
    test_classes();
    test_forms();
    test_blocks();
    return tap_done();
}
