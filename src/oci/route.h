/*
 * oci/route.h - which repository a request means, and which endpoint of it.
 *
 * One pure function of the listener's role, Host, path and query. Clients name the upstream in four
 * ways, and may use several at once; the order of decision is:
 *
 *   1. ?ns=HOST. The same upstream named by a prefix or a first component too is then removed
 *      there; a prefix that names another upstream is overruled, a first component that does stays
 *      part of the name. An unknown one is 404, unless it is the Host asked, which says nothing.
 *   2. a prefix before /v2:  /ghcr.io/v2/owner/app/…  Any other prefix is 404.
 *   3. a first component:    /v2/ghcr.io/owner/app/…  One that looks like a host and is none: 404.
 *   4. a hosted repository, where the name matches a pattern (not for role mirror).
 *   5. the default upstream.
 *
 * Upstreams are a closed list, so that no request can reach another host. Pure; any thread.
 */
#ifndef OCI_ROUTE_H
#define OCI_ROUTE_H

#include "base/err.h"
#include "base/str.h"
#include "oci/digest.h"
#include "oci/name.h"

/* ROLE_CONTROL is the control socket's, where commands ask: as ROLE_ALL, the name ROUTE_OWN means
 * something, and names may have Larder's own host before them. */
enum route_role { ROLE_ALL, ROLE_MIRROR, ROLE_REGISTRY, ROLE_ADMIN, ROLE_CONTROL };

/* The store itself, in place of a repository: all blobs that are here, whoever has them as members.
 * No name by the grammar. */
#define ROUTE_OWN "-"

/* A registry that may be named: by its canonical name, or an alias (the Hub's are configuration
 * too). Names are host[:port], lower case; they are compared without regard to case. */
struct route_upstream {
    const char *name;
    const char *const *aliases;
    size_t n_aliases;
    bool is_default;
};

/* What routing knows; borrowed from the configuration. Aliases and hosted are valid patterns. */
struct route_table {
    const struct route_upstream *upstreams;
    size_t n_upstreams;
    const char *const *hosted;
    size_t n_hosted;
    const char *const *listeners; /* where images are served: "127.0.0.1:5000", "unix:/path" */
    size_t n_listeners;
};

enum route_kind {
    ROUTE_PING,      /* /v2, /v2/ */
    ROUTE_MANIFEST,  /* …/manifests/REFERENCE */
    ROUTE_BLOB,      /* …/blobs/DIGEST */
    ROUTE_TAGS,      /* …/tags/list */
    ROUTE_REFERRERS, /* …/referrers/DIGEST */
    ROUTE_CATALOG,   /* /v2/_catalog */
    ROUTE_UPLOADS,   /* …/blobs/uploads[/] */
    ROUTE_UPLOAD,    /* …/blobs/uploads/SESSION */
};

#define ROUTE_REFERENCE_MAX 140
#define ROUTE_SESSION_MAX 129
/* A host name and a port. */
#define ROUTE_NS_MAX 264
/* A host, a slash and a name. */
#define ROUTE_REPO_MAX (ROUTE_NS_MAX + 1 + NAME_MAX_LEN + 1)
/* Longest path that is looked at, raw. */
#define ROUTE_PATH_MAX 4096

/* A value; only `prefix` borrows. */
struct route {
    enum route_kind kind;
    int upstream; /* index in the table; -1: hosted, or a ping or catalog that names none */
    int hosted;   /* index of the pattern; -1: not hosted */
    bool own;     /* the name is ROUTE_OWN: blobs and uploads alone */
    char name[NAME_MAX_LEN + 1]; /* within the upstream, "library/" added for the Hub; "" for ping
                                    and catalog */
    char reference[ROUTE_REFERENCE_MAX]; /* tag or digest as text, else "" */
    bool by_digest;
    struct digest digest;            /* where by_digest */
    char session[ROUTE_SESSION_MAX]; /* [A-Za-z0-9_.=-]+, no leading dot */
    struct slice prefix;   /* before /v2 as it was sent ("/ghcr.io"), for Location and Link; borrows
                            the path, so it lives as long as that */
    char ns[ROUTE_NS_MAX]; /* as asked; "" where there was none or it counts as absent */
    char requested[ROUTE_REPO_MAX]; /* the name as written in the path, for Location, Link and the
                                       "name" of tags/list */
};

/*
 * Finds out what is meant. `path` is raw, without the query; it is decoded once, and an encoded
 * '/', '.' or control character is refused. `query` is raw, without the '?'; `host_header` may be
 * empty. Returns 0, or -1 with
 *   ERR_NOT_FOUND         404  no path of this API; anything, on a listener of role admin
 *   ERR_NAME_UNKNOWN      404  an upstream that is none of ours, named in the text; no default
 *   ERR_NAME_INVALID      400  a name outside the grammar; a bad escape in the path
 *   ERR_MANIFEST_UNKNOWN  404  a reference that is neither a tag nor has the form of a digest
 *   ERR_DIGEST_INVALID    400  no digest where one belongs, or one of an unknown algorithm
 *   ERR_URI_TOO_LONG      414  more than ROUTE_PATH_MAX bytes
 */
int route_parse(const struct route_table *t, enum route_role role, struct slice host_header,
                struct slice path, struct slice query, struct route *ret, struct err *e);

/* Index of the upstream that has this name or alias, or -1. */
int route_find_upstream(const struct route_table *t, struct slice host);

/* The name as it means something here, where commands and bundles write it as clients do, with
 * Larder's own host before it: without that. It is the address of a listener, or another by which
 * this machine reaches one: localhost:PORT, and where it listens on all addresses, loopback's. An
 * upstream of that name goes first. */
struct slice route_without_own(const struct route_table *t, struct slice name);

/* Routes an image name as commands and bundles write it, by the rules above without ns and prefix
 * (docker.io/NAME is the Hub's), and without Larder's own host. Fills kind ROUTE_TAGS, upstream,
 * hosted, name, requested. Errors as route_parse(). */
int route_parse_name(const struct route_table *t, enum route_role role, struct slice name,
                     struct route *ret, struct err *e);

/* "docker.io/library/alpine", or the hosted name alone; "" for a ping. Gives buf. */
const char *route_repo_text(const struct route_table *t, const struct route *r,
                            char buf[ROUTE_REPO_MAX]);

#endif
