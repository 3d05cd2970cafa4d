/*
 * bundle/tar_write.h - the header of a tar entry whose size is known, and what goes behind it.
 *
 * An archive is: for each entry tar_write_header(), its bytes, tar_write_padding() zeros; then
 * TAR_WRITE_END zeros. The same names and sizes give the same bytes: time 0, owner 0, mode 0644 or
 * 0755, no names of owners. ustar where it can say it, a pax header in front where not (names of
 * more than 100 bytes, 8 GiB and more). Pure; any thread.
 */
#ifndef BUNDLE_TAR_WRITE_H
#define BUNDLE_TAR_WRITE_H

#include "bundle/tar_read.h"

/* Largest header: one of pax, its records, and the entry's own. */
#define TAR_WRITE_MAX (6 * TAR_BLOCK)
/* Bytes of zeros that end an archive. */
#define TAR_WRITE_END (2 * TAR_BLOCK)

/* `type` is TAR_FILE or TAR_DIR (size 0); `name` as in an entry that is read, at most TAR_NAME_MAX
 * bytes (a folder's one less). Gives how many bytes it wrote: a multiple of TAR_BLOCK. */
size_t tar_write_header(const char *name, enum tar_type type, uint64_t size,
                        unsigned char out[TAR_WRITE_MAX]);

/* Zeros behind an entry's bytes: 0 to 511. */
size_t tar_write_padding(uint64_t size);

#endif
