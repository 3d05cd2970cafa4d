/*
 * admin/repos.h - the repositories that a command means, and how they are written.
 */
#ifndef ADMIN_REPOS_H
#define ADMIN_REPOS_H

#include "admin/admin.h"
#include "store/index.h"

/* Owner: the caller. */
struct admin_repo {
    uint64_t id;
    enum repo_kind kind;
    char name[512]; /* as the index has it: "stage/app", "docker.io/library/golang" */
};

/* Which repository a name means, Larder's own host before it aside: a hosted one of exactly that
 * name, also where no pattern of the configuration holds it any more, else what routing makes of
 * it. -1: ERR_NAME_UNKNOWN where there is none, and what routing and the index say. */
int admin_repo_find(const struct admin *a, struct slice name, struct admin_repo *ret,
                    struct err *err) MUST_CHECK;

/* The same, also where nothing of it is here: *ret has its id, or 0. -1: what routing and the index
 * say. */
int admin_repo_name(const struct admin *a, struct slice name, struct admin_repo *ret,
                    struct err *err) MUST_CHECK;

/* All repositories, hosted ones first, each kind by name; freed with free(). -1: ERR_STORE. */
int admin_repo_list(const struct admin *a, struct admin_repo **ret, size_t *ret_n,
                    struct err *err) MUST_CHECK;

/* Appends the members `"repository":"library/golang","upstream":"docker.io"`, without braces; a
 * hosted one has no upstream. */
void admin_repo_json(struct buf *out, enum repo_kind kind, const char *name);

/* A read of the index, or -1 with ERR_STORE. */
int admin_read_begin(const struct admin *a, struct index_read **ret, struct err *err) MUST_CHECK;

#endif
