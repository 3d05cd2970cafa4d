/*
 * net/tls.c - OpenSSL on a non-blocking socket.
 *
 * A read may have to write and a write may have to read. Each direction therefore keeps what it
 * waits for, and clears that flag of the stream, whose watch sets it again.
 */
#include "net/tls.h"

#include "base/file.h"
#include "net/records.h"
#include "net/tls_words.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PIECE RECORDS_MAX /* of a file that the kernel cannot send */
#define RECORD_MAX 16384  /* bytes of a record; small parts go into one */
#define WORDS_MAX 220
#define PEER_NAME_MAX 128

struct tls_trust {
    uint64_t id;
    SSL_CTX *ctx;
    bool insecure;
};

/* Owner: its stream. */
struct tls_session {
    SSL *ssl;
    char host[256];
    struct tls_ticket *ticket;
    unsigned read_waits; /* WATCH_READ or WATCH_WRITE; 0: nothing */
    unsigned write_waits;
    struct records *records; /* NULL: OpenSSL, or the kernel, writes to the socket */
    size_t owed;             /* bytes in records that are not gone yet; told once they are */
    bool broken;             /* a fatal error: no close_notify any more */
    char words[WORDS_MAX];   /* what is wrong with the certificate, or "" */
};

static _Thread_local char piece[PIECE];

/* --- trust --------------------------------------------------------------------------------- */

/* Where other distributions keep the CAs that this OpenSSL was not built to look for. */
static const char *const bundles[] = {
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
};

static void trust_system(SSL_CTX *ctx)
{
    const char *file = getenv(X509_get_default_cert_file_env());
    const char *dir = getenv(X509_get_default_cert_dir_env());

    ignore_result(SSL_CTX_set_default_verify_paths(ctx) != 1);
    if (file != NULL || dir != NULL || access(X509_get_default_cert_file(), R_OK) == 0 ||
        access(X509_get_default_cert_dir(), R_OK) == 0) {
        return;
    }
    for (size_t i = 0; i < ARRAY_LEN(bundles); i++) {
        if (access(bundles[i], R_OK) == 0) {
            ignore_result(SSL_CTX_load_verify_file(ctx, bundles[i]) != 1);
            return;
        }
    }
}

static int no_certificate(const char *path, struct err *err)
{
    ERR_clear_error();
    return err_set(err, ERR_CONFIG, "%s: holds no certificate in PEM that OpenSSL takes", path);
}

/* OpenSSL's own words for a file it cannot read are none, so it is read once before. */
static int trust_file(SSL_CTX *ctx, const char *path, struct err *err)
{
    _cleanup_free_ char *text = NULL;
    size_t len;

    if (file_read(path, 8u << 20, &text, &len, err) != 0) {
        return -1;
    }
    return SSL_CTX_load_verify_file(ctx, path) == 1 ? 0 : no_certificate(path, err);
}

/* Of a client as of a server. */
static void ctx_set_up(SSL_CTX *ctx)
{
    assert(ctx != NULL);
    signal(SIGPIPE, SIG_IGN);
    SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
    SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                              SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_options(ctx, SSL_OP_ENABLE_KTLS);
    SSL_CTX_set_read_ahead(ctx, 1); /* else each record takes a call more, for its head */
}

static int on_new_session(SSL *ssl, SSL_SESSION *session)
{
    struct tls_session *t = SSL_get_app_data(ssl);

    if (t->ticket == NULL) {
        return 0;
    }
    tls_ticket_fini(t->ticket);
    t->ticket->session = session;
    return 1; /* the reference is ours now */
}

struct tls_trust *tls_trust_new(const char *ca_file, bool insecure, struct err *err)
{
    static _Atomic uint64_t last;
    struct tls_trust *t = xnew(struct tls_trust);

    t->id = atomic_fetch_add(&last, 1) + 1;
    t->insecure = insecure;
    t->ctx = SSL_CTX_new(TLS_client_method());
    ctx_set_up(t->ctx);
    SSL_CTX_set_session_cache_mode(t->ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(t->ctx, on_new_session);
    trust_system(t->ctx);
    if (ca_file != NULL && trust_file(t->ctx, ca_file, err) != 0) {
        tls_trust_free(t);
        return NULL;
    }
    ERR_clear_error();
    return t;
}

uint64_t tls_trust_id(const struct tls_trust *t)
{
    return t == NULL ? 0 : t->id;
}

void tls_trust_free(struct tls_trust *t)
{
    if (t == NULL) {
        return;
    }
    SSL_CTX_free(t->ctx);
    free(t);
}

void tls_ticket_fini(struct tls_ticket *t)
{
    SSL_SESSION_free(t->session);
    t->session = NULL;
}

/* --- keys ---------------------------------------------------------------------------------- */

#define KEY_FILES 3 /* enum tls_file */

/* Which file stands under a name; all 0 where there is none. */
struct tls_stamp {
    struct timespec changed;
    off_t size;
    ino_t ino;
    dev_t dev;
};

struct tls_keys {
    char *files[KEY_FILES]; /* the last may be NULL */
    struct tls_stamp seen[KEY_FILES];
    pthread_mutex_t lock;
    SSL_CTX *ctx; /* guarded by the lock; sessions hold one of their own */
};

static void stamp_files(const struct tls_keys *k, struct tls_stamp ret[KEY_FILES])
{
    memset(ret, 0, KEY_FILES * sizeof(*ret));
    for (size_t i = 0; i < KEY_FILES; i++) {
        struct stat st;

        if (k->files[i] != NULL && stat(k->files[i], &st) == 0) {
            ret[i].changed = st.st_mtim;
            ret[i].size = st.st_size;
            ret[i].ino = st.st_ino;
            ret[i].dev = st.st_dev;
        }
    }
}

static bool stamp_same(const struct tls_stamp *a, const struct tls_stamp *b)
{
    return a->changed.tv_sec == b->changed.tv_sec && a->changed.tv_nsec == b->changed.tv_nsec &&
           a->size == b->size && a->ino == b->ino && a->dev == b->dev;
}

/* A key with a password: OpenSSL would ask for it at the terminal, and wait. */
static int on_password(char *buf, int size, int writing, void *arg)
{
    (void)buf;
    (void)size;
    (void)writing;
    (void)arg;
    return -1;
}

static int on_alpn(SSL *ssl, const unsigned char **ret, unsigned char *ret_len,
                   const unsigned char *in, unsigned in_len, void *arg)
{
    static const unsigned char ours[] = "\x08http/1.1";
    unsigned char *chosen;

    (void)ssl;
    (void)arg;
    if (SSL_select_next_proto(&chosen, ret_len, ours, sizeof(ours) - 1, in, in_len) !=
        OPENSSL_NPN_NEGOTIATED) {
        return SSL_TLSEXT_ERR_ALERT_FATAL; /* RFC 7301 3.2 */
    }
    *ret = chosen;
    return SSL_TLSEXT_ERR_OK;
}

static int readable(const char *path, struct err *err)
{
    _cleanup_free_ char *text = NULL;
    size_t len;

    return file_read(path, 8u << 20, &text, &len, err);
}

static int load_key(SSL_CTX *ctx, const char *certificate, const char *path, struct err *err)
{
    unsigned long code;

    if (SSL_CTX_use_PrivateKey_file(ctx, path, SSL_FILETYPE_PEM) == 1) {
        return 0;
    }
    code = ERR_peek_error();
    ERR_clear_error();
    if (ERR_GET_LIB(code) == ERR_LIB_X509 && (ERR_GET_REASON(code) == X509_R_KEY_VALUES_MISMATCH ||
                                              ERR_GET_REASON(code) == X509_R_KEY_TYPE_MISMATCH)) {
        return err_set(err, ERR_CONFIG, "%s: is not the key of the certificate in %s", path,
                       certificate);
    }
    return err_set(err, ERR_CONFIG, "%s: holds no private key in PEM without a password", path);
}

static int load_client_ca(SSL_CTX *ctx, const char *path, struct err *err)
{
    STACK_OF(X509_NAME) * names;

    if (trust_file(ctx, path, err) < 0) {
        return -1;
    }
    names = SSL_load_client_CA_file(path);
    if (names != NULL) {
        SSL_CTX_set_client_CA_list(ctx, names);
    }
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    return 0;
}

/* *ret_bad is the file that was read last. */
static int load_files(const struct tls_keys *k, SSL_CTX *ctx, enum tls_file *ret_bad,
                      struct err *err)
{
    *ret_bad = TLS_CERTIFICATE;
    if (readable(k->files[TLS_CERTIFICATE], err) < 0) {
        return -1;
    }
    if (SSL_CTX_use_certificate_chain_file(ctx, k->files[TLS_CERTIFICATE]) != 1) {
        return no_certificate(k->files[TLS_CERTIFICATE], err);
    }
    *ret_bad = TLS_KEY;
    if (readable(k->files[TLS_KEY], err) < 0 ||
        load_key(ctx, k->files[TLS_CERTIFICATE], k->files[TLS_KEY], err) < 0) {
        return -1;
    }
    *ret_bad = TLS_CLIENT_CA;
    return k->files[TLS_CLIENT_CA] == NULL ? 0 : load_client_ca(ctx, k->files[TLS_CLIENT_CA], err);
}

/* Tickets are sealed with a key of this context alone: whoever it was that a client showed to be
 * then, it shows anew once the files have changed. */
static SSL_CTX *server_ctx(const struct tls_keys *k, enum tls_file *ret_bad, struct err *err)
{
    static const unsigned char id[] = "larder";
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());

    ctx_set_up(ctx);
    SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    ignore_result(SSL_CTX_set_session_id_context(ctx, id, sizeof(id) - 1) != 1);
    SSL_CTX_set_default_passwd_cb(ctx, on_password);
    SSL_CTX_set_alpn_select_cb(ctx, on_alpn, NULL);
    if (load_files(k, ctx, ret_bad, err) < 0) {
        SSL_CTX_free(ctx);
        return NULL;
    }
    ERR_clear_error();
    return ctx;
}

struct tls_keys *tls_keys_new(const char *certificate, const char *key, const char *client_ca,
                              enum tls_file *ret_bad, struct err *err)
{
    struct tls_keys *k = xnew(struct tls_keys);

    pthread_mutex_init(&k->lock, NULL);
    k->files[TLS_CERTIFICATE] = xstrdup(certificate);
    k->files[TLS_KEY] = xstrdup(key);
    k->files[TLS_CLIENT_CA] = client_ca == NULL ? NULL : xstrdup(client_ca);
    stamp_files(k, k->seen);
    k->ctx = server_ctx(k, ret_bad, err);
    if (k->ctx == NULL) {
        tls_keys_free(k);
        return NULL;
    }
    return k;
}

void tls_keys_free(struct tls_keys *k)
{
    if (k == NULL) {
        return;
    }
    for (size_t i = 0; i < KEY_FILES; i++) {
        free(k->files[i]);
    }
    SSL_CTX_free(k->ctx);
    pthread_mutex_destroy(&k->lock);
    free(k);
}

int tls_keys_renew(struct tls_keys *k, bool force, struct err *err)
{
    struct tls_stamp now[KEY_FILES];
    enum tls_file bad;
    bool same = true;
    SSL_CTX *ctx;
    SSL_CTX *before;

    stamp_files(k, now);
    for (size_t i = 0; i < KEY_FILES; i++) {
        same = same && stamp_same(&now[i], &k->seen[i]);
    }
    if (same && !force) {
        return 0;
    }
    memcpy(k->seen, now, sizeof(now));
    ctx = server_ctx(k, &bad, err);
    if (ctx == NULL) {
        return -1;
    }
    pthread_mutex_lock(&k->lock);
    before = k->ctx;
    k->ctx = ctx;
    pthread_mutex_unlock(&k->lock);
    SSL_CTX_free(before);
    return 1;
}

/* --- sessions ------------------------------------------------------------------------------ */

static int on_verify(int good, X509_STORE_CTX *store)
{
    SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct tls_session *t = SSL_get_app_data(ssl);

    if (!good && t->words[0] == '\0') {
        tls_words_of_server(X509_STORE_CTX_get_current_cert(store), X509_STORE_CTX_get_error(store),
                            t->host, t->words, sizeof(t->words));
    }
    return good;
}

static bool is_address(const char *host)
{
    unsigned char bytes[16];

    return inet_pton(AF_INET, host, bytes) == 1 || inet_pton(AF_INET6, host, bytes) == 1;
}

static void expect_host(struct tls_session *t, bool insecure)
{
    int good = 1;

    if (!is_address(t->host)) {
        good = SSL_set_tlsext_host_name(t->ssl, t->host) == 1;
        good = insecure || (SSL_set1_host(t->ssl, t->host) == 1 && good);
    } else if (!insecure) {
        good = X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(t->ssl), t->host);
    }
    if (!good) {
        snprintf(t->words, sizeof(t->words), "\"%.80s\" cannot be a host name", t->host);
        t->broken = true;
    }
    SSL_set_hostflags(t->ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
}

void tls_session_start(struct stream *s, const struct tls_trust *trust, const char *host,
                       struct tls_ticket *ticket)
{
    static const unsigned char alpn[] = "\x08http/1.1";
    struct tls_session *t = xnew(struct tls_session);

    assert(s->tls == NULL);
    t->ssl = SSL_new(trust->ctx);
    assert(t->ssl != NULL);
    t->ticket = ticket;
    snprintf(t->host, sizeof(t->host), "%s", host);
    SSL_set_app_data(t->ssl, t);
    SSL_set_connect_state(t->ssl);
    SSL_set_verify(t->ssl, trust->insecure ? SSL_VERIFY_NONE : SSL_VERIFY_PEER, on_verify);
    ignore_result(SSL_set_alpn_protos(t->ssl, alpn, sizeof(alpn) - 1) != 0);
    expect_host(t, trust->insecure);
    if (SSL_set_fd(t->ssl, s->fd) != 1) {
        t->broken = true;
    }
    if (ticket != NULL && ticket->session != NULL) {
        ignore_result(SSL_set_session(t->ssl, ticket->session) != 1);
    }
    ERR_clear_error();
    s->tls = t;
}

void tls_session_accept(struct stream *s, struct tls_keys *keys)
{
    struct tls_session *t = xnew(struct tls_session);

    assert(s->tls == NULL);
    pthread_mutex_lock(&keys->lock);
    t->ssl = SSL_new(keys->ctx);
    pthread_mutex_unlock(&keys->lock);
    assert(t->ssl != NULL);
    SSL_set_app_data(t->ssl, t);
    SSL_set_accept_state(t->ssl);
    if (SSL_set_fd(t->ssl, s->fd) != 1) {
        t->broken = true;
    }
    ERR_clear_error();
    s->tls = t;
}

bool tls_is_silent(const struct stream *s)
{
    return BIO_number_read(SSL_get_rbio(s->tls->ssl)) == 0;
}

char *tls_peer_name(const struct stream *s)
{
    X509 *cert = SSL_get1_peer_certificate(s->tls->ssl);
    X509_NAME *subject = cert == NULL ? NULL : X509_get_subject_name(cert);
    char name[PEER_NAME_MAX];
    int n = subject == NULL
                ? -1
                : X509_NAME_get_text_by_NID(subject, NID_commonName, name, sizeof(name));

    X509_free(cert);
    /* One with a zero within would be taken for another. */
    return n <= 0 || n >= (int)sizeof(name) - 1 || strlen(name) != (size_t)n ? NULL : xstrdup(name);
}

void tls_close_notify(struct tls_session *t)
{
    if (t != NULL && !t->broken && SSL_is_init_finished(t->ssl)) {
        ignore_result(SSL_shutdown(t->ssl) < 0);
        ERR_clear_error();
    }
}

void tls_session_free(struct tls_session *t)
{
    if (t == NULL) {
        return;
    }
    /* A session that was not shut down in order would not be taken up again. */
    if (!t->broken) {
        SSL_set_shutdown(t->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    }
    SSL_free(t->ssl);
    records_free(t->records);
    free(t);
}

/* Puts the reason into s->err. */
static ssize_t tls_fail(struct stream *s, const char *what, int ssl_error, int system_error)
{
    struct tls_session *t = s->tls;
    unsigned long code = ERR_peek_error();
    const char *reason = code != 0 ? ERR_reason_error_string(code) : NULL;
    bool cut = ssl_error == SSL_ERROR_SYSCALL && system_error == 0;

    t->broken = true;
    if (ERR_GET_LIB(code) == ERR_LIB_SSL &&
        ERR_GET_REASON(code) == SSL_R_UNEXPECTED_EOF_WHILE_READING) {
        cut = true;
    }
    if (SSL_is_server(t->ssl) && code != 0 && !cut) {
        tls_words_of_client(t->ssl, code, t->words, sizeof(t->words));
    }
    if (t->words[0] != '\0') {
        reason = t->words;
    } else if (cut) {
        reason = SSL_is_init_finished(t->ssl) ? "the connection ended without close_notify"
                                              : "the connection ended";
    } else if (ssl_error == SSL_ERROR_SYSCALL) {
        reason = strerror(system_error);
    } else if (ERR_GET_REASON(code) == SSL_R_WRONG_VERSION_NUMBER) {
        reason = "the answer is not TLS (does it speak plain http?)";
    }
    err_set(&s->err, cut || ssl_error == SSL_ERROR_SYSCALL ? ERR_UPSTREAM_DOWN : ERR_UPSTREAM_TLS,
            "%s: %s", what, reason != NULL ? reason : "unknown reason");
    ERR_clear_error();
    return STREAM_FAILED;
}

/* Whether a direction still waits for what its last call lacked. */
static bool still_waits(const struct stream *s, unsigned what)
{
    return (what == WATCH_READ && !s->readable) || (what == WATCH_WRITE && !s->writable);
}

/* What a call that gave no bytes means. *waits is set where it is STREAM_AGAIN. */
static ssize_t tls_result(struct stream *s, int result, unsigned *waits, const char *what)
{
    int system_error = errno;
    int ssl_error = SSL_get_error(s->tls->ssl, result);

    switch (ssl_error) {
    case SSL_ERROR_WANT_READ:
        *waits = WATCH_READ;
        s->readable = false;
        break;
    case SSL_ERROR_WANT_WRITE:
        *waits = WATCH_WRITE;
        s->writable = false;
        break;
    case SSL_ERROR_ZERO_RETURN:
        return 0;
    default:
        return tls_fail(s, what, ssl_error, system_error);
    }
    return STREAM_AGAIN;
}

/* Not where the kernel writes records, nor for a client that wants them small (RFC 6066 4): more of
 * them would come of as many bytes than there is room for. */
static bool may_gather(SSL *ssl)
{
    return SSL_is_server(ssl) && !BIO_get_ktls_send(SSL_get_wbio(ssl)) &&
           SSL_SESSION_get_max_fragment_length(SSL_get_session(ssl)) ==
               TLSEXT_max_fragment_length_DISABLED;
}

size_t tls_unsent(const struct tls_session *t)
{
    return t == NULL ? 0 : records_unsent(t->records);
}

ssize_t tls_handshake(struct stream *s)
{
    struct tls_session *t = s->tls;
    ssize_t result;
    int done;

    if (t->broken) {
        return tls_fail(s, "TLS handshake", SSL_ERROR_SSL, 0);
    }
    if (still_waits(s, t->read_waits)) {
        return STREAM_AGAIN;
    }
    t->read_waits = 0;
    ERR_clear_error();
    errno = 0;
    done = SSL_do_handshake(t->ssl);
    if (done == 1) {
        if (may_gather(t->ssl)) {
            t->records = records_new(t->ssl, s->fd);
        }
        return 0;
    }
    result = tls_result(s, done, &t->read_waits, "TLS handshake");
    return result == 0 ? tls_fail(s, "TLS handshake", SSL_ERROR_SYSCALL, 0) : result;
}

ssize_t tls_read(struct stream *s, void *p, size_t n)
{
    struct tls_session *t = s->tls;
    size_t got;
    int done;

    if (still_waits(s, t->read_waits)) {
        return STREAM_AGAIN;
    }
    t->read_waits = 0;
    ERR_clear_error();
    errno = 0;
    done = SSL_read_ex(t->ssl, p, n, &got);
    if (done == 1) {
        return (ssize_t)got;
    }
    return tls_result(s, done, &t->read_waits, "cannot read");
}

static ssize_t tls_write(struct stream *s, const void *p, size_t n)
{
    struct tls_session *t = s->tls;
    ssize_t result;
    size_t sent;
    int done;

    if (still_waits(s, t->write_waits)) {
        return STREAM_AGAIN;
    }
    t->write_waits = 0;
    ERR_clear_error();
    errno = 0;
    done = SSL_write_ex(t->ssl, p, n, &sent);
    if (done == 1) {
        return (ssize_t)sent;
    }
    result = tls_result(s, done, &t->write_waits, "cannot write");
    return result == 0 ? tls_fail(s, "cannot write", SSL_ERROR_SYSCALL, EPIPE) : result;
}

/* Record after record, as OpenSSL takes one a call. */
static ssize_t tls_write_records(struct stream *s, const char *p, size_t n)
{
    size_t done = 0;

    while (done < n) {
        ssize_t sent = tls_write(s, p + done, n - done);

        if (sent < 0) {
            return done > 0 ? (ssize_t)done : sent;
        }
        done += (size_t)sent;
    }
    return (ssize_t)done;
}

/* What was owed, once the records that hold it are gone. */
static ssize_t tls_send_records(struct stream *s)
{
    struct tls_session *t = s->tls;
    ssize_t owed = (ssize_t)t->owed;

    switch (records_send(t->records)) {
    case RECORDS_SENT:
        t->owed = 0;
        t->write_waits = 0;
        return owed;
    case RECORDS_LEFT:
        t->write_waits = WATCH_WRITE;
        s->writable = false;
        return STREAM_AGAIN;
    default:
        return tls_fail(s, "cannot write", SSL_ERROR_SYSCALL, errno);
    }
}

/* Several records by one call, where that saves any. */
static ssize_t tls_write_many(struct stream *s, const char *p, size_t n)
{
    struct tls_session *t = s->tls;
    ssize_t done;
    ssize_t sent;

    if (t->records == NULL || n <= RECORD_MAX) {
        return tls_write_records(s, p, n);
    }
    records_gather(t->records);
    done = tls_write_records(s, p, n < RECORDS_MAX ? n : RECORDS_MAX);
    t->owed = done > 0 ? (size_t)done : 0;
    sent = tls_send_records(s); /* it ends the gathering in any case */
    return done > 0 ? sent : done;
}

ssize_t tls_writev(struct stream *s, const struct iovec *iov, int n)
{
    size_t len = 0;

    if (still_waits(s, s->tls->write_waits)) {
        return STREAM_AGAIN;
    }
    if (s->tls->owed > 0) {
        return tls_send_records(s);
    }
    if (n == 1 || iov[0].iov_len >= RECORD_MAX) {
        return tls_write_many(s, iov[0].iov_base, iov[0].iov_len);
    }
    for (int i = 0; i < n && len < RECORD_MAX; i++) {
        size_t part = iov[i].iov_len < RECORD_MAX - len ? iov[i].iov_len : RECORD_MAX - len;

        memcpy(piece + len, iov[i].iov_base, part);
        len += part;
    }
    return tls_write(s, piece, len);
}

ssize_t tls_sendfile(struct stream *s, int fd, uint64_t offset, size_t n)
{
    struct tls_session *t = s->tls;
    ssize_t got;

    if (still_waits(s, t->write_waits)) {
        return STREAM_AGAIN;
    }
    if (t->owed > 0) {
        return tls_send_records(s);
    }
    if (BIO_get_ktls_send(SSL_get_wbio(t->ssl))) {
        t->write_waits = 0;
        ERR_clear_error();
        errno = 0;
        got = SSL_sendfile(t->ssl, fd, (off_t)offset, n, 0);
        return got >= 0 ? got : tls_result(s, (int)got, &t->write_waits, "cannot send a file");
    }
    got = file_pread_all(fd, piece, n < PIECE ? n : PIECE, offset);
    return got <= 0 ? 0 : tls_write_many(s, piece, (size_t)got);
}
