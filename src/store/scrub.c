/* store/scrub.c - one blob after the other: open, hash, and judge. */
#include "store/scrub.h"

#include "base/clock.h"
#include "base/counter.h"
#include "base/fault.h"
#include "base/file.h"
#include "base/log.h"
#include "base/sha.h"
#include "store/gate.h"
#include "store/inner.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define PIECE (256u * 1024)
/* Records of one look at the index. */
#define BATCH 64

struct scrub_one {
    struct digest digest;
    struct blob_record record;
};

/* Owner: store_scrub(). */
struct scrub {
    struct store *store;
    const struct scrub_rules *rules;
    struct scrub_one batch[BATCH];
    size_t n;
    uint64_t began;
    bool full; /* the caller takes no more of this page */
    struct scrub_sum sum;
    unsigned char piece[PIECE];
};

/* --- reading ------------------------------------------------------------------------------- */

/* A process that takes over does not wait for long: who asked goes on there. */
static bool is_stopping(const struct scrub *c)
{
    return atomic_load(&c->store->closing) || atomic_load(&c->store->leaving) ||
           (c->rules->stopping != NULL && atomic_load(c->rules->stopping));
}

/* Waits until as much may have been read; false: it is to give up. */
static bool pace(const struct scrub *c)
{
    while (!is_stopping(c)) {
        uint64_t spent = clock_mono_ms() - c->began;
        uint64_t due = c->rules->rate == 0
                           ? 0
                           : (uint64_t)((double)c->sum.bytes * 1000 / (double)c->rules->rate);

        if (due <= spent) {
            return true;
        }
        ignore_result(poll(NULL, 0, due - spent < 100 ? (int)(due - spent) : 100) < 0);
    }
    return false;
}

static bool is_cached(int fd, uint64_t offset)
{
    char byte;
    struct iovec one = {&byte, 1};

    return preadv2(fd, &one, 1, (off_t)offset, RWF_NOWAIT) == 1;
}

/* The next piece; what it brings into the page cache goes again, or others would have to. */
static ssize_t read_piece(struct scrub *c, int fd, uint64_t offset)
{
    bool cached = is_cached(fd, offset);
    ssize_t n;

    if (fault_errno("scrub.read", EIO)) {
        return -1;
    }
    n = file_pread_all(fd, c->piece, PIECE, offset);
    if (n > 0 && !cached) {
        ignore_result(posix_fadvise(fd, (off_t)offset, n, POSIX_FADV_DONTNEED));
    }
    return n;
}

/* 1: it is its digest; 0: not, for the reason in *ret; -1: it is to give up. */
static int hash(struct scrub *c, const struct scrub_one *one, int fd, enum scrub_why *ret)
{
    struct digest found = {.alg = one->digest.alg};
    uint64_t offset = 0;
    struct sha sha;
    ssize_t n;

    sha_init(&sha, found.alg == DIGEST_SHA512 ? SHA_512 : SHA_256);
    while ((n = read_piece(c, fd, offset)) > 0) {
        sha_update(&sha, c->piece, (size_t)n);
        offset += (uint64_t)n;
        c->sum.bytes += (uint64_t)n;
        count_add(verified_bytes, n);
        if (!pace(c)) {
            n = -1;
            break;
        }
    }
    sha_final(&sha, found.bytes);
    if (is_stopping(c)) {
        return -1;
    }
    *ret = n < 0 ? SCRUB_UNREADABLE : SCRUB_WRONG;
    return n == 0 && digest_equal(&found, &one->digest);
}

/* --- what is bad --------------------------------------------------------------------------- */

/* The copy of a manifest's body, where the index has a right one. */
static bool read_body(struct store *s, const struct digest *d, unsigned char body[BODY_MAX],
                      size_t *ret_len)
{
    struct index_read *r = index_read_begin(s);
    struct digest found = {.alg = d->alg};
    bool here = r != NULL && index_get_body(r, d, body, ret_len) == INDEX_FOUND;

    if (r != NULL) {
        index_read_end(r);
    }
    if (here) {
        sha_of(d->alg == DIGEST_SHA512 ? SHA_512 : SHA_256, body, *ret_len, found.bytes);
    }
    return here && digest_equal(&found, d);
}

/* A new file, on disk before it is in the place of the bad one. */
static bool write_anew(struct store *s, const struct digest *d, const unsigned char *body, size_t n)
{
    char name[64];
    bool good;
    int fd;

    snprintf(name, sizeof(name), "mend.%08" PRIx32 "-%02x%02x%02x%02x", s->session, d->bytes[0],
             d->bytes[1], d->bytes[2], d->bytes[3]);
    fd = openat(s->tree.ingest, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0444);
    if (fd < 0) {
        return false;
    }
    good = file_pwrite_all(fd, body, n, 0) == 0 && !fault_errno("mend.fsync", EIO) &&
           fdatasync(fd) == 0 && tree_take(&s->tree, name, d) == 0 &&
           tree_sync_folder(&s->tree, d) == 0;
    close(fd);
    if (!good) {
        ignore_result(unlinkat(s->tree.ingest, name, 0) < 0);
    }
    return good;
}

/* What was pushed cannot be had from anywhere else: before its bytes are given up, those that the
 * index has are taken. */
static bool mend(struct store *s, const struct scrub_one *one)
{
    _cleanup_free_ unsigned char *body = xcalloc(BODY_MAX, 1);
    struct index_read *r;
    struct blob_record now;
    bool good = false;
    size_t n = 0;

    if (!read_body(s, &one->digest, body, &n) || !gate_close(s->gate, &one->digest)) {
        return false;
    }
    r = index_read_begin(s);
    if (r != NULL) {
        good = index_get_blob(r, &one->digest, &now) == INDEX_FOUND && now.size == n;
        index_read_end(r);
    }
    good = good && write_anew(s, &one->digest, body, n);
    gate_open(s->gate, &one->digest);
    return good;
}

static const char *why_text(enum scrub_why why)
{
    static const char *const TEXTS[] = {
        [SCRUB_MISSING] = "its file is missing",
        [SCRUB_SIZE] = "its file has another size",
        [SCRUB_UNREADABLE] = "its file cannot be read",
        [SCRUB_WRONG] = "its file is something else",
    };

    return TEXTS[why];
}

static void take_out(struct scrub *c, const struct scrub_one *one, int fd, enum scrub_why why)
{
    struct scrub_bad bad = {&one->digest, &one->record, why, false, false};
    char text[DIGEST_TEXT_MAX];

    bad.mended = one->record.class == BLOB_MANIFEST && mend(c->store, one);
    bad.kept = !bad.mended && why == SCRUB_UNREADABLE && store_is_pushed(c->store, &one->digest);
    if (!bad.mended && !bad.kept && !store_forget(c->store, &one->digest, fd, true)) {
        return; /* it went, or came anew, meanwhile */
    }
    count(verified_bad);
    log_event(LOG_ERROR, "store.bad", "%s: %s: %s; %s", c->store->dir,
              digest_text(&one->digest, text), why_text(why),
              bad.mended ? "written anew from the index"
              : bad.kept ? "left, as it was pushed"
                         : "moved to quarantine");
    c->full = !c->rules->f(c->rules->arg, &bad);
}

/* --- one blob ------------------------------------------------------------------------------ */

/* Whether the errno speaks against the file, and not against this process. */
static bool is_of_file(int error)
{
    return error != EMFILE && error != ENFILE && error != ENOMEM && error != EINTR &&
           error != EAGAIN;
}

static int look_at(struct scrub *c, const struct scrub_one *one, struct err *err)
{
    _cleanup_close_ int fd = tree_open_blob(&c->store->tree, &one->digest);
    enum scrub_why why = SCRUB_SIZE;
    char text[DIGEST_TEXT_MAX];
    struct stat st;
    int good = 0;

    if (fd < 0 && !is_of_file(errno)) {
        return err_set(err, ERR_STORE, "%.100s: %s: %s", c->store->dir,
                       digest_text(&one->digest, text), strerror(errno));
    }
    if (fd < 0) {
        why = errno == ENOENT ? SCRUB_MISSING : SCRUB_UNREADABLE;
    } else if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
               (uint64_t)st.st_size == one->record.size) {
        good = hash(c, one, fd, &why);
    }
    if (good < 0) {
        return err_set(err, ERR_UNAVAILABLE, "the server is stopping, or being replaced");
    }
    if (good == 0) {
        take_out(c, one, fd, why);
    } else if (!store_blob_trusted(c->store, &one->record)) {
        store_mark_verified(c->store, &one->digest);
    }
    c->sum.blobs++;
    c->sum.last = one->digest;
    return 0;
}

/* --- a page -------------------------------------------------------------------------------- */

static bool add_one(void *arg, const struct digest *d, const struct blob_record *b)
{
    struct scrub *c = arg;

    c->batch[c->n++] = (struct scrub_one){*d, *b};
    return c->n < BATCH;
}

static int read_batch(struct scrub *c, struct err *err)
{
    struct index_read *r = index_read_begin(c->store);

    c->n = 0;
    if (r == NULL) {
        return err_set(err, ERR_STORE, "the index cannot be read");
    }
    index_each_blob(r, &c->sum.last, add_one, c);
    index_read_end(r);
    c->sum.end = c->n == 0;
    return 0;
}

static bool is_over(const struct scrub *c)
{
    return c->full || (c->sum.blobs > 0 && clock_mono_ms() - c->began >= c->rules->for_ms);
}

/* What was found before it is to give up is told: it is out of the store by now. */
static int scrub_page(struct scrub *c, struct err *err)
{
    while (!is_over(c)) {
        if (read_batch(c, err) < 0) {
            return -1;
        }
        if (c->sum.end) {
            return 0;
        }
        for (size_t i = 0; i < c->n && !is_over(c); i++) {
            uint64_t bytes = c->sum.bytes;

            if (look_at(c, &c->batch[i], err) < 0) {
                c->sum.bytes = bytes;
                return c->sum.blobs > 0 && err->code == ERR_UNAVAILABLE ? 0 : -1;
            }
        }
    }
    return 0;
}

int store_scrub(struct store *s, const struct scrub_rules *rules, struct scrub_sum *ret,
                struct err *err)
{
    struct scrub *c = xnew(struct scrub);
    int rc;

    c->store = s;
    c->rules = rules;
    c->sum.last = rules->after;
    c->began = clock_mono_ms();
    rc = scrub_page(c, err);
    if (rc == 0) {
        *ret = c->sum;
    }
    free(c);
    return rc;
}

/* --- quarantine ---------------------------------------------------------------------------- */

struct digest *store_quarantined(struct store *s, size_t *ret_n)
{
    struct digest *all = xcalloc(TREE_QUARANTINE_MAX, sizeof(*all));

    *ret_n = tree_quarantined(&s->tree, all);
    qsort(all, *ret_n, sizeof(*all), digest_order);
    return all;
}
