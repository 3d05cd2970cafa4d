/*
 * bundle/folder.h - the files of a folder as if they were the entries of an archive.
 *
 * For bundle/source alone, whose header says in which order they come. Blocks; one owner.
 */
#ifndef BUNDLE_FOLDER_H
#define BUNDLE_FOLDER_H

#include "bundle/source.h"

/* Deepest file: blobs/ALGORITHM/HEX, and docker's are less deep. What lies deeper is left out. */
#define FOLDER_DEPTH_MAX 3

struct folder;

/* NULL with ERR_CONFIG: it cannot be opened. */
struct folder *folder_open(const char *path, struct err *e) MUST_CHECK;
void folder_free(struct folder *f);

/* As source_next(); takes what it fills off the front of the room. */
enum source_event folder_next(struct folder *f, char **room, size_t *n_room, struct err *e);
void folder_skip(struct folder *f);
const struct tar_entry *folder_entry(const struct folder *f);
struct slice folder_data(const struct folder *f);

#endif
