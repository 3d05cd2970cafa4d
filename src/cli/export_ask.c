/* cli/export_ask.c - the engine's answers, as an export needs them. */
#include "base/clock.h"
#include "base/sha.h"
#include "cli/export_parts.h"
#include "cli/have.h"
#include "cli/render.h"
#include "store/tree.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAGE_MAX (16u << 20)
#define NAME_MAX_ANSWER 2048
/* A lease lasts an hour. */
#define LEASE_MS (20u * 60 * 1000)

#define CACHED "Cache-Control: only-if-cached\r\nAccept: " MANIFEST_ACCEPT "\r\n"

static int ask_text(struct export *x, const char *target, struct buf *out, struct err *err)
{
    struct line_request r = {.method = HTTP_GET, .target = target};

    return line_ask(x->line, &r, SLICE_NULL, out, NULL, err);
}

int export_ask_name(struct export *x, const char *name, char ret[ROUTE_REPO_MAX], bool *ret_hosted,
                    struct err *err)
{
    struct buf target;
    struct buf answer;
    struct slice rest;
    struct slice kind = SLICE_NULL;
    struct slice whole = SLICE_NULL;
    int result;

    buf_init(&target, 4 * ROUTE_REPO_MAX);
    buf_init(&answer, NAME_MAX_ANSWER);
    buf_str(&target, "/-/name?repository=");
    buf_percent(&target, slice_str(name));
    result = ask_text(x, target.p, &answer, err);
    rest = buf_view(&answer);
    if (result == 0 && (!slice_split(&rest, ' ', &kind) || !slice_split(&rest, '\n', &whole) ||
                        !slice_copy(whole, ret, ROUTE_REPO_MAX))) {
        result = err_set(err, ERR_INTERNAL, "the server's answer is no name");
    }
    *ret_hosted = slice_is(kind, "hosted");
    buf_free(&answer);
    buf_free(&target);
    return result;
}

int export_ask_images(struct export *x, const char *after, struct buf *out, struct err *err)
{
    struct buf target;
    int result;

    buf_init(&target, 8192);
    buf_str(&target, "/-/images?after=");
    buf_percent(&target, slice_str(after));
    buf_init(out, PAGE_MAX);
    result = ask_text(x, target.p, out, err);
    buf_free(&target);
    return result;
}

/* --- manifests ----------------------------------------------------------------------------- */

void export_body_fini(struct export_body *b)
{
    buf_free(&b->text);
}

/* What names it, for errors. */
static bool is_absent(const struct err *err)
{
    return err->code == ERR_MANIFEST_UNKNOWN || err->code == ERR_BLOB_UNKNOWN ||
           err->code == ERR_NAME_UNKNOWN || err->code == ERR_NOT_FOUND;
}

static bool is_of(const struct digest *d, struct slice body)
{
    unsigned char raw[SHA_MAX];
    struct digest found;

    sha_of((enum sha_alg)d->alg, body.p == NULL ? "" : body.p, body.len, raw);
    found = digest_of_raw((enum digest_alg)d->alg, raw);
    return digest_equal(d, &found);
}

/* What the head says of it; a list of referrers has no digest. */
static int body_check(const struct http_head *head, const struct digest *digest,
                      struct export_body *b, struct err *err)
{
    struct slice named = http_field(head, "Docker-Content-Digest");

    b->digest = (struct digest){0};
    if (digest != NULL) {
        b->digest = *digest;
    } else if (named.p != NULL && !digest_parse(named, &b->digest)) {
        return err_set(err, ERR_INTERNAL, "the server's answer has no digest");
    }
    if (b->digest.alg != 0 && !is_of(&b->digest, buf_view(&b->text))) {
        return err_set(err, ERR_STORE, "its manifest is damaged in the store");
    }
    if (!slice_copy(media_type_bare(http_field(head, "Content-Type")), b->media_type,
                    sizeof(b->media_type))) {
        b->media_type[0] = '\0';
    }
    return 0;
}

int export_ask_body(struct export *x, const char *target, const struct digest *digest,
                    struct export_body *ret, struct err *err)
{
    struct line_request r = {.method = HTTP_GET, .target = target, .fields = CACHED};
    struct http_head *head = xnew(struct http_head);
    int result;

    buf_init(&ret->text, MANIFEST_MAX);
    result = line_ask(x->line, &r, SLICE_NULL, &ret->text, head, err);
    if (result == 0) {
        result = body_check(head, digest, ret, err);
    } else if (is_absent(err)) {
        result = 1;
    }
    if (result != 0) {
        export_body_fini(ret);
    }
    free(head);
    return result;
}

int export_ask_blob(struct export *x, const struct digest *d, struct export_body *ret,
                    struct err *err)
{
    char target[DIGEST_TEXT_MAX + 16];
    char text[DIGEST_TEXT_MAX];
    int result;

    snprintf(target, sizeof(target), "/v2/-/blobs/%s", digest_text(d, text));
    result = export_ask_body(x, target, d, ret, err);
    return result == 1 ? err_set(err, ERR_BLOB_UNKNOWN, "%s is not here any more", text) : result;
}

/* --- blobs --------------------------------------------------------------------------------- */

int export_ask_missing(struct export *x, const struct digest *digests, size_t n, bool *ret_missing,
                       struct err *err)
{
    for (size_t at = 0; at < n;) {
        size_t some = n - at < HAVE_MAX ? n - at : HAVE_MAX;

        if (have_ask(x->line, digests + at, some, ret_missing + at, err) < 0) {
            return -1;
        }
        at += some;
    }
    return 0;
}

static int blob_file(const struct export *x, const struct digest *d)
{
    char path[TREE_PATH_MAX + 8] = "blobs/";

    tree_path(d, path + 6);
    return x->data < 0 ? -1 : openat(x->data, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
}

static void blob_target(const struct digest *d, char out[DIGEST_TEXT_MAX + 16])
{
    char text[DIGEST_TEXT_MAX];

    snprintf(out, DIGEST_TEXT_MAX + 16, "/v2/-/blobs/%s", digest_text(d, text));
}

/* Begins to read it from the engine: how many bytes will come. */
static int begin_over_line(struct export *x, const struct digest *d, uint64_t *ret, struct err *err)
{
    char target[DIGEST_TEXT_MAX + 16];
    struct line_request r = {.method = HTTP_GET, .target = target};
    struct http_head *head = xnew(struct http_head);
    int result = -1;

    blob_target(d, target);
    if (line_begin(x->line, &r, err) == 0 && line_answer(x->line, head, err) == 0) {
        result = head->status == 200 ? 0 : line_refused(x->line, head, err);
    }
    if (result == 0 && head->framing == HTTP_BODY_CHUNKED) {
        result = err_set(err, ERR_INTERNAL, "the server does not say how long it is");
    }
    *ret = head->length;
    free(head);
    return result;
}

int export_ask_size(struct export *x, const struct digest *d, uint64_t *ret, struct err *err)
{
    char path[TREE_PATH_MAX + 8] = "blobs/";
    struct stat st;

    tree_path(d, path + 6);
    if (x->data >= 0 && fstatat(x->data, path, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
        S_ISREG(st.st_mode)) {
        *ret = (uint64_t)st.st_size;
        return 0;
    }
    /* Not by HEAD, which looks at no file. */
    if (begin_over_line(x, d, ret, err) < 0) {
        return -1;
    }
    line_drop(x->line);
    return 0;
}

int export_open_blob(struct export *x, const struct digest *d, uint64_t size,
                     struct line **ret_line, struct err *err)
{
    int fd = blob_file(x, d);
    uint64_t found = 0;
    struct stat st;

    *ret_line = NULL;
    if (fd >= 0) {
        found = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) ? (uint64_t)st.st_size : 0;
    } else if (begin_over_line(x, d, &found, err) < 0) {
        return -1;
    }
    if (found == size) {
        *ret_line = fd < 0 ? x->line : NULL;
        return fd;
    }
    if (fd >= 0) {
        close(fd);
    }
    return err_set(err, ERR_STORE, "it has %llu byte%s now, and had %llu before",
                   (unsigned long long)found, render_s(found), (unsigned long long)size);
}

/* --- leases -------------------------------------------------------------------------------- */

int export_lease(struct export *x, struct err *err)
{
    struct digest *some;
    bool *missing;
    size_t count = blobset_count(&x->blobs);
    uint64_t now = clock_mono_ms();
    int result = 0;

    if (now - x->leased < LEASE_MS) {
        return 0;
    }
    some = xcalloc(HAVE_MAX, sizeof(*some));
    missing = xcalloc(HAVE_MAX, sizeof(*missing));
    for (size_t at = 0; at < count && result == 0;) {
        size_t n = 0;
        uint64_t size;

        for (; n < HAVE_MAX && at < count; n++, at++) {
            blobset_get(&x->blobs, at, &some[n], &size);
        }
        result = export_ask_missing(x, some, n, missing, err);
    }
    free(some);
    free(missing);
    x->leased = now;
    return result;
}
