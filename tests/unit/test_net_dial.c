/* test_net_dial.c - names to addresses, the order in which they are tried, and connections. */
#include "loop/loop.c"

#include "base/limits.h"
#include "net/dial.h"

#include "net/resolve.c"

#include "tap.h"

#include <arpa/inet.h>
#include <netinet/in.h>

static struct address addr(const char *text)
{
    struct address a = {0};

    CHECK_NOTE(address_parse(text, &a), text);
    return a;
}

static void test_interleave(void)
{
    static const char *const in[] = {"2001:db8::1", "2001:db8::2", "2001:db8::3", "192.0.2.1",
                                     "192.0.2.2"};
    static const char *const out[] = {"2001:db8::1", "192.0.2.1", "2001:db8::2", "192.0.2.2",
                                      "2001:db8::3"};
    struct addresses a = {.n = ARRAY_LEN(in)};
    char text[ADDRESS_TEXT_MAX];

    for (unsigned i = 0; i < a.n; i++) {
        a.all[i] = addr(in[i]);
    }
    addresses_interleave(&a);
    CHECK_INT(a.n, ARRAY_LEN(out));
    for (unsigned i = 0; i < a.n; i++) {
        CHECK_STR(address_text(&a.all[i], text), out[i]);
    }
    a = (struct addresses){0};
    addresses_interleave(&a);
    CHECK_INT(a.n, 0);
}

static void test_plan(void)
{
    struct dial_plan p = {.n = 3};
    uint64_t now = 1000;

    limits.connect = 5000;
    CHECK(dial_plan_start(&p, now));
    p.started[p.next++] = now;
    p.last_ms = now;
    CHECK(!dial_plan_start(&p, now + 249));
    CHECK_INT(dial_plan_wait(&p, now + 1), 249);
    CHECK(dial_plan_start(&p, now + 250));
    p.started[p.next++] = now + 250;
    p.last_ms = now + 250;
    CHECK(!dial_plan_start(&p, now + 300));
    /* One of two that failed does not hurry the third; both do. */
    p.started[0] = 0;
    CHECK(!dial_plan_start(&p, now + 300));
    p.started[1] = 0;
    CHECK(dial_plan_start(&p, now + 300));
    CHECK(!dial_plan_over(&p));
    p.started[p.next++] = now + 300;
    p.last_ms = now + 300;
    CHECK(!dial_plan_start(&p, now + 9000));
    CHECK_INT(dial_plan_wait(&p, now + 300), 5000);
    CHECK(!dial_plan_expired(&p, 2, now + 5299));
    CHECK(dial_plan_expired(&p, 2, now + 5300));
    CHECK(!dial_plan_expired(&p, 1, now + 9000));
    p.started[2] = 0;
    CHECK(dial_plan_over(&p));
}

/* --- lookups, with the answers of a test -------------------------------------------------- */

struct asker {
    struct loop *loop;
    struct task task;
    struct lookup lookup;
    struct addresses found;
    struct err err;
    enum lookup_state state;
};

static void asker_run(struct task *t)
{
    struct asker *a = container_of(t, struct asker, task);

    a->state = lookup_poll(&a->lookup, &a->found, &a->err);
    if (a->state != LOOKUP_NOT_YET) {
        loop_stop(a->loop);
    }
}

static void ask(struct asker *a, struct resolver *r, const char *host)
{
    task_init(&a->task, asker_run);
    lookup_start(&a->lookup, r, a->loop, host, &a->task);
    loop_defer(a->loop, &a->task);
    atomic_store(&a->loop->stopping, false);
    loop_run(a->loop);
    lookup_end(&a->lookup);
}

/* Puts an answer into the table as if the pool had given it `age` ms ago. */
static void remember(struct resolver *r, const char *host, const char *text, uint64_t age)
{
    struct resolver_name *n;

    pthread_mutex_lock(&r->lock);
    n = table_get(r, host);
    n->refs--;
    n->found.n = 1;
    n->found.all[0] = addr(text);
    n->found_ms = clock_mono_ms() - age;
    pthread_mutex_unlock(&r->lock);
}

static void test_resolve(struct loop *l)
{
    struct resolver *r = resolver_new(1);
    struct asker a = {.loop = l};
    char text[ADDRESS_TEXT_MAX];

    limits.connect = 5000;
    ask(&a, r, "192.0.2.4");
    CHECK_INT(a.state, LOOKUP_DONE);
    CHECK_STR(address_text(&a.found.all[0], text), "192.0.2.4");
    ask(&a, r, "LocalHost");
    CHECK_INT(a.state, LOOKUP_DONE);
    CHECK(address_is_loopback(&a.found.all[0]));
    CHECK_INT(r->names.count, 0);

    /* No name may end in .invalid (RFC 6761), with or without a server to ask. */
    ask(&a, r, "nowhere.invalid");
    CHECK_INT(a.state, LOOKUP_FAILED);
    CHECK(a.err.code == ERR_UPSTREAM_DOWN || a.err.code == ERR_TIMEOUT);
    CHECK(strstr(a.err.text, "nowhere.invalid") != NULL);
    remember(r, "nowhere.invalid", "192.0.2.5", 10);
    ask(&a, r, "nowhere.invalid");
    CHECK_INT(a.state, LOOKUP_DONE);
    remember(r, "nowhere.invalid", "192.0.2.5", limits.names_fresh + 10);
    ask(&a, r, "nowhere.invalid");
    CHECK_INT(a.state, LOOKUP_DONE); /* old, but nothing better is to be had */
    remember(r, "nowhere.invalid", "192.0.2.5", limits.names_stale + 10);
    ask(&a, r, "nowhere.invalid");
    CHECK_INT(a.state, LOOKUP_FAILED);
    resolver_free(r);
}

static void test_table(void)
{
    struct resolver *r = resolver_new(1);
    struct resolver_name *held;
    char host[32];

    pthread_mutex_lock(&r->lock);
    held = table_get(r, "held");
    for (int i = 0; i < 2 * RESOLVE_NAMES_MAX; i++) {
        snprintf(host, sizeof(host), "h%d", i);
        table_get(r, host)->refs--;
    }
    CHECK_INT(r->names.count, RESOLVE_NAMES_MAX);
    CHECK(table_get(r, "held") == held);
    held->refs = 0;
    pthread_mutex_unlock(&r->lock);
    resolver_free(r);
}

/* --- dialling ------------------------------------------------------------------------------ */

struct dialler {
    struct loop *loop;
    struct task task;
    struct dial *dial;
    enum dial_state state;
    int fd;
    struct address to;
    struct err err;
};

static void dialler_run(struct task *t)
{
    struct dialler *d = container_of(t, struct dialler, task);

    d->state = dial_poll(d->dial, &d->fd, &d->to, &d->err);
    if (d->state != DIAL_NOT_YET) {
        loop_stop(d->loop);
    }
}

static void dial_to(struct dialler *d, struct resolver *r, const struct dial_target *target)
{
    d->err = (struct err){0};
    task_init(&d->task, dialler_run);
    d->dial = dial_new(r, d->loop, target, &d->task);
    loop_defer(d->loop, &d->task);
    atomic_store(&d->loop->stopping, false);
    loop_run(d->loop);
    dial_free(d->dial);
}

static void test_dial(struct loop *l)
{
    struct sockaddr_in a = {.sin_family = AF_INET};
    struct resolver *r = resolver_new(1);
    struct dialler d = {.loop = l};
    struct dial_target target = {.host = "two.invalid"};
    socklen_t len = sizeof(a);
    char text[ADDRESS_TEXT_MAX];
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    /* Listens at 127.0.0.1 only: the name's first address, 127.0.0.2, refuses. */
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    CHECK(bind(fd, (struct sockaddr *)&a, sizeof(a)) == 0 && listen(fd, 4) == 0);
    getsockname(fd, (struct sockaddr *)&a, &len);
    target.port = ntohs(a.sin_port);
    remember(r, "two.invalid", "127.0.0.2", 0);
    pthread_mutex_lock(&r->lock);
    container_of(r->used.next, struct resolver_name, used)->found.all[1] = addr("127.0.0.1");
    container_of(r->used.next, struct resolver_name, used)->found.n = 2;
    pthread_mutex_unlock(&r->lock);
    dial_to(&d, r, &target);
    CHECK_INT(d.state, DIAL_DONE);
    CHECK_STR(address_text(&d.to, text), "127.0.0.1");
    close(d.fd);

    target.public_only = true;
    dial_to(&d, r, &target);
    CHECK_INT(d.state, DIAL_FAILED);
    CHECK(strstr(d.err.text, "private") != NULL);
    target.public_only = false;
    close(fd);
    dial_to(&d, r, &target);
    CHECK_INT(d.state, DIAL_FAILED);
    CHECK_INT(d.err.code, ERR_UPSTREAM_DOWN);
    CHECK(strstr(d.err.text, "two.invalid at 127.0.0.1") != NULL);

    /* Without a resolver not even an address is tried. */
    target.host = "127.0.0.1";
    dial_to(&d, NULL, &target);
    CHECK_INT(d.state, DIAL_FAILED);
    CHECK_INT(d.err.code, ERR_UPSTREAM_DOWN);
    CHECK_STR(d.err.text, "127.0.0.1 is not asked: this server is offline");
    resolver_free(r);
}

int main(void)
{
    struct loop *l = loop_new();

    test_interleave();
    test_plan();
    test_resolve(l);
    test_table();
    test_dial(l);
    loop_free(l);
    return tap_done();
}
