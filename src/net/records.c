/* net/records.c - a BIO that gathers, and one send for what it has. */
#include "net/records.h"

#include "base/mem.h"

#include <assert.h>
#include <errno.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* What a record has around its bytes is less than this (RFC 8446 5.2, RFC 5246 6.2.3). */
#define RECORD_OVERHEAD 256
#define RECORD_BYTES (16u * 1024)
#define ROOM (RECORDS_MAX + (RECORDS_MAX / RECORD_BYTES + 1) * RECORD_OVERHEAD)

struct records {
    int fd;
    bool gathers;
    unsigned char *rest; /* what the socket did not take; NULL: nothing */
    size_t at;
    size_t len;
};

static _Thread_local unsigned char room[ROOM];
static _Thread_local size_t room_used;

/* --- the socket ---------------------------------------------------------------------------- */

static ssize_t socket_send(const struct records *r, const void *p, size_t n)
{
    ssize_t sent;

    do {
        sent = send(r->fd, p, n, MSG_NOSIGNAL);
    } while (sent < 0 && errno == EINTR);
    return sent;
}

/* What is left of before. */
static enum records_sent rest_send(struct records *r)
{
    ssize_t sent;

    if (r->rest == NULL) {
        return RECORDS_SENT;
    }
    sent = socket_send(r, r->rest + r->at, r->len - r->at);
    if (sent < 0) {
        return errno == EAGAIN || errno == EWOULDBLOCK ? RECORDS_LEFT : RECORDS_FAILED;
    }
    r->at += (size_t)sent;
    if (r->at < r->len) {
        return RECORDS_LEFT;
    }
    free(r->rest);
    r->rest = NULL;
    return RECORDS_SENT;
}

static enum records_sent room_send(struct records *r)
{
    ssize_t sent = room_used == 0 ? 0 : socket_send(r, room, room_used);

    if (sent < 0 && errno != EAGAIN && errno != EWOULDBLOCK) {
        return RECORDS_FAILED;
    }
    sent = sent < 0 ? 0 : sent;
    if ((size_t)sent == room_used) {
        return RECORDS_SENT;
    }
    r->at = 0;
    r->len = room_used - (size_t)sent;
    r->rest = xcalloc(r->len, 1);
    memcpy(r->rest, room + sent, r->len);
    return RECORDS_LEFT;
}

size_t records_unsent(const struct records *r)
{
    return r == NULL || r->rest == NULL ? 0 : r->len - r->at;
}

void records_gather(struct records *r)
{
    room_used = 0;
    r->gathers = r->rest == NULL;
}

enum records_sent records_send(struct records *r)
{
    if (r->gathers) {
        r->gathers = false;
        return room_send(r);
    }
    return rest_send(r);
}

/* --- what OpenSSL sees ---------------------------------------------------------------------- */

static int bio_write(BIO *bio, const char *p, size_t n, size_t *ret)
{
    struct records *r = BIO_get_data(bio);
    enum records_sent before;
    ssize_t sent;

    BIO_clear_retry_flags(bio);
    if (r->gathers && n <= ROOM - room_used) {
        memcpy(room + room_used, p, n);
        room_used += n;
        *ret = n;
        return 1;
    }
    if (r->gathers) {
        errno = ENOBUFS; /* more around the bytes than records have */
        return 0;
    }
    /* An alert, or the answer to the peer's new key, must not overtake what is left. */
    before = rest_send(r);
    sent = before == RECORDS_SENT ? socket_send(r, p, n) : -1;
    if (sent >= 0) {
        *ret = (size_t)sent;
        return 1;
    }
    if (before == RECORDS_LEFT || errno == EAGAIN || errno == EWOULDBLOCK) {
        BIO_set_retry_write(bio);
    }
    return 0;
}

static long bio_ctrl(BIO *bio, int what, long n, void *p)
{
    (void)bio;
    (void)n;
    (void)p;
    return what == BIO_CTRL_FLUSH ? 1 : 0; /* there is nothing that OpenSSL would have to flush */
}

static BIO_METHOD *method;
static pthread_once_t method_once = PTHREAD_ONCE_INIT;

static void method_free(void)
{
    BIO_meth_free(method);
}

static void method_make(void)
{
    method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "records");
    assert(method != NULL);
    BIO_meth_set_write_ex(method, bio_write);
    BIO_meth_set_ctrl(method, bio_ctrl);
    ignore_result(atexit(method_free) != 0);
}

struct records *records_new(struct ssl_st *ssl, int fd)
{
    struct records *r = xnew(struct records);
    BIO *bio;

    pthread_once(&method_once, method_make);
    bio = BIO_new(method);
    assert(bio != NULL);
    BIO_set_data(bio, r);
    BIO_set_init(bio, 1);
    SSL_set0_wbio(ssl, bio);
    r->fd = fd;
    return r;
}

void records_free(struct records *r)
{
    if (r != NULL) {
        free(r->rest);
        free(r);
    }
}
