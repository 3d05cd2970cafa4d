/*
 * bundle/layout.h - an OCI image layout: which file is what, and its index.json (image-spec,
 * image-layout.md).
 *
 * The index may be long: it is read and written entry by entry. Names are where tools keep them:
 * io.containerd.image.name has a whole reference (containerd, docker), and
 * org.opencontainers.image.ref.name a tag or a whole one (skopeo, podman, buildah). Pure; any
 * thread.
 */
#ifndef BUNDLE_LAYOUT_H
#define BUNDLE_LAYOUT_H

#include "bundle/json_list.h"
#include "oci/digest.h"
#include "oci/manifest.h"
#include "oci/reference.h"

/* --- files --------------------------------------------------------------------------------- */

#define LAYOUT_VERSION_NAME "oci-layout"
#define LAYOUT_INDEX_NAME "index.json"
#define LAYOUT_DOCKER_NAME "manifest.json"
/* All that oci-layout holds. */
#define LAYOUT_VERSION_TEXT "{\"imageLayoutVersion\":\"1.0.0\"}"
/* "blobs/" and a digest's text. */
#define LAYOUT_PATH_MAX (6 + DIGEST_TEXT_MAX)

enum layout_file {
    LAYOUT_FILE_BLOB,
    LAYOUT_FILE_VERSION, /* oci-layout */
    LAYOUT_FILE_INDEX,   /* index.json */
    LAYOUT_FILE_DOCKER,  /* manifest.json, for docker load */
    LAYOUT_FILE_OTHER,   /* allowed, and nothing that is read here */
};

/* What a file is by its name, as struct tar_entry has it. Sets *ret for LAYOUT_FILE_BLOB alone; one
 * whose name is no digest of an algorithm known here is LAYOUT_FILE_OTHER. */
enum layout_file layout_file_of(const char *name, struct digest *ret);

/* "blobs/sha256/HEX"; gives buf. */
const char *layout_blob_path(const struct digest *d, char buf[LAYOUT_PATH_MAX]);

/* 0 where the text is that of an oci-layout of version 1.0.0, else -1 with ERR_BAD_REQUEST. */
int layout_check_version(struct slice text, struct err *e) MUST_CHECK;

/* --- index.json ---------------------------------------------------------------------------- */

/* A value. Names that are not ASCII or too long count as absent. */
struct layout_entry {
    struct digest digest;
    uint64_t size;
    char media_type[MEDIA_TYPE_MAX];     /* "" where there is none that fits */
    char image_name[REFERENCE_TEXT_MAX]; /* io.containerd.image.name, or "" */
    char ref_name[REFERENCE_TEXT_MAX];   /* org.opencontainers.image.ref.name, or "" */
    bool has_subject;                    /* io.containerd.manifest.subject: it is a referrer */
    struct digest subject;
};

/* The order in which entries are written, so that the same ones give the same bytes: by names, then
 * digest. Less than, equal to or greater than 0. */
int layout_entry_order(const struct layout_entry *a, const struct layout_entry *b);

/* Append the beginning, an entry, and the end of an index. */
void layout_index_open(struct buf *out);
void layout_index_entry(struct buf *out, const struct layout_entry *entry, bool first);
void layout_index_close(struct buf *out);

enum layout_event {
    LAYOUT_MORE,  /* all that was given is used up */
    LAYOUT_ENTRY, /* `entry` is the next one; believe it once layout_read_finish() said 0 */
    LAYOUT_BAD,   /* `e` says why; said from now on */
};

/* Owner: the caller, by layout_read_init() and layout_read_fini(). Only `entry` is for reading. */
struct layout_read {
    struct layout_entry entry;
    struct json_list list;
    uint64_t n_entries;
};

void layout_read_init(struct layout_read *r);
void layout_read_fini(struct layout_read *r);

/* Takes bytes off the front of *in; called until LAYOUT_MORE. Errors are ERR_BAD_REQUEST: no JSON,
 * no index of schema 2, an entry without a digest that is known here or without a size. */
enum layout_event layout_read_feed(struct layout_read *r, struct slice *in, struct err *e);
int layout_read_finish(struct layout_read *r, struct err *e) MUST_CHECK;

#endif
