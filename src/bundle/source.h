/*
 * bundle/source.h - the entries of one archive, from where it lies: a tar file, the parts of one,
 * standard input, or a folder that holds the same files.
 *
 *     ROOM -> ENTRY -> DATA* -> ENTRY_END -> ENTRY … -> END
 *       '------ asked for whenever the room that was given is full ------'
 *
 * Bytes are read into room that the caller gives, and told as slices of it. A folder's entries come
 * in this order: larder/list, larder/list.sig, oci-layout, index.json, manifest.json, then the rest
 * as the file system has it; its links are told, never followed. Everything blocks; one owner, any
 * thread.
 */
#ifndef BUNDLE_SOURCE_H
#define BUNDLE_SOURCE_H

#include "bundle/tar_read.h"

struct source;

enum source_event {
    SOURCE_ROOM, /* source_room() must be called */
    SOURCE_ENTRY,
    SOURCE_DATA,
    SOURCE_ENTRY_END,
    SOURCE_END,
    SOURCE_BAD, /* `e` says why: ERR_BAD_REQUEST, with an entry's name where one is at hand, or
                 * ERR_CONFIG, the next part cannot be opened */
};

/* How many of the paths, from the first, are the parts of one archive: FILE.000, FILE.001 and so
 * on; else 1. n > 0. */
size_t source_group(const char *const *paths, size_t n);

/* One archive: "-", a folder, a file, or its parts in order. Paths must live as long. NULL with
 * ERR_CONFIG where the first cannot be opened, or one of them is not there. */
struct source *source_open(const char *const *paths, size_t n, struct err *e) MUST_CHECK;
void source_free(struct source *s);

enum source_event source_next(struct source *s, struct err *e);
/* The bytes of the entry at hand that did not come yet are not wanted; some may come anyway. */
void source_skip(struct source *s);
/* Where bytes go from now on, and how many; n > 0. */
void source_room(struct source *s, void *p, size_t n);

/* The entry at hand, until the event behind SOURCE_ENTRY_END; offset is ARCHIVE_NO_OFFSET in a
 * folder. */
const struct tar_entry *source_entry(const struct source *s);
/* What SOURCE_DATA tells of. */
struct slice source_data(const struct source *s);

/* After SOURCE_BAD, or bytes that are not what they should be: appends what the archive's parts may
 * have to do with that, behind a ';'; nothing where it is of one piece. `n` is how many paths were
 * given from its first on, also of other archives. Looks at the files. */
void source_advise(const struct source *s, size_t n, struct buf *out);

/* Bytes that were read so far, and how many there are; 0 where nobody knows. */
uint64_t source_done(const struct source *s);
uint64_t source_size(const struct source *s);

#endif
