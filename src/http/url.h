/*
 * http/url.h - absolute http and https URLs, references to them, origins. Pure.
 *
 * RFC 3986, less what HTTP has no use for: fragments are dropped, user information is split off and
 * never written again, percent-encoding is left as it is.
 */
#ifndef HTTP_URL_H
#define HTTP_URL_H

#include "base/str.h"

/* Longer ones are refused. */
#define HTTP_URL_MAX 8192

/* Where a request goes. */
struct http_origin {
    bool tls;
    char host[256]; /* a name in lower case or an address, IPv6 without brackets */
    uint16_t port;
};

/* The slices point into what was parsed (or to static text). */
struct http_url {
    struct http_origin origin;
    struct slice user; /* before '@', percent-encoded as it was; p is NULL where there is none */
    struct slice password; /* behind the ':' in it; p is NULL where there is none */
    struct slice path;     /* begins with '/' */
    struct slice query;    /* behind '?'; p is NULL where there is none */
};

/* False where `text` is no URL that we would go to; *ret_why says why (static text). */
bool http_url_parse(struct slice text, struct http_url *ret, const char **ret_why);

/* Writes what `reference` means where it is met at `base` (RFC 3986 5.2) as an absolute URL,
 * percent-encoded as it was, without user information of the base. `ret` must be a fresh buffer
 * whose max is at least HTTP_URL_MAX. The result has been parsed once and is a URL. */
bool http_url_resolve(const struct http_url *base, struct slice reference, struct buf *ret,
                      const char **ret_why);

/* Appends "/path?query": the target of a request. */
void http_url_target(const struct http_url *u, struct buf *out);
/* Appends "host" or "host:port", for Host: brackets around IPv6, no default port. */
void http_origin_host(const struct http_origin *o, struct buf *out);
/* Appends "https://host:port", the port where it is not the default. */
void http_origin_text(const struct http_origin *o, struct buf *out);

/* Whether scheme, host and port are the same (RFC 6454 5). */
bool http_origin_equal(const struct http_origin *a, const struct http_origin *b);

/* Appends `s` with each %HH decoded; false where one is not two hex digits. For user, password. */
bool http_url_decode(struct slice s, struct buf *out);

#endif
