/* registry/grant.c - looking through the rules. */
#include "registry/grant.h"

#include "oci/pattern.h"

static bool any_names(const char *const *patterns, size_t n, const char *name)
{
    for (size_t i = 0; name != NULL && i < n; i++) {
        if (pattern_star(slice_str(patterns[i]), slice_str(name))) {
            return true;
        }
    }
    return false;
}

static bool any_holds(const struct grant *g, const char *repository)
{
    for (size_t i = 0; i < g->n_repositories; i++) {
        if (pattern_match(slice_str(g->repositories[i]), slice_str(repository))) {
            return true;
        }
    }
    return false;
}

bool grants_allow(const struct grants *g, const struct grant_claim *who, const char *repository,
                  enum grant_action action)
{
    for (size_t i = 0; i < g->n; i++) {
        const struct grant *one = &g->list[i];

        if ((one->actions & (unsigned)action) != 0 && any_holds(one, repository) &&
            (one->everybody || any_names(one->users, one->n_users, who->user) ||
             any_names(one->certificates, one->n_certificates, who->certificate))) {
            return true;
        }
    }
    return false;
}

bool grants_anybody(const struct grants *g)
{
    for (size_t i = 0; i < g->n; i++) {
        if (g->list[i].everybody) {
            return true;
        }
    }
    return false;
}
