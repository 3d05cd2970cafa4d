/*
 * tests/bench/relay.c - a link between a client and a server, both on this machine.
 *
 *     relay --to PORT --rate BYTES_PER_SECOND --delay-ms MS [--listen PORT]
 *
 * Every connection made to the relay is carried on to 127.0.0.1:PORT over ONE link: each of its two
 * directions (a `wire`) sends `rate` bytes a second, whoever they belong to, and each byte
 * arrives `delay` after it has left. A connection carries nothing before one round trip is over, as
 * a SYN would need one. What the relay does not imitate: loss, and TCP's slow start.
 *
 * How a byte travels: it waits in the sender's own socket until the wire is free, is read in small
 * pieces (round robin over the connections), takes its time on the wire, and is written when it is
 * due. A connection may have at most twice rate x round trip on its way in each direction, what a
 * receiver does not take included; then its sender is not read any more.
 *
 * It prints "listening on PORT", and for each line on its standard input one line of JSON about the
 * time since the line before:
 * bytes carried each way, how long the wire was busy, how much of its rate was lost because the
 * relay came too late (the machine was too busy: such a run is void), and the latest delivery.
 * End of file on standard input ends it.
 */
#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    PIECE_MAX = 64 * 1024,      /* bytes read at once */
    SOURCE_BUFFER = 256 * 1024, /* of the kernel, where a sender's bytes wait for the wire */
    EVENTS_MAX = 64,
};

#define NS 1000000000ull
#define AHEAD_NS 1000000ull   /* the wire is loaded this long before it is free */
#define CREDIT_NS 20000000ull /* a relay that wakes later than this has lost capacity for good */

enum piece_kind { PIECE_DATA, PIECE_FIN, PIECE_RESET };

struct piece {
    struct piece *next;
    struct pipe *pipe;
    enum piece_kind kind;
    uint64_t due;
    uint32_t off, len;
    char data[PIECE_MAX];
};

struct fifo {
    struct piece *head, **tail;
};

/* One direction of one connection. */
struct pipe {
    struct link *link;
    struct wire *wire;
    struct pipe *next_ready;
    int src, dst;
    bool readable, writable, in_ready;
    bool ended;      /* its end has been put on the wire */
    bool broken;     /* and that is a reset */
    bool done;       /* and it has been delivered */
    bool dropped;    /* the receiver is gone: what arrives is thrown away */
    unsigned pieces; /* of it that exist */
    uint64_t queued; /* their bytes */
    struct fifo out; /* arrived, not yet taken by the receiver */
};

/* One connection. Owner: `opening` until it opens, then itself; freed at the end of the turn in
 * which both pipes are done, because events of that turn may still name it. */
struct link {
    struct link *next;
    uint64_t opens;
    bool buried;
    struct pipe up, down;
};

struct wire {
    uint64_t busy_until;
    bool held;          /* when last loaded, senders still had bytes waiting */
    struct fifo flying; /* in order of arrival */
    struct pipe *ready, **ready_tail;
    uint64_t bytes, busy_ns, lost_ns, late_ns;
};

static struct {
    uint64_t rate, delay_ns, limit;
    uint32_t quantum;
    uint16_t to_port;
    int epoll, listener;
    struct wire up, down;
    struct link *opening, **opening_tail, *graves;
    struct piece *spare;
} g;

static uint64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * NS + (uint64_t)t.tv_nsec;
}

static void die(const char *what)
{
    fprintf(stderr, "relay: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void fifo_push(struct fifo *f, struct piece *p)
{
    p->next = NULL;
    *f->tail = p;
    f->tail = &p->next;
}

static struct piece *fifo_pop(struct fifo *f)
{
    struct piece *p = f->head;

    f->head = p->next;
    if (f->head == NULL) {
        f->tail = &f->head;
    }
    return p;
}

static struct piece *piece_new(struct pipe *pipe, enum piece_kind kind)
{
    struct piece *p = g.spare;

    if (p != NULL) {
        g.spare = p->next;
    } else if ((p = malloc(sizeof(*p))) == NULL) {
        die("memory");
    }
    p->pipe = pipe;
    p->kind = kind;
    p->off = p->len = 0;
    return p;
}

static void piece_free(struct piece *p)
{
    p->next = g.spare;
    g.spare = p;
}

static void pipe_make_ready(struct pipe *p)
{
    if (p->in_ready || !p->readable || p->ended || p->queued >= g.limit) {
        return;
    }
    p->in_ready = true;
    p->next_ready = NULL;
    *p->wire->ready_tail = p;
    p->wire->ready_tail = &p->next_ready;
}

/* Puts a piece on the wire: when it has left, and when it arrives. */
static void wire_send(struct wire *w, struct piece *p, uint64_t now)
{
    uint64_t cost = p->len * NS / g.rate;

    if (!w->held && w->busy_until < now) {
        w->busy_until = now; /* idle until this moment */
    } else if (w->busy_until + CREDIT_NS < now) {
        w->lost_ns += now - CREDIT_NS - w->busy_until;
        w->busy_until = now - CREDIT_NS;
    }
    w->busy_until += cost;
    w->busy_ns += cost;
    w->bytes += p->len;
    p->due = w->busy_until + g.delay_ns;
    p->pipe->queued += p->len;
    p->pipe->pieces++;
    fifo_push(&w->flying, p);
}

/* A reset is sent also behind an end in order: who has closed may still be sent to. */
static void pipe_end(struct pipe *p, enum piece_kind kind, uint64_t now)
{
    if (p->ended && (p->broken || kind != PIECE_RESET)) {
        return;
    }
    p->ended = true;
    p->broken = kind == PIECE_RESET;
    wire_send(p->wire, piece_new(p, kind), now);
}

/* Reads one piece from the sender. */
static void pipe_read(struct pipe *p, uint64_t now)
{
    struct piece *piece = piece_new(p, PIECE_DATA);
    ssize_t n = recv(p->src, piece->data, g.quantum, 0);

    if (n > 0) {
        piece->len = (uint32_t)n;
        wire_send(p->wire, piece, now);
        return;
    }
    piece_free(piece);
    if (n == 0) {
        pipe_end(p, PIECE_FIN, now);
    } else if (errno == EAGAIN) {
        p->readable = false;
    } else if (errno != EINTR) {
        pipe_end(p, PIECE_RESET, now);
    }
}

static void link_bury_if_done(struct link *l)
{
    bool still = l->up.in_ready || l->down.in_ready || l->up.pieces + l->down.pieces > 0;

    if (l->up.done && l->down.done && !still && !l->buried) {
        l->buried = true;
        l->next = g.graves;
        g.graves = l;
    }
}

static void free_graves(void)
{
    while (g.graves != NULL) {
        struct link *l = g.graves;

        g.graves = l->next;
        close(l->up.src);
        close(l->up.dst);
        free(l);
    }
}

/* Loads the wire from the senders that wait, each in its turn, as long as it is free. */
static void wire_load(struct wire *w, uint64_t now)
{
    while (w->ready != NULL && w->busy_until <= now + AHEAD_NS) {
        struct pipe *p = w->ready;

        w->ready = p->next_ready;
        if (w->ready == NULL) {
            w->ready_tail = &w->ready;
        }
        p->in_ready = false;
        if (p->ended) {
            link_bury_if_done(p->link);
        } else {
            pipe_read(p, now);
            pipe_make_ready(p);
        }
    }
    w->held = w->ready != NULL;
}

static struct pipe *pipe_opposite(struct pipe *p)
{
    return p == &p->link->up ? &p->link->down : &p->link->up;
}

/* Returns false when the receiver takes no more for now. */
static bool piece_deliver(struct pipe *p, struct piece *piece, uint64_t now)
{
    while (piece->kind == PIECE_DATA && piece->off < piece->len && !p->dropped) {
        ssize_t n = send(p->dst, piece->data + piece->off, piece->len - piece->off, MSG_NOSIGNAL);

        if (n >= 0) {
            piece->off += (uint32_t)n;
        } else if (errno == EAGAIN) {
            p->writable = false;
            return false;
        } else if (errno != EINTR) {
            p->dropped = true;
            pipe_end(pipe_opposite(p), PIECE_RESET, now); /* the sender hears of it, later */
        }
    }
    if (piece->kind == PIECE_FIN) {
        shutdown(p->dst, SHUT_WR);
    } else if (piece->kind == PIECE_RESET) {
        struct linger hard = {1, 0};

        setsockopt(p->dst, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
        shutdown(p->dst, SHUT_RDWR);
        pipe_end(pipe_opposite(p), PIECE_RESET, now);
    }
    return true;
}

/* Gives the receiver what has arrived. */
static void pipe_flush(struct pipe *p, uint64_t now)
{
    while (p->out.head != NULL && (p->writable || p->dropped)) {
        struct piece *piece = p->out.head;

        if (!piece_deliver(p, piece, now)) {
            return;
        }
        fifo_pop(&p->out);
        p->queued -= piece->len;
        p->pieces--;
        p->done |= piece->kind != PIECE_DATA;
        piece_free(piece);
        pipe_make_ready(p);
    }
    if (p->done) {
        link_bury_if_done(p->link);
    }
}

static void wire_arrive(struct wire *w, uint64_t now)
{
    while (w->flying.head != NULL && w->flying.head->due <= now) {
        struct piece *piece = fifo_pop(&w->flying);
        struct pipe *p = piece->pipe;

        if (now - piece->due > w->late_ns) {
            w->late_ns = now - piece->due;
        }
        fifo_push(&p->out, piece);
        pipe_flush(p, now);
    }
}

static void watch(int fd, struct pipe *in, uint32_t events)
{
    struct epoll_event e = {.events = events, .data.ptr = in};

    if (epoll_ctl(g.epoll, EPOLL_CTL_ADD, fd, &e) < 0) {
        die("epoll_ctl");
    }
}

static int connect_to_server(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(g.to_port)};
    int size = SOURCE_BUFFER, one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0) {
        die("socket");
    }
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    if (connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0) {
        close(fd);
        return -1;
    }
    fcntl(fd, F_SETFL, O_NONBLOCK);
    return fd;
}

/* The round trip of the handshake is over: the server is reached, and bytes may travel. */
static void link_open(struct link *l)
{
    int client = l->up.src, server = connect_to_server();

    if (server < 0) {
        close(client);
        free(l);
        return;
    }
    l->up.dst = l->down.src = server;
    /* An event of either descriptor names the pipe that reads from it; the pipe that writes to
     * it is the opposite one. */
    watch(client, &l->up, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET);
    watch(server, &l->down, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET);
}

static void open_what_is_due(uint64_t now)
{
    while (g.opening != NULL && g.opening->opens <= now) {
        struct link *l = g.opening;

        g.opening = l->next;
        if (g.opening == NULL) {
            g.opening_tail = &g.opening;
        }
        link_open(l);
    }
}

static void pipe_init(struct pipe *p, struct link *l, struct wire *w)
{
    p->link = l;
    p->wire = w;
    p->out.tail = &p->out.head;
}

static void on_accept(uint64_t now)
{
    int one = 1, fd;

    while ((fd = accept4(g.listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        struct link *l = calloc(1, sizeof(*l));

        if (l == NULL) {
            die("memory");
        }
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
        pipe_init(&l->up, l, &g.up);
        pipe_init(&l->down, l, &g.down);
        l->up.src = l->down.dst = fd;
        l->opens = now + 2 * g.delay_ns;
        *g.opening_tail = l;
        g.opening_tail = &l->next;
    }
}

static void on_pipe(struct pipe *in, uint32_t events)
{
    struct pipe *out = pipe_opposite(in);

    if (events & ~(uint32_t)EPOLLOUT) {
        in->readable = true;
        pipe_make_ready(in);
    }
    if (events & ~(uint32_t)EPOLLIN) {
        out->writable = true; /* flushed when the wires are loaded */
    }
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t wire_next(const struct wire *w)
{
    uint64_t next = UINT64_MAX;

    if (w->flying.head != NULL) {
        next = w->flying.head->due;
    }
    if (w->ready != NULL) {
        next = earlier(next, w->busy_until > AHEAD_NS ? w->busy_until - AHEAD_NS / 2 : 0);
    }
    return next;
}

static int wait_for_events(struct epoll_event *events)
{
    uint64_t next = earlier(wire_next(&g.up), wire_next(&g.down)), now = now_ns();
    struct timespec t;

    if (g.opening != NULL) {
        next = earlier(next, g.opening->opens);
    }
    if (next == UINT64_MAX) {
        return epoll_wait(g.epoll, events, EVENTS_MAX, -1);
    }
    next = next > now ? next - now : 0;
    t.tv_sec = (time_t)(next / NS);
    t.tv_nsec = (long)(next % NS);
    return epoll_pwait2(g.epoll, events, EVENTS_MAX, &t, NULL);
}

static void wire_report(const char *name, struct wire *w)
{
    printf("\"%s\": {\"bytes\": %" PRIu64 ", \"busy_s\": %.6f, \"lost_s\": %.6f, "
           "\"latest_s\": %.6f}",
           name, w->bytes, (double)w->busy_ns / 1e9, (double)w->lost_ns / 1e9,
           (double)w->late_ns / 1e9);
    w->bytes = w->busy_ns = w->lost_ns = w->late_ns = 0;
}

static void on_stdin(void)
{
    char line[64];

    if (read(STDIN_FILENO, line, sizeof(line)) <= 0) {
        exit(0);
    }
    printf("{");
    wire_report("up", &g.up);
    printf(", ");
    wire_report("down", &g.down);
    printf("}\n");
    fflush(stdout);
}

static void run(void)
{
    struct epoll_event events[EVENTS_MAX];

    for (;;) {
        int n = wait_for_events(events);
        uint64_t now = now_ns();

        for (int i = 0; i < n; i++) {
            if (events[i].data.ptr == &g.listener) {
                on_accept(now);
            } else if (events[i].data.ptr == &g.spare) {
                on_stdin();
            } else {
                on_pipe(events[i].data.ptr, events[i].events);
            }
        }
        wire_load(&g.up, now);
        wire_load(&g.down, now);
        for (int i = 0; i < n; i++) {
            if (events[i].data.ptr != &g.listener && events[i].data.ptr != &g.spare &&
                (events[i].events & ~(uint32_t)EPOLLIN)) {
                pipe_flush(pipe_opposite(events[i].data.ptr), now);
            }
        }
        wire_arrive(&g.up, now);
        wire_arrive(&g.down, now);
        open_what_is_due(now);
        free_graves();
    }
}

static void start_listening(uint16_t port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
    socklen_t len = sizeof(a);
    int one = 1;

    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    g.listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    setsockopt(g.listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (g.listener < 0 || bind(g.listener, (struct sockaddr *)&a, sizeof(a)) < 0 ||
        listen(g.listener, 1024) < 0 || getsockname(g.listener, (struct sockaddr *)&a, &len) < 0) {
        die("listen");
    }
    printf("listening on %u\n", ntohs(a.sin_port));
    fflush(stdout);
}

static void wire_init(struct wire *w)
{
    w->flying.tail = &w->flying.head;
    w->ready_tail = &w->ready;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"to", 1, NULL, 't'},     {"rate", 1, NULL, 'r'}, {"delay-ms", 1, NULL, 'd'},
        {"listen", 1, NULL, 'l'}, {NULL, 0, NULL, 0},
    };
    uint16_t port = 0;
    int c;

    while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (c) {
        case 't':
            g.to_port = (uint16_t)strtoul(optarg, NULL, 10);
            break;
        case 'r':
            g.rate = strtoull(optarg, NULL, 10);
            break;
        case 'd':
            g.delay_ns = (uint64_t)(strtod(optarg, NULL) * 1e6);
            break;
        case 'l':
            port = (uint16_t)strtoul(optarg, NULL, 10);
            break;
        default:
            return 2;
        }
    }
    if (g.rate == 0 || g.to_port == 0) {
        fprintf(stderr, "usage: relay --to PORT --rate BYTES --delay-ms MS [--listen PORT]\n");
        return 2;
    }
    /* A piece takes about half a millisecond, so that sixty connections share as they would. */
    g.quantum = (uint32_t)earlier(PIECE_MAX, g.rate / 2000 < 1500 ? 1500 : g.rate / 2000);
    g.limit = g.rate * 2 * g.delay_ns / NS * 2 + PIECE_MAX;
    g.opening_tail = &g.opening;
    wire_init(&g.up);
    wire_init(&g.down);
    signal(SIGPIPE, SIG_IGN);
    /* A link does not slow down because the machine is busy. Where this is refused, a run that
     * was disturbed is seen by what was lost. */
    (void)!setpriority(PRIO_PROCESS, 0, -19);
    g.epoll = epoll_create1(EPOLL_CLOEXEC);
    start_listening(port);
    watch(g.listener, (struct pipe *)&g.listener, EPOLLIN);
    watch(STDIN_FILENO, (struct pipe *)&g.spare, EPOLLIN);
    run();
}
