/* registry/access.c - what a listener lets through. */
#include "registry/access.h"

#include <string.h>

/* An error has no room for more. */
#define HOSTED_NAMES_MAX 120

bool access_is_local(const char *listener)
{
    return strncmp(listener, "unix:", 5) == 0 || strncmp(listener, "127.", 4) == 0 ||
           strncmp(listener, "[::1]:", 6) == 0 || strncmp(listener, "localhost:", 10) == 0;
}

/* --- rules --------------------------------------------------------------------------------- */

/* NULL: none count here. */
static const struct grants *grants_of(const struct request *q)
{
    return q->x->listener->role == ROLE_REGISTRY ? q->registry->grants : NULL;
}

static bool is_granted(const struct request *q, const char *repository, enum grant_action action)
{
    struct grant_claim who = {q->user[0] == '\0' ? NULL : q->user, q->x->certificate};

    return grants_allow(grants_of(q), &who, repository, action);
}

const char *access_owner(const struct request *q)
{
    return q->user[0] != '\0' || q->x->certificate == NULL ? q->user : q->x->certificate;
}

/* A client that came by its certificate alone may still sign in as somebody who may. */
static int refuse_action(const struct request *q, const char *repository, const char *action,
                         struct err *err)
{
    const char *who = access_owner(q);

    if (q->user[0] == '\0' && q->registry->users != NULL) {
        return err_set(err, ERR_UNAUTHORIZED, "%s in %.120s takes a user and a password", action,
                       repository);
    }
    return err_set(err, ERR_DENIED, "no access rule lets %.60s %s in %.120s",
                   who[0] == '\0' ? "this client" : who, action, repository);
}

static int check_granted(const struct request *q, enum grant_action action, struct err *err)
{
    const char *repository = q->mirrored ? q->repo.text : q->route.name;

    if (repository[0] == '\0' || is_granted(q, repository, action)) {
        return 0; /* a ping, or the catalog, which names what may be read */
    }
    return refuse_action(q, repository,
                         action == GRANT_PULL   ? "pull"
                         : action == GRANT_PUSH ? "push"
                                                : "delete",
                         err);
}

bool access_may_read(const struct request *q, const char *repository, const struct upstream *u)
{
    if (grants_of(q) != NULL) {
        return is_granted(q, repository, GRANT_PULL);
    }
    return u == NULL || !upstream_has_credentials(u) || access_is_local(q->x->listener->text);
}

bool access_may_push(const struct request *q)
{
    if (grants_of(q) != NULL) {
        return is_granted(q, q->route.name, GRANT_PUSH);
    }
    return q->x->listener->push || access_is_local(q->x->listener->text);
}

/* --- requests ------------------------------------------------------------------------------ */

/* The names that take pushes, for a client that tried another. */
static void hosted_names(const struct request *q, struct buf *out)
{
    const struct route_table *t = q->registry->routes;

    for (size_t i = 0; i < t->n_hosted; i++) {
        buf_printf(out, "%s%s", i == 0 ? "" : ", ", t->hosted[i]);
    }
    if (t->n_hosted == 0) {
        buf_str(out, "none (the configuration has no hosted names)");
    }
}

static int refuse_mirrored(const struct request *q, struct err *err)
{
    struct buf names;

    if (q->x->head.method == HTTP_DELETE) {
        return err_set(err, ERR_UNSUPPORTED, "%s is a mirror: nothing can be deleted there",
                       q->repo.text);
    }
    if (q->x->listener->role == ROLE_MIRROR) {
        return err_set(
            err, ERR_DENIED,
            "the listener %.100s has role \"mirror\", which takes no pushes; \"all\" and "
            "\"registry\" do",
            q->x->listener->text);
    }
    buf_init(&names, HOSTED_NAMES_MAX);
    hosted_names(q, &names);
    err_set(err, ERR_DENIED, "%.100s is a mirror: it takes no pushes. Names that do: %s",
            q->repo.text, names.p == NULL ? "" : names.p);
    buf_free(&names);
    return -1;
}

/* Whether what the path names is written by this method. */
static bool is_write(const struct request *q)
{
    switch (q->route.kind) {
    case ROUTE_UPLOADS:
        return q->x->head.method == HTTP_POST;
    case ROUTE_UPLOAD:
        return q->x->head.method == HTTP_PATCH || q->x->head.method == HTTP_PUT ||
               q->x->head.method == HTTP_DELETE;
    case ROUTE_MANIFEST:
        return q->x->head.method == HTTP_PUT || q->x->head.method == HTTP_DELETE;
    case ROUTE_BLOB:
        return q->x->head.method == HTTP_DELETE;
    default:
        return false;
    }
}

/* To cancel an upload is a part of pushing. */
static int check_push(const struct request *q, struct err *err)
{
    bool deletes = q->x->head.method == HTTP_DELETE && q->route.kind != ROUTE_UPLOAD;

    if (grants_of(q) != NULL) {
        return check_granted(q, deletes ? GRANT_DELETE : GRANT_PUSH, err);
    }
    if (access_may_push(q)) {
        return 0;
    }
    return err_set(err, ERR_DENIED,
                   "the listener %s takes no pushes: \"push\": true in its configuration would "
                   "allow them",
                   q->x->listener->text);
}

static int check_write(const struct request *q, struct err *err)
{
    if (http_field(&q->x->head, "Origin").p != NULL) {
        return err_set(err, ERR_DENIED, "writes from web pages (Origin) are refused");
    }
    if (q->mirrored) {
        return refuse_mirrored(q, err);
    }
    if (!q->hosted || !is_write(q)) {
        return err_set(err, ERR_UNSUPPORTED, "this method is not supported here");
    }
    return check_push(q, err);
}

int access_check(const struct request *q, struct err *err)
{
    enum http_method method = q->x->head.method;
    bool uploads = q->route.kind == ROUTE_UPLOADS || q->route.kind == ROUTE_UPLOAD;

    if (method != HTTP_GET && method != HTTP_HEAD) {
        return check_write(q, err);
    }
    if (uploads && q->hosted) {
        return check_push(q, err); /* the state of an upload is its writer's business */
    }
    if (uploads) {
        return err_set(err, ERR_UPLOAD_UNKNOWN, "there is no such upload");
    }
    if (grants_of(q) != NULL) {
        return check_granted(q, GRANT_PULL, err);
    }
    if (q->mirrored && !access_may_read(q, q->repo.text, q->repo.upstream)) {
        return err_set(err, ERR_DENIED,
                       "%s is read with a credential of this cache's: only local clients may",
                       q->repo.text);
    }
    return 0;
}
