/* net/listen.c - binding, and the acceptor. */
#include "net/listen.h"

#include "base/fault.h"
#include "base/log.h"
#include "base/str.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define LISTENERS_MAX 32
#define BACKLOG 1024
#define FULL_PAUSE_MS 100 /* out of descriptors: wait for connections to end */

struct listener {
    int fd;
    char text[LISTEN_TEXT_MAX];
    char *path; /* of a Unix socket, to be removed */
    dev_t dev;  /* which file that is: a successor may have put its own there */
    ino_t ino;
    bool inherited; /* the file is still another process's, until listeners_start() */
};

struct listeners {
    struct listen_sink sink;
    struct listener all[LISTENERS_MAX];
    unsigned n;
    unsigned n_loops;
    int stop_fd;
    bool running;
    pthread_t thread;
    uint64_t random;
    bool full; /* and said so */
    pthread_mutex_t lock;
    struct list under_way; /* deliveries; guarded by the lock */
};

/* A connection on its way to its loop. Owner: the listeners, until delivered. */
struct delivery {
    struct list node;
    struct post post;
    struct listeners *listeners;
    struct loop *loop;
    unsigned i;
    int fd;
    char peer[LISTEN_PEER_MAX];
};

bool listen_parse(const char *address, char *host, uint16_t *ret_port)
{
    struct slice s = slice_str(address);
    size_t colon = slice_rfind(s, ':');
    struct slice name = slice_sub(s, 0, colon);
    uint64_t port;

    if (colon == s.len || !slice_u64(slice_from(s, colon + 1), &port) || port > 65535) {
        return false;
    }
    if (name.len > 2 && name.p[0] == '[' && name.p[name.len - 1] == ']') {
        name = slice_sub(name, 1, name.len - 1);
    } else if (slice_find(name, ':') != name.len) {
        return false; /* an IPv6 address wants brackets */
    }
    if (name.len == 0 || !slice_copy(name, host, LISTEN_TEXT_MAX)) {
        return false;
    }
    *ret_port = (uint16_t)port;
    return true;
}

/* --- binding ------------------------------------------------------------------------------- */

static bool make_sockaddr(const char *host, uint16_t port, struct sockaddr_storage *ret,
                          socklen_t *ret_len)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)(void *)ret;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)(void *)ret;

    *ret_len = 0;
    memset(ret, 0, sizeof(*ret));
    if (strcmp(host, "localhost") == 0) {
        host = "127.0.0.1";
    }
    if (inet_pton(AF_INET, host, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons(port);
        *ret_len = sizeof(*v4);
        return true;
    }
    if (inet_pton(AF_INET6, host, &v6->sin6_addr) == 1) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons(port);
        *ret_len = sizeof(*v6);
        return true;
    }
    return false;
}

bool listen_bound_text(int fd, char out[LISTEN_TEXT_MAX])
{
    union {
        struct sockaddr_storage any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
        struct sockaddr_un path;
    } a = {0};
    socklen_t len = sizeof(a);
    char host[INET6_ADDRSTRLEN];

    if (getsockname(fd, (struct sockaddr *)&a, &len) < 0) {
        return false;
    }
    switch (a.any.ss_family) {
    case AF_INET:
        inet_ntop(AF_INET, &a.v4.sin_addr, host, sizeof(host));
        snprintf(out, LISTEN_TEXT_MAX, "%s:%u", host, ntohs(a.v4.sin_port));
        return true;
    case AF_INET6:
        inet_ntop(AF_INET6, &a.v6.sin6_addr, host, sizeof(host));
        snprintf(out, LISTEN_TEXT_MAX, "[%s]:%u", host, ntohs(a.v6.sin6_port));
        return true;
    case AF_UNIX:
        snprintf(out, LISTEN_TEXT_MAX, "unix:%s", a.path.sun_path);
        return a.path.sun_path[0] == '/';
    default:
        return false;
    }
}

static int bind_error(const char *address, struct err *err)
{
    switch (errno) {
    case EADDRINUSE:
        return err_set(err, ERR_CONFIG,
                       "%s: already in use; stop what listens there or choose another --listen",
                       address);
    case EACCES:
        return err_set(err, ERR_CONFIG, "%s: not permitted; ports below 1024 need root", address);
    case EADDRNOTAVAIL:
        return err_set(err, ERR_CONFIG, "%s: this machine has no such address", address);
    default:
        return err_set(err, ERR_CONFIG, "%s: cannot listen: %s", address, strerror(errno));
    }
}

static int bind_inet(struct listener *l, const char *address, struct err *err)
{
    struct sockaddr_storage a = {0};
    char host[LISTEN_TEXT_MAX];
    socklen_t len = 0;
    uint16_t port;
    int one = 1;

    if (!listen_parse(address, host, &port) || !make_sockaddr(host, port, &a, &len)) {
        return err_set(err, ERR_CONFIG, "%s: not ADDR:PORT, [ADDR]:PORT or unix:/path", address);
    }
    l->fd = socket(a.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (l->fd < 0) {
        return bind_error(address, err);
    }
    setsockopt(l->fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (a.ss_family == AF_INET6) {
        setsockopt(l->fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one));
    }
    if (bind(l->fd, (struct sockaddr *)&a, len) < 0 || listen(l->fd, BACKLOG) < 0) {
        bind_error(address, err);
        close(l->fd);
        return -1;
    }
    ignore_result(listen_bound_text(l->fd, l->text));
    return 0;
}

/* The address of a socket file. One whose path is too long is named through its folder's
 * descriptor, which stays open in *ret_dir for as long as the address is used. */
static int unix_sockaddr(const char *path, struct sockaddr_un *ret, int *ret_dir)
{
    _cleanup_free_ char *dir = xstrdup(path);
    _cleanup_free_ char *base = xstrdup(path);

    memset(ret, 0, sizeof(*ret));
    ret->sun_family = AF_UNIX;
    *ret_dir = -1;
    if (strlen(path) < sizeof(ret->sun_path)) {
        memcpy(ret->sun_path, path, strlen(path) + 1);
        return 0;
    }
    *ret_dir = open(dirname(dir), O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (*ret_dir < 0) {
        return -1;
    }
    if (snprintf(ret->sun_path, sizeof(ret->sun_path), "/proc/self/fd/%d/%s", *ret_dir,
                 basename(base)) >= (int)sizeof(ret->sun_path)) {
        errno = ENAMETOOLONG;
        return -1;
    }
    return 0;
}

/* A socket file that nobody answers at is left over from a process that died. */
static bool is_stale(const struct sockaddr_un *a)
{
    _cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    return fd >= 0 && connect(fd, (const struct sockaddr *)a, sizeof(*a)) < 0 &&
           errno == ECONNREFUSED;
}

/* The file is this process's to remove, as long as it is this one. */
static void own_path(struct listener *l, const char *path)
{
    struct stat st;

    l->path = xstrdup(path);
    if (lstat(path, &st) == 0) {
        l->dev = st.st_dev;
        l->ino = st.st_ino;
    }
}

static int bind_unix(struct listener *l, const char *address, struct err *err)
{
    const char *path = address + strlen("unix:");
    _cleanup_close_ int dir = -1;
    struct sockaddr_un a;

    if (path[0] != '/') {
        return err_set(err, ERR_CONFIG, "%s: the path must be absolute", address);
    }
    if (unix_sockaddr(path, &a, &dir) < 0) {
        return bind_error(address, err);
    }
    l->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (l->fd < 0) {
        return bind_error(address, err);
    }
    if (is_stale(&a)) {
        unlink(path);
    }
    if (bind(l->fd, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(l->fd, BACKLOG) < 0) {
        bind_error(address, err);
        close(l->fd);
        return -1;
    }
    snprintf(l->text, sizeof(l->text), "%s", address);
    own_path(l, path);
    return 0;
}

struct listeners *listeners_new(const struct listen_sink *sink)
{
    struct listeners *ls = xnew(struct listeners);

    ls->sink = *sink;
    ls->random = (uint64_t)(uintptr_t)ls | 1;
    list_init(&ls->under_way);
    pthread_mutex_init(&ls->lock, NULL);
    ls->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    assert(ls->stop_fd >= 0);
    return ls;
}

int listeners_add(struct listeners *ls, const char *address, struct err *err)
{
    struct listener *l = &ls->all[ls->n];

    if (ls->n == LISTENERS_MAX) {
        return err_set(err, ERR_CONFIG, "%s: more than %d addresses", address, LISTENERS_MAX);
    }
    if ((strncmp(address, "unix:", 5) == 0 ? bind_unix(l, address, err)
                                           : bind_inet(l, address, err)) < 0) {
        return -1;
    }
    ls->n++;
    return 0;
}

int listeners_add_socket(struct listeners *ls, int fd, const char *address, struct err *err)
{
    struct listener *l = &ls->all[ls->n];

    if (ls->n == LISTENERS_MAX) {
        close(fd);
        return err_set(err, ERR_CONFIG, "%s: more than %d addresses", address, LISTENERS_MAX);
    }
    l->fd = fd;
    snprintf(l->text, sizeof(l->text), "%s", address);
    ls->n++;
    return 0;
}

int listeners_inherit(struct listeners *ls, int fd, const char *address, struct err *err)
{
    if (listeners_add_socket(ls, fd, address, err) < 0) {
        return -1;
    }
    ls->all[ls->n - 1].inherited = strncmp(address, "unix:", 5) == 0;
    return 0;
}

int listeners_fd(const struct listeners *ls, unsigned i)
{
    return ls->all[i].fd;
}

const char *listeners_text(const struct listeners *ls, unsigned i)
{
    return ls->all[i].text;
}

/* --- accepting ----------------------------------------------------------------------------- */

static unsigned random_below(struct listeners *ls, unsigned n)
{
    ls->random ^= ls->random << 13;
    ls->random ^= ls->random >> 7;
    ls->random ^= ls->random << 17;
    return (unsigned)(ls->random >> 32) % n;
}

static struct loop *choose_loop(struct listeners *ls)
{
    struct loop *a = loop_at(random_below(ls, ls->n_loops));
    struct loop *b = loop_at(random_below(ls, ls->n_loops));

    return ls->sink.load(ls->sink.context, b) < ls->sink.load(ls->sink.context, a) ? b : a;
}

static void deliver(struct post *p)
{
    struct delivery *d = container_of(p, struct delivery, post);
    struct listeners *ls = d->listeners;

    pthread_mutex_lock(&ls->lock);
    list_remove(&d->node);
    pthread_mutex_unlock(&ls->lock);
    ls->sink.accepted(ls->sink.context, d->loop, d->i, d->fd, d->peer);
    free(d);
}

static void peer_text(const struct sockaddr_storage *a, char out[LISTEN_PEER_MAX])
{
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)(const void *)a;
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)(const void *)a;

    if (a->ss_family == AF_INET) {
        inet_ntop(AF_INET, &v4->sin_addr, out, LISTEN_PEER_MAX);
    } else if (a->ss_family == AF_INET6) {
        inet_ntop(AF_INET6, &v6->sin6_addr, out, LISTEN_PEER_MAX);
    } else {
        snprintf(out, LISTEN_PEER_MAX, "unix");
    }
}

/* Takes what waits at one socket; false where there are no descriptors left. */
static bool accept_some(struct listeners *ls, unsigned i)
{
    for (int n = 0; n < 64; n++) {
        struct sockaddr_storage a = {0};
        socklen_t len = sizeof(a);
        struct delivery *d;
        int fd =
            fault_errno("listen.accept", EMFILE)
                ? -1
                : accept4(ls->all[i].fd, (struct sockaddr *)&a, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);

        if (fd < 0) {
            return errno != EMFILE && errno != ENFILE && errno != ENOMEM && errno != ENOBUFS;
        }
        ls->full = false;
        d = xnew(struct delivery);
        post_init(&d->post, deliver);
        d->listeners = ls;
        d->loop = choose_loop(ls);
        d->i = i;
        d->fd = fd;
        peer_text(&a, d->peer);
        list_init(&d->node);
        pthread_mutex_lock(&ls->lock);
        list_append(&ls->under_way, &d->node);
        pthread_mutex_unlock(&ls->lock);
        loop_post(d->loop, &d->post);
    }
    return true;
}

static void *acceptor(void *arg)
{
    struct listeners *ls = arg;
    struct pollfd fds[LISTENERS_MAX + 1];
    struct pollfd stop = {ls->stop_fd, POLLIN, 0};

    for (unsigned i = 0; i < ls->n; i++) {
        fds[i] = (struct pollfd){ls->all[i].fd, POLLIN, 0};
    }
    for (;;) {
        bool full = false;

        fds[ls->n] = stop;
        if (poll(fds, ls->n + 1, -1) < 0) {
            continue;
        }
        if (fds[ls->n].revents != 0) {
            return NULL;
        }
        for (unsigned i = 0; i < ls->n; i++) {
            full = (fds[i].revents != 0 && !accept_some(ls, i)) || full;
        }
        if (full && !ls->full) {
            ls->full = true; /* said once until one is accepted again */
            log_event(LOG_ERROR, "accept.full",
                      "no more descriptors for connections; raise the limit (ulimit -n)");
        }
        if (full) {
            ignore_result(poll(&stop, 1, FULL_PAUSE_MS) < 0);
        }
    }
}

static void own_inherited(struct listeners *ls)
{
    for (unsigned i = 0; i < ls->n; i++) {
        struct listener *l = &ls->all[i];

        if (l->inherited) {
            own_path(l, l->text + strlen("unix:"));
            l->inherited = false;
        }
    }
}

void listeners_start(struct listeners *ls, unsigned n_loops)
{
    sigset_t all;
    sigset_t before;
    int failed;

    ls->n_loops = n_loops;
    own_inherited(ls);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    failed = pthread_create(&ls->thread, NULL, acceptor, ls);
    assert(failed == 0);
    pthread_setname_np(ls->thread, "acceptor");
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    ls->running = true;
}

static void listener_close(struct listener *l)
{
    struct stat st;

    if (l->fd >= 0) {
        close(l->fd);
        l->fd = -1;
    }
    if (l->path != NULL && lstat(l->path, &st) == 0 && st.st_dev == l->dev && st.st_ino == l->ino) {
        unlink(l->path);
    }
    free(l->path);
    l->path = NULL;
}

void listeners_pause(struct listeners *ls)
{
    uint64_t one = 1;

    if (ls->running) {
        ignore_result(write(ls->stop_fd, &one, sizeof(one)) < 0);
        pthread_join(ls->thread, NULL);
        ignore_result(read(ls->stop_fd, &one, sizeof(one)) < 0);
        ls->running = false;
    }
}

bool listeners_are_idle(struct listeners *ls)
{
    bool idle;

    pthread_mutex_lock(&ls->lock);
    idle = list_empty(&ls->under_way);
    pthread_mutex_unlock(&ls->lock);
    return idle;
}

void listeners_give_up(struct listeners *ls)
{
    for (unsigned i = 0; i < ls->n; i++) {
        free(ls->all[i].path);
        ls->all[i].path = NULL;
    }
    listeners_stop(ls);
}

void listeners_stop(struct listeners *ls)
{
    listeners_pause(ls);
    for (unsigned i = 0; i < ls->n; i++) {
        listener_close(&ls->all[i]);
    }
}

void listeners_free(struct listeners *ls)
{
    struct list *node;

    if (ls == NULL) {
        return;
    }
    listeners_stop(ls);
    while ((node = list_pop(&ls->under_way)) != NULL) {
        struct delivery *d = container_of(node, struct delivery, node);

        close(d->fd);
        free(d);
    }
    close(ls->stop_fd);
    pthread_mutex_destroy(&ls->lock);
    free(ls);
}
