/*
 * admin/admin.h - the commands on an open store: they look, or change, and answer in JSON.
 *
 * Each blocks, and is a job of the disk pool where a server runs. Any thread; several at once.
 */
#ifndef ADMIN_ADMIN_H
#define ADMIN_ADMIN_H

#include "base/str.h"
#include "oci/route.h"
#include "store/store.h"

#include <stdatomic.h>

/* Owner: the caller; what it points at is borrowed. Never changes. */
struct admin {
    struct store *store;
    const struct route_table *routes;
    const atomic_bool *stopping; /* NULL, or: what takes long is to give up */
};

/* What a command is asked. `name` as the operator wrote it; "" where there is none. */
struct admin_query {
    const char *name;
    bool all;           /* ls: the mirrored repositories too; missing: what is in quarantine too */
    bool dry_run;       /* gc: only say what would go */
    int64_t since;      /* lock: what was pulled from then on, wall seconds */
    const char *client; /* lock: what this address pulled; NULL or "": anyone */
    struct slice body;  /* have, place: as their headers say */
    const char *after;  /* of pages: the last line of the one before; NULL or "": the first */
    uint64_t n;         /* likewise: most lines of a page; 0: ADMIN_PAGE_MAX. verify: its rate */
};

/* Longest name, and longest answer. */
#define ADMIN_NAME_MAX 1024
#define ADMIN_ANSWER_MAX (64u << 20)

/* Most lines of a page. */
#define ADMIN_PAGE_MAX 10000

/* A command. Appends a JSON object to `out`, of ADMIN_ANSWER_MAX; or -1 and *err. */
struct admin_command {
    const char *name; /* "stages": /-/stages on the control socket */
    bool takes;       /* what another process hands over: nothing holds it up */
    bool changes;     /* something: POST, and from this machine only */
    size_t body_max;  /* bytes of the request's body that it reads; 0: none */
    bool explains;    /* what it appended before it failed is the detail of the error */
    bool is_idle;     /* nobody waits for it: at idle priority */
    bool is_text;     /* the answer is lines of text, for a page of what is long */
    int (*run)(const struct admin *a, const struct admin_query *q, struct buf *out,
               struct err *err);
};

/* NULL: there is none of that name. Static storage. */
const struct admin_command *admin_find(struct slice name);

/* Runs it; *out is initialised here; after -1 it is empty, or the detail of the error, JSON.
 * buf_free() is the caller's either way. */
int admin_run(const struct admin *a, const struct admin_command *c, const struct admin_query *q,
              struct buf *out, struct err *err) MUST_CHECK;

/* Images of hosted repositories, or of the one that is named, as a forest: which extends which,
 * what each adds and shares. ERR_NAME_UNKNOWN, ERR_STORE, ERR_TOO_LARGE. */
int admin_stages(const struct admin *a, const struct admin_query *q, struct buf *out,
                 struct err *err) MUST_CHECK;
/* Repositories, their tags, and of hosted ones the manifests that no tag holds. The same errors. */
int admin_ls(const struct admin *a, const struct admin_query *q, struct buf *out,
             struct err *err) MUST_CHECK;
/* Removes a tag (REPOSITORY:TAG), a manifest with its tags (REPOSITORY@DIGEST), or all that a
 * hosted repository has. Also ERR_UNSUPPORTED: it is mirrored; ERR_MANIFEST_UNKNOWN. */
int admin_rm(const struct admin *a, const struct admin_query *q, struct buf *out,
             struct err *err) MUST_CHECK;
/* What was pulled, as a lock file (oci/lockfile.h). ERR_STORE, ERR_TOO_LARGE. */
int admin_lock(const struct admin *a, const struct admin_query *q, struct buf *out,
               struct err *err) MUST_CHECK;
/* Which of the digests, one a line, are here: { "here": N, "missing": [ … ] }. Those that are stay
 * for an hour. ERR_DIGEST_INVALID, ERR_TOO_LARGE, ERR_STORE. */
int admin_have(const struct admin *a, const struct admin_query *q, struct buf *out,
               struct err *err) MUST_CHECK;
/* Makes an image whose bytes are here a member of a repository, mirrored or hosted, with all that
 * it needs (admin/closure.h), and sets tags, in one change that is on disk with its bytes:
 * { "name", "digest", "tags": [], "replace", "dry_run" } -> { "name", "blobs", "bytes", "changed" }
 * with the name as it is served: without Larder's own host, or podman's `localhost`.
 * ERR_BLOB_UNKNOWN, ERR_MANIFEST_UNKNOWN with { "missing": [] } as detail; ERR_NAME_UNKNOWN: no
 * upstream and no hosted pattern has the name; ERR_DENIED: a hosted tag means something else here
 * and `replace` is not true; ERR_MANIFEST_REFUSED, ERR_TAG_INVALID, ERR_STORE. */
int admin_place(const struct admin *a, const struct admin_query *q, struct buf *out,
                struct err *err) MUST_CHECK;
/* Pins the blobs of an image (`name`: NAME, NAME:TAG or NAME@DIGEST): nothing evicts them. Also
 * ERR_BLOB_UNKNOWN: some are not here. */
int admin_pin(const struct admin *a, const struct admin_query *q, struct buf *out,
              struct err *err) MUST_CHECK;
int admin_unpin(const struct admin *a, const struct admin_query *q, struct buf *out,
                struct err *err) MUST_CHECK;
/* Digests of the blobs that are here and believed, in their order, one a line; `after` is the last
 * one of the page before. ERR_DIGEST_INVALID, ERR_STORE. */
int admin_blobs(const struct admin *a, const struct admin_query *q, struct buf *out,
                struct err *err) MUST_CHECK;
/* Lines "KIND NAME TAG DIGEST", KIND hosted or mirrored: all tags, and with "-" for TAG the
 * manifests that are part of no other one in their repository, tagged or not. `after` is the last
 * line of the page before. ERR_BAD_REQUEST where it is none, ERR_STORE. */
int admin_images(const struct admin *a, const struct admin_query *q, struct buf *out,
                 struct err *err) MUST_CHECK;
/* One line "KIND NAME": the whole name of a repository, with its registry where mirrored. Whether
 * anything of it is here does not matter. What routing says. */
int admin_name(const struct admin *a, const struct admin_query *q, struct buf *out,
               struct err *err) MUST_CHECK;
/* Looks at the blobs above the digest `after` for about a second, `n` bytes a second, and takes out
 * what is not right (store/scrub.h): { "blobs", "bytes", "after", "end", "bad": [ … ] }, and beside
 * them how much there is. ERR_DIGEST_INVALID, ERR_STORE, ERR_UNAVAILABLE: stopping. */
int admin_verify(const struct admin *a, const struct admin_query *q, struct buf *out,
                 struct err *err) MUST_CHECK;
/* Looks at `n` digests above `after` that repositories have as members, and tells of those whose
 * blob is not here and should be: that a hosted repository has or, with `all`, that lie in
 * quarantine: { "after", "end", "missing": [ … ] }. ERR_DIGEST_INVALID, ERR_STORE. */
int admin_missing(const struct admin *a, const struct admin_query *q, struct buf *out,
                  struct err *err) MUST_CHECK;
/* One run of retention. ERR_STORE. */
int admin_gc(const struct admin *a, const struct admin_query *q, struct buf *out,
             struct err *err) MUST_CHECK;

#endif
