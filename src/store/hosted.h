/*
 * store/hosted.h - hosted repositories in the index: what was pushed there, its tags, and what
 * still holds it.
 *
 * A blob that was pushed, mounted or named by a pushed manifest is a member of its repository
 * (PROOF_PUSHED, or PROOF_PUSHED_BOTH, as clients ask for a manifest in one way and for blobs in
 * another); the record's time is when anyone last showed interest in it. A manifest holds its
 * children, and a subject its referrers: both are `refs` from the one to the other. What a tag
 * means is found both ways: by its name, and (TAG_OF_DIGEST) by the digest. Distribution-spec
 * "Push", "Content Management", "Listing Referrers"; design sections 4 and 6.
 *
 * Functions that take a transaction are called within a change, on the writer's thread.
 */
#ifndef STORE_HOSTED_H
#define STORE_HOSTED_H

#include "oci/manifest.h"
#include "store/index.h"

/* Most tags that one push of a manifest may set. */
#define HOSTED_TAGS_MAX 64

/* A manifest on its way into a repository. Borrows everything. */
struct hosted_manifest {
    struct digest digest;
    struct slice body;
    char media_type[MEDIA_TYPE_MAX];
    const struct manifest *parsed;
    /* A flag a child of `parsed`: the pusher may read it through another repository, so it becomes
     * a member of this one if it is here and synced. */
    const bool *may_take;
    const char *const *tags;
    size_t n_tags;
};

/* The blob, which is on disk for certain, becomes a member: uploaded, or mounted from elsewhere.
 * Its record is the caller's to put, before. */
void hosted_put_blob(struct index_txn *t, const char *repo, const struct digest *d, uint64_t size);

/* Records the manifest (blob, body, refs), sets its tags, and makes members of the children that it
 * may take. *ret_missing: how many children it names that are no members even then, or whose bytes
 * are not here; foreign layers do not count. */
void hosted_put_manifest(struct index_txn *t, const char *repo, const struct hosted_manifest *m,
                         size_t *ret_missing);

/* Somebody asks for a member and means to name it: from now on its grace counts anew. False: it is
 * none. */
bool hosted_renew_blob(struct index_txn *t, const char *repo, const struct digest *d);

/* Sets a tag; what it meant before stays in its history, and the manifest that it named stays. */
void hosted_put_tag(struct index_txn *t, uint64_t repo, const char *tag, const struct digest *d);

/* Each removes from one repository; false: there was none. A manifest takes its tags with it. The
 * bytes stay until retain_drop() finds that nobody holds them. */
bool hosted_del_tag(struct index_txn *t, uint64_t repo, const char *tag);
bool hosted_del_manifest(struct index_txn *t, uint64_t repo, const struct digest *d);
bool hosted_del_blob(struct index_txn *t, uint64_t repo, const struct digest *d);

/* Calls f for each tag of the repository that means the digest, until it is false. */
void hosted_each_tag_of(struct index_read *r, uint64_t repo, const struct digest *d,
                        bool (*f)(void *arg, const char *tag), void *arg);
/* Calls f for each referrer of the subject in the repository, until it is false. */
void hosted_each_referrer(struct index_read *r, uint64_t repo, const struct digest *subject,
                          bool (*f)(void *arg, const struct digest *referrer), void *arg);

/* Counts a pull of a tag: it is written lazily, where the last was 10 min ago. Any thread. */
void hosted_touch_tag(struct store *s, const char *repo, const char *tag);
/* Somebody who asks for a blob means to name it: what is older than 10 min counts as new again.
 * Likewise. */
void hosted_touch_blob(struct store *s, const char *repo, const struct digest *d);

#endif
