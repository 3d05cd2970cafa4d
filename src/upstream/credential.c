/* upstream/credential.c - choosing, reading and keeping what upstreams are signed in with. */
#include "upstream/credential.h"

#include "base/clock.h"
#include "base/counter.h"
#include "base/file.h"
#include "base/limits.h"
#include "base/log.h"
#include "http/basic.h"
#include "oci/pattern.h"
#include "upstream/helper.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

#define PASSWORD_FILE_MAX (64u * 1024)
#define BASIC_MAX 16384

static char *copy_or_null(const char *s)
{
    return s == NULL ? NULL : xstrdup(s);
}

static void free_secret(char *s)
{
    if (s != NULL) {
        explicit_bzero(s, strlen(s));
    }
    free(s);
}

/* --- secrets -------------------------------------------------------------------------------- */

/* Takes the strings over. */
static struct secret *secret_new(char *user, char *password, char *identity_token)
{
    static atomic_uint serial;
    struct secret *s = xnew(struct secret);

    atomic_init(&s->refs, 1);
    s->serial = atomic_fetch_add(&serial, 1);
    s->user = user;
    s->password = password;
    s->identity_token = identity_token;
    return s;
}

void secret_ref(struct secret *s)
{
    atomic_fetch_add(&s->refs, 1);
}

void secret_unref(struct secret *s)
{
    if (s != NULL && atomic_fetch_sub(&s->refs, 1) == 1) {
        free(s->user);
        free_secret(s->password);
        free_secret(s->identity_token);
        free(s);
    }
}

static bool same_text(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static bool secret_equal(const struct secret *a, const struct secret *b)
{
    return same_text(a->user, b->user) && same_text(a->password, b->password) &&
           same_text(a->identity_token, b->identity_token);
}

void secret_basic(const struct secret *s, struct buf *out)
{
    if (s->password != NULL) {
        http_basic(out, slice_str(s->user == NULL ? "" : s->user), slice_str(s->password));
    }
}

/* --- life ----------------------------------------------------------------------------------- */

static uint64_t mix(uint64_t id, const char *s)
{
    for (; s != NULL && *s != '\0'; s++) {
        id = (id ^ (unsigned char)*s) * 1099511628211u;
    }
    return id;
}

/* Nothing of a secret goes into it, as it is kept on disk. So what has no user is told apart by
 * where it comes from and what it is for. */
static uint64_t make_id(const char *upstream, const struct credential_options *o)
{
    uint64_t id = mix(mix(14695981039346656037u, upstream), o->user);

    id = mix(mix(mix(id, o->docker_config), o->helper), o->server);
    for (size_t i = 0; o->user == NULL && i < o->n_repositories; i++) {
        id = mix(mix(id, " "), o->repositories[i]);
    }
    return id | 1;
}

bool credential_is_read(const struct credential_options *o)
{
    return o->password_file != NULL || o->docker_config != NULL || o->helper != NULL;
}

void credential_init(struct credential *c, const char *upstream, const struct credential_options *o,
                     struct pool *pool)
{
    *c = (struct credential){
        .id = make_id(upstream, o),
        .upstream = xstrdup(upstream),
        .repositories = xcalloc(o->n_repositories, sizeof(*c->repositories)),
        .n_repositories = o->n_repositories,
        .user = copy_or_null(o->user),
        .password_file = copy_or_null(o->password_file),
        .docker_config = copy_or_null(o->docker_config),
        .helper = copy_or_null(o->helper),
        .server = xstrdup(o->server != NULL ? o->server : docker_server(upstream)),
        .pool = credential_is_read(o) ? pool : NULL,
    };
    for (size_t i = 0; i < o->n_repositories; i++) {
        c->repositories[i] = xstrdup(o->repositories[i]);
    }
    if (!credential_is_read(o)) {
        c->known = secret_new(copy_or_null(o->user), copy_or_null(o->password),
                              copy_or_null(o->identity_token));
    }
    pthread_mutex_init(&c->lock, NULL);
    bell_init(&c->bell);
}

void credential_fini(struct credential *c)
{
    for (size_t i = 0; i < c->n_repositories; i++) {
        free(c->repositories[i]);
    }
    secret_unref(c->known);
    bell_fini(&c->bell);
    pthread_mutex_destroy(&c->lock);
    free(c->repositories);
    free(c->upstream);
    free(c->user);
    free(c->password_file);
    free(c->docker_config);
    free(c->helper);
    free(c->server);
}

static bool holds(const struct credential *c, const char *repo)
{
    for (size_t i = 0; i < c->n_repositories; i++) {
        if (pattern_match(slice_str(c->repositories[i]), slice_str(repo))) {
            return true;
        }
    }
    return c->n_repositories == 0;
}

struct credential *credential_choose(struct credential *list, size_t n, const char *repo)
{
    for (size_t i = 0; i < n; i++) {
        if (holds(&list[i], repo)) {
            return &list[i];
        }
    }
    return NULL;
}

/* --- reading, in the pool ------------------------------------------------------------------- */

/* The password of a file: all of it, less the line end behind it. */
static struct secret *read_password(const struct credential *c, struct err *err)
{
    struct stat st;
    char *text;
    size_t len;

    if (stat(c->password_file, &st) == 0 && (st.st_mode & S_IRWXO) != 0) {
        err_set(err, ERR_CONFIG, "%.120s: others may read it; it must be \"chmod o=\"",
                c->password_file);
        return NULL;
    }
    if (file_read(c->password_file, PASSWORD_FILE_MAX, &text, &len, err) < 0) {
        return NULL;
    }
    while (len > 0 && (text[len - 1] == '\n' || text[len - 1] == '\r')) {
        text[--len] = '\0';
    }
    if (len == 0 || strlen(text) != len || strpbrk(text, "\r\n") != NULL) {
        free_secret(text);
        err_set(err, ERR_CONFIG, "%.120s: must hold the password alone, in one line",
                c->password_file);
        return NULL;
    }
    return secret_new(xstrdup(c->user), text, NULL);
}

/* "user:password" of base64; NULL where it is not that. */
static struct secret *from_basic(const char *base64)
{
    _cleanup_free_ char *field = xasprintf("Basic %s", base64);
    _cleanup_free_ char *plain = xcalloc(BASIC_MAX, 1);
    struct secret *s = NULL;
    char *colon = NULL;
    size_t n = 0;

    if (http_basic_read(slice_str(field), plain, BASIC_MAX - 1, &n) && strlen(plain) == n) {
        colon = strchr(plain, ':');
    }
    if (colon != NULL) {
        s = secret_new(xstrndup(plain, (size_t)(colon - plain)), xstrdup(colon + 1), NULL);
    }
    explicit_bzero(field, strlen(field));
    explicit_bzero(plain, n);
    return s;
}

/* Takes what `a` has. */
static struct secret *from_auth(struct docker_auth *a, struct err *err)
{
    struct secret *s = NULL;

    if (a->basic != NULL) {
        s = from_basic(a->basic);
        if (s == NULL) {
            err_set(err, ERR_CONFIG, "its \"auth\" is not base64 of user:password");
        }
    } else {
        s = secret_new(a->user, a->password, a->identity_token);
        a->user = NULL;
        a->password = NULL;
        a->identity_token = NULL;
    }
    docker_auth_free(a);
    return s;
}

static struct secret *ask_helper(const char *name, const char *server, struct err *err)
{
    struct docker_auth a = {0};

    return helper_get(name, server, &a, err) < 0 ? NULL : from_auth(&a, err);
}

static struct secret *read_docker(const struct credential *c, struct err *err)
{
    struct docker_auth a = {0};
    struct secret *s = NULL;
    char *text;
    size_t len;

    if (file_read(c->docker_config, DOCKER_CONFIG_MAX, &text, &len, err) < 0) {
        return NULL;
    }
    if (docker_config_parse(slice_of(text, len), c->server, &a, err) == 0) {
        s = a.helper != NULL ? ask_helper(a.helper, a.server, err) : from_auth(&a, err);
    }
    explicit_bzero(text, len);
    free(text);
    docker_auth_free(&a);
    if (s == NULL) {
        err_wrap(err, "%.100s", c->docker_config);
    }
    return s;
}

static struct secret *read_secret(const struct credential *c, struct err *err)
{
    if (c->password_file != NULL) {
        return read_password(c, err);
    }
    return c->helper != NULL ? ask_helper(c->helper, c->server, err) : read_docker(c, err);
}

static void look(struct job *job)
{
    struct credential *c = container_of(job, struct credential, job);

    c->found_err = (struct err){0};
    c->found = read_secret(c, &c->found_err);
    if (c->found == NULL) {
        count(credential_failures);
        log_event(LOG_WARN, "credential.failed", "%s: %s", c->upstream, c->found_err.text);
    }
}

/* What was known stays where nothing better is found: it may be good yet. Behind the lock the job
 * may be submitted again. */
static void looked(struct job *job)
{
    struct credential *c = container_of(job, struct credential, job);
    struct secret *s = c->found;
    struct secret *old = s;

    c->found = NULL;
    pthread_mutex_lock(&c->lock);
    if (s != NULL && (c->known == NULL || !secret_equal(s, c->known))) {
        old = c->known;
        c->known = s;
    }
    c->err = c->found_err;
    c->refused = false;
    c->reading = false;
    c->looked_ms = clock_mono_ms();
    pthread_mutex_unlock(&c->lock);
    secret_unref(old);
    bell_ring(&c->bell);
}

/* --- asking, on loops ----------------------------------------------------------------------- */

/* How long what the last look found is good. */
static uint64_t look_again(const struct credential *c)
{
    if (c->err.code != ERR_NONE) {
        return limits.credential_retry;
    }
    return c->password_file != NULL ? limits.credential_file : limits.credential_fresh;
}

/* Caller has the lock. Whether to begin a look. */
static bool is_due(struct credential *c, uint64_t now_ms)
{
    bool begins = c->pool != NULL && !c->reading &&
                  (c->looked_ms == 0 || c->refused || now_ms >= c->looked_ms + look_again(c));

    c->reading = c->reading || begins;
    return begins;
}

/* Caller has the lock. */
static enum credential_state state_of(struct credential *c, struct secret **ret, struct err *err)
{
    if (c->reading && (c->known == NULL || c->refused)) {
        return CREDENTIAL_NOT_YET;
    }
    if (c->known == NULL) {
        *err = (struct err){0};
        err_set(err, ERR_UPSTREAM_SHUT,
                "%s: the credential configured for it cannot be had; the log says why",
                c->upstream);
        return CREDENTIAL_FAILED;
    }
    secret_ref(c->known);
    *ret = c->known;
    return CREDENTIAL_READY;
}

enum credential_state credential_poll(struct credential *c, struct loop *l, struct waiter *w,
                                      struct secret **ret, struct err *err)
{
    enum credential_state state;
    bool begins;

    pthread_mutex_lock(&c->lock);
    begins = is_due(c, clock_mono_ms());
    state = state_of(c, ret, err);
    pthread_mutex_unlock(&c->lock);
    if (begins) {
        pool_submit(c->pool, NULL, &c->job, look, looked);
    }
    if (state != CREDENTIAL_NOT_YET) {
        return state;
    }
    bell_wait(&c->bell, l, w);
    pthread_mutex_lock(&c->lock);
    state = state_of(c, ret, err);
    pthread_mutex_unlock(&c->lock);
    if (state != CREDENTIAL_NOT_YET) {
        bell_leave(w);
    }
    return state;
}

bool credential_refused(struct credential *c, const struct secret *s, uint64_t now_ms)
{
    bool another;

    pthread_mutex_lock(&c->lock);
    another = c->known != s || c->reading;
    if (!another && c->pool != NULL && now_ms >= c->looked_ms + limits.credential_retry) {
        c->refused = true;
        another = true;
    }
    pthread_mutex_unlock(&c->lock);
    return another;
}
