/* admin/control.c - what the control socket answers: at once, or by a job of a pool. */
#include "admin/control.h"

#include "admin/metrics.h"
#include "base/counter.h"
#include "oci/errbody.h"
#include "oci/query.h"
#include "oci/route.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>

#define COUNTERS_MAX (64u * 1024)
#define JSON_HEADERS "Content-Type: application/json\r\n"
/* Of a body, read in one turn of the loop. */
#define READ_PIECE (16u * 1024)
#define READ_TURN (256u * 1024)
#define TEXT_HEADERS "Content-Type: text/plain\r\n"
/* Commands under way at once: the disk pool has others to serve. */
#define LIVE_MAX 4
#define CLIENT_MAX 64

/* Owner: the server. Any thread. */
struct control {
    struct admin admin;
    atomic_uint live;
    atomic_bool draining;
};

/* A command under way. Owner: itself, until its end. Thread: the exchange's loop, but for run(). */
struct command {
    struct job job;
    struct task task; /* runs when something happened to the exchange */
    struct control *control;
    struct http_exchange *x; /* NULL: the client left */
    const struct admin_command *what;
    struct admin_query query;
    bool reading; /* its body has not come to its end */
    struct buf body;
    struct buf name;
    char client[CLIENT_MAX];
    char after[ADMIN_NAME_MAX];
    struct buf out;
    struct err err;
    int result;
};

/* --- answers ------------------------------------------------------------------------------- */

static void refuse_with(struct http_exchange *x, enum err_code code, const char *message,
                        const char *detail)
{
    struct buf body;

    buf_init(&body, ADMIN_ANSWER_MAX);
    errbody_write(&body, err_oci_code(code), message, detail);
    http_reply(x, err_status(code), slice_str(JSON_HEADERS), buf_view(&body));
    buf_free(&body);
}

static void refuse(struct http_exchange *x, enum err_code code, const char *message)
{
    refuse_with(x, code, message, NULL);
}

static bool is_read(const struct http_exchange *x)
{
    return x->head.method == HTTP_GET || x->head.method == HTTP_HEAD;
}

static void reply_counters(struct control *c, struct http_exchange *x)
{
    struct store_numbers n = store_numbers(c->admin.store);
    struct buf body;

    buf_init(&body, COUNTERS_MAX);
    for (int i = 0; i < COUNTER_COUNT; i++) {
        buf_printf(&body, "%s\"%s\":%lld", i == 0 ? "{" : ",", counter_name((enum counter)i),
                   (long long)counter_sum((enum counter)i));
    }
    buf_printf(&body,
               ",\"store_held_bytes\":%" PRIu64 ",\"store_budget_bytes\":%" PRIu64
               ",\"store_free_bytes\":%" PRIu64 ",\"index_bytes\":%" PRIu64 "}\n",
               n.held, n.budget, n.free, n.index);
    http_reply(x, 200, slice_str(JSON_HEADERS), buf_view(&body));
    buf_free(&body);
}

static void reply_metrics(struct control *c, struct http_exchange *x)
{
    struct buf body;

    buf_init(&body, METRICS_MAX);
    metrics_write(c->admin.store, &body);
    http_reply(x, 200, slice_str("Content-Type: " METRICS_CONTENT_TYPE "\r\n"), buf_view(&body));
    buf_free(&body);
}

/* A process that answers at all is healthy; it is ready until it was told to stop. */
static void reply_health(struct control *c, struct http_exchange *x)
{
    bool ready = slice_is(x->head.path, "/healthz") || !atomic_load(&c->draining);

    http_reply(x, ready ? 200 : 503, slice_str(TEXT_HEADERS),
               slice_str(ready ? "ok\n" : "stopping\n"));
}

static bool is_health(struct slice path)
{
    return slice_is(path, "/healthz") || slice_is(path, "/readyz");
}

bool control_takes(const struct http_exchange *x, bool operator)
{
    return is_health(x->head.path) || (operator&& slice_is(x->head.path, "/metrics"));
}

/* --- commands ------------------------------------------------------------------------------ */

static void command_free(struct command *c)
{
    task_cancel(&c->task);
    atomic_fetch_sub(&c->control->live, 1);
    buf_free(&c->name);
    buf_free(&c->body);
    buf_free(&c->out);
    free(c);
}

static void command_run(struct job *j)
{
    struct command *c = container_of(j, struct command, job);

    c->result = admin_run(&c->control->admin, c->what, &c->query, &c->out, &c->err);
}

static void on_done(struct job *j)
{
    struct command *c = container_of(j, struct command, job);
    struct http_exchange *x = c->x;

    if (x != NULL && x->gone) {
        http_abort(x);
    } else if (x != NULL && c->result < 0) {
        refuse_with(x, c->err.code, c->err.text, c->out.len > 0 ? c->out.p : NULL);
    } else if (x != NULL) {
        http_reply(x, 200, slice_str(c->what->is_text ? TEXT_HEADERS : JSON_HEADERS),
                   buf_view(&c->out));
    }
    command_free(c);
}

static void command_submit(struct command *c)
{
    struct store *s = c->control->admin.store;

    c->reading = false;
    c->query.body = buf_view(&c->body);
    pool_submit(c->what->is_idle ? store_idle(s) : store_disk(s), c->x->loop, &c->job, command_run,
                on_done);
}

/* What comes of the body; at its end the command begins. */
static void command_read(struct command *c)
{
    char piece[READ_PIECE];
    ssize_t got = STREAM_AGAIN;

    for (size_t turn = 0; turn < READ_TURN; turn += (size_t)got) {
        got = http_read_body(c->x, piece, sizeof(piece));
        if (got <= 0) {
            break;
        }
        buf_append(&c->body, piece, (size_t)got);
    }
    if (got == 0 && !c->body.failed) {
        command_submit(c);
    } else if (got == STREAM_FAILED || got == 0 || c->body.failed) {
        if (c->x->gone) {
            http_abort(c->x);
        } else if (c->body.failed) {
            refuse(c->x, ERR_TOO_LARGE, "the body is too long");
        } else {
            refuse(c->x, ERR_BAD_REQUEST, "the body breaks off, or its framing is wrong");
        }
        command_free(c);
    } else if (got != STREAM_AGAIN) {
        loop_defer(c->x->loop, &c->task); /* others have their turn first */
    }
}

/* There is more to read; or nobody waits for the answer any more, and the command goes on without.
 */
static void on_task(struct task *t)
{
    struct command *c = container_of(t, struct command, task);

    if (c->reading) {
        command_read(c);
    } else if (c->x != NULL && c->x->gone) {
        http_abort(c->x);
        c->x = NULL;
    }
}

static bool is_yes(struct slice query, const char *name)
{
    struct buf value;
    bool yes;

    buf_init(&value, 16);
    yes = query_get(query, name, &value) && slice_is(buf_view(&value), "1");
    buf_free(&value);
    return yes;
}

/* The name that is asked for; false where it can be none: what is cut short would mean another. */
static bool read_name(struct command *c, struct slice query)
{
    buf_init(&c->name, ADMIN_NAME_MAX);
    ignore_result(query_get(query, "repository", &c->name));
    c->query.name = c->name.len == 0 ? "" : c->name.p;
    return !c->name.failed && strlen(c->query.name) == c->name.len;
}

/* What lock is asked; false where that can be no time or no address. */
static bool read_pulls(struct command *c, struct slice query)
{
    uint64_t since = 0;
    struct buf text;
    bool good = true;

    buf_init(&text, CLIENT_MAX);
    if (query_get(query, "since", &text)) {
        good = slice_u64(buf_view(&text), &since) && since <= INT64_MAX;
    }
    buf_free(&text);
    buf_init(&text, CLIENT_MAX);
    if (query_get(query, "client", &text)) {
        good = good && !text.failed && slice_copy(buf_view(&text), c->client, sizeof(c->client));
    }
    buf_free(&text);
    c->query.since = (int64_t)since;
    c->query.client = c->client;
    return good;
}

/* What a page is asked by; false where that can be no line and no number. */
static bool read_page(struct command *c, struct slice query)
{
    struct buf text;
    bool good = true;

    buf_init(&text, ADMIN_NAME_MAX);
    if (query_get(query, "after", &text)) {
        good = !text.failed && slice_copy(buf_view(&text), c->after, sizeof(c->after));
    }
    buf_free(&text);
    buf_init(&text, CLIENT_MAX);
    if (query_get(query, "n", &text)) {
        good = good && slice_u64(buf_view(&text), &c->query.n);
    }
    buf_free(&text);
    c->query.after = c->after;
    return good;
}

static void command_start(struct control *control, struct http_exchange *x,
                          const struct admin_command *what)
{
    struct command *c = xnew(struct command);

    c->control = control;
    c->what = what;
    c->x = x;
    task_init(&c->task, on_task);
    buf_init(&c->body, what->body_max);
    if (!read_name(c, x->head.query)) {
        refuse(x, ERR_NAME_INVALID, c->name.failed ? "the name is too long" : "this is no name");
        command_free(c);
        return;
    }
    if (!read_pulls(c, x->head.query)) {
        refuse(x, ERR_BAD_REQUEST, "since takes seconds since 1970, client an address");
        command_free(c);
        return;
    }
    if (!read_page(c, x->head.query)) {
        refuse(x, ERR_BAD_REQUEST, "after takes the last line of the page before, n a number");
        command_free(c);
        return;
    }
    c->query.all = is_yes(x->head.query, "all");
    c->query.dry_run = is_yes(x->head.query, "dry_run");
    x->owner = &c->task;
    if (what->body_max > 0) {
        c->reading = true;
        command_read(c);
    } else {
        command_submit(c);
    }
}

/* Whether this client may have it done; else the exchange is answered. */
static bool may_run(struct http_exchange *x, const struct admin_command *what)
{
    bool local = strcmp(x->client, "unix") == 0 || strcmp(x->client, "127.0.0.1") == 0 ||
                 strcmp(x->client, "::1") == 0;

    if (what->changes ? x->head.method != HTTP_POST : !is_read(x)) {
        refuse(x, ERR_UNSUPPORTED,
               what->changes ? "this is asked for by POST" : "this is asked for by GET");
        return false;
    }
    if (what->takes && x->listener->role != ROLE_CONTROL) {
        refuse(x, ERR_DENIED, "this is for the server that ran before, by the control socket");
        return false;
    }
    if (what->changes && (!local || http_field(&x->head, "Origin").p != NULL)) {
        refuse(x, ERR_DENIED, "this is for commands on the same machine");
        return false;
    }
    return true;
}

static void command_handle(struct control *c, struct http_exchange *x,
                           const struct admin_command *what)
{
    if (!may_run(x, what)) {
        return;
    }
    if (atomic_fetch_add(&c->live, 1) >= LIVE_MAX && !what->takes) {
        atomic_fetch_sub(&c->live, 1);
        refuse(x, ERR_UNAVAILABLE, "other commands are under way; try again");
        return;
    }
    command_start(c, x, what);
}

/* What is only read, and at once. */
static void look_handle(struct control *c, struct http_exchange *x)
{
    struct slice path = x->head.path;
    bool metrics = slice_is(path, "/metrics");
    bool counters = slice_is(path, CONTROL_PREFIX "counters");

    if (!metrics && !counters && !is_health(path)) {
        refuse(x, ERR_NOT_FOUND,
               "here are /healthz, /readyz, /metrics, and counters and commands "
               "under " CONTROL_PREFIX);
    } else if (!is_read(x)) {
        refuse(x, ERR_UNSUPPORTED, "this is read by GET");
    } else if (metrics) {
        reply_metrics(c, x);
    } else if (counters) {
        reply_counters(c, x);
    } else {
        reply_health(c, x);
    }
}

void control_handle(struct control *c, struct http_exchange *x)
{
    const struct admin_command *what = NULL;

    if (slice_starts(x->head.path, CONTROL_PREFIX)) {
        what = admin_find(slice_from(x->head.path, strlen(CONTROL_PREFIX)));
    }
    if (what != NULL) {
        command_handle(c, x, what);
    } else {
        look_handle(c, x);
    }
}

void control_drain(struct control *c)
{
    atomic_store(&c->draining, true);
}

/* --- life ---------------------------------------------------------------------------------- */

struct control *control_new(const struct admin *a)
{
    struct control *c = xnew(struct control);

    c->admin = *a;
    c->admin.stopping = &c->draining;
    return c;
}

void control_free(struct control *c)
{
    free(c);
}

unsigned control_live(const struct control *c)
{
    return atomic_load(&c->live);
}
