/*
 * tests/unit/http_fixture.h - a server on a loop of its own thread, and connections to it.
 *
 * The main thread is the client and checks; the handlers of the test run on the loop. What both
 * touch is atomic, or handed over by on_loop(), which waits until the loop has done something.
 */
#ifndef HTTP_FIXTURE_H
#define HTTP_FIXTURE_H

#include "base/counter.h"
#include "http/conn.h"

#include <arpa/inet.h>
#include <assert.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tap.h"

/* A read of the client that takes longer fails its check. */
#define CLIENT_SECONDS 20

static struct loop *loop;
static pthread_t loop_thread;
static struct http_server *server;
static struct http_listener listener = {.text = "test", .role = 7};

/* --- the loop ------------------------------------------------------------------------------ */

struct call {
    struct post post;
    sem_t done;
    void (*run)(void *);
    void *arg;
};

static inline void call_run(struct post *p)
{
    struct call *call = container_of(p, struct call, post);

    call->run(call->arg);
    sem_post(&call->done);
}

/* Runs f(arg) on the loop and waits for it. */
static inline void on_loop(void (*f)(void *), void *arg)
{
    struct call call = {.run = f, .arg = arg};

    sem_init(&call.done, 0, 0);
    post_init(&call.post, call_run);
    loop_post(loop, &call.post);
    while (sem_wait(&call.done) < 0) {
    }
    sem_destroy(&call.done);
}

static inline void *loop_main(void *arg)
{
    loop_run(arg);
    return NULL;
}

static inline void fixture_start(const struct http_server_options *options)
{
    signal(SIGPIPE, SIG_IGN);
    if (loop == NULL) {
        loop = loop_new();
        if (pthread_create(&loop_thread, NULL, loop_main, loop) != 0) {
            abort();
        }
    }
    server = http_server_new(options);
}

static inline void stop_server(void *arg)
{
    (void)arg;
    http_server_stop(server, loop);
}

static inline void look_nothing(void *arg)
{
    (void)arg;
}

/* Ends all connections and the server; a new one may follow. */
static inline void fixture_stop(void)
{
    on_loop(stop_server, NULL);
    while (http_server_connections(server) > 0) {
        on_loop(look_nothing, NULL); /* a turn of the loop each */
    }
    on_loop(look_nothing, NULL); /* the turn in which the last one ended is over */
    http_server_free(server);
}

static inline void fixture_end(void)
{
    loop_stop(loop);
    pthread_join(loop_thread, NULL);
    loop_free(loop);
}

/* --- connections --------------------------------------------------------------------------- */

static inline void accept_fd(void *arg)
{
    const int *fd = arg;

    http_server_accept(server, loop, *fd, &listener, "client");
}

static inline int client_of(int ours, int theirs)
{
    struct timeval wait = {CLIENT_SECONDS, 0};

    setsockopt(ours, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
    setsockopt(ours, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait));
    fcntl(theirs, F_SETFL, O_NONBLOCK);
    on_loop(accept_fd, &theirs);
    return ours;
}

/* A connection through a socket pair, with a small send buffer on the server's side. */
static inline int client_open(void)
{
    int small = 4096;
    int fds[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0) {
        abort();
    }
    setsockopt(fds[1], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
    return client_of(fds[0], fds[1]);
}

/* A connection through TCP, which alone knows resets. */
static inline int client_open_tcp(void)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int listening = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int ours = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    socklen_t len = sizeof(at);
    int theirs;

    if (bind(listening, (struct sockaddr *)&at, sizeof(at)) < 0 || listen(listening, 1) < 0 ||
        getsockname(listening, (struct sockaddr *)&at, &len) < 0 ||
        connect(ours, (struct sockaddr *)&at, sizeof(at)) < 0) {
        abort();
    }
    theirs = accept4(listening, NULL, NULL, SOCK_CLOEXEC);
    close(listening);
    return client_of(ours, theirs);
}

#endif
