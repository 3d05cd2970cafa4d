/*
 * http/conn.h - a connection of a client, as the files of the server share it. For nobody else.
 *
 *   [TLS] -> HEAD -> EXCHANGE -> [PROVE] -> FLUSH -> [SKIP] -> HEAD …
 *     any of them -> LINGER -> DEAD, or straight to DEAD
 *
 * TLS        the handshake is under way
 * HEAD       waits for a request or for the rest of its head
 * EXCHANGE   a handler has the exchange
 * PROVE      the response is complete and waits for the chunks of a body that the handler did not
 *            read: where they are none, the request was none, and 400 takes its place
 * FLUSH      the response is complete; what the socket did not take yet goes out
 * SKIP       the response is out; the rest of the request's body goes by
 * LINGER     our side is ended; what the client still sends goes by until it closes too
 * DEAD       closed; freed from its task
 */
#ifndef HTTP_CONN_H
#define HTTP_CONN_H

#include "http/chunked.h"
#include "http/pace.h"
#include "http/server.h"

#include <stdatomic.h>

/* A buffer takes whole heads but for the few that are larger; those get a large one. Behind a head
 * at least IN_SPARE bytes are free, for the lines between the chunks of its body. */
#define IN_SMALL 4096u
#define IN_SPARE 256u
#define IN_LARGE (CLIENT_HEAD_MAX + 4096u)
/* Of a request's body that its handler did not read. */
#define SKIP_MAX (256u * 1024)
/* How long a refused client may take to read why. */
#define LINGER_MS 2000u
/* How long a response waits for a further byte of the chunks that it does not need, and for all of
 * them. */
#define PROVE_MS 2000u
#define PROVE_ALL_MS 5000u
/* A client that ended its sending side may be waiting for its answer or be gone, which TCP does not
 * tell; where it takes no byte for so long it counts as gone. */
#define HALF_CLOSED_MS 5000u
/* Reads and requests of one connection in one turn of the loop. */
#define STEPS_A_TURN 32
/* Freed buffers, and exchanges, that a loop keeps. */
#define SPARES_MAX 128

enum conn_state {
    CONN_TLS,
    CONN_HEAD,
    CONN_EXCHANGE,
    CONN_PROVE,
    CONN_FLUSH,
    CONN_SKIP,
    CONN_LINGER,
    CONN_DEAD,
};

/* Pieces of one size, freed ones first. Thread: one loop's. */
struct spares {
    void *first;
    unsigned n;
    size_t size;
};

/* A server on one loop. Thread: that loop's. */
struct http_home {
    struct http_server *server;
    struct loop *loop;
    struct list conns;
    struct spares buffers;
    struct spares exchanges;
    bool draining;
    bool patient; /* … and new connections may ask all the same */
    bool stopped;
    int64_t date_at; /* the second that `date` tells */
    char date[40];   /* a whole Date line */
};

struct http_server {
    struct http_server_options options;
    struct http_home *homes[LOOPS_MAX]; /* each set and used by its loop */
    atomic_uint load[LOOPS_MAX];
    struct crowd *crowd;
};

/* What of a request's body is still to come. */
struct http_body {
    enum http_framing framing;
    uint64_t left; /* HTTP_BODY_LENGTH */
    struct http_chunked chunked;
    bool ended;    /* all of it was read */
    bool bad;      /* it broke its framing or broke off */
    bool expected; /* the client waits for "100 Continue" */
};

/* Bytes that the socket did not take yet. */
struct http_out {
    char *p;
    size_t at;
    size_t len;
    size_t cap;
    size_t overhead; /* how many of them, from `at` on, do not count as body */
};

enum reply_framing {
    REPLY_NONE,    /* not begun */
    REPLY_NO_BODY, /* HEAD, 204, 304: what is sent is swallowed */
    REPLY_LENGTH,
    REPLY_CHUNKED,
    REPLY_UNTIL_CLOSE,
};

/* Owner: its connection. Invariant: conn->exchange is this one. */
struct exchange {
    struct http_exchange pub;
    struct http_conn *conn;
    enum reply_framing framing;
    uint64_t left;       /* REPLY_LENGTH: of the body, to be sent */
    uint64_t chunk_left; /* REPLY_CHUNKED: of the chunk whose size is told */
    bool chunk_open;     /* its data is there, its line end is not */
    uint64_t prove_ends; /* CONN_PROVE: loop time */
};

/* Owner: its home's list; freed from its task. Thread: its loop's. Invariant: at <= end <= cap, and
 * while an exchange is there the first `floor` bytes of `in` are its head and stay. */
struct http_conn {
    struct stream stream;
    struct task task;
    struct timer timer;
    struct list node;
    struct http_home *home;
    const struct http_listener *listener;
    struct exchange *exchange;
    enum conn_state state;
    struct http_parse parse;
    char *in;
    size_t at; /* what is between `at` and `end` was received and not used */
    size_t end;
    size_t cap;
    size_t floor;
    struct http_body body;
    struct http_out out;
    uint64_t skipped;
    struct pace pace; /* of bodies, both ways; of all requests together */
    uint64_t unsent;  /* as of the last look while the client was waited for to take bytes */
    bool running;     /* its task is on the stack */
    bool keep;        /* another request may follow */
    bool wants_send;  /* the handler waits to send, or to read the body */
    bool wants_body;
    bool peer_done;    /* the client ended its sending side */
    bool head_timed;   /* the timer runs for a head that has begun, or for a new connection */
    char client[48];   /* an address, or "unix" */
    char *certificate; /* common name; NULL: none was asked for */
};

static inline struct exchange *exchange_of(struct http_exchange *x)
{
    return container_of(x, struct exchange, pub);
}

/* server.c */
void *spares_take(struct spares *s);
void spares_give(struct spares *s, void *p);
/* A whole Date line of now, its length in *ret_len. */
const char *home_date(struct http_home *home, size_t *ret_len);

/* conn.c */
struct http_conn *conn_new(struct http_home *home, int fd, const struct http_listener *listener,
                           const char *client);
/* Not from inside its task. */
void conn_free(struct http_conn *c);
/* Ends the response: the connection goes on to what follows it, now or from its task. */
void conn_answered(struct http_conn *c);
/* The socket is of no more use: closes it; tells the handler, or ends what has none any more. */
void conn_lost(struct http_conn *c);
/* Ends exchange and connection. */
void conn_drop(struct http_conn *c);
/* The client took or gave n bytes that count; it did not, and somebody waits for that: for it to
 * take some (`sends`), or to give some. */
void conn_moved(struct http_conn *c, size_t n);
void conn_stuck(struct http_conn *c, bool sends);
/* Whether a request is to come: it is new, or bytes have arrived that were not read yet. */
bool conn_is_expected(const struct http_conn *c);
/* Closes it where it waits for a request of which no byte is there. */
void conn_end_idle(struct http_conn *c);

/* body.c */
void body_begin(struct http_body *b, const struct http_head *h);
/* As http_read_body(), without the handler. STREAM_FAILED with body.bad: it broke its framing. */
ssize_t body_read(struct http_conn *c, void *p, size_t n);

/* reply.c */
/* Sends what is pending: 0, STREAM_AGAIN or STREAM_FAILED. `more`: bytes follow at once. */
ssize_t out_flush(struct http_conn *c, bool more) MUST_CHECK;
void out_append(struct http_conn *c, const void *p, size_t n, bool is_body);
void out_free(struct http_conn *c);
/* Queues a whole refusal of a request that never became an exchange. */
void reply_refusal(struct http_conn *c, int status, const char *why);

#endif
