/*
 * cli/import_read.c - the entries of an archive: blobs to the feed, the rest to be looked at.
 *
 * Bytes of a blob that is in the store already are left out: what is there was verified when it
 * came, and these are not kept, so nobody hashes them.
 */
#include "cli/import_parts.h"

#include "base/clock.h"
#include "bundle/layout.h"
#include "cli/have.h"

#include <stdio.h>
#include <stdlib.h>

/* Leases last an hour. */
#define RENEW_MS (20u * 60 * 1000)

void taking_init(struct taking *t, struct import *im, const char *label)
{
    const char *data = host_config(im->host)->data;

    *t = (struct taking){.im = im, .label = label, .renewed = clock_mono_ms()};
    archive_init(&t->archive);
    buf_init(&t->text, IMPORT_SMALL_MAX);
    buf_init(&t->signature, SIGNATURE_TEXT_MAX);
    t->window = xnew(struct have_window);
    spool_init(&t->list, data, LIST_MAX);
    spool_init(&t->index, data, IMPORT_SPOOL_MAX);
    spool_init(&t->docker, data, IMPORT_SPOOL_MAX);
    spool_init(&t->images, data, IMPORT_SPOOL_MAX);
    spool_init(&t->kept, data, IMPORT_SPOOL_MAX);
    spool_init(&t->where, data, IMPORT_SPOOL_MAX);
}

void taking_fini(struct taking *t)
{
    feed_free(t->feed);
    source_free(t->source);
    spool_fini(&t->where);
    spool_fini(&t->kept);
    spool_fini(&t->images);
    spool_fini(&t->docker);
    spool_fini(&t->index);
    spool_fini(&t->list);
    free(t->window);
    buf_free(&t->signature);
    buf_free(&t->text);
    archive_fini(&t->archive);
}

/* --- blobs --------------------------------------------------------------------------------- */

int import_keep(struct taking *t, const struct digest *d, struct err *e)
{
    char text[DIGEST_TEXT_MAX];
    char line[DIGEST_TEXT_MAX + 1];

    snprintf(line, sizeof(line), "%s\n", digest_text(d, text));
    return spool_add(&t->kept, slice_str(line), e);
}

static int where_add(struct taking *t, const struct digest *d, uint64_t offset, struct err *e)
{
    char text[DIGEST_TEXT_MAX];
    char line[DIGEST_TEXT_MAX + 24];

    snprintf(line, sizeof(line), "%s %llu\n", digest_text(d, text), (unsigned long long)offset);
    return spool_add(&t->where, slice_str(line), e);
}

static int blob_begin(struct taking *t, const struct tar_entry *entry, struct err *e)
{
    const struct digest *d = &t->archive.digest;
    bool missing = true;
    bool wanted = true;
    int result;

    if (t->list_accepted) {
        if (import_list_blob(t, entry, &wanted, e) < 0) {
            return archive_blame(entry->name, entry->offset, e);
        }
        result = wanted ? import_list_missing(t, d, &missing, e) : 0;
    } else {
        result = have_ask(t->im->line, d, 1, &missing, e);
    }
    if (result < 0 || !wanted) {
        return result;
    }
    if (import_keep(t, d, e) < 0 || where_add(t, d, entry->offset, e) < 0) {
        return -1;
    }
    if (!missing) {
        t->im->sums.here++;
        t->im->sums.here_bytes += entry->size;
        source_skip(t->source);
        return 0;
    }
    t->sink = SINK_FEED;
    feed_begin(t->feed, entry, d, NULL);
    return 0;
}

/* --- entries ------------------------------------------------------------------------------- */

static void text_begin(struct taking *t, struct buf *b)
{
    t->into = b;
    t->sink = SINK_TEXT;
}

static void spool_begin(struct taking *t, struct spool *s)
{
    t->spool = s;
    t->sink = SINK_SPOOL;
}

/* Before anything but a list and its signature. */
static int list_settle(struct taking *t, struct err *e)
{
    if (t->archive.came[ARCHIVE_LIST]) {
        return import_list_accept(t, e);
    }
    return t->im->n_keys == 0 ? 0
                              : err_set(e, ERR_DENIED,
                                        "it has no larder/list that could be signed, and --trust "
                                        "wants a signature");
}

static int entry_begin(struct taking *t, struct err *e)
{
    const struct tar_entry *entry = source_entry(t->source);
    struct archive *a = &t->archive;

    t->sink = SINK_NONE;
    if (archive_take(a, entry, e) < 0) {
        return -1;
    }
    if (!t->list_accepted && a->kind > ARCHIVE_SIGNATURE && list_settle(t, e) < 0) {
        return -1;
    }
    switch (a->kind) {
    case ARCHIVE_LIST:
        t->list_at = entry->offset;
        spool_begin(t, &t->list);
        return 0;
    case ARCHIVE_VERSION:
        text_begin(t, &t->text);
        return 0;
    case ARCHIVE_SIGNATURE:
        t->signature_at = entry->offset;
        text_begin(t, &t->signature);
        return 0;
    case ARCHIVE_INDEX:
        t->index_at = entry->offset;
        if (!a->came[ARCHIVE_LIST]) {
            spool_begin(t, &t->index);
        }
        return 0;
    case ARCHIVE_DOCKER:
        t->docker_at = entry->offset;
        if (!a->came[ARCHIVE_LIST]) {
            spool_begin(t, &t->docker);
        }
        return 0;
    case ARCHIVE_BLOB:
        return blob_begin(t, entry, e);
    case ARCHIVE_FILE:
        t->sink = SINK_FEED;
        feed_begin(t->feed, entry, NULL, a->file);
        return 0;
    default:
        return 0;
    }
}

static int entry_data(struct taking *t, struct err *e)
{
    const struct tar_entry *entry = source_entry(t->source);
    struct slice data = source_data(t->source);

    switch (t->sink) {
    case SINK_NONE:
        return 0;
    case SINK_FEED:
        feed_data(t->feed, data);
        return 0;
    case SINK_TEXT:
        buf_slice(t->into, data);
        if (!t->into->failed) {
            return 0;
        }
        ignore_result(err_set(e, ERR_BAD_REQUEST, "it is too long"));
        break;
    case SINK_SPOOL:
        if (spool_add(t->spool, data, e) == 0) {
            return 0;
        }
        break;
    }
    return archive_blame(entry->name, entry->offset, e);
}

static int entry_end(struct taking *t, struct err *e)
{
    const struct tar_entry *entry = source_entry(t->source);

    if (t->sink == SINK_FEED) {
        t->im->sums.taken++;
        t->im->sums.taken_bytes += entry->size;
        feed_end(t->feed);
    }
    if (t->archive.kind == ARCHIVE_VERSION && layout_check_version(buf_view(&t->text), e) < 0) {
        return archive_blame(entry->name, entry->offset, e);
    }
    return 0;
}

/* Between two pieces: what is to be done now and then. */
static int room_give(struct taking *t, struct err *e)
{
    uint64_t now = clock_mono_ms();

    source_room(t->source, feed_room(t->feed), FEED_ROOM_SIZE);
    import_progress(t);
    if (now - t->renewed < RENEW_MS) {
        return 0;
    }
    t->renewed = now;
    return have_renew(t->im->line, &t->kept, e);
}

static int read_entries(struct taking *t, struct err *e)
{
    int result = 0;

    while (result == 0 && !feed_failed(t->feed)) {
        switch (source_next(t->source, e)) {
        case SOURCE_ROOM:
            result = room_give(t, e);
            break;
        case SOURCE_ENTRY:
            result = entry_begin(t, e);
            break;
        case SOURCE_DATA:
            result = entry_data(t, e);
            break;
        case SOURCE_ENTRY_END:
            result = entry_end(t, e);
            break;
        case SOURCE_END:
            return 0;
        case SOURCE_BAD:
            return -1;
        }
    }
    return result;
}

int import_read(struct taking *t, struct err *e)
{
    if (read_entries(t, e) < 0 || feed_flush(t->feed, e) < 0 ||
        archive_finish(&t->archive, e) < 0) {
        return -1;
    }
    if (!t->archive.came[ARCHIVE_LIST]) {
        return 0;
    }
    if (!t->list_accepted && import_list_accept(t, e) < 0) {
        return -1;
    }
    return import_list_finish(t, e);
}
