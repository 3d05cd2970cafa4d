/*
 * net/records.h - what a TLS server has encrypted on its way to the socket: several records go by
 * one call. For tls.c.
 *
 * OpenSSL writes each record, 16 KiB, by a call of its own, and on the same machine wakes the peer
 * for each. Where the kernel does TLS, nothing of this is needed.
 */
#ifndef NET_RECORDS_H
#define NET_RECORDS_H

#include <stdbool.h>
#include <stddef.h>

/* Bytes, before they are encrypted, that may be written between records_gather() and
 * records_send(). */
#define RECORDS_MAX ((size_t)64 * 1024)

struct ssl_st;  /* OpenSSL's SSL */
struct records; /* Owner: whoever made it. Thread: its connection's. */

/* From now on what `ssl` writes goes to the socket `fd` through this. Freed after `ssl`. */
struct records *records_new(struct ssl_st *ssl, int fd);
void records_free(struct records *r);

/* Keeps what is written back, unless something is left from before, until records_send(). That
 * follows before the thread does anything else: all its connections share the room. */
void records_gather(struct records *r);

/* Bytes that are left of before; 0 for NULL. */
size_t records_unsent(const struct records *r);

enum records_sent { RECORDS_SENT, RECORDS_LEFT, RECORDS_FAILED };

/* Sends what was gathered, or what was left of it before. RECORDS_LEFT: the socket takes no more;
 * nothing overtakes what is left. RECORDS_FAILED: errno says why. */
enum records_sent records_send(struct records *r);

#endif
