/* upstream/helper.c - a program with two pipes and a time limit. */
#include "upstream/helper.h"

#include "base/clock.h"
#include "base/counter.h"
#include "base/limits.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

/* Owner: helper_get(), on the stack. */
struct helper {
    pid_t pid;
    int in;  /* to it */
    int out; /* from it */
    int ended;
    uint64_t deadline;
    struct buf answer;
};

static void close_fd(int *fd)
{
    if (*fd >= 0) {
        close(*fd);
    }
    *fd = -1;
}

/* In a group of its own, so that what it starts dies with it; signals as a program expects them. */
static int spawn(struct helper *h, char *program, int in, int out)
{
    char get[] = "get";
    char *argv[] = {program, get, NULL};
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attr;
    sigset_t signals;
    int error;

    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_adddup2(&files, in, STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&files, out, STDOUT_FILENO);
    posix_spawn_file_actions_addopen(&files, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_addclosefrom_np(&files, STDERR_FILENO + 1);
    posix_spawnattr_init(&attr);
    posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF |
                                        POSIX_SPAWN_SETSIGMASK);
    posix_spawnattr_setpgroup(&attr, 0);
    sigemptyset(&signals);
    posix_spawnattr_setsigmask(&attr, &signals);
    sigaddset(&signals, SIGPIPE);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGHUP);
    posix_spawnattr_setsigdefault(&attr, &signals);
    error = posix_spawnp(&h->pid, program, &files, &attr, argv, environ);
    posix_spawnattr_destroy(&attr);
    posix_spawn_file_actions_destroy(&files);
    return error;
}

static int start(struct helper *h, char *program)
{
    int in[2] = {-1, -1};
    int out[2] = {-1, -1};
    int error;

    if (pipe2(in, O_CLOEXEC) < 0 || pipe2(out, O_CLOEXEC) < 0) {
        error = errno;
    } else {
        error = spawn(h, program, in[0], out[1]);
    }
    close_fd(&in[0]);
    close_fd(&out[1]);
    h->in = in[1];
    h->out = out[0];
    if (error == 0) {
        h->ended = (int)syscall(SYS_pidfd_open, h->pid, 0);
    }
    return error;
}

/* Waits until the descriptor says something; false once it is too late. */
static bool await(const struct helper *h, int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    uint64_t now;
    int n;

    do {
        now = clock_mono_ms();
        n = now >= h->deadline ? 0 : poll(&p, 1, (int)(h->deadline - now));
    } while (n < 0 && errno == EINTR);
    return n > 0;
}

/* All that it writes, or NULL, or what is wrong with it. */
static const char *converse(struct helper *h, const char *server)
{
    char piece[4096];
    ssize_t n;

    ignore_result(write(h->in, server, strlen(server)) < 0); /* fits; it may not want it */
    close_fd(&h->in);
    do {
        if (!await(h, h->out)) {
            return "did not answer in time";
        }
        n = read(h->out, piece, sizeof(piece));
        if (n > 0) {
            buf_append(&h->answer, piece, (size_t)n);
        }
        if (h->answer.failed) {
            return "answers without end";
        }
    } while (n > 0 || (n < 0 && errno == EINTR));
    explicit_bzero(piece, sizeof(piece));
    return h->ended >= 0 && !await(h, h->ended) ? "did not end in time" : NULL;
}

static int fail(const char *name, const char *server, const char *why, struct err *err)
{
    return err_set(err, ERR_CONFIG,
                   "docker-credential-%s %s; try: echo %.200s | docker-credential-%s get", name,
                   why, server, name);
}

static int judge(struct helper *h, const char *name, const char *server, int status,
                 struct docker_auth *ret, struct err *err)
{
    char why[128];

    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        snprintf(why, sizeof(why), WIFEXITED(status) ? "ended with status %d" : "died of signal %d",
                 WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
        return fail(name, server, why, err);
    }
    if (docker_answer_parse(buf_view(&h->answer), ret, err) < 0) {
        err->code = ERR_NONE;
        return fail(name, server, "answers what is not JSON with Username and Secret", err);
    }
    return 0;
}

int helper_get(const char *name, const char *server, struct docker_auth *ret, struct err *err)
{
    _cleanup_free_ char *program = xasprintf("docker-credential-%s", name);
    struct helper h = {.in = -1, .out = -1, .ended = -1};
    const char *why = NULL;
    int status = 0;
    int result = -1;
    int error;

    count(helper_runs);
    h.deadline = clock_mono_ms() + limits.helper;
    buf_init(&h.answer, DOCKER_ANSWER_MAX);
    error = start(&h, program);
    if (error != 0) {
        result = err_set(err, ERR_CONFIG, "%s cannot be started: %s; it must be in PATH", program,
                         strerror(error));
    } else {
        why = converse(&h, server);
        kill(-h.pid, SIGKILL); /* itself where it is late, and what it left behind */
        while (waitpid(h.pid, &status, 0) < 0 && errno == EINTR) {
        }
        result =
            why != NULL ? fail(name, server, why, err) : judge(&h, name, server, status, ret, err);
    }
    close_fd(&h.in);
    close_fd(&h.out);
    close_fd(&h.ended);
    if (h.answer.len > 0) {
        explicit_bzero(h.answer.p, h.answer.len);
    }
    buf_free(&h.answer);
    return result;
}
