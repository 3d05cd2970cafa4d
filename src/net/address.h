/*
 * net/address.h - IP addresses as values, and which of them are anybody's. Pure; any thread.
 */
#ifndef NET_ADDRESS_H
#define NET_ADDRESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#define ADDRESS_TEXT_MAX 46

/* A value. */
struct address {
    uint8_t size; /* 4 or 16: of which version it is */
    uint8_t bytes[16];
};

/* "192.0.2.1" or "2001:db8::1", without brackets or zone; false where it is neither. */
bool address_parse(const char *text, struct address *ret);
/* Gives buf. */
const char *address_text(const struct address *a, char buf[ADDRESS_TEXT_MAX]);

/* False where `sa` is of another family. */
bool address_from_sockaddr(const struct sockaddr *sa, struct address *ret);
/* With that port; gives the length of what was written. */
socklen_t address_to_sockaddr(const struct address *a, uint16_t port, struct sockaddr_storage *ret);

/*
 * Whether it belongs to the public internet: not loopback, private (RFC 1918), shared (100.64/10),
 * link-local, unique local, multicast, reserved or for documentation, nor an IPv4 address of such a
 * kind inside IPv6 (mapped, compatible, NAT64, 6to4, Teredo).
 */
bool address_is_public(const struct address *a);
/* Of 127.0.0.0/8 (also mapped into IPv6) or ::1. */
bool address_is_loopback(const struct address *a);

/* Whether the first `bits` bits are the same and both are of one version. */
bool address_in(const struct address *a, const struct address *net, unsigned bits);

#endif
