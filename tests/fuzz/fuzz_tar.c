/*
 * fuzz_tar.c - any bytes as a tar archive. Input: how many bytes to feed at once, then the archive.
 * Where that number is even, the sums of headers are made right first, as no fuzzer guesses them.
 *
 * It says the same whether it comes whole or in pieces; no name leads out; the bytes of an entry
 * are as many as it says; and a header written for what was read reads the same.
 */
#include "bundle/tar_write.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A run over the whole archive. */
struct run {
    struct tar_read read;
    uint64_t left; /* of the entry at hand */
    uint64_t n_entries;
    uint64_t n_bytes;
    enum tar_event last;
    int finished;
};

static bool name_good(const char *name)
{
    struct slice rest = slice_str(name);
    struct slice part;

    while (slice_split(&rest, '/', &part)) {
        if (part.len == 0 || slice_is(part, "..")) {
            return false;
        }
    }
    return strlen(name) <= TAR_NAME_MAX;
}

static void check_entry(const struct tar_entry *entry)
{
    char target[TAR_NAME_MAX + 1];
    unsigned char head[TAR_WRITE_MAX];
    struct tar_read again;
    struct err e = {0};
    struct slice in;

    assert(name_good(entry->name));
    if (tar_link_target(entry, target)) {
        assert(name_good(target) && strcmp(target, ".") != 0);
    }
    if (entry->type == TAR_FILE) {
        in = slice_of((const char *)head,
                      tar_write_header(entry->name, TAR_FILE, entry->size, head));
        tar_read_init(&again);
        assert(tar_read_feed(&again, &in, &e) == TAR_ENTRY && in.len == 0);
        assert(strcmp(again.entry.name, entry->name) == 0 && again.entry.size == entry->size);
        tar_read_fini(&again);
    }
}

static void check_event(struct run *r, enum tar_event event)
{
    const struct tar_read *t = &r->read;

    if (event == TAR_ENTRY) {
        assert(r->left == 0);
        check_entry(&t->entry);
        r->left = t->entry.size;
        r->n_entries++;
    } else if (event == TAR_DATA) {
        assert(t->data.len > 0 && t->data.len <= r->left);
        r->left -= t->data.len;
        r->n_bytes += t->data.len;
    } else if (event == TAR_ENTRY_END) {
        assert(r->left == 0);
    }
}

static void run(struct run *r, struct slice archive, size_t piece)
{
    struct err e = {0};

    *r = (struct run){.last = TAR_MORE};
    tar_read_init(&r->read);
    for (size_t at = 0; at < archive.len && r->last < TAR_END; at += piece) {
        struct slice in = slice_sub(archive, at, at + piece);

        do {
            r->last = tar_read_feed(&r->read, &in, &e);
            check_event(r, r->last);
        } while (r->last != TAR_MORE && r->last < TAR_END);
    }
    r->finished = tar_read_finish(&r->read, &e);
    assert((r->finished < 0) == (e.text[0] != '\0'));
    assert(r->finished < 0 || r->left == 0);
    tar_read_fini(&r->read);
}

static void sums_set(char *p, size_t size)
{
    for (; size >= TAR_BLOCK; p += TAR_BLOCK, size -= TAR_BLOCK) {
        unsigned sum = 0;

        if (memcmp(p + 257, "ustar", 5) == 0) {
            memset(p + 148, ' ', 8);
            for (size_t i = 0; i < TAR_BLOCK; i++) {
                sum += (unsigned char)p[i];
            }
            snprintf(p + 148, 8, "%06o", sum & 0777777);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct run whole;
    static struct run pieces;

    if (size > 0) {
        char *copy = xcalloc(1, size);
        struct slice archive = slice_of(copy, size - 1);

        memcpy(copy, data + 1, size - 1);
        if (data[0] % 2 == 0) {
            sums_set(copy, size - 1);
        }
        run(&whole, archive, archive.len + 1);
        run(&pieces, archive, (size_t)data[0] + 1);
        assert(whole.n_entries == pieces.n_entries && whole.n_bytes == pieces.n_bytes);
        assert(whole.finished == pieces.finished);
        free(copy);
    }
    return 0;
}
