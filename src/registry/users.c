/* registry/users.c - the file, the memory, and the count of wrong tries. */
#include "registry/users.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/sha.h"
#include "http/basic.h"

#include <assert.h>
#include <crypt.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/stat.h>

#define FILE_MAX_BYTES (8u << 20)
#define REMEMBER_MS 300000u
#define REMEMBERED 1024u
#define TRIES 20u
#define TRIES_MS 60000u
#define ADDRESSES 4096u

struct user {
    char *name;
    char *hash;
    unsigned line;
};

/* One state of the file, by name; of several with one name the first counts. */
struct user_list {
    struct user *all;
    size_t n;
};

struct remembered {
    unsigned char what[32];
    uint64_t until; /* 0: nothing */
};

struct tries {
    unsigned n;
    uint64_t since;
};

struct users {
    char *path;
    unsigned char salt[32]; /* of the hashes in memory; never leaves it */
    pthread_mutex_t lock;   /* guards what follows */
    struct user_list list;
    struct stat seen;
    struct remembered remembered[REMEMBERED];
    struct tries tries[ADDRESSES];
};

/* --- the file ------------------------------------------------------------------------------ */

static void list_fini(struct user_list *l)
{
    for (size_t i = 0; i < l->n; i++) {
        free(l->all[i].name);
        free(l->all[i].hash);
    }
    free(l->all);
    *l = (struct user_list){0};
}

/* "$2b$10$" and 53 characters. */
static bool is_bcrypt(struct slice s)
{
    bool good = s.len == 60 && s.p[0] == '$' && s.p[1] == '2' &&
                (s.p[2] == 'a' || s.p[2] == 'b' || s.p[2] == 'y') && s.p[3] == '$' && s.p[6] == '$';

    for (size_t i = 7; good && i < s.len; i++) {
        good = (s.p[i] >= '.' && s.p[i] <= '9') || (s.p[i] >= 'A' && s.p[i] <= 'Z') ||
               (s.p[i] >= 'a' && s.p[i] <= 'z');
    }
    /* More rounds than that take seconds, for each of those who guess. */
    return good && s.p[4] >= '0' && s.p[4] <= '1' && s.p[5] >= '0' && s.p[5] <= '9' &&
           (s.p[4] != '0' || s.p[5] >= '4') && (s.p[4] != '1' || s.p[5] <= '6');
}

static int by_name(const void *a, const void *b)
{
    const struct user *one = a;
    const struct user *other = b;
    int order = strcmp(one->name, other->name);

    return order != 0 ? order : one->line < other->line ? -1 : 1;
}

/* NULL: there is none. */
static const struct user *list_find(const struct user_list *l, const char *name)
{
    size_t low = 0;
    size_t high = l->n;

    while (low < high) {
        size_t middle = (low + high) / 2;

        if (strcmp(l->all[middle].name, name) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < l->n && strcmp(l->all[low].name, name) == 0 ? &l->all[low] : NULL;
}

static int list_parse(const char *path, struct slice text, struct user_list *ret, struct err *err)
{
    struct slice line;

    for (unsigned n = 1; slice_split(&text, '\n', &line); n++) {
        size_t colon;

        line = slice_trim(slice_sub(line, 0, slice_find(line, '\r')));
        if (line.len == 0 || line.p[0] == '#') {
            continue;
        }
        colon = slice_find(line, ':');
        if (colon == 0 || colon >= USER_MAX || !is_bcrypt(slice_from(line, colon + 1))) {
            list_fini(ret);
            return err_set(err, ERR_CONFIG,
                           "%.160s: line %u is not USER:HASH with a hash of bcrypt of at most 16 "
                           "rounds; `larder passwd` writes such lines",
                           path, n);
        }
        ret->all = xrealloc(ret->all, (ret->n + 1) * sizeof(*ret->all));
        ret->all[ret->n].line = n;
        ret->all[ret->n].name = xasprintf("%.*s", (int)colon, line.p);
        ret->all[ret->n++].hash =
            xasprintf("%.*s", (int)(line.len - colon - 1), line.p + colon + 1);
    }
    if (ret->n > 0) {
        qsort(ret->all, ret->n, sizeof(*ret->all), by_name);
    }
    return 0;
}

static int list_read(const char *path, struct user_list *ret, struct err *err)
{
    _cleanup_free_ char *text = NULL;
    struct err why = {0};
    size_t len;

    *ret = (struct user_list){0};
    if (file_read(path, FILE_MAX_BYTES, &text, &len, &why) < 0) {
        return err_set(err, ERR_CONFIG, "%.180s; `larder passwd` writes such a file", why.text);
    }
    return list_parse(path, slice_of(text, len), ret, err);
}

struct users *users_new(const char *path, struct err *err)
{
    struct users *u = xnew(struct users);
    ssize_t got;

    pthread_mutex_init(&u->lock, NULL);
    u->path = xstrdup(path);
    got = getrandom(u->salt, sizeof(u->salt), 0);
    assert(got == (ssize_t)sizeof(u->salt));
    ignore_result(stat(path, &u->seen) < 0);
    if (list_read(path, &u->list, err) < 0) {
        users_free(u);
        return NULL;
    }
    return u;
}

void users_free(struct users *u)
{
    if (u == NULL) {
        return;
    }
    list_fini(&u->list);
    free(u->path);
    pthread_mutex_destroy(&u->lock);
    free(u);
}

static bool same_file(const struct stat *a, const struct stat *b)
{
    return a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec &&
           a->st_size == b->st_size && a->st_ino == b->st_ino && a->st_dev == b->st_dev;
}

/* Takes up what the file says now; a file that is no good leaves what was known, and is told once.
 * Whoever was remembered by the one before is asked again. */
static void users_renew(struct users *u)
{
    struct user_list list;
    struct err err = {0};
    struct stat now = {0};
    bool same;

    ignore_result(stat(u->path, &now) < 0);
    pthread_mutex_lock(&u->lock);
    same = same_file(&now, &u->seen);
    u->seen = now;
    pthread_mutex_unlock(&u->lock);
    if (same) {
        return;
    }
    if (list_read(u->path, &list, &err) < 0) {
        log_event(LOG_ERROR, "auth.users", "those known before may still sign in: %s", err.text);
        return;
    }
    pthread_mutex_lock(&u->lock);
    list_fini(&u->list);
    u->list = list;
    memset(u->remembered, 0, sizeof(u->remembered));
    pthread_mutex_unlock(&u->lock);
    log_event(LOG_INFO, "auth.users", "%s: read again", u->path);
}

/* --- claims -------------------------------------------------------------------------------- */

bool users_claim(struct slice field, struct user_claim *ret)
{
    char plain[USER_MAX + PASSWORD_MAX];
    size_t n;
    size_t colon;
    bool good;

    if (!http_basic_read(field, plain, sizeof(plain), &n)) {
        return false;
    }
    colon = slice_find(slice_of(plain, n), ':');
    good = colon > 0 && colon < n && memchr(plain, '\0', n) == NULL &&
           slice_copy(slice_of(plain, colon), ret->name, sizeof(ret->name)) &&
           slice_copy(slice_of(plain + colon + 1, n - colon - 1), ret->password,
                      sizeof(ret->password));
    explicit_bzero(plain, sizeof(plain));
    return good;
}

/* Both ends with their NUL, so that no name and password are those of others. */
static void claim_hash(const struct users *u, const struct user_claim *c, unsigned char out[32])
{
    struct sha h;

    sha_init(&h, SHA_256);
    sha_update(&h, u->salt, sizeof(u->salt));
    sha_update(&h, c->name, strlen(c->name) + 1);
    sha_update(&h, c->password, strlen(c->password) + 1);
    sha_final(&h, out);
    explicit_bzero(&h, sizeof(h));
}

static struct remembered *place_of(struct users *u, const unsigned char what[32])
{
    return &u->remembered[(what[0] | (unsigned)what[1] << 8) % REMEMBERED];
}

bool users_remembered(struct users *u, const struct user_claim *claim)
{
    unsigned char what[32];
    const struct remembered *r;
    bool good;

    claim_hash(u, claim, what);
    pthread_mutex_lock(&u->lock);
    r = place_of(u, what);
    good = r->until > clock_mono_ms() && memcmp(r->what, what, sizeof(what)) == 0;
    pthread_mutex_unlock(&u->lock);
    return good;
}

static void remember(struct users *u, const struct user_claim *claim)
{
    unsigned char what[32];
    struct remembered *r;

    claim_hash(u, claim, what);
    pthread_mutex_lock(&u->lock);
    r = place_of(u, what);
    memcpy(r->what, what, sizeof(what));
    r->until = clock_mono_ms() + REMEMBER_MS;
    pthread_mutex_unlock(&u->lock);
}

static bool same_text(const char *a, const char *b)
{
    size_t n = strlen(a);
    unsigned differ = 0;

    if (n != strlen(b)) {
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        differ |= (unsigned char)a[i] ^ (unsigned char)b[i];
    }
    return differ == 0;
}

/* A copy of the hash of that user; of one who is unknown some other's, so that it takes as long. */
static char *hash_of(struct users *u, const char *name, bool *ret_known)
{
    const struct user *found;
    char *copy = NULL;

    pthread_mutex_lock(&u->lock);
    found = list_find(&u->list, name);
    *ret_known = found != NULL;
    if (found == NULL && u->list.n > 0) {
        found = &u->list.all[0];
    }
    if (found != NULL) {
        copy = xstrdup(found->hash);
    }
    pthread_mutex_unlock(&u->lock);
    return copy;
}

bool users_hash(struct users *u, const char *name, char ret[USER_HASH_MAX])
{
    const struct user *found;

    pthread_mutex_lock(&u->lock);
    found = list_find(&u->list, name);
    if (found != NULL) {
        memcpy(ret, found->hash, USER_HASH_MAX); /* is_bcrypt() saw to its length */
    }
    pthread_mutex_unlock(&u->lock);
    return found != NULL;
}

static bool check_hash(struct users *u, const struct user_claim *claim)
{
    struct crypt_data *data = xnew(struct crypt_data);
    _cleanup_free_ char *hash = NULL;
    const char *made;
    bool known;
    bool good;

    hash = hash_of(u, claim->name, &known);
    made = hash == NULL ? NULL : crypt_r(claim->password, hash, data);
    good = made != NULL && same_text(made, hash) && known;
    explicit_bzero(data, sizeof(*data));
    free(data);
    return good;
}

/* --- tries --------------------------------------------------------------------------------- */

/* The place of an address; two that share one count together. */
static struct tries *tries_of(struct users *u, const char *client)
{
    unsigned char who[32];
    struct sha h;

    sha_init(&h, SHA_256);
    sha_update(&h, u->salt, sizeof(u->salt));
    sha_update(&h, client, strlen(client));
    sha_final(&h, who);
    return &u->tries[(who[0] | (unsigned)who[1] << 8) % ADDRESSES];
}

bool users_may_try(struct users *u, const char *client, unsigned *ret_wait)
{
    struct tries *t = tries_of(u, client);
    uint64_t now;
    bool may;

    pthread_mutex_lock(&u->lock);
    now = clock_mono_ms(); /* not before what another thread noted */
    may = t->n < TRIES || now - t->since >= TRIES_MS;
    if (!may) {
        *ret_wait = (unsigned)((t->since + TRIES_MS - now) / 1000 + 1);
    }
    pthread_mutex_unlock(&u->lock);
    return may;
}

static void count_wrong(struct users *u, const char *client)
{
    struct tries *t = tries_of(u, client);
    uint64_t now;

    pthread_mutex_lock(&u->lock);
    now = clock_mono_ms();
    if (t->n == 0 || now - t->since >= TRIES_MS) {
        t->n = 0;
        t->since = now;
    }
    t->n++;
    pthread_mutex_unlock(&u->lock);
}

/* --- passwords ----------------------------------------------------------------------------- */

/* What is wrong counts only once that is known: of good ones that come together all may go on. So
 * it is asked again here whether a client may try, as many may have waited for a thread. */
enum user_verdict users_check(struct users *u, const struct user_claim *claim, const char *client,
                              unsigned *ret_wait)
{
    users_renew(u);
    if (users_remembered(u, claim)) {
        return USER_GOOD;
    }
    if (!users_may_try(u, client, ret_wait)) {
        return USER_TOO_MANY;
    }
    if (!check_hash(u, claim)) {
        count_wrong(u, client);
        return USER_WRONG;
    }
    remember(u, claim);
    return USER_GOOD;
}
