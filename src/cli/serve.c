/*
 * cli/serve.c - the server in the foreground, until SIGTERM or SIGINT, or until another process has
 * taken over, which SIGUSR2 starts. On SIGHUP the configuration and certificates are read again.
 */
#include "cli/serve.h"

#include "base/log.h"
#include "cli/banner.h"
#include "cli/engine.h"
#include "cli/respawn.h"
#include "net/supervisor.h"

#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#define DRAIN_LOOK_MS 50

/* What the main thread waits for. */
struct waits {
    int signals;
    int asked;   /* by another process that is to take over; -1: nobody can */
    pid_t child; /* that was started to take over; 0: none */
    int before;  /* the line to the process before, which ends with it; -1: there is none */
};

/* Until something happens, or `ms` have passed: a signal's number, or 0. */
static int wait_signal(const struct waits *w, uint64_t ms)
{
    struct pollfd p[] = {{w->signals, POLLIN, 0}, {w->asked, POLLIN, 0}, {w->before, POLLIN, 0}};
    struct signalfd_siginfo info;

    if (poll(p, ARRAY_LEN(p), ms > INT_MAX ? INT_MAX : (int)ms) <= 0 || p[0].revents == 0 ||
        read(w->signals, &info, sizeof(info)) != (ssize_t)sizeof(info)) {
        return 0;
    }
    return (int)info.ssi_signo;
}

static bool is_over(int number)
{
    return number == SIGTERM || number == SIGINT;
}

/* Lets what is under way come to its end; a second signal, or limits.drain, ends it. */
static void serve_drain(struct engine *e, struct waits *w)
{
    uint64_t waited = 0;

    supervisor_tell("STOPPING=1");
    engine_drain(e);
    w->before = -1;
    while (waited < limits.drain && engine_connections(e) > 0) {
        if (is_over(wait_signal(w, DRAIN_LOOK_MS))) {
            log_event(LOG_WARN, "serve.stop", "second signal: transfers under way are cut");
            return;
        }
        waited += DRAIN_LOOK_MS;
    }
}

/* On SIGUSR2. The new process asks for everything as any other does that is to take over. */
static void serve_again(const struct flags *flags, struct waits *w)
{
    struct err err;

    if (w->child > 0) {
        log_event(LOG_WARN, "serve.respawn", "process %ld was started already and comes up",
                  (long)w->child);
        return;
    }
    if (respawn(flags->words, &w->child, &err) < 0) {
        log_event(LOG_ERROR, "serve.respawn", "the program cannot be started anew: %s", err.text);
    }
}

/* One that ended before it took over has said why. */
static void reap(struct waits *w)
{
    if (w->child > 0 && waitpid(w->child, NULL, WNOHANG) > 0) {
        w->child = 0;
    }
}

/* The process before has said all that it will ever say once its line ends. */
static void look_before(struct engine *e, struct waits *w)
{
    struct pollfd p = {w->before, POLLIN, 0};

    if (w->before >= 0 && poll(&p, 1, 0) > 0) {
        engine_inherit_end(e);
        w->before = -1;
        log_event(LOG_INFO, "serve.take_over", "the server before this one has ended");
    }
}

/* Another process serves: what is under way here, and in a process before this one, takes as long
 * as it takes. */
static void serve_out(struct engine *e, struct waits *w)
{
    while (engine_connections(e) > 0 || engine_downloads(e) > 0 || w->before >= 0) {
        if (is_over(wait_signal(w, DRAIN_LOOK_MS))) {
            log_event(LOG_WARN, "serve.stop", "a signal: transfers under way are cut");
            return;
        }
        look_before(e, w);
    }
}

/* Signals are read from a descriptor; no thread is ever interrupted by them. */
static int signals_open(void)
{
    sigset_t wanted;

    signal(SIGPIPE, SIG_IGN);
    sigemptyset(&wanted);
    sigaddset(&wanted, SIGTERM);
    sigaddset(&wanted, SIGINT);
    sigaddset(&wanted, SIGHUP);
    sigaddset(&wanted, SIGUSR2);
    pthread_sigmask(SIG_BLOCK, &wanted, NULL);
    return signalfd(-1, &wanted, SFD_CLOEXEC);
}

/* On SIGHUP. What is wrong is said, and all stays as it was. */
static void serve_renew(struct engine *e, const struct flags *flags)
{
    struct err err = {0};
    struct config *config;

    supervisor_tell("RELOADING=1");
    config = config_read_whole(&flags->config, false, &err);
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

static void serve_begin(struct engine *e, struct inheritance *from)
{
    const struct http_listener *listeners;
    struct err err;
    unsigned n;

    engine_start(e);
    listeners = engine_listeners(e, &n);
    banner_print(engine_config(e), engine_store(e), listeners, n);
    supervisor_tell("READY=1");
    if (inheritance_ready(from, &err) < 0) {
        log_event(LOG_WARN, "serve.take_over", "the server before this one is gone: %s", err.text);
    }
}

static void serve_loop(struct engine *e, const struct flags *flags, struct inheritance *from,
                       int signals)
{
    struct waits w = {signals, engine_asked_fd(e), 0, from->line};
    bool replaced = false;
    int number = 0;

    serve_begin(e, from);
    while (!is_over(number) && !replaced) {
        number = wait_signal(&w, limits.tls_files);
        if (number == SIGHUP) {
            serve_renew(e, flags);
        } else if (number == SIGUSR2) {
            serve_again(flags, &w);
        }
        engine_tidy(e);
        engine_renew_keys(e, number == SIGHUP);
        look_before(e, &w);
        reap(&w);
        replaced = engine_hand_over(e);
    }
    w.asked = -1;
    if (replaced) {
        serve_out(e, &w);
    } else {
        serve_drain(e, &w);
    }
    engine_stop(e);
    log_event(LOG_INFO, "serve.stopped", "stopped");
}

static int serve_from(struct config *config, const struct flags *flags, struct inheritance *from)
{
    int signals = signals_open();
    struct err err = {0};
    struct engine *e = engine_new(config, false, from, &err);
    int status = 0;

    if (e == NULL) {
        fprintf(stderr, "larder: %s\n", err.text);
        config_free(config);
        status = 1;
    } else {
        serve_loop(e, flags, from, signals);
    }
    engine_free(e);
    close(signals);
    return status;
}

int serve_run(const struct flags *flags)
{
    struct inheritance from = {.line = -1};
    struct err err = {0};
    struct config *config = config_read_whole(&flags->config, false, &err);
    int status;

    if (config == NULL) {
        fprintf(stderr, "larder: %s\n", err.text);
        return 2;
    }
    log_setup(config->log_level, config->log_json);
    if (flags->take_over && take_over(config->data, &from, &err) < 0) {
        fprintf(stderr, "larder: %s\n", err.text);
        config_free(config);
        return 1;
    }
    status = serve_from(config, flags, &from);
    inheritance_free(&from);
    return status;
}
