/* net/address.c - tables of address blocks (the IANA special-purpose registries). */
#include "net/address.h"

#include "base/mem.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

bool address_parse(const char *text, struct address *ret)
{
    struct address a = {0};

    if (inet_pton(AF_INET, text, a.bytes) == 1) {
        a.size = 4;
    } else if (inet_pton(AF_INET6, text, a.bytes) == 1) {
        a.size = 16;
    } else {
        return false;
    }
    *ret = a;
    return true;
}

const char *address_text(const struct address *a, char buf[ADDRESS_TEXT_MAX])
{
    if (inet_ntop(a->size == 4 ? AF_INET : AF_INET6, a->bytes, buf, ADDRESS_TEXT_MAX) == NULL) {
        buf[0] = '\0';
    }
    return buf;
}

bool address_from_sockaddr(const struct sockaddr *sa, struct address *ret)
{
    struct address a = {0};

    if (sa->sa_family == AF_INET) {
        a.size = 4;
        memcpy(a.bytes, &((const struct sockaddr_in *)(const void *)sa)->sin_addr, 4);
    } else if (sa->sa_family == AF_INET6) {
        a.size = 16;
        memcpy(a.bytes, &((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr, 16);
    } else {
        return false;
    }
    *ret = a;
    return true;
}

socklen_t address_to_sockaddr(const struct address *a, uint16_t port, struct sockaddr_storage *ret)
{
    struct sockaddr_in *in = (struct sockaddr_in *)(void *)ret;
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)(void *)ret;

    memset(ret, 0, sizeof(*ret));
    if (a->size == 4) {
        in->sin_family = AF_INET;
        in->sin_port = htons(port);
        memcpy(&in->sin_addr, a->bytes, 4);
        return sizeof(*in);
    }
    in6->sin6_family = AF_INET6;
    in6->sin6_port = htons(port);
    memcpy(&in6->sin6_addr, a->bytes, 16);
    return sizeof(*in6);
}

bool address_in(const struct address *a, const struct address *net, unsigned bits)
{
    unsigned whole = bits / 8;
    unsigned mask = bits % 8 == 0 ? 0 : 0xffu << (8 - bits % 8);

    if (a->size != net->size || bits > a->size * 8u) {
        return false;
    }
    return memcmp(a->bytes, net->bytes, whole) == 0 &&
           (mask == 0 || ((a->bytes[whole] ^ net->bytes[whole]) & mask & 0xff) == 0);
}

struct block {
    struct address net;
    unsigned bits;
};

/* Blocks that are not the public internet's. */
static const struct block special[] = {
    {{4, {0}}, 8},                                    /* this network */
    {{4, {10}}, 8},                                   /* private */
    {{4, {100, 64}}, 10},                             /* shared, behind a carrier's NAT */
    {{4, {127}}, 8},                                  /* loopback */
    {{4, {169, 254}}, 16},                            /* link-local, cloud metadata */
    {{4, {172, 16}}, 12},                             /* private */
    {{4, {192, 0, 0}}, 24},                           /* protocol assignments */
    {{4, {192, 0, 2}}, 24},                           /* documentation */
    {{4, {192, 88, 99}}, 24},                         /* 6to4 relays */
    {{4, {192, 168}}, 16},                            /* private */
    {{4, {198, 18}}, 15},                             /* benchmarks */
    {{4, {198, 51, 100}}, 24},                        /* documentation */
    {{4, {203, 0, 113}}, 24},                         /* documentation */
    {{4, {224}}, 3},                                  /* multicast, reserved, broadcast */
    {{16, {0x01, 0x00}}, 64},                         /* discard */
    {{16, {0x20, 0x01, 0x0d, 0xb8}}, 32},             /* documentation */
    {{16, {0x3f, 0xff}}, 20},                         /* documentation */
    {{16, {0x5f, 0x00}}, 16},                         /* segment routing */
    {{16, {0xfc}}, 7},                                /* unique local */
    {{16, {0xfe, 0x80}}, 10},                         /* link-local */
    {{16, {0xfe, 0xc0}}, 10},                         /* site-local */
    {{16, {0xff}}, 8},                                /* multicast */
    {{16, {0x00, 0x64, 0xff, 0x9b, 0x00, 0x01}}, 48}, /* local NAT64 */
};

/* Where IPv6 addresses hold one of IPv4, and at which byte. */
static const struct {
    struct block block;
    unsigned at;
    uint8_t flip; /* Teredo writes the bits inverted */
} embeddings[] = {
    {{{16, {0}}, 96}, 12, 0}, /* compatible; :: and ::1 too */
    {{{16, {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff}}, 96}, 12, 0}, /* mapped */
    {{{16, {0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff}}, 96}, 12, 0},       /* translated */
    {{{16, {0x00, 0x64, 0xff, 0x9b}}, 96}, 12, 0},                   /* NAT64 */
    {{{16, {0x20, 0x02}}, 16}, 2, 0},                                /* 6to4 */
    {{{16, {0x20, 0x01, 0, 0}}, 32}, 12, 0xff},                      /* Teredo: the client */
};

/* The IPv4 address that counts: itself, or the one inside. */
static bool embedded_v4(const struct address *a, struct address *ret)
{
    for (size_t i = 0; i < ARRAY_LEN(embeddings); i++) {
        if (!address_in(a, &embeddings[i].block.net, embeddings[i].block.bits)) {
            continue;
        }
        *ret = (struct address){.size = 4};
        for (unsigned b = 0; b < 4; b++) {
            ret->bytes[b] = a->bytes[embeddings[i].at + b] ^ embeddings[i].flip;
        }
        return true;
    }
    return false;
}

bool address_is_public(const struct address *a)
{
    struct address inside;

    if (embedded_v4(a, &inside)) {
        return address_is_public(&inside);
    }
    for (size_t i = 0; i < ARRAY_LEN(special); i++) {
        if (address_in(a, &special[i].net, special[i].bits)) {
            return false;
        }
    }
    return a->size == 4 || a->size == 16;
}

bool address_is_loopback(const struct address *a)
{
    static const struct address one = {16, {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}};
    static const struct block mapped = {{16, {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 127}}, 104};

    return (a->size == 4 && a->bytes[0] == 127) || address_in(a, &one, 128) ||
           address_in(a, &mapped.net, mapped.bits);
}
