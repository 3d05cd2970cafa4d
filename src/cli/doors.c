/* cli/doors.c - from the configuration's listeners to bound ones. */
#include "cli/doors.h"

#include "net/supervisor.h"
#include "net/tls.h"

#include <stdlib.h>

/* Where sockets may come from that are bound already. */
struct bound {
    struct inheritance *from; /* NULL: no process was before */
    struct supervisor given;
};

static int bind_one(struct listeners *ls, struct bound *b, const char *address, struct err *err)
{
    const char *text = NULL;
    int fd = b->from == NULL ? -1 : inheritance_take(b->from, address, &text);

    if (fd >= 0) {
        return listeners_inherit(ls, fd, text, err);
    }
    fd = supervisor_take(&b->given, address);
    return fd >= 0 ? listeners_add_socket(ls, fd, address, err) : listeners_add(ls, address, err);
}

static int make_keys(const struct config_listener *l, unsigned i, struct http_listener *door,
                     struct err *err)
{
    struct err why = {0};
    enum tls_file bad;

    if (l->certificate == NULL) {
        return 0;
    }
    door->tls = tls_keys_new(l->certificate, l->key, l->client_ca, &bad, &why);
    return door->tls != NULL ? 0 : err_set(err, why.code, "listen[%u].tls: %s", i, why.text);
}

static int open_one(struct doors *d, const struct config_listener *l, struct listeners *ls,
                    struct bound *b, struct err *err)
{
    unsigned i = d->n;

    if (bind_one(ls, b, l->address, err) < 0) {
        return -1;
    }
    d->all[i].text = listeners_text(ls, i);
    d->all[i].role = (int)l->role;
    d->all[i].push = l->push;
    d->n++;
    if (l->role != ROLE_ADMIN && l->role != ROLE_CONTROL) {
        d->images[d->n_images++] = d->all[i].text;
    }
    return make_keys(l, i, &d->all[i], err);
}

int doors_init(struct doors *d, const struct config *config, bool alone, struct inheritance *from,
               struct listeners *ls, struct err *err)
{
    size_t n = alone ? 0 : config->n_listeners;
    _cleanup_free_ char *path = xasprintf("unix:%s/control.sock", config->data);
    struct config_listener control = {.address = path, .role = ROLE_CONTROL};
    struct bound bound = {.from = from};

    d->all = xcalloc(n + 1, sizeof(*d->all));
    d->images = xcalloc(n + 1, sizeof(*d->images));
    if (!alone && supervisor_receive(&bound.given, err) < 0) {
        return -1;
    }
    for (size_t i = 0; i <= n; i++) {
        if (open_one(d, i < n ? &config->listeners[i] : &control, ls, &bound, err) < 0) {
            return -1;
        }
    }
    return supervisor_done(&bound.given, err);
}

void doors_fini(struct doors *d)
{
    for (unsigned i = 0; i < d->n; i++) {
        tls_keys_free(d->all[i].tls);
    }
    free(d->all);
    free(d->images);
    *d = (struct doors){0};
}

void doors_renew_keys(const struct doors *d, bool force)
{
    for (unsigned i = 0; i < d->n; i++) {
        const struct http_listener *l = &d->all[i];
        struct err err = {0};
        int now = l->tls == NULL ? 0 : tls_keys_renew(l->tls, force, &err);

        if (now > 0) {
            log_event(LOG_INFO, "listen.keys", "%s: certificate and key read again", l->text);
        } else if (now < 0) {
            log_event(LOG_ERROR, "listen.keys", "%s: those before stay in use: %s", l->text,
                      err.text);
        }
    }
}
