/*
 * cli/feed.h - carries blobs into the engine: one thread gives their bytes, FEED_LINES others send
 * them, each over a line of its own.
 *
 *     feed_room -> (feed_begin -> feed_data* -> feed_end)* -> feed_room … -> feed_flush
 *
 * What is held is FEED_ROOMS times FEED_ROOM_SIZE, whatever the blobs are: bytes are sent from the
 * room that they were read into, and feed_room() waits for one that all were sent of. A blob of a
 * known digest is one request; one whose digest is to be found out is an upload session, hashed
 * here beside.
 *
 * Thread: all functions belong to the thread that made it.
 */
#ifndef CLI_FEED_H
#define CLI_FEED_H

#include "bundle/archive.h"
#include "cli/line.h"

#define FEED_LINES 4
#define FEED_ROOM_SIZE (256u * 1024)
#define FEED_ROOMS 24
/* Blobs that wait or are under way, on one line. */
#define FEED_QUEUE_MAX 64

struct feed;

/* NULL with *err: no line can be opened. */
struct feed *feed_new(const struct host *h, struct err *err) MUST_CHECK;
/* Cuts what is under way. NULL is accepted. */
void feed_free(struct feed *f);

/* FEED_ROOM_SIZE bytes, in which the data of the following calls lies; gives the room before back.
 */
char *feed_room(struct feed *f);

/* Begins a blob of entry->size bytes, named by errors as the entry. `digest` is NULL where it is to
 * be found out: then file->digest is set by feed_flush(), and file->gzip. */
void feed_begin(struct feed *f, const struct tar_entry *entry, const struct digest *digest,
                struct archive_file *file);
void feed_data(struct feed *f, struct slice data);
void feed_end(struct feed *f);

/* Whether a blob failed, so that no more need be given. */
bool feed_failed(struct feed *f);
/* Waits until all that was given is in the store. -1 with what went wrong with a blob, at once; the
 * feed is of no more use then. */
int feed_flush(struct feed *f, struct err *err) MUST_CHECK;

#endif
