/* net/supervisor.c - the two protocols of a service manager, without its library. */
#include "net/supervisor.h"

#include "base/str.h"
#include "net/listen.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define FIRST_FD 3

/* A number of the environment, which is then taken out of it; 0 where there is none. */
static uint64_t take_number(const char *name)
{
    const char *text = getenv(name);
    uint64_t n = 0;

    if (text == NULL || !slice_u64(slice_str(text), &n)) {
        n = 0;
    }
    unsetenv(name);
    return n;
}

static bool is_listening(int fd)
{
    int type = 0;
    int listening = 0;
    socklen_t len = sizeof(type);

    return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0 && type == SOCK_STREAM &&
           getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &len) == 0 && listening != 0;
}

int supervisor_receive(struct supervisor *s, struct err *err)
{
    uint64_t pid = take_number("LISTEN_PID");
    uint64_t n = take_number("LISTEN_FDS");

    *s = (struct supervisor){0};
    unsetenv("LISTEN_FDNAMES");
    if (pid != (uint64_t)getpid() || n == 0) {
        return 0;
    }
    if (n > SUPERVISOR_SOCKETS_MAX) {
        return err_set(err, ERR_CONFIG, "LISTEN_FDS: more than %d sockets were handed over",
                       SUPERVISOR_SOCKETS_MAX);
    }
    for (int fd = FIRST_FD; fd < FIRST_FD + (int)n; fd++) {
        int flags = fcntl(fd, F_GETFL);

        if (flags < 0 || !is_listening(fd)) {
            return err_set(err, ERR_CONFIG,
                           "LISTEN_FDS: descriptor %d is no listening stream socket", fd);
        }
        fcntl(fd, F_SETFL, flags | O_NONBLOCK);
        fcntl(fd, F_SETFD, FD_CLOEXEC);
        s->fds[s->n++] = fd;
    }
    return 0;
}

int supervisor_take(struct supervisor *s, const char *address)
{
    char bound[LISTEN_TEXT_MAX];

    for (unsigned i = 0; i < s->n; i++) {
        if (s->fds[i] >= 0 && listen_bound_text(s->fds[i], bound) && strcmp(bound, address) == 0) {
            int fd = s->fds[i];

            s->fds[i] = -1;
            return fd;
        }
    }
    return -1;
}

int supervisor_done(struct supervisor *s, struct err *err)
{
    char bound[LISTEN_TEXT_MAX];

    for (unsigned i = 0; i < s->n; i++) {
        if (s->fds[i] >= 0) {
            return err_set(err, ERR_CONFIG,
                           "the service manager hands over a socket at %.200s; add that address to "
                           "`listen`, or take it out of the socket unit",
                           listen_bound_text(s->fds[i], bound) ? bound : "an unknown address");
        }
    }
    return 0;
}

void supervisor_tell(const char *state)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    _cleanup_close_ int fd = -1;
    size_t len = path == NULL ? 0 : strlen(path);

    if (len == 0 || len >= sizeof(a.sun_path) || (path[0] != '/' && path[0] != '@')) {
        return;
    }
    memcpy(a.sun_path, path, len);
    if (path[0] == '@') {
        a.sun_path[0] = '\0';
    }
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd >= 0) {
        ignore_result(sendto(fd, state, strlen(state), MSG_NOSIGNAL, (const struct sockaddr *)&a,
                             (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)) < 0);
    }
}
