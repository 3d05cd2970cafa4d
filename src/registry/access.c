/* registry/access.c - what a listener lets through. */
#include "registry/access.h"

#include <string.h>

bool access_is_local(const char *listener)
{
    return strncmp(listener, "unix:", 5) == 0 || strncmp(listener, "127.", 4) == 0 ||
           strncmp(listener, "[::1]:", 6) == 0 || strncmp(listener, "localhost:", 10) == 0;
}

static int check_write(const struct request *q, struct err *err)
{
    if (http_field(&q->x->head, "Origin").p != NULL) {
        return err_set(err, ERR_DENIED, "writes from web pages (Origin) are refused");
    }
    if (q->mirrored && q->x->head.method == HTTP_DELETE) {
        return err_set(err, ERR_UNSUPPORTED, "%s is a mirror: nothing can be deleted there",
                       q->repo.text);
    }
    if (q->mirrored) {
        return err_set(err, ERR_DENIED, "%s is a mirror: it takes no pushes", q->repo.text);
    }
    return err_set(err, ERR_UNSUPPORTED, "this method is not supported here");
}

int access_check(const struct request *q, struct err *err)
{
    enum http_method method = q->x->head.method;

    if (method != HTTP_GET && method != HTTP_HEAD) {
        return check_write(q, err);
    }
    if (q->mirrored && upstream_credential(q->repo.upstream) != 0 &&
        !access_is_local(q->x->listener->text)) {
        return err_set(err, ERR_DENIED,
                       "%s is read with a credential of this cache's: only local clients may",
                       q->repo.text);
    }
    if (q->route.hosted >= 0) {
        return err_set(err, ERR_NAME_UNKNOWN, "nothing was pushed to %s", q->route.name);
    }
    return 0;
}
