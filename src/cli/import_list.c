/*
 * cli/import_list.c - a bundle's list: what is checked by it before anything is kept.
 *
 *     the list came -> names may be used -> what it stands on is here -> each blob is on it
 *                                                                          -> all of them came
 */
#include "cli/import_parts.h"

#include "base/sha.h"
#include "bundle/inventory.h"
#include "cli/have.h"
#include "cli/render.h"

#include <stdio.h>

/* Most digests of a delta's base that are told. */
#define TELL_MAX 1000

/* --- before anything is kept --------------------------------------------------------------- */

static int images_add(struct taking *t, struct err *e)
{
    struct slice rest = t->listed.images;
    struct list_line line;
    int result = 0;

    while (result == 0 && list_next(&rest, &line)) {
        result = import_add_image(t, line.name, line.tag, &line.digest, e);
    }
    return result;
}

/* The next digests of some lines; 0 where there are no more. */
static size_t digests_next(struct slice *lines, struct digest out[HAVE_MAX])
{
    struct list_line line;
    size_t n = 0;

    while (n < HAVE_MAX && list_next(lines, &line)) {
        out[n++] = line.digest;
    }
    return n;
}

static int needs_refuse(const struct taking *t, uint64_t n_missing, struct err *e)
{
    char text[DIGEST_TEXT_MAX] = "";

    if (t->listed.has_stands_on) {
        digest_text(&t->listed.stands_on, text);
    }
    return err_set(e, ERR_BLOB_UNKNOWN,
                   "it holds only what changed, and %llu of the %llu blob%s that it needs %s not "
                   "here%s%s",
                   (unsigned long long)n_missing, (unsigned long long)t->listed.n_needs,
                   render_s(t->listed.n_needs), n_missing == 1 ? "is" : "are",
                   text[0] == '\0' ? "" : "; it was made against ", text);
}

/* Blobs that the bundle leaves out must be here; what is missing is told, one a line. */
static int needs_check(struct taking *t, struct err *e)
{
    struct slice rest = t->listed.needs;
    struct digest digests[HAVE_MAX];
    bool missing[HAVE_MAX];
    char text[DIGEST_TEXT_MAX];
    uint64_t n_missing = 0;
    size_t n;

    while ((n = digests_next(&rest, digests)) > 0) {
        if (have_ask(t->im->line, digests, n, missing, e) < 0) {
            return -1;
        }
        for (size_t i = 0; i < n; i++) {
            if (missing[i] && n_missing++ < TELL_MAX) {
                import_progress_end(t->im);
                fprintf(stderr, "missing %s\n", digest_text(&digests[i], text));
            }
            if (!missing[i] && import_keep(t, &digests[i], e) < 0) {
                return -1;
            }
        }
    }
    return n_missing == 0 ? 0 : needs_refuse(t, n_missing, e);
}

static int list_blame(const struct taking *t, struct err *e)
{
    return archive_blame(ARCHIVE_LIST_NAME, t->list_at, e);
}

static int trust_check(struct taking *t, struct slice text, struct err *e)
{
    unsigned char sha512[SIGNATURE_SHA512];

    if (t->im->n_keys == 0) {
        return 0;
    }
    if (!t->archive.came[ARCHIVE_SIGNATURE]) {
        return err_set(e, ERR_DENIED, "it is not signed, and --trust wants a signature");
    }
    sha_of(SHA_512, text.p, text.len, sha512);
    if (signature_check(buf_view(&t->signature), sha512, t->im->keys, t->im->n_keys, e) < 0) {
        return archive_blame(ARCHIVE_SIGNATURE_NAME, t->signature_at, e);
    }
    return 0;
}

int import_list_accept(struct taking *t, struct err *e)
{
    struct slice text;

    t->list_accepted = true;
    if (spool_map(&t->list, &text, e) < 0 || trust_check(t, text, e) < 0) {
        return -1;
    }
    if (list_open(text, &t->listed, e) < 0) {
        return list_blame(t, e);
    }
    if (t->im->has_name) {
        return err_set(e, ERR_BAD_REQUEST, "--name: the images of a bundle have their names");
    }
    t->window_rest = t->listed.blobs;
    return images_add(t, e) < 0 || import_place_names(t, e) < 0 ? -1 : needs_check(t, e);
}

/* --- blobs --------------------------------------------------------------------------------- */

int import_list_blob(struct taking *t, const struct tar_entry *entry, bool *ret_listed,
                     struct err *e)
{
    uint64_t size;

    *ret_listed = list_has_blob(&t->listed, &t->archive.digest, &size);
    if (*ret_listed && size != entry->size) {
        return err_set(e, ERR_BAD_REQUEST, "it has %llu byte%s, and larder/list says %llu",
                       (unsigned long long)entry->size, render_s(entry->size),
                       (unsigned long long)size);
    }
    t->n_listed += *ret_listed;
    /* A folder may hold what an earlier export left there. */
    return *ret_listed || entry->offset == ARCHIVE_NO_OFFSET
               ? 0
               : err_set(e, ERR_BAD_REQUEST, "it is not in larder/list");
}

/* The digest's place in the window, moved on to where it may be; -1: it is not in there. */
static int window_find(struct taking *t, const struct digest *d, struct err *e)
{
    struct have_window *w = t->window;

    while (w->n == 0 || inventory_order(d, &w->digests[w->n - 1]) > 0) {
        w->n = digests_next(&t->window_rest, w->digests);
        if (w->n == 0 || have_ask(t->im->line, w->digests, w->n, w->missing, e) < 0) {
            return -1;
        }
    }
    for (size_t i = 0; i < w->n; i++) {
        if (digest_equal(&w->digests[i], d)) {
            return (int)i;
        }
    }
    return -1;
}

int import_list_missing(struct taking *t, const struct digest *d, bool *ret_missing, struct err *e)
{
    int i;

    e->code = ERR_NONE;
    i = window_find(t, d, e);
    if (i >= 0) {
        *ret_missing = t->window->missing[i];
        return 0;
    }
    /* Out of order, as tar leaves it where a bundle was packed anew. */
    return e->code != ERR_NONE ? -1 : have_ask(t->im->line, d, 1, ret_missing, e);
}

int import_list_finish(const struct taking *t, struct err *e)
{
    struct slice rest = t->listed.blobs;
    char text[DIGEST_TEXT_MAX];
    uint64_t missing = t->listed.n_blobs - t->n_listed;
    struct list_line line;

    if (missing == 0) {
        return 0;
    }
    while (list_next(&rest, &line) && seen_has(&t->archive.seen, &line.digest)) {
    }
    return err_set(
        e, ERR_BAD_REQUEST, "%llu of the %llu blob%s of larder/list %s not in it; the first is %s",
        (unsigned long long)missing, (unsigned long long)t->listed.n_blobs,
        render_s(t->listed.n_blobs), missing == 1 ? "is" : "are", digest_text(&line.digest, text));
}
