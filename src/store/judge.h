/*
 * store/judge.h - what still holds something: asked of a snapshot or within a change, and, for a
 * dry run, as if some things were gone already.
 *
 * A manifest is referred to in a repository by an index there that has it as a child, and by its
 * subject there; whether these are held themselves is roots.h. A blob is held by the manifests
 * there that name it. Bytes are held by every repository that has them as a member.
 */
#ifndef STORE_JUDGE_H
#define STORE_JUDGE_H

#include "store/db.h"
#include "store/index.h"

struct gone;

/* Things that count as gone, of a dry run. Owner: the caller, by gone_free(). One thread. */
struct gone *gone_new(void);
void gone_free(struct gone *g);
/* A member of a repository; repository 0: the bytes themselves. */
void gone_add(struct gone *g, uint64_t repo, const struct digest *d);
bool gone_has(const struct gone *g, uint64_t repo, const struct digest *d);

/* What is asked: a transaction of the index, and what counts as gone (NULL: nothing). */
struct judge {
    struct db_txn *db;
    const struct gone *gone;
};

/* Tags that go count all the same: a manifest that loses its last one has lost it just now. */
bool judge_is_tagged(const struct judge *j, uint64_t repo, const struct digest *d);
bool judge_is_referred(const struct judge *j, uint64_t repo, const struct digest *d);
/* By any repository, mirrored ones among them. */
bool judge_is_held(const struct judge *j, const struct digest *d);

/* By one of Larder's own. */
bool judge_is_hosted(const struct judge *j, const struct digest *d);

/* Pinned itself. */
bool judge_is_pinned(const struct judge *j, const struct digest *d);
/* By a pinned manifest that needs it: its child, or a child of its child. That the digest is pinned
 * itself does not count. */
bool judge_is_needed_by_pinned(const struct judge *j, const struct digest *d);

#endif
