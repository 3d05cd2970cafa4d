/* upstream/helper.h - credential helper programs: docker-credential-NAME. Blocks; for a pool. */
#ifndef UPSTREAM_HELPER_H
#define UPSTREAM_HELPER_H

#include "base/err.h"
#include "oci/docker_auth.h"

/* Asks docker-credential-NAME, which is looked for in PATH, for this server's credential. Within
 * limits.helper it has answered and ended, or it and what it started are killed. It gets our
 * environment, and no descriptor of ours. -1 with ERR_CONFIG: helper, cause and remedy, nothing of
 * what it wrote. */
int helper_get(const char *name, const char *server, struct docker_auth *ret,
               struct err *err) MUST_CHECK;

#endif
