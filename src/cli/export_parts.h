/*
 * cli/export_parts.h - what the files of `larder export` share.
 *
 *     export.c          the command: flags, steps, what is said
 *     export_wanted.c   which images: arguments, --file, --lock, --all
 *     export_ask.c      questions to the engine: names, manifests, blobs
 *     export_image.c    one image: all that is here of it
 *     export_lack.c     what is said of those that are not here
 *     export_base.c     what the other side has: --have, --since
 *     export_texts.c    larder/list, index.json and manifest.json
 *     export_write.c    all of it into an archive, or a folder
 *
 * First all is found and named (so that the list can come first, and nothing is written where
 * something is missing), then all is written. What is named stays here until the end: it is leased.
 *
 * Thread: all of it belongs to the main thread.
 */
#ifndef CLI_EXPORT_PARTS_H
#define CLI_EXPORT_PARTS_H

#include "base/ed25519.h"
#include "bundle/blobset.h"
#include "bundle/imageset.h"
#include "bundle/inventory.h"
#include "cli/images.h"
#include "cli/line.h"
#include "cli/spool.h"

/* Largest file that is made here, but for the blobs. */
#define EXPORT_TEXT_MAX ((uint64_t)4 << 30)

/* What the other side has. Owner: the command. */
struct export_base {
    bool has_inventory;
    bool has_list;
    struct inventory inventory;
    struct list_whole list;
    struct digest stands_on; /* of the file; alg 0: everything is carried */
    struct slice mapped;
    struct spool spool;
};

/* Why an image cannot go: it is not here, or not whole. */
struct export_lack {
    bool is_set;
    bool can_be_fetched; /* it is mirrored */
    bool referrers;      /* it is one of those that lacks */
    char name[REFERENCE_TEXT_MAX + DIGEST_TEXT_MAX];
};

/* The command. Owner: export_run(). */
struct export
{
    const struct flags *flags;
    struct host *host;
    struct line *line;
    int data;                         /* DATA; -1 where it cannot be opened */
    struct images wanted;             /* those that are named */
    const struct platform *platforms; /* of --platform; borrows those of `wanted` */
    size_t n_platforms;
    bool whole;       /* --platform: what it names must be here; else what is here is enough */
    bool forgiving;   /* --all: what is not here is left out */
    bool terminal;    /* standard error is one, for progress */
    uint64_t told;    /* when progress was shown, ms */
    uint64_t leased;  /* when the leases were, ms */
    uint64_t written; /* bytes of blobs, for progress */
    uint64_t kept;    /* blobs that were in the folder already */
    uint64_t left_out;
    struct export_lack lack; /* of the image at hand, once it was found so */
    struct ed25519 *key;     /* --sign, or NULL */
    struct export_base base;
    struct imageset images;
    struct blobset blobs;   /* of the bundle */
    struct blobset needs;   /* what their images need besides */
    struct blobset implied; /* what the other side has, by manifests among those */
    struct spool list;
    struct spool index;
    struct spool docker;
    struct buf signature;
};

/* --- export_wanted.c ----------------------------------------------------------------------- */

/* An image that was asked for. Borrows. */
struct export_wanted {
    const char *repository; /* whole name, or as it was written */
    bool is_whole;          /* the former */
    bool is_hosted;         /* where it is whole */
    const char *tag;        /* "" where it is asked for by its digest */
    bool by_digest;
    struct digest digest;
    const struct platform *platforms; /* --platform, or of a lock file */
    size_t n_platforms;
    bool whole; /* all that is asked for must be here */
};

/* Finds all of them. */
int export_find(struct export *x, struct err *err) MUST_CHECK;

/* --- export_ask.c -------------------------------------------------------------------------- */

/* The whole name of a repository. */
int export_ask_name(struct export *x, const char *name, char ret[ROUTE_REPO_MAX], bool *ret_hosted,
                    struct err *err) MUST_CHECK;

/* A page of /-/images behind a line of the one before. */
int export_ask_images(struct export *x, const char *after, struct buf *out,
                      struct err *err) MUST_CHECK;

/* A manifest, or a list of referrers. Owner: the caller, by export_body_fini(). */
struct export_body {
    struct digest digest;
    char media_type[MEDIA_TYPE_MAX];
    struct buf text;
};

/* What is cached of /v2/NAME/WHAT: 0; 1 where it is not here; -1. `digest` (NULL: any) is what it
 * must have; where it has one, it is checked. */
int export_ask_body(struct export *x, const char *target, const struct digest *digest,
                    struct export_body *ret, struct err *err) MUST_CHECK;
/* Any blob that is here, as long as it is a manifest. */
int export_ask_blob(struct export *x, const struct digest *d, struct export_body *ret,
                    struct err *err) MUST_CHECK;
void export_body_fini(struct export_body *b);

/* Which of n digests are not here; the others are leased. */
int export_ask_missing(struct export *x, const struct digest *digests, size_t n, bool *ret_missing,
                       struct err *err) MUST_CHECK;
/* How many bytes of a blob are here. */
int export_ask_size(struct export *x, const struct digest *d, uint64_t *ret,
                    struct err *err) MUST_CHECK;
/* Leases all that the bundle takes, where it is time to. */
int export_lease(struct export *x, struct err *err) MUST_CHECK;

/* A blob for reading: a descriptor for the caller to close; or -1 with *ret_line where its bytes
 * come over that; or -1 and NULL with *err. */
int export_open_blob(struct export *x, const struct digest *d, uint64_t size,
                     struct line **ret_line, struct err *err) MUST_CHECK;

/* --- export_image.c ------------------------------------------------------------------------ */

/* Adds the image, with all that belongs to it. -1 where it is not here (x->lack is set), or not as
 * it must be. */
int export_image(struct export *x, const struct export_wanted *w, struct err *err) MUST_CHECK;

/* --- export_lack.c ------------------------------------------------------------------------- */

/* Images that lack. Owner: whoever looks for them. */
struct export_lacking {
    size_t n;
    size_t n_fetched; /* of them, what `larder warm` can fetch */
    struct err first;
    struct buf names; /* of those that are named to it */
    bool of_file;
    bool of_lock;
    bool referrers;
};

void export_lacking_init(struct export_lacking *l);
void export_lacking_fini(struct export_lacking *l);
/* Adds the one that x->lack and *err tell of; from the second on each is said at once, up to 20. */
void export_lacking_add(struct export *x, struct export_lacking *l, enum wanted_by by,
                        const struct err *err);
/* -1 with what all of them come to, and the `larder warm` that fetches them. */
int export_lacking_refuse(struct export *x, const struct export_lacking *l,
                          struct err *err) MUST_CHECK;

/* --- export_base.c ------------------------------------------------------------------------- */

int export_base_open(struct export *x, struct err *err) MUST_CHECK;
bool export_base_has(const struct export_base *b, const struct digest *d);
/* Sorts the sets, and leaves out of the bundle what is implied. */
void export_base_apply(struct export *x);
void export_base_fini(struct export_base *b);

/* --- export_texts.c ------------------------------------------------------------------------ */

/* Makes them, once the sets are sorted. */
int export_texts(struct export *x, struct err *err) MUST_CHECK;

/* --- export_write.c ------------------------------------------------------------------------ */

/* An archive to a file, its parts, or standard output. */
int export_archive(struct export *x, const char *path, uint64_t part, struct err *err) MUST_CHECK;
/* A folder: what is whole there stays. */
int export_folder(struct export *x, const char *path, struct err *err) MUST_CHECK;

/* --- export.c ------------------------------------------------------------------------------ */

/* Shows how far it is, on a terminal; now and then. */
void export_progress(struct export *x, uint64_t more);
/* A line on standard error: something is left out. */
void export_note(struct export *x, const char *text);

#endif
