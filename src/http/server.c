/*
 * http/server.c - the server on each loop: its connections, spare memory and the date.
 */
#include "http/server.h"

#include "base/clock.h"
#include "base/counter.h"
#include "base/log.h"
#include "http/conn.h"
#include "http/crowd.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

struct http_server *http_server_new(const struct http_server_options *options)
{
    struct http_server *s = xnew(struct http_server);

    s->options = *options;
    s->crowd = crowd_new(options->connections == 0 ? UINT_MAX : options->connections,
                         options->per_address == 0 ? UINT_MAX : options->per_address);
    return s;
}

static void spares_free(struct spares *s)
{
    while (s->first != NULL) {
        void *next;

        memcpy(&next, s->first, sizeof(next));
        free(s->first);
        s->first = next;
    }
}

static void home_free(struct http_home *home)
{
    if (home == NULL) {
        return;
    }
    list_each_safe(it, &home->conns) {
        conn_free(container_of(it, struct http_conn, node));
    }
    spares_free(&home->buffers);
    spares_free(&home->exchanges);
    free(home);
}

void http_server_free(struct http_server *s)
{
    if (s == NULL) {
        return;
    }
    for (unsigned i = 0; i < LOOPS_MAX; i++) {
        home_free(s->homes[i]);
    }
    crowd_free(s->crowd);
    free(s);
}

static struct http_home *home_get(struct http_server *s, struct loop *l)
{
    struct http_home **at = &s->homes[loop_index(l)];

    if (*at == NULL) {
        *at = xnew(struct http_home);
        (*at)->server = s;
        (*at)->loop = l;
        list_init(&(*at)->conns);
        (*at)->buffers.size = IN_SMALL;
        (*at)->exchanges.size = sizeof(struct exchange);
        (*at)->date_at = -1;
    }
    return *at;
}

/* Before a byte of the request was read, so that it costs next to nothing. */
static void refuse(int fd, const struct http_listener *listener, const char *client)
{
    static const char BODY[] = "{\"errors\":[{\"code\":\"TOOMANYREQUESTS\",\"message\":"
                               "\"there are too many connections, in all or from this address\"}]}";
    char text[512];
    int n = snprintf(text, sizeof(text),
                     "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\n"
                     "Retry-After: 5\r\nConnection: close\r\nContent-Length: %zu\r\n\r\n%s",
                     sizeof(BODY) - 1, BODY);

    count(connections_refused);
    log_event(LOG_WARN, "client.crowd",
              "%s at %s: too many connections (clients.connections, "
              "clients.per_address)",
              client, listener->text);
    if (listener->tls == NULL) {
        ignore_result(send(fd, text, (size_t)n, MSG_DONTWAIT | MSG_NOSIGNAL) < 0);
        ignore_result(shutdown(fd, SHUT_WR) < 0);
    }
    close(fd);
}

void http_server_accept(struct http_server *s, struct loop *l, int fd,
                        const struct http_listener *listener, const char *client)
{
    struct http_home *home = home_get(s, l);

    count(connections_accepted);
    if (home->draining || home->stopped) {
        close(fd);
        return;
    }
    if (!crowd_enter(s->crowd, client)) {
        refuse(fd, listener, client);
        return;
    }
    conn_new(home, fd, listener, client);
}

unsigned http_server_drain(struct http_server *s, struct loop *l, bool patient)
{
    struct http_home *home = home_get(s, l);
    unsigned expected = 0;

    home->draining = true;
    home->patient = patient;
    list_each_safe(it, &home->conns) {
        struct http_conn *c = container_of(it, struct http_conn, node);

        if (patient && conn_is_expected(c)) {
            expected++;
        } else {
            conn_end_idle(c);
        }
    }
    return expected;
}

void http_server_undrain(struct http_server *s, struct loop *l)
{
    home_get(s, l)->draining = false;
}

void http_server_stop(struct http_server *s, struct loop *l)
{
    struct http_home *home = home_get(s, l);

    home->draining = true;
    home->stopped = true;
    list_each_safe(it, &home->conns) {
        conn_lost(container_of(it, struct http_conn, node));
    }
}

unsigned http_server_connections(const struct http_server *s)
{
    unsigned sum = 0;

    for (unsigned i = 0; i < LOOPS_MAX; i++) {
        sum += atomic_load_explicit(&s->load[i], memory_order_relaxed);
    }
    return sum;
}

unsigned http_server_load(const struct http_server *s, const struct loop *l)
{
    return atomic_load_explicit(&s->load[loop_index(l)], memory_order_relaxed);
}

/* --- what the connections of a loop share ------------------------------------------------- */

void *spares_take(struct spares *s)
{
    void *p = s->first;

    if (p == NULL) {
        return xcalloc(1, s->size);
    }
    memcpy(&s->first, p, sizeof(s->first));
    s->n--;
    return p;
}

void spares_give(struct spares *s, void *p)
{
    if (s->n >= SPARES_MAX) {
        free(p);
        return;
    }
    memcpy(p, &s->first, sizeof(s->first));
    s->first = p;
    s->n++;
}

const char *home_date(struct http_home *home, size_t *ret_len)
{
    int64_t now = clock_wall_s();

    if (now != home->date_at) {
        time_t t = now;
        struct tm tm;

        home->date_at = now;
        gmtime_r(&t, &tm);
        strftime(home->date, sizeof(home->date), "Date: %a, %d %b %Y %H:%M:%S GMT\r\n", &tm);
    }
    *ret_len = 37; /* RFC 9110 5.6.7: always the same */
    return home->date;
}
