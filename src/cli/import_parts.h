/*
 * cli/import_parts.h - what the files of `larder import` share.
 *
 *     import.c          the command: flags, archives, what is said
 *     import_read.c     the entries of one archive, to where they belong
 *     import_list.c     a bundle's list, and what is checked by it
 *     import_images.c   which images it has: index.json, manifest.json
 *     import_place.c    gives them their names
 *
 * What grows with an archive is in files without a name (cli/spool.h). Nothing is visible before
 * import_place(): until then blobs are only in the store, leased.
 *
 * Thread: all of it belongs to the main thread.
 */
#ifndef CLI_IMPORT_PARTS_H
#define CLI_IMPORT_PARTS_H

#include "bundle/archive.h"
#include "bundle/list.h"
#include "bundle/signature.h"
#include "bundle/source.h"
#include "cli/feed.h"
#include "cli/flags.h"
#include "cli/have.h"
#include "cli/spool.h"
#include "oci/reference.h"

/* Bounds of what is read whole, and of what is read entry by entry. */
#define IMPORT_SMALL_MAX (64u * 1024)
#define IMPORT_SPOOL_MAX ((uint64_t)4 << 30)

struct import_sums {
    uint64_t images;
    uint64_t unchanged; /* of them: nothing was new */
    uint64_t unnamed;   /* left out */
    uint64_t taken;     /* blobs */
    uint64_t taken_bytes;
    uint64_t here; /* blobs that were in the store already */
    uint64_t here_bytes;
};

/* The command. Owner: import_run(). */
struct import {
    const struct flags *flags;
    struct host *host;
    struct line *line; /* for questions */
    bool has_name;     /* --name */
    struct reference name;
    size_t n_keys; /* --trust */
    struct ed25519 **keys;
    bool terminal; /* standard error is one, for progress */
    uint64_t told; /* when progress was shown, ms */
    struct import_sums sums;
};

/* Where the bytes of the entry at hand go. */
enum sink { SINK_NONE, SINK_FEED, SINK_TEXT, SINK_SPOOL };

/* One archive. Owner: import_one(). */
struct taking {
    struct import *im;
    const char *label; /* its path */
    struct source *source;
    struct feed *feed;
    struct archive archive;

    enum sink sink;
    struct spool *spool;  /* of SINK_SPOOL */
    struct buf *into;     /* of SINK_TEXT */
    struct buf text;      /* oci-layout */
    struct spool list;    /* larder/list */
    struct spool index;   /* index.json */
    struct spool docker;  /* manifest.json */
    struct spool images;  /* a line an image: NAME TAG DIGEST; TAG may be "-" */
    struct spool kept;    /* a line a blob that came: its digest */
    struct spool where;   /* likewise: DIGEST OFFSET, for errors */
    uint64_t renewed;     /* when the leases of those were, ms */
    struct buf signature; /* larder/list.sig */
    uint64_t signature_at;
    uint64_t list_at; /* offsets of the entries, for errors */
    uint64_t index_at;
    uint64_t docker_at;
    bool was_read; /* to its end, and well */
    bool is_one;   /* it has one image, which --name could name */

    /* Of a bundle with a list, once that was accepted. */
    bool list_accepted;
    struct list_whole listed;   /* borrows `list` */
    uint64_t n_listed;          /* blobs of the list that came */
    struct have_window *window; /* blobs of the list; what follows is `window_rest` */
    struct slice window_rest;
};

void taking_init(struct taking *t, struct import *im, const char *label);
void taking_fini(struct taking *t);

/* Reads all entries; then each blob is in the store. */
int import_read(struct taking *t, struct err *e) MUST_CHECK;

/* Notes a blob whose lease is to be renewed. */
int import_keep(struct taking *t, const struct digest *d, struct err *e) MUST_CHECK;

/* All of the list came: whether it is signed as --trust wants, its images may have their names, and
 * what it stands on is here. Nothing of the archive was kept before. */
int import_list_accept(struct taking *t, struct err *e) MUST_CHECK;
/* Whether the blob at hand is on the list; -1 where it is not (but in a folder), or its size is
 * another. */
int import_list_blob(struct taking *t, const struct tar_entry *entry, bool *ret_listed,
                     struct err *e) MUST_CHECK;
/* Whether a blob of the list is not here; asks for many at once. */
int import_list_missing(struct taking *t, const struct digest *d, bool *ret_missing,
                        struct err *e) MUST_CHECK;
/* Whether all blobs of the list came. */
int import_list_finish(const struct taking *t, struct err *e) MUST_CHECK;

/* Adds an image to be placed; tag NULL or "": none. */
int import_add_image(struct taking *t, const char *name, const char *tag, const struct digest *d,
                     struct err *e) MUST_CHECK;

/* Finds the images of an archive without a list, and makes the manifests that docker's lack. */
int import_images(struct taking *t, struct err *e) MUST_CHECK;

/* Checks that every image may have its name, wherever its blobs are. */
int import_place_names(struct taking *t, struct err *e) MUST_CHECK;
/* Checks that every image can be placed, then places them, and says so on standard output. */
int import_place(struct taking *t, struct err *e) MUST_CHECK;

/* Shows how far it is, on a terminal; now and then. */
void import_progress(struct taking *t);
void import_progress_end(struct import *im);

#endif
