/* registry/challenge.c - WWW-Authenticate, from what was asked and by which address. */
#include "registry/challenge.h"

#include "registry/issue.h"

/* A name and a port. */
#define HOST_MAX 262

/* The URL must be one that the client reaches: the address that it used itself. */
static bool has_url(const struct request *q)
{
    return q->x->head.host.len > 0 && q->x->head.host.len <= HOST_MAX &&
           strncmp(q->x->listener->text, "unix:", 5) != 0;
}

/* TLS may end before it comes here. Who lies in this field lies to themselves. */
static bool by_tls(const struct request *q)
{
    return q->x->listener->tls != NULL ||
           slice_is_nocase(http_field(&q->x->head, "X-Forwarded-Proto"), "https");
}

/* What it takes to be asked for: scopes as clients write them, which a token of ours ignores. */
static const char *actions_of(const struct route *r, enum http_method method)
{
    bool uploads = r->kind == ROUTE_UPLOADS || r->kind == ROUTE_UPLOAD;

    if (uploads || method == HTTP_PUT || method == HTTP_POST || method == HTTP_PATCH) {
        return "pull,push";
    }
    return method == HTTP_DELETE ? "delete" : "pull";
}

/* Nothing where the path names no repository: a ping, or what is nowhere. Names have no quotes, by
 * their grammar. */
static void add_scope(struct request *q)
{
    const struct http_exchange *x = q->x;
    struct route r;
    struct err err;

    if (route_parse(q->registry->routes, (enum route_role)x->listener->role, x->head.host,
                    x->head.path, x->head.query, &r, &err) < 0) {
        return;
    }
    if (r.kind == ROUTE_CATALOG) {
        buf_str(&q->extra, ",scope=\"registry:catalog:*\"");
    } else if (r.requested[0] != '\0') {
        buf_printf(&q->extra, ",scope=\"repository:%s:%s\"", r.requested,
                   actions_of(&r, x->head.method));
    }
}

/* One alone: Docker answers all that it is given, the last one counts, and one that it has no
 * password for ends the request. */
void challenge_add_line(struct request *q)
{
    if (issue_is_asked(q->x) || !has_url(q)) {
        buf_str(&q->extra, "WWW-Authenticate: Basic realm=\"larder\", charset=\"UTF-8\"\r\n");
        return;
    }
    buf_printf(&q->extra,
               "WWW-Authenticate: Bearer realm=\"%s://" SLICE_FMT ISSUE_PATH "\","
               "service=\"larder\"",
               by_tls(q) ? "https" : "http", SLICE_ARG(q->x->head.host));
    add_scope(q);
    if (q->bearer != BEARER_NONE) {
        buf_printf(&q->extra, ",error=\"%s\"",
                   q->bearer == BEARER_BAD ? "invalid_token" : "insufficient_scope");
    }
    buf_str(&q->extra, "\r\n");
}
