/* cli/connect.c - the control socket, found through its folder. */
#include "cli/connect.h"

#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define SOCKET "control.sock"

/* The socket in the folder, through its descriptor: a path may be longer than an address. */
static int connect_in(int dir, int *ret_error)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    snprintf(a.sun_path, sizeof(a.sun_path), "/proc/self/fd/%d/" SOCKET, dir);
    if (fd >= 0 && connect(fd, (const struct sockaddr *)&a, sizeof(a)) == 0) {
        return fd;
    }
    *ret_error = errno;
    if (fd >= 0) {
        close(fd);
    }
    return -1;
}

static void say(const char *data, const char *what, int error, struct err *err)
{
    char owner[FILE_OWNER_MAX];

    if (error != EACCES) {
        err_set(err, ERR_STORE, "%.160s%s: %s", data, what, strerror(error));
    } else if (file_of_another(data, owner)) {
        err_set(err, ERR_STORE, "%.120s%s: %s: run it as %s, whose directory it is%s", data, what,
                strerror(error), owner, strcmp(owner, "root") == 0 ? "" : ", or as root");
    } else {
        err_set(err, ERR_STORE, "%.120s%s: %s: run it as the user that the server runs as", data,
                what, strerror(error));
    }
}

enum connected connect_control(const char *data, int *ret_fd, struct err *err)
{
    _cleanup_close_ int dir = open(data, O_PATH | O_DIRECTORY | O_CLOEXEC);
    int error = 0;
    int fd;

    if (dir < 0) {
        error = errno;
        say(data, "", error, err);
        return error == ENOENT ? CONNECT_NOBODY : CONNECT_FAILED;
    }
    fd = connect_in(dir, &error);
    if (fd >= 0) {
        *ret_fd = fd;
        return CONNECT_DONE;
    }
    if (error == ENOENT || error == ECONNREFUSED) {
        return CONNECT_NOBODY;
    }
    say(data, "/" SOCKET, error, err);
    return CONNECT_FAILED;
}

int connect_send(int fd, struct slice s, struct err *err)
{
    while (s.len > 0) {
        ssize_t n = send(fd, s.p, s.len, MSG_NOSIGNAL);

        if (n < 0 && errno != EINTR) {
            return err_set(err, ERR_STORE, "the server does not listen: %s", strerror(errno));
        }
        s = slice_from(s, n < 0 ? 0 : (size_t)n);
    }
    return 0;
}
