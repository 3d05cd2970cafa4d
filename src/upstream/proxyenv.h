/*
 * upstream/proxyenv.h - the proxy that the environment names for an origin.
 *
 * HTTPS_PROXY, HTTP_PROXY and NO_PROXY, lower case too, as Go's clients read them (reference
 * protocol.md 5.1): whoever runs a registry client knows those rules.
 */
#ifndef UPSTREAM_PROXYENV_H
#define UPSTREAM_PROXYENV_H

#include "base/err.h"
#include "http/url.h"

/* Owner: the caller, by proxyenv_free(). */
struct proxyenv {
    char *https; /* or NULL */
    char *http;
    char *no_proxy;
};

/* Reads the environment; upper case first. A value without a scheme is taken as http://. -1 with
 * ERR_CONFIG for a proxy that we cannot speak to (https, socks) or a broken URL; the text does not
 * repeat it, because it may hold a password. *p can be freed in any case. */
int proxyenv_read(struct proxyenv *p, struct err *err) MUST_CHECK;
void proxyenv_free(struct proxyenv *p);

/* The proxy's URL for this origin, or NULL: direct. Loopback hosts are always direct. */
const char *proxyenv_for(const struct proxyenv *p, const struct http_origin *o);

#endif
