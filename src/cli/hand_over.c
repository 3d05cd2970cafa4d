/* cli/hand_over.c - the giving side of a hand-over. */
#include "cli/hand_over.h"

#include "admin/handed.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "cli/connect.h"
#include "cli/engine.h"
#include "cli/remote.h"
#include "net/supervisor.h"
#include "oci/errbody.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define SWITCH                                                                                     \
    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: larder-hand-over\r\n\r\n"
#define LOOK_MS 2
#define WAIT_MS 100

/* Owner: the engine. Thread: `asked` any; the rest is the main thread's. */
struct hand_over {
    char *data;
    int event;
    atomic_int asked; /* the socket of who asks; -1: nobody */
    int line;         /* of who took over; -1: nobody did */
    struct successor to;
};

/* --- asked --------------------------------------------------------------------------------- */

static void refuse(struct http_exchange *x, enum err_code code, const char *why)
{
    struct buf body;

    buf_init(&body, 4096);
    errbody_write(&body, err_oci_code(code), why, NULL);
    http_reply(x, err_status(code), slice_str("Content-Type: " ERRBODY_CONTENT_TYPE "\r\n"),
               buf_view(&body));
    buf_free(&body);
}

void hand_over_ask(struct hand_over *h, struct http_exchange *x)
{
    uint64_t one = 1;
    int nobody = -1;
    int fd;

    if (x->head.method != HTTP_POST) {
        refuse(x, ERR_UNSUPPORTED, "this is asked for by POST");
        return;
    }
    if (atomic_load(&h->asked) >= 0) {
        refuse(x, ERR_UNAVAILABLE, "another process is taking over already");
        return;
    }
    fd = http_detach(x);
    if (fd < 0) {
        http_abort(x);
    } else if (fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK) < 0 ||
               !atomic_compare_exchange_strong(&h->asked, &nobody, fd)) {
        close(fd); /* the other process sees the end of it, and gives up */
    } else {
        ignore_result(write(h->event, &one, sizeof(one)) < 0);
    }
}

int hand_over_fd(const struct hand_over *h)
{
    return h->event;
}

/* --- what is finished afterwards ----------------------------------------------------------- */

static int tell(const struct hand_over *h, const char *command, struct buf *body, struct err *err)
{
    struct admin_query q = {.name = "", .body = buf_view(body)};
    enum remote_answer answer;
    struct buf out;

    answer = remote_ask(h->data, admin_find(slice_str(command)), &q, &out, err);
    buf_free(&out);
    buf_free(body);
    if (fault_at("handover.told")) {
        return err_set(err, ERR_STORE, "%s: its answer was lost", command);
    }
    if (answer == REMOTE_NOBODY) {
        return err_set(err, ERR_STORE, "%s: the server that took over is gone", h->data);
    }
    return answer == REMOTE_DONE ? 0 : -1;
}

static int tell_blob(void *context, const struct handed_blob *b, struct err *err)
{
    struct buf body;

    buf_init(&body, 16384);
    handed_blob_write(b, &body);
    return tell(context, "take-blob", &body, err);
}

static int tell_upload(void *context, const struct handed_upload *u, struct err *err)
{
    struct buf body;

    buf_init(&body, 16384);
    handed_upload_write(u, &body);
    return tell(context, "take-upload", &body, err);
}

/* --- making way ---------------------------------------------------------------------------- */

/* New changes are refused from now on; those that were begun come to their end, or are told to ask
 * again where that takes too long. */
static void end_changes(struct store *s)
{
    uint64_t waited = 0;
    unsigned left;

    while ((left = store_begin_hand_over(s)) > 0 && waited < limits.hand_over) {
        ignore_result(poll(NULL, 0, LOOK_MS) < 0);
        waited += LOOK_MS;
    }
    if (left > 0) {
        log_event(LOG_WARN, "serve.hand_over", "%u changes take too long, and will fail", left);
    }
}

/* The length of the text, with the sockets, and then the text. */
static int send_state(int fd, const struct handed_state *state, const int *fds, struct err *err)
{
    union {
        struct cmsghdr align;
        char room[CMSG_SPACE(sizeof(int) * HANDED_LISTENERS_MAX)];
    } control = {0};
    char length[32];
    struct iovec iov = {length, 0};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
    struct cmsghdr *c;
    struct buf text;
    int result;

    buf_init(&text, HANDED_STATE_MAX);
    handed_state_write(state, &text);
    if (text.failed || fault_at("handover.send")) {
        buf_free(&text);
        return err_set(err, ERR_STORE, "what is under way cannot be told: it is too much");
    }
    iov.iov_len = (size_t)snprintf(length, sizeof(length), "%zu\n", text.len);
    m.msg_control = control.room;
    m.msg_controllen = CMSG_SPACE(state->n_listeners * sizeof(int));
    c = CMSG_FIRSTHDR(&m);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(state->n_listeners * sizeof(int));
    memcpy(CMSG_DATA(c), fds, state->n_listeners * sizeof(int));
    if (sendmsg(fd, &m, MSG_NOSIGNAL) != (ssize_t)iov.iov_len) {
        result = err_set(err, ERR_STORE, "the sockets cannot be sent: %s", strerror(errno));
    } else {
        result = connect_send(fd, buf_view(&text), err);
    }
    buf_free(&text);
    return result;
}

/* A signal that ends this process waits to be read. */
static bool is_to_end(void)
{
    sigset_t waiting;

    return sigpending(&waiting) == 0 &&
           (sigismember(&waiting, SIGTERM) == 1 || sigismember(&waiting, SIGINT) == 1);
}

/* The number of the process at the other end; 0: it is not to be seen from here. */
static pid_t other_pid(int fd)
{
    struct ucred who = {0};
    socklen_t len = sizeof(who);

    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) == 0 ? who.pid : 0;
}

/* A signal is not the end yet, and until that it has the directory. */
static void await_end(int process)
{
    struct pollfd p = {process, POLLIN, 0};

    while (poll(&p, 1, WAIT_MS) <= 0 && !is_to_end()) {
    }
}

/* As long as its end of the line is open the process lives, so that the number is no other's.
 * False: it has just said something, or ended; or it may not be killed. */
static bool kill_other(int fd)
{
    pid_t pid = other_pid(fd);
    _cleanup_close_ int process = pid > 0 ? pidfd_open(pid, 0) : -1;
    char said;
    bool killed = process >= 0 && recv(fd, &said, 1, MSG_PEEK | MSG_DONTWAIT) < 0 &&
                  errno == EAGAIN && pidfd_send_signal(process, SIGKILL, NULL, 0) == 0;

    if (killed) {
        await_end(process);
    }
    return killed;
}

/* Its time is up. True: it will never write to what this one takes back. One that cannot be killed
 * is waited for: it may have the directory. */
static bool end_other(int fd)
{
    struct pollfd p = {fd, POLLIN, 0};

    if (kill_other(fd)) {
        return true;
    }
    if (poll(&p, 1, 0) == 0) {
        log_event(LOG_ERROR, "serve.hand_over",
                  "process %ld takes over for too long, and cannot be killed: waiting for it",
                  (long)other_pid(fd));
    }
    return false;
}

/* Whether it answers in this one's place. Who is told to stop meanwhile leaves all to it. */
static int await_ready(int fd, struct err *err)
{
    struct pollfd p = {fd, POLLIN, 0};
    uint64_t until = clock_mono_ms() + limits.take_over;
    char said[16];

    while (poll(&p, 1, WAIT_MS) <= 0) {
        if (is_to_end()) {
            return 0;
        }
        if (clock_mono_ms() < until) {
            continue;
        }
        if (end_other(fd)) {
            return err_set(err, ERR_TIMEOUT,
                           "process %ld was to take over, did not answer within %llu ms "
                           "(limits.take_over), and was killed",
                           (long)other_pid(fd), (unsigned long long)limits.take_over);
        }
        until = UINT64_MAX;
    }
    return recv(fd, said, sizeof(said), 0) > 0
               ? 0
               : err_set(err, ERR_STORE, "the process that was to take over has ended");
}

static int give(struct hand_over *h, struct engine *e, int fd, struct err *err)
{
    struct handed_state state = {0};
    int fds[HANDED_LISTENERS_MAX];
    int result;

    store_hand_over(engine_store(e), &h->to, &state.store);
    engine_hand(e, &state, fds);
    result = send_state(fd, &state, fds, err);
    if (result == 0) {
        result = await_ready(fd, err);
    }
    handed_state_free(&state);
    return result;
}

/* A service manager watches the process that serves. */
static void tell_supervisor(int fd)
{
    pid_t pid = other_pid(fd);
    char text[64];

    if (pid > 0) {
        snprintf(text, sizeof(text), "MAINPID=%ld", (long)pid);
        supervisor_tell(text);
    }
}

/* One that does not read what it asked for is waited for as long as one that does not answer. */
static void bound_sends(int fd)
{
    struct timeval most = {.tv_sec = (time_t)(limits.take_over / 1000),
                           .tv_usec = (suseconds_t)(limits.take_over % 1000 * 1000)};

    ignore_result(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &most, sizeof(most)) < 0);
}

static void accept_again(struct hand_over *h, struct engine *e)
{
    atomic_store(&h->asked, -1); /* first, as whoever waits to ask is accepted then */
    engine_resume(e);
}

/* It was gone before anything was given to it. */
static void stay(struct hand_over *h, struct engine *e)
{
    store_cancel_hand_over(engine_store(e));
    log_event(LOG_ERROR, "serve.hand_over", "the process that asked has ended; this one goes on");
    accept_again(h, e);
}

/* The directory is free again, as that process is gone. */
static void go_on(struct hand_over *h, struct engine *e, const struct err *why)
{
    struct err err;

    if (store_take_back(engine_store(e), &err) < 0) {
        log_event(LOG_ERROR, "serve.hand_over", "%s; nothing can be kept any more: %s", why->text,
                  err.text);
    } else {
        log_event(LOG_ERROR, "serve.hand_over", "%s; this one goes on", why->text);
    }
    accept_again(h, e);
}

bool hand_over_run(struct hand_over *h, struct engine *e)
{
    int fd = atomic_load(&h->asked);
    uint64_t count;
    struct err err;

    ignore_result(read(h->event, &count, sizeof(count)) < 0);
    if (fd < 0) {
        return false;
    }
    log_event(LOG_INFO, "serve.hand_over", "another process asks to take over");
    store_flush(engine_store(e)); /* else it is waited for once nobody accepts any more */
    engine_pause(e);
    end_changes(engine_store(e));
    bound_sends(fd);
    if (connect_send(fd, slice_str(SWITCH), &err) < 0) {
        close(fd);
        stay(h, e);
        return false;
    }
    if (give(h, e, fd, &err) < 0) {
        close(fd);
        go_on(h, e, &err);
        return false;
    }
    h->line = fd;
    store_handed(engine_store(e));
    tell_supervisor(fd);
    engine_give_up(e);
    log_event(LOG_INFO, "serve.hand_over", "another process has taken over: ending what is left");
    return true;
}

/* --- life ---------------------------------------------------------------------------------- */

struct hand_over *hand_over_new(const char *data)
{
    struct hand_over *h = xnew(struct hand_over);

    h->data = xstrdup(data);
    h->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    assert(h->event >= 0);
    atomic_init(&h->asked, -1);
    h->line = -1;
    h->to = (struct successor){.blob = tell_blob, .upload = tell_upload, .context = h};
    return h;
}

void hand_over_free(struct hand_over *h)
{
    if (h == NULL) {
        return;
    }
    if (h->line >= 0) {
        close(h->line);
    } else if (atomic_load(&h->asked) >= 0) {
        close(atomic_load(&h->asked));
    }
    close(h->event);
    free(h->data);
    free(h);
}
