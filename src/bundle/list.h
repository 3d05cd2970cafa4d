/*
 * bundle/list.h - larder/list, the first file of a bundle: its images, its blobs, and what it
 * stands on. Whoever trusts the list can check all that follows it.
 *
 *     larder-bundle 1
 *     stands-on DIGEST                            of the inventory or list that a delta was made
 *                                                 against
 *     image NAME TAG DIGEST SIZE MEDIATYPE        NAME with its registry; TAG "-": none
 *     needs DIGEST SIZE                           a blob of these images that is left out; a
 *                                                 manifest stands for its own blobs
 *     blob DIGEST SIZE                            a blob of the bundle
 *
 * Lines in this order, those of a kind sorted, none twice: the same content gives the same bytes.
 * Read line by line, as it may be long; what is mapped can be searched. Pure; one owner, any
 * thread.
 */
#ifndef BUNDLE_LIST_H
#define BUNDLE_LIST_H

#include "base/err.h"
#include "oci/digest.h"
#include "oci/manifest.h"
#include "oci/route.h"

/* Longest line with its end, and longest list. */
#define LIST_LINE_MAX 2048
#define LIST_MAX (UINT64_C(1) << 30)

enum list_kind { LIST_HEAD, LIST_STANDS_ON, LIST_IMAGE, LIST_NEEDS, LIST_BLOB };

/* A value. Of LIST_STANDS_ON only the digest. */
struct list_line {
    enum list_kind kind;
    struct digest digest;
    uint64_t size;                   /* bytes, at most INT64_MAX */
    char name[ROUTE_REPO_MAX];       /* of an image: "docker.io/library/debian", "stage/app" */
    char tag[TAG_MAX_LEN + 1];       /* likewise; "" for one that has none */
    char media_type[MEDIA_TYPE_MAX]; /* likewise */
};

/* The order of lines: less than, equal to or greater than 0. Two images of one name and tag are
 * equal, whatever they are. */
int list_order(const struct list_line *a, const struct list_line *b);

/* --- writing ------------------------------------------------------------------------------- */

/* Lives in its caller; zeroed at its start. */
struct list_write {
    struct list_line last;
};

/* Each appends a line. Lines must ascend. */
void list_write_head(struct list_write *w, struct buf *out);
void list_write_line(struct list_write *w, const struct list_line *line, struct buf *out);

/* --- reading ------------------------------------------------------------------------------- */

enum list_event {
    LIST_MORE, /* all that was given is used up */
    LIST_LINE, /* `line` is the next one, never LIST_HEAD */
    LIST_BAD,  /* `e` says why; said from now on */
};

/* Lives in its caller. Only `line` and `n` are for reading. */
struct list_read {
    struct list_line line;
    uint64_t n[LIST_BLOB + 1]; /* lines so far, by kind */

    uint64_t at; /* bytes taken so far */
    bool is_bad;
    size_t n_text;
    char text[LIST_LINE_MAX];
    struct err err;
};

void list_read_init(struct list_read *r);

/* Takes bytes off the front of *in; called until LIST_MORE. Errors are ERR_BAD_REQUEST: no list,
 * one of another version, a line that is none or too long, out of order, twice; the text has the
 * line's offset. */
enum list_event list_read_feed(struct list_read *r, struct slice *in, struct err *e);

/* No more bytes will come: 0, or -1 with ERR_BAD_REQUEST where that is within a line. */
int list_read_finish(const struct list_read *r, struct err *e) MUST_CHECK;

/* --- searching ----------------------------------------------------------------------------- */

/* A whole list that somebody mapped; borrows its bytes. */
struct list_whole {
    struct slice images; /* the lines of a kind */
    struct slice needs;
    struct slice blobs;
    uint64_t n_images;
    uint64_t n_needs;
    uint64_t n_blobs;
    uint64_t blob_bytes; /* sum of the sizes */
    bool has_stands_on;
    struct digest stands_on;
};

/* Reads all of it once, and checks it as above; also that no blob is both in it and left out, and
 * that each image's manifest is one or the other. */
int list_open(struct slice whole, struct list_whole *ret, struct err *e) MUST_CHECK;

/* Whether the bundle holds the blob, or its images need it of somebody else; *ret_size is set where
 * it does. */
bool list_has_blob(const struct list_whole *l, const struct digest *d, uint64_t *ret_size);
bool list_needs_blob(const struct list_whole *l, const struct digest *d, uint64_t *ret_size);

/* Takes the first line off lines of an opened list; false when they are used up. */
bool list_next(struct slice *lines, struct list_line *ret);

#endif
