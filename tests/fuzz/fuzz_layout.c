/*
 * fuzz_layout.c - any text as index.json, manifest.json and oci-layout. Input: how many bytes to
 * feed at once, then the text. It says the same whole and in pieces, and what is accepted of an
 * index is written and read again.
 */
#include "bundle/docker.h"
#include "bundle/layout.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct seen {
    uint64_t n;
    uint64_t sum;
    int finished;
};

/* What is written of an entry holds the same. */
static void check_entry(const struct layout_entry *entry)
{
    struct layout_read again;
    struct err e;
    struct slice in;
    struct buf b;

    buf_init(&b, JSON_LIST_ENTRY_MAX);
    layout_index_open(&b);
    layout_index_entry(&b, entry, true);
    layout_index_close(&b);
    in = buf_view(&b);
    layout_read_init(&again);
    assert(layout_read_feed(&again, &in, &e) == LAYOUT_ENTRY);
    assert(layout_entry_order(entry, &again.entry) == 0 && entry->size == again.entry.size);
    assert(strcmp(entry->media_type, again.entry.media_type) == 0);
    assert(layout_read_feed(&again, &in, &e) == LAYOUT_MORE);
    assert(layout_read_finish(&again, &e) == 0);
    layout_read_fini(&again);
    buf_free(&b);
}

static struct seen index_read(struct slice text, size_t piece)
{
    enum layout_event event = LAYOUT_MORE;
    struct seen seen = {0};
    struct layout_read r;
    struct err e = {0};

    layout_read_init(&r);
    for (size_t at = 0; at < text.len; at += piece) {
        struct slice in = slice_sub(text, at, at + piece);

        while ((event = layout_read_feed(&r, &in, &e)) == LAYOUT_ENTRY) {
            check_entry(&r.entry);
            seen.n++;
            seen.sum += r.entry.size + strlen(r.entry.image_name);
        }
    }
    seen.finished = layout_read_finish(&r, &e);
    assert((seen.finished < 0) == (e.text[0] != '\0'));
    layout_read_fini(&r);
    return seen;
}

static struct seen docker_read(struct slice text, size_t piece)
{
    struct seen seen = {0};
    struct docker_read r;
    struct err e = {0};

    docker_read_init(&r);
    for (size_t at = 0; at < text.len; at += piece) {
        struct slice in = slice_sub(text, at, at + piece);

        while (docker_read_feed(&r, &in, &e) == DOCKER_IMAGE) {
            assert(r.image.config != NULL);
            seen.n++;
            seen.sum += r.image.n_tags + 3 * r.image.n_layers;
        }
    }
    seen.finished = docker_read_finish(&r, &e);
    assert((seen.finished < 0) == (e.text[0] != '\0'));
    docker_read_fini(&r);
    return seen;
}

static void check_same(struct seen a, struct seen b)
{
    assert(a.n == b.n && a.sum == b.sum && a.finished == b.finished);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err e = {0};

    if (size > 0) {
        struct slice text = slice_of((const char *)data + 1, size - 1);

        check_same(index_read(text, size), index_read(text, (size_t)data[0] + 1));
        check_same(docker_read(text, size), docker_read(text, (size_t)data[0] + 1));
        assert((layout_check_version(text, &e) < 0) == (e.text[0] != '\0'));
    }
    return 0;
}
