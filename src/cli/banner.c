/* cli/banner.c - the first lines that an operator sees. */
#include "cli/banner.h"

#include "cli/render.h"
#include "net/listen.h"
#include "registry/access.h"

#include <inttypes.h>
#include <stdio.h>

static const char *scheme(const struct http_listener *l)
{
    if (strncmp(l->text, "unix:", 5) == 0) {
        return "";
    }
    return l->tls != NULL ? "https://" : "http://";
}

static void print_listeners(const struct http_listener *all, unsigned n)
{
    static const char *const ROLES[] = {"", ", mirror only", ", role registry", ", commands only"};

    for (unsigned i = 0; i < n; i++) {
        if (all[i].role == ROLE_CONTROL) {
            fprintf(stderr, "larder: control socket %s\n", all[i].text + 5);
            continue;
        }
        fprintf(stderr, "larder: listening on %s%s%s\n", scheme(&all[i]), all[i].text,
                ROLES[all[i].role]);
        if (!access_is_local(all[i].text)) {
            fprintf(stderr,
                    "larder:   reachable from other machines: upstreams that have a credential%s "
                    "are refused there\n",
                    all[i].push ? "" : ", and pushes,");
        }
    }
}

static void print_sizes(const struct config *c, const struct store *s)
{
    fprintf(stderr, "larder: data in %s, %" PRIu64 " MB used of at most %" PRIu64 " MB\n", c->data,
            store_bytes(s) / 1000000, store_budget(s) / 1000000);
}

static void print_upstreams(const struct config *c)
{
    fprintf(stderr, "larder: mirrors");
    for (size_t i = 0; i < c->n_upstreams; i++) {
        fprintf(stderr, "%s %s%s", i == 0 ? "" : ",", c->upstreams[i].name,
                c->upstreams[i].is_default ? " (default)" : "");
    }
    fprintf(stderr, "%s\n", c->cache.offline ? "; offline: from what is here only" : "");
}

static void print_lock(const struct config *c)
{
    if (c->lock != NULL) {
        fprintf(stderr, "larder: tags are those of %s: %zu image%s\n", c->lock_path, c->lock->n,
                render_s(c->lock->n));
    }
}

static void print_hosted(const struct config *c)
{
    fprintf(stderr, c->n_hosted > 0 ? "larder: takes pushes to" : "larder: takes no pushes");
    for (size_t i = 0; i < c->n_hosted; i++) {
        fprintf(stderr, "%s %s", i == 0 ? "" : ",", c->hosted[i].pattern);
    }
    fprintf(stderr, "\n");
}

/* --- how to point Docker here ---------------------------------------------------------------- */

/* Whether Docker can reach it, and whether it is asked for a user there. */
static bool takes_images(const struct http_listener *l)
{
    return l->role != ROLE_ADMIN && l->role != ROLE_CONTROL && strncmp(l->text, "unix:", 5) != 0;
}

static bool asks(const struct config *c, const struct http_listener *l)
{
    return l->role == ROLE_REGISTRY && c->htpasswd != NULL;
}

/* The one to name: as a mirror Docker signs in with what it has for its hub, so rather one that
 * does not ask; and this machine's Docker comes by loopback. NULL: there is none. */
static const struct http_listener *choose(const struct config *c, const struct http_listener *all,
                                          unsigned n)
{
    const struct http_listener *best = NULL;
    int most = -1;

    for (unsigned i = 0; i < n; i++) {
        int worth = (asks(c, &all[i]) ? 0 : 2) + (access_is_local(all[i].text) ? 1 : 0);

        if (takes_images(&all[i]) && worth > most) {
            best = &all[i];
            most = worth;
        }
    }
    return best;
}

/* All addresses of a machine are none to connect to: "HOST:5000". */
static void address(const struct http_listener *l, char *out, size_t size)
{
    bool any = strncmp(l->text, "0.0.0.0:", 8) == 0 || strncmp(l->text, "[::]:", 5) == 0;

    snprintf(out, size, "%s%s", any ? "HOST" : "", any ? strrchr(l->text, ':') : l->text);
}

static void print_docker(const struct config *c, const struct http_listener *all, unsigned n)
{
    const struct http_listener *l = choose(c, all, n);
    char where[LISTEN_TEXT_MAX];

    if (l == NULL) {
        return;
    }
    address(l, where, sizeof(where));
    if (asks(c, l)) {
        fprintf(stderr, "larder: for Docker: docker login %s\n", where);
    } else {
        fprintf(stderr,
                "larder: for Docker, in /etc/docker/daemon.json: "
                "{\"registry-mirrors\": [\"%s%s\"]}\n",
                scheme(l), where);
    }
}

void banner_print(const struct config *c, const struct store *s, const struct http_listener *all,
                  unsigned n)
{
    fprintf(stderr, "larder: version %s\n", LARDER_VERSION);
    print_sizes(c, s);
    print_upstreams(c);
    print_lock(c);
    print_hosted(c);
    print_docker(c, all, n);
    print_listeners(all, n);
}
