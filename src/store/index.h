/*
 * store/index.h - typed questions to the index and typed changes of it.
 *
 * Reading: index_read_begin() on any thread, questions, index_read_end() before the function
 * returns to the loop; everything is copied out. Changing: an index_write is queued to the one
 * writer thread, which calls apply() with others in one transaction and done() after the commit
 * (group commit). A record that cannot be read is logged and counts as absent.
 */
#ifndef STORE_INDEX_H
#define STORE_INDEX_H

#include "store/store.h"

enum index_found { INDEX_FOUND, INDEX_ABSENT, INDEX_FAILED };

enum blob_class { BLOB_LAYER = 0, BLOB_MANIFEST = 1, BLOB_CONFIG = 2, BLOB_OTHER = 3 };
#define BLOB_CLASSES STORE_CLASSES

struct blob_record {
    uint64_t size;
    int64_t created; /* wall seconds, as all times here */
    int64_t used;
    uint32_t hits;
    uint8_t class; /* enum blob_class */
    bool pinned;
    bool synced;
    uint64_t boot; /* boot id when it was written, which index_put_blob() fills in; only of
                        * interest while !synced */
};

enum member_proof {
    PROOF_UPSTREAM_ANSWER = 1, /* upstream itself answered 200 for it in this repository */
    PROOF_MANIFEST = 2,        /* a manifest that upstream served there lists it */
    PROOF_PUSHED = 3,          /* here: uploaded, mounted, or named by a pushed manifest */
    PROOF_PUSHED_BOTH = 4,     /* a manifest that was uploaded or mounted as a blob as well */
};

struct member_record {
    uint64_t size;        /* UINT64_MAX: not known */
    char media_type[128]; /* as served, or as the parent's descriptor says */
    uint8_t proof;        /* enum member_proof */
    uint8_t kind;         /* enum child_kind of oci/manifest.h */
    uint64_t credential;  /* upstream_credential() it was proved with */
    int64_t proved;
};

enum tag_kind {
    TAG_TAG = 1,
    TAG_LIST = 2,
    TAG_REFERRERS = 3,
    TAG_OF_DIGEST = 4, /* the way back, for hosted repositories: "DIGEST TAG" */
};

struct tag_record {
    struct digest digest; /* TAG_LIST, TAG_REFERRERS: of the stored body */
    int64_t fetched;      /* when this value was first seen */
    int64_t checked;      /* when upstream last confirmed it */
};

enum repo_kind { REPO_MIRRORED = 1, REPO_HOSTED = 2 };

struct partial_record {
    uint64_t size;   /* of the blob; UINT64_MAX: not known */
    uint64_t stored; /* bytes in the file that were synced */
    int64_t touched;
    size_t state_len; /* saved hash state of exactly `stored` bytes, or 0 */
    unsigned char state[240];
};

#define BODY_MAX (16u * 1024) /* of manifests whose body is copied into the index */

/* --- reading ------------------------------------------------------------------------------- */

struct index_read;

/* A snapshot of the index for this thread; not nested. NULL: the index failed (logged). */
struct index_read *index_read_begin(struct store *s) MUST_CHECK;
void index_read_end(struct index_read *r);

enum index_found index_get_blob(struct index_read *r, const struct digest *d,
                                struct blob_record *ret);
/* Repository id by full text: "docker.io/library/alpine" (mirrored), "stage/app" (hosted). */
enum index_found index_get_repo(struct index_read *r, enum repo_kind kind, const char *name,
                                uint64_t *ret_id);
enum index_found index_get_member(struct index_read *r, uint64_t repo, const struct digest *d,
                                  struct member_record *ret);
enum index_found index_get_tag(struct index_read *r, uint64_t repo, enum tag_kind kind,
                               const char *reference, struct tag_record *ret);
/* The copy of a manifest's body: up to BODY_MAX bytes into `out`. */
enum index_found index_get_body(struct index_read *r, const struct digest *d,
                                unsigned char out[BODY_MAX], size_t *ret_len);
enum index_found index_get_partial(struct index_read *r, const struct digest *d,
                                   struct partial_record *ret);
/* Calls f for each repository that has the digest as a member, until it returns false. */
void index_each_holder(struct index_read *r, const struct digest *d,
                       bool (*f)(void *arg, uint64_t repo, const struct member_record *m),
                       void *arg);
/* Tags of a repository above `after` ("": from the start) in byte order, until f is false. */
void index_each_tag(struct index_read *r, uint64_t repo, enum tag_kind kind, const char *after,
                    bool (*f)(void *arg, const char *reference, const struct tag_record *t),
                    void *arg);
enum index_found index_get_repo_name(struct index_read *r, uint64_t repo, enum repo_kind *ret_kind,
                                     char ret_name[512]);
/* Repositories of one kind whose name is above `after` ("": from the start), until f is false; in
 * byte order but for names of 511 bytes, which come where their hash does. */
void index_each_repo(struct index_read *r, enum repo_kind kind, const char *after,
                     bool (*f)(void *arg, uint64_t repo, const char *name), void *arg);
/* Members of a repository by digest, until f is false. */
void index_each_member(struct index_read *r, uint64_t repo,
                       bool (*f)(void *arg, const struct digest *d, const struct member_record *m),
                       void *arg);
/* Blobs that are here, above `after` (alg 0: from the start) in the order of their keys, until f is
 * false. */
void index_each_blob(struct index_read *r, const struct digest *after,
                     bool (*f)(void *arg, const struct digest *d, const struct blob_record *b),
                     void *arg);
/* Digests that repositories have as a member, each once and whether the blob is here or not, above
 * `after` (alg 0: from the start) in the order of their keys, until f is false. False: the index
 * could not be read to the end, which is logged. */
bool index_each_held(struct index_read *r, const struct digest *after,
                     bool (*f)(void *arg, const struct digest *d), void *arg) MUST_CHECK;
/* Manifests that name the digest as their child or referrer, as recorded, until f is false. */
void index_each_parent(struct index_read *r, const struct digest *child,
                       bool (*f)(void *arg, const struct digest *parent), void *arg);
/* Children of a manifest, as recorded. */
void index_each_ref(struct index_read *r, const struct digest *parent,
                    bool (*f)(void *arg, const struct digest *child, uint8_t kind, uint64_t size),
                    void *arg);

/* --- changing ------------------------------------------------------------------------------ */

struct index_txn;

/* Owner: whoever embeds it; must stay until done(). */
struct index_write {
    struct list node;
    struct post post;
    struct loop *loop;
    /* Writer thread. Its puts and deletes have sticky errors: nothing to check. It may run again
     * where the transaction had to be begun anew. */
    void (*apply)(struct index_write *w, struct index_txn *t);
    /* On `loop`, or on the writer thread where that is NULL, once committed or failed. */
    void (*done)(struct index_write *w);
    bool lazy;   /* may wait some seconds for company: touches */
    bool failed; /* said before done(): nothing of this transaction was kept */
    struct err err;
};

void index_write_submit(struct store *s, struct loop *l, struct index_write *w);

/* The blob is here (again). A record that was there keeps when it was created, its hits, its pin,
 * and that it is a manifest; where it is not synced the boot id is filled in, and it is synced
 * behind the commit. */
void index_put_blob(struct index_txn *t, const struct digest *d, const struct blob_record *b);
void index_pin_blob(struct index_txn *t, const struct digest *d, bool pinned);
/* Whether a pinned manifest needs it (judge_is_needed_by_pinned()). */
bool index_txn_needed_by_pinned(struct index_txn *t, const struct digest *d);
void index_del_blob(struct index_txn *t, const struct digest *d); /* bodies, counts too */
void index_put_body(struct index_txn *t, const struct digest *d, const void *p, size_t n);
/* The id of the repository, made where there is none. */
uint64_t index_put_repo(struct index_txn *t, enum repo_kind kind, const char *name);
void index_put_member(struct index_txn *t, uint64_t repo, const struct digest *d,
                      const struct member_record *m);
void index_del_member(struct index_txn *t, uint64_t repo, const struct digest *d);
/* A new value keeps the old one among the last 16; the same value only moves `checked`. */
void index_put_tag(struct index_txn *t, uint64_t repo, enum tag_kind kind, const char *reference,
                   const struct tag_record *tag);
void index_del_tag(struct index_txn *t, uint64_t repo, enum tag_kind kind, const char *reference);
void index_put_ref(struct index_txn *t, const struct digest *parent, const struct digest *child,
                   uint8_t kind, uint64_t size);
void index_put_partial(struct index_txn *t, const struct digest *d, const struct partial_record *p);
void index_del_partial(struct index_txn *t, const struct digest *d);
/* What reading offers, within the transaction. */
enum index_found index_txn_get_repo(struct index_txn *t, enum repo_kind kind, const char *name,
                                    uint64_t *ret_id);
enum index_found index_txn_get_blob(struct index_txn *t, const struct digest *d,
                                    struct blob_record *ret);
enum index_found index_txn_get_member(struct index_txn *t, uint64_t repo, const struct digest *d,
                                      struct member_record *ret);
enum index_found index_txn_get_tag(struct index_txn *t, uint64_t repo, enum tag_kind kind,
                                   const char *reference, struct tag_record *ret);

/* Counts a use of a blob for eviction: gathered, written lazily, skipped where the last use is
 * younger than 10 min. Any thread. */
void index_touch_blob(struct store *s, const struct digest *d);

#endif
