/*
 * registry/grant.h - access rules: who may pull, push or delete in which repositories.
 *
 * Design section 9. What no rule allows is refused; rules never take away. Pure; any thread.
 */
#ifndef REGISTRY_GRANT_H
#define REGISTRY_GRANT_H

#include <stdbool.h>
#include <stddef.h>

enum grant_action {
    GRANT_PULL = 1,
    GRANT_PUSH = 2, /* does not hold GRANT_PULL */
    GRANT_DELETE = 4,
};

/* One rule. Strings are borrowed. */
struct grant {
    bool everybody;           /* whether or not they have shown who they are */
    const char *const *users; /* names, in which a star stands for any run of characters */
    size_t n_users;
    const char *const *certificates; /* likewise, common names of clients' certificates */
    size_t n_certificates;
    const char *const *repositories; /* oci/pattern.h; mirrored ones with their upstream's name */
    size_t n_repositories;
    unsigned actions; /* of grant_action, together */
};

struct grants {
    const struct grant *list;
    size_t n;
};

/* Who somebody has shown to be; NULL: not by this. */
struct grant_claim {
    const char *user;
    const char *certificate;
};

/* Whether a rule lets them do that in the repository ("stage/app", "docker.io/library/alpine"). */
bool grants_allow(const struct grants *g, const struct grant_claim *who, const char *repository,
                  enum grant_action action);

/* Whether those who have shown nothing may do anything at all. */
bool grants_anybody(const struct grants *g);

#endif
