/* upstream/credential.c - which credential a repository is read with. */
#include "upstream/credential.h"

#include "http/basic.h"
#include "oci/pattern.h"

#include <stdlib.h>

static char *copy_or_null(const char *s)
{
    return s == NULL ? NULL : xstrdup(s);
}

static uint64_t mix(uint64_t id, const char *s)
{
    for (; s != NULL && *s != '\0'; s++) {
        id = (id ^ (unsigned char)*s) * 1099511628211u;
    }
    return id;
}

/* Nothing of a secret goes into it, as it is kept on disk. So tokens, which have no user, are told
 * apart by what they are for. */
static uint64_t make_id(const char *upstream, const struct credential_options *o)
{
    uint64_t id = mix(mix(14695981039346656037u, upstream), o->user);

    for (size_t i = 0; o->user == NULL && i < o->n_repositories; i++) {
        id = mix(mix(id, " "), o->repositories[i]);
    }
    return id | 1;
}

void credential_init(struct credential *c, const char *upstream, const struct credential_options *o)
{
    *c = (struct credential){
        .id = make_id(upstream, o),
        .repositories = xcalloc(o->n_repositories, sizeof(*c->repositories)),
        .n_repositories = o->n_repositories,
        .user = copy_or_null(o->user),
        .password = copy_or_null(o->password),
        .identity_token = copy_or_null(o->identity_token),
    };
    for (size_t i = 0; i < o->n_repositories; i++) {
        c->repositories[i] = xstrdup(o->repositories[i]);
    }
}

static void free_secret(char *s)
{
    if (s != NULL) {
        explicit_bzero(s, strlen(s));
    }
    free(s);
}

void credential_fini(struct credential *c)
{
    for (size_t i = 0; i < c->n_repositories; i++) {
        free(c->repositories[i]);
    }
    free(c->repositories);
    free(c->user);
    free_secret(c->password);
    free_secret(c->identity_token);
}

static bool holds(const struct credential *c, const char *repo)
{
    for (size_t i = 0; i < c->n_repositories; i++) {
        if (pattern_match(slice_str(c->repositories[i]), slice_str(repo))) {
            return true;
        }
    }
    return c->n_repositories == 0;
}

const struct credential *credential_choose(const struct credential *list, size_t n,
                                           const char *repo)
{
    for (size_t i = 0; i < n; i++) {
        if (holds(&list[i], repo)) {
            return &list[i];
        }
    }
    return NULL;
}

void credential_basic(const struct credential *c, struct buf *out)
{
    if (c->password != NULL) {
        http_basic(out, slice_str(c->user == NULL ? "" : c->user), slice_str(c->password));
    }
}
