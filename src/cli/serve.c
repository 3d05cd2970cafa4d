/*
 * cli/serve.c - the server in the foreground, until SIGTERM or SIGINT.
 */
#include "cli/serve.h"

#include "base/log.h"
#include "cli/banner.h"
#include "cli/engine.h"
#include "net/supervisor.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define DRAIN_LOOK_MS 50

/* Waits for SIGTERM or SIGINT at `fd`; false where `ms` passed first. */
static bool wait_signal(int fd, int ms)
{
    struct pollfd p = {fd, POLLIN, 0};
    struct signalfd_siginfo info;

    if (poll(&p, 1, ms) <= 0) {
        return false;
    }
    return read(fd, &info, sizeof(info)) == (ssize_t)sizeof(info);
}

/* Lets what is under way come to its end; a second signal, or limits.drain, ends it. */
static void serve_drain(struct engine *e, int signals)
{
    uint64_t waited = 0;

    supervisor_tell("STOPPING=1");
    engine_drain(e);
    while (waited < limits.drain && engine_connections(e) > 0) {
        if (wait_signal(signals, DRAIN_LOOK_MS)) {
            log_event(LOG_WARN, "serve.stop", "second signal: transfers under way are cut");
            return;
        }
        waited += DRAIN_LOOK_MS;
    }
}

/* SIGTERM and SIGINT are read from a descriptor; no thread is ever interrupted by them. */
static int signals_open(void)
{
    sigset_t wanted;

    signal(SIGPIPE, SIG_IGN);
    sigemptyset(&wanted);
    sigaddset(&wanted, SIGTERM);
    sigaddset(&wanted, SIGINT);
    pthread_sigmask(SIG_BLOCK, &wanted, NULL);
    return signalfd(-1, &wanted, SFD_CLOEXEC);
}

static void serve_loop(struct engine *e, int signals)
{
    const struct http_listener *listeners;
    unsigned n;

    engine_start(e);
    listeners = engine_listeners(e, &n);
    banner_print(engine_config(e), engine_store(e), listeners, n);
    supervisor_tell("READY=1");
    while (!wait_signal(signals, -1)) {
    }
    serve_drain(e, signals);
    engine_stop(e);
    log_event(LOG_INFO, "serve.stopped", "stopped");
}

int serve_run(const struct flags *flags)
{
    struct err err = {0};
    struct config *config = config_read(&flags->config, &err);
    struct engine *e;
    int signals;
    int status = 0;

    if (config == NULL) {
        fprintf(stderr, "larder: %s\n", err.text);
        return 2;
    }
    log_setup(config->log_level, config->log_json);
    signals = signals_open();
    e = engine_new(config, false, &err);
    if (e == NULL) {
        fprintf(stderr, "larder: %s\n", err.text);
        status = 1;
    } else {
        serve_loop(e, signals);
    }
    engine_free(e);
    close(signals);
    return status;
}
