/*
 * bundle/archive.h - what each file of an archive of images is: an OCI layout, a bundle of Larder's
 * (larder/list comes first), or what docker save and podman save write.
 *
 *                        known by            digests of blobs    images
 *     OCI layout         index.json          names of files      its entries
 *     Larder's bundle    larder/list         names of files      lines of the list
 *     docker's archive   manifest.json       often must be       its entries; a manifest is made,
 *                                            computed            as the archive has none
 *
 * Where an archive is several of them at once (docker save since 25, Larder's own), the list counts
 * before the index, and that before manifest.json. The files may come in any order, but that of
 * Larder's list and signature, which come before all blobs.
 *
 * Nothing is opened: entries are told one by one, and each is judged. One owner, any thread.
 */
#ifndef BUNDLE_ARCHIVE_H
#define BUNDLE_ARCHIVE_H

#include "base/map.h"
#include "bundle/docker.h"
#include "bundle/seen.h"
#include "bundle/tar_read.h"

#define ARCHIVE_LIST_NAME "larder/list"
#define ARCHIVE_SIGNATURE_NAME "larder/list.sig"
/* Most files of docker's that are kept in mind, and most bytes of their names. */
#define ARCHIVE_FILES_MAX 20000
#define ARCHIVE_NAMES_MAX (4u << 20)

#define ARCHIVE_BLAME_MAX 100

/* tar_entry.offset of what lies in a folder. */
#define ARCHIVE_NO_OFFSET UINT64_MAX

enum archive_kind {
    ARCHIVE_SKIP,      /* nothing that is read */
    ARCHIVE_LIST,      /* larder/list */
    ARCHIVE_SIGNATURE, /* larder/list.sig */
    ARCHIVE_VERSION,   /* oci-layout */
    ARCHIVE_INDEX,     /* index.json */
    ARCHIVE_DOCKER,    /* manifest.json */
    ARCHIVE_BLOB,      /* `digest` is its name */
    ARCHIVE_FILE,      /* a blob whose name does not tell its digest */
    ARCHIVE_KINDS,
};

/* A file that manifest.json may name. Owner: the archive. */
struct archive_file {
    struct map_node node;
    struct archive_file *next;
    char *name;
    char *link; /* the name of the file that it is; NULL where it is one itself */
    uint64_t size;
    struct digest digest; /* alg 0: not known yet; whoever hashes an ARCHIVE_FILE sets it */
    bool gzip;            /* likewise: by its first bytes */
};

/* Owner: the caller, by archive_init() and archive_fini(). The first four are for reading, after
 * archive_take(). */
struct archive {
    enum archive_kind kind;
    struct digest digest;      /* of an ARCHIVE_BLOB */
    struct archive_file *file; /* ARCHIVE_FILE, and an ARCHIVE_BLOB of docker's; else NULL */
    bool came[ARCHIVE_KINDS];

    struct seen seen;
    struct map files;
    struct archive_file *first;
    size_t names; /* bytes */
};

void archive_init(struct archive *a);
void archive_fini(struct archive *a);

/* Says what an entry is. Errors are ERR_BAD_REQUEST, with the entry's name and offset: one that
 * came before; a link, but for those by which docker's archives name one layer twice, or a device;
 * Larder's list behind what it should tell of; too many files. */
int archive_take(struct archive *a, const struct tar_entry *entry, struct err *e) MUST_CHECK;

/* No more entries will come: 0 where there is something that tells which images are in it. */
int archive_finish(const struct archive *a, struct err *e) MUST_CHECK;

/* Appends the manifest (schema 2) of an image of manifest.json; to be asked once all files are
 * hashed. -1 with ERR_BAD_REQUEST where a file that it names did not come. */
int archive_manifest(const struct archive *a, const struct docker_image *image, struct buf *out,
                     struct err *e) MUST_CHECK;

/* Whether a file that begins so is compressed by gzip. */
bool archive_is_gzip(struct slice begin);

/* Puts the name of an entry (ARCHIVE_BLAME_MAX bytes of it, without control characters) and its
 * offset in front of what `e` says. Returns -1. */
int archive_blame(const char *name, uint64_t offset, struct err *e);

#endif
