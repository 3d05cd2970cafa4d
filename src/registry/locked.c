/* registry/locked.c - tags of mirrored repositories, as a lock file has them. */
#include "registry/request.h"

static bool refuse(struct request *q, enum err_code code, const char *what)
{
    const char *path = q->registry->lock_path;
    size_t len = strlen(path);
    struct err err;

    /* The end of a long path says more than its beginning. */
    err_set(&err, code, "%.90s%s%.60s is not in the lock file %s%s", q->repo.text, what,
            q->route.reference, len > 60 ? "..." : "", len > 60 ? path + len - 60 : path);
    reply_error(q, &err);
    return false;
}

bool locked_find(struct request *q)
{
    const struct lock_image *image =
        lockfile_find(q->registry->lock, q->repo.text, q->route.reference);

    if (image == NULL) {
        return refuse(q, ERR_MANIFEST_UNKNOWN, ":");
    }
    q->route.digest = image->digest;
    return true;
}

bool locked_list(struct request *q, struct buf *out)
{
    size_t n;
    const struct lock_image *images = lockfile_tags(q->registry->lock, q->repo.text, &n);

    if (images == NULL) {
        return refuse(q, ERR_NAME_UNKNOWN, "");
    }
    q->size = n * (TAG_MAX_LEN + sizeof("\"\","));
    if (out == NULL) {
        return true;
    }
    buf_str(out, "{\"tags\":[");
    for (size_t i = 0; i < n; i++) {
        buf_str(out, i == 0 ? "" : ",");
        buf_json(out, slice_str(images[i].tag));
    }
    buf_str(out, "]}");
    return true;
}
