/* cli/host.c - finds the server, or starts an engine. */
#include "cli/host.h"

#include "base/log.h"
#include "cli/connect.h"
#include "cli/engine.h"
#include "cli/local.h"
#include "cli/turn.h"

#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#define DRAIN_LOOK_MS 5

/* What must be there. */
enum need { NEED_NOTHING, NEED_DATA, NEED_SERVER };

/* Owner: host_open()'s caller. */
struct host {
    struct config *config; /* the engine's, where there is one */
    struct engine *engine; /* NULL: a server runs */
};

static int engine_open(struct host *h, struct err *err)
{
    log_mute_access(); /* standard output is the command's */
    h->engine = engine_new(h->config, true, NULL, err);
    if (h->engine == NULL) {
        return -1;
    }
    engine_start(h->engine);
    return 0;
}

/* Nobody serves there. */
static int host_alone(struct host *h, enum need need, struct err *err)
{
    if (need == NEED_SERVER) {
        return err_set(err, ERR_STORE, "%.160s: no server runs there", h->config->data);
    }
    if (need == NEED_DATA && local_check(h->config->data, err) < 0) {
        return -1;
    }
    return engine_open(h, err);
}

static int host_look(struct host *h, enum need need, struct err *err)
{
    _cleanup_close_ int fd = -1;

    switch (connect_control(h->config->data, &fd, err)) {
    case CONNECT_DONE:
        return 0;
    case CONNECT_NOBODY:
        return host_alone(h, need, err);
    case CONNECT_FAILED:
        break;
    }
    return -1;
}

static int host_find(struct host *h, enum need need, struct err *err)
{
    struct turn turn = {0};
    int result;

    do {
        result = host_look(h, need, err);
    } while (result < 0 && turn_wait(&turn, err));
    return result;
}

static struct host *host_new(struct config *config, enum need need, struct err *err)
{
    struct host *h = xnew(struct host);

    signal(SIGPIPE, SIG_IGN);
    limits = config->limits;
    h->config = config;
    if (host_find(h, need, err) < 0) {
        host_free(h);
        return NULL;
    }
    return h;
}

struct host *host_open(struct config *config, struct err *err)
{
    return host_new(config, NEED_DATA, err);
}

struct host *host_make(struct config *config, struct err *err)
{
    return host_new(config, NEED_NOTHING, err);
}

struct host *host_join(struct config *config, struct err *err)
{
    return host_new(config, NEED_SERVER, err);
}

static void engine_end(struct engine *e)
{
    engine_drain(e);
    for (uint64_t waited = 0; waited < limits.drain && engine_connections(e) > 0;
         waited += DRAIN_LOOK_MS) {
        ignore_result(poll(NULL, 0, DRAIN_LOOK_MS) < 0);
    }
    engine_stop(e);
    engine_free(e);
}

void host_free(struct host *h)
{
    if (h == NULL) {
        return;
    }
    if (h->engine != NULL) {
        engine_end(h->engine);
    } else {
        config_free(h->config);
    }
    free(h);
}

const struct config *host_config(const struct host *h)
{
    return h->config;
}

bool host_is_own(const struct host *h)
{
    return h->engine != NULL;
}
