/*
 * store/record.h - how keys and values of the index are written; the only place that knows.
 *
 * Pure. Numbers in values are little-endian, numbers in keys big-endian, so that keys sort by them.
 * Each value begins with a version byte. Whatever is read from disk is judged here: false means
 * that the bytes are no such record, and nothing was written to the result.
 */
#ifndef STORE_RECORD_H
#define STORE_RECORD_H

#include "store/index.h"

/* The format that meta names; a higher one is another program's. */
#define STORE_FORMAT 1

#define RECORD_KEY_MAX 511
/* The largest value but for bodies: a tag with a long reference and all its history. */
#define RECORD_MAX 4096

/* Values that a tag had before, newest first. */
#define TAG_HISTORY 15

/* References of this length and more are hashed in the key and kept in the value. */
#define REFERENCE_HASHED 300
#define REFERENCE_MAX 1024
#define REPO_NAME_MAX 511

struct record_key {
    size_t len;
    unsigned char bytes[RECORD_KEY_MAX];
};

static inline struct slice record_key_view(const struct record_key *k)
{
    return slice_of((const char *)k->bytes, k->len);
}

/* A value under construction; each record_put_…() begins anew. */
struct record {
    size_t len;
    unsigned char bytes[RECORD_MAX];
};

static inline struct slice record_view(const struct record *r)
{
    return slice_of((const char *)r->bytes, r->len);
}

/* Bytes and blobs held, by class. */
struct record_totals {
    uint64_t bytes[BLOB_CLASSES];
    uint64_t count[BLOB_CLASSES];
};

/* What a tag is and was. */
struct record_tag {
    struct tag_record now;
    unsigned n_before;
    struct tag_record before[TAG_HISTORY]; /* newest first */
    char reference[REFERENCE_MAX + 1];     /* "" unless it is hashed in the key */
};

struct record_pull {
    uint64_t repo;
    bool has_digest;
    struct digest digest;
    char reference[256];
    char platform[64];
    char client[128];
};

/* An upload session: what is synced of it, and whose it is. */
#define UPLOAD_OWNER_MAX 255
struct record_upload {
    struct partial_record part; /* its size is not known */
    char repo[REPO_NAME_MAX + 1];
    char owner[UPLOAD_OWNER_MAX + 1];
};

/* --- keys ---------------------------------------------------------------------------------- */

/* meta: a name. */
void record_key_meta(struct record_key *k, const char *name);
/* blobs, bodies, partials; also what holders, refs and parents begin with. */
void record_key_digest(struct record_key *k, const struct digest *d);
bool record_digest_of_key(struct slice key, struct digest *ret);
/* repos, by name and by id. False where the name is too long to be one. */
bool record_key_repo(struct record_key *k, enum repo_kind kind, const char *name);
void record_key_repo_id(struct record_key *k, uint64_t id);
/* members: what those of one repository begin with, and one of them. */
void record_key_members(struct record_key *k, uint64_t repo);
void record_key_member(struct record_key *k, uint64_t repo, const struct digest *d);
/* holders: the way back. */
void record_key_holder(struct record_key *k, const struct digest *d, uint64_t repo);
bool record_repo_of_holder(struct slice key, uint64_t *ret_repo);
bool record_digest_of_holder(struct slice key, struct digest *ret);
/* tags: what those of one kind begin with, and one of them. False: too long to be a reference. */
void record_key_tags(struct record_key *k, uint64_t repo, enum tag_kind kind);
bool record_key_tag(struct record_key *k, uint64_t repo, enum tag_kind kind, const char *reference);
/* The reference in a tag's key, or in its value where it is hashed. */
bool record_reference_of_tag(struct slice key, const struct record_tag *tag,
                             char ret[REFERENCE_MAX + 1]);
/* refs (parent, child) and parents (child, parent). */
void record_key_pair(struct record_key *k, const struct digest *first, const struct digest *second);
bool record_second_of_pair(struct slice key, struct digest *ret);
/* pulls. */
void record_key_pull(struct record_key *k, int64_t time, uint32_t sequence);
bool record_time_of_pull(struct slice key, int64_t *ret_time);

/* --- values -------------------------------------------------------------------------------- */

void record_put_number(struct record *r, uint64_t n);
bool record_get_number(struct slice v, uint64_t *ret);

void record_put_totals(struct record *r, const struct record_totals *t);
bool record_get_totals(struct slice v, struct record_totals *ret);

void record_put_blob(struct record *r, const struct blob_record *b);
bool record_get_blob(struct slice v, struct blob_record *ret);

void record_put_repo(struct record *r, uint64_t id, enum repo_kind kind, const char *name);
/* `ret_name` takes REPO_NAME_MAX + 1 bytes. */
bool record_get_repo(struct slice v, uint64_t *ret_id, enum repo_kind *ret_kind, char *ret_name);

void record_put_member(struct record *r, const struct member_record *m);
bool record_get_member(struct slice v, struct member_record *ret);

void record_put_tag(struct record *r, const struct record_tag *t);
bool record_get_tag(struct slice v, struct record_tag *ret);
/* Only what it is now; cheaper. */
bool record_get_tag_now(struct slice v, struct tag_record *ret);
/* Takes up a new value: the one before joins the history; the same value only moves `checked`. */
void record_tag_change(struct record_tag *t, const struct tag_record *value);

void record_put_ref(struct record *r, uint8_t kind, uint64_t size);
bool record_get_ref(struct slice v, uint8_t *ret_kind, uint64_t *ret_size);

void record_put_partial(struct record *r, const struct partial_record *p);
bool record_get_partial(struct slice v, struct partial_record *ret);

void record_put_upload(struct record *r, const struct record_upload *u);
bool record_get_upload(struct slice v, struct record_upload *ret);

void record_put_pull(struct record *r, const struct record_pull *p);
bool record_get_pull(struct slice v, struct record_pull *ret);

#endif
