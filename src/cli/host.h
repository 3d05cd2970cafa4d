/*
 * cli/host.h - the engine that a command works with: the server that runs on the data directory,
 * else one of its own, in threads of this process, that listens on the control socket alone.
 *
 * One a process. Main thread, but for what line.h says.
 */
#ifndef CLI_HOST_H
#define CLI_HOST_H

#include "cli/config.h"

struct host;

/* Takes `config`, also where it fails. NULL: *err says why, such as that no data of Larder's is
 * there. */
struct host *host_open(struct config *config, struct err *err) MUST_CHECK;
/* The same; a data directory is made where there is none. */
struct host *host_make(struct config *config, struct err *err) MUST_CHECK;
/* The same with the server alone. NULL also: none runs there. */
struct host *host_join(struct config *config, struct err *err) MUST_CHECK;
/* Once all lines are freed: an own engine comes to its end. NULL is accepted. */
void host_free(struct host *h);

const struct config *host_config(const struct host *h);
/* Whether no server runs there, and the engine is this process's. */
bool host_is_own(const struct host *h);

#endif
