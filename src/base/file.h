/*
 * base/file.h - whole reads and writes, and the few path helpers that the store and CLI share.
 *
 * All of it may block; loop threads call it only for what is small and local at start.
 */
#ifndef BASE_FILE_H
#define BASE_FILE_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* All n bytes at `offset`, going on after short writes and EINTR. 0, or -1 with errno. */
int file_pwrite_all(int fd, const void *p, size_t n, uint64_t offset) MUST_CHECK;

/* Up to n bytes at `offset`, short only at the end of the file. Count, or -1 with errno. */
ssize_t file_pread_all(int fd, void *p, size_t n, uint64_t offset) MUST_CHECK;

/* The whole of a regular file of at most `max` bytes as a string that the caller frees (NUL added,
 * not counted in *ret_len). -1 with `err` (ERR_CONFIG) that names the path. */
int file_read(const char *path, size_t max, char **ret, size_t *ret_len,
              struct err *err) MUST_CHECK;

/* Creates a folder and its parents, mode 0755 less the umask, and syncs the folders that got an
 * entry where they can be read. 0, or -1 with errno. */
int file_mkdirs(const char *path) MUST_CHECK;

/* To whom the file belongs, as "larder", or "uid 987" where that user has no name; false where it
 * is ours, or cannot be told. */
#define FILE_OWNER_MAX 48
bool file_of_another(const char *path, char ret[FILE_OWNER_MAX]);

#endif
