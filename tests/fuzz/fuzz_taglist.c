/*
 * fuzz_taglist.c - any page of tags. What is read and written again must be read as the same list.
 */
#include "oci/name.h"
#include "oci/taglist.h"

#include <assert.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_list(const struct taglist *l)
{
    for (size_t i = 0; i < l->n; i++) {
        assert(tag_valid(slice_str(l->tags[i])));
        assert(i == 0 || strcmp(l->tags[i - 1], l->tags[i]) < 0);
    }
}

static void check_again(const struct taglist *l)
{
    struct taglist *again = NULL;
    struct taglist_page page;
    struct err e = {0};
    struct buf b;

    buf_init(&b, TAGLIST_BODY_MAX);
    page = taglist_write(l, slice_str("a/b"), SLICE_NULL, TAGLIST_ALL, &b);
    assert(!page.more && !b.failed);
    assert(taglist_parse(buf_view(&b), &again, &e) == 0 && again->n == l->n);
    assert(l->n == 0 || strcmp(page.last, again->tags[again->n - 1]) == 0);
    assert(taglist_merge(again, l, &e) == 0 && again->n == l->n);
    buf_free(&b);
    taglist_free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct taglist *l = NULL;
    struct err e = {0};

    if (size == 0) {
        return 0;
    }
    if (taglist_parse(slice_of((const char *)data, size), &l, &e) == 0) {
        check_list(l);
        check_again(l);
    } else {
        assert(l == NULL && e.code == ERR_UPSTREAM_PROTOCOL);
    }
    taglist_free(l);
    return 0;
}
