/*
 * net/tls_words.h - what went wrong in a handshake, in words that can stand in a log. For tls.c.
 */
#ifndef NET_TLS_WORDS_H
#define NET_TLS_WORDS_H

#include <stddef.h>

struct x509_st; /* OpenSSL's X509 */
struct ssl_st;  /* and its SSL */

/* What is wrong with the certificate of a server that should be `host`, by an X509_V_ERR_… . */
void tls_words_of_server(const struct x509_st *cert, int error, const char *host, char *out,
                         size_t size);

/* Why a client's handshake failed: `code` is what OpenSSL's queue of errors has first, not 0. */
void tls_words_of_client(const struct ssl_st *ssl, unsigned long code, char *out, size_t size);

#endif
