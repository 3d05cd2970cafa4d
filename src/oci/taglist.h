/*
 * oci/taglist.h - lists of tags: pages that upstreams send, pages that we answer
 * (distribution-spec, "Listing Tags"). Pure; any thread.
 */
#ifndef OCI_TAGLIST_H
#define OCI_TAGLIST_H

#include "base/err.h"
#include "base/str.h"

/* Bytes of one upstream page, and tags of a whole list. */
#define TAGLIST_BODY_MAX (16u << 20)
#define TAGLIST_TAGS_MAX 1000000
/* For `n` of taglist_write(): no limit was asked. */
#define TAGLIST_ALL UINT64_MAX

/* Owner: the caller, by taglist_free(). Invariant: sorted by byte order, no tag twice, all legal.
 */
struct taglist {
    size_t n;
    const char **tags; /* point into text */
    char *text;
    size_t text_len;
};

/* Reads one page of an upstream. "tags": null is an empty list; illegal tags are left out. Returns
 * 0, or -1 with ERR_UPSTREAM_PROTOCOL: not JSON, no "tags", beyond the bounds. */
int taglist_parse(struct slice body, struct taglist **ret, struct err *e);

/* Puts the tags of `page` into `into`. Returns 0, or -1 with ERR_UPSTREAM_PROTOCOL (into unchanged)
 * where the list would become longer than TAGLIST_TAGS_MAX. */
int taglist_merge(struct taglist *into, const struct taglist *page, struct err *e);

void taglist_free(struct taglist *l);

/* What a page held: whether tags remain behind it, and its last tag ("" where it has none), for
 * Link. Borrows the list. */
struct taglist_page {
    bool more;
    const char *last;
};

/*
 * Appends {"name":…,"tags":[…]} with at most n of the tags that come after `last` in byte order
 * (`last` need not exist; empty: from the first). n = 0 is an empty page that says no more.
 */
struct taglist_page taglist_write(const struct taglist *l, struct slice name, struct slice last,
                                  uint64_t n, struct buf *out);

#endif
