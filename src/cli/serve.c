/*
 * cli/serve.c - the server in the foreground, until SIGTERM or SIGINT. On SIGHUP the configuration
 * and certificates are read again.
 */
#include "cli/serve.h"

#include "base/log.h"
#include "cli/banner.h"
#include "cli/engine.h"
#include "net/supervisor.h"

#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define DRAIN_LOOK_MS 50

/* Waits for a signal at `fd`: its number, or 0 where `ms` passed first. */
static int wait_signal(int fd, uint64_t ms)
{
    struct pollfd p = {fd, POLLIN, 0};
    struct signalfd_siginfo info;

    if (poll(&p, 1, ms > INT_MAX ? INT_MAX : (int)ms) <= 0 ||
        read(fd, &info, sizeof(info)) != (ssize_t)sizeof(info)) {
        return 0;
    }
    return (int)info.ssi_signo;
}

/* Lets what is under way come to its end; a second signal, or limits.drain, ends it. */
static void serve_drain(struct engine *e, int signals)
{
    uint64_t waited = 0;

    supervisor_tell("STOPPING=1");
    engine_drain(e);
    while (waited < limits.drain && engine_connections(e) > 0) {
        int number = wait_signal(signals, DRAIN_LOOK_MS);

        if (number == SIGTERM || number == SIGINT) {
            log_event(LOG_WARN, "serve.stop", "second signal: transfers under way are cut");
            return;
        }
        waited += DRAIN_LOOK_MS;
    }
}

/* SIGTERM, SIGINT and SIGHUP are read from a descriptor; no thread is ever interrupted by them. */
static int signals_open(void)
{
    sigset_t wanted;

    signal(SIGPIPE, SIG_IGN);
    sigemptyset(&wanted);
    sigaddset(&wanted, SIGTERM);
    sigaddset(&wanted, SIGINT);
    sigaddset(&wanted, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &wanted, NULL);
    return signalfd(-1, &wanted, SFD_CLOEXEC);
}

/* On SIGHUP. What is wrong is said, and all stays as it was. */
static void serve_renew(struct engine *e, const struct flags *flags)
{
    struct err err = {0};
    struct config *config;

    supervisor_tell("RELOADING=1");
    config = config_read(&flags->config, &err);
    if (config != NULL) {
        enum log_level level = config->log_level;
        bool json = config->log_json;

        if (engine_renew(e, config, &err) == 0) {
            log_setup(level, json);
            log_event(LOG_INFO, "config.renewed", "the configuration was read again");
        }
    }
    if (err.code != ERR_NONE) {
        log_event(LOG_ERROR, "config.kept", "that of before stays in use: %s", err.text);
    }
    supervisor_tell("READY=1");
}

static void serve_loop(struct engine *e, const struct flags *flags, int signals)
{
    const struct http_listener *listeners;
    int number = 0;
    unsigned n;

    engine_start(e);
    listeners = engine_listeners(e, &n);
    banner_print(engine_config(e), engine_store(e), listeners, n);
    supervisor_tell("READY=1");
    while (number != SIGTERM && number != SIGINT) {
        number = wait_signal(signals, limits.tls_files);
        if (number == SIGHUP) {
            serve_renew(e, flags);
        }
        engine_tidy(e);
        engine_renew_keys(e, number == SIGHUP);
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
        serve_loop(e, flags, signals);
    }
    engine_free(e);
    close(signals);
    return status;
}
