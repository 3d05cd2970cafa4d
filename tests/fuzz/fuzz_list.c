/*
 * fuzz_list.c - any bytes as larder/list. What is accepted is written again, byte for byte, and
 * each of its blobs is found.
 */
#include "bundle/list.h"

#include <assert.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Reads what was found to be good, a byte at a time, and writes the same. */
static void check_again(struct slice whole, const struct list_whole *found)
{
    struct list_write w = {0};
    struct list_read r;
    uint64_t got = 0;
    struct buf out;
    struct err e;

    buf_init(&out, whole.len);
    list_read_init(&r);
    list_write_head(&w, &out);
    for (size_t i = 0; i < whole.len; i++) {
        struct slice in = slice_sub(whole, i, i + 1);
        enum list_event event = list_read_feed(&r, &in, &e);

        assert(event != LIST_BAD && in.len == 0);
        if (event == LIST_LINE) {
            list_write_line(&w, &r.line, &out);
            assert((r.line.kind == LIST_BLOB) == list_has_blob(found, &r.line.digest, &got) ||
                   r.line.kind == LIST_IMAGE || r.line.kind == LIST_STANDS_ON);
            assert(r.line.kind != LIST_BLOB || got == r.line.size);
        }
    }
    assert(list_read_finish(&r, &e) == 0 && !out.failed);
    assert(slice_eq(buf_view(&out), whole));
    buf_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice whole = slice_of((const char *)data, size);
    struct err e = {0};
    struct list_whole l;

    if (list_open(whole, &l, &e) == 0) {
        check_again(whole, &l);
    } else {
        assert(e.code == ERR_BAD_REQUEST && e.text[0] != '\0');
    }
    return 0;
}
